"""Selection by disagreement: two networks that agree on a sample have nothing to teach each other about it."""

from __future__ import annotations

import torch
from torch import Tensor

from noisylearn._checks import check_probability


def disagreement(logits: Tensor) -> Tensor:
    """Return the mask of the samples whose two predictions differ (Decoupling).

    Source: Malach & Shalev-Shwartz, "Decoupling 'when to update' from 'how to update'", NeurIPS 2017. Ties of a row go
    to the first class, as `torch.argmax` has it.

    Args:
        logits: ``(2, B, C)``, raw outputs of the two networks.

    Returns:
        ``(B,)`` bool.

    Raises:
        ValueError: The shape is another.

    Example:
        >>> disagreement(torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[3.0, 0.0], [0.0, 0.5]]]))
        tensor([False,  True])
    """
    if logits.ndim != 3 or len(logits) != 2:
        raise ValueError(f"`logits` must be (2, B, C), got {tuple(logits.shape)}: stack the outputs of two networks")
    first, second = logits.detach().argmax(dim=-1).unbind()
    return first.ne(second)


def small_loss_among(losses: Tensor, among: Tensor, keep_rate: float) -> Tensor:
    """Return the mask of the ``int(keep_rate * n)`` samples of smallest loss among the ``n`` of ``among``.

    `small_loss` as Co-teaching+ has it, with `disagreement`. Where that number is 0 all of ``among`` are kept; where
    ``among`` is empty, so is the mask. Ties go to the sample that stands first; a loss that is not finite is not kept.
    Stays on the device; nothing waits.

    Source: Yu et al., "How does Disagreement Help Generalization against Label Corruption?", ICML 2019.

    Args:
        losses: ``(..., B)`` floating point, one loss per sample; leading dimensions (networks) select separately.
        among: ``(B,)`` bool, the samples to choose from.
        keep_rate: Share of them to keep, in ``[0, 1]``.

    Returns:
        ``(..., B)`` bool, true where the sample is kept.

    Raises:
        TypeError: ``losses`` is not floating point, ``among`` not bool, or ``keep_rate`` not a number.
        ValueError: The shapes do not fit, or ``keep_rate`` is outside ``[0, 1]``.

    Example:
        >>> losses = torch.tensor([0.3, 2.0, 0.1, 0.7])
        >>> small_loss_among(losses, torch.tensor([True, True, False, False]), keep_rate=0.5)
        tensor([ True, False, False, False])
    """
    if not losses.is_floating_point():
        raise TypeError(f"`losses` must be floating point, got {losses.dtype}: pass unreduced per-sample losses")
    if among.dtype != torch.bool:
        raise TypeError(f"`among` must be bool, got {among.dtype}: pass the mask of `disagreement`")
    if among.shape != losses.shape[-1:]:
        found = f"got {tuple(among.shape)} for losses of shape {tuple(losses.shape)}"
        raise ValueError(f"`among` must be (B,), {found}: pass one value per sample")
    keep_rate = check_probability("keep_rate", keep_rate, "pass the share of samples to keep, e.g. 0.6")
    count = among.sum()
    keep = (keep_rate * count.double()).long()  # float64: as int(rate * n) in Python
    ranked = losses.detach().to(torch.promote_types(losses.dtype, torch.float32))
    order = ranked.masked_fill(~among, torch.inf).argsort(dim=-1, stable=True)
    chosen = torch.arange(losses.shape[-1], device=losses.device) < torch.where(keep > 0, keep, count)
    kept = torch.zeros_like(losses, dtype=torch.bool).scatter(-1, order, chosen.expand_as(order))
    return kept & among & ranked.isfinite()
