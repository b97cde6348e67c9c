"""Two optimizers that take turns: each steps as it would alone, a schedule moves the first, both are in the state."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.optim.lr_scheduler import MultiStepLR

from noisylearn.methods.optimizers import Relay

TURNS = [False, True, True, False, False, True]  # of the second


class Both:
    """A relay of SGD for two weights and Adam for one of them, with whose turn it is."""

    def __init__(self) -> None:
        self.one, self.two = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
        self.turns = iter(TURNS)
        first = torch.optim.SGD([self.one, self.two], lr=0.1, momentum=0.9)
        self.relay = Relay(first, torch.optim.Adam([self.two], lr=0.01), lambda: next(self.turns))
        self.schedule = MultiStepLR(self.relay, [2, 4])

    def go(self, steps: int) -> None:
        for _ in range(steps):
            for weight in (self.one, self.two):
                weight.grad = 2 * weight.detach()
            self.relay.step()
            self.schedule.step()


def by_hand(steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    one, two = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    sgd = torch.optim.SGD([one, two], lr=0.1, momentum=0.9)
    adam = torch.optim.Adam([two], lr=0.01)
    for step, second in enumerate(TURNS[:steps]):
        sgd.param_groups[0]["lr"] = 0.1 * 0.1 ** ((step >= 2) + (step >= 4))
        for weight in (one, two):
            weight.grad = 2 * weight.detach()
        (adam if second else sgd).step()
    return one, two


def test_each_steps_as_it_would_alone_and_the_schedule_moves_the_first() -> None:
    both = Both()
    both.go(6)
    one, two = by_hand(6)
    torch.testing.assert_close(both.one, one)
    torch.testing.assert_close(both.two, two)
    assert both.relay.second.param_groups[0]["lr"] == 0.01


def test_the_state_is_of_both_and_a_schedule_goes_on_after_it_is_restored() -> None:
    whole, half = Both(), Both()
    whole.go(6)
    half.go(3)
    resumed = Both()
    resumed.one.data, resumed.two.data = half.one.data.clone(), half.two.data.clone()
    resumed.turns = iter(TURNS[3:])
    resumed.relay.load_state_dict(copy.deepcopy(half.relay.state_dict()))
    resumed.schedule.load_state_dict(half.schedule.state_dict())
    resumed.go(3)
    assert torch.equal(resumed.one, whole.one)
    assert torch.equal(resumed.two, whole.two)
    assert resumed.relay.param_groups[0]["lr"] == whole.relay.param_groups[0]["lr"]


def test_what_is_forgotten_begins_anew_in_both() -> None:
    both = Both()
    both.go(3)
    both.relay.forget([both.two])
    assert set(both.relay.first.state) == {both.one}
    assert not both.relay.second.state
    both.relay.forget([both.two])  # nothing to forget
