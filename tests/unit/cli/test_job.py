"""A job's run that was interrupted goes on from its last checkpoint, to the result of one that never was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from noisylearn.bench import Job
from noisylearn.cli import training
from noisylearn.cli.job import fit_job
from tests.methods.harness import differences

# Workers ignore all warnings (`noisylearn.bench.local`).
pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
CONFIG: dict[str, Any] = {
    "seed_everything": 3,
    "model": {"class_path": "ELR", "init_args": {"backbone": "mlp", "scheduler": "CosineAnnealingLR"}},
    "data": {"class_path": "Digits", "init_args": {"num_train": 128, "batch_size": 32, "augment": True}},
    "trainer": {"max_epochs": 4, "accelerator": "cpu", "enable_model_summary": False},
}


class InterruptError(Exception):
    """In place of a power cut."""


class Counter:
    """Counts epochs; interrupts the run when ``stop`` of them were counted."""

    def __init__(self, stop: int = -1) -> None:
        self.count, self.stop = 0, stop

    def __call__(self) -> None:
        self.count += 1
        if self.count == self.stop:
            raise InterruptError


@pytest.fixture
def resumed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each training, whether it went on from a checkpoint."""
    calls: list[bool] = []
    real = training.run_cli

    def run_cli(args: list[str], *rest: Any) -> Any:
        calls.append("--ckpt_path" in args)
        return real(args, *rest)

    monkeypatch.setattr(training, "run_cli", run_cli)
    return calls


def saved(job: Job) -> dict[str, Any]:
    """The last checkpoint, without paths and seconds."""
    loaded: dict[str, Any] = torch.load(job.run / "checkpoints" / "last.ckpt", weights_only=True)
    del loaded["callbacks"]
    return loaded


def test_an_interrupted_run_goes_on_bit_for_bit(tmp_path: Path, resumed: list[bool]) -> None:
    whole, cut = Job(tmp_path / "whole", CONFIG), Job(tmp_path / "cut", CONFIG)
    fit_job(whole.write(), Counter())
    with pytest.raises(InterruptError):
        fit_job(cut.write(), Counter(stop=3))
    assert saved(cut)["epoch"] == 1  # the third epoch's was still to come
    assert (whole.done, cut.done) == (True, False)
    counter = Counter()
    fit_job(cut.write(), counter)
    assert resumed == [False, False, True]
    assert (cut.done, counter.count) == (True, 4)
    assert differences(saved(whole), saved(cut)) == []
    for name in ("signals.parquet", "metrics.csv"):
        assert (cut.run / name).read_bytes() == (whole.run / name).read_bytes()


def test_a_run_without_a_checkpoint_begins_anew(tmp_path: Path, resumed: list[bool]) -> None:
    job = Job(tmp_path / "job", CONFIG)
    with pytest.raises(InterruptError):
        fit_job(job.write(), Counter(stop=1))
    assert (job.run / "config.yaml").is_file()
    assert not list(job.run.rglob("*.ckpt"))
    fit_job(job.write(), Counter())
    assert resumed == [False, False]
    assert job.done


def test_a_result_that_is_missing_after_the_last_epoch_is_made(tmp_path: Path, resumed: list[bool]) -> None:
    job = Job(tmp_path / "job", CONFIG)
    fit_job(job.write(), Counter())
    before = saved(job)
    (job.run / "result.json").unlink()
    (job.run / "signals.parquet").unlink()
    assert not job.done
    fit_job(job.write(), Counter())
    assert resumed == [False, True, False]
    assert job.done
    assert (job.run / "signals.parquet").is_file()
    assert differences(before, saved(job)) == []


def test_a_damaged_checkpoint_is_told(tmp_path: Path) -> None:
    job = Job(tmp_path / "job", CONFIG)
    last = job.run / "checkpoints" / "last.ckpt"
    file = job.write()
    last.parent.mkdir()
    last.write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"last\.ckpt' is cut short, damaged, or no checkpoint"):
        fit_job(file, Counter())
