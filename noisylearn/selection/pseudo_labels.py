"""Labels that networks make: sharpened, refined and guessed (MixMatch, NeurIPS 2019; DivideMix, ICLR 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from noisylearn._checks import check_non_negative


def sharpen(probs: Tensor, temperature: float) -> Tensor:
    """Return ``probs^(1 / T)``, normalised: the lower the temperature, the nearer to one-hot.

    Args:
        probs: ``(..., C)`` non-negative, floating point; rows need not sum to 1.
        temperature: ``T``, above 0; 1 only normalises, the papers' is 0.5.

    Returns:
        ``(..., C)`` distributions, at least float32.

    Raises:
        TypeError: ``probs`` is not floating point.
        ValueError: ``temperature`` is not above 0 and finite.

    Example:
        >>> sharpen(torch.tensor([0.8, 0.2]), temperature=0.5)
        tensor([0.9412, 0.0588])
    """
    if not probs.is_floating_point():
        raise TypeError(f"`probs` must be floating point, got {probs.dtype}: pass one probability per class")
    if check_non_negative("temperature", temperature, "pass e.g. 0.5") == 0:
        raise ValueError("`temperature` must be above 0, got 0: pass e.g. 0.5, or take the argmax")
    wide = probs.to(torch.promote_types(probs.dtype, torch.float32))
    raised = (wide / wide.amax(dim=-1, keepdim=True)) ** (1 / temperature)  # the largest is 1: none can all vanish
    return raised / raised.sum(dim=-1, keepdim=True)


def mean_probs(logits: Tensor) -> Tensor:
    """Return the mean of several predictions' probabilities, detached.

    Args:
        logits: ``(K, B, C)`` floating point, raw outputs of views or networks.

    Returns:
        ``(B, C)``, at least float32.

    Raises:
        ValueError: There is no such first dimension.

    Example:
        >>> mean_probs(torch.tensor([[[9.0, -9.0]], [[-9.0, 9.0]]]))
        tensor([[0.5000, 0.5000]])
    """
    if logits.ndim != 3 or not len(logits):
        raise ValueError(f"`logits` must be (K, B, C), got shape {tuple(logits.shape)}: stack the predictions")
    dtype = torch.promote_types(logits.dtype, torch.float32)
    return torch.softmax(logits.detach().to(dtype), dim=-1).mean(dim=0)


def co_guess(logits: Tensor, temperature: float = 0.5) -> Tensor:
    """Return the labels that all predictions together guess for samples whose own label is not read.

    The mean of the softmaxes, sharpened. In DivideMix the predictions are those of two networks for two views.

    Args:
        logits: ``(K, B, C)`` floating point, raw outputs; no gradient flows back to them.
        temperature: Of `sharpen`.

    Returns:
        ``(B, C)`` distributions, at least float32.

    Raises:
        ValueError: The logits have another shape, or the temperature is not above 0.

    Example:
        >>> co_guess(torch.tensor([[[2.0, 0.0]], [[1.0, 0.0]]]))
        tensor([[0.9452, 0.0548]])
    """
    return sharpen(mean_probs(logits), temperature)


def co_refine(targets: Tensor, clean: Tensor, logits: Tensor, temperature: float = 0.5) -> Tensor:
    """Return labels that lie between the given one and what the network predicts.

    ``w * onehot(y) + (1 - w) * mean of the softmaxes``, sharpened, where ``w`` is the probability that the label is
    right. In DivideMix the predictions are the network's own for two views, and ``w`` comes from the other network.

    Args:
        targets: ``(B,)`` integers, the given labels.
        clean: ``(B,)`` floating point, ``w``, in ``[0, 1]``.
        logits: ``(K, B, C)`` floating point, raw outputs; no gradient flows back to them.
        temperature: Of `sharpen`.

    Returns:
        ``(B, C)`` distributions, at least float32.

    Raises:
        ValueError: A shape does not fit, or the temperature is not above 0.

    Example:
        >>> views = torch.tensor([[[2.0, 0.0]], [[1.0, 0.0]]])
        >>> co_refine(torch.tensor([1]), torch.tensor([0.9]), views)
        tensor([[0.0076, 0.9924]])
    """
    predicted = mean_probs(logits)
    if targets.shape != predicted.shape[:1] or clean.shape != targets.shape:
        raise ValueError(
            f"`targets` and `clean` must be ({len(predicted)},), one for each row of the logits, got "
            f"{tuple(targets.shape)} and {tuple(clean.shape)}"
        )
    classes = torch.arange(predicted.shape[1], device=predicted.device)
    given = targets.unsqueeze(-1) == classes
    trust = clean.detach().to(predicted.dtype).unsqueeze(-1)
    return sharpen(trust * given + (1 - trust) * predicted, temperature)
