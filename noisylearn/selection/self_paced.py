"""Self-paced selection: what is easy now is learned first, and easy means below a moving percentile of the losses."""

from __future__ import annotations

import torch
from torch import Tensor

from noisylearn._checks import check_probability


def self_paced_threshold(threshold: Tensor, losses: Tensor, percentile: float = 0.7, decay: float = 0.5) -> Tensor:
    """Return ``decay * threshold + (1 - decay) * loss``, with the loss that stands at ``percentile`` of the batch.

    Samples with ``losses <= threshold``, the new one, are learned from. The percentile is the loss nearest to that
    rank, without interpolation, as in the code of MentorNet. Stays on the device; nothing waits.

    Source: the self-paced baseline of Jiang et al., "MentorNet: Learning Data-Driven Curriculum for Very Deep Neural
    Networks on Corrupted Labels", ICML 2018, after Kumar et al., "Self-Paced Learning for Latent Variable Models",
    NIPS 2010; the defaults are that baseline's. Its code starts with a threshold of 0, which leaves out the first
    batches whole; here infinity gives way to the first batch's percentile.

    Args:
        threshold: Scalar, the threshold until now; infinite before the first batch.
        losses: ``(B,)`` floating point, at least one loss.
        percentile: Share of the batch that lies below, in ``[0, 1]``.
        decay: Weight of the past, in ``[0, 1]``.

    Returns:
        A scalar, float32, or float64 where an argument is float64.

    Raises:
        TypeError: The losses are not floating point, or a number is none.
        ValueError: There are no losses, or a number is outside ``[0, 1]``.

    Example:
        >>> losses = torch.tensor([0.3, 2.0, 0.1, 0.7])
        >>> first = self_paced_threshold(torch.tensor(torch.inf), losses)
        >>> first, losses <= first
        (tensor(0.7000), tensor([ True, False,  True,  True]))
        >>> self_paced_threshold(first, losses / 2)
        tensor(0.5250)
    """
    percentile = check_probability("percentile", percentile, "pass the share of a batch that counts as easy, e.g. 0.7")
    decay = check_probability("decay", decay, "pass the weight of the past, e.g. 0.5")
    if not losses.is_floating_point():
        raise TypeError(f"`losses` must be floating point, got {losses.dtype}: pass unreduced per-sample losses")
    if losses.ndim != 1 or len(losses) == 0:
        found = f"got shape {tuple(losses.shape)}"
        raise ValueError(f"`losses` must be (B,) with at least one loss, {found}: pass unreduced per-sample losses")
    ranked = losses.detach().to(torch.promote_types(losses.dtype, torch.float32))
    above = round((len(losses) - 1) * (1 - percentile))  # counted from the largest, halves to even: as TensorFlow does
    latest = ranked.kthvalue(len(losses) - above).values
    past = threshold.detach().where(~threshold.isinf(), latest)
    return decay * past + (1 - decay) * latest
