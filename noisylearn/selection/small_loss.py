"""Small-loss selection: networks learn right labels first, so the samples of small loss are more often right.

Used by Co-teaching (Han et al., NeurIPS 2018) and the methods that followed it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from noisylearn._checks import check_probability


def small_loss(losses: Tensor, keep_rate: float | Tensor) -> Tensor:
    """Return the mask of the ``int(keep_rate * B)`` samples of smallest loss in each row.

    Where that number is 0 all samples are kept: a batch that teaches nothing would give a loss of 0/0. So a batch of
    one is always kept whole. Ties go to the sample that stands first. NaN losses rank after all others, infinities
    included. The ranking is made in float32 (float64 losses stay so); pass losses that were computed in float32 too,
    since a bfloat16 loss has lost its order already. Stays on the device; nothing waits.

    Args:
        losses: ``(..., B)`` floating point, one loss per sample; leading dimensions (networks) select separately.
        keep_rate: Share to keep, a float in ``[0, 1]``, or a tensor of shape ``losses.shape[:-1]`` or ``()`` whose
            values are not checked (that would make the device wait).

    Returns:
        ``(..., B)`` bool, true where the sample is kept.

    Raises:
        TypeError: ``losses`` is not floating point, or ``keep_rate`` not a number.
        ValueError: ``losses`` has no dimension, ``keep_rate`` is outside ``[0, 1]`` or its shape does not fit.

    Example:
        >>> losses = torch.tensor([0.3, 2.0, 0.1, 0.7])
        >>> small_loss(losses, keep_rate=0.5)
        tensor([ True, False,  True, False])
        >>> small_loss(losses, keep_rate=0.1)
        tensor([True, True, True, True])
    """
    if not losses.is_floating_point():
        raise TypeError(f"`losses` must be floating point, got {losses.dtype}: pass unreduced per-sample losses")
    if losses.ndim == 0:
        raise ValueError("`losses` must be (..., B), got a scalar: pass unreduced per-sample losses")
    batch = losses.shape[-1]
    ranked = losses.detach().to(torch.promote_types(losses.dtype, torch.float32))
    order = ranked.argsort(dim=-1, stable=True)  # puts NaN last
    places = torch.arange(batch, device=losses.device)
    if isinstance(keep_rate, Tensor):
        _check_rate_shape(losses, keep_rate)
        keep = (keep_rate.detach().double() * batch).long()  # float64: as int(rate * B) in Python
        chosen = places < torch.where(keep <= 0, batch, keep).unsqueeze(-1)
    else:
        keep_rate = check_probability("keep_rate", keep_rate, "pass the share of samples to keep, e.g. 0.6")
        chosen = places < (int(keep_rate * batch) or batch)
    return torch.zeros_like(losses, dtype=torch.bool).scatter(-1, order, chosen.expand_as(order))


def _check_rate_shape(losses: Tensor, keep_rate: Tensor) -> None:
    if keep_rate.ndim and keep_rate.shape != losses.shape[:-1]:
        found = f"got {tuple(keep_rate.shape)} for losses of shape {tuple(losses.shape)}"
        rule = f"`keep_rate` must be a scalar or have shape {tuple(losses.shape[:-1])}"
        raise ValueError(f"{rule}, {found}: pass one rate per row")
