"""The core signals by their definitions: one sample, one presentation at a time, in float64."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

NAN = math.nan
MAX_LOSS = 13.8
DECAY = 0.9

Step = tuple[int, Any, Any, Any]
"""What one training step showed: epoch, index (B,), logits (B, C), given labels (B,)."""


def softmax(z: Sequence[float]) -> list[float]:
    top = max(z)
    e = [math.exp(v - top) for v in z]
    return [v / sum(e) for v in e]


def cross_entropy(z: Sequence[float], given: int) -> float:
    top = max(z)
    return math.log(sum(math.exp(v - top) for v in z)) - (z[given] - top)


@dataclass
class Look:
    """One presentation of one sample."""

    z: list[float]
    given: int
    loss: float = field(init=False)
    margin: float = field(init=False)
    p: float = field(init=False)
    el2n: float = field(init=False)
    predicted: int = field(init=False)

    def __post_init__(self) -> None:
        probs = softmax(self.z)
        self.loss = min(cross_entropy(self.z, self.given), MAX_LOSS)
        self.margin = self.z[self.given] - max(v for k, v in enumerate(self.z) if k != self.given)
        self.p = probs[self.given]
        self.el2n = math.sqrt(sum((v - (k == self.given)) ** 2 for k, v in enumerate(probs)))
        self.predicted = self.z.index(max(self.z))

    @property
    def right(self) -> bool:
        return self.predicted == self.given


def mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / len(values)


def slow_sample(epochs: list[list[Look]], num_classes: int) -> dict[str, float]:
    """The scores of one sample from its presentations, epoch by epoch (only epochs in which it was seen)."""
    looks = [look for epoch in epochs for look in epoch]
    if not looks:
        return {}
    ema = NAN
    for epoch in epochs:
        loss = mean(look.loss for look in epoch)
        ema = loss if math.isnan(ema) else DECAY * ema + (1 - DECAY) * loss
    p_mean = mean(look.p for look in looks)
    a = [epoch[0].right for epoch in epochs]  # one presentation an epoch: the first
    wrong = [t for t, right in enumerate(a) if not right]
    suggestion = [mean(softmax(look.z)[k] for look in looks) for k in range(num_classes)]
    return {
        "given": looks[-1].given,
        "aum": mean(look.margin for look in looks),
        "wrong_events": sum(not look.right for look in looks),
        "confidence": p_mean,
        "variability": math.sqrt(mean((look.p - p_mean) ** 2 for look in looks)),
        "correctness": sum(look.right for look in looks),
        "el2n": mean(look.el2n for look in looks),
        "loss_mean": mean(look.loss for look in looks),
        "loss_last": mean(look.loss for look in epochs[-1]),
        "loss_ema": ema,
        "loss_cumulative": sum(look.loss for look in looks),
        "forgetting_events": sum(a[t - 1] and not a[t] for t in range(1, len(a))),
        "never_learned": not any(a),
        "first_learned": a.index(True) if any(a) else NAN,
        "learned_for_good": NAN if wrong and wrong[-1] == len(a) - 1 else (wrong[-1] + 1 if wrong else 0),
        "suggested": suggestion.index(max(suggestion)),
        "suggested_probability": max(suggestion),
        "suggestion_lead": sorted(suggestion)[-1] - sorted(suggestion)[-2],
    }


def looks_by_sample(num_samples: int, steps: Iterable[Step]) -> list[dict[int, list[Look]]]:
    """For every sample, its presentations by epoch. A sample with a NaN or infinite logit is left out."""
    out: list[dict[int, list[Look]]] = [{} for _ in range(num_samples)]
    for epoch, index, logits, targets in steps:
        rows = torch.as_tensor(logits).double().tolist()
        for i, z, given in zip(torch.as_tensor(index).tolist(), rows, torch.as_tensor(targets).tolist(), strict=True):
            if all(math.isfinite(v) for v in z):
                out[i].setdefault(epoch, []).append(Look(z, given))
    return out


def slow_scores(num_samples: int, num_classes: int, steps: Iterable[Step]) -> dict[str, list[float]]:
    """Every core score of every sample, NaN where it was never seen; and ``n_seen``."""
    samples = looks_by_sample(num_samples, steps)
    rows = [slow_sample([epochs[e] for e in sorted(epochs)], num_classes) for epochs in samples]
    names = next(row.keys() for row in rows if row)
    out = {name: [float(row[name]) if row else NAN for row in rows] for name in names}
    out["n_seen"] = [float(sum(map(len, epochs.values()))) for epochs in samples]
    return out


def check_scores(scores: dict[str, Tensor], n_seen: Tensor, expected: dict[str, list[float]]) -> None:
    """Assert that fast scores are the slow ones: counts, times and classes exactly, measurements to float32."""
    assert n_seen.tolist() == expected["n_seen"]
    exact = {"given", "wrong_events", "correctness", "forgetting_events", "never_learned", "first_learned"}
    exact |= {"learned_for_good", "suggested"}
    checked = scores.keys() & expected.keys()
    assert "aum" in checked
    tie = torch.tensor(expected["suggestion_lead"]) < 1e-5
    for name in checked:
        want = torch.tensor(expected[name], dtype=torch.float64)
        if name == "suggested":  # rounding may decide a tie either way
            want = want.where(~tie, scores[name].double().cpu())
        # A spread is a root of a difference: of an epoch's repeats float32 leaves about 3e-4.
        atol = 0.0 if name in exact else 4e-4 if name == "variability" else 2e-5
        close = {"rtol": 0.0 if name in exact else 2e-5, "atol": atol}
        torch.testing.assert_close(
            scores[name].double().cpu(), want, equal_nan=True, msg=lambda m, n=name: f"{n}: {m}", **close
        )
