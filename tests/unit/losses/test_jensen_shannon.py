"""Jensen-Shannon losses of one view and of several."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from noisylearn.losses import cross_entropy, generalized_jensen_shannon, jensen_shannon, mean_absolute_error
from tests.unit.losses.contract import CHECKS, ROWS, Check, Slow, batch, log_softmax, over_labels, unhurried


def entropy(p: list[float]) -> float:
    return -math.fsum(v * math.log(v) for v in p if v > 0)


def slow_views(views: list[list[float]], y: int, pi: float) -> float:
    """The divergence as the entropy of the mixture less the mixture of the entropies; a label has none."""
    share = (1 - pi) / len(views)
    mean = [pi * (c == y) + share * math.fsum(p[c] for p in views) for c in range(len(views[0]))]
    divergence = entropy(mean) - share * math.fsum(entropy(p) for p in views)
    return divergence / (-(1 - pi) * math.log(1 - pi))


def slow(p: list[float], log_p: list[float], y: int, pi: float) -> float:
    return slow_views([p], y, pi)


def softmax(row: list[float]) -> list[float]:
    return [math.exp(v) for v in log_softmax(row)]


def two_views(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    logits, targets = batch(dtype)
    return logits, logits.flip(0) / 2, targets


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("pi", [0.1, 0.5, 0.9])
def test_contract_of_one_view(check: Check, pi: float) -> None:
    form: Slow = partial(slow, pi=pi)
    check(partial(jensen_shannon, pi=pi), form)


@pytest.mark.parametrize("check", CHECKS)
def test_contract_of_two_views(check: Check) -> None:
    """The second view is made of the first, so that the loss is a function of logits and targets."""

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return generalized_jensen_shannon((logits, logits / 2), targets, pi=0.3)

    def form(p: list[float], log_p: list[float], y: int) -> float:
        return slow_views([p, softmax([v / 2 for v in log_p])], y, pi=0.3)

    if check.__name__ != "takes_integer_labels_only":  # integer logits become floats by the division
        check(loss, form)


@pytest.mark.parametrize("pi", [0.1, 0.3, 0.9])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_views_of_their_own_equal_the_slow_loop(dtype: torch.dtype, pi: float) -> None:
    first, second, targets = two_views(dtype)
    got = generalized_jensen_shannon([first, second, first * 0], targets, pi)
    assert got.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    rows = zip(first.double().tolist(), second.double().tolist(), targets.tolist(), strict=True)
    expected = [slow_views([softmax(a), softmax(b), softmax([0.0] * len(a))], y, pi) for a, b, y in rows]
    assert got.tolist() == pytest.approx(expected, rel=1e-10 if dtype == torch.float64 else 1e-5, abs=1e-6)


def test_the_gradient_reaches_every_view() -> None:
    first, second, targets = two_views()
    views = (first.requires_grad_(), second.detach().requires_grad_())
    assert torch.autograd.gradcheck(lambda a, b: generalized_jensen_shannon((a, b), targets, 0.3), views)


@unhurried
@given(ROWS)
def test_the_limits_of_the_labels_weight(logits: Tensor) -> None:
    logits = logits.clamp(-2, 2)  # the label's weight must be small beside every probability
    entropies, mae = over_labels(cross_entropy, logits), over_labels(mean_absolute_error, logits)
    little = over_labels(partial(jensen_shannon, pi=1e-7), logits)
    assert torch.allclose(little, entropies, rtol=1e-4)
    # The second limit is slow: the rest falls as 1 / log(1 - pi).
    most = over_labels(partial(jensen_shannon, pi=1 - 1e-14), logits)
    assert torch.allclose(most, mae, atol=0.05)


@unhurried
@given(ROWS, st.floats(0.05, 0.95))
def test_it_is_never_negative_and_at_most_the_entropy_of_the_weights(logits: Tensor, pi: float) -> None:
    each = over_labels(partial(jensen_shannon, pi=pi), logits)
    most = entropy([pi, 1 - pi]) / (-(1 - pi) * math.log(1 - pi))
    assert (each >= -1e-12).all()
    assert (each <= most + 1e-9).all()


@unhurried
@given(ROWS, st.floats(0.05, 0.95))
def test_equal_views_are_one_view_and_unequal_ones_cost_more(logits: Tensor, pi: float) -> None:
    targets, other = logits.argmin(-1), logits.flip(1)
    one = jensen_shannon(logits, targets, pi)
    assert torch.allclose(generalized_jensen_shannon((logits, logits), targets, pi), one, atol=1e-9)
    mean = (logits.softmax(-1) + other.softmax(-1)).log()  # logits of the mean prediction
    agreed = jensen_shannon(mean, targets, pi)
    apart = generalized_jensen_shannon((logits, other), targets, pi)
    assert (apart >= agreed - 1e-9).all()
    assert torch.allclose(generalized_jensen_shannon((other, logits), targets, pi), apart)


def test_it_is_the_label_against_the_mean_plus_the_views_against_each_other() -> None:
    first, second, targets = two_views()
    pi = 0.3
    p, r = first.softmax(-1), second.softmax(-1)
    mean = (p + r) / 2
    apart = ((p * (p / mean).log()).sum(-1) + (r * (r / mean).log()).sum(-1)) / 2
    expected = jensen_shannon(mean.log(), targets, pi) + apart / -math.log(1 - pi)
    assert torch.allclose(generalized_jensen_shannon((first, second), targets, pi), expected)


@pytest.mark.parametrize("pi", [0.0, 1.0, math.nan])
def test_a_wrong_weight(pi: float) -> None:
    with pytest.raises(ValueError, match=r"`pi` must be in \(0, 1\), got .*: pass the weight of the label"):
        jensen_shannon(*batch(), pi=pi)


def test_wrong_views() -> None:
    logits, targets = batch()
    with pytest.raises(TypeError, match=r"`views` must be a sequence of \(B, C\) tensors, got one tensor: pass \(log"):
        generalized_jensen_shannon(logits, targets, 0.3)
    with pytest.raises(ValueError, match=r"`views` must hold at least one \(B, C\) tensor, got none"):
        generalized_jensen_shannon([], targets, 0.3)
    with pytest.raises(ValueError, match=r"`views` must have one shape, got \(16, 3\) beside \(16, 7\)"):
        generalized_jensen_shannon([logits, logits[:, :3]], targets, 0.3)
    with pytest.raises(TypeError, match="`logits` must be floating point"):
        generalized_jensen_shannon([logits, logits.long()], targets, 0.3)
