"""A small network for 8x8 digits: fast on one CPU core, yet large enough to memorize wrong labels."""

from __future__ import annotations

from torch import nn

from noisylearn.models.plain import PlainCNN, check_image_size


def digits_cnn(num_classes: int, in_channels: int = 1, image_size: int = 8, hidden: int = 128) -> PlainCNN:
    """Return two 3x3 convolutions with batch norm, a max-pool after each, and one hidden layer; ours.

    Widths 16 and 32; PyTorch's default initialisation.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the images.
        image_size: Height and width, at least 4; the hidden layer's input is flattened, so it is fixed.
        hidden: Units of the hidden layer.

    Raises:
        TypeError: ``image_size`` is not an integer.
        ValueError: The images are too small.

    Example:
        >>> sum(p.numel() for p in digits_cnn(num_classes=10).parameters())
        22650
    """
    check_image_size("digits_cnn", image_size, smallest=4)
    layers: list[nn.Module] = []
    for channels, width in ((in_channels, 16), (16, 32)):
        conv = nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False)
        layers += [conv, nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Flatten(), nn.Linear(32 * (image_size // 4) ** 2, hidden), nn.ReLU()]
    return PlainCNN("digits_cnn", layers, hidden, num_classes, in_channels, image_size)
