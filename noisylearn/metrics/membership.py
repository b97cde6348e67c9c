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
