"""A resumed fit equals one that was never interrupted, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.methods.harness import CASES, Case, differences, digits, each_method, run, savers

# Going on in the folder of the first run is what resuming is.
pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty:UserWarning")

EPOCHS, STEPS = 3, 8  # 256 samples in batches of 32
SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {},
    "cosine by epoch": {"scheduler": "CosineAnnealingLR"},
    "OneCycle": {"scheduler": "OneCycleLR"},  # reads `estimated_stepping_batches`
    "milestones by epoch": {"scheduler": "MultiStepLR", "scheduler_args": {"milestones": [1, 2]}},
    "milestones by step": {
        "scheduler": "MultiStepLR",
        "scheduler_args": {"milestones": [3, 9, 15]},
        "scheduler_interval": "step",
    },
}
AT = ("epoch-0", "epoch-1", "step-5", "step-15")  # after an epoch, and in mid-epoch


@pytest.mark.parametrize("schedule", SCHEDULES)
@each_method
def test_resume_is_exact(case: Case, schedule: str, tmp_path: Path) -> None:
    def go(resume: Path | None = None) -> Any:
        data = digits(augment=True)
        return run(case, data, SCHEDULES[schedule], epochs=EPOCHS, callbacks=savers(tmp_path, 5), resume=resume)

    if case.refuses(SCHEDULES[schedule]):
        with pytest.raises(ValueError, match="`scheduler` must"):
            go()
        return
    whole = go()
    assert len(whole.rates.rates) == EPOCHS * STEPS or case.planned
    if schedule != "constant":
        assert len(set(whole.rates.rates.values())) > 1
    for name in AT if schedule == "OneCycle" else AT[1::2]:
        resumed = go(resume=tmp_path / f"{name}.ckpt")
        assert differences(whole.state(), resumed.state()) == [], name
        rest = {step: rate for step, rate in whole.rates.rates.items() if step in resumed.rates.rates}
        assert 0 < len(rest) < len(whole.rates.rates)
        assert resumed.rates.rates == rest


@each_method
def test_resume_from_a_checkpoint_with_validation(case: Case, tmp_path: Path) -> None:
    """Lightning then saves inside validation, before the epoch's last hooks."""
    args: dict[str, Any] = {"epochs": EPOCHS, "limit_val_batches": 1.0, "num_sanity_val_steps": 2}
    whole = run(case, callbacks=savers(tmp_path, 5), **args)
    for name in ("epoch-0", "step-10"):
        resumed = run(case, callbacks=savers(tmp_path, 5), resume=tmp_path / f"{name}.ckpt", **args)
        assert differences(whole.state(), resumed.state()) == [], name


@pytest.mark.parametrize(
    "validation", [{}, {"limit_val_batches": 1.0}, {"limit_val_batches": 1.0, "every": 2}], ids=str
)
def test_resume_from_an_epochs_last_step(validation: dict[str, Any], tmp_path: Path) -> None:
    """Saved by step, before the epoch's validation, if it has one, and its end."""
    every = validation.get("every", 1)
    args = {k: v for k, v in validation.items() if k != "every"} | {"check_val_every_n_epoch": every, "epochs": EPOCHS}
    whole = run(CASES[0], callbacks=savers(tmp_path, STEPS), **args)
    for name in ("step-8", "step-16"):
        resumed = run(CASES[0], callbacks=savers(tmp_path, STEPS), resume=tmp_path / f"{name}.ckpt", **args)
        assert differences(whole.state(), resumed.state()) == [], name


@each_method
def test_resume_with_accumulated_gradients(case: Case, tmp_path: Path) -> None:
    args: dict[str, Any] = {"epochs": 2, "accumulate_grad_batches": 2}
    whole = run(case, callbacks=savers(tmp_path, 3), **args)
    resumed = run(case, callbacks=savers(tmp_path, 3), resume=tmp_path / "step-3.ckpt", **args)
    assert differences(whole.state(), resumed.state()) == []


def test_without_exact_resume_dropout_draws_other_numbers(tmp_path: Path) -> None:
    """The comparison can fail: what `ExactResume` restores matters."""
    case = CASES[0]
    whole = run(case, callbacks=savers(tmp_path, 5))
    tracker, _, *checkpoints = savers(tmp_path, 5)
    resumed = run(case, callbacks=[tracker, *checkpoints], resume=tmp_path / "step-5.ckpt")
    assert any(".weights" in d for d in differences(whole.state(), resumed.state()))


@each_method
def test_checkpoints_hold_plain_values_only(case: Case, tmp_path: Path) -> None:
    run(case, callbacks=savers(tmp_path, 5), epochs=1)
    for name in ("epoch-0", "step-5"):
        checkpoint = torch.load(tmp_path / f"{name}.ckpt", weights_only=True)
        assert set(checkpoint.get("noisylearn_tables", {})) == set(case.tables)
        assert "_instantiator" not in checkpoint["hyper_parameters"]
