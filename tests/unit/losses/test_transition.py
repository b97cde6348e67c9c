"""Forward and backward correction against slow loops, and what they are for."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from noisylearn.losses import (
    backward_correction,
    cross_entropy,
    forward_correction,
    importance_weights,
    volume_minimization,
)
from tests.unit.losses.contract import CHECKS, ROWS, C, Check, Loss, Slow, batch, over_labels, unhurried


def noisy_matrix(seed: int, num_classes: int = C, diagonal: float = 0.6) -> Tensor:
    """A random transition matrix whose diagonal outweighs the rest, and with zeros in it."""
    rows = torch.rand(num_classes, num_classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rows[0, 1:] = 0
    return diagonal * torch.eye(num_classes, dtype=torch.float64) + (1 - diagonal) * rows / rows.sum(1, keepdim=True)


TRANSITION = noisy_matrix(0)
ROWS_OF_T = TRANSITION.tolist()
INVERSE = np.linalg.inv(TRANSITION.numpy()).tolist()


def slow_forward(p: list[float], log_p: list[float], y: int) -> float:
    terms = [log_p[c] + math.log(row[y]) for c, row in enumerate(ROWS_OF_T) if row[y] > 0]
    top = max(terms)
    return -top - math.log(math.fsum(math.exp(t - top) for t in terms))


def slow_backward(p: list[float], log_p: list[float], y: int) -> float:
    return math.fsum(INVERSE[y][c] * -max(log_p[c], math.log(1e-7)) for c in range(len(p)))


def slow_weight(log_p: list[float], y: int, matrix: list[list[float]] = ROWS_OF_T) -> float:
    odds = [math.exp(min(v - log_p[y], math.log(1e7))) for v in log_p]
    return 1 / max(math.fsum(odds[c] * row[y] for c, row in enumerate(matrix)), 1e-7)


def slow_reweighted(p: list[float], log_p: list[float], y: int) -> float:
    return slow_weight(log_p, y) * -log_p[y]


def slow_volume(p: list[float], log_p: list[float], y: int) -> float:
    return slow_forward(p, log_p, y) + 0.3 * math.log(abs(np.linalg.det(np.array(ROWS_OF_T))))


def reweighted(logits: Tensor, targets: Tensor, transition: Tensor) -> Tensor:
    return importance_weights(logits, targets, transition) * cross_entropy(logits, targets)


def in_dtype(loss: Callable[..., Tensor], logits: Tensor, targets: Tensor) -> Tensor:
    """The matrix in the logits' width, so that it alone does not make the result float64."""
    wide = torch.promote_types(logits.dtype, torch.float32)
    return loss(logits, targets, TRANSITION.to(logits.device, wide))


NO_VOLUME = partial(volume_minimization, lam=0.0)
LOSSES = [
    (partial(in_dtype, forward_correction), slow_forward),
    (partial(in_dtype, backward_correction), slow_backward),
    (partial(in_dtype, reweighted), slow_reweighted),
    (partial(in_dtype, partial(volume_minimization, lam=0.3)), slow_volume),
]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(("loss", "slow"), LOSSES, ids=["forward", "backward", "weights", "volume"])
def test_contract(check: Check, loss: Loss, slow: Slow) -> None:
    check(loss, slow)


@pytest.mark.parametrize("loss", [forward_correction, backward_correction, reweighted, NO_VOLUME])
def test_the_identity_corrects_nothing(loss: Loss) -> None:
    logits, targets = batch(torch.float64)
    found = loss(logits, targets, torch.eye(C))  # type: ignore[call-arg]
    torch.testing.assert_close(found, cross_entropy(logits, targets), rtol=1e-12, atol=0)


@unhurried
@given(ROWS, st.integers(0, 100))
def test_backward_is_right_on_average(logits: Tensor, seed: int) -> None:
    """Over the labels that the noise gives a right one, the corrected loss is that of the right one."""
    num_classes = logits.shape[1]
    transition = noisy_matrix(seed, num_classes)
    corrected = over_labels(lambda z, y: backward_correction(z, y, transition), logits)
    clean = over_labels(cross_entropy, logits).clamp(max=-math.log(1e-7))
    torch.testing.assert_close(corrected @ transition.T, clean, rtol=1e-9, atol=1e-9)


def test_backward_has_a_least_value() -> None:
    """A network that fits a label ever more surely gains nothing more below a probability of 1e-7."""
    transition = noisy_matrix(0, 2)
    logits = torch.tensor([[20.0, 0.0], [40.0, 0.0]], requires_grad=True)
    losses = backward_correction(logits, torch.tensor([0, 0]), transition)
    torch.testing.assert_close(losses[0], losses[1], rtol=0, atol=1e-6)
    (grad,) = torch.autograd.grad(losses.sum(), logits)
    assert grad.abs().max() < 1e-6


@unhurried
@given(ROWS, st.integers(0, 100))
def test_forward_is_a_distribution_over_given_labels(logits: Tensor, seed: int) -> None:
    transition = noisy_matrix(seed, logits.shape[1])
    chances = over_labels(lambda z, y: forward_correction(z, y, transition), logits).neg().exp()
    torch.testing.assert_close(chances, logits.softmax(-1) @ transition, rtol=1e-9, atol=1e-12)


