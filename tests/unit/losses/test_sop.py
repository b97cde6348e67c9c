"""SOP's loss against a slow float64 loop, and which of its parts each gradient reaches."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor

from noisylearn.losses import cross_entropy, sop, sop_balance
from tests.unit.losses.contract import CHECKS, B, C, Check, Loss, Slow, batch


def noise(num_rows: int = B, scale: float = 0.6) -> tuple[Tensor, Tensor]:
    both = scale * torch.randn(B, 1 + C, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return both[:num_rows, 0], both[:num_rows, 1:]


def slow_sop(p: list[float], y: int, u: float, v: list[float]) -> float:
    much, little = min(u * u, 1.0), [0.0 if c == y else min(x * x, 1.0) for c, x in enumerate(v)]
    shifted = [max(q + (much if c == y else 0.0) - little[c], 1e-4) for c, q in enumerate(p)]
    entropy = -math.log(min(max(shifted[y] / math.fsum(shifted), 1e-4), 1.0))
    top = p.index(max(p))
    squares = [(float(c == top) + (much if c == y else 0.0) - little[c] - float(c == y)) ** 2 for c in range(len(p))]
    return entropy + math.fsum(squares)


@pytest.mark.parametrize("scale", [0.0, 0.1, 0.6, 2.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_equals_the_slow_loop(dtype: torch.dtype, scale: float) -> None:
    logits, targets = batch(dtype)
    u, v = (part.to(dtype) for part in noise(scale=scale))
    found = sop(logits, targets, u, v)
    wide, rel = (torch.float64, 1e-10) if dtype == torch.float64 else (torch.float32, 1e-4)
    assert found.dtype == wide
    probs = logits.double().softmax(-1).tolist()
    rows = zip(probs, targets.tolist(), u.double().tolist(), v.double().tolist(), strict=True)
    assert found.tolist() == pytest.approx([slow_sop(*row) for row in rows], rel=rel)


def with_noise(logits: Tensor, targets: Tensor) -> Tensor:
    wide = torch.promote_types(logits.dtype, torch.float32)
    u, v = (part.to(logits.device, wide) for part in noise(len(logits)))
    if len(logits) == C:  # the contract's extreme rows
        u, v = u[:C], v[:C]
    return sop(logits, targets, u, v)


@pytest.mark.parametrize("check", [c for c in CHECKS if "formula" not in c.__name__ and "slow_loop" not in c.__name__])
def test_contract(check: Check) -> None:
    loss: Loss = with_noise
    slow: Slow = partial(lambda p, log_p, y: 0.0)
    check(loss, slow)


def entropy_alone(logits: Tensor, targets: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """The first term, without the constants of the second, from the formula."""
    label = torch.eye(C, dtype=torch.float64)[targets]
    much, little = u.square().clamp(max=1).unsqueeze(1) * label, v.square().clamp(max=1) * (1 - label)
    p = (logits.softmax(1) + much - little).clamp(min=1e-4)
    return -(label * (p / p.sum(1, keepdim=True)).clamp(min=1e-4).log()).sum(1)


def error_alone(logits: Tensor, targets: Tensor, u: Tensor, v: Tensor) -> Tensor:
    label = torch.eye(C, dtype=torch.float64)[targets]
    much, little = u.square().clamp(max=1).unsqueeze(1) * label, v.square().clamp(max=1) * (1 - label)
    return (torch.eye(C, dtype=torch.float64)[logits.argmax(1)] + much - little - label).square().sum(1)


def test_each_gradient_is_that_of_its_terms() -> None:
    logits, targets = batch(torch.float64, scale=1.0)
    u, v = noise()
    for part in (logits, u, v):
        part.requires_grad_()
    found = torch.autograd.grad(sop(logits, targets, u, v).sum(), (logits, u, v))
    to_network, entropy_to_u = torch.autograd.grad(entropy_alone(logits, targets, u, v).sum(), (logits, u))
    error_to_u, error_to_v = torch.autograd.grad(error_alone(logits, targets, u, v).sum(), (u, v))
    for ours, expected in zip(found, (to_network, entropy_to_u + error_to_u, error_to_v), strict=True):
        torch.testing.assert_close(ours, expected)
        assert expected.any()


def test_without_noise_it_is_cross_entropy_and_a_count() -> None:
    logits, targets = batch(torch.float64, scale=1.0)
    wrong = (logits.argmax(1) != targets).double()
    found = sop(logits, targets, torch.zeros(B), torch.zeros(B, C))
    torch.testing.assert_close(found, cross_entropy(logits, targets) + 2 * wrong)


def test_a_noise_that_explains_the_label_quiets_the_network() -> None:
    logits = torch.tensor([[3.0, 0.0, 0.0]], requires_grad=True)  # believes class 0, is given class 1
    pulls = []
    for u in (0.0, 0.7, 1.0):
        (grad,) = torch.autograd.grad(
            sop(logits, torch.tensor([1]), torch.tensor([u]), torch.zeros(1, 3)).sum(), logits
        )
        pulls.append(float(grad.abs().sum()))
    assert pulls[0] > 4 * pulls[1] > 4 * pulls[2]


def slow_balance(logits: Tensor, targets: Tensor, u: Tensor, v: Tensor) -> float:
    total = [0.0] * C
    rows = zip(logits.double().softmax(-1).tolist(), targets.tolist(), u.tolist(), v.tolist(), strict=True)
    for p, y, a, b in rows:
        shift = [min(a * a, 1.0) if c == y else -min(x * x, 1.0) for c, x in enumerate(b)]
        shifted = [max(q + s, 1e-4) for q, s in zip(p, shift, strict=True)]
        total = [t + max(q / math.fsum(shifted), 1e-4) for t, q in zip(total, shifted, strict=True)]
    return -math.fsum(math.log(max(t / len(logits), 1e-4)) for t in total) / C


@pytest.mark.parametrize("scale", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_balance_equals_the_slow_loop(dtype: torch.dtype, scale: float) -> None:
    logits, targets = batch(dtype)
    u, v = (part.to(dtype) for part in noise(scale=scale))
    found = sop_balance(logits, targets, u, v)
    wide, rel = (torch.float64, 1e-10) if dtype == torch.float64 else (torch.float32, 1e-4)
    assert found.dtype == wide
    assert float(found) == pytest.approx(slow_balance(logits, targets, u.double(), v.double()), rel=rel)


def test_balance_is_least_where_all_classes_are_alike_and_moves_the_network_and_u() -> None:
    logits, targets = batch(torch.float64, scale=1.0)
    u, v = noise()
    for part in (logits, u, v):
        part.requires_grad_()
    loss = sop_balance(logits, targets, u, v)
    to_network, to_u, to_v = torch.autograd.grad(loss, (logits, u, v), allow_unused=True)
    assert to_network.any()
    assert to_u.any()
    assert to_v is None or not to_v.any()
    assert float(loss.detach()) > math.log(C)
    even = sop_balance(torch.zeros(C, C), torch.arange(C), torch.zeros(C), torch.zeros(C, C))
    assert float(even) == pytest.approx(math.log(C))
    assert sop_balance(logits.to("meta"), targets.to("meta"), u.to("meta"), v.to("meta")).shape == ()


def test_wrong_arguments() -> None:
    logits, targets = batch()
    u, v = noise()
    with pytest.raises(ValueError, match=r"`v` must have the shape of `logits`, got \(16, 6\)"):
        sop(logits, targets, u, v[:, :6])
    with pytest.raises(ValueError, match=r"`u` must be \(B,\), got \(16, 1\) for targets of shape \(16,\)"):
        sop(logits, targets, u.unsqueeze(1), v)
    with pytest.raises(TypeError, match=r"`u` must be floating point, got torch\.int64"):
        sop(logits, targets, u.long(), v)
