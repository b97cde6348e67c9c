"""Random-number state and Ctrl-C."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from noisylearn._compat import Callback
from noisylearn._rng import rng_state, set_rng_state
from noisylearn.callbacks import ExactResume, GracefulStop
from tests.unit.callbacks.small import fit


def draw() -> list[float]:
    return [float(torch.rand(())), random.random(), float(np.random.rand()), random.gauss(0, 1), np.random.randn()]


def test_every_generator_is_restored() -> None:
    random.gauss(0, 1), np.random.randn()  # each keeps half a pair of Gaussians
    before = rng_state()
    first = draw()
    assert draw() != first
    set_rng_state(before)
    assert draw() == first


def test_the_state_is_loaded_with_weights_only(tmp_path: Path) -> None:
    torch.save(rng_state(), tmp_path / "state.pt")
    first = draw()
    set_rng_state(torch.load(tmp_path / "state.pt", weights_only=True))
    assert draw() == first


def test_a_checkpoint_without_the_state_changes_nothing() -> None:
    resume = ExactResume()
    resume.on_load_checkpoint(None, None, {})
    before = torch.get_rng_state()
    resume.on_fit_start(None, None)
    assert torch.equal(before, torch.get_rng_state())


class Presses(Callback):  # type: ignore[misc]  # its base is made at import time
    """Presses Ctrl-C in a step, so many times."""

    def __init__(self, step: int, times: int = 1) -> None:
        super().__init__()
        self.step, self.times, self.steps = step, times, 0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.steps += 1
        if trainer.global_step == self.step:
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)


def handlers() -> list[Any]:
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def test_the_first_ctrl_c_ends_the_step_and_saves(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before, presses = handlers(), Presses(step=1)
    with pytest.raises(SystemExit):
        fit([presses, GracefulStop(str(tmp_path))], epochs=3)
    assert presses.steps == 2
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 2
    assert handlers() == before
    assert "a checkpoint saved (once more to abort)" in capfd.readouterr().err


def test_the_second_aborts_at_once(tmp_path: Path) -> None:
    before = handlers()
    with pytest.raises(SystemExit):
        fit([Presses(step=1, times=2), GracefulStop(str(tmp_path))], epochs=3)
    assert not (tmp_path / "last.ckpt").exists()
    assert handlers() == before


def test_a_fit_that_is_left_alone_gives_the_signals_back(tmp_path: Path) -> None:
    before = handlers()
    fit([GracefulStop(str(tmp_path))])
    assert handlers() == before
    assert not (tmp_path / "last.ckpt").exists()


def test_the_checkpoint_lies_in_the_run_folder_by_default(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        fit([Presses(step=0), GracefulStop()], default_root_dir=tmp_path)
    assert (tmp_path / "checkpoints" / "last.ckpt").exists()
