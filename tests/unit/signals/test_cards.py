"""Every signal says what it is, what it costs and what it keeps; the page of cards is what the classes say."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from noisylearn.callbacks.named_signals import BY_NAME
from noisylearn.memorization import ForgettingTime
from noisylearn.signals import Signal

DOCS = Path(__file__).resolve().parents[3] / "docs"
C, D, K = 10, 7, 2
ARGUMENTS: dict[str, dict[str, Any]] = {
    "ConfidentLearning": {"num_classes": C},
    "MeanProbability": {"num_classes": C},
    "NeighborDisagreement": {"width": D, "num_classes": C},
    "PredictionDepth": {"widths": (D, C)},
    "Fluctuation": {"k": K},
}


CLASSES: dict[str, type[Signal]] = {**BY_NAME, "ForgettingTime": ForgettingTime}


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_the_bytes_that_are_declared_are_the_bytes_that_are_kept(name: str) -> None:
    signal: Signal = CLASSES[name](**ARGUMENTS.get(name, {}))
    declared = signal.state.removesuffix(" bytes").replace("(sum of widths)", "S")
    declared = re.sub(r"(\d) (?=[CdkS])", r"\1 * ", declared)
    assert re.fullmatch(r"[\d CdkS*+]+", declared), signal.state
    expected = eval(declared, {"__builtins__": {}}, {"C": C, "d": D, "k": K, "S": D + C})
    assert signal.bytes_per_sample == expected


@pytest.mark.parametrize("name", sorted(CLASSES.keys() - {"GivenLabel"}))
def test_every_signal_has_a_card(name: str) -> None:
    cls = CLASSES[name]
    for fact in (cls.paper, cls.formula, cls.state, cls.cost):
        assert fact
    assert cls.view in ("online", "sweep", "either")
    assert cls.__doc__ is not None
    assert ">>>" in cls.__doc__
    assert "Source:" in cls.__doc__


def test_the_page_is_what_the_classes_say() -> None:
    if not DOCS.is_dir():
        pytest.skip("the documentation is not part of this installation")
    written = runpy.run_path(str(DOCS / "make_signals.py"))["page"]()
    assert all(f"\n## {name}\n" in written for name in CLASSES.keys() - {"GivenLabel"})
    assert (DOCS / "signals.md").read_text(encoding="utf-8") == written, "run python docs/make_signals.py"
