"""What a method can do at an epoch's start: go through the training set, choose samples, and order its batches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.methods.harness import differences, digits, run, savers
from tests.methods.planned import PLANNED, Served


def test_each_epoch_serves_its_plan_after_one_sweep() -> None:
    served = Served()
    fitted = run(PLANNED, digits(num_train=250), epochs=3, callbacks=[served])
    assert fitted.method.begun == [0, 1, 2]
    assert [sorted(rows) for rows in fitted.method.swept] == [list(range(250))] * 3
    assert sorted(served.rows[0]) == list(range(250))
    last = fitted.method.tables["chosen"].views()["loss"]
    below = (last < last.mean()).nonzero().flatten().tolist()
    assert sorted(served.rows[2]) == sorted(2 * below)
    assert len(served.rows[1]) != len(served.rows[2])
    assert fitted.trainer.global_step == sum(-(-len(rows) // 32) for rows in served.rows.values())


@pytest.mark.parametrize("stop", ["epoch-0", "epoch-1", "step-5", "step-10", "step-15"])
def test_resume_in_a_planned_epoch_is_exact(tmp_path: Path, stop: str) -> None:
    whole = run(PLANNED, epochs=3, callbacks=savers(tmp_path, 5))
    with pytest.warns(UserWarning, match="is not empty"):
        resumed = run(PLANNED, epochs=3, callbacks=savers(tmp_path, 5), resume=tmp_path / f"{stop}.ckpt")
    assert differences(whole.state(), resumed.state()) == []
    # An epoch that was broken off goes on with the choice it began with.
    epoch = int(torch.load(tmp_path / f"{stop}.ckpt", weights_only=True)["epoch"])
    assert resumed.method.begun == list(range(epoch + 1, 3))


def test_data_that_cannot_follow_a_plan_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Confident composes its own batches.*loader='tensor'"):
        run(PLANNED, digits(loader="dataloader"))


def test_schedules_by_step_are_refused() -> None:
    with pytest.raises(ValueError, match="`scheduler` must move by epoch with Confident"):
        run(PLANNED, method={"scheduler": "OneCycleLR", "scheduler_args": {"max_lr": 0.1}})
