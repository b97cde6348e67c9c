"""Me-Momentum against the loops of the authors' code, its rounds, a resume in them, and arguments."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from noisylearn._compat import Callback
from noisylearn.methods import MeMomentum
from noisylearn.methods.me_momentum import Rounds
from tests.methods.harness import Case, differences, digits, fit, plain, run, savers
from tests.methods.planned import Served

LENGTH, PATIENCE, INNER, OUTER, LR = 4, 2, 3, 2, 0.05
SETTING: dict[str, Any] = {"round_epochs": LENGTH, "patience": PATIENCE, "inner_rounds": INNER, "outer_rounds": OUTER}
NETWORK: dict[str, Any] = {"backbone": "digits_cnn", "num_classes": 10, "in_channels": 1, "image_size": 8}
DATA: dict[str, Any] = {"num_train": 320, "val_fraction": 0.25}


class Watch(Callback):  # type: ignore[misc]
    """Keeps every batch, the weights as each epoch begins, and the rates."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: dict[int, list[Any]] = {}
        self.weights: list[dict[str, Tensor]] = []
        self.rates: list[float] = []

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.weights.append(copy.deepcopy(pl_module.network.state_dict()))
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.batches.setdefault(trainer.current_epoch, []).append(batch)


class ByHand:
    """The same fit in the nested loops of the authors' code, over the same batches."""

    def __init__(self, watch: Watch, served: Served, data: Any) -> None:
        self.watch, self.served, self.data = watch, served, data
        self.network, self.epoch, self.rates = plain().double(), 0, [LR]
        everything = data._loader("train", data.noisy_targets, torch.arange(320), train=False)
        self.images = next(iter(everything)).input.double()

    def accuracy(self) -> float:
        """The mean over the classes of the validation set."""
        rows = self.data.val_rows
        right = self.network(self.images[rows]).argmax(1) == self.data.noisy_targets[rows]
        classes = [self.data.noisy_targets[rows] == c for c in range(10)]
        return float(torch.stack([right[c].double().mean() for c in classes if c.any()]).mean())

    def train(self, sgd: torch.optim.Optimizer, lr: float) -> float:
        torch.testing.assert_close(
            self.watch.weights[self.epoch], dict(self.network.state_dict()), rtol=1e-5, atol=1e-6
        )
        assert self.watch.rates[self.epoch] == pytest.approx(lr)
        for group in sgd.param_groups:
            group["lr"] = lr
        for x, y, _ in self.watch.batches[self.epoch]:
            sgd.zero_grad()
            F.cross_entropy(self.network(x), y).backward()
            sgd.step()
        self.epoch += 1
        return self.accuracy()

    def optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.network.parameters(), lr=LR, momentum=0.9, weight_decay=5e-4)

    def outer(self) -> list[int]:
        """Do all rounds once, from the weights of this epoch's beginning; return how many epochs each took."""
        self.network.load_state_dict(self.watch.weights[self.epoch])
        sgd, best, last, waited, begun, lengths = self.optimizer(), 0.0, 0.0, 0, self.epoch, []
        for _ in range(LENGTH):
            accuracy = self.train(sgd, LR)
            if accuracy > best + 0.001 * waited:
                best, waited, saved = accuracy, 0, copy.deepcopy(self.network.state_dict())
            else:
                waited += 1
            if waited >= PATIENCE:
                break
        for _ in range(INNER):
            lengths.append(self.epoch - begun)
            begun = self.epoch
            self.network.load_state_dict(saved)
            sgd = self.optimizer()
            rows = self.data.train_rows
            predicted = self.network(self.images[rows]).argmax(1) == self.data.noisy_targets[rows]
            chosen = rows[predicted].tolist()
            for index in range(LENGTH):
                assert sorted(self.served.rows[self.epoch]) == chosen
                accuracy = self.train(sgd, LR * [1, 1, 0.1, 0.1][index])
                if accuracy > best:
                    best, saved = accuracy, copy.deepcopy(self.network.state_dict())
            if best <= last:
                break
            last = best
        return [*lengths, self.epoch - begun]


