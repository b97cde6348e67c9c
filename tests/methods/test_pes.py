"""PES against a loop with the optimizers of the reference code, what is drawn anew, and arguments."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisylearn._compat import Callback
from noisylearn.methods import PES
from tests.methods.harness import Case, digits, plain, run
from tests.methods.planned import Served

WARMUP, REFINE, LAST, LR = 2, (2, 1), 3, 0.05
TAIL = ("features.1", "classifier")
SETTING: dict[str, Any] = {"warmup_epochs": WARMUP, "tail": TAIL, "refine_epochs": REFINE, "refine_lr": 0.01, "lr": LR}
NETWORK: dict[str, Any] = {"backbone": "digits_cnn", "num_classes": 10, "in_channels": 1, "image_size": 8}


class Watch(Callback):  # type: ignore[misc]
    """Keeps every batch, and the weights as each epoch begins."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: dict[int, list[tuple[Tensor, Tensor]]] = {}
        self.weights: list[dict[str, Tensor]] = []

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.weights.append(copy.deepcopy(pl_module.network.state_dict()))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.batches.setdefault(trainer.current_epoch, []).append((batch.input, batch.target))


def confident(network: nn.Module, images: Tensor, labels: Tensor) -> tuple[list[int], Tensor]:
    """The rows whose prediction is their label, and the weight of each class."""
    rows = [i for i in range(len(labels)) if int(network(images[i : i + 1]).argmax()) == int(labels[i])]
    counts = np.bincount(labels[rows].numpy(), minlength=10)
    with np.errstate(divide="ignore"):
        weights = counts[counts > 0].mean() / counts
    weights[np.isinf(weights)] = 0
    return rows, torch.tensor(weights)


class ByHand:
    """The same fit with the optimizers of the reference: one SGD for all, a new Adam for each part drawn anew."""

    def __init__(self, watch: Watch) -> None:
        self.watch, self.epoch = watch, 0
        self.network = plain().double()
        self.network.load_state_dict(watch.weights[0])
        self.sgd = torch.optim.SGD(self.network.parameters(), lr=LR, momentum=0.9, weight_decay=5e-4)

    def weights_of(self, *modules: str) -> list[nn.Parameter]:
        return [w for name, w in self.network.named_parameters() if name.startswith(modules)]

    def train(self, optimizer: torch.optim.Optimizer, weight: Tensor | None = None) -> None:
        for x, y in self.watch.batches[self.epoch]:
            optimizer.zero_grad()
            F.cross_entropy(self.network(x), y, weight=weight).backward()
            optimizer.step()
        self.epoch += 1

    def refine(self, modules: tuple[str, ...], epochs: int) -> None:
        drawn = self.watch.weights[self.epoch]
        for name, weight in self.network.named_parameters():
            renewed = name.startswith(modules)
            assert torch.allclose(drawn[name], weight, rtol=1e-6, atol=1e-6) == (not renewed), name
            weight.requires_grad_(renewed)
            weight.data.copy_(drawn[name])
            if renewed:
                self.sgd.state.pop(weight, None)
        adam = torch.optim.Adam(self.weights_of(*modules), lr=0.01)
        for _ in range(epochs):
            self.train(adam)
        self.network.requires_grad_(True)


