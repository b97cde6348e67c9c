"""Networks of timm, fed as they expect: their own input size and normalisation."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noisylearn._checks import nearest


class TimmBackbone(nn.Module):
    """A timm network from random weights, with its own resizing and normalisation in front.

    **It expects un-normalised images in** ``[0, 1]``: it applies the mean and standard deviation of the network's
    ``pretrained_cfg`` itself, so switch off the data's normalisation. Images of another size than the configuration's
    are resized bilinearly (anti-aliased, both sides independently). Nothing is downloaded. For images of other than 3
    channels the averages of the three means and of the three deviations are used for each channel.

    Args:
        name: A name of ``timm.list_models()``, e.g. ``"resnet18"``.
        num_classes: Number of classes.
        in_channels: Channels of the images.

    Raises:
        ValueError: timm knows no such network; the message gives the nearest names.

    Example:
        >>> net = TimmBackbone("test_vit", num_classes=10, in_channels=1)
        >>> net.input_size
        (160, 160)
        >>> net(torch.rand(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, num_classes: int, in_channels: int = 3) -> None:
        super().__init__()
        import timm  # half a second and torchvision: only for those who ask for it

        if not timm.is_model(name):
            close = nearest(name, timm.list_models())
            guess = "; did you mean " + " or ".join(f"`{n}`" for n in close) + "?" if close else ""
            raise ValueError(f"no timm network `{name}`{guess}\nsee timm.list_models() for all names")
        self.network: nn.Module = timm.create_model(
            name, pretrained=False, num_classes=num_classes, in_chans=in_channels
        )
        config: Any = self.network.pretrained_cfg
        self.in_channels = in_channels
        self._range_checked = False
        self.input_size: tuple[int, int] = tuple(config["input_size"][1:])
        # Constants of the architecture, not of the training: they stay out of checkpoints.
        self.register_buffer("mean", _per_channel(config["mean"], in_channels), persistent=False)
        self.register_buffer("std", _per_channel(config["std"], in_channels), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map ``(B, in_channels, H, W)`` floating images in ``[0, 1]`` to ``(B, num_classes)`` logits.

        Raises:
            TypeError: The images are integers.
            ValueError: They are not 4-D, have another number of channels, or (seen in the first batch only: a GPU would
                wait) leave ``[0, 1]``, as normalised images do.
        """
        if not images.is_floating_point():
            way_out = "convert them with images.float() / 255"
            raise TypeError(f"`images` must be floating point in [0, 1], got {images.dtype}: {way_out}")
        if images.ndim != 4 or images.shape[1] != self.in_channels:
            found = f"got {tuple(images.shape)}"
            way_out = "build the network with the `in_channels` of your data"
            raise ValueError(f"`images` must be (B, {self.in_channels}, H, W), {found}: {way_out}")
        if not self._range_checked:
            _check_range(images)
            self._range_checked = True
        images = (images - self.mean) / self.std
        if tuple(images.shape[2:]) != self.input_size:
            images = F.interpolate(images, size=self.input_size, mode="bilinear", antialias=True)
        logits: Tensor = self.network(images)
        return logits


def _check_range(images: Tensor) -> None:
    low, high = (float(end) for end in images.detach().aminmax())
    if low < -1e-3 or high > 1 + 1e-3:
        raise ValueError(
            f"`images` must be in [0, 1], since the network normalises them itself, got values in [{low:.2f}, "
            f"{high:.2f}]: switch off the data's normalisation (`normalize=False`, `--data.normalize false`)"
        )


def _per_channel(values: tuple[float, ...], in_channels: int) -> Tensor:
    if in_channels != len(values):
        values = (sum(values) / len(values),) * in_channels
    return torch.tensor(values).view(1, -1, 1, 1)
