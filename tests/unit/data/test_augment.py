"""Crop and flip against a loop over images, and against torchvision for one shift at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional

from noisylearn.data import Augment, crop_flip


def crop_flip_loop(images: np.ndarray, draws: np.ndarray, padding: int) -> np.ndarray:
    out = np.empty_like(images)
    _, _, height, width = images.shape
    for i, image in enumerate(images):
        top, left, flip = draws[i]
        padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
        crop = padded[:, top : top + height, left : left + width]
        out[i] = crop[:, :, ::-1] if flip else crop
    return out


@given(
    st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)),
    st.integers(0, 4),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_equals_a_loop_over_images(shape: tuple[int, int, int, int], padding: int, flip: bool, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, shape, generator=generator).to(torch.uint8)
    augment = Augment(padding, flip)
    draws = augment.draw(len(images), generator)
    expected = crop_flip_loop(images.numpy(), draws.numpy(), padding)
    np.testing.assert_array_equal(augment(images, draws).numpy(), expected)
    last = images.contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(augment(last, draws).numpy(), expected)


def test_equals_torchvision() -> None:
    images = torch.arange(2 * 3 * 5 * 6, dtype=torch.uint8).view(2, 3, 5, 6)
    top, left, flip = torch.tensor([0, 3]), torch.tensor([4, 1]), torch.tensor([1, 0])
    ours = crop_flip(images, top, left, flip, padding=2)
    padded = functional.pad(images, [2, 2, 2, 2])
    first = functional.horizontal_flip(functional.crop(padded[0], 0, 4, 5, 6))
    assert torch.equal(ours[0], first)
    assert torch.equal(ours[1], functional.crop(padded[1], 3, 1, 5, 6))


def test_draws_cover_every_shift_and_both_sides_alike() -> None:
    draws = Augment(2).draw(10_000, torch.Generator().manual_seed(0))
    for column, values in ((0, 5), (1, 5), (2, 2)):
        counts = torch.bincount(draws[:, column], minlength=values).float() / 10_000
        assert counts.shape == (values,)
        assert (counts - 1 / values).abs().max() < 0.02


def test_nothing_asked_changes_nothing() -> None:
    images = torch.arange(12, dtype=torch.uint8).view(1, 1, 3, 4)
    augment = Augment(0, flip=False)
    assert augment(images, augment.draw(1, torch.Generator())) is images


def test_negative_padding() -> None:
    with pytest.raises(ValueError, match=r"`crop_padding` must be at least 1, got -1: .* or 0 for no crop"):
        Augment(-1)
