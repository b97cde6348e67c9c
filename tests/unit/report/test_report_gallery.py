from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from noisylearn.report import Gallery, gallery_from_data
from noisylearn.report.gallery import MAX_SIDE


def decoded(uri: str) -> np.ndarray:
    head, body = uri.split(",", 1)
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))))


@pytest.mark.parametrize("channels", [1, 3])
def test_images_come_back_bit_for_bit(channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (10, channels, 8, 6), dtype=np.uint8)
    uris = gallery_from_data(images, [7, 2]).data_uris()
    assert list(uris) == [7, 2]
    for index, uri in uris.items():
        expected = images[index].transpose(1, 2, 0)
        np.testing.assert_array_equal(decoded(uri), expected if channels == 3 else expected[..., 0])


def test_tensors_are_accepted() -> None:
    torch = pytest.importorskip("torch")
    images = torch.arange(5 * 3 * 4 * 4).remainder(256).to(torch.uint8).reshape(5, 3, 4, 4)
    gallery = gallery_from_data(images, np.array([4]))
    np.testing.assert_array_equal(gallery.images[0], images[4].permute(1, 2, 0).numpy())


def test_large_images_are_reduced_with_their_shape_kept() -> None:
    uri = Gallery(np.zeros((1, 400, 200, 3), np.uint8), np.array([0])).data_uris()[0]
    assert decoded(uri).shape == (MAX_SIDE, MAX_SIDE // 2, 3)


def test_wrong_images_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`images` must be uint8 of shape \(k, H, W, 1 or 3\), got float64"):
        Gallery(np.zeros((1, 8, 8, 3)), np.array([0]))  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(ValueError, match=r"`images` must be uint8 of shape .* got uint8 of \(1, 8, 8, 2\)"):
        gallery_from_data(np.zeros((3, 2, 8, 8), np.uint8), [0])
    with pytest.raises(ValueError, match=r"`images` must have the shape \(N, C, H, W\), got \(3, 8, 8\)"):
        gallery_from_data(np.zeros((3, 8, 8), np.uint8), [0])
    with pytest.raises(ValueError, match="`indices` must have one entry per image"):
        Gallery(np.zeros((2, 8, 8, 3), np.uint8), np.array([0]))
    with pytest.raises(IndexError, match=r"`indices` must be in \[0, 3\), got 1 to 3"):
        gallery_from_data(np.zeros((3, 1, 8, 8), np.uint8), [1, 3])
