"""`TwoNetworks`: two networks as one module."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

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

    A ``backbone`` given as a module is copied, and the copy's weights are drawn anew. To start both networks from
    weights of your own (pretrained ones, say), pass an ``nn.ModuleList`` of the two.
    """

    cost = "2 networks, 1 pass each"
    ensembled: ClassVar[bool] = False
    """Whether the authors report the accuracy of both networks together; else it is the mean of the two."""

    def build_networks(self, backbone: str | nn.Module) -> None:
        """Make two networks that differ in their initial weights.

        Raises:
            ValueError: An ``nn.ModuleList`` has not two networks, or the two are the same.
        """
        if isinstance(backbone, nn.ModuleList):
            self.networks = backbone
        elif isinstance(backbone, nn.Module):
            self.networks = nn.ModuleList([backbone, _drawn_anew(backbone)])
        else:
            size = (self.num_classes, self.in_channels, self.image_size)
            self.networks = nn.ModuleList(build_backbone(backbone, *size) for _ in range(2))
        way_out = "pass nn.ModuleList([one, another]) with weights that differ"
        if len(self.networks) != 2:
            raise ValueError(f"`backbone` must be two networks, got {len(self.networks)}: {way_out}")
        first, second = (list(network.parameters()) for network in self.networks)
        if len(first) == len(second) and all(map(torch.equal, first, second)):
            raise ValueError(f"`backbone` must give two networks that differ, got twice the same weights: {way_out}")

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
        """Return the headline (see `ensembled`), each network's accuracy, and the ensemble's."""
        logits = self.training_logits(x)
        each = (logits.argmax(-1) == target).float().mean(-1)
        together = (logits.mean(0).argmax(-1) == target).float().mean()
        return {
            "": together if self.ensembled else each.mean(),
            "_network1": each[0],
            "_network2": each[1],
            "_ensemble": together,
        }

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


def _drawn_anew(network: nn.Module) -> nn.Module:
    """Return a copy whose modules have initialized themselves once more."""
    again = copy.deepcopy(network)
    for module in again.modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
    return again
