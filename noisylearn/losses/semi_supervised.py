"""What samples without a label are learned by (MixMatch, Berthelot et al., NeurIPS 2019; DivideMix, ICLR 2020)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from noisylearn.losses._inputs import at_least_float32, check_logits, check_rows


def squared_error(logits: Tensor, probs: Tensor) -> Tensor:
    """Return ``mean_c (softmax(logits)_c - probs_c)^2``, one value per sample.

    Bounded, unlike cross-entropy, and so kinder to guessed labels. The gradient reaches ``probs`` too; detach them
    where they are constants.

    Source: MixMatch's loss of unlabelled samples, a mean over samples and classes both, as DivideMix has it.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        probs: ``(B, C)`` floating point, the guessed labels.

    Returns:
        ``(B,)`` losses in ``[0, 2 / C]`` for distributions, float32, or float64 where an argument is float64.

    Raises:
        TypeError: An argument is not floating point.
        ValueError: The shapes differ.

    Example:
        >>> squared_error(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]))
        tensor([0.2500])
    """
    check_rows("probs", logits, probs)
    return (torch.softmax(at_least_float32(logits), dim=-1) - at_least_float32(probs)).square().mean(dim=-1)


def consistency(logits: Tensor, other: Tensor) -> Tensor:
    """Return ``sum_c p_c (log p_c - log q_c)``, the divergence of one view's prediction from another's, per sample.

    ``p`` is the softmax of ``logits`` and a constant: what the network says of a weak view is what it is to say of a
    strong one, ``q``.

    Source: the consistency term of SOP+ (Liu et al., ICML 2022), after UDA (Xie et al., NeurIPS 2020).

    Args:
        logits: ``(B, C)`` floating point, raw outputs for the first view; no gradient flows back to them.
        other: ``(B, C)`` floating point, raw outputs for the other view.

    Returns:
        ``(B,)`` divergences in nats, at least 0, float32, or float64 where an argument is float64.

    Raises:
        TypeError: An argument is not floating point.
        ValueError: The shapes differ.

    Example:
        >>> consistency(torch.tensor([[2.0, 0.0]]), torch.zeros(1, 2))
        tensor([0.3278])
    """
    check_rows("other", logits, other)
    log_p = F.log_softmax(at_least_float32(logits.detach()), dim=-1)
    return (log_p.exp() * (log_p - F.log_softmax(at_least_float32(other), dim=-1))).sum(dim=-1)


def class_prior_penalty(logits: Tensor) -> Tensor:
    """Return ``sum_c 1/C log((1/C) / mean_i p_ic)``, the divergence of the mean prediction from the uniform one.

    A value of the batch, not of a sample: it keeps the guesses from all going to one class. It is 0 where the classes
    are predicted equally often on average.

    Source: Tanaka et al., "Joint Optimization Framework", CVPR 2018, as used by DivideMix.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.

    Returns:
        A scalar, at least 0, float32, or float64 for float64 logits.

    Raises:
        TypeError: The logits are not floating point.
        ValueError: They are not ``(B, C)``.

    Example:
        >>> sure = torch.tensor([[9.0, 0.0], [0.0, 9.0]])
        >>> class_prior_penalty(sure), class_prior_penalty(sure[:1])
        (tensor(0.), tensor(3.8070))
    """
    check_logits(logits)
    log_p = F.log_softmax(at_least_float32(logits), dim=-1)
    log_mean = log_p.logsumexp(dim=0) - math.log(len(logits))
    return -math.log(logits.shape[1]) - log_mean.mean()
