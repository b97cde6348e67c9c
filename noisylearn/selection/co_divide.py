"""DivideMix's division of the training set into samples whose label is kept and samples whose label is not."""

from __future__ import annotations

import torch
from torch import Tensor

from noisylearn._checks import check_probability
from noisylearn.selection.gmm import fit_gmm


def min_max_normalized(losses: Tensor) -> Tensor:
    """Return each column of the losses on the scale 0..1, NaN where they are NaN; 0 where a column has one value.

    Args:
        losses: ``(N, K)`` floating point, finite or NaN.

    Example:
        >>> min_max_normalized(torch.tensor([[1.0], [torch.nan], [3.0]])).flatten()
        tensor([0., nan, 1.])
    """
    known = ~losses.isnan()
    low = torch.where(known, losses, torch.inf).amin(dim=0)
    high = torch.where(known, losses, -torch.inf).amax(dim=0)
    return (losses - low) / torch.where(high > low, high - low, 1.0)


def clean_probability(losses: Tensor) -> Tensor:
    """Return the probability that each label is right: that of the lower of two Gaussians on the losses.

    `fit_gmm` as DivideMix's code calls it, which does not wait for the fit to converge. Where the losses do not fall
    into two groups nothing tells the labels apart, and all of them count as right.

    Source: Li et al., "DivideMix: Learning with Noisy Labels as Semi-supervised Learning", ICLR 2020.

    Args:
        losses: ``(N,)`` floating point, of one pass in evaluation mode; NaN where a sample has none.

    Returns:
        ``(N,)`` in ``[0, 1]``, NaN where the loss is.

    Raises:
        TypeError: ``losses`` is not floating point.
        ValueError: ``losses`` is not 1-D.

    Example:
        >>> clean_probability(torch.tensor([0.1, 0.2, 0.1, 0.3, 2.0, 2.5, torch.nan])).round()
        tensor([1., 1., 1., 1., 0., 0., nan])
    """
    fit = fit_gmm(losses, clip=0.0, tol=1e-2, max_iter=10)
    if not fit.split:
        return torch.where(losses.isnan(), torch.nan, 1.0)
    return fit.posterior(losses)


def labelled(clean: Tensor, threshold: float = 0.5, at_least: float = 0.1) -> Tensor:
    """Return the mask of the samples whose label is kept: those that are right with more than ``threshold``.

    Where there is none, the share ``at_least`` of the samples that are the likeliest to be right, so that there is
    something to learn from (the reference code fails there).

    Args:
        clean: ``(N,)`` floating point, the probability that each label is right; NaN passes no threshold.
        threshold: The authors' is 0.5, and 0.6 with 90 % noise.
        at_least: The share to keep where none passes; one sample at least.

    Returns:
        ``(N,)`` bool.

    Raises:
        ValueError: A number is outside ``[0, 1]``.

    Example:
        >>> labelled(torch.tensor([0.9, 0.4, 0.6])), labelled(torch.tensor([0.1, 0.3, 0.2]))
        (tensor([ True, False,  True]), tensor([False,  True, False]))
    """
    check_probability("threshold", threshold, "pass e.g. 0.5")
    check_probability("at_least", at_least, "pass the share to keep where none passes, e.g. 0.1")
    kept = clean > threshold
    if bool(kept.any()):
        return kept
    likeliest = clean.nan_to_num(-1.0).argsort(descending=True, stable=True)[: max(1, int(at_least * len(clean)))]
    return kept.index_fill(0, likeliest, True)
