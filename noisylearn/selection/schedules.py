"""How much of a batch to keep, or how much a term weighs, at which epoch."""

from __future__ import annotations

from math import exp
from numbers import Integral, Real

from noisylearn._checks import check_non_negative, check_positive_int, check_probability


def linear_keep_rate(epoch: int, forget_rate: float, warmup: int = 10, exponent: float = 1.0) -> float:
    """Return ``1 - R(epoch)``, the share of each batch to keep (Co-teaching; Han et al., NeurIPS 2018).

    ``R`` rises in equal steps from 0 at epoch 0 to ``forget_rate ** exponent`` at epoch ``warmup - 1`` and is
    ``forget_rate`` from epoch ``warmup`` on, as in the authors' code. With ``exponent`` other than 1 it therefore
    jumps at ``warmup``. Their loop trains from epoch 1, so that it never uses ``R(0)``; ours begins at 0.

    Args:
        epoch: The epoch, from 0.
        forget_rate: Share dropped after the warm-up, in ``[0, 1]``; usually the noise rate.
        warmup: Number of epochs of the rise, at least 1 (1: keep all in epoch 0, then drop at once).
        exponent: The authors' ``c``, above 0.

    Returns:
        The share to keep, in ``[0, 1]``.

    Raises:
        TypeError: An argument is not a number of the right kind.
        ValueError: An argument is out of range.

    Example:
        >>> [linear_keep_rate(e, forget_rate=0.5, warmup=3) for e in range(5)]
        [1.0, 0.75, 0.5, 0.5, 0.5]
    """
    if isinstance(epoch, bool) or not isinstance(epoch, Integral):
        raise TypeError(f"`epoch` must be an integer, got {epoch!r} ({type(epoch).__name__}): count from 0")
    if epoch < 0:
        raise ValueError(f"`epoch` must be at least 0, got {epoch}: count from 0")
    if isinstance(exponent, bool) or not isinstance(exponent, Real):
        raise TypeError(f"`exponent` must be a number above 0, got {exponent!r}: pass 1.0 for a straight rise")
    if not exponent > 0:
        raise ValueError(f"`exponent` must be above 0, got {exponent}: pass 1.0 for a straight rise")
    forget_rate = check_probability("forget_rate", forget_rate, "pass the share to drop, e.g. 0.4")
    warmup = check_positive_int("warmup", warmup, "pass the number of epochs of the rise, e.g. 10")
    if epoch >= warmup:
        return 1.0 - forget_rate
    end = forget_rate**exponent
    # In `numpy.linspace`'s order of operations: one sample more or less is kept where the last bit differs.
    return 1.0 - (end if epoch == warmup - 1 > 0 else epoch * (end / max(warmup - 1, 1)))


def linear_ramp(epoch: float, start: float, length: float) -> float:
    """Return the share of its full weight that a term has: 0 until ``start``, 1 from ``start + length`` on.

    Source: MixMatch (Berthelot et al., NeurIPS 2019), as DivideMix has it for its unlabelled loss.

    Args:
        epoch: The epoch, from 0, with the part of it that is over.
        start: Where the rise begins.
        length: Its epochs; 0 is a step.

    Returns:
        The share, in ``[0, 1]``.

    Raises:
        ValueError: ``length`` is negative or not finite.

    Example:
        >>> [linear_ramp(epoch, start=10, length=16) for epoch in (9.5, 10, 14, 30)]
        [0.0, 0.0, 0.25, 1.0]
    """
    if check_non_negative("length", length, "pass the epochs of the rise, e.g. 16") == 0:
        return float(epoch >= start)
    return min(max((epoch - start) / length, 0.0), 1.0)


def sigmoid_ramp(step: float, length: float) -> float:
    """Return ``exp(-5 (1 - step / length)^2)``, the share of its full weight that a term has: 1 from ``length`` on.

    Source: Laine & Aila, "Temporal Ensembling for Semi-Supervised Learning", ICLR 2017, as ELR+ has it for its
    regularizer and its moving averages.

    Args:
        step: The step or epoch, from 0.
        length: Where the full weight is reached; 0 is full weight throughout.

    Returns:
        The share, in ``[exp(-5), 1]``.

    Raises:
        ValueError: ``length`` is negative or not finite.

    Example:
        >>> [round(sigmoid_ramp(step, length=40_000), 4) for step in (0, 20_000, 40_000, 90_000)]
        [0.0067, 0.2865, 1.0, 1.0]
    """
    if check_non_negative("length", length, "pass the steps of the rise, e.g. 40000") == 0:
        return 1.0
    return exp(-5 * (1 - min(max(step / length, 0.0), 1.0)) ** 2)