def test_a_fit_is_the_loops_of_the_authors() -> None:
    watch, served, data = Watch(), Served(), digits(**DATA)
    args: dict[str, Any] = {"precision": "64-true", "callbacks": [watch, served], "limit_val_batches": 1.0}
    setting = {**SETTING, "lr": LR, "backbone": plain}
    fitted = run(Case(MeMomentum, setting), data, epochs=1000, **args)
    hand = ByHand(watch, served, data)
    rounds = [hand.outer() for _ in range(OUTER)]
    assert all(1 < len(lengths) < 1 + INNER for lengths in rounds)  # the last has found no better weights
    assert fitted.trainer.current_epoch == hand.epoch  # it has stopped by itself
    for ours, theirs in zip(fitted.method.network.parameters(), hand.network.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def slow(accuracies: list[float]) -> Iterator[tuple[int, int, int]]:
    """Restarts, round and epoch of each epoch, in the loops of the authors' code, on a given list of accuracies."""
    rest = iter(accuracies)
    for outer in range(OUTER):
        n_add, inner, last = 0, 0.0, 0.0
        for epoch in range(LENGTH):
            yield outer, 0, epoch
            accuracy = next(rest)
            if accuracy > inner + 0.001 * n_add:
                inner, n_add = accuracy, 0
            else:
                n_add += 1
            if n_add >= PATIENCE:
                break
        for number in range(1, INNER + 1):
            for epoch in range(LENGTH):
                yield outer, number, epoch
                inner = max(inner, next(rest))
            if inner > last:
                last = inner
            else:
                break


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([0.4, 0.5, 0.5005, 0.502, 0.6]), min_size=40, max_size=40))
def test_rounds_are_those_of_the_loops(accuracies: list[float]) -> None:
    rounds, seen = Rounds(LENGTH, PATIENCE, INNER, OUTER), []
    for accuracy in accuracies:
        if rounds.over:
            break
        seen.append((rounds.restarts, rounds.number, rounds.epoch))
        rounds = rounds.after(accuracy)
    assert seen == list(slow(accuracies))
    assert rounds.over
    assert rounds.after(1.0).over


def test_without_validation_every_round_is_whole_and_goes_on_from_the_last_weights() -> None:
    watch = Watch()
    setting = {**SETTING, "round_epochs": 2, "outer_rounds": 1, "backbone": plain}
    fitted = run(Case(MeMomentum, setting), epochs=100, callbacks=[watch], limit_val_batches=1.0)
    assert fitted.trainer.current_epoch == 2 * (1 + INNER)
    assert fitted.method._accuracy is None  # the test set's accuracy is none of its business
    assert watch.rates == pytest.approx([0.05, 0.05, 0.05, 0.005, 0.05, 0.005, 0.05, 0.005])


@pytest.mark.parametrize("stop", ["epoch-0", "epoch-3", "epoch-7", "step-11", "step-33"])
def test_resume_in_any_round_is_exact(stop: str, tmp_path: Path) -> None:
    def go(resume: Path | None = None) -> Any:
        args: dict[str, Any] = {"epochs": 20, "limit_val_batches": 1.0, "callbacks": savers(tmp_path, 11)}
        return run(Case(MeMomentum, SETTING), digits(**DATA), resume=resume, **args)

    whole = go()
    with pytest.warns(UserWarning, match="is not empty"):
        resumed = go(tmp_path / f"{stop}.ckpt")
    assert whole.method.rounds == resumed.method.rounds
    assert whole.method.rounds.number + whole.method.rounds.restarts > 0
    assert differences(whole.state(), resumed.state()) == []
    assert differences(whole.method._best, resumed.method._best) == []


def test_a_new_trainer_begins_with_the_first_round() -> None:
    setting = {**SETTING, "round_epochs": 1, "backbone": plain}
    fitted = run(Case(MeMomentum, setting), epochs=3)
    assert fitted.method.rounds.number > 0
    assert fit(fitted.method, epochs=1).method.rounds == Rounds(1, PATIENCE, INNER, OUTER)


def test_epochs_without_validation_are_refused() -> None:
    with pytest.raises(ValueError, match="`check_val_every_n_epoch` must be 1 with MeMomentum, got 2: rounds go by"):
        run(Case(MeMomentum, SETTING), digits(**DATA), limit_val_batches=1.0, check_val_every_n_epoch=2)


class Scaled(nn.Module):
    """Has a weight that nothing draws."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(10))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"round_epochs": 0}, "`round_epochs` must be at least 1, got 0"),
        ({"patience": 0}, "`patience` must be at least 1, got 0"),
        ({"inner_rounds": 0}, "`inner_rounds` must be at least 1, got 0"),
        ({"outer_rounds": 0}, "`outer_rounds` must be at least 1, got 0"),
        ({"scheduler": "CosineAnnealingLR"}, "`scheduler` must be left out with MeMomentum, got 'CosineAnnealingLR'"),
        ({"backbone": Scaled()}, "`outer_rounds` needs modules that can draw their weights anew, got a Scaled"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MeMomentum(**{**NETWORK, **arguments})


def test_weights_that_cannot_be_drawn_anew_do_for_one_outer_round() -> None:
    assert MeMomentum(**{**NETWORK, "backbone": Scaled(), "outer_rounds": 1}).rounds.outer == 1
