"""The rate of the layer that makes the logits, wherever a project keeps its logits and its parameter groups."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from noisylearn._compat import Callback
from noisylearn.callbacks import SignalTracker
from noisylearn.callbacks.learning_rate import StepRate, nearest_parameters
from noisylearn.signals import suspicion
from tests.unit.callbacks.small import C, Module, N, fit, loader
from tests.unit.callbacks.test_other_projects import FeatureNorm

BODY, HEAD = 0.25, 0.0625
"""Sums of them are exact."""


class Groups(Module):
    """A body and a head with rates of their own."""

    rates = (BODY, HEAD)

    def __init__(self) -> None:
        super().__init__(nn.Sequential(nn.Linear(1, 6), nn.ReLU(), nn.Linear(6, C)))

    def configure_optimizers(self) -> Any:
        body, head = self.rates
        groups = [{"params": self.net[0].parameters(), "lr": body}, {"params": self.net[2].parameters(), "lr": head}]
        return torch.optim.SGD(groups)

    def loss_of(self, batch: Any) -> tuple[Tensor, Tensor]:
        logits = self.net(batch[0] / N)
        return nn.functional.cross_entropy(logits, batch[1]), logits


class Attached(Groups):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss, logits = self.loss_of(batch)
        return {"loss": loss, "logits": logits}


class Detached(Groups):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss, logits = self.loss_of(batch)
        return {"loss": loss, "logits": logits.detach()}


class OfItsOwn(Groups):
    """Under a name of its own, so that no hook looks for logits."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss, logits = self.loss_of(batch)
        return {"loss": loss, "mine": logits.detach()}


class TwoOptimizers(Groups):
    """Under manual optimization, the network's own optimizer the second."""

    def __init__(self) -> None:
        super().__init__()
        self.critic = nn.Linear(1, 1)
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:
        losses = self.critic(batch[0]).mean(), self.loss_of(batch)[0]
        for optimizer, loss in zip(self.optimizers(), losses, strict=True):
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(self.critic.parameters(), lr=7.0), super().configure_optimizers()]


def rates_of(module: Any, **where: Any) -> list[float]:
    tracker = SignalTracker(FeatureNorm(), features="net.1", **where)
    fit([tracker], module=module)
    return tracker.scores()["rate_sum"].tolist()


@pytest.mark.parametrize("module", [Groups, Attached, Detached, TwoOptimizers])
def test_the_rate_is_that_of_the_layer_that_makes_the_logits(module: Any) -> None:
    assert rates_of(module()) == [HEAD] * N


def test_a_named_layer() -> None:
    assert rates_of(Groups(), logits="net") == [HEAD] * N


def test_the_layer_that_the_features_go_into_tells_where_nothing_else_does() -> None:
    tracker = SignalTracker("SelfInfluence", logits="mine")
    fit([tracker], module=OfItsOwn())
    paced = SignalTracker(["PacedError", "EL2N"], logits="mine")
    fit([paced], module=OfItsOwn())
    of_head, of_any = tracker.scores()["self_influence_normalized"], paced.scores()["paced_error"]
    assert torch.allclose(of_head / HEAD, of_any / BODY)  # the largest, where it is not to be seen


def test_an_optimizer_that_is_loaded_in_mid_fit_has_new_groups() -> None:
    class Loads(Callback):  # type: ignore[misc]  # its base is made at import time
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            state = trainer.optimizers[0].state_dict()
            state["param_groups"][1]["lr"] = 2 * HEAD
            trainer.optimizers[0].load_state_dict(state)

    tracker = SignalTracker(FeatureNorm(), features="net.1")
    fit([tracker, Loads()], module=Groups(), epochs=2)
    assert tracker.scores()["rate_sum"].tolist() == [3 * HEAD] * N


def test_a_rate_that_is_a_tensor_is_a_copy_and_stays_a_tensor() -> None:
    rate, other = torch.tensor(0.5), torch.tensor(0.25)
    layer, second = nn.Linear(1, 1), nn.Linear(1, 1)
    groups = [{"params": layer.parameters(), "lr": rate}, {"params": second.parameters(), "lr": other}]
    read = StepRate()
    read.start_step([torch.optim.Adam(groups)])
    rate.fill_(9.0)  # as a scheduler does at the step's end
    assert isinstance(read.value, Tensor)
    assert read.value == 0.5
    read.look(second.parameters())
    assert read.value == 0.25


def test_without_an_optimizer_no_step_weighs_more() -> None:
    read = StepRate()
    read.start_step([])
    read.look([])
    assert read.known
    assert read.value == 1.0


def test_the_nearest_parameters() -> None:
    frozen, head = nn.Linear(2, 3).requires_grad_(False), nn.Conv1d(3, 4, 1)
    made = head(frozen(torch.zeros(5, 2))[:, :, None]).mean(2)
    assert {id(p) for p in nearest_parameters(made)} == {id(p) for p in head.parameters()}
    assert nearest_parameters(frozen(torch.zeros(5, 2))) == []


@pytest.mark.parametrize("rates", [(0.0, HEAD), (HEAD, 0.0)])
def test_suspicion_tells_samples_apart_whichever_part_is_frozen(rates: tuple[float, float]) -> None:
    module = Groups()
    module.rates = rates
    tracker = SignalTracker()
    fit([tracker], loader(batch_size=3), module, epochs=2)
    scores = tracker.scores()
    assert len(set(scores["aum"].tolist())) > 2
    assert len(set(suspicion(scores).tolist())) > 2