def test_forward_is_least_at_the_right_labels() -> None:
    """Minimized over noisy labels it finds the class that made them; cross-entropy finds the noise."""
    transition = noisy_matrix(1, diagonal=0.3)
    logits = torch.zeros(C, C, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        losses = over_labels(lambda z, y: forward_correction(z, y, transition), logits)
        total = (losses * transition).sum()
        torch.autograd.backward(total)
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    assert logits.softmax(-1).diagonal().min() > 0.99


def test_forward_has_a_gradient_to_the_matrix_but_for_its_zeros() -> None:
    logits, targets = batch(torch.float64)
    transition = TRANSITION.clone().requires_grad_()
    (grad,) = torch.autograd.grad(forward_correction(logits, targets, transition).sum(), transition)
    assert grad.isfinite().all()
    assert not grad[TRANSITION == 0].any()
    inner = noisy_matrix(2)[1:, :].clone()
    whole = torch.cat([torch.full((1, C), 1 / C, dtype=torch.float64), inner]).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: forward_correction(logits, targets, t), whole)


def test_a_label_that_the_matrix_never_gives() -> None:
    never = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert forward_correction(torch.zeros(1, 2), torch.tensor([1]), never).tolist() == [math.inf]


@unhurried
@given(ROWS, st.integers(0, 100))
def test_weights_make_the_mean_over_given_labels_that_over_right_ones(logits: Tensor, seed: int) -> None:
    """Of labels drawn from ``p T``, each weighted, the mean of any loss is that over labels drawn from ``p``."""
    transition = noisy_matrix(seed, logits.shape[1])
    p = logits.softmax(-1)
    given = p @ transition
    weights = over_labels(lambda z, y: importance_weights(z, y, transition), logits)
    anything = torch.rand(p.shape, generator=torch.Generator().manual_seed(seed), dtype=p.dtype)
    possible = p > 1e-7 * p.amax(1, keepdim=True)  # beyond that the odds have their bound
    found = (given * weights * anything * possible).sum(1)
    torch.testing.assert_close(found, (p * anything * possible).sum(1), rtol=1e-9, atol=1e-12)


def test_weights_with_a_matrix_per_sample() -> None:
    logits, targets = batch(torch.float64)
    matrices = torch.stack([noisy_matrix(seed) for seed in range(len(targets))])
    rows = zip(logits.log_softmax(-1).tolist(), targets.tolist(), matrices.tolist(), strict=True)
    expected = [slow_weight(log_p, y, matrix) for log_p, y, matrix in rows]
    assert importance_weights(logits, targets, matrices).tolist() == pytest.approx(expected, rel=1e-12)
    same = TRANSITION.expand(len(targets), C, C)
    one, other = (importance_weights(logits, targets, t) for t in (same, TRANSITION))
    torch.testing.assert_close(one, other, rtol=1e-14, atol=0)


def test_weights_have_a_gradient_to_the_whole_matrix() -> None:
    """Unlike forward correction's, also to its zeros: a matrix that is learned must be able to leave them."""
    logits, targets = batch(torch.float64)
    transition = TRANSITION.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda t: importance_weights(logits, targets, t), transition)
    (grad,) = torch.autograd.grad(importance_weights(logits, targets, transition).sum(), transition)
    assert bool((grad[TRANSITION == 0] != 0).any())


def test_weights_have_bounds() -> None:
    """A label that the matrix never gives, or less than never; and one that the network finds all but impossible."""
    never = torch.tensor([[1.0, 0.0], [1.0, -1.0]])
    assert importance_weights(torch.zeros(1, 2), torch.tensor([1]), never).tolist() == pytest.approx([1e7])
    sure, wrong = torch.tensor([[200.0, 0.0]]), torch.tensor([1])
    assert importance_weights(sure, wrong, torch.eye(2)).tolist() == [1.0]
    assert importance_weights(sure, wrong, torch.tensor([[0.5, 0.5], [0.0, 1.0]])).tolist() == pytest.approx([2e-7])


def test_volume_has_the_gradient_of_its_formula_to_the_matrix() -> None:
    logits, targets = batch(torch.float64)
    transition = noisy_matrix(3)[torch.randperm(C, generator=torch.Generator().manual_seed(0))].clamp(min=0.01)
    assert float(torch.linalg.det(transition)) < 0  # the volume is that of the parallelepiped, whatever its sign
    assert torch.autograd.gradcheck(lambda t: volume_minimization(logits, targets, t, 0.3), transition.requires_grad_())


def test_wrong_weight_of_the_volume() -> None:
    logits, targets = batch()
    with pytest.raises(ValueError, match=r"`lam` must be finite and at least 0, got -1\.0: the weight of the volume"):
        volume_minimization(logits, targets, torch.eye(C), lam=-1.0)


@pytest.mark.parametrize("loss", [forward_correction, backward_correction, importance_weights, NO_VOLUME])
def test_wrong_arguments(loss: Loss) -> None:
    logits, targets = batch()
    for transition in (torch.eye(C - 1), torch.ones(C), torch.ones(C, 2)):
        with pytest.raises(ValueError, match=r"`transition` must be \(C, C\), got .* for logits of shape \(16, 7\)"):
            loss(logits, targets, transition)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"`transition` must be floating point, got torch\.int64"):
        loss(logits, targets, torch.eye(C).long())  # type: ignore[call-arg]
