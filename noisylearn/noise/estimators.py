"""Transition matrices estimated from a network's predictions, where no clean label is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from noisylearn._checks import check_labels
from noisylearn.noise.matrices import Matrix


def anchor_transition_matrix(probs: npt.ArrayLike, percentile: float | None = 97.0) -> Matrix:
    """Return the transition matrix read off at one anchor point per class.

    The predictions are those of a network trained on the noisy labels, so they estimate ``P(given label | input)``. Row
    ``i`` is the prediction for the sample that is likeliest of class ``i`` after the outliers above a percentile are
    set aside: a sample surely of class ``i`` shows what the noise makes of that class.

    Source: Patrini et al., "Making Deep Neural Networks Robust to Label Noise: a Loss Correction Approach", CVPR 2017;
    percentile 97 on CIFAR-10, none (the maximum itself) on CIFAR-100. Departs from the code in common use (T-Revision):
    what is set aside for one class is not erased from the rows of the next, and rows are normalized, not columns.

    Args:
        probs: ``(N, C)`` floats, the predictions for the training samples.
        percentile: Entries of column ``i`` at or above this percentile (its observation of rank above, as in NumPy's
            ``method="higher"``) are no anchors of class ``i``; None takes the maximum. Where that leaves none, the
            maximum is taken.

    Returns:
        ``(C, C)`` float64, rows summing to 1.

    Raises:
        TypeError: ``probs`` is not floating point.
        ValueError: ``probs`` is not ``(N, C)``, empty, negative or not finite, or ``percentile`` is out of range.

    Example:
        >>> probs = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]]
        >>> anchor_transition_matrix(probs, percentile=None)
        array([[0.9, 0.1],
               [0.3, 0.7]])
        >>> anchor_transition_matrix(probs)
        array([[0.8, 0.2],
               [0.4, 0.6]])
    """
    array = _check_probs(probs)
    check_percentile(percentile)
    if percentile is not None:
        cut = np.percentile(array, percentile, axis=0, method="higher")
        left = np.where(array < cut, array, -1.0)
        anchors = np.where((left >= 0).any(axis=0), left.argmax(axis=0), array.argmax(axis=0))
    else:
        anchors = array.argmax(axis=0)
    rows = array[anchors]
    matrix: Matrix = rows / rows.sum(axis=1, keepdims=True)
    return matrix


def dual_t_transition_matrix(probs: npt.ArrayLike, targets: npt.ArrayLike, percentile: float | None = 97.0) -> Matrix:
    """Return the transition matrix as a product of two that are easier to estimate (dual-T).

    The predicted class stands between the right label and the given one. The first matrix, from right to predicted, is
    that of `anchor_transition_matrix`; the second, from predicted to given, is counted. It is for overconfident
    networks, whose anchors show next to no noise, so that the counts show it all. With calibrated predictions, which
    need no counts, it applies the noise twice: prefer the anchors alone.

    Source: Yao et al., "Dual T: Reducing Estimation Error for Transition Matrix in Label-noise Learning", NeurIPS 2020.
    A class that is never predicted has no counts; its label is then taken to be given as predicted (the authors' code
    has a row of zeros).

    Args:
        probs: ``(N, C)`` floats, the predictions for the training samples.
        targets: ``(N,)`` integers in ``[0, C)``, their given labels.
        percentile: As for `anchor_transition_matrix`.

    Returns:
        ``(C, C)`` float64, rows summing to 1.

    Raises:
        TypeError: ``probs`` is not floating point, or ``targets`` not integers.
        ValueError: A shape or a value does not fit.

    Example:
        >>> probs = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]]
        >>> dual_t_transition_matrix(probs, [0, 1, 1, 1], percentile=None)
        array([[0.45, 0.55],
               [0.15, 0.85]])
    """
    array = _check_probs(probs)
    num_classes = array.shape[1]
    given = check_labels("targets", targets, num_classes)
    if len(given) != len(array):
        raise ValueError(f"`targets` must have one label per row of `probs` ({len(array)}), got {len(given)}")
    cells = np.bincount(array.argmax(axis=1) * num_classes + given, minlength=num_classes**2)
    counts = cells.reshape(num_classes, num_classes)
    totals = counts.sum(axis=1, keepdims=True)
    counted = np.where(totals > 0, counts / np.maximum(totals, 1), np.eye(num_classes))
    matrix: Matrix = anchor_transition_matrix(array, percentile) @ counted
    return matrix


def check_percentile(percentile: float | None) -> float | None:
    """Return ``percentile`` if it is one, or None.

    Raises:
        ValueError: It is not between 0 and 100.

    Example:
        >>> check_percentile(97.0)
        97.0
    """
    if percentile is not None and not 0 < percentile < 100:
        raise ValueError(f"`percentile` must be in (0, 100), got {percentile}: pass 97, or None for the maximum")
    return percentile


def _check_probs(probs: npt.ArrayLike) -> Matrix:
    array = np.asarray(probs)
    if not np.issubdtype(array.dtype, np.floating):
        raise TypeError(f"`probs` must be floating point, got {array.dtype}: pass predicted probabilities")
    if array.ndim != 2 or array.size == 0 or array.shape[1] < 2:
        raise ValueError(f"`probs` must be (N, C), got shape {array.shape}: pass one row of probabilities per sample")
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise ValueError("`probs` must be finite and at least 0: pass probabilities, not logits")
    return array.astype(np.float64)
