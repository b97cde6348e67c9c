from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisylearn.noise import (
    asymmetric_cifar10_exact,
    asymmetric_cifar10_pooled,
    symmetric_exact,
    symmetric_inclusive_exact,
)

Labels = npt.NDArray[np.int64]
CONFUSED = {9: 1, 2: 0, 3: 5, 5: 3, 4: 7}


def elr_symmetric(clean: Labels, num_classes: int, rate: float, seed: int) -> Labels:
    """ELR's steps, one sample at a time."""
    rng = np.random.RandomState(seed)
    noisy = clean.copy()
    for i, sample in enumerate(rng.permutation(len(clean))):
        if i < rate * len(clean):
            noisy[sample] = rng.randint(num_classes, dtype=np.int32)
    return noisy


def elr_asymmetric(clean: Labels, rate: float, seed: int, inplace: bool) -> Labels:
    """ELR's steps, one sample at a time; in place as ELR has it, or looking members up in the clean labels."""
    rng = np.random.RandomState(seed)
    noisy = clean.copy()
    for source in range(10):
        members = np.where((noisy if inplace else clean) == source)[0]
        rng.shuffle(members)
        for j, sample in enumerate(members):
            if j < rate * len(members) and source in CONFUSED:
                noisy[sample] = CONFUSED[source]
    return noisy


@pytest.mark.parametrize(("n", "rate"), [(100, 0.2), (1000, 0.9), (50, 0.5), (7, 1.0)])
def test_inclusive_is_elr_seeded(n: int, rate: float) -> None:
    clean = np.arange(n) * 3 % 10
    noisy = symmetric_inclusive_exact(clean, 10, rate, seed=5)
    np.testing.assert_array_equal(noisy.labels, elr_symmetric(clean, 10, rate, seed=5))


@pytest.mark.parametrize("inplace", [False, True])
def test_asymmetric_is_elr_seeded(inplace: bool) -> None:
    clean = np.arange(1000) * 7 % 10
    noisy = asymmetric_cifar10_exact(clean, 0.4, seed=2, legacy_inplace=inplace)
    np.testing.assert_array_equal(noisy.labels, elr_asymmetric(clean, 0.4, 2, inplace))


def test_inplace_rounds_up_as_elr_does() -> None:
    clean = np.array([3] * 11 + [5] * 9)  # 4.4 cats
    noisy = asymmetric_cifar10_exact(clean, 0.4, seed=0, legacy_inplace=True)
    np.testing.assert_array_equal(noisy.labels, elr_asymmetric(clean, 0.4, 0, inplace=True))
    assert (asymmetric_cifar10_exact(clean, 0.4, seed=0).labels[:11] == 5).sum() == 4


@given(n=st.integers(1, 300), num_classes=st.integers(2, 20), percent=st.integers(0, 100), seed=st.integers(0, 99))
def test_exclusive_count_is_exact(n: int, num_classes: int, percent: int, seed: int) -> None:
    clean = np.arange(n) % num_classes
    noisy = symmetric_exact(clean, num_classes, percent / 100, seed)
    assert noisy.flipped.sum() == n * percent // 100


def test_count_survives_binary_fractions() -> None:
    assert 0.29 * 100 < 29
    assert symmetric_exact(np.zeros(100, np.int64), 10, 0.29).flipped.sum() == 29


def test_exclusive_reaches_every_other_class_equally() -> None:
    noisy = symmetric_exact(np.full(9000, 4), 10, 1.0)
    counts = np.bincount(noisy.labels, minlength=10)
    assert counts[4] == 0
    # 1,000 expected each, with a standard deviation of 30
    assert (abs(np.delete(counts, 4) - 1000) < 150).all()


def test_inclusive_leaves_a_tenth_right() -> None:
    noisy = symmetric_inclusive_exact(np.arange(20_000) % 10, 10, 0.8)
    # 16,000 fresh labels, a tenth of them right: .72 with a standard error of .0019
    assert noisy.realised_rate == pytest.approx(0.72, abs=0.01)


def test_per_class_counts_are_exact() -> None:
    clean = np.arange(2000) % 10
    noisy = asymmetric_cifar10_exact(clean, 0.4, seed=1)
    for source in range(10):
        moved = noisy.labels[(clean == source) & noisy.flipped]
        assert len(moved) == (80 if source in CONFUSED else 0)
        assert set(moved.tolist()) <= {CONFUSED.get(source)}


def test_pooled_moves_those_picked_and_no_others() -> None:
    clean = np.arange(2000) % 10
    noisy = asymmetric_cifar10_pooled(clean, 0.4, seed=1)
    picked = np.random.RandomState(1).permutation(2000)[:800]
    for i in range(2000):
        assert noisy.labels[i] == (CONFUSED.get(clean[i], clean[i]) if i in picked else clean[i])
    assert noisy.realised_rate == pytest.approx(0.2, abs=0.03)


def test_generator_names_the_fault() -> None:
    assert asymmetric_cifar10_exact([3], 0.4).generator == "asymmetric_cifar10_exact"
    assert asymmetric_cifar10_exact([3], 0.4, legacy_inplace=True).generator == "asymmetric_cifar10_exact_inplace"


@pytest.mark.data
def test_inplace_rates_on_cifar10(cifar_n: Callable[[str], dict[str, Labels]]) -> None:
    clean = cifar_n("cifar10n")["clean_label"]
    noisy = asymmetric_cifar10_exact(clean, 0.4, seed=0, legacy_inplace=True)

    def moved(source: int, target: int) -> float:
        return float((noisy.labels[clean == source] == target).mean())

    # 2,000 of 5,000 cats become dogs, then 2,800 of the 7,000 "dogs" become cats, about 800 of them back again: cats
    # .24 with a standard error of .0037, all labels .184 with .0007. ELR's own draw, unseeded, gave .241 and .1842.
    assert moved(3, 5) == pytest.approx(0.24, abs=0.012)
    assert moved(5, 3) == pytest.approx(0.40, abs=0.012)
    assert noisy.realised_rate == pytest.approx(0.184, abs=0.0024)
    for source, target in [(9, 1), (2, 0), (4, 7)]:
        assert moved(source, target) == 0.4
    np.testing.assert_array_equal(noisy.labels, elr_asymmetric(clean, 0.4, 0, inplace=True))
    assert asymmetric_cifar10_exact(clean, 0.4, seed=0).realised_rate == pytest.approx(0.2, abs=1e-9)
