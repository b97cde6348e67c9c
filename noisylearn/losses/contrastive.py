"""Contrastive learning of two views (SimCLR, Chen et al., ICML 2020), which reads no label."""

from __future__ import annotations

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from noisylearn.losses._arguments import check_positive
from noisylearn.losses._inputs import at_least_float32


def contrastive(first: Tensor, second: Tensor, temperature: float = 0.05) -> Tensor:
    """Return how hard it is to tell a sample's other view from all other views in the batch, one value per sample.

    With the rows scaled to length 1, and for each of the ``2 B`` views ``a`` with its partner ``a'``:
    ``-log exp(<a, a'> / T) / sum_{b != a} exp(<a, b> / T)``; a sample's value is the mean of its two views'.

    Source: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020 (NT-Xent);
    the temperature is UNICON's (SimCLR's is 0.5). Computed in float32 also under autocast.

    Args:
        first: ``(B, D)`` floating point, embeddings of one view of each sample.
        second: ``(B, D)`` floating point, embeddings of another view of the same samples.
        temperature: ``T``, above 0.

    Returns:
        ``(B,)`` losses in nats, at least 0, float32, or float64 where an argument is float64; 0 for a single sample.

    Raises:
        TypeError: An argument is not floating point.
        ValueError: The shapes differ, or the temperature is not above 0.

    Example:
        >>> views = torch.eye(3)
        >>> contrastive(views, views, temperature=0.5), contrastive(views, views.roll(1, 0), temperature=0.5)
        (tensor([0.4327, 0.4327, 0.4327]), tensor([2.4327, 2.4327, 2.4327]))
    """
    check_positive("temperature", temperature, "pass e.g. 0.05, or SimCLR's 0.5")
    if not first.is_floating_point() or not second.is_floating_point():
        raise TypeError(f"`first` and `second` must be floating point, got {first.dtype} and {second.dtype}")
    if first.ndim != 2 or first.shape != second.shape:
        found = f"got {tuple(first.shape)} and {tuple(second.shape)}"
        raise ValueError(f"`first` and `second` must be (B, D), {found}: pass two views' embeddings of one batch")
    views = F.normalize(torch.cat([at_least_float32(first), at_least_float32(second)]), dim=1)
    autocast = torch.amp.is_autocast_available(views.device.type)
    with torch.autocast(views.device.type, enabled=False) if autocast else nullcontext():
        likeness = views @ views.T / temperature
    partners = likeness.diagonal(len(first)).repeat(2)
    itself = torch.eye(len(views), dtype=torch.bool, device=views.device)
    losses = likeness.masked_fill(itself, -torch.inf).logsumexp(dim=1) - partners
    return losses.view(2, -1).mean(dim=0)
