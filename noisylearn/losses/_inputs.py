"""What every loss checks of its arguments, and the width it computes in."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Return ``x`` in float32, or unchanged where it is float64.

    bfloat16 holds 8 significant bits: ``1 - p`` is 0 for every ``p`` above 0.998, and losses that differ by 0.4 %
    can tie. The losses here therefore leave the reduced precision of autocast at their first line.
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))


def check_logits(logits: Tensor) -> None:
    """Refuse logits that are not a floating ``(B, C)`` tensor; reads no value, so no device waits.

    Raises:
        TypeError: They are not floating point.
        ValueError: They are not 2-D.
    """
    if not logits.is_floating_point():
        raise TypeError(f"`logits` must be floating point, got {logits.dtype}: pass the network's raw outputs")
    if logits.ndim != 2:
        raise ValueError(f"`logits` must be (B, C), got shape {tuple(logits.shape)}: flatten other dimensions")


def check_class_ids(logits: Tensor, targets: Tensor) -> None:
    """Refuse targets that are not one integer class id for each row of ``logits``.

    Raises:
        TypeError: ``targets`` holds floats, bools or complex numbers.
        ValueError: The shapes do not fit.
    """
    check_logits(logits)
    if targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool:
        way_out = "pass class ids, or soft targets to `soft_cross_entropy`"
        raise TypeError(f"`targets` must be integer class ids, got {targets.dtype}: {way_out}")
    if targets.shape != logits.shape[:1]:
        found = f"got {tuple(targets.shape)} for logits of shape {tuple(logits.shape)}"
        raise ValueError(f"`targets` must be (B,), {found}: pass one class id per row")


def check_rows(name: str, logits: Tensor, rows: Tensor) -> None:
    """Refuse ``rows`` that are not a floating tensor of the shape of ``logits``.

    Raises:
        TypeError: ``rows`` is not floating point.
        ValueError: The shapes differ.
    """
    check_logits(logits)
    if not rows.is_floating_point():
        raise TypeError(f"`{name}` must be floating point, got {rows.dtype}: pass one probability per class")
    if rows.shape != logits.shape:
        found = f"got {tuple(rows.shape)} for logits of shape {tuple(logits.shape)}"
        raise ValueError(f"`{name}` must have the shape of `logits`, {found}: pass one row per sample")
