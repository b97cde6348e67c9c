"""The loss attack against counting over every threshold, and scikit-learn."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from noisylearn.metrics.membership import LossAttack, loss_attack, loss_attack_curve

losses = st.one_of(st.integers(0, 4).map(float), st.floats(0, 1e6), st.just(math.inf))


def auc_slow(members: list[float], others: list[float]) -> float:
    wins = sum(2 if m < o else 1 if m == o else 0 for m in members for o in others)
    return wins / (2 * len(members) * len(others))


def true_rate_slow(wanted: list[float], others: list[float], most_false: Fraction) -> float:
    """The best true rate over every threshold (take all at most it, or none) whose false rate is allowed."""
    best = 0
    for threshold in [-math.inf, *wanted, *others]:
        if Fraction(sum(o <= threshold for o in others), len(others)) <= most_false:
            best = max(best, sum(w <= threshold for w in wanted))
    return best / len(wanted)


def check(members: list[float], others: list[float], min_errors: int = 1) -> LossAttack:
    found = loss_attack(torch.tensor(members, dtype=torch.float64), others, min_errors)
    assert found.auc == auc_slow(members, others)
    lower = ([-o for o in others], [-m for m in members])  # the attack on those who are not in: a high loss
    for name, (wanted, rest), most in (
        ("tpr_at_1_percent_fpr", (members, others), Fraction(1, 100)),
        ("tpr_at_01_percent_fpr", (members, others), Fraction(1, 1000)),
        ("tnr_at_1_percent_fnr", lower, Fraction(1, 100)),
        ("tnr_at_01_percent_fnr", lower, Fraction(1, 1000)),
    ):
        expected = true_rate_slow(wanted, rest, most) if len(rest) * most >= min_errors else math.nan
        assert getattr(found, name) == pytest.approx(expected, abs=0, nan_ok=True), name
    return found


@settings(deadline=None, max_examples=60)
@given(st.lists(losses, min_size=1, max_size=12), st.lists(losses, min_size=1, max_size=12))
def test_few_samples_have_an_auc_and_no_rates(members: list[float], others: list[float]) -> None:
    found = check(members, others)
    assert math.isnan(found.tpr_at_1_percent_fpr)
    assert math.isnan(found.tnr_at_1_percent_fnr)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**31), st.integers(100, 260), st.integers(100, 260), st.sampled_from([0, 1, 3]))
def test_equals_counting_over_every_threshold(seed: int, m: int, n: int, decimals: int) -> None:
    """Rounded, so that many tie."""
    rng = np.random.default_rng(seed)
    members, others = rng.exponential(0.4, m).round(decimals), rng.exponential(1.0, n).round(decimals)
    check(members.tolist(), others.tolist())


@pytest.mark.parametrize("decimals", [1, 2, 12])
@pytest.mark.parametrize("num_others", [1000, 2950, 10_000])
def test_equals_scikit_learn(num_others: int, decimals: int) -> None:
    rng = np.random.default_rng(num_others)
    members, others = rng.gamma(1.0, 0.3, 3000).round(decimals), rng.gamma(1.5, 0.6, num_others).round(decimals)
    found = loss_attack(members, others)
    is_member, scores = np.repeat([1, 0], [3000, num_others]), -np.concatenate([members, others])
    assert found.auc == pytest.approx(roc_auc_score(is_member, scores), abs=1e-12)
    fpr, tpr, _ = roc_curve(is_member, scores, drop_intermediate=False)
    assert found.tpr_at_1_percent_fpr == tpr[fpr <= 0.01].max()
    if num_others == 10_000:
        assert found.tpr_at_01_percent_fpr == tpr[fpr <= 0.001].max()
    else:
        assert math.isnan(found.tpr_at_01_percent_fpr)
    fnr, tnr, _ = roc_curve(1 - is_member, -scores, drop_intermediate=False)
    assert found.tnr_at_1_percent_fnr == tnr[fnr <= 0.01].max()
    assert math.isnan(found.tnr_at_01_percent_fnr)


def test_rates_need_enough_of_the_other_kind() -> None:
    ramp = torch.arange(1000.0)
    enough, one_less = loss_attack(ramp, ramp), loss_attack(ramp, ramp[1:])
    assert (enough.tpr_at_1_percent_fpr, enough.tnr_at_1_percent_fnr) == (0.01, 0.01)
    assert math.isnan(one_less.tpr_at_1_percent_fpr)
    assert one_less.tnr_at_1_percent_fnr > 0
    assert math.isnan(enough.tpr_at_01_percent_fpr)
    assert loss_attack(ramp, ramp, min_errors=1).tpr_at_01_percent_fpr == 0.001


def test_perfect_and_worthless_and_inverted() -> None:
    low, high = torch.linspace(0, 1, 1000), torch.linspace(2, 3, 1000)
    best, worst, even = loss_attack(low, high), loss_attack(high, low), loss_attack(low, low)
    assert (best.auc, best.tpr_at_1_percent_fpr, best.tnr_at_1_percent_fnr) == (1, 1, 1)
    assert (worst.auc, worst.tpr_at_1_percent_fpr, worst.tnr_at_1_percent_fnr) == (0, 0, 0)
    assert even.auc == 0.5


def test_samples_of_one_loss_fall_on_one_side() -> None:
    same = torch.ones(2000)
    found = loss_attack(same, same)
    assert (found.auc, found.tpr_at_1_percent_fpr, found.tnr_at_1_percent_fnr) == (0.5, 0, 0)


def test_order_and_monotone_maps_change_nothing() -> None:
    g = torch.Generator().manual_seed(0)
    members, others = torch.rand(1500, generator=g).double(), torch.rand(1200, generator=g).double() * 1.3
    found = loss_attack(members, others)
    assert loss_attack(members.flip(0).exp(), others[torch.randperm(1200, generator=g)].exp()) == found


def test_nan_losses_are_left_out_and_counted() -> None:
    found = loss_attack([0.1, math.nan, 0.3], np.array([math.nan, 0.2, math.nan]))
    assert (found.auc, found.num_members, found.num_nonmembers, found.num_missing) == (0.5, 2, 1, 3)


@pytest.mark.parametrize(("members", "others"), [([], [1.0]), ([1.0], []), ([math.nan], [1.0])])
def test_one_kind_of_sample_tells_nothing(members: list[float], others: list[float]) -> None:
    found = loss_attack(members, others)
    assert math.isnan(found.auc)
    assert math.isnan(found.tpr_at_1_percent_fpr)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.int64, torch.float64])
def test_any_real_dtype_that_may_carry_a_graph(dtype: torch.dtype) -> None:
    members = torch.tensor([0, 1, 2]).to(dtype)
    if dtype.is_floating_point:
        members.requires_grad_()
    assert loss_attack(members, torch.tensor([1, 3])).auc == auc_slow([0, 1, 2], [1, 3])


@pytest.mark.parametrize(
    ("members", "others", "error", "message"),
    [
        ([[1.0]], [1.0], ValueError, r"`member_losses` must be 1-D, got shape \(1, 1\): pass unreduced per-sample"),
        ([1.0], torch.tensor(1.0), ValueError, r"`nonmember_losses` must be 1-D, got shape \(\): pass unreduced"),
        ([True], [1.0], TypeError, "`member_losses` must be real numbers, got torch.bool: pass one loss per sample"),
    ],
)
def test_what_is_refused(members: Any, others: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        loss_attack(members, others)
    with pytest.raises(ValueError, match="`min_errors` must be at least 1, got 0"):
        loss_attack([1.0], [1.0], min_errors=0)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(losses, min_size=1, max_size=30), st.lists(losses, min_size=1, max_size=40), st.sampled_from([1, 3, 10])
)
def test_the_curve_equals_counting_over_every_threshold(members: list[float], others: list[float], steps: int) -> None:
    fpr, tpr = loss_attack_curve(members, others, min_errors=2, per_decade=steps)
    expected = sorted({int(len(others) * 10 ** (-k / steps)) for k in range(3 * steps)} - {0, 1})
    assert fpr.tolist() == [allowed / len(others) for allowed in expected]
    rates = [true_rate_slow(members, others, Fraction(allowed, len(others))) for allowed in expected]
    assert tpr.tolist() == pytest.approx(rates, abs=0)


def test_the_curve_goes_through_the_figures() -> None:
    generator = torch.Generator().manual_seed(0)
    members, others = torch.rand(3000, generator=generator) ** 2, torch.rand(20_000, generator=generator)
    found, (fpr, tpr) = loss_attack(members, others), loss_attack_curve(members, others)
    assert tpr[fpr == 0.01].tolist() == [found.tpr_at_1_percent_fpr]
    assert tpr[fpr == 0.001].tolist() == [found.tpr_at_01_percent_fpr]
    assert (float(fpr[-1]), float(tpr[-1])) == (1.0, 1.0)


@pytest.mark.parametrize(("members", "others"), [([], [1.0] * 20), ([1.0], [1.0] * 9), ([1.0], [])])
def test_a_curve_of_too_few_samples_is_empty(members: list[float], others: list[float]) -> None:
    assert [len(part) for part in loss_attack_curve(members, others)] == [0, 0]
