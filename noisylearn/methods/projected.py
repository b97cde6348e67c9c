"""`Projected`: a network that can also embed its inputs for a contrastive loss."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class Projected(nn.Module):
    """A classifier with a second head, which projects what the first one sees.

    Args:
        network: A network whose last registered ``nn.Linear`` is the classifier.
        width: Numbers in a projection.

    Raises:
        ValueError: The network has no linear layer.

    Example:
        >>> import torch
        >>> network = Projected(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), width=16)
        >>> network(torch.zeros(2, 4)).shape, network.embed(torch.zeros(2, 4)).shape
        (torch.Size([2, 3]), torch.Size([2, 16]))
    """

    def __init__(self, network: nn.Module, width: int = 128) -> None:
        super().__init__()
        linears = [module for module in network.modules() if isinstance(module, nn.Linear)]
        if not linears:
            raise ValueError(
                f"`backbone` must have an nn.Linear classifier to project what it sees, got a {type(network).__name__} "
                "without one: use a method without a contrastive loss"
            )
        self.network = network
        # Never used in evaluation: the normalization needs no running statistics.
        norm = nn.BatchNorm1d(width, track_running_stats=False)
        self.projection = nn.Sequential(nn.Linear(linears[-1].in_features, width), norm)
        self._seen: Tensor | None = None
        linears[-1].register_forward_pre_hook(self._keep)

    def _keep(self, module: nn.Module, args: tuple[Tensor, ...]) -> None:
        self._seen = args[0]

    def forward(self, x: Any) -> Tensor:
        """Return ``(B, C)`` logits."""
        logits: Tensor = self.network(x)
        self._seen = None  # it would hold the whole graph
        return logits

    def embed(self, x: Any) -> Tensor:
        """Return ``(B, width)`` projections."""
        self.network(x)
        assert self._seen is not None  # the classifier has been called
        seen, self._seen = self._seen, None
        projection: Tensor = self.projection(seen)
        return projection
