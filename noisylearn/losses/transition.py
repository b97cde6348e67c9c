"""Losses with a transition matrix: what a network would lose on the right labels, or how much a given label counts.

Row ``i`` of the matrix has the chances of each given label for a sample whose right label is ``i``. `noisylearn.noise`
has the matrices of known noise and estimates of unknown ones.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from noisylearn._checks import check_non_negative
from noisylearn.losses._inputs import at_least_float32
from noisylearn.losses._log_probs import log_softmax_and_nll

_FLOOR = 1e-7
"""Patrini et al.'s clip of probabilities in the backward loss, which has no minimum without it; here of weights too."""


def _check_transition(logits: Tensor, transition: Tensor, per_sample: bool = False) -> None:
    if not transition.is_floating_point():
        way_out = "pass one probability per pair of classes"
        raise TypeError(f"`transition` must be floating point, got {transition.dtype}: {way_out}")
    one, each = 2 * logits.shape[1:], logits.shape[:1] + 2 * logits.shape[1:]
    if transition.shape != one and not (per_sample and transition.shape == each):
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


def importance_weights(logits: Tensor, targets: Tensor, transition: Tensor) -> Tensor:
    """Return ``p_y / sum_c p_c T[c, y]``, one value per sample: the chance that a label is right over that it is given.

    As weights of the losses of given labels they make the mean that of right ones: importance reweighting. Labels that
    the noise is likelier to have made than the class itself count less. The gradient reaches logits and matrix; detach
    the result where weights are to be constants.

    Source: Liu & Tao, "Classification with Noisy Labels by Importance Reweighting", TPAMI 2016; for many classes and
    with a matrix as Xia et al., "Are Anchor Points Really Indispensable in Label-Noise Learning?", NeurIPS 2019.
    Their code has no bounds: here a class more than 1e7 times likelier than the given one counts as 1e7 times likelier.

    Args:
        logits: ``(B, C)`` floating point, raw outputs: scores of the right label.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        transition: ``(C, C)`` floating point, or ``(B, C, C)``, one per sample. It may be one that is being learned,
            with rows that do not sum to 1 and negative entries: weights are at most 1e7.

    Returns:
        ``(B,)`` weights, float32, or float64 where an argument is float64; 1 with the identity.

    Raises:
        TypeError: A dtype does not fit.
        ValueError: A shape does not fit.

    Example:
        >>> transition = torch.tensor([[0.8, 0.2], [0.2, 0.8]])
        >>> importance_weights(torch.tensor([[0.0, 2.0], [0.0, 2.0]]), torch.tensor([0, 1]), transition)
        tensor([0.4390, 1.2091])
    """
    log_p, losses = log_softmax_and_nll(logits, targets)
    _check_transition(logits, transition, per_sample=True)
    matrix, given = at_least_float32(transition), targets.long()
    each = torch.arange(len(given), device=given.device)
    to_given = matrix.T[given] if matrix.ndim == 2 else matrix[each, :, given]
    odds = (log_p + losses.unsqueeze(1)).clamp_max(-math.log(_FLOOR)).exp()  # of each class against the given one
    return 1 / (odds * to_given).sum(1).clamp_min(_FLOOR)


def volume_minimization(logits: Tensor, targets: Tensor, transition: Tensor, lam: float) -> Tensor:
    """Return ``-log sum_c p_c T[c, y] + lam log |det T|``, one value per sample: `forward_correction` of least volume.

    Many matrices explain given labels equally well, with other right labels. Of those, the one that spans the least
    volume is the true one, where samples are scattered enough; so the matrix is learned along with the network.

    Source: Li et al., "Provably End-to-end Label-noise Learning without Anchor Points", ICML 2021.

    Args:
        logits: ``(B, C)`` floating point, raw outputs: scores of the right label.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        transition: ``(C, C)`` floating point, rows of sum 1, invertible (neither is checked).
        lam: Weight of the volume.

    Returns:
        ``(B,)`` losses in nats, float32, or float64 where an argument is float64. Minus infinite for a matrix that
        cannot be inverted.

    Raises:
        TypeError: A dtype does not fit.
        ValueError: A shape does not fit, or ``lam`` is negative or not finite.

    Example:
        >>> transition = torch.tensor([[0.8, 0.2], [0.2, 0.8]])
        >>> volume_minimization(torch.tensor([[0.0, 50.0], [0.0, 50.0]]), torch.tensor([0, 1]), transition, lam=0.1)
        tensor([1.5584, 0.1721])
    """
    check_non_negative("lam", lam, "the weight of the volume, e.g. 1e-4")
    losses = forward_correction(logits, targets, transition)
    volume: Tensor = torch.linalg.slogdet(transition.double()).logabsdet
    return losses + lam * volume.to(losses.dtype)
