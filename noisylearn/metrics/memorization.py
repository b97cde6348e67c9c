"""What a network predicts on wrong labels: the truth, the wrong label, or something else.

The picture of early learning against memorization (Liu et al., NeurIPS 2020, figure 1): on wrongly labelled training
samples predictions are right at first and turn into the given labels later. It needs the clean labels, of all samples
or some.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from noisylearn._checks import check_positive_int

UNKNOWN = -1
"""The clean label of a sample whose clean label is not known; such samples are not counted."""


@dataclass(frozen=True)
class MemorizedFraction:
    """Fractions of predictions; those on the wrongly labelled part sum to 1, and so do those on the rest.

    A part without samples has fractions of NaN.

    Attributes:
        memorized: On wrong labels: the prediction is the given, wrong label.
        correct_on_wrong: On wrong labels: the prediction is the clean label.
        other_on_wrong: On wrong labels: the prediction is a third class.
        correct_on_right: On right labels: the prediction is the label.
        incorrect_on_right: On right labels: it is not.
        num_wrong: Number of samples with a wrong label.
        num_right: Number of samples with a right label.
        chance: What a uniform guess gives for ``memorized`` and for ``correct_on_wrong``, ``1 / num_classes``; NaN if
            the number of classes was not given. A third class has ``1 - 2 * chance``. Under asymmetric noise a
            network that cannot tell two classes apart moves both fractions too, without any memorization.
    """

    memorized: float
    correct_on_wrong: float
    other_on_wrong: float
    correct_on_right: float
    incorrect_on_right: float
    num_wrong: int
    num_right: int
    chance: float = math.nan


def memorization_counts(predictions: Tensor, given: Tensor, clean: Tensor) -> Tensor:
    """Return how many predictions fall in each of the five cases; the device does not wait.

    Args:
        predictions: ``(B,)`` integer predicted classes.
        given: ``(B,)`` integer given labels.
        clean: ``(B,)`` integer clean labels, -1 where unknown.

    Returns:
        ``(5,)`` int64: memorized, correct, other (on wrong labels), correct, incorrect (on right labels).

    Raises:
        TypeError: A tensor does not hold integers.
        ValueError: The shapes differ or are not 1-D.

    Example:
        >>> given, clean = torch.tensor([1, 1, 1, 0, 0]), torch.tensor([0, 0, 0, 0, -1])
        >>> memorization_counts(torch.tensor([1, 0, 2, 0, 0]), given, clean)
        tensor([1, 1, 1, 1, 0])
    """
    for name, tensor in (("predictions", predictions), ("given", given), ("clean", clean)):
        if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
            way_out = "pass class ids, e.g. logits.argmax(-1)"
            raise TypeError(f"`{name}` must be integers, got {tensor.dtype}: {way_out}")
        if tensor.ndim != 1 or tensor.shape != predictions.shape:
            rule = "`predictions`, `given` and `clean` must all be (B,)"
            found = ", ".join(str(tuple(t.shape)) for t in (predictions, given, clean))
            raise ValueError(f"{rule}, got {found}: pass one class id per sample")
    known = clean != UNKNOWN
    wrong, right = known & (given != clean), known & (given == clean)
    memorized, correct = predictions == given, predictions == clean
    cases = [
        wrong & memorized,
        wrong & correct,
        wrong & ~memorized & ~correct,
        right & correct,
        right & ~correct,
    ]
    return torch.stack(cases).sum(dim=1)


def fractions_from_counts(counts: Tensor, num_classes: int | None = None) -> MemorizedFraction:
    """Return the fractions of the counts that `memorization_counts` gives, added up over batches or not.

    Args:
        counts: ``(5,)`` integers.
        num_classes: Number of classes, for the chance level.

    Raises:
        TypeError: ``num_classes`` is not an integer.
        ValueError: ``num_classes`` is below 1.

    Example:
        >>> found = fractions_from_counts(torch.tensor([1, 1, 2, 9, 1]), num_classes=10)
        >>> found.memorized, found.correct_on_right, found.chance
        (0.25, 0.9, 0.1)
    """
    memorized, correct, other, right, incorrect = counts.tolist()
    num_wrong, num_right = memorized + correct + other, right + incorrect
    chance = math.nan if num_classes is None else 1 / check_positive_int("num_classes", num_classes)
    return MemorizedFraction(
        memorized=_ratio(memorized, num_wrong),
        correct_on_wrong=_ratio(correct, num_wrong),
        other_on_wrong=_ratio(other, num_wrong),
        correct_on_right=_ratio(right, num_right),
        incorrect_on_right=_ratio(incorrect, num_right),
        num_wrong=num_wrong,
        num_right=num_right,
        chance=chance,
    )


def memorized_fraction(predictions: Any, given: Any, clean: Any, num_classes: int | None = None) -> MemorizedFraction:
    """Return what share of wrong labels is memorized, predicted rightly or neither; and of right ones learned.

    Args:
        predictions: ``(N,)`` integer predicted classes: a tensor, an array or a list.
        given: ``(N,)`` integer given labels.
        clean: ``(N,)`` integer clean labels, -1 where unknown: those samples are not counted.
        num_classes: Number of classes, for the chance level.

    Raises:
        TypeError: An argument does not hold integers.
        ValueError: The shapes differ or are not 1-D.

    Example:
        >>> found = memorized_fraction([1, 0, 2, 0], given=[1, 1, 1, 0], clean=[0, 0, 0, 0], num_classes=3)
        >>> round(found.memorized, 3), round(found.correct_on_wrong, 3), found.correct_on_right
        (0.333, 0.333, 1.0)
    """
    tensors = (torch.as_tensor(predictions), torch.as_tensor(given), torch.as_tensor(clean))
    return fractions_from_counts(memorization_counts(*tensors), num_classes)


class MemorizationMetric(Metric):
    """`memorized_fraction` over batches, on one or several processes: five counters that add up.

    ``compute`` returns a dict of scalar tensors: ``memorized``, ``correct_on_wrong``, ``other_on_wrong``,
    ``correct_on_right``, ``incorrect_on_right``; NaN for a part without samples.

    Args:
        **kwargs: Arguments of `torchmetrics.Metric`.

    Example:
        >>> metric = MemorizationMetric()
        >>> metric.update(torch.tensor([1, 0]), given=torch.tensor([1, 1]), clean=torch.tensor([0, 0]))
        >>> metric.compute()["memorized"]
        tensor(0.5000)
    """

    full_state_update = False
    is_differentiable = False
    counts: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("counts", default=torch.zeros(5, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, given: Tensor, clean: Tensor) -> None:
        """Add ``(B,)`` integer predictions, given labels and clean labels (-1 where unknown).

        Raises:
            TypeError: A tensor does not hold integers.
            ValueError: The shapes differ or are not 1-D.
        """
        self.counts += memorization_counts(predictions, given, clean)

    def compute(self) -> dict[str, Tensor]:
        """Return the fractions over everything added since the last ``reset``."""
        wrong, right = self.counts[:3].sum(), self.counts[3:].sum()
        names = ("memorized", "correct_on_wrong", "other_on_wrong")
        shares = {name: self.counts[i] / wrong for i, name in enumerate(names)}
        return shares | {
            "correct_on_right": self.counts[3] / right,
            "incorrect_on_right": self.counts[4] / right,
        }


def _ratio(count: int, total: int) -> float:
    return count / total if total else math.nan
