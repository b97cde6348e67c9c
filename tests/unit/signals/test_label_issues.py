"""Label issues: the masks that cleanlab printed, cleanlab itself where it is installed, and slow loops."""

from __future__ import annotations

import math
import warnings

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from noisylearn.signals.label_issues import FilterBy, _joint_counts, class_thresholds, label_issues

QUICK = settings(deadline=None, max_examples=40)
FILTERS: tuple[FilterBy, ...] = ("prune_by_noise_rate", "confident_learning")


def make(num_samples: int, num_classes: int, seed: int) -> tuple[Tensor, Tensor]:
    """Probabilities that favour the right class, and labels of which three in ten are drawn anew."""
    rng = np.random.RandomState(seed)
    clean = rng.randint(num_classes, size=num_samples)
    logits = rng.randn(num_samples, num_classes)
    logits[np.arange(num_samples), clean] += 4 * rng.rand(num_samples)
    given_label = np.where(rng.rand(num_samples) < 0.3, rng.randint(num_classes, size=num_samples), clean)
    probs = np.exp(logits)
    return torch.from_numpy(probs / probs.sum(1, keepdims=True)), torch.from_numpy(given_label)


# Printed by cleanlab 2.9.0's `find_label_issues(given, probs, filter_by=...)` on `make(N, C, seed)`, eight samples a
# byte. Of these seeds the mask does not hang on how equal remainders are sorted. The last two lack some classes.
GOLDEN = [
    (60, 2, 0, "501a668441800000", "501a628401800000"),
    (160, 3, 0, "02c92808400c1421011098880023802480323710", "02c80008400c1421081088080022012408321700"),
    (
        *(240, 10, 226),
        "401842605f01100185eecc8fe0e048e72280201a1343517b8a9397910ea0",
        "401842201f01100385eac08de0e048e72280201a1340507b8a9392910a81",
    ),
    (20, 12, 1, "564000", "56c320"),
    (70, 30, 462, "bb30b89b407ce56b70", "bbb0bc9b487ce56bf8"),
]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("num_samples", "num_classes", "seed", "pruned", "confident"), GOLDEN)
def test_masks_that_cleanlab_printed(
    num_samples: int, num_classes: int, seed: int, pruned: str, confident: str, dtype: torch.dtype
) -> None:
    probs, targets = make(num_samples, num_classes, seed)
    for filter_by, packed in zip(FILTERS, (pruned, confident), strict=True):
        mask = label_issues(probs.to(dtype), targets, filter_by)
        assert np.packbits(mask.numpy()).tobytes().hex() == packed


def cases() -> list[tuple[Tensor, Tensor]]:
    """Many and few samples and classes; classes with one sample and with none; probabilities that saturate.

    On the two at the end of `sizes`, the last bit of the scaled counts decides.
    """
    sizes = [(30, 2, 0), (50, 17, 1), (200, 5, 2), (3000, 100, 4), (13, 10, 5), (300, 10, 1), (600, 17, 123)]
    out = [make(*size) for size in sizes]
    probs, targets = make(500, 4, 7)
    sharp = torch.softmax(probs.log() * 30, 1)
    return [*out, (sharp, targets), (probs, targets.clamp(max=2)), (probs, (targets > 0).long())]


@pytest.mark.parametrize("filter_by", FILTERS)
@pytest.mark.parametrize("case", range(10))
def test_masks_equal_the_cleanlab_installed(case: int, filter_by: FilterBy) -> None:
    cleanlab = pytest.importorskip("cleanlab.filter")
    probs, targets = cases()[case]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes with one sample
        theirs = cleanlab.find_label_issues(targets.numpy(), probs.numpy(), filter_by=filter_by, n_jobs=1)
    assert theirs.any()
    assert label_issues(probs, targets, filter_by).tolist() == theirs.tolist()


def slow_thresholds(probs: list[list[float]], labels: list[int]) -> list[float]:
    out = []
    for k in range(len(probs[0])):
        own = [p[k] for p, g in zip(probs, labels, strict=True) if g == k]
        out.append(max(math.fsum(own) / len(own), 2e-6) if own else math.inf)
    return out


def slow_confident(probs: list[list[float]], labels: list[int]) -> list[int]:
    """The class each sample is counted for; -1 for none."""
    bounds = [t - 1e-6 for t in slow_thresholds(probs, labels)]
    out = []
    for p in probs:
        reached = [k for k, value in enumerate(p) if value >= bounds[k]]
        out.append(-1 if not reached else reached[0] if len(reached) == 1 else p.index(max(p)))
    return out


def predicted_as_given(p: list[float], label: int) -> bool:
    raised = [value + 1e-6 if k == label else value for k, value in enumerate(p)]
    return raised.index(max(raised)) == label


def slow_pruned(probs: list[list[float]], labels: list[int], joint: npt.NDArray[np.int64]) -> list[bool]:
    issues = [False] * len(labels)
    for k in range(len(joint)):
        rows = [i for i, g in enumerate(labels) if g == k]
        for j in range(len(joint)):
            if j != k:
                for i in sorted(rows, key=lambda i, j=j, k=k: probs[i][k] - probs[i][j])[: joint[k, j]]:
                    issues[i] = True
    return [flag and not predicted_as_given(p, g) for flag, p, g in zip(issues, probs, labels, strict=True)]


