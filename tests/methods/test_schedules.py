"""Schedules against the plans of the reference code, and in a fit that is broken off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from noisylearn.methods import PENCIL, CoTeaching, HoldThenLinearLR, PiecewiseConstantLR
from tests.methods.harness import Case, differences, run, savers

NAME = "noisylearn.methods.HoldThenLinearLR"


def co_teaching_plan(lr: float, decay_start: int, epochs: int) -> list[tuple[float, float]]:
    """Rate and first moment of each epoch, as Co-teaching's code lists them."""
    plan = [(lr, 0.9)] * epochs
    for i in range(decay_start, epochs):
        plan[i] = ((epochs - i) / (epochs - decay_start) * lr, 0.1)
    return plan


@pytest.mark.parametrize("decay_start", [80, 100])
def test_the_plan_is_co_teachings(decay_start: int) -> None:
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=1e-3)
    schedule = HoldThenLinearLR(optimizer, hold=decay_start, total_iters=200, late_beta1=0.1)
    for lr, beta1 in co_teaching_plan(1e-3, decay_start, 200):
        group = optimizer.param_groups[0]
        assert group["lr"] == pytest.approx(lr, rel=1e-12)
        assert group["betas"] == (beta1, 0.999)
        optimizer.step()
        schedule.step()
    assert schedule.get_last_lr() == [0.0]
    schedule.step()
    assert schedule.get_last_lr() == [0.0]  # and not below


def test_another_optimizer_keeps_what_it_has() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    schedule = HoldThenLinearLR(optimizer, hold=0, total_iters=2)
    optimizer.step()
    schedule.step()
    assert (schedule.get_last_lr(), optimizer.param_groups[0]["momentum"]) == ([0.5], 0.9)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"hold": -1}, "`hold` must be"),
        ({"hold": 4}, "`hold` must be below `total_iters`, got 4 and 4"),
        ({"hold": 2, "late_beta1": 1.5}, r"`late_beta1` must be in \[0, 1\], got 1.5"),
        ({"hold": 2, "late_beta1": 0.1}, "`late_beta1` needs an optimizer with `betas`, got SGD"),
    ],
)
def test_arguments_that_cannot_be_meant(args: dict[str, Any], message: str) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(ValueError, match=message):
        HoldThenLinearLR(optimizer, total_iters=4, **args)


def test_a_resumed_fit_goes_on_with_the_late_moment(tmp_path: Path) -> None:
    scheduled = {"optimizer": "Adam", "scheduler": NAME, "scheduler_args": {"hold": 1, "total_iters": 4}}
    scheduled["scheduler_args"] |= {"late_beta1": 0.1}  # type: ignore[operator]
    case = Case(CoTeaching, {"noise_rate": 0.4, "warmup_epochs": 2, **scheduled})

    def go(resume: Path | None = None) -> Any:
        return run(case, epochs=4, callbacks=savers(tmp_path, 5), resume=resume)

    whole = go()
    assert whole.trainer.optimizers[0].param_groups[0]["betas"] == (0.1, 0.999)
    with pytest.warns(UserWarning, match="is not empty"):
        resumed = go(resume=tmp_path / "step-20.ckpt")
    assert differences(whole.state(), resumed.state()) == []
    assert len(set(whole.rates.rates.values())) == 4


def pencil_plan(lr: float, lr2: float, stage2: int, epochs: int) -> list[float]:
    """Rate of each epoch in PENCIL's code, with the division that it means."""
    third = (epochs - stage2) // 3
    return [lr] * stage2 + [lr2] * third + [lr2 / 10] * third + [lr2 / 100] * (epochs - stage2 - 2 * third)


def test_rates_in_steps_of_any_height_are_pencils_plan() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.06)
    factors = [0.2 / 0.06, 0.02 / 0.06, 0.002 / 0.06]
    schedule = PiecewiseConstantLR(optimizer, milestones=[200, 240, 280], factors=factors)
    for lr in pencil_plan(0.06, 0.2, 200, 320):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(lr, rel=1e-12)
        optimizer.step()
        schedule.step()


def test_a_fit_in_stages_goes_on_where_it_was_broken_off(tmp_path: Path) -> None:
    schedule = {
        "scheduler": "noisylearn.methods.PiecewiseConstantLR",
        "scheduler_args": {"milestones": [1, 3], "factors": [4.0, 0.4]},
    }
    case = Case(PENCIL, {"stage1": 1, "stage2": 3})
    whole = run(case, method={**schedule, "lr": 0.05}, epochs=4, callbacks=savers(tmp_path, 5))
    by_epoch = [whole.rates.rates[8 * epoch + 4] for epoch in range(4)]
    assert by_epoch == pytest.approx([0.05, 0.2, 0.2, 0.02])
    with pytest.warns(UserWarning, match="is not empty"):
        resumed = run(
            case,
            method={**schedule, "lr": 0.05},
            epochs=4,
            callbacks=savers(tmp_path, 5),
            resume=tmp_path / "epoch-1.ckpt",
        )
    assert differences(whole.state(), resumed.state()) == []


def test_stages_that_cannot_be_meant() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(ValueError, match="`factors` must be as many as `milestones`, got 1 for 2"):
        PiecewiseConstantLR(optimizer, [1, 2], [0.5])
    with pytest.raises(ValueError, match=r"`milestones` must rise, got \[2, 1\]: sort them"):
        PiecewiseConstantLR(optimizer, [2, 1], [0.5, 0.1])
