"""`Observation`: what one training step shows about some samples, computed once for all signals."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from noisylearn._checks import check_labels, check_positive_int


def margin(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the logit margin of the given label, ``z_g - max_{k != g} z_k``.

    Args:
        logits: ``(B, C)`` raw logits (a softmax would change the range and the order), C at least 2.
        targets: ``(B,)`` int64 given labels.

    Returns:
        ``(B,)`` margins, positive where the prediction is the given label.

    Source: Pleiss et al., "Identifying Mislabeled Data using the Area Under the Margin Ranking", 2020.

    Example:
        >>> margin(torch.tensor([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0]]), torch.tensor([0, 2])).tolist()
        [1.0, -2.0]
    """
    column = targets[:, None]
    others = logits.scatter(1, column, float("-inf"))
    return logits.gather(1, column)[:, 0] - others.amax(1)


class Observation:
    """Logits and given labels of some samples, and what signals derive from them (each computed at most once).

    Everything is detached and float32 (float64 stays), also when the step ran in bfloat16: its margins would tie.

    Args:
        index: ``(B,)`` int64 row numbers in the training set.
        logits: ``(B, C)`` raw logits, C at least 2.
        targets: ``(B,)`` int64 given labels in ``[0, C)``.

    Raises:
        ValueError: The shapes do not fit together, or a label is out of range (seen on the CPU only: a GPU would wait).

    Example:
        >>> obs = Observation(torch.tensor([7]), torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0]))
        >>> obs.margin.tolist(), obs.prediction.tolist(), obs.correct.tolist()
        ([1.0], [0], [True])
    """

    def __init__(self, index: Tensor, logits: Tensor, targets: Tensor) -> None:
        if logits.ndim != 2 or logits.shape[1] < 2:
            raise ValueError(f"`logits` must be (B, C) with C >= 2, got shape {tuple(logits.shape)}: pass raw logits")
        check_positive_int("batch size", len(logits))
        for name, value in (("index", index), ("targets", targets)):
            if value.shape != logits.shape[:1]:
                raise ValueError(
                    f"`{name}` must have shape ({len(logits)},), as `logits` has {len(logits)} rows, "
                    f"got {tuple(value.shape)}: pass one value per row of the logits"
                )
        if targets.is_floating_point():
            raise ValueError(f"`targets` must be class ids, got dtype {targets.dtype}: soft labels have no given label")
        if targets.device.type == "cpu":  # cheap here; on a GPU it would be a wait in every step
            low, high = targets.aminmax()
            if targets.dtype == torch.bool or low < 0 or high >= logits.shape[1]:
                check_labels("targets", targets.detach(), logits.shape[1])
        logits = logits.detach()
        self.index = index
        self.logits = logits if logits.dtype == torch.float64 else logits.float()
        self.targets = targets.detach().to(logits.device, torch.int64)

    @cached_property
    def log_probs(self) -> Tensor:
        """``(B, C)`` log-softmax of the logits."""
        return self.logits.log_softmax(1)

    @cached_property
    def probs(self) -> Tensor:
        """``(B, C)`` softmax of the logits."""
        return self.log_probs.exp()

    @cached_property
    def loss(self) -> Tensor:
        """``(B,)`` plain cross-entropy against the given label, whatever the objective is."""
        return -self.log_probs.gather(1, self.targets[:, None])[:, 0]

    @cached_property
    def confidence(self) -> Tensor:
        """``(B,)`` probability of the given label."""
        return (-self.loss).exp()

    @cached_property
    def margin(self) -> Tensor:
        """``(B,)`` logit margin of the given label."""
        return margin(self.logits, self.targets)

    @cached_property
    def finite(self) -> Tensor:
        """``(B,)`` bool: the loss is a number, so no logit is NaN; other samples are left out of every signal."""
        return self.loss.isfinite()

    @cached_property
    def prediction(self) -> Tensor:
        """``(B,)`` int64 predicted class."""
        return self.logits.argmax(1)

    @cached_property
    def correct(self) -> Tensor:
        """``(B,)`` bool: the prediction is the given label."""
        return self.prediction == self.targets
