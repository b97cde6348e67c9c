"""Several optimizers as one: the steps of the parts, and what a Trainer, a scheduler and a checkpoint see of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import MultiStepLR

from noisylearn.methods.optimizers import Chain, Phases
from tests.methods.harness import differences


def two() -> list[nn.Parameter]:
    return [nn.Parameter(torch.tensor([1.0, -2.0])), nn.Parameter(torch.tensor([[0.5], [3.0]]))]


def sgd(parameters: list[nn.Parameter]) -> SGD:
    return SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01)


def adam(parameters: list[nn.Parameter]) -> Adam:
    return Adam(parameters, lr=0.02)


def chained(parameters: list[nn.Parameter]) -> Chain:
    return Chain(sgd(parameters[:1]), adam(parameters[1:]))


def phased(parameters: list[nn.Parameter]) -> Phases:
    return Phases(sgd(parameters), adam(parameters))


def step(optimizer: Optimizer, parameters: list[nn.Parameter]) -> float:
    def closure() -> float:
        optimizer.zero_grad()
        loss = sum(((p - 0.3) ** 2).sum() for p in parameters)
        assert isinstance(loss, Tensor)
        torch.autograd.backward(loss)
        return loss.item()

    return optimizer.step(closure)


def saved(optimizer: Optimizer) -> Any:
    """A state as a checkpoint holds it."""
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_a_chain_steps_as_its_parts_do_by_themselves() -> None:
    ours, theirs = two(), two()
    chain, apart = chained(ours), [sgd(theirs[:1]), adam(theirs[1:])]
    schedulers = [MultiStepLR(optimizer, [2, 4]) for optimizer in (chain, *apart)]
    for _ in range(6):
        loss = step(chain, ours)
        expected = sum(step(optimizer, theirs[i : i + 1]) for i, optimizer in enumerate(apart))
        assert loss == pytest.approx(expected)
        for scheduler in schedulers:
            scheduler.step()
        assert differences(ours, theirs) == []
    assert [group["lr"] for group in chain.param_groups] == pytest.approx([0.001, 0.0002])


def test_a_chain_has_no_parameter_twice() -> None:
    parameters = two()
    with pytest.raises(ValueError, match="some parameters appear in more than one parameter group"):
        Chain(sgd(parameters), adam(parameters[1:]))


def test_phases_step_as_the_optimizer_of_the_phase() -> None:
    ours, theirs = two(), two()
    phases = phased(ours)
    first, second = sgd(theirs), adam(theirs)
    for optimizer, phase in ((first, 0), (first, 0), (second, 1), (second, 1)):
        phases.enter(phase)
        assert step(phases, ours) == step(optimizer, theirs)
        assert differences(ours, theirs) == []
        assert phases.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]
        assert len(phases.state) == 2
    assert phases.defaults["betas"] == (0.9, 0.999)


@pytest.mark.parametrize("make", [chained, phased])
@pytest.mark.parametrize("phase", [0, 1])
def test_a_restored_optimizer_goes_on(make: Callable[[list[nn.Parameter]], Any], phase: int) -> None:
    def entered(optimizer: Any) -> None:
        if phase and isinstance(optimizer, Phases):
            optimizer.enter(phase)

    ours = two()
    whole = make(ours)
    step(whole, ours)
    entered(whole)
    step(whole, ours)
    whole.param_groups[-1]["lr"] = 0.07  # as a scheduler leaves it
    again = [nn.Parameter(p.detach().clone()) for p in ours]
    resumed = make(again)
    resumed.load_state_dict(saved(whole))
    for _ in range(2):
        step(whole, ours)
        step(resumed, again)
    assert differences(ours, again) == []
    assert differences(whole.state_dict(), resumed.state_dict()) == []


def test_a_cleared_state_is_cleared_in_the_parts() -> None:
    for make in (chained, phased):
        ours = two()
        optimizer: Any = make(ours)
        step(optimizer, ours)
        optimizer.state.clear()
        before = [p.detach().clone() for p in ours]
        step(optimizer, ours)
        fresh = [nn.Parameter(p) for p in before]
        step(make(fresh), fresh)
        assert differences(ours, fresh) == []
