"""How well a score per sample finds the wrong labels.

The curves are torchmetrics' own. Scores are handed to them as ranks: torchmetrics passes anything outside ``[0, 1]``
through a sigmoid, which in float32 ties all scores above about 17 and so changes the result of, say, a cumulative
loss. Ranks keep the order and the ties, and allow infinities.

Two rules hold for all figures here. A NaN score means "not measured": the sample is left out and counted. Where the
samples left are all wrong or all right there is nothing to tell apart, and the figure is NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_auroc, binary_average_precision
from torchmetrics.utilities import dim_zero_cat


@dataclass(frozen=True)
class DetectionResult:
    """What `evaluate_detection` found.

    Attributes:
        auroc: Chance that a wrong label scores as more suspicious than a right one, ties counting half.
        average_precision: Mean precision over the wrong labels, from the most suspicious down.
        precision_at_n: Share of wrong labels among the ``n`` most suspicious, ``n`` being their true number.
        num_missing: Number of samples left out because their score is NaN.
    """

    auroc: float
    average_precision: float
    precision_at_n: float
    num_missing: int


def evaluate_detection(scores: Any, is_noisy: Any, higher_is_noisier: bool = True) -> DetectionResult:
    """Return all detection figures of one score.

    Args:
        scores: ``(N,)`` numbers: a tensor, an array or a list; NaN where not measured.
        is_noisy: ``(N,)`` bool, ``given != clean``. Leave out samples whose clean label is unknown.
        higher_is_noisier: Whether a higher score means a more suspicious label.

    Raises:
        TypeError: ``is_noisy`` is not bool, ``scores`` is not real, or ``higher_is_noisier`` is not a bool.
        ValueError: The shapes differ or are not 1-D.

    Example:
        >>> evaluate_detection([0.9, 0.1, 0.4, float("nan")], [True, False, False, True])
        DetectionResult(auroc=1.0, average_precision=1.0, precision_at_n=1.0, num_missing=1)
    """
    ranks, wrong, num_missing = _suspicion(scores, is_noisy, higher_is_noisier)
    if not _both_present(wrong):
        return DetectionResult(math.nan, math.nan, math.nan, num_missing)
    return DetectionResult(
        auroc=float(binary_auroc(ranks, wrong, validate_args=False)),
        average_precision=float(binary_average_precision(ranks, wrong, validate_args=False)),
        precision_at_n=_precision_at_n(ranks, wrong),
        num_missing=num_missing,
    )


def detection_auroc(scores: Any, is_noisy: Any, higher_is_noisier: bool = True) -> float:
    """Return the chance that a wrong label scores as more suspicious than a right one, ties counting half.

    Args:
        scores: ``(N,)`` numbers; NaN are left out.
        is_noisy: ``(N,)`` bool, ``given != clean``.
        higher_is_noisier: Whether a higher score means a more suspicious label.

    Raises:
        TypeError: A dtype does not fit.
        ValueError: The shapes differ or are not 1-D.

    Example:
        >>> detection_auroc([300.0, 100.0, 200.0], [False, True, False], higher_is_noisier=False)
        1.0
    """
    ranks, wrong, _ = _suspicion(scores, is_noisy, higher_is_noisier)
    return float(binary_auroc(ranks, wrong, validate_args=False)) if _both_present(wrong) else math.nan


def detection_average_precision(scores: Any, is_noisy: Any, higher_is_noisier: bool = True) -> float:
    """Return the average precision of a score; a random score gives the share of wrong labels.

    Args:
        scores: ``(N,)`` numbers; NaN are left out.
        is_noisy: ``(N,)`` bool, ``given != clean``.
        higher_is_noisier: Whether a higher score means a more suspicious label.

    Raises:
        TypeError: A dtype does not fit.
        ValueError: The shapes differ or are not 1-D.

    Example:
        >>> round(detection_average_precision([3.0, 2.0, 1.0, 0.0], [True, False, True, False]), 4)
        0.8333
    """
    ranks, wrong, _ = _suspicion(scores, is_noisy, higher_is_noisier)
    if not _both_present(wrong):
        return math.nan
    return float(binary_average_precision(ranks, wrong, validate_args=False))


def precision_at_n(scores: Any, is_noisy: Any, higher_is_noisier: bool = True) -> float:
    """Return the share of wrong labels among the ``n`` most suspicious samples.

    ``n`` is the number of wrong labels that have a score, so that 1 can be reached. Where the ``n``-th place is tied,
    the figure is its mean over all orders of the tied samples: it does not depend on the order of the data.

    Args:
        scores: ``(N,)`` numbers; NaN are left out.
        is_noisy: ``(N,)`` bool, ``given != clean``.
        higher_is_noisier: Whether a higher score means a more suspicious label.

    Raises:
        TypeError: A dtype does not fit.
        ValueError: The shapes differ or are not 1-D.

    Example:
        >>> precision_at_n([3.0, 2.0, 1.0, 0.0], [True, False, True, False])
        0.5
    """
    ranks, wrong, _ = _suspicion(scores, is_noisy, higher_is_noisier)
    return _precision_at_n(ranks, wrong) if _both_present(wrong) else math.nan


class DetectionMetrics(Metric):
    """`evaluate_detection` over scores that arrive in parts, on one or several processes.

    ``compute`` returns a dict of scalar tensors: ``auroc``, ``average_precision``, ``precision_at_n``,
    ``num_missing``. It keeps all scores until ``reset`` (16 bytes a sample), so use it for tables, not in a step.

    Args:
        higher_is_noisier: Whether a higher score means a more suspicious label.
        **kwargs: Arguments of `torchmetrics.Metric`.

    Example:
        >>> metric = DetectionMetrics(higher_is_noisier=False)
        >>> metric.update(torch.tensor([0.9, 0.1]), torch.tensor([False, True]))
        >>> metric.update(torch.tensor([0.8]), torch.tensor([False]))
        >>> metric.compute()["auroc"]
        tensor(1.)
    """

    full_state_update = False
    is_differentiable = False
    scores: list[Tensor]
    is_noisy: list[Tensor]

    def __init__(self, higher_is_noisier: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        _check_direction(higher_is_noisier)
        self.higher_is_noisier = higher_is_noisier
        self.add_state("scores", default=[], dist_reduce_fx="cat")
        self.add_state("is_noisy", default=[], dist_reduce_fx="cat")
        # A rank without samples sends an empty tensor of this type; the gather fails unless the states have it too.
        self.set_dtype(torch.float64)

    def update(self, scores: Tensor, is_noisy: Tensor) -> None:
        """Add ``(B,)`` scores and ``(B,)`` bool ground truth.

        Raises:
            TypeError: A dtype does not fit.
            ValueError: The shapes differ or are not 1-D.
        """
        scores, is_noisy = _check_inputs(scores, is_noisy)
        self.scores.append(scores.detach().to(self.dtype))
        self.is_noisy.append(is_noisy.to(self.dtype))

    def compute(self) -> dict[str, Tensor]:
        """Return the figures over everything added since the last ``reset``."""
        is_noisy = dim_zero_cat(self.is_noisy).bool()
        found = evaluate_detection(dim_zero_cat(self.scores), is_noisy, self.higher_is_noisier)
        return {name: torch.tensor(value, device=self.device) for name, value in vars(found).items()}


def _check_direction(higher_is_noisier: Any) -> None:
    if not isinstance(higher_is_noisier, (bool, np.bool_)):
        rule = f"`higher_is_noisier` must be True or False, got {higher_is_noisier!r}"
        raise TypeError(f"{rule}: a score without a direction cannot be evaluated")


def _check_inputs(scores: Any, is_noisy: Any) -> tuple[Tensor, Tensor]:
    scores, is_noisy = torch.as_tensor(scores), torch.as_tensor(is_noisy)
    if is_noisy.dtype != torch.bool:
        raise TypeError(f"`is_noisy` must be bool, got {is_noisy.dtype}: pass `given != clean`")
    if scores.is_complex() or scores.dtype == torch.bool:
        raise TypeError(f"`scores` must be real numbers, got {scores.dtype}: pass one score per sample")
    if scores.ndim != 1 or scores.shape != is_noisy.shape:
        found = f"got {tuple(scores.shape)} and {tuple(is_noisy.shape)}"
        raise ValueError(f"`scores` and `is_noisy` must both be (N,), {found}: pass one value per sample")
    return scores, is_noisy.to(scores.device)


def _suspicion(scores: Any, is_noisy: Any, higher_is_noisier: bool) -> tuple[Tensor, Tensor, int]:
    """Return float64 ranks in [0, 1] (1: most suspicious), int64 ground truth, and how many samples are left out."""
    _check_direction(higher_is_noisier)
    scores, is_noisy = _check_inputs(scores, is_noisy)
    measured = ~torch.isnan(scores)
    num_missing = int((~measured).sum())
    distinct, ranks = torch.unique(scores[measured].detach(), sorted=True, return_inverse=True)
    top = max(len(distinct) - 1, 1)
    if not higher_is_noisier:
        ranks = top - ranks
    return ranks.double() / top, is_noisy[measured].long(), num_missing


def _both_present(wrong: Tensor) -> bool:
    return 0 < int(wrong.sum()) < len(wrong)


def _precision_at_n(ranks: Tensor, wrong: Tensor) -> float:
    n = int(wrong.sum())
    threshold = ranks.sort(descending=True).values[n - 1]
    above, tied = ranks > threshold, ranks == threshold
    free_places = n - int(above.sum())
    hits = int(wrong[above].sum()) + free_places * int(wrong[tied].sum()) / int(tied.sum())
    return hits / n
