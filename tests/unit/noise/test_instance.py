from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.stats import truncnorm
from torch.nn import functional as F

from noisylearn.noise import NoisyLabels, instance_dependent
from noisylearn.noise.instance import _chances, _scores

Labels = npt.NDArray[np.int64]
Images = npt.NDArray[np.generic]


def reference(labels: Labels, images: Images, num_classes: int, rate: float, seed: int, std: float = 0.1) -> Labels:
    """The reference's steps, one sample at a time in float32, on the global random state that they use."""
    before = np.random.get_state()
    np.random.seed(seed)
    flip = truncnorm((0 - rate) / std, (1 - rate) / std, loc=rate, scale=std).rvs(len(labels))
    weights = torch.from_numpy(np.random.randn(num_classes, images.shape[1], num_classes)).float()
    floats = torch.from_numpy(images).float()
    rows = []
    for i, label in enumerate(labels):
        scores = floats[i].view(1, -1).mm(weights[label]).squeeze(0)
        scores[label] = -torch.inf
        chances = float(flip[i]) * F.softmax(scores, dim=0)
        chances[label] += 1 - flip[i]
        rows.append(chances.numpy())
    drawn = [np.random.choice(num_classes, p=row) for row in rows]
    np.random.set_state(before)
    return np.array(drawn)


def random_images(n: int, size: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.RandomState(seed).randint(256, size=(n, size), dtype=np.uint8)


@pytest.mark.parametrize("num_classes", [2, 3, 10])
@pytest.mark.parametrize("rate", [0.05, 0.4, 0.8, 1.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_loop_on_raw_pixels(num_classes: int, rate: float, seed: int) -> None:
    images = random_images(600, 48)
    clean = np.random.RandomState(9).randint(num_classes, size=600)
    noisy = instance_dependent(clean, images, num_classes, rate, seed)
    np.testing.assert_array_equal(noisy.labels, reference(clean, images, num_classes, rate, seed))
    assert noisy.realised_rate > 0


@pytest.mark.parametrize("scale", [1e-3, 1.0])
def test_equals_the_loop_on_soft_scores(scale: float) -> None:
    """Normalised images: no softmax is a one-hot, every score takes the double-precision way."""
    images = np.random.RandomState(0).randn(600, 20).astype(np.float32) * np.float32(scale)
    clean = np.arange(600) % 5
    noisy = instance_dependent(clean, images, 5, 0.4, seed=3)
    np.testing.assert_array_equal(noisy.labels, reference(clean, images, 5, 0.4, seed=3))


def test_equals_the_loop_with_another_deviation_and_an_empty_class() -> None:
    images = random_images(400, 30)
    clean = np.arange(400) % 3 + 1  # class 0 has no sample, its weights are drawn all the same
    noisy = instance_dependent(clean, images, 4, 0.3, seed=2, std=0.25)
    np.testing.assert_array_equal(noisy.labels, reference(clean, images, 4, 0.3, seed=2, std=0.25))


@pytest.mark.parametrize("raw", [True, False])
def test_chances_do_not_depend_on_the_order_of_summation(raw: bool) -> None:
    """Bit for bit those of double-precision products, although most products are taken in single precision."""
    rng = np.random.RandomState(0)
    images = random_images(2000, 300) if raw else rng.randn(2000, 300)
    weights = rng.randn(300, 10).astype(np.float32)
    flip = rng.random_sample(2000)
    exact = images.astype(np.float32).astype(np.float64) @ weights.astype(np.float64)
    exact[:, 3] = -np.inf
    scores = _scores(images, np.arange(2000), weights, own=3)
    if not raw:
        np.testing.assert_allclose(scores, exact, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(_chances(scores, flip, own=3), _chances(exact, flip, own=3))


@pytest.mark.data
def test_equals_the_loop_on_cifar10() -> None:
    root = os.environ.get("NOISYLEARN_DATA")
    if not root:
        pytest.skip("NOISYLEARN_DATA is not set: it names the folder with cifar-10-batches-py")
    from torchvision.datasets import CIFAR10

    data = CIFAR10(root, train=True)
    images, clean = data.data[:1000].reshape(1000, -1), np.array(data.targets[:1000])
    for order in (images, data.data[:1000].transpose(0, 3, 1, 2).reshape(1000, -1)):
        noisy = instance_dependent(clean, order, 10, 0.4, seed=1)
        np.testing.assert_array_equal(noisy.labels, reference(clean, order, 10, 0.4, seed=1))


def make(**changes: object) -> NoisyLabels:
    arguments = {
        "labels": np.arange(200) % 10,
        "images_flat": random_images(200, 12),
        "num_classes": 10,
        "rate": 0.4,
        "seed": 0,
    }
    return instance_dependent(**(arguments | changes))  # type: ignore[arg-type]  # the arguments vary in type


def test_rate_is_the_mean_chance() -> None:
    noisy = make(labels=np.arange(20_000) % 10, images_flat=random_images(20_000, 12))
    # 20,000 flips with a chance of .4 on average: a standard error of .0035
    assert noisy.realised_rate == pytest.approx(0.4, abs=0.015)


def test_depends_on_the_image() -> None:
    """Same labels, draws and weights; other images."""
    assert (make().labels != make(images_flat=random_images(200, 12, seed=1)).labels).any()


def test_equal_images_of_a_class_have_one_confusing_class() -> None:
    noisy = make(images_flat=np.repeat(random_images(1, 12), 200, axis=0), rate=0.9)
    for own in range(10):
        wrong = noisy.labels[(noisy.clean == own) & noisy.flipped]
        assert len(set(wrong.tolist())) == 1


def test_global_random_state_is_left_alone() -> None:
    np.random.seed(4)
    first = np.random.random_sample(3)
    np.random.seed(4)
    make()
    np.testing.assert_array_equal(np.random.random_sample(3), first)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"images_flat": random_images(199, 12)},
            ValueError,
            r"`images_flat` must have shape \(200, S\), got \(199, 12\)",
        ),
        ({"images_flat": np.zeros((200, 2, 6))}, ValueError, r"must have shape \(200, S\), got \(200, 2, 6\)"),
        ({"images_flat": np.zeros((200, 0))}, ValueError, r"must have shape \(200, S\), got \(200, 0\)"),
        ({"images_flat": np.zeros((200, 12), complex)}, TypeError, r"must be real numbers, got dtype complex128"),
        ({"images_flat": np.full((200, 12), np.nan)}, ValueError, r"must be finite, got row 0 that is not"),
        ({"images_flat": np.full((200, 12), np.inf)}, ValueError, r"must be finite, got row 0 that is not"),
        ({"std": 0.0}, ValueError, r"`std` must be above 0 and finite, got 0.0"),
        ({"std": float("nan")}, ValueError, r"`std` must be above 0 and finite, got nan"),
        ({"std": "wide"}, TypeError, r"`std` must be a number above 0, got 'wide'"),
        ({"rate": 1.2}, ValueError, r"`rate` must be in \[0, 1\], got 1.2"),
        ({"num_classes": 9}, ValueError, r"`labels` must be in \[0, 9\), got 9"),
    ],
)
def test_refusals(changes: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(**changes)
