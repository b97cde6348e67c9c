"""Which given labels confident learning takes to be wrong."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from noisylearn._checks import check_choice, check_labels

FilterBy: TypeAlias = Literal["prune_by_noise_rate", "confident_learning"]
SLACK = 1e-6
"""How close two probabilities count as equal, as in cleanlab."""


def class_thresholds(probs: Tensor, targets: Tensor) -> Tensor:
    """Return each class's mean probability over the samples that carry it as given label.

    A sample counts as confidently of a class where its probability reaches this.

    Args:
        probs: ``(N, C)`` probabilities, C at least 2.
        targets: ``(N,)`` given labels in ``[0, C)``.

    Returns:
        ``(C,)`` float64, at least 2e-6; infinite for a class that no sample carries.

    Raises:
        TypeError: ``probs`` is not floating point, or ``targets`` are not integers.
        ValueError: A shape does not fit, or a label is out of range.

    Source: Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021.

    Example:
        >>> probs = torch.tensor([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]])
        >>> [round(t, 3) for t in class_thresholds(probs, torch.tensor([0, 0, 1])).tolist()]
        [0.8, 0.8]
    """
    probs, targets = _checked(probs, targets)
    own = probs.gather(1, targets[:, None])[:, 0].double()
    total = own.new_zeros(probs.shape[1]).index_add_(0, targets, own)
    count = targets.bincount(minlength=probs.shape[1])
    return (total / count).clamp(min=2 * SLACK).where(count > 0, torch.inf)


def label_issues(probs: Tensor, targets: Tensor, filter_by: FilterBy = "prune_by_noise_rate") -> Tensor:
    """Return the mask of the samples whose given label is probably wrong, equal to cleanlab's ``find_label_issues``.

    Samples that are confidently of another class than given are counted for every pair of classes; the counts are
    scaled to the number of samples with each given label.

    - ``"prune_by_noise_rate"``: for each pair, as many of the samples given ``k`` as were counted to be ``j``: those of
      largest ``p_j - p_k``. Of equal ones at the border, the first (cleanlab leaves that to its sort).
    - ``"confident_learning"``: the samples that were counted.

    In both, samples predicted as given are left out. The mask is cleanlab's for the same probabilities in float64:
    float32 probabilities are compared exactly, where cleanlab rounds their mean and their differences.

    Args:
        probs: ``(N, C)`` probabilities, C at least 2, of networks that did not learn from the sample's label: a network
            that has memorized it hides the error.
        targets: ``(N,)`` given labels in ``[0, C)``.
        filter_by: What to return.

    Returns:
        ``(N,)`` bool.

    Raises:
        TypeError: ``probs`` is not floating point, or ``targets`` are not integers.
        ValueError: A shape does not fit, a label is out of range, or ``filter_by`` is unknown.

    Source: Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021. As in
    cleanlab, a sample that reaches several thresholds counts for its most probable class of all; in the paper, for the
    most probable among these.

    Example:
        >>> probs = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.2, 0.8]])
        >>> label_issues(probs, torch.tensor([0, 0, 0, 1, 1]))
        tensor([False, False,  True, False, False])
    """
    check_choice("filter_by", filter_by, ("prune_by_noise_rate", "confident_learning"))
    probs, targets = _checked(probs, targets)
    top, predicted = probs.max(1)
    confident = _confident_class(probs, predicted, class_thresholds(probs, targets))
    if filter_by == "confident_learning":
        issues = (confident >= 0) & (confident != targets)
    else:
        issues = _prune(probs, targets, _joint_counts(confident, targets, probs.shape[1]))
    own = probs.gather(1, targets[:, None])[:, 0].double() + SLACK
    as_given = (own > top) | ((own == top) & (targets < predicted))
    return issues & ~as_given


def _checked(probs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    if not probs.is_floating_point():
        raise TypeError(f"`probs` must be floating point, got {probs.dtype}: pass a softmax of the logits")
    if probs.ndim != 2 or targets.shape != probs.shape[:1]:
        found = f"{tuple(probs.shape)} and {tuple(targets.shape)}"
        raise ValueError(f"`probs` must be (N, C) and `targets` (N,), got {found}: pass one row and label per sample")
    check_labels("targets", targets.detach().cpu(), probs.shape[1])
    return probs.detach().to(torch.promote_types(probs.dtype, torch.float32)), targets.to(probs.device, torch.int64)


def _confident_class(probs: Tensor, predicted: Tensor, thresholds: Tensor) -> Tensor:
    """``(N,)``: the class that a sample is counted for, -1 where it reaches no threshold."""
    bound = thresholds - SLACK
    rounded = bound.to(probs.dtype)
    # Up to the next number where that rounded down: then comparing is exact, without a float64 copy of `probs`.
    rounded = rounded.where(rounded >= bound, rounded.nextafter(torch.full_like(rounded, torch.inf)))
    reached = (probs >= rounded).to(torch.uint8)
    number = reached.sum(1, dtype=torch.int32)  # to int64, the default, it takes many times as long
    return torch.where(number > 1, predicted, reached.argmax(1)).where(number > 0, -1)


def _joint_counts(confident: Tensor, targets: Tensor, num_classes: int) -> npt.NDArray[np.int64]:
    """``(C, C)``: how many samples of each given label (rows) are to be taken for each class.

    Equal fractions are told apart by `numpy.argsort` as they stand, in cleanlab as here: so the order of operations,
    and the memory order of the sum, are part of the result.
    """
    pair = (confident * num_classes + targets)[confident >= 0]
    counts = pair.bincount(minlength=num_classes**2).reshape(num_classes, num_classes).cpu().numpy()
    np.fill_diagonal(counts, counts.diagonal().clip(min=1))
    scaled: npt.NDArray[Any] = counts / counts.sum(0) * np.bincount(targets.cpu().numpy(), minlength=num_classes)
    exact = np.ascontiguousarray((scaled / scaled.sum() * len(targets)).T)
    rounded = exact.round()
    # Rows keep their sum: what rounding took is given to the largest remainders, what it added is taken back.
    missing = (exact.sum(1).round() - rounded.sum(1))[:, None]
    place = np.arange(num_classes)
    step = (place >= num_classes - missing).astype(float) - (place < -missing)
    change = np.empty_like(step)
    np.put_along_axis(change, np.argsort(exact - rounded, axis=1), step, axis=1)
    joint: npt.NDArray[np.int64] = (rounded + change).astype(np.int64)
    # One sample of each class stays: its place is spread over the other counts, which rounds each of them down by one.
    return np.maximum(joint - (joint.diagonal() < 1)[:, None], 0)


def _prune(probs: Tensor, targets: Tensor, joint: npt.NDArray[np.int64]) -> Tensor:
    """For each pair of classes, the samples of largest margin, as many as ``joint`` says."""
    issues = torch.zeros_like(targets, dtype=torch.bool)
    np.fill_diagonal(joint, 0)
    sizes = targets.bincount(minlength=len(joint)).tolist()
    for k, rows in enumerate(torch.split(targets.argsort(stable=True), sizes)):
        others = joint[k].nonzero()[0]
        if not len(others):
            continue
        count = torch.from_numpy(joint[k, others]).to(probs.device)[:, None]
        block = probs[rows].double().T
        margin = block[torch.from_numpy(others).to(probs.device)] - block[k]
        border = margin.topk(int(joint[k].max()), dim=1).values.gather(1, count - 1)
        above, equal = margin > border, margin == border
        left = count - above.sum(1, keepdim=True, dtype=torch.int32)
        taken = above | (equal & (equal.cumsum(1, dtype=torch.int32) <= left))
        issues[rows] = taken.any(0)
    return issues
