"""Schedules against the plans of the reference code, and in a fit that is broken off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from noisylearn.methods import CoTeaching, HoldThenLinearLR
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
