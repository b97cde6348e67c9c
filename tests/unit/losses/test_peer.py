"""Peer loss."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from noisylearn.losses import peer_loss
from tests.unit.losses.contract import CHECKS, B, C, Check, batch, log_softmax

INPUTS = torch.tensor([3, 0, 0, 15, 7, 7, 2, 1, 9, 10, 4, 12, 5, 14, 6, 8])
LABELS = torch.tensor([1, 1, 4, 0, 15, 2, 9, 9, 3, 11, 13, 6, 8, 10, 12, 5])


def ell(row: list[float], y: int) -> float:
    return -math.log(math.exp(log_softmax(row)[y]) + 1e-5)


def slow(logits: Tensor, targets: Tensor, alpha: float) -> list[float]:
    z, y = logits.double().tolist(), targets.tolist()
    peers = zip(INPUTS.tolist(), LABELS.tolist(), strict=True)
    return [ell(z[i], y[i]) - alpha * ell(z[j], y[k]) for i, (j, k) in enumerate(peers)]


@pytest.mark.parametrize("scale", [0.5, 3.0, 20.0])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 20.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_it_equals_the_slow_loop(dtype: torch.dtype, alpha: float, scale: float) -> None:
    logits, targets = batch(dtype, scale)
    got = peer_loss(logits, targets, INPUTS, LABELS, alpha)
    assert got.shape == (B,)
    assert got.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    rel, near = (1e-10, 1e-12) if dtype == torch.float64 else (2e-5, 1e-4)
    assert got.tolist() == pytest.approx(slow(logits, targets, alpha), rel=rel, abs=near)


# Its samples do not stand apart, and its slow loop is above.
APPLY = [check for check in CHECKS if check.__name__ not in ("equals_the_slow_loop", "keeps_samples_apart")]


@pytest.mark.parametrize("check", APPLY)
def test_contract(check: Check) -> None:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        b = len(logits)  # the check of extreme logits has fewer rows
        peers = (INPUTS[:b] % b).to(logits.device), (LABELS[:b] % b).to(logits.device)
        return peer_loss(logits, targets, *peers, alpha=0.5)

    check(loss, lambda *_: 0.0)


def test_over_all_pairs_the_peers_are_labels_that_say_nothing_of_the_inputs() -> None:
    logits, targets = batch(torch.float64)
    logits, targets = logits[:5], targets[:5]
    frequency = torch.bincount(targets, minlength=C) / 5
    losses = -torch.log(logits.softmax(-1) + 1e-5)
    expected = losses[torch.arange(5), targets] - 2 * (losses * frequency).sum(1).mean()
    pairs = [torch.tensor(pair) for pair in itertools.product(range(5), range(5))]
    each = [peer_loss(logits, targets, pair[0].expand(5), pair[1].expand(5), alpha=2) for pair in pairs]
    assert torch.allclose(torch.stack(each).mean(0), expected)


def test_the_gradient_reaches_the_peers() -> None:
    logits, targets = batch()
    logits.requires_grad_()
    one = peer_loss(logits, targets, INPUTS, LABELS, alpha=1.0)[0]  # of sample 0, its peer input is 3
    (grad,) = torch.autograd.grad(one, logits)
    assert grad.any(dim=1).nonzero().flatten().tolist() == [0, 3]


def test_it_is_bounded_from_below() -> None:
    logits = torch.tensor([[1e4, 0.0], [0.0, 1e4]])
    got = peer_loss(logits, torch.tensor([0, 1]), torch.tensor([1, 0]), torch.tensor([0, 1]), alpha=3.0)
    assert got.tolist() == pytest.approx([3 * math.log(1e-5)] * 2, abs=1e-4)


def test_wrong_arguments() -> None:
    logits, targets = batch()
    for name, peers in (("peer_inputs", (INPUTS.float(), LABELS)), ("peer_labels", (INPUTS, LABELS.bool()))):
        with pytest.raises(TypeError, match=rf"`{name}` must be integers, got torch\..*: pass positions in the batch"):
            peer_loss(logits, targets, *peers, alpha=1.0)
    for name, peers in (("peer_inputs", (INPUTS[:3], LABELS)), ("peer_labels", (INPUTS, LABELS[:3]))):
        with pytest.raises(ValueError, match=rf"`{name}` must be \(B,\), got \(3,\) for targets of shape \(16,\)"):
            peer_loss(logits, targets, *peers, alpha=1.0)
    with pytest.raises(IndexError):
        peer_loss(logits, targets, INPUTS + 1, LABELS, alpha=1.0)
    with pytest.raises(ValueError, match="`alpha` must be at least 0 and finite, got -1"):
        peer_loss(logits, targets, INPUTS, LABELS, alpha=-1)
    assert torch.equal(
        peer_loss(logits, targets, INPUTS.to(torch.uint8), LABELS.to(torch.uint8), 1.0),
        peer_loss(logits, targets, INPUTS, LABELS, 1.0),
    )
