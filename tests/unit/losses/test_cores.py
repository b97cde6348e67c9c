"""The loss of CORES²."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from torch import Tensor

from noisylearn.losses import cores, cores_beta, cores_sieve, cross_entropy
from tests.unit.losses.contract import CHECKS, ROWS, B, C, Check, batch, over_labels, unhurried

PRIOR = torch.tensor([0.3, 0.2, 0.1, 0.1, 0.1, 0.15, 0.05])


def slow(p: list[float], log_p: list[float], y: int, beta: float = 2.0) -> float:
    expected = math.fsum(w * -math.log(v + 1e-8) for w, v in zip(PRIOR.tolist(), p, strict=True))
    return -log_p[y] - beta * expected


@pytest.mark.parametrize("check", CHECKS)
def test_contract(check: Check) -> None:
    check(lambda logits, targets: cores(logits, targets, PRIOR.to(logits.device)), slow)


@pytest.mark.parametrize("beta", [0.0, 0.5, 4.0])
def test_the_weight_of_the_subtracted_term(beta: float) -> None:
    logits, targets = batch(torch.float64)
    zero, one, got = (cores(logits, targets, PRIOR, b) for b in (0.0, 1.0, beta))
    assert torch.equal(zero, cross_entropy(logits, targets))
    assert torch.allclose(got, zero + beta * (one - zero))


@unhurried
@given(ROWS)
def test_labels_drawn_from_the_prior_cost_nothing_on_average(logits: Tensor) -> None:
    prior = torch.arange(1, logits.shape[1] + 1, dtype=torch.float64).softmax(0)
    each = over_labels(lambda z, y: cores(z, y, prior, beta=1.0), logits.clamp(-5, 5))  # far from the floor
    assert torch.allclose((prior * each).sum(1), torch.zeros(len(logits), dtype=torch.float64), atol=1e-3)


@unhurried
@given(ROWS)
def test_it_is_bounded_from_below(logits: Tensor) -> None:
    uniform = torch.full((logits.shape[1],), 1 / logits.shape[1], dtype=torch.float64)
    assert (over_labels(lambda z, y: cores(z, y, uniform), 100 * logits) >= 2 * math.log(1e-8) - 1e-9).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_sieve_keeps_labels_likelier_than_the_geometric_mean(dtype: torch.dtype) -> None:
    logits, targets = batch(dtype, scale=1.0)
    log_p = logits.double().log_softmax(-1)
    likelier = log_p[torch.arange(B), targets] >= log_p.mean(1)
    kept = cores_sieve(logits.requires_grad_(), targets)
    assert torch.equal(kept, likelier)
    assert likelier.any()
    assert not likelier.all()
    assert cores_sieve(logits.to("meta"), targets.to("meta")).shape == (B,)


def test_the_sieve_keeps_no_sample_without_a_loss() -> None:
    logits, targets = batch()
    logits[3] = math.nan
    assert not cores_sieve(logits, targets)[3]
    with pytest.raises(ValueError, match=r"`logits` must be \(B, C\), got shape \(16,\)"):
        cores_sieve(logits[:, 0], targets)


def test_beta_is_the_array_of_the_authors_code() -> None:
    written = np.concatenate([np.zeros(10), np.linspace(0, 2, num=30), np.full(60, 2.0)])
    assert [cores_beta(e) for e in range(100)] == pytest.approx(written.tolist(), rel=1e-12)


@pytest.mark.parametrize(("warmup", "rise"), [(0, 1), (0, 2), (3, 1), (1, 5)])
def test_beta_rises_in_equal_steps(warmup: int, rise: int) -> None:
    written = np.concatenate([np.zeros(warmup), np.linspace(0, 1.5, num=rise), np.full(9, 1.5)])
    assert [cores_beta(e, 1.5, warmup, rise) for e in range(len(written))] == pytest.approx(written.tolist())
    assert cores_beta(0, 1.5, warmup, rise) == 0.0  # whoever trains by it needs no prior of labels in its first epoch


def test_the_prior_is_widened_as_the_logits_are() -> None:
    logits, targets = batch(torch.bfloat16)
    assert cores(logits, targets, PRIOR.bfloat16()).dtype == torch.float32
    assert torch.equal(
        cores(logits, targets, PRIOR.bfloat16()), cores(logits.float(), targets, PRIOR.bfloat16().float())
    )
    assert cores(logits, targets, PRIOR.double()).dtype == torch.float64


def test_wrong_arguments() -> None:
    logits, targets = batch()
    with pytest.raises(TypeError, match=r"`prior` must be floating point, got torch\.int64: pass one probability"):
        cores(logits, targets, torch.ones(C, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"`prior` must be \(C,\), got \(16,\) for logits of shape \(16, 7\): pass"):
        cores(logits, targets, torch.ones(B))
    with pytest.raises(ValueError, match="`beta` must be at least 0 and finite, got -2"):
        cores(logits, targets, PRIOR, beta=-2)
    with pytest.raises(ValueError, match="`rise` must be at least 1, got 0: pass the epochs of the rise"):
        cores_beta(0, rise=0)
    with pytest.raises(ValueError, match="`warmup` must be at least 0 and finite, got -1: pass the epochs of cross"):
        cores_beta(0, warmup=-1)
    with pytest.raises(ValueError, match="`beta` must be at least 0 and finite, got nan"):
        cores_beta(0, beta=math.nan)
