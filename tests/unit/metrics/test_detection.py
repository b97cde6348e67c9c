"""Detection figures against pair counting and scikit-learn."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from noisylearn.metrics import (
    DetectionMetrics,
    detection_auroc,
    detection_average_precision,
    evaluate_detection,
    precision_at_n,
)

QUICK = settings(deadline=None, max_examples=60)
samples = st.lists(
    st.tuples(st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6)), st.booleans()), min_size=2, max_size=25
)


def auroc_slow(scores: list[float], noisy: list[bool]) -> float:
    wrong = [s for s, n in zip(scores, noisy, strict=True) if n]
    right = [s for s, n in zip(scores, noisy, strict=True) if not n]
    wins = [1.0 if w > r else 0.5 if w == r else 0.0 for w, r in itertools.product(wrong, right)]
    return sum(wins) / len(wins)


def precision_slow(scores: list[float], noisy: list[bool]) -> float:
    """The mean over all orders of the samples that tie: each tied sample takes a free place with equal chance."""
    n = sum(noisy)
    threshold = sorted(scores, reverse=True)[n - 1]
    above = [w for s, w in zip(scores, noisy, strict=True) if s > threshold]
    tied = [w for s, w in zip(scores, noisy, strict=True) if s == threshold]
    return (sum(above) + (n - len(above)) * sum(tied) / len(tied)) / n


@QUICK
@given(samples)
def test_equal_pair_counting_and_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    scores, noisy = [p[0] for p in pairs], [p[1] for p in pairs]
    assume(0 < sum(noisy) < len(noisy))
    exact = torch.tensor(scores, dtype=torch.float64)
    assert detection_auroc(exact, noisy) == pytest.approx(auroc_slow(scores, noisy), abs=1e-5)
    assert detection_auroc(exact, noisy) == pytest.approx(roc_auc_score(noisy, scores), abs=1e-5)
    assert detection_average_precision(exact, noisy) == pytest.approx(average_precision_score(noisy, scores), abs=1e-5)
    assert precision_at_n(exact, noisy) == pytest.approx(precision_slow(scores, noisy), abs=1e-9)


@QUICK
@given(samples, st.randoms(use_true_random=False))
def test_direction_order_and_monotone_maps(pairs: list[tuple[float, bool]], random: Any) -> None:
    assume(0 < sum(p[1] for p in pairs) < len(pairs))
    found = evaluate_detection(torch.tensor([p[0] for p in pairs]).double(), [p[1] for p in pairs])
    shuffled = random.sample(pairs, len(pairs))
    flipped = torch.tensor([-p[0] for p in shuffled]).double()
    assert evaluate_detection(flipped, [p[1] for p in shuffled], higher_is_noisier=False) == found
    worse = detection_auroc(flipped, [p[1] for p in shuffled], higher_is_noisier=True)
    assert worse == pytest.approx(1 - found.auroc, abs=1e-5)


def test_precision_at_n_with_ties_is_the_mean_over_orders() -> None:
    scores, noisy = [2.0, 1.0, 1.0, 1.0, 0.0], [False, True, True, False, True]
    by_order = []
    for order in itertools.permutations(range(5)):
        ranked = sorted(order, key=lambda i: -scores[i])  # stable: tied samples stay in this order
        by_order.append(sum(noisy[i] for i in ranked[:3]) / 3)
    assert precision_at_n(scores, noisy) == pytest.approx(sum(by_order) / len(by_order))


@pytest.mark.parametrize("offset", [0.0, 100.0, -1e5])
def test_large_scores_do_not_saturate(offset: float) -> None:
    scores = offset + torch.arange(50.0)
    noisy = torch.arange(50) >= 30
    assert evaluate_detection(scores, noisy).auroc == 1.0
    assert evaluate_detection(scores, noisy).average_precision == 1.0
    assert detection_auroc(scores, torch.arange(50) % 2 == 1) == pytest.approx(0.52, abs=1e-6)


def test_nan_scores_are_left_out_and_counted() -> None:
    scores = np.array([0.9, math.nan, 0.2, 0.8, math.nan, math.nan])
    noisy = np.array([True, True, False, False, False, True])
    found, of_the_rest = evaluate_detection(scores, noisy), evaluate_detection(scores[[0, 2, 3]], noisy[[0, 2, 3]])
    assert found.num_missing == 3
    assert found == replace(of_the_rest, num_missing=3)
    assert (found.auroc, found.precision_at_n) == (1.0, 1.0)


def test_infinite_scores_rank_at_the_ends() -> None:
    assert detection_auroc([math.inf, 1.0, -math.inf, math.inf], [True, False, False, True]) == 1.0


@pytest.mark.parametrize("dtype", [torch.int64, torch.int16, torch.bfloat16, torch.float64])
def test_any_real_dtype(dtype: torch.dtype) -> None:
    scores = torch.tensor([3, 1, 2, 0]).to(dtype)
    assert evaluate_detection(scores, [True, False, True, False]).auroc == 1.0


@pytest.mark.parametrize(
    ("scores", "noisy", "missing"),
    [
        ([0.1, 0.2], [True, True], 0),
        ([0.1, 0.2], [False, False], 0),
        ([0.1, math.nan], [True, False], 1),
        ([math.nan, math.nan], [True, False], 2),
    ],
)
def test_one_kind_of_label_gives_nan(scores: list[float], noisy: list[bool], missing: int) -> None:
    found = evaluate_detection(scores, noisy)
    assert found.num_missing == missing
    for value in (
        found.auroc,
        found.average_precision,
        found.precision_at_n,
        detection_auroc(scores, noisy),
        detection_average_precision(scores, noisy),
        precision_at_n(scores, noisy),
    ):
        assert math.isnan(value)


def test_no_sample_gives_nan() -> None:
    found = evaluate_detection(torch.zeros(0), torch.zeros(0, dtype=torch.bool))
    assert math.isnan(found.auroc)
    assert found.num_missing == 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0.1, 0.2], [1, 0]), TypeError, r"`is_noisy` must be bool, got torch\.int64: pass `given != clean`"),
        (([True, False], [True, False]), TypeError, r"`scores` must be real numbers, got torch\.bool"),
        (([0.1, 0.2, 0.3], [True, False]), ValueError, r"must both be \(N,\), got \(3,\) and \(2,\)"),
        (([[0.1, 0.2]], [[True, False]]), ValueError, r"must both be \(N,\), got \(1, 2\)"),
        (([0.1, 0.2], [True, False], None), TypeError, "`higher_is_noisier` must be True or False, got None: a score"),
    ],
)
def test_wrong_arguments(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        evaluate_detection(*arguments)


def parts() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    noisy = torch.rand(90, generator=generator) < 0.3
    scores = torch.randn(90, generator=generator) + noisy
    scores[::10] = math.nan
    return scores, noisy


def check_equal(found: dict[str, torch.Tensor]) -> None:
    expected = vars(evaluate_detection(*parts()))
    assert {name: value.item() for name, value in found.items()} == pytest.approx(expected)


def test_the_metric_over_parts_is_the_function_over_all() -> None:
    metric = DetectionMetrics()
    for scores, noisy in zip(*(x.split(20) for x in parts()), strict=True):
        metric.update(scores, noisy)
    check_equal(metric.compute())
    metric.reset()
    metric.update(torch.tensor([0.0, 1.0]), torch.tensor([True, False]))
    assert metric.compute()["auroc"] == 0


def test_the_metric_merges() -> None:
    one, two = DetectionMetrics(), DetectionMetrics()
    scores, noisy = parts()
    one.update(scores[:33], noisy[:33])
    two.update(scores[33:], noisy[33:])
    one.merge_state(two)
    check_equal(one.compute())


def on_two_ranks(other: list[torch.Tensor]) -> DetectionMetrics:
    """A metric whose peer sends ``other``, one tensor for each state, of the type that a gather insists on."""
    sent = iter(other)

    def gather(tensor: torch.Tensor, group: object) -> list[torch.Tensor]:
        peer = next(sent)
        assert (peer.dtype, peer.ndim) == (tensor.dtype, tensor.ndim)
        return [tensor, peer]

    return DetectionMetrics(dist_sync_fn=gather, distributed_available_fn=lambda: True)


def test_the_metric_gathers_over_ranks() -> None:
    scores, noisy = parts()
    metric = on_two_ranks([scores[33:].double(), noisy[33:].double()])
    metric.update(scores[:33], noisy[:33])
    check_equal(metric.compute())


def test_a_rank_without_samples_gathers_too() -> None:
    scores, noisy = parts()
    metric = on_two_ranks([scores.double(), noisy.double()])
    with pytest.warns(UserWarning, match="before the ``update`` method"):
        check_equal(metric.compute())


def test_the_metric_keeps_the_order_of_large_integers() -> None:
    metric = DetectionMetrics()
    metric.update(torch.tensor([2**24, 2**24 + 1]), torch.tensor([False, True]))
    assert metric.compute()["auroc"] == 1


def test_the_torch_only_packages_import_no_lightning() -> None:
    code = (
        "import sys; import noisylearn.losses, noisylearn.metrics, noisylearn.models, noisylearn.selection\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'lightning', 'pytorch_lightning', 'timm'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
