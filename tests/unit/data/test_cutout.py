"""Cutout against a loop over images written as the reference code writes it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from noisylearn.data import Cutout, cutout


def cutout_loop(images: np.ndarray, rows: np.ndarray, columns: np.ndarray, size: int, fill: list[int]) -> np.ndarray:
    out = images.copy()
    _, _, height, width = images.shape
    for image, y, x in zip(out, rows, columns, strict=True):
        y1, y2 = np.clip([y - size // 2, y - size // 2 + size], 0, height)
        x1, x2 = np.clip([x - size // 2, x - size // 2 + size], 0, width)
        image[:, y1:y2, x1:x2] = np.array(fill)[:, None, None]
    return out


@given(
    st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    st.integers(1, 12),
    st.integers(0, 2**32),
    st.sampled_from([torch.uint8, torch.float32]),
)
def test_equals_a_loop_over_images(shape: tuple[int, int, int, int], size: int, seed: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, shape, generator=generator).to(dtype)
    row, column = (torch.randint(side, (shape[0],), generator=generator) for side in shape[2:])
    fill = torch.randint(256, (shape[1],), generator=generator).tolist()
    ours = cutout(images, row, column, size, tuple(fill))
    assert ours.dtype == dtype
    np.testing.assert_array_equal(ours.numpy(), cutout_loop(images.numpy(), row.numpy(), column.numpy(), size, fill))


def test_the_centre_is_anywhere_alike() -> None:
    hole = Cutout(size=1, fill=(9,))
    images = torch.zeros(30_000, 1, 5, 3, dtype=torch.uint8)
    cut = hole(images, hole.draw(len(images), torch.Generator().manual_seed(0)))
    assert (cut == 9).sum() == len(images)
    shares = (cut == 9).float().mean(0)
    assert (shares - 1 / 15).abs().max() < 0.006


def test_black_by_default() -> None:
    hole = Cutout(100)
    assert not hole(torch.ones(3, 2, 4, 4), hole.draw(3, torch.Generator())).any()


def test_a_colour_of_other_channels() -> None:
    with pytest.raises(ValueError, match=r"`fill` must be one number or 1, one per channel, got \(1, 2, 3\)"):
        cutout(torch.zeros(2, 1, 4, 4), torch.tensor([0, 0]), torch.tensor([0, 0]), 2, fill=(1, 2, 3))


@pytest.mark.parametrize(("size", "error"), [(0, ValueError), (-2, ValueError), (1.5, TypeError)])
def test_a_size_that_is_none(size: float, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"`size` must be .*: pass a side in pixels, e.g. 16"):
        Cutout(size)