@pytest.mark.parametrize("legacy", [False, True], ids=["", "frozen tail"])
def test_a_fit_is_the_loop_of_the_paper(legacy: bool) -> None:
    watch, served, data = Watch(), Served(), digits(num_train=250)
    setting = {**SETTING, "legacy_frozen_tail": legacy}
    args: dict[str, Any] = {"precision": "64-true", "callbacks": [watch, served]}
    fitted = run(Case(PES, setting), data, {"backbone": plain}, epochs=WARMUP + sum(REFINE) + LAST, **args)
    hand = ByHand(watch)
    for _ in range(WARMUP):
        hand.train(hand.sgd)
    for number, epochs in enumerate(REFINE):
        hand.refine(TAIL[number:], epochs)
    if legacy:  # the code's SGD has the parameters that were there before
        known = {id(w) for w in hand.weights_of("features", "classifier")} - {id(w) for w in hand.weights_of(*TAIL)}
        hand.sgd.param_groups[0]["params"] = [w for w in hand.network.parameters() if id(w) in known]
    images = next(iter(data._loader("train", data.noisy_targets, torch.arange(250), train=False))).input.double()
    for _ in range(LAST):
        rows, weights = confident(hand.network, images, data.noisy_targets)
        assert sorted(served.rows[hand.epoch]) == rows
        assert 10 < len(rows) < 250
        hand.train(hand.sgd, weights)
    for ours, theirs in zip(fitted.method.network.parameters(), hand.network.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_what_a_schedule_moves_is_not_adams_rate() -> None:
    schedule = {"scheduler": "MultiStepLR", "scheduler_args": {"milestones": [1, 4]}}
    fitted = run(Case(PES, {**SETTING, **schedule}), method={"backbone": plain}, epochs=WARMUP + sum(REFINE) + 1)
    relay = fitted.trainer.optimizers[0]
    assert relay.first.param_groups[0]["lr"] == pytest.approx(LR / 100)
    assert relay.second.param_groups[0]["lr"] == 0.01


def test_parts_are_drawn_by_the_seed() -> None:
    def weights(seed: int) -> Tensor:
        class Seed(Callback):  # type: ignore[misc]
            def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
                torch.manual_seed(seed)

        watch = Watch()
        run(Case(PES, SETTING), method={"backbone": plain}, epochs=WARMUP + 1, callbacks=[Seed(), watch])
        return watch.weights[-1]["classifier.weight"]

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_a_part_of_no_epochs_stays_as_it_is() -> None:
    watch = Watch()
    setting = {**SETTING, "refine_epochs": (0, 0)}
    fitted = run(Case(PES, setting), method={"backbone": plain, "lr": 1e-12}, epochs=WARMUP + 1, callbacks=[watch])
    assert fitted.method.part_at(WARMUP) == 2
    torch.testing.assert_close(watch.weights[0], watch.weights[-1])


def test_batch_norm_begins_anew_with_its_part() -> None:
    case = Case(PES, {**SETTING, "tail": ("features.1", "classifier")})
    watch = Watch()
    run(case, epochs=WARMUP + 1, callbacks=[watch])
    assert int(watch.weights[1]["features.2.num_batches_tracked"]) == 8
    assert int(watch.weights[2]["features.2.num_batches_tracked"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tail": ()}, "`tail` and `refine_epochs` must say as much, one part and its epochs, got 0 and 2"),
        ({"refine_epochs": (7,)}, "`tail` and `refine_epochs` must say as much, one part and its epochs, got 2 and 1"),
        ({"refine_epochs": (7, -5)}, "`refine_epochs` must be finite and at least 0, got -5: a number of epochs"),
        ({"warmup_epochs": -1}, "`warmup_epochs` must be finite and at least 0, got -1"),
        ({"refine_lr": -1.0}, "`refine_lr` must be finite and at least 0, got -1.0: Adam's"),
        ({"tail": ("layer4", "classifier")}, "`tail`: no module `layer4`"),
        ({"tail": ("features", "clasifier")}, "`tail`: no module `clasifier`; did you mean `classifier`"),
        ({"tail": ("classifier", "features.4")}, "`tail` must go from the input to the output, got .*: turn it round"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PES(**{"tail": ("features.4", "classifier"), **arguments}, **NETWORK)


def test_a_module_that_cannot_be_drawn_anew_is_refused() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(10))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.scale

    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), Scaled())
    with pytest.raises(ValueError, match=r"`tail` needs modules that can draw their weights anew, got a Scaled, which"):
        PES(tail=("1",), refine_epochs=(5,), backbone=network, num_classes=10)
