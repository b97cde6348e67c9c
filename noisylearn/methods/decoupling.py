"""Decoupling: two networks learn where they disagree."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from noisylearn._checks import check_non_negative, check_probability
from noisylearn.losses import cross_entropy
from noisylearn.methods.two_networks import TwoNetworks
from noisylearn.selection import disagreement


class Decoupling(TwoNetworks):
    """Decoupling "when to update" from "how to update": cross-entropy on the samples whose two predictions differ.

    Their losses are summed and divided by their number, but by no less than ``min_share`` of the batch: a few samples
    do not weigh as much as a whole batch, and with none the gradient is 0.

    Source: Malach & Shalev-Shwartz, "Decoupling 'when to update' from 'how to update'", NeurIPS 2017, with the defaults
    of the authors' code, for two genders of faces; its weights by class are left out. It needs no noise rate. Networks
    that come to predict one and the same class for all samples stay so for good: where that happens, begin with
    ``init_steps`` of plain training.

    Args:
        init_steps: Steps in which the networks learn from all samples first.
        min_share: The least share of the batch that the sum of losses is divided by, in [0, 1].
        **learner: Arguments of `NoisyLearner`.

    Raises:
        ValueError: ``init_steps`` is negative, or ``min_share`` outside [0, 1].

    Example:
        >>> len(Decoupling(backbone="digits_cnn", num_classes=10, in_channels=1).networks)
        2
    """

    paper = "Malach & Shalev-Shwartz, Decoupling, 2017"

    def __init__(self, init_steps: int = 0, min_share: float = 0.1, **learner: Any) -> None:
        super().__init__(**learner)
        self.save_hyperparameters("init_steps", "min_share")
        check_non_negative("init_steps", init_steps, "the steps that learn from all samples, e.g. 1000")
        self.init_steps = init_steps
        self.min_share = check_probability("min_share", min_share, "the least share to divide by, e.g. 0.1")

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Return each network's cross-entropy, ``(2, B)``."""
        return cross_entropy(logits.flatten(0, 1), target.repeat(2)).view(2, -1)

    def select(self, losses: Tensor, logits: Tensor) -> Tensor | None:
        """Return the mask of disagreement, the same for both networks."""
        if self.global_step < self.init_steps:
            return torch.ones_like(losses, dtype=torch.bool)
        return disagreement(logits).expand_as(losses)

    def reduce(self, losses: Tensor, index: Tensor, selected: Tensor | None) -> Tensor:
        """Return the sum of both networks' means, less where few samples are selected."""
        loss = super().reduce(losses, index, selected)
        if selected is None or self.min_share == 0:
            return loss
        return loss * (selected[0].float().mean() / self.min_share).clamp(max=1)
