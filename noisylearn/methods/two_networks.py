"""`TwoNetworks`: two networks as one module."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from noisylearn.methods.learner import NoisyLearner
from noisylearn.models import build_backbone


class TwoNetworks(NoisyLearner):
    """Two networks that see the same batches, under one optimizer, with their losses summed.

    Gradients of disjoint networks do not mix, so the parameters are those of two separate optimizers, and
    accumulation, precision, schedulers and several processes are Lightning's own. Gradients are clipped per network.
    `compute_loss` gets ``(2, B, C)`` logits and returns ``(2, B)`` losses. Callbacks see the networks' mean as
    ``logits`` and both as ``peer_logits``.
    """

    cost = "2 networks, 1 pass each"

    def build_networks(self, backbone: str | nn.Module) -> None:
        """Make two networks that differ in their initial weights."""
        if isinstance(backbone, nn.Module):
            second = copy.deepcopy(backbone)
            for module in second.modules():
                reset = getattr(module, "reset_parameters", None)
                if callable(reset):
                    reset()
            pair = [backbone, second]
        else:
            size = (self.num_classes, self.in_channels, self.image_size)
            pair = [build_backbone(backbone, *size) for _ in range(2)]
        self.networks = nn.ModuleList(pair)

    def training_logits(self, x: Any) -> Tensor:
        """Return ``(2, B, C)`` logits."""
        return torch.stack([network(x) for network in self.networks])

    def forward(self, x: Any) -> Tensor:
        """Return the mean of both networks' logits, ``(B, C)``."""
        return self.training_logits(x).mean(0)

    def outputs(self, logits: Tensor) -> dict[str, Tensor]:
        """Return the mean and both networks' logits."""
        return {"logits": logits.float().mean(0), "peer_logits": logits}

    def accuracies(self, x: Any, target: Tensor) -> dict[str, Tensor]:
        """Return the mean of the networks' accuracies (the headline), each network's, and the ensemble's."""
        logits = self.training_logits(x)
        each = (logits.argmax(-1) == target).float().mean(-1)
        together = (logits.mean(0).argmax(-1) == target).float().mean()
        return {"": each.mean(), "_network1": each[0], "_network2": each[1], "_ensemble": together}

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip each network's gradients by themselves: a joint norm would let one network shrink the other's."""
        if not gradient_clip_val:
            return
        for network in self.networks:
            if gradient_clip_algorithm == "value":
                nn.utils.clip_grad_value_(network.parameters(), gradient_clip_val)
            else:
                nn.utils.clip_grad_norm_(network.parameters(), gradient_clip_val)
