"""`NoisyCLI` overrides a private method of Lightning's; these fail where Lightning no longer has or calls it."""

from __future__ import annotations

from pathlib import Path

import pytest

from noisylearn._compat import lightning_module
from noisylearn.cli.training import NoisyCLI, run_cli

METHOD = "_parse_ckpt_path"
FIT = [
    "fit",
    "--model=SmallLoss",
    "--model.backbone=mlp",
    "--data=Digits",
    "--data.num_train=64",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.max_epochs=1",
]


def test_lightning_has_the_method_that_is_overridden() -> None:
    assert callable(getattr(lightning_module("cli").LightningCLI, METHOD, None))
    assert METHOD in vars(NoisyCLI)


def test_lightning_calls_the_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[NoisyCLI] = []
    monkeypatch.setattr(NoisyCLI, METHOD, lambda cli: calls.append(cli))
    made = run_cli([*FIT, f"--run={tmp_path / 'one'}"])
    assert calls == [made]


# The resumed run has a folder of its own.
@pytest.mark.filterwarnings("ignore:The dirpath has changed from:UserWarning")
def test_a_checkpoint_restores_state_and_the_command_line_says_what_is_run(tmp_path: Path) -> None:
    """Lightning's own method would put the checkpoint's hyper-parameters over those of the command line."""
    run_cli([*FIT, "--model.exponent=1.0", f"--run={tmp_path / 'one'}"])
    last = tmp_path / "one" / "checkpoints" / "last.ckpt"
    other = ["--model.exponent=2.0", "--trainer.max_epochs=2", f"--run={tmp_path / 'two'}"]
    resumed = run_cli([*FIT, *other, f"--ckpt_path={last}"])
    assert resumed.config["fit"].model.init_args.exponent == 2.0
    assert resumed.model.exponent == 2.0
    assert resumed.trainer.global_step == 2  # the state is the checkpoint's: it goes on from its one step
