"""Colour changes of a batch against torchvision's of one image: to the pixel for uint8, hue apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from noisylearn.data import color
from noisylearn.data.grouped import operate

BLENDS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, float], Tensor]]] = {
    "brightness": (color.brightness, functional.adjust_brightness),
    "contrast": (color.contrast, functional.adjust_contrast),
    "saturation": (color.saturation, functional.adjust_saturation),
    "sharpness": (color.sharpness, functional.adjust_sharpness),
}


def pictures(count: int, channels: int, height: int, width: int) -> Tensor:
    """Return random images, the first four of extreme pixels only."""
    generator = torch.Generator().manual_seed(height)
    images = torch.randint(256, (count, channels, height, width), generator=generator).to(torch.uint8)
    images[:2] = images[:2] // 128 * 255
    images[2], images[3] = 0, 255
    return images


def factors_of(count: int) -> Tensor:
    """Return the strengths of both policies, and others."""
    levels = [1 + sign * level for n in (10, 31) for level in torch.linspace(0, 0.9, n).tolist() for sign in (1, -1)]
    drawn = 2 * torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return torch.cat([torch.tensor(levels, dtype=torch.float64), drawn])[:count]


@pytest.mark.parametrize("name", BLENDS)
@pytest.mark.parametrize("size", [(32, 32), (28, 28), (8, 8), (2, 8), (12, 16), (7, 5), (3, 3)])
@pytest.mark.parametrize("channels", [1, 3])
def test_equal_to_torchvision_to_the_pixel(name: str, size: tuple[int, int], channels: int) -> None:
    ours, theirs = BLENDS[name]
    factors = factors_of(200)
    images = pictures(len(factors), channels, *size)
    before = images.clone()
    changed = ours(images, color.shares(factors))
    assert torch.equal(images, before)
    assert changed.dtype == torch.uint8
    for image, factor, result in zip(images, factors.tolist(), changed, strict=True):
        expected = theirs(image, factor)
        if image[0].numel() % 8 == 0:
            assert torch.equal(result, expected)
        else:  # torchvision rounds the pixels that fill no vector of the CPU otherwise than their equals
            assert (result.int() - expected.int()).abs().max() <= 1


@pytest.mark.parametrize("name", BLENDS)
def test_floats_as_torchvision(name: str) -> None:
    ours, theirs = BLENDS[name]
    factors = factors_of(120)
    images = pictures(len(factors), 3, 9, 8).float() / 255
    changed = ours(images, color.shares(factors))
    for image, factor, result in zip(images, factors.tolist(), changed, strict=True):
        torch.testing.assert_close(result, theirs(image, factor), rtol=0, atol=2e-6)


def test_the_grey_of_every_colour() -> None:
    # A factor of 0 leaves the grey image alone: a sum of three products, cut off, that must be right to the last bit.
    green, blue = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    for red in range(0, 256, 5):
        image = torch.stack([torch.full_like(green, red), green, blue]).to(torch.uint8)
        ours = color.saturation(image[None], color.shares(torch.zeros(1, dtype=torch.float64)))
        assert torch.equal(ours[0], functional.adjust_saturation(image, 0.0))


def test_hue_is_within_a_level() -> None:
    shifts = torch.cat([torch.tensor([-0.5, 0.0, 0.5, 1 / 3]), torch.rand(96) - 0.5])
    images = pictures(len(shifts), 3, 16, 16)
    images[4] = images[4, :1]  # grey
    turned = color.hue(images, shifts)
    theirs = torch.stack([functional.adjust_hue(i, s) for i, s in zip(images, shifts.tolist(), strict=True)])
    off = (turned.int() - theirs.int()).abs()
    assert off.max() <= 1
    assert (off > 0).float().mean() < 1e-3
    assert torch.equal(turned[4], images[4])
    floats = color.hue(images.float() / 255, shifts)
    theirs = torch.stack(
        [functional.adjust_hue(i.float() / 255, s) for i, s in zip(images, shifts.tolist(), strict=True)]
    )
    torch.testing.assert_close(floats, theirs, rtol=0, atol=1e-5)


def test_hue_of_one_channel() -> None:
    images = pictures(5, 1, 4, 4)
    assert torch.equal(color.hue(images, torch.rand(5)), images)


# ---- each image its own


def test_operate_equals_a_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    amounts = torch.randn(50, 3, generator=generator)
    calls: list[int] = []

    def add(images: Tensor, places: Tensor, step: int) -> Tensor:
        calls.append(len(images))
        return images + amounts[places, step, None]

    def scale(images: Tensor, places: Tensor, step: int) -> Tensor:
        return images * amounts[places, step, None]

    def never(images: Tensor, places: Tensor, step: int) -> Tensor:
        raise AssertionError("nobody chose it")

    images, chosen = torch.randn(50, 4, generator=generator), torch.randint(3, (50, 3), generator=generator)
    result = operate(images, chosen, [None, add, scale, never])
    for i in range(50):
        expected = images[i]
        for step, choice in enumerate(chosen[i].tolist()):
            expected = [expected, expected + amounts[i, step], expected * amounts[i, step]][choice]
        assert torch.equal(result[i], expected)
    assert calls == [int((chosen[:, step] == 1).sum()) for step in range(3)]
