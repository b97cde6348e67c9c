"""Finding the one submodule that makes the logits, and saying why there is none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from noisylearn.callbacks.logits_finder import LogitsFinder


class Net(nn.Module):
    """A trunk that is called as a whole, with a head inside."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(2, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.body(x).relu())
        return out


def owner(**parts: nn.Module) -> nn.ModuleDict:
    return nn.ModuleDict(parts)


def look(module: nn.Module, name: str | None, act: Any, rows: int = 2, num_classes: int = 3) -> Tensor:
    finder = LogitsFinder(module, name)
    finder.start_step()
    act()
    return finder.end_step(rows, num_classes)


def hooks(module: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules())


X = torch.ones(2, 2)


def test_the_outermost_submodule_that_gives_a_row_of_scores_per_sample() -> None:
    net = Net()
    found = look(owner(net=net), None, lambda: net(X))
    assert torch.equal(found, net(X))
    assert not found.requires_grad


def test_modules_called_one_by_one_are_told_apart_by_their_shape() -> None:
    body, head = nn.Linear(2, 2), nn.Linear(2, 3)
    found = look(owner(body=body, head=head), None, lambda: head(body(X)))
    assert torch.equal(found, head(body(X)))


def test_after_the_first_step_one_submodule_is_hooked_and_after_the_last_none() -> None:
    net = Net()
    module = owner(net=net)
    finder = LogitsFinder(module, None)
    assert hooks(module) == 2 * 3  # two for each of the net, its body and its head
    finder.start_step()
    net(X)
    finder.end_step(2, 3)
    assert (hooks(module), hooks(net.head)) == (2, 0)
    finder.start_step()
    net(X + 1)
    assert torch.equal(finder.end_step(2, 3), net(X + 1))
    net(X)  # a call outside a step, as in validation, is none of its business
    finder.start_step()
    net(X)
    assert torch.equal(finder.end_step(2, 3), net(X))
    finder.stop()
    assert hooks(module) == 0


class Gives(nn.Module):
    """A network whose output is more than logits."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.head, self.make = nn.Linear(2, 3), make

    def forward(self, x: Tensor) -> Any:
        return self.make(self.head(x))


@pytest.mark.parametrize("make", [lambda z: {"features": z + 1, "logits": z}, lambda z: SimpleNamespace(logits=z)])
@pytest.mark.parametrize("name", [None, "net"])
def test_logits_in_a_dict_or_an_object(make: Any, name: str | None) -> None:
    net = Gives(make)
    found = look(owner(net=net), name, lambda: net(X))
    assert torch.equal(found, net.head(X))
    assert not found.requires_grad


def test_a_name_chooses() -> None:
    net = Net()
    assert torch.equal(look(owner(net=net), "net.head", lambda: net(X)), net(X))
    assert look(owner(net=net), "net.body", lambda: net(X)).shape == (2, 5)


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"there is no submodule 'nett'; there are net, net\.body, net\.head"):
        LogitsFinder(owner(net=Net()), "nett")


def test_two_candidates() -> None:
    one, two = nn.Linear(2, 3), nn.Linear(2, 4)
    with pytest.raises(ValueError, match=r"not found: 2 outermost.*outputs of this step: one: \(2, 3\) float32, two"):
        look(owner(one=one, two=two), None, lambda: (one(X), two(X)))


def test_no_candidate() -> None:
    net = nn.Linear(2, 3)
    with pytest.raises(
        ValueError,
        match=r"0 outermost submodules gave \(2, C >= 7\), as the largest label is 6; .*net: \(2",
    ):
        look(owner(net=net), None, lambda: net(X), num_classes=7)
    with pytest.raises(ValueError, match="outputs of this step: none ran"):
        look(owner(net=net), None, lambda: None)


@pytest.mark.parametrize("name", [None, "net"])
def test_a_submodule_that_runs_twice(name: str | None) -> None:
    net = nn.Linear(2, 3)
    with pytest.raises(ValueError, match="the submodule 'net' ran 2 times in one training step; it must run once"):
        look(owner(net=net), name, lambda: (net(X), net(X)))


def test_a_named_submodule_that_does_not_run() -> None:
    with pytest.raises(ValueError, match="the submodule 'net' ran not at all in one training step"):
        look(owner(net=nn.Linear(2, 3)), "net", lambda: None)


def test_a_named_submodule_of_another_shape() -> None:
    net = nn.Linear(2, 3)
    with pytest.raises(ValueError, match=r"'net' gave \(1, 3\) float32, not \(2, C\).*return \{\"loss\": loss"):
        look(owner(net=net), "net", lambda: net(X[:1]))
