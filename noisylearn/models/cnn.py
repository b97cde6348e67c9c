"""The plain convolutional networks of the Co-teaching, JoCoR and active-passive-loss papers."""

from __future__ import annotations

from torch import nn

from noisylearn._checks import check_probability
from noisylearn.models.plain import PlainCNN, check_image_size


def _conv(in_channels: int, out_channels: int, activation: nn.Module, padding: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=padding)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), activation)


def cnn9(num_classes: int, in_channels: int = 3, image_size: int = 32, dropout: float = 0.0) -> PlainCNN:
    """Return the network of Co-teaching (Han et al., NeurIPS 2018): nine 3x3 convolutions and a linear layer.

    Widths 128 (three times), max-pool, 256 (three), max-pool, then 512, 256, 128 without padding, global average.
    LeakyReLU of slope 0.01 after each batch norm; PyTorch's default initialisation. 4.43 M parameters, 0.746 G
    multiply-accumulates at 32x32.

    The authors' code calls dropout without saying whether it trains. Under the PyTorch 0.3 of their experiments that
    left it off; under a current one it is on, at evaluation too. The default here is what they ran: none.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the images.
        image_size: Height and width, at least 28: the last three convolutions take 6 off a quarter of it.
        dropout: Probability of dropping a channel after each pooling, while training only; their code says 0.25.

    Raises:
        TypeError: An argument is not a number of the right kind.
        ValueError: The images are too small, or ``dropout`` is outside ``[0, 1]``.

    Example:
        >>> sum(p.numel() for p in cnn9(num_classes=10).parameters())
        4434570
    """
    check_image_size("cnn9", image_size, smallest=28)
    dropout = check_probability("dropout", dropout, "pass 0 for none, or 0.25 as the authors' code says")

    def conv(channels_in: int, channels_out: int, padding: int = 1) -> nn.Sequential:
        return _conv(channels_in, channels_out, nn.LeakyReLU(0.01), padding)

    wide = [conv(in_channels, 128), conv(128, 128), conv(128, 128), nn.MaxPool2d(2), nn.Dropout2d(dropout)]
    wider = [conv(128, 256), conv(256, 256), conv(256, 256), nn.MaxPool2d(2), nn.Dropout2d(dropout)]
    last = [conv(256, 512, padding=0), conv(512, 256, padding=0), conv(256, 128, padding=0)]
    layers = [*wide, *wider, *last, nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return PlainCNN("cnn9", layers, 128, num_classes, in_channels, image_size)


def _six_convolutions(in_channels: int, last: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for first, second in ((64, 64), (128, 128), (196, last)):
        layers += [_conv(in_channels, first, nn.ReLU()), _conv(first, second, nn.ReLU()), nn.MaxPool2d(2)]
        in_channels = second
    return [*layers, nn.Flatten()]


def cnn7(num_classes: int, in_channels: int = 3, image_size: int = 32) -> PlainCNN:
    """Return the "7-layer CNN" of JoCoR (Wei et al., CVPR 2020): six 3x3 convolutions and a linear layer.

    Widths 64, 64, 128, 128, 196, 16, a max-pool after each pair; batch norm and ReLU, no dropout, PyTorch's default
    initialisation. 0.52 M parameters, 0.112 G multiply-accumulates at 32x32.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the images.
        image_size: Height and width, at least 8; the classifier's input is flattened, so it is fixed.

    Raises:
        TypeError: ``image_size`` is not an integer.
        ValueError: The images are too small.

    Example:
        >>> sum(p.numel() for p in cnn7(num_classes=10).parameters())
        518150
    """
    check_image_size("cnn7", image_size, smallest=8)
    features = 16 * (image_size // 8) ** 2
    layers = _six_convolutions(in_channels, last=16)
    return PlainCNN("cnn7", layers, features, num_classes, in_channels, image_size)


def cnn8(num_classes: int, in_channels: int = 3, image_size: int = 32) -> PlainCNN:
    """Return the network of the active-passive losses (Ma et al., ICML 2020): six convolutions, two linear layers.

    As `cnn7`, but with 196 channels at the end, and a hidden layer of 256 with batch norm. Convolutions start from
    He's uniform distribution (fan-in), linear layers from Xavier's. 1.64 M parameters, 0.134 G multiply-accumulates
    at 32x32.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the images.
        image_size: Height and width, at least 8; the hidden layer's input is flattened, so it is fixed.

    Raises:
        TypeError: ``image_size`` is not an integer.
        ValueError: The images are too small.

    Example:
        >>> sum(p.numel() for p in cnn8(num_classes=10).parameters())
        1639794
    """
    check_image_size("cnn8", image_size, smallest=8)
    hidden = [nn.Linear(196 * (image_size // 8) ** 2, 256), nn.BatchNorm1d(256), nn.ReLU()]
    layers = [*_six_convolutions(in_channels, last=196), *hidden]
    net = PlainCNN("cnn8", layers, 256, num_classes, in_channels, image_size)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_uniform_(module.weight, mode="fan_in", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
    return net
