"""The operations of AutoAugment and RandAugment on a batch, each image its own, to the pixel as torchvision does them.

Half of them need no arithmetic here. What depends on the operation alone is asked of torchvision once and looked up
from then on: to which level a brightness, a posterization, a solarization or an inversion takes each of the 256
levels, and from which pixel a shear, a translation or a rotation takes each of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import functional

from noisylearn.data.color import contrast, saturation, shares, sharpness
from noisylearn.data.grouped import operate

HIGHEST = {
    **dict.fromkeys(("ShearX", "ShearY"), 0.3),
    **dict.fromkeys(("TranslateX", "TranslateY"), 150 / 331),  # of the image's side
    "Rotate": 30.0,
    **dict.fromkeys(("Brightness", "Color", "Contrast", "Sharpness"), 0.9),
}
"""The strongest of the operations that go either way."""


class Operation(NamedTuple):
    """One operation at one strength.

    Attributes:
        name: As torchvision and the papers call it.
        level: Its strength, from 0 to ``levels`` - 1.
        levels: How many strengths there are.
        sign: 1, or -1 to go the other way.

    Example:
        >>> Operation("Rotate", level=3, levels=10, sign=-1).magnitude(height=32, width=32)
        -10.0
    """

    name: str
    level: int = 0
    levels: int = 10
    sign: int = 1

    def magnitude(self, height: int, width: int) -> float:
        """Return the number that torchvision takes for it in an image of this size."""
        if self.name == "Posterize":
            return round(8 - 4 * self.level / (self.levels - 1))
        if self.name == "Solarize":
            return 255 * float(torch.linspace(1, 0, self.levels)[self.level])
        side = {"TranslateX": width, "TranslateY": height}.get(self.name, 1)
        return self.sign * float(torch.linspace(0, HIGHEST.get(self.name, 0.0) * side, self.levels)[self.level])


def apply_operations(images: Tensor, chosen: Tensor, operations: tuple[Operation, ...]) -> Tensor:
    """Put every image through its own operations, one after the other.

    Args:
        images: ``(B, C, H, W)`` uint8 on any device, C 1 or 3.
        chosen: ``(B, steps)`` int64 on the CPU, positions in ``operations``.
        operations: What there is to choose from.

    Returns:
        ``(B, C, H, W)`` uint8; what comes in from outside the image is black.

    Raises:
        TypeError: The images are not uint8: an equalization is of 256 levels.
        ValueError: They have neither 1 nor 3 channels.

    Example:
        >>> images = torch.tensor([0, 100, 255], dtype=torch.uint8).view(1, 1, 1, 3).repeat(2, 1, 1, 1)
        >>> operations = Operation("Invert"), Operation("TranslateX", level=9, sign=-1)
        >>> apply_operations(images, torch.tensor([[0, 0], [0, 1]]), operations).flatten(1).tolist()
        [[0, 100, 255], [155, 0, 0]]
    """
    if images.dtype != torch.uint8:
        raise TypeError(f"`images` must be uint8 for a policy, got {images.dtype}: keep them as 0..255 until then")
    if images.shape[1] not in (1, 3):
        raise ValueError(f"`images` must have 1 or 3 channels for a policy, got {images.shape[1]}: pass no policy")
    tables = _tables(operations, images.shape[2], images.shape[3], images.device)
    codes = chosen.to(images.device, non_blocking=True)

    def run(kind: _Kind, part: Tensor, where: Tensor, step: int) -> Tensor:
        return kind(part, codes[where, step], tables)

    return operate(images, tables.kinds[chosen], [kind and partial(run, kind) for kind in _KINDS.values()])


# ---- what torchvision is asked, once


def _affine(image: Tensor, **arguments: Any) -> Any:
    still: dict[str, Any] = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    return functional.affine(image, **{**still, **arguments})


_LEVELS: dict[str, Callable[[Tensor, Any], Any]] = {
    "Brightness": lambda image, by: functional.adjust_brightness(image, 1 + by),
    "Posterize": functional.posterize,
    "Solarize": functional.solarize,
    "Invert": lambda image, _: functional.invert(image),
}
# A shear is about the upper left corner and by a tangent, as in the authors' code.
_PLACES: dict[str, Callable[[Tensor, float], Any]] = {
    "ShearX": lambda image, by: _affine(image, shear=[math.degrees(math.atan(by)), 0.0], center=[0, 0]),
    "ShearY": lambda image, by: _affine(image, shear=[0.0, math.degrees(math.atan(by))], center=[0, 0]),
    "TranslateX": lambda image, by: _affine(image, translate=[int(by), 0]),
    "TranslateY": lambda image, by: _affine(image, translate=[0, int(by)]),
    "Rotate": functional.rotate,
}


class _Tables(NamedTuple):
    kinds: Tensor  # (K,) positions in _KINDS, on the CPU
    levels: Tensor  # (K, 256) uint8: what becomes of each level
    places: Tensor  # (K, H * W) int64: where each pixel comes from; H * W is outside
    shares: Tensor  # (K, 2) float32: of the image and of what it is blended with


@lru_cache(maxsize=64)
def _tables(operations: tuple[Operation, ...], height: int, width: int, device: torch.device) -> _Tables:
    level = torch.arange(256, dtype=torch.uint8).view(1, 1, 256)
    place = torch.arange(1, height * width + 1, dtype=torch.float32).view(1, height, width)  # 0 comes from outside
    names, kinds, levels, places = list(_KINDS), [], [], []
    magnitudes = [operation.magnitude(height, width) for operation in operations]
    for (name, *_), magnitude in zip(operations, magnitudes, strict=True):
        kinds.append(names.index("Levels" if name in _LEVELS else "Places" if name in _PLACES else name))
        levels.append(_LEVELS[name](level, magnitude) if name in _LEVELS else level)
        places.append(_PLACES[name](place, magnitude) if name in _PLACES else place)
    came_from = torch.cat(places).flatten(1).long() - 1
    return _Tables(
        torch.tensor(kinds),
        torch.cat(levels).view(-1, 256).to(device),
        came_from.where(came_from >= 0, height * width).to(device),
        shares(1 + torch.tensor(magnitudes, dtype=torch.float64)).to(device),
    )


# ---- what is done to a batch


def _change_levels(images: Tensor, codes: Tensor, tables: _Tables) -> Tensor:
    return tables.levels[codes].gather(1, images.flatten(1).long()).view(images.shape)


def _change_places(images: Tensor, codes: Tensor, tables: _Tables) -> Tensor:
    places = tables.places[codes][:, None].expand(-1, images.shape[1], -1)
    return F.pad(images.flatten(2), (0, 1)).gather(2, places).view(images.shape)


_Kind = Callable[[Tensor, Tensor, _Tables], Tensor]
_KINDS: dict[str, _Kind | None] = {
    "Identity": None,
    "Levels": _change_levels,
    "Places": _change_places,
    "Contrast": lambda images, codes, tables: contrast(images, tables.shares[codes]),
    "Color": lambda images, codes, tables: saturation(images, tables.shares[codes]),
    "Sharpness": lambda images, codes, tables: sharpness(images, tables.shares[codes]),
    "AutoContrast": lambda images, *_: functional.autocontrast(images),
    "Equalize": lambda images, *_: functional.equalize(images),
}
