"""Susceptibility against training a real copy one step, and that the run it stands beside does not notice."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

from noisylearn.metrics.susceptibility import susceptibility

CLASSES = 4
OPTIMIZERS: dict[str, Callable[[Any], Optimizer]] = {
    "plain": lambda p: SGD(p, lr=0.1),
    "momentum": lambda p: SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4),
    "adam": lambda p: Adam(p, lr=0.01),
    "amsgrad": lambda p: AdamW(p, lr=0.01, amsgrad=True, weight_decay=0.1),
    "foreach": lambda p: RMSprop(p, lr=0.01, momentum=0.5, foreach=True),
    "adagrad": lambda p: Adagrad(p, lr=0.1),
    "lbfgs": lambda p: torch.optim.LBFGS(p, lr=0.1, max_iter=4),
}


class Noisy(nn.Module):
    """Every kind of state: batch norm, dropout, a buffer that is bound anew, NumPy's and Python's generators."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Dropout(0.3))
        self.head = nn.Linear(8, CLASSES)
        self.frozen = nn.Linear(8, CLASSES).requires_grad_(False)
        self.register_buffer("calls", torch.zeros(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.calls = self.calls + 1
            x = x + 0.01 * np.random.rand() + 0.01 * random.random()
        h = self.body(x)
        return self.head(h) + self.frozen(h)  # type: ignore[no-any-return]


def seed(number: int) -> None:
    torch.manual_seed(number)
    np.random.seed(number)
    random.seed(number)


def batch(number: int, size: int = 16) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(number)
    return torch.randn(size, 6, generator=g), torch.randint(CLASSES, (size,), generator=g)


def train_step(network: nn.Module, optimizer: Optimizer, x: Tensor, y: Tensor) -> Tensor:
    losses: list[Tensor] = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        losses.append(F.cross_entropy(network(x), y))
        losses[-1].backward()
        return losses[-1]

    optimizer.step(closure)  # type: ignore[arg-type]
    return losses[0].detach()


def make(name: str, steps: int) -> tuple[nn.Module, Optimizer]:
    seed(0)
    network = Noisy()
    optimizer = OPTIMIZERS[name](network.parameters())
    for i in range(steps):
        train_step(network, optimizer, *batch(i))
    return network, optimizer


def everything(network: nn.Module, optimizer: Optimizer) -> list[Any]:
    """All that a measurement could have changed, with the identities of the objects."""
    tensors = [*network.named_parameters(), *network.named_buffers()]
    out: list[Any] = [(k, id(t), t.detach().clone(), t.requires_grad) for k, t in tensors]
    out += [(id(p.grad), None if p.grad is None else p.grad.clone()) for p in network.parameters()]
    out += [m.training for m in network.modules()]
    out.append(copy.deepcopy(optimizer.state_dict()))
    out.append([id(v) for p in optimizer.state.values() for v in p.values() if isinstance(v, Tensor)])
    out.append([id(p) for group in optimizer.param_groups for p in group["params"]])
    out += [torch.get_rng_state(), random.getstate(), list(np.random.get_state())]
    return [*out, torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")]


def assert_same(now: Any, before: Any) -> None:
    """Bit for bit, through lists and dicts."""
    assert type(now) is type(before)
    if isinstance(now, Tensor):
        assert now.dtype == before.dtype
        assert torch.equal(now, before)
    elif isinstance(now, np.ndarray):
        assert np.array_equal(now, before)
    elif isinstance(now, dict):
        assert_same(list(now.items()), list(before.items()))
    elif isinstance(now, (list, tuple)):
        assert len(now) == len(before)
        for a, b in zip(now, before, strict=True):
            assert_same(a, b)
    else:
        assert now == before


def slow(network: nn.Module, optimizer: Optimizer, x: Tensor, y: Tensor) -> Tensor:
    """One real step of a real copy, as one would write it; `optimizer` is rebuilt from its state."""
    twin = copy.deepcopy(network).train()
    stepping = type(optimizer)(twin.parameters(), lr=0.0)  # type: ignore[call-arg]
    stepping.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    before = train_step(twin, stepping, x, y)
    with torch.no_grad():
        return before - F.cross_entropy(twin(x), y)


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_equals_a_real_step_of_a_copy_and_changes_nothing(name: str, steps: int) -> None:
    network, optimizer = make(name, steps)
    network.eval()
    network.body[0].train()  # a mixture of modes must come back as it was
    x, y = batch(99)
    seed(7)
    expected = slow(network, optimizer, x, y)
    seed(7)
    before = everything(network, optimizer)
    found = susceptibility(network, optimizer, x, y)
    assert_same(everything(network, optimizer), before)
    assert found.shape == ()
    assert not found.requires_grad
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert found.item() != 0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_run_with_it_is_a_run_without_it(name: str) -> None:
    runs = []
    for measured in (False, True):
        network, optimizer = make(name, 0)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)
        for i in range(5):
            train_step(network, optimizer, *batch(i))
            scheduler.step()
            if measured:
                susceptibility(network, optimizer, *batch(50 + i))
        runs.append((dict(network.state_dict()), optimizer.state_dict(), torch.get_rng_state(), random.random()))
    assert_same(runs[0], runs[1])


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.floats(1e-3, 2.0))
def test_closed_form_of_softmax_regression(number: int, lr: float) -> None:
    """A step of gradient descent, written out in NumPy."""
    x, y = batch(number, size=5)
    network = nn.Linear(6, CLASSES, bias=False).double()
    weight = network.weight.detach().numpy().copy()

    def loss(w: Any) -> Any:
        z = x.double().numpy() @ w.T
        return (np.log(np.exp(z).sum(1)) - z[np.arange(5), y.numpy()]).mean()

    z = x.double().numpy() @ weight.T
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    p[np.arange(5), y.numpy()] -= 1
    expected = loss(weight) - loss(weight - lr * p.T @ x.double().numpy() / 5)
    found = susceptibility(network, SGD(network.parameters(), lr=lr), x.double(), y)
    assert found.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_a_network_that_memorizes_more_is_more_susceptible() -> None:
    x, y = batch(0)
    found = []
    for lr in (1e-4, 1e-2):
        seed(0)
        network = nn.Linear(6, CLASSES)
        found.append(susceptibility(network, SGD(network.parameters(), lr=lr), x, y))
    assert 0 < found[0] < found[1]


@pytest.mark.parametrize(
    "around", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", dtype=torch.bfloat16)]
)
def test_the_same_under_every_mode(around: Callable[[], Any]) -> None:
    network, optimizer = make("momentum", 2)
    plain = susceptibility(network, optimizer, *batch(9))
    with around():
        before = everything(network, optimizer)
        found = susceptibility(network, optimizer, *(t.clone() for t in batch(9)))
        assert_same(everything(network, optimizer), before)
    assert torch.equal(found, plain)


@pytest.mark.parametrize("around", [nullcontext, torch.inference_mode])
def test_a_network_that_keeps_or_overwrites_its_inputs(around: Callable[[], Any]) -> None:
    network = nn.Sequential(nn.Hardtanh(inplace=True), nn.Linear(6, CLASSES))
    optimizer = SGD(network.parameters(), lr=0.1)
    plain = susceptibility(network, optimizer, *batch(1))
    with around():
        x, y = (t.clone() for t in batch(1))
        assert torch.equal(susceptibility(network, optimizer, x, y), plain)
        assert torch.equal(x, batch(1)[0])


def test_hooks_and_schedulers_of_the_optimizer_do_not_notice() -> None:
    network, optimizer = make("momentum", 2)
    torch.optim.lr_scheduler.StepLR(optimizer, 1)  # wraps `step`
    called: list[str] = []
    optimizer.register_step_pre_hook(lambda *_: called.append("before"))
    optimizer.register_step_post_hook(lambda *_: called.append("after"))
    for p in network.parameters():
        if p.requires_grad:
            p.register_post_accumulate_grad_hook(lambda _: called.append("gradient"))
    attributes = dict(vars(optimizer))
    assert susceptibility(network, optimizer, *batch(3)) != 0
    assert called == []
    assert vars(optimizer) == attributes


def test_an_optimizer_of_more_than_the_network() -> None:
    """Of two networks, say: the other's parameters take no step, and keep their momentum."""
    seed(0)
    network, other = Noisy(), Noisy()
    optimizer = Adam([*network.parameters(), *other.parameters()], lr=0.01, weight_decay=0.1)
    for net in (network, other):
        train_step(net, optimizer, *batch(1))
    before = everything(other, optimizer)
    assert susceptibility(network, optimizer, *batch(2)) != 0
    assert_same(everything(other, optimizer), before)


def test_an_optimizer_that_wraps_another() -> None:
    class Outer(SGD):
        """Steps another optimizer of the same groups, and counts outside of its state."""

        def __init__(self, params: Any, lr: float) -> None:
            super().__init__(params, lr)
            self.inner = Adam(self.param_groups, lr=lr)
            self.param_groups = self.inner.param_groups
            self.count = [0]

        def step(self, closure: Any = None) -> Any:
            self.count[0] += 1
            return self.inner.step(closure)

    seed(0)
    network = nn.Linear(6, CLASSES)
    optimizer, plain = Outer(network.parameters(), 0.01), Adam(network.parameters(), 0.01)
    expected = susceptibility(network, plain, *batch(2))
    assert torch.equal(susceptibility(network, optimizer, *batch(2)), expected)
    assert optimizer.count == [0]
    assert not optimizer.inner.state


def test_tied_weights_stay_tied() -> None:
    seed(0)
    network = nn.Sequential(nn.Linear(6, 6, bias=False), nn.Tanh(), nn.Linear(6, 6, bias=False))
    network[2].weight = network[0].weight
    optimizer = SGD(network.parameters(), lr=0.5)
    x, y = batch(4)
    torch.testing.assert_close(susceptibility(network, optimizer, x, y), slow(network, optimizer, x, y))
    assert network[2].weight is network[0].weight


def test_a_failure_puts_all_back_too() -> None:
    network, optimizer = make("momentum", 2)
    network.eval()
    before = everything(network, optimizer)
    with pytest.raises(IndexError):
        susceptibility(network, optimizer, batch(1)[0], torch.full((16,), CLASSES))
    assert_same(everything(network, optimizer), before)


def test_inputs_of_another_kind() -> None:
    class OfDict(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(6, CLASSES)

        def forward(self, inputs: dict[str, Tensor]) -> Tensor:
            return self.head(inputs["pixels"])  # type: ignore[no-any-return]

    network, (x, y) = OfDict(), batch(0)
    optimizer = SGD(network.parameters(), lr=0.1)
    found = susceptibility(network, optimizer, {"pixels": x}, y)
    assert torch.equal(found, susceptibility(network.head, SGD(network.parameters(), lr=0.1), x, y))


def test_what_is_refused() -> None:
    network, (x, y) = nn.Linear(6, CLASSES), batch(0)
    with pytest.raises(ValueError, match="`optimizer` must hold parameters of `network`, got none: pass the one that"):
        susceptibility(network, SGD(nn.Linear(2, 2).parameters(), lr=0.1), x, y)
    with pytest.raises(TypeError, match=r"`optimizer` must be a torch.optim.Optimizer, got list: pass the one inside"):
        susceptibility(network, [SGD(network.parameters(), lr=0.1)], x, y)  # type: ignore[arg-type]
