"""What `NoisyCLI` adds to Lightning's command line, and the private method of Lightning's that it overrides."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from noisylearn._compat import lightning_module
from noisylearn.cli import main
from noisylearn.cli.help import TRAINING
from noisylearn.cli.options import expand_recipes
from noisylearn.cli.training import NoisyCLI, run_cli
from noisylearn.data import CIFAR10, CIFAR10N, CIFAR100N, Digits, FashionMNIST

METHOD = "_parse_ckpt_path"
QUIET = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
FIT = [
    "fit",
    "--model=SmallLoss",
    "--model.backbone=mlp",
    "--data=Digits",
    "--data.num_train=64",
    *QUIET,
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


def written(run: Path) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    return config


def first_batch(cli: NoisyCLI) -> torch.Tensor:
    cli.datamodule.trainer = None
    index: torch.Tensor = next(iter(cli.datamodule.train_dataloader())).index
    return index


SEEDS: dict[str, tuple[list[str], int]] = {
    "neither": ([], 0),
    "seed_everything": (["--seed_everything=5"], 5),
    "the data's own": (["--data.seed=4"], 4),
    "both": (["--seed_everything=5", "--data.seed=0"], 0),
    "no seeding": (["--seed_everything=false"], 0),
}


@pytest.mark.parametrize("case", SEEDS)
def test_the_order_follows_seed_everything_unless_it_has_a_seed_of_its_own(case: str, tmp_path: Path) -> None:
    args, seed = SEEDS[case]
    made = run_cli([*FIT, *args, f"--run={tmp_path}"])
    assert made.datamodule.seed == seed
    assert made.datamodule.noise_seed == 0
    assert written(tmp_path)["data"]["init_args"]["seed"] == seed


def test_a_method_is_told_how_many_labels_come_out_wrong(tmp_path: Path) -> None:
    noise = ["--data.noise=asymmetric_cifar10", "--data.noise_rate=0.4"]
    args = [*FIT, *noise, "--model=CoTeaching", "--model.backbone=mlp", "--trainer.max_epochs=0", f"--run={tmp_path}"]
    made = run_cli(args)
    assert made.model.forget_rate == 0.2  # half of the classes are mistaken for another
    assert made.datamodule.noise.realised_rate == pytest.approx(0.2, abs=0.1)


def test_a_seed_of_a_configuration_is_its_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("data: {class_path: Digits, init_args: {seed: 3, num_train: 64}}\n", encoding="utf-8")
    args = [arg for arg in FIT if not arg.startswith("--data")]
    made = run_cli([*args, f"--config={file}", "--seed_everything=5", f"--run={tmp_path / 'mine'}"])
    assert made.datamodule.seed == 3


def test_a_seed_that_is_drawn_is_written(tmp_path: Path) -> None:
    made = run_cli([*FIT, "--seed_everything=true", f"--run={tmp_path}"])
    config = written(tmp_path)
    assert config["seed_everything"] == config["data"]["init_args"]["seed"] == made.datamodule.seed
    assert not isinstance(config["seed_everything"], bool)


def test_a_recipe_with_another_seed_has_another_order_and_the_same_labels(tmp_path: Path) -> None:
    runs = {}
    for seed in (0, 1):
        args, files = expand_recipes(["--recipe", "digits/elr", "--seed_everything", str(seed)])
        configs = [part for file in files for part in ("--config", str(file))]
        untrained = ["--trainer.max_epochs=0", "--model.scheduler=null", f"--run={tmp_path / str(seed)}"]
        runs[seed] = run_cli(["fit", *configs, *args, *QUIET, *untrained])
    assert not torch.equal(first_batch(runs[0]), first_batch(runs[1]))
    assert torch.equal(runs[0].datamodule.noisy_targets, runs[1].datamodule.noisy_targets)


@pytest.mark.parametrize("cls", [Digits, CIFAR10, CIFAR10N, CIFAR100N, FashionMNIST])
def test_outside_the_command_line_the_seed_is_0(cls: Any) -> None:
    assert cls().seed == 0
    assert cls(seed=7).seed == 7


@pytest.mark.parametrize("command", TRAINING)
def test_help_shows_recipes_and_how_to_call(command: str) -> None:
    out = StringIO()
    with redirect_stdout(out), pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    usage, _, rest = out.getvalue().partition("\n\n")
    assert f"noisylearn {command} --recipe NAME" in usage
    assert f"noisylearn {command} --config RUN/config.yaml" in usage
    assert max(map(len, usage.splitlines())) <= 100
    words = " ".join(rest.split())
    assert "e.g. `--recipe digits/elr`" in words
    assert "--run RUN" in words
    assert "--ckpt_path" in words


def test_a_part_of_an_options_name_is_no_option(tmp_path: Path) -> None:
    """`check_names` finds those of ours; the parser must not guess either."""
    with pytest.raises(Exception, match="unrecognized arguments: --reduc=true"):
        run_cli([*FIT, "--reduc=true", f"--run={tmp_path}"])


def test_an_empty_run_folder_is_the_default_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_cli([*FIT, "--run="]).config["fit"].run == str(Path("runs", "digits-smallloss-0"))
    assert [file.name for file in tmp_path.iterdir()] == ["runs"]


# Lightning's advice for a run as short as this one.
@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_a_run_folder_is_whole_beside_a_logger(tmp_path: Path) -> None:
    logs = ["--trainer.logger=CSVLogger", f"--trainer.logger.save_dir={tmp_path / 'logs'}"]
    run_cli([*FIT, *logs, f"--run={tmp_path / 'mine'}"])
    files = {file.name for file in (tmp_path / "mine").iterdir()}
    assert files == {"checkpoints", "config.yaml", "metrics.csv", "result.json", "signals.parquet"}
    assert written(tmp_path / "mine")["run"] == str(tmp_path / "mine")
    assert not list((tmp_path / "logs").rglob("config.yaml"))


def test_trying_the_code_leaves_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "mine"
    assert main([*FIT, "--trainer.fast_dev_run=true", f"--run={run}"]) == 0
    assert f"noisylearn fit: nothing is written to {run}" in capsys.readouterr().out
    assert not run.exists()
    assert main([*FIT, f"--run={run}"]) == 0
    assert f"noisylearn fit: the run folder is {run}" in capsys.readouterr().out
