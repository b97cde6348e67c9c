"""`make_noise`, and what holds for every generator that it names."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from noisylearn import noise
from noisylearn.noise import NOISE_KINDS, NoisyLabels, make_noise

NOISY_KINDS = [kind for kind in NOISE_KINDS if kind != "none"]
EXCLUSIVE = ["symmetric", "symmetric_exact", "pair_flip", "asym_block5", "asym_superclass"]


def classes_of(kind: str) -> int:
    return 100 if kind in ("asym_block5", "asym_superclass") else 10


def clean_labels(kind: str, n: int = 300, seed: int = 0) -> npt.NDArray[np.int64]:
    return np.random.RandomState(seed).randint(classes_of(kind), size=n)


def call(kind: str, labels: Any, rate: Any = 0.4, seed: Any = 0, **changes: Any) -> NoisyLabels:
    images = np.random.RandomState(1).randint(256, size=(max(1, len(labels)), 2, 3), dtype=np.uint8)
    arguments = {"num_classes": classes_of(kind), "images": images} | changes
    return make_noise(kind, labels, rate=rate, seed=seed, **arguments)


@given(kind=st.sampled_from(NOISY_KINDS), n=st.integers(1, 80), rate=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
def test_invariants(kind: str, n: int, rate: float, seed: int) -> None:
    clean = clean_labels(kind, n, seed=seed % 1000)
    before = clean.copy()
    noisy = call(kind, clean, rate, seed)
    np.testing.assert_array_equal(clean, before)
    np.testing.assert_array_equal(noisy.clean, before)
    assert not np.shares_memory(noisy.clean, clean)
    assert noisy.labels.dtype == np.int64
    assert noisy.labels.shape == (n,)
    assert noisy.labels.min() >= 0
    assert noisy.labels.max() < classes_of(kind)
    assert noisy.sha1 == call(kind, clean, rate, seed).sha1
    assert (noisy.generator, noisy.rate, noisy.seed) == (kind, rate, seed)


@given(kind=st.sampled_from(NOISE_KINDS), n=st.integers(1, 80), seed=st.integers(0, 1000))
def test_rate_zero_changes_nothing(kind: str, n: int, seed: int) -> None:
    clean = clean_labels(kind, n, seed)
    np.testing.assert_array_equal(call(kind, clean, 0.0, seed).labels, clean)


@given(kind=st.sampled_from(EXCLUSIVE), n=st.integers(1, 80), seed=st.integers(0, 1000))
def test_exclusive_never_draws_the_own_class(kind: str, n: int, seed: int) -> None:
    assert call(kind, clean_labels(kind, n, seed), 1.0, seed).flipped.all()


@pytest.mark.parametrize("kind", NOISY_KINDS)
def test_another_seed_gives_other_labels(kind: str) -> None:
    clean = clean_labels(kind)
    assert call(kind, clean, seed=0).sha1 != call(kind, clean, seed=1).sha1


@pytest.mark.parametrize("kind", NOISY_KINDS)
def test_the_kind_is_the_function_of_its_name(kind: str) -> None:
    clean = clean_labels(kind)
    if kind.endswith("_inplace"):
        direct = noise.asymmetric_cifar10_exact(clean, 0.4, seed=3, legacy_inplace=True)
    elif kind == "instance_dependent":
        images = np.random.RandomState(1).randint(256, size=(300, 2, 3), dtype=np.uint8)
        direct = noise.instance_dependent(clean, images.reshape(300, 6), 10, 0.4, seed=3)
    elif kind in ("symmetric", "symmetric_inclusive", "symmetric_exact", "symmetric_inclusive_exact", "pair_flip"):
        direct = getattr(noise, kind)(clean, 10, 0.4, seed=3)
    else:
        direct = getattr(noise, kind)(clean, 0.4, seed=3)
    assert call(kind, clean, seed=3).sha1 == direct.sha1


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_lists_and_tensors_are_labels_too(kind: str) -> None:
    clean = clean_labels(kind, 40)
    expected = call(kind, clean).sha1
    assert call(kind, clean.tolist()).sha1 == expected
    assert call(kind, torch.from_numpy(clean)).sha1 == expected
    assert call(kind, clean.astype(np.uint8)).sha1 == expected


def test_images_can_be_a_tensor() -> None:
    images = np.random.RandomState(0).randint(256, size=(40, 3, 2, 2), dtype=np.uint8)
    clean = clean_labels("instance_dependent", 40)
    expected = call("instance_dependent", clean, images=images).sha1
    assert call("instance_dependent", clean, images=torch.from_numpy(images)).sha1 == expected


def test_none_says_rate_zero() -> None:
    noisy = call("none", [1, 2, 3], rate=0.4)
    assert (noisy.rate, noisy.realised_rate, noisy.generator) == (0.0, 0.0, "none")


@pytest.mark.parametrize("kind", NOISE_KINDS)
@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([0, 1, 100], ValueError, r"`labels` must be in \[0, \d+\), got 100 at position 2"),
        ([0, -1], ValueError, r"`labels` must be in \[0, \d+\), got -1 at position 1"),
        ([0.0, 1.0], TypeError, r"`labels` must be integer class ids, got dtype float64"),
        ([], ValueError, r"`labels` must hold at least one label, got none"),
        ([[0, 1]], ValueError, r"`labels` must be 1-D, got shape \(1, 2\)"),
    ],
)
def test_bad_labels(kind: str, labels: list[Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(kind, labels)


@pytest.mark.parametrize("kind", NOISY_KINDS)
@pytest.mark.parametrize("rate", [-0.1, 1.4, 40, float("nan")])
def test_rate_out_of_range(kind: str, rate: float) -> None:
    with pytest.raises(ValueError, match=r"`rate` must be in \[0, 1\], got"):
        call(kind, [0, 1], rate)


@pytest.mark.parametrize("kind", NOISY_KINDS)
def test_rate_that_is_no_number(kind: str) -> None:
    with pytest.raises(TypeError, match=r"`rate` must be a number in \[0, 1\], got '0.4'"):
        call(kind, [0, 1], "0.4")


@pytest.mark.parametrize("kind", NOISE_KINDS)
@pytest.mark.parametrize(
    ("seed", "error", "message"),
    [
        (-1, ValueError, r"`seed` must be in \[0, 2\*\*32\), got -1"),
        (2**32, ValueError, r"`seed` must be in \[0, 2\*\*32\), got 4294967296"),
        (None, TypeError, r"`seed` must be an integer, got None"),
        (1.0, TypeError, r"`seed` must be an integer, got 1.0"),
    ],
)
def test_bad_seed(kind: str, seed: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(kind, [0, 1], seed=seed)


@pytest.mark.parametrize("kind", [kind for kind in NOISE_KINDS if not kind.startswith("asym")])
def test_one_class(kind: str) -> None:
    with pytest.raises(ValueError, match=r"`num_classes` must be at least 2, got 1: one class has no wrong label"):
        call(kind, [0, 0], num_classes=1)


@pytest.mark.parametrize("kind", [kind for kind in NOISE_KINDS if kind.startswith("asym")])
def test_fixed_number_of_classes(kind: str) -> None:
    with pytest.raises(ValueError, match=rf"`num_classes` must be {classes_of(kind)} for '{kind}' noise, got 7"):
        call(kind, [0, 1], num_classes=7)


def test_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"`kind` must be one of .*'symetric' \(did you mean 'symmetric'\?\)"):
        call("symetric", [0, 1])


def test_instance_dependent_needs_images() -> None:
    with pytest.raises(ValueError, match=r"`images` must be given for 'instance_dependent' noise, got None"):
        call("instance_dependent", [0, 1], images=None)


@pytest.mark.parametrize("kind", [kind for kind in NOISE_KINDS if kind != "asymmetric_cifar10_exact_inplace"])
def test_the_expected_wrong_rate_is_what_comes_out(kind: str) -> None:
    classes, rate = classes_of(kind), 0.4
    clean = np.arange(20_000) % classes
    realised = call(kind, clean, rate).realised_rate if kind != "none" else 0.0
    # Instance-dependent rates are drawn around the rate and cut at 0 and 1: the mean stays near it.
    assert noise.expected_wrong_rate(kind, rate, classes) == pytest.approx(realised, abs=0.012)


def test_the_expected_wrong_rate_refuses_what_make_noise_refuses() -> None:
    with pytest.raises(ValueError, match="`kind` must be one of"):
        noise.expected_wrong_rate("pairflip", 0.4, 10)
    with pytest.raises(ValueError, match=r"`rate` must be in \[0, 1\], got 40"):
        noise.expected_wrong_rate("pair_flip", 40, 10)
