"""Loss attack: can the training samples be told from others by their loss?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from noisylearn._checks import check_positive_int


@dataclass(frozen=True)
class LossAttack:
    """How well "its loss is low, so it was trained on" finds the members. All figures rise with memorization.

    Attributes:
        auc: Chance that a member has a lower loss than a non-member, ties counting half; 0.5 tells nothing.
        tpr_at_1_percent_fpr: Largest share of members found while at most 1 % of the non-members are taken for one.
        tpr_at_01_percent_fpr: The same at 0.1 %.
        tnr_at_1_percent_fnr: Largest share of non-members ruled out while at most 1 % of the members are.
        tnr_at_01_percent_fnr: The same at 0.1 %.
        num_members: Number of members with a loss.
        num_nonmembers: Number of non-members with a loss.
        num_missing: Number of samples left out because their loss is NaN.
    """

    auc: float
    tpr_at_1_percent_fpr: float
    tpr_at_01_percent_fpr: float
    tnr_at_1_percent_fnr: float
    tnr_at_01_percent_fnr: float
    num_members: int
    num_nonmembers: int
    num_missing: int


def loss_attack(member_losses: Any, nonmember_losses: Any, min_errors: int = 10) -> LossAttack:
    """Return how well a threshold on the loss tells members of the training set from held-out samples.

    The rates are those of one threshold, not interpolated between two; samples of equal loss fall on one side.

    A rate that allows few errors depends on few samples. Where fewer than ``min_errors`` are allowed the figure is
    NaN: with 10, a false positive rate of 1 % needs 1,000 non-members and one of 0.1 % needs 10,000; false negative
    rates need as many members. Where there are no members, or no non-members, all figures are NaN.

    Args:
        member_losses: ``(M,)`` numbers, one per training sample: a tensor, an array or a list. Their plain losses
            against the labels they were trained on, in eval mode and without augmentation, as those of the others.
        nonmember_losses: ``(N,)`` numbers, one per held-out sample; NaN are left out of both and counted.
        min_errors: Fewest errors that a rate must allow; 1 gives a figure for every rate that allows one at all.

    Raises:
        TypeError: Losses are not real numbers, or ``min_errors`` is not an integer.
        ValueError: They are not 1-D, or ``min_errors`` is below 1.

    Source: Yeom et al., "Privacy Risk in Machine Learning", CSF 2018; low false positive rates: Carlini et al.,
    "Membership Inference Attacks From First Principles", S&P 2022; true negatives at low false negative rates as a
    sign of risk: arXiv 2510.19773, 2025.

    Example:
        >>> found = loss_attack(torch.arange(1000.0), torch.arange(1000.0) + 500)
        >>> found.auc, found.tpr_at_1_percent_fpr, found.tnr_at_1_percent_fnr, found.tpr_at_01_percent_fpr
        (0.875, 0.51, 0.51, nan)
    """
    check_positive_int("min_errors", min_errors, "1 gives a figure for every rate that allows an error at all")
    members, missing_members = _losses("member_losses", member_losses)
    others, missing_others = _losses("nonmember_losses", nonmember_losses)
    return LossAttack(
        auc=_auc(members, others.to(members.device)),
        tpr_at_1_percent_fpr=_found(members, others, 100, min_errors),
        tpr_at_01_percent_fpr=_found(members, others, 1000, min_errors),
        tnr_at_1_percent_fnr=_found(-others, -members, 100, min_errors),
        tnr_at_01_percent_fnr=_found(-others, -members, 1000, min_errors),
        num_members=len(members),
        num_nonmembers=len(others),
        num_missing=missing_members + missing_others,
    )


def loss_attack_curve(
    member_losses: Any, nonmember_losses: Any, min_errors: int = 10, per_decade: int = 10
) -> tuple[Tensor, Tensor]:
    """Return the attack's ROC curve at false positive rates that are evenly spaced on a logarithmic scale.

    For a plot with two logarithmic axes, which shows the low rates that an area under the curve hides. The rates go
    from 1 down to the lowest that still allows ``min_errors`` errors; each point is what `loss_attack` finds there.

    Args:
        member_losses: As in `loss_attack`.
        nonmember_losses: As in `loss_attack`.
        min_errors: Fewest errors that a rate must allow.
        per_decade: Rates in each power of ten, at most.

    Returns:
        ``(K,)`` float64 each, on the CPU: false positive rates, rising, and the shares of members found at them; none
        where there are no members, or fewer than ``min_errors`` non-members.

    Raises:
        TypeError: As in `loss_attack`.
        ValueError: As in `loss_attack`, or ``per_decade`` is below 1.

    Source: Carlini et al., "Membership Inference Attacks From First Principles", S&P 2022.

    Example:
        >>> fpr, tpr = loss_attack_curve(torch.arange(1000.0), torch.arange(1000.0) + 500, per_decade=1)
        >>> fpr.tolist(), tpr.tolist()
        ([0.01, 0.1, 1.0], [0.51, 0.6, 1.0])
    """
    check_positive_int("min_errors", min_errors, "1 gives a figure for every rate that allows an error at all")
    check_positive_int("per_decade", per_decade)
    members, others = (
        _losses(name, losses)[0].cpu().sort().values
        for name, losses in (("member_losses", member_losses), ("nonmember_losses", nonmember_losses))
    )
    size = len(others)
    steps = int(per_decade * math.log10(size / min_errors)) if size >= min_errors and len(members) else -1
    errors = sorted({int(size * 10 ** (-k / per_decade)) for k in range(steps + 1)})
    allowed = torch.tensor([e for e in errors if e >= min_errors], dtype=torch.int64)
    first_refused = others[allowed.clamp(max=size - 1)]
    found = torch.searchsorted(members, first_refused).where(allowed < size, len(members))
    return allowed.double() / max(size, 1), found.double() / max(len(members), 1)


def _losses(name: str, losses: Any) -> tuple[Tensor, int]:
    """The losses that are numbers, as float64, and how many are not."""
    # By way of NumPy, a list stays float64: torch would round it and make ties.
    losses = torch.as_tensor(losses if isinstance(losses, Tensor) else np.asarray(losses))
    if losses.is_complex() or losses.dtype == torch.bool:
        raise TypeError(f"`{name}` must be real numbers, got {losses.dtype}: pass one loss per sample")
    if losses.ndim != 1:
        raise ValueError(f"`{name}` must be 1-D, got shape {tuple(losses.shape)}: pass unreduced per-sample losses")
    measured = losses.detach().double()
    measured = measured[~measured.isnan()]
    return measured, len(losses) - len(measured)


def _auc(members: Tensor, others: Tensor) -> float:
    if not len(members) or not len(others):
        return math.nan
    ranked = others.sort().values
    not_above = torch.searchsorted(ranked, members, right=True)
    below = torch.searchsorted(ranked, members)
    twice_wins = int((2 * len(others) - not_above - below).sum())  # whole numbers: exact
    return twice_wins / (2 * len(members) * len(others))


def _found(wanted: Tensor, others: Tensor, one_in: int, min_errors: int) -> float:
    """Share of ``wanted`` under the highest threshold with at most one in ``one_in`` of the others under it."""
    allowed = len(others) // one_in
    if allowed < min_errors or not len(wanted):
        return math.nan
    first_refused = others.kthvalue(allowed + 1).values
    return int((wanted < first_refused.to(wanted.device)).sum()) / len(wanted)