# Few values, so that classes tie with each other and samples with the threshold, exactly, within the slack, and at its
# end; sums need not be 1 here.
coarse = st.lists(st.sampled_from([0.0, 0.25, 0.5 - 2e-6, 0.5 - 1e-6, 0.5 - 5e-7, 0.5, 0.75]), min_size=3, max_size=3)
rows = st.lists(st.tuples(coarse, st.integers(0, 2)), min_size=1, max_size=25)


@QUICK
@given(rows)
def test_every_step_equals_its_slow_loop(drawn: list[tuple[list[float], int]]) -> None:
    table, labels = [p for p, _ in drawn], [g for _, g in drawn]
    probs, targets = torch.tensor(table, dtype=torch.float64), torch.tensor(labels)
    assert class_thresholds(probs, targets).tolist() == pytest.approx(slow_thresholds(table, labels), rel=1e-12)
    confident = slow_confident(table, labels)
    counted = [
        c not in (-1, g) and not predicted_as_given(p, g) for c, p, g in zip(confident, table, labels, strict=True)
    ]
    assert label_issues(probs, targets, "confident_learning").tolist() == counted
    joint = _joint_counts(torch.tensor(confident), targets, 3)
    # Equal margins come in the order of the samples, as in Python's stable sort.
    assert label_issues(probs, targets).tolist() == slow_pruned(table, labels, joint)


@QUICK
@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_joint_counts_are_the_scaled_counts_rounded_with_their_row_sums_kept(pairs: list[tuple[int, int]]) -> None:
    confident, labels = torch.tensor([c for c, _ in pairs]), torch.tensor([g for _, g in pairs])
    joint = _joint_counts(confident, labels, 5)
    for k in range(5):
        size = sum(g == k for _, g in pairs)
        counts = [sum(c == j and g == k for c, g in pairs) for j in range(5)]
        counts[k] = max(counts[k], 1)
        exact = [count * size / sum(counts) for count in counts]
        if size and joint[k, k]:
            assert joint[k].sum() == size
        assert all(x - (1 if joint[k, k] else 2) < n < x + 1 for n, x in zip(joint[k].tolist(), exact, strict=True))
        assert (joint[k] >= 0).all()


@pytest.mark.parametrize("k", range(3))
def test_a_class_rounded_to_nothing_takes_a_place_from_each_other_count(k: int) -> None:
    """Two samples, one counted for each other class, and the one that stays: two thirds each, one must be 0."""
    others = [j for j in range(3) if j != k]
    counts = _joint_counts(torch.tensor(others), torch.tensor([k, k]), 3)[k]
    assert counts.sum() == (2 if counts[k] else 0)


@QUICK
@given(st.integers(0, 2**16), st.sampled_from(FILTERS))
def test_the_order_of_the_samples_does_not_matter(seed: int, filter_by: FilterBy) -> None:
    probs, targets = make(60, 4, seed)
    order = torch.from_numpy(np.random.RandomState(seed).permutation(60))
    mask = label_issues(probs, targets, filter_by)
    assert torch.equal(label_issues(probs[order], targets[order], filter_by), mask[order])
    assert not mask[probs.argmax(1) == targets].any()


def test_float32_is_compared_as_its_float64_copy() -> None:
    """Thresholds that float32 rounds down: a probability just below the exact one must not reach it."""
    for seed in range(40):
        probs, targets = make(40, 3, seed)
        single = probs.float()
        # Put one probability of each class on the float32 numbers around its threshold.
        bound = class_thresholds(single, targets) - 1e-6
        single[:3] = torch.where(bound.float() >= bound, bound.float().nextafter(torch.tensor(-1.0)), bound.float())
        for filter_by in FILTERS:
            assert torch.equal(
                label_issues(single, targets, filter_by), label_issues(single.double(), targets, filter_by)
            )


def test_half_precision_and_other_integers() -> None:
    probs, targets = make(60, 3, 0)
    half = probs.bfloat16()
    assert torch.equal(label_issues(half, targets.int()), label_issues(half.float(), targets))
    assert class_thresholds(half, targets).dtype == torch.float64


def test_wrong_arguments() -> None:
    probs, targets = make(6, 3, 0)
    with pytest.raises(
        ValueError, match=r"`filter_by` must be one of 'prune_by_noise_rate', 'confident_learning', got"
    ):
        label_issues(probs, targets, "prune_by_noise")  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"`probs` must be \(N, C\) and `targets` \(N,\), got \(6, 3\) and \(5,\): pass"
    ):
        label_issues(probs, targets[:5])
    with pytest.raises(ValueError, match=r"`targets` must be in \[0, 2\), got 2 at position 2"):
        class_thresholds(probs[:, :2], torch.tensor([0, 1, 2, 0, 1, 0]))
    with pytest.raises(TypeError, match=r"`probs` must be floating point, got torch.int64: pass a softmax"):
        label_issues(probs.long(), targets)
    with pytest.raises(TypeError, match=r"`targets` must be integer class ids"):
        label_issues(probs, targets.float())
