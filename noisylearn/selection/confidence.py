"""Confident samples: those whose prediction is their label."""

from __future__ import annotations

import torch
from torch import Tensor

from noisylearn._checks import check_positive_int


def confident_weights(predictions: Tensor, targets: Tensor, num_classes: int) -> Tensor:
    """Return a weight for each sample: 0 where its prediction is not its label, else what evens out the classes.

    With ``n_c`` confident samples in class ``c``, each of them weighs ``mean(n) / n_c``, the mean taken over the
    classes that have any: 1 on average over all of them, and as much in sum for every such class. Stays on the device;
    nothing waits.

    Source: Bai et al., "Understanding and Improving Early Stopping for Learning with Noisy Labels", NeurIPS 2021 (PES),
    as in the authors' code.

    Args:
        predictions: ``(N,)`` integers in ``[0, C)``, the classes predicted.
        targets: ``(N,)`` integers in ``[0, C)``, the given labels.
        num_classes: The number of classes ``C``.

    Returns:
        ``(N,)`` float32, all 0 where no sample is confident.

    Raises:
        TypeError: A tensor does not hold integers.
        ValueError: The shapes differ, or ``num_classes`` is below 1.

    Example:
        >>> confident_weights(torch.tensor([0, 0, 0, 1, 2]), torch.tensor([0, 0, 0, 1, 1]), num_classes=3)
        tensor([0.6667, 0.6667, 0.6667, 2.0000, 0.0000])
    """
    for name, values in (("predictions", predictions), ("targets", targets)):
        if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
            raise TypeError(f"`{name}` must be integer class ids, got {values.dtype}: pass the argmax, or labels")
    if predictions.ndim != 1 or predictions.shape != targets.shape:
        found = f"got {tuple(predictions.shape)} and {tuple(targets.shape)}"
        raise ValueError(f"`predictions` and `targets` must both be (N,), {found}: pass one of each per sample")
    check_positive_int("num_classes", num_classes)
    kept, classes = predictions.eq(targets), targets.long()
    # Not `bincount`: its result's length is a value, for which a GPU would wait.
    counts = classes.new_zeros(num_classes).index_add(0, classes, kept.long())
    mean = counts.sum() / counts.gt(0).sum().clamp(min=1)
    return kept * (mean / counts.clamp(min=1))[classes]
