"""Peer loss (Liu & Guo, ICML 2020): a sample's loss less that of an unrelated prediction and an unrelated label."""

from __future__ import annotations

import torch
from torch import Tensor

from noisylearn.losses._arguments import check_integer_rows, check_weight
from noisylearn.losses._inputs import at_least_float32, check_class_ids
from noisylearn.losses._log_probs import nll

_FLOOR = 1e-5
"""Added to each probability, as in the multi-class code: without it the difference has no minimum."""


def peer_loss(logits: Tensor, targets: Tensor, peer_inputs: Tensor, peer_labels: Tensor, alpha: float) -> Tensor:
    """Return ``l(x_i, y_i) - alpha * l(x_j, y_k)`` with ``l = -log(p + 1e-5)``, one value per sample.

    ``j`` and ``k`` are drawn independently of each other and of ``i``, so that the second term is the loss of
    labels that say nothing of the inputs. The caller draws them, for one step as ``torch.randint(B, (B,),
    generator=...)`` twice. Peers from the batch need no second forward pass; the public code takes them from a loader
    of its own.

    Source: Liu & Guo, "Peer Loss Functions: Learning from Noisy Labels without Knowing Noise Rates", ICML 2020. The
    paper leaves ``l`` open; this one is that of the public multi-class code, which on CIFAR-10 raises ``alpha`` from 0
    (20 epochs) to 1, 2, 5, 10 and 20 (at epochs 40, 50, 100, 200 and 300) and divides the learning rate by ``1 +
    alpha``. No one value could be the default.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        peer_inputs: ``(B,)`` integers in ``[0, B)``: ``j``, whose prediction stands in for that of sample ``i``.
        peer_labels: ``(B,)`` integers in ``[0, B)``: ``k``, whose label stands in for that of sample ``i``.
        alpha: Weight of the subtracted term, at least 0.

    Returns:
        ``(B,)`` losses, often negative, at least ``alpha * log(1e-5)`` up to rounding; float32, or float64 for
        float64 logits.

    Raises:
        TypeError: A dtype does not fit, or ``alpha`` is not a number.
        ValueError: A shape does not fit, or ``alpha`` is negative or not finite.

    Example:
        >>> logits, targets = torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1])
        >>> peer_loss(logits, targets, torch.tensor([1, 0]), torch.tensor([0, 0]), alpha=1.0)
        tensor([-1.9999,  0.0000])
    """
    alpha = check_weight("alpha", alpha)
    check_class_ids(logits, targets)
    for name, peers in (("peer_inputs", peer_inputs), ("peer_labels", peer_labels)):
        check_integer_rows(name, peers, targets, "pass positions in the batch, torch.randint(B, (B,))")
    log_p = torch.log(torch.softmax(at_least_float32(logits), dim=-1) + _FLOOR)
    return nll(log_p, targets) + alpha * log_p[peer_inputs.long(), targets.long()[peer_labels.long()]]
