"""Loss correction by a transition matrix (Patrini et al., CVPR 2017): what a network would lose on the right labels.

Row ``i`` of the matrix has the chances of each given label for a sample whose right label is ``i``. `noisylearn.noise`
has the matrices of known noise and estimates of unknown ones.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from noisylearn.losses._inputs import at_least_float32
from noisylearn.losses._log_probs import log_softmax_and_nll

_FLOOR = 1e-7
"""The authors' clip of probabilities in the backward loss: without it the loss has no minimum."""


def _check_transition(logits: Tensor, transition: Tensor) -> None:
    if not transition.is_floating_point():
        way_out = "pass one probability per pair of classes"
        raise TypeError(f"`transition` must be floating point, got {transition.dtype}: {way_out}")
    if transition.shape != 2 * logits.shape[1:]:
        found = f"got {tuple(transition.shape)} for logits of shape {tuple(logits.shape)}"
        raise ValueError(f"`transition` must be (C, C), {found}: row i has the chances of each label for class i")


def forward_correction(logits: Tensor, targets: Tensor, transition: Tensor) -> Tensor:
    """Return ``-log sum_c p_c T[c, y]``, one value per sample: cross-entropy of what the noise makes of ``p``.

    With the true matrix its minimum over noisy labels is that of cross-entropy over right ones. With the identity it is
    cross-entropy. The gradient reaches the matrix too, but for its entries that are 0.

    Source: Patrini et al., "Making Deep Neural Networks Robust to Label Noise: a Loss Correction Approach", CVPR 2017.
    Their code clips ``p`` at 1e-7; the sum of logarithms here needs no clip.

    Args:
        logits: ``(B, C)`` floating point, raw outputs: scores of the right label.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        transition: ``(C, C)`` floating point, rows of sum 1 (not checked).

    Returns:
        ``(B,)`` losses in nats, float32, or float64 where an argument is float64. Infinite for a label that the matrix
        never gives.

    Raises:
        TypeError: A dtype does not fit.
        ValueError: A shape does not fit.

    Example:
        >>> transition = torch.tensor([[0.8, 0.2], [0.2, 0.8]])
        >>> forward_correction(torch.tensor([[0.0, 50.0], [0.0, 50.0]]), torch.tensor([0, 1]), transition)
        tensor([1.6094, 0.2231])
    """
    log_p, _ = log_softmax_and_nll(logits, targets)
    _check_transition(logits, transition)
    possible = transition > 0
    log_t = at_least_float32(transition).where(possible, 1.0).log().masked_fill(~possible, -torch.inf)
    return -torch.logsumexp(log_p + log_t.T[targets.long()], dim=-1)


def backward_correction(logits: Tensor, targets: Tensor, transition: Tensor) -> Tensor:
    """Return ``sum_c inverse(T)[y, c] * -log p_c``, one value per sample: an unbiased estimate of the clean loss.

    Averaged over the labels that the noise may give, ``sum_y T[i, y] * loss(y)``, it is the cross-entropy of the right
    label ``i``. Single values may be far below 0, the more so the closer ``T`` is to singular: a network that fits each
    label goes there.

    Source: Patrini et al., "Making Deep Neural Networks Robust to Label Noise: a Loss Correction Approach", CVPR 2017.
    As in their code ``p`` is clipped at 1e-7, which stops its gradient below. The inverse is taken in float64.

    Args:
        logits: ``(B, C)`` floating point, raw outputs: scores of the right label.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        transition: ``(C, C)`` floating point, rows of sum 1, invertible (neither is checked).

    Returns:
        ``(B,)`` losses, often negative, float32, or float64 where an argument is float64.

    Raises:
        TypeError: A dtype does not fit.
        ValueError: A shape does not fit.

    Example:
        >>> transition = torch.tensor([[0.8, 0.2], [0.2, 0.8]])
        >>> backward_correction(torch.tensor([[0.0, 2.0], [0.0, 2.0]]), torch.tensor([0, 1]), transition)
        tensor([ 2.7936, -0.5397])
    """
    log_p, _ = log_softmax_and_nll(logits, targets)
    _check_transition(logits, transition)
    inverse: Tensor = torch.linalg.inv_ex(transition.double()).inverse  # unlike `inv` it makes no device wait
    rows = inverse.to(torch.promote_types(log_p.dtype, transition.dtype))[targets.long()]
    return (-rows * log_p.clamp_min(math.log(_FLOOR))).sum(dim=-1)
