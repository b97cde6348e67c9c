"""The frame of the plain convolutional networks: features, then a linear classifier."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from noisylearn._checks import check_positive_int


class PlainCNN(nn.Module):
    """A sequence of layers that ends in flat features, and a linear classifier on them.

    Args:
        name: The network's name, for messages.
        layers: The layers that map images to ``(B, num_features)``.
        num_features: Number of flat features.
        num_classes: Number of classes.
        in_channels: Channels of the images.
        image_size: Height and width of the images: the features are flattened, so they are fixed.

    Example:
        >>> import torch
        >>> net = PlainCNN("linear", [nn.Flatten()], 64, num_classes=10, in_channels=1, image_size=8)
        >>> net(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        name: str,
        layers: Sequence[nn.Module],
        num_features: int,
        num_classes: int,
        in_channels: int,
        image_size: int,
    ) -> None:
        super().__init__()
        self.name = name
        self.in_channels = in_channels
        self.image_size = image_size
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(num_features, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map ``(B, in_channels, image_size, image_size)`` images to ``(B, num_classes)`` logits.

        Raises:
            ValueError: The images have another shape than the network was built for.
        """
        expected = (self.in_channels, self.image_size, self.image_size)
        if images.ndim != 4 or tuple(images.shape[1:]) != expected:
            rule = f"`images` must be (B, {', '.join(map(str, expected))}) for {self.name}"
            way_out = "build the network with that `in_channels` and `image_size`"
            raise ValueError(f"{rule}, got {tuple(images.shape)}: {way_out}")
        logits: Tensor = self.classifier(self.features(images))
        return logits


def check_image_size(name: str, image_size: int, smallest: int) -> int:
    """Return ``image_size`` if something is left of the image after the network's pooling.

    Args:
        name: The network's name, for the message.
        image_size: Height and width asked for.
        smallest: The least that works.

    Raises:
        TypeError: ``image_size`` is not an integer.
        ValueError: ``image_size`` is below ``smallest``.

    Example:
        >>> check_image_size("cnn9", 32, smallest=28)
        32
    """
    image_size = check_positive_int("image_size", image_size)
    if image_size < smallest:
        rule = f"`image_size` must be at least {smallest} for {name}, got {image_size}"
        raise ValueError(f"{rule}: resize the images, or use digits_cnn or a ResNet")
    return image_size
