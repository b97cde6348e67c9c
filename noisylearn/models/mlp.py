"""A multilayer perceptron, for flat features and small images."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from noisylearn._checks import check_positive_int


class MLP(nn.Module):
    """Linear layers with ReLU between them; the input is flattened.

    Args:
        num_classes: Number of classes.
        in_features: Numbers per sample: features, or channels x height x width.
        hidden: Units of each hidden layer; an empty sequence gives a linear classifier.

    Raises:
        TypeError: A size is not an integer.
        ValueError: A size is below 1.

    Example:
        >>> import torch
        >>> MLP(num_classes=10, in_features=64)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """

    def __init__(self, num_classes: int, in_features: int, hidden: Sequence[int] = (256, 256)) -> None:
        super().__init__()
        self.in_features = check_positive_int("in_features", in_features)
        layers: list[nn.Module] = [nn.Flatten()]
        for units in hidden:
            layers += [nn.Linear(in_features, check_positive_int("hidden", units)), nn.ReLU()]
            in_features = units
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(in_features, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``(B, ...)`` inputs of ``in_features`` numbers each to ``(B, num_classes)`` logits.

        Raises:
            ValueError: A sample has another number of values.
        """
        if inputs.shape[1:].numel() != self.in_features:
            rule = f"`inputs` must hold {self.in_features} numbers per sample"
            way_out = "build the network with the `in_features` of your data"
            raise ValueError(f"{rule}, got shape {tuple(inputs.shape)}: {way_out}")
        logits: Tensor = self.classifier(self.features(inputs))
        return logits


def mlp(num_classes: int, in_channels: int = 3, image_size: int = 32) -> MLP:
    """Return an `MLP` of two hidden layers of 256 units for images.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the images.
        image_size: Height and width.

    Example:
        >>> sum(p.numel() for p in mlp(num_classes=10, in_channels=1, image_size=8).parameters())
        85002
    """
    return MLP(num_classes, in_channels * image_size**2)
