"""Writes docs/signals.md: a card for every signal, from what its class declares and says of itself.

    python docs/make_signals.py

A test holds the committed page to what this would write.
"""

from __future__ import annotations

import inspect
from pathlib import Path

from noisylearn.callbacks.named_signals import BY_NAME
from noisylearn.memorization import ForgettingTime
from noisylearn.signals import Score, Signal

PAGE = Path(__file__).with_name("signals.md")
HEAD = """\
# Signals

What a training run says about each label: one card a signal. Notation: `g` the given label, `z` logits, `p` their
softmax, `l = -log p_g`, `t` a sample's presentations, `C` classes, `d` features. *Online* signals are measured on the
training steps' own logits (`SignalTracker`), *sweep* signals in passes of their own (`SweepTracker`); most can be
either. Bytes are those of the state a sample takes for this signal alone, besides 4 bytes that all share.

What they are worth on real data is measured in `benchmarks/detection` of the repository. In short: for wrong labels
take `noisylearn.signals.suspicion`, a rank made of the scores that `SignalTracker` has by default.

This page is written by `docs/make_signals.py`.
"""
DIRECTION = {True: "high", False: "low", None: "no direction"}
VIEW = {"online": "online", "sweep": "sweep", "either": "online or sweep"}


def page() -> str:
    """Return the page."""
    classes = {**BY_NAME, "ForgettingTime": ForgettingTime}  # measured by a protocol of its own, not by name
    cards = [classes[name] for name in sorted(classes, key=str.lower) if name != "GivenLabel"]
    return "\n".join([HEAD, *table(cards), "", *(card(cls) for cls in cards)])


def table(cards: list[type[Signal]]) -> list[str]:
    """Return the overview: signal, scores, direction, view, state."""
    rows = ["| signal | scores | a wrong label has | view | bytes a sample |", "|---|---|---|---|---|"]
    for cls in cards:
        names = ", ".join(f"`{score.name}`" for score in cls.scores)
        ways = ", ".join(dict.fromkeys(DIRECTION[score.higher_is_noisier] for score in cls.scores))
        link = f"[`{cls.__name__}`](#{cls.__name__.lower()})"
        rows.append(f"| {link} | {names} | {ways} | {VIEW[cls.view]} | {cls.state.removesuffix(' bytes')} |")
    return rows


def card(cls: type[Signal]) -> str:
    """Return one signal's card."""
    needs = ", ".join(f"`{need}`" for need in cls.needs) or "logits and labels only"
    facts = [
        f"- **Paper:** {cls.paper}",
        f"- **Formula:** {cls.formula}",
        f"- **View:** {VIEW[cls.view]}; cost: {cls.cost}; needs {needs}",
        f"- **State:** {cls.state} a sample",
        *(f"- **`{score.name}`** ({way(score)}): {score.description}" for score in cls.scores),
    ]
    text = (inspect.getdoc(cls) or "").split("\nArgs:", 1)[0].split("\nRaises:", 1)[0].split("\nExample:", 1)[0]
    body = text.strip().replace("``", "`")
    return "\n".join([f"## {cls.__name__}", "", *facts, "", body, ""])


def way(score: Score) -> str:
    """Return which values point at a wrong label."""
    return {True: "high is suspicious", False: "low is suspicious", None: "no direction"}[score.higher_is_noisier]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
