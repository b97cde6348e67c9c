"""Bootstrapping (Reed et al., 2015): the target is a mix of the given label and the network's own prediction."""

from __future__ import annotations

from torch import Tensor

from noisylearn._checks import check_probability
from noisylearn.losses._log_probs import log_softmax_and_nll

_HINT = "pass the share of the given label, e.g. 0.95 (soft) or 0.8 (hard)"


def soft_bootstrapping(logits: Tensor, targets: Tensor, beta: float = 0.95, stop_gradient: bool = False) -> Tensor:
    """Return cross-entropy against ``beta * onehot(y) + (1 - beta) * p``, one value per sample.

    The second term is ``1 - beta`` times the entropy of the prediction. As in the reference codes the gradient passes
    through both of its factors, which makes it entropy regularization.

    Source: Reed et al., "Training Deep Neural Networks on Noisy Labels with Bootstrapping", ICLR workshop 2015;
    ``beta=0.95`` is its value. Reference codes clip ``p`` at 1e-7; the log-softmax here needs no clip.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        beta: Share of the given label, in ``[0, 1]``; 1 is cross-entropy.
        stop_gradient: Whether the prediction in the target is a constant.

    Returns:
        ``(B,)`` losses in nats, float32, or float64 for float64 logits.

    Raises:
        TypeError: A dtype does not fit, or ``beta`` is not a number.
        ValueError: A shape does not fit, or ``beta`` is outside ``[0, 1]``.

    Example:
        >>> import torch
        >>> soft_bootstrapping(torch.tensor([[0.0, 2.0]]), torch.tensor([0]))
        tensor([2.0388])
    """
    beta = check_probability("beta", beta, _HINT)
    log_p, loss = log_softmax_and_nll(logits, targets)
    p = log_p.exp()
    if stop_gradient:
        p = p.detach()
    return beta * loss - (1 - beta) * (p * log_p).sum(dim=-1)


def hard_bootstrapping(logits: Tensor, targets: Tensor, beta: float = 0.8) -> Tensor:
    """Return cross-entropy against ``beta * onehot(y) + (1 - beta) * onehot(argmax p)``, one value per sample.

    Source: Reed et al., "Training Deep Neural Networks on Noisy Labels with Bootstrapping", ICLR workshop 2015;
    ``beta=0.8`` is its value. Reference codes clip ``p`` at 1e-7; the log-softmax here needs no clip.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        beta: Share of the given label, in ``[0, 1]``; 1 is cross-entropy.

    Returns:
        ``(B,)`` losses in nats, float32, or float64 for float64 logits.

    Raises:
        TypeError: A dtype does not fit, or ``beta`` is not a number.
        ValueError: A shape does not fit, or ``beta`` is outside ``[0, 1]``.

    Example:
        >>> import torch
        >>> hard_bootstrapping(torch.tensor([[0.0, 2.0]]), torch.tensor([0]))
        tensor([1.7269])
    """
    beta = check_probability("beta", beta, _HINT)
    log_p, loss = log_softmax_and_nll(logits, targets)
    return beta * loss - (1 - beta) * log_p.max(dim=-1).values
