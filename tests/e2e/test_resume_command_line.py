"""A fit that is stopped, killed or interrupted goes on to the result of one that never was: by the real command line.

Digits on the CPU, with a network that draws random numbers, ELR's table of targets, and the signals' own.
"""

from __future__ import annotations

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.e2e.stopping import VARIABLE
from tests.methods.harness import differences

pytestmark = pytest.mark.slow  # a process takes seconds to import Lightning

EPOCHS, STEPS = 4, 8  # 256 samples in batches of 32
COMPLETE = {"checkpoints", "config.yaml", "metrics.csv", "report.html", "result.json", "signals.parquet"}
FIT = f"""
    fit --model ELR --model.backbone.class_path tests.e2e.stopping.Dropout --model.lr 0.05
    --data Digits --data.num_train 256 --data.batch_size 32 --data.augment true
    --trainer.max_epochs {EPOCHS} --trainer.accelerator cpu
    --trainer.enable_progress_bar false --trainer.enable_model_summary false
    --trainer.callbacks+=tests.e2e.stopping.StopAt
""".split()
SCHEDULES = {"cosine": "CosineAnnealingLR", "one cycle": "OneCycleLR"}


@dataclass
class Runs:
    """Runs of one learning-rate schedule, in a folder of their own."""

    folder: Path
    schedule: str
    checkout: Path

    def command(self, args: list[str], stop: str = "") -> subprocess.CompletedProcess[str]:
        """Run ``noisylearn`` in a process of its own; ``stop`` is what `StopAt` does."""
        environment = {**os.environ, "PYTHONPATH": str(self.checkout), "OMP_NUM_THREADS": "1", VARIABLE: stop}
        command = [sys.executable, "-m", "noisylearn.cli", *args]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=200, check=False
        )

    def fit(self, run: str, stop: str = "") -> subprocess.CompletedProcess[str]:
        return self.command([*FIT, "--model.scheduler", SCHEDULES[self.schedule], "--run", run], stop)

    def resume(self, run: str, checkpoint: str) -> None:
        done = self.command(["fit", "--config", f"{run}/config.yaml", "--ckpt_path", f"{run}/checkpoints/{checkpoint}"])
        assert done.returncode == 0, done.stderr

    def checkpoint(self, run: str, name: str = "last.ckpt") -> dict[str, Any]:
        loaded: dict[str, Any] = torch.load(self.folder / run / "checkpoints" / name, weights_only=True)
        return loaded

    def result(self, run: str) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.folder / run / "result.json").read_text(encoding="utf-8"))
        return loaded

    def metrics(self, run: str) -> list[dict[str, str]]:
        with (self.folder / run / "metrics.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def files(self, run: str) -> set[str]:
        return {file.name for file in (self.folder / run).iterdir()}

    def assert_equals_uninterrupted(self, run: str, interrupted_epoch: int | None = None) -> None:
        """Bit for bit, but for what is not promised: the training loss that an interrupted epoch logs."""
        one, other = self.checkpoint("whole"), self.checkpoint(run)
        assert one["global_step"] == EPOCHS * STEPS
        for part in (one, other):
            callbacks = part.pop("callbacks")  # the others' state has paths and seconds
            part["tracked"] = [state for name, state in callbacks.items() if name.startswith(("SignalT", "Memor"))]
        assert len(one["tracked"]) == 2
        assert differences(one, other) == []
        tables = [(self.folder / name / "signals.parquet").read_bytes() for name in ("whole", run)]
        assert tables[0] == tables[1]
        expected, found = self.metrics("whole"), self.metrics(run)
        if interrupted_epoch is not None:
            assert expected[interrupted_epoch].pop("train_loss") != found[interrupted_epoch].pop("train_loss")
        assert expected == found
        assert self.files(run) == COMPLETE
        results = [self.result(name) for name in ("whole", run)]
        for result in results:
            del result["train_seconds"], result["minutes"]
        assert results[0] == results[1]
        assert results[1]["completed"]
        configs = [(self.folder / name / "config.yaml").read_text(encoding="utf-8") for name in ("whole", run)]
        assert configs[0] == configs[1].replace(run, "whole")  # the checkpoint that it went on from is not in it


@pytest.fixture(scope="module", params=SCHEDULES)
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Runs:
    """The uninterrupted run of a schedule, to compare with."""
    made = Runs(tmp_path_factory.mktemp("runs"), request.param, checkout)
    done = made.fit("whole")
    assert done.returncode == 0, done.stderr
    return made


def only(schedule: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("runs", [schedule], indirect=True)


@pytest.mark.parametrize("runs", SCHEDULES, indirect=True)
def test_an_uninterrupted_run(runs: Runs) -> None:
    """What the others are compared with: a complete run whose learning rate moved, with a fit's own callbacks."""
    assert runs.files("whole") == COMPLETE
    assert runs.result("whole")["completed"]
    saved = runs.checkpoint("whole")
    assert any("SignalTracker" in name for name in saved["callbacks"])  # `callbacks+=` has left them
    assert "tests.e2e.stopping.StopAt" in (runs.folder / "whole" / "config.yaml").read_text(encoding="utf-8")
    assert saved["optimizer_states"][0]["param_groups"][0]["lr"] < 0.001
    assert set(saved["noisylearn_tables"]) == {"targets"}


@only("cosine")
def test_ctrl_c_finishes_the_step_saves_and_stops(runs: Runs) -> None:
    stopped = runs.fit("in:mid-epoch", stop="SIGINT:11")
    assert stopped.returncode == 130
    assert runs.files("in:mid-epoch") == COMPLETE
    assert runs.checkpoint("in:mid-epoch")["global_step"] == 12
    result = runs.result("in:mid-epoch")
    assert (result["completed"], result["epochs_run"]) == (False, 1)
    assert len(runs.metrics("in:mid-epoch")) == 1
    assert "Traceback" not in stopped.stderr

    (line,) = (line for line in stopped.stdout.splitlines() if "to go on: noisylearn" in line)
    resumed = runs.command(shlex.split(line.split("to go on: noisylearn ")[1]))
    assert resumed.returncode == 0, resumed.stderr
    runs.assert_equals_uninterrupted("in:mid-epoch", interrupted_epoch=1)


@only("one cycle")
def test_sigterm_in_the_last_step_of_an_epoch_leaves_no_gap(runs: Runs) -> None:
    """That epoch's validation and metrics are made before the stop: a resumed run would not make them up."""
    stopped = runs.fit("terminated", stop="SIGTERM:15")
    assert stopped.returncode == 130
    assert runs.files("terminated") == COMPLETE
    assert runs.checkpoint("terminated")["global_step"] == 16
    assert (runs.result("terminated")["completed"], len(runs.metrics("terminated"))) == (False, 2)
    runs.resume("terminated", "last.ckpt")
    runs.assert_equals_uninterrupted("terminated")


@only("one cycle")
def test_a_second_ctrl_c_aborts_and_the_last_epochs_checkpoint_stays(runs: Runs) -> None:
    stopped = runs.fit("aborted", stop="SIGINT,SIGINT:11")
    assert stopped.returncode == 130
    assert "to go on" not in stopped.stdout  # this step is not in the checkpoint
    assert runs.files("aborted") == COMPLETE - {"report.html"}  # nothing more is begun
    assert not runs.result("aborted")["completed"]
    assert runs.checkpoint("aborted")["global_step"] == 8
    runs.resume("aborted", "last.ckpt")
    runs.assert_equals_uninterrupted("aborted")


@only("one cycle")
def test_a_killed_run_goes_on_from_its_latest_epoch(runs: Runs) -> None:
    killed = runs.fit("killed", stop="SIGKILL:21")
    assert killed.returncode == -signal.SIGKILL
    assert runs.files("killed") == COMPLETE - {"report.html", "result.json", "signals.parquet"}
    (latest,) = (runs.folder / "killed" / "checkpoints").glob("epoch*.ckpt")
    assert runs.checkpoint("killed", latest.name)["global_step"] == 16
    runs.resume("killed", latest.name)
    runs.assert_equals_uninterrupted("killed")


@only("cosine")
def test_a_clean_stop_after_an_epoch(runs: Runs) -> None:
    stopped = runs.fit("early", stop="epoch:1")
    assert stopped.returncode == 0
    assert runs.files("early") == COMPLETE
    assert (runs.result("early")["epochs_run"], runs.checkpoint("early")["global_step"]) == (2, 16)
    runs.resume("early", "last.ckpt")
    runs.assert_equals_uninterrupted("early")
