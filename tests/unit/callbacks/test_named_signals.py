"""Signals by name, also those that wait for the number of classes."""

from __future__ import annotations

import pytest

from noisylearn import signals
from noisylearn.callbacks import SignalTracker, SweepTracker
from noisylearn.callbacks.named_signals import BY_NAME
from noisylearn.signals import Signal
from tests.unit.callbacks.small import C, fit


def test_every_exported_signal_has_a_name() -> None:
    classes = {n for n in signals.__all__ if isinstance(cls := getattr(signals, n), type) and issubclass(cls, Signal)}
    assert classes - {"Signal"} == set(BY_NAME)


def test_a_signal_that_needs_the_number_of_classes() -> None:
    online, sweep = SignalTracker(["MeanProbability"]), SweepTracker("ConfidentLearning", logits="net")
    assert [info.name for info in online.score_info] == ["suggested", "suggested_probability"]
    fit([online, sweep])
    assert online.scores()["suggested"].max() < C
    assert set(sweep.scores()) > {"self_confidence", "label_issue"}


def test_names_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"`signals` must be one of .*, got 'Margins' \(did you mean 'Margin'"):
        SignalTracker(["Margins"])
    with pytest.raises(ValueError, match=r"`signals`: 'PredictionDepth' needs widths: pass noisylearn.signals.Predict"):
        SweepTracker(["PredictionDepth"])
