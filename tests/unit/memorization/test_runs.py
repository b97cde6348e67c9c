"""Runs are seeded alike, leave the random numbers as they were, and say what goes on."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
import torch
from rich.console import Console
from rich.progress import Progress

from noisylearn.memorization.dataset_view import DatasetView
from noisylearn.memorization.runs import Runs, default_loader, seeded
from tests.unit.memorization.small import CLASSES, Yours, digits, trainers


def draws() -> tuple[float, float, float]:
    return float(torch.rand(())), float(np.random.rand()), random.random()


def test_seeded_begins_anew_and_puts_back() -> None:
    with seeded(3):
        first = draws()
    for seed in (0, 1):
        with seeded(seed):
            between = draws()
            with seeded(3):
                assert draws() == first
            after = draws()
        with seeded(seed):
            assert (draws(), draws()) == (between, after)


def test_an_error_puts_back_too() -> None:
    with seeded(0):
        expected = draws()
    with seeded(0), pytest.raises(ZeroDivisionError), seeded(1):
        raise ZeroDivisionError
    with seeded(0):
        with pytest.raises(ZeroDivisionError), seeded(1):
            raise ZeroDivisionError
        assert draws() == expected


@pytest.mark.parametrize(("terminal", "own"), [(True, False), (False, False), (True, True)])
def test_each_run_is_announced(terminal: bool, own: bool) -> None:
    view = DatasetView(digits(100)[0])
    screen = io.StringIO()
    with Runs("fake class", total=2) as runs:
        runs.bar = Progress(console=Console(file=screen, force_terminal=terminal, width=120), transient=True)
        for name in "AB":
            options = {"enable_progress_bar": True} if own else {}
            runs.fit(trainers(2, **options), [], Yours(CLASSES), default_loader(view), f"probes {name}")
            assert runs.bar.live.is_started == (terminal and not own)
            assert runs.bar.tasks == []
    assert runs.done == 2
    assert not runs.bar.live.is_started
    for text in ("fake class, run 1 of 2 (probes A)", "fake class, run 2 of 2 (probes B)"):
        assert text in screen.getvalue()


def test_quiet_runs_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Runs("fake class", total=1, show=False) as runs:
        runs.fit(trainers(1), [], Yours(CLASSES), default_loader(DatasetView(digits(100)[0])), "probes A")
    assert capsys.readouterr().out == ""


def test_an_error_takes_the_bar_down() -> None:
    class Failing(Yours):
        def training_step(self, batch: object, batch_idx: int) -> torch.Tensor:
            raise ZeroDivisionError

    runs = Runs("fake class", total=1)
    runs.bar = Progress(console=Console(file=io.StringIO(), force_terminal=True), transient=True)
    with pytest.raises(ZeroDivisionError), runs:
        runs.fit(trainers(1), [], Failing(CLASSES), default_loader(DatasetView(digits(100)[0])), "probes A")
    assert not runs.bar.live.is_started
