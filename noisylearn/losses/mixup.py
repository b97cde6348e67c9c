"""Mixed samples, and their cross-entropy (mixup, Zhang et al., ICLR 2018)."""

from __future__ import annotations

from torch import Tensor

from noisylearn._checks import check_probability
from noisylearn.losses._arguments import check_integer_rows
from noisylearn.losses._inputs import at_least_float32
from noisylearn.losses._log_probs import log_softmax_and_nll, nll


def mixup(values: Tensor, order: Tensor, lam: float | Tensor) -> Tensor:
    """Return ``lam * values + (1 - lam) * values[order]``: inputs, or soft labels, each mixed with another.

    Inputs and labels mixed by the same ``order`` and ``lam`` belong together.

    Args:
        values: ``(B, ...)`` floating point.
        order: ``(B,)`` int64, whom each is mixed with.
        lam: What is left of its own, a number in ``[0, 1]`` or a tensor of shape ``()``, for all of them.

    Returns:
        The shape and dtype of ``values``.

    Raises:
        TypeError: ``values`` is not floating point.
        ValueError: ``order`` does not fit, or ``lam`` is outside ``[0, 1]``.

    Example:
        >>> import torch
        >>> mixup(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([1, 0]), lam=0.75)
        tensor([[0.7500, 0.2500],
                [0.2500, 0.7500]])
    """
    if not values.is_floating_point():
        raise TypeError(f"`values` must be floating point, got {values.dtype}: mix inputs after they are scaled")
    if order.shape != values.shape[:1]:
        found = f"got {tuple(order.shape)} for values of shape {tuple(values.shape)}"
        raise ValueError(f"`order` must be (B,), {found}: pass torch.randperm(B)")
    if not isinstance(lam, Tensor):
        lam = check_probability("lam", lam, "pass a draw of Beta(alpha, alpha)")
    return lam * values + (1 - lam) * values[order]


def mixup_cross_entropy(logits: Tensor, targets: Tensor, other_targets: Tensor, lam: float | Tensor) -> Tensor:
    """Return ``lam * -log p_y + (1 - lam) * -log p_y'``, one value per sample.

    ``logits`` belong to the mixed inputs ``lam * x + (1 - lam) * x[order]``, ``other_targets`` are ``targets[order]``.
    It is cross-entropy against the labels mixed alike. The caller draws ``order`` and ``lam``, from ``Beta(alpha,
    alpha)``; ``alpha`` is 1 in the authors' CIFAR code, and 8 or 32 are common under label noise.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018. One ``lam`` for the batch, as in the
    authors' code, or one for each sample.

    Args:
        logits: ``(B, C)`` floating point, raw outputs for the mixed inputs.
        targets: ``(B,)`` integers in ``[0, C)``, the labels of share ``lam``.
        other_targets: ``(B,)`` integers in ``[0, C)``, the labels of share ``1 - lam``.
        lam: The share, a number in ``[0, 1]``, or a floating point tensor of shape ``()`` or ``(B,)`` whose values are
            not checked (that would make the device wait).

    Returns:
        ``(B,)`` losses in nats, float32, or float64 where the logits or a tensor ``lam`` of shape ``(B,)`` are.

    Raises:
        TypeError: A dtype does not fit, or ``lam`` is not a number.
        ValueError: A shape does not fit, or ``lam`` is outside ``[0, 1]``.

    Example:
        >>> import torch
        >>> logits, targets = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1])
        >>> mixup_cross_entropy(logits, targets, targets.flip(0), lam=0.7)
        tensor([0.6133, 0.7269])
    """
    log_p, loss = log_softmax_and_nll(logits, targets)
    check_integer_rows("other_targets", other_targets, targets, "pass the class ids that were mixed in")
    share = _share(lam, targets)
    return share * loss + (1 - share) * nll(log_p, other_targets)


def _share(lam: float | Tensor, targets: Tensor) -> float | Tensor:
    if not isinstance(lam, Tensor):
        return check_probability("lam", lam, "pass the share of `targets`, a draw of Beta(alpha, alpha)")
    if not lam.is_floating_point():
        raise TypeError(f"`lam` must be floating point, got {lam.dtype}: pass the share of `targets`")
    if lam.ndim and lam.shape != targets.shape:
        found = f"got {tuple(lam.shape)} for targets of shape {tuple(targets.shape)}"
        raise ValueError(f"`lam` must have shape () or (B,), {found}: pass one share, or one per row")
    return at_least_float32(lam)
