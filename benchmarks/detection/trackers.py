"""The trackers of the detection study: every signal, and what each costs."""

from __future__ import annotations

import time
from typing import Any

import torch
from lightning.pytorch import Callback

from benchmarks.detection.training import EARLY
from noisylearn.callbacks import SignalTracker, SweepTracker
from noisylearn.callbacks.per_sample import PerSampleCallback
from noisylearn.signals import (
    ConfidentLearning,
    CumulativeSampleGradient,
    FirstKLearned,
    Fluctuation,
    GraNd,
    InputCurvature,
    IntrinsicDimension,
    MixturePosterior,
    NeighborDisagreement,
    PredictionDepth,
    PredictionFlips,
    SelfInfluence,
    VarianceOfGradients,
    core_signals,
)

EVERY = 6
"""Epochs from one sweep to the next."""
DIRECTIONS = 3
"""Of the input curvature, in place of the 10 that it is defined with: each is a forward and a backward pass."""
SWEEPS = ("confident", "gmm", "bmm", "neighbors", "dimension", "csg", "vog", "curvature", "grand", "depth")
"""The sweeps, by name. The curvature and GraNd cost most and are for the first seed."""


class TimedSweep(SweepTracker):
    """A `SweepTracker` that adds up the seconds of its sweeps."""

    seconds = 0.0
    sweeps = 0

    def sweep(self, trainer: Any, pl_module: Any) -> None:
        """Sweep, by the clock."""
        start = time.process_time()
        super().sweep(trainer, pl_module)
        self.seconds += time.process_time() - start
        self.sweeps += 1


class EarlyReading(Callback):
    """Reads all scores once, when the early window ends. Stands after the trackers, so that they have committed."""

    def __init__(self, trackers: dict[str, PerSampleCallback]) -> None:
        self.trackers = trackers
        self.scores: dict[str, torch.Tensor] = {}
        self.seconds: dict[str, float] = {}

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Read, at the end of that epoch."""
        if trainer.current_epoch + 1 == EARLY:
            self.scores, self.seconds = read(self.trackers)


def read(trackers: dict[str, PerSampleCallback]) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Return every score by ``tracker/score``, and the seconds that each tracker took to work them out."""
    scores: dict[str, torch.Tensor] = {}
    seconds: dict[str, float] = {}
    for name, tracker in trackers.items():
        if tracker.signal_set is None:  # not swept yet
            continue
        start = time.process_time()
        scores |= {f"{name}/{score}": value for score, value in tracker.scores().items()}
        seconds[name] = time.process_time() - start
    return scores, seconds


def make_trackers(width: int, dear: bool) -> dict[str, PerSampleCallback]:
    """Return every signal's tracker, each sweep signal in one of its own so that it has seconds of its own."""
    online = [*core_signals(), PredictionFlips(), Fluctuation(), FirstKLearned(), SelfInfluence()]
    sweeps = {
        "confident": ConfidentLearning(10),
        "gmm": MixturePosterior("gmm"),
        "bmm": MixturePosterior("bmm"),
        "neighbors": NeighborDisagreement(width, 10),
        "dimension": IntrinsicDimension(),
        "csg": CumulativeSampleGradient(),
        "vog": VarianceOfGradients(),
        **({"curvature": InputCurvature(DIRECTIONS), "grand": GraNd()} if dear else {}),
    }
    trackers = {name: TimedSweep(signal, every_n_epochs=EVERY, name=name) for name, signal in sweeps.items()}
    depth = PredictionDepth(widths=[16, 32, width])
    layers = [f"network.features.{place}" for place in (3, 7, 10)]
    trackers["depth"] = TimedSweep(depth, every_n_epochs=None, layers=layers, name="depth")
    return {"online": SignalTracker(online, name="online"), **trackers}
