"""Samples that count more than others: chosen by the score, through the loss or the sampler, and reversibly."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Subset

from noisylearn._compat import Callback
from noisylearn.callbacks import Curriculum, SamplePruner, SampleReweighter, SignalTracker, SweepTracker
from noisylearn.callbacks.sample_weighting import SampleWeighting
from noisylearn.data import Digits, IndexedDataset
from noisylearn.methods import CrossEntropy
from noisylearn.selection import fit_gmm
from tests.unit.callbacks.small import C, Module, N, X, Y, dataset, fit, loader


class Presented(Callback):  # type: ignore[misc]  # its base is made at import time
    """Which samples were shown in each epoch (a sample's one feature is its number)."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[list[int]] = []

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.epochs.append([])

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.epochs[-1] += batch[0][:, 0].long().tolist()


def worst(scores: Tensor, count: int, highest: bool) -> set[int]:
    return set(scores.argsort(stable=True, descending=highest)[:count].tolist())


@pytest.mark.parametrize("order", ["tracker first", "pruner first"])
@pytest.mark.parametrize("workers", [0, 2])
def test_pruned_samples_are_not_drawn_and_the_tracker_knows(order: str, workers: int) -> None:
    tracker, pruner, presented = SignalTracker(["Margin"]), SamplePruner("aum", 0.5, start_epoch=1), Presented()
    callbacks = [tracker, pruner] if order == "tracker first" else [pruner, tracker]
    train = loader(shuffle=True, num_workers=workers)
    sampler = train.batch_sampler.sampler
    fit([*callbacks, presented], train, epochs=3)
    assert sorted(presented.epochs[0]) == list(range(N))
    for epoch in presented.epochs[1:]:
        assert len(epoch) == N
        assert len(set(epoch)) == N // 2
    assert tracker.signal_set is not None
    seen = torch.zeros(N, dtype=torch.int64)
    for epoch in presented.epochs:
        seen += torch.bincount(torch.tensor(epoch), minlength=N)
    assert tracker.signal_set.table.views()["n_seen"].tolist() == seen.tolist()
    assert train.batch_sampler.sampler is sampler


def test_the_worst_by_the_score_are_left_out() -> None:
    tracker, pruner, presented = SignalTracker(["Margin"]), SamplePruner("aum", 0.25, start_epoch=2), Presented()
    module = Module()
    fit([tracker, pruner, presented], loader(shuffle=True), module, epochs=2)
    assert pruner.weights is not None
    out = set((pruner.weights == 0).nonzero()[:, 0].tolist())
    assert out == worst(tracker.scores()["aum"], 3, highest=False)
    assert all(sorted(epoch) == list(range(N)) for epoch in presented.epochs)  # it begins with the third epoch


@pytest.mark.parametrize(("drop", "highest"), [("noisiest", True), ("cleanest", False)])
def test_direction_ramp_and_schedule(drop: str, highest: bool) -> None:
    pruner = SamplePruner("el2n", 0.5, start_epoch=2, ramp_epochs=1, every_n_epochs=3, drop=drop)
    suspicion = torch.tensor([0.3, 0.9, 0.1, 0.5])
    assert set((pruner.weigh(suspicion, 2) == 0).nonzero()[:, 0].tolist()) == worst(suspicion, 1, highest)
    assert set((pruner.weigh(suspicion, 3) == 0).nonzero()[:, 0].tolist()) == worst(suspicion, 2, highest)
    weighed: list[int] = []

    class Counts(SamplePruner):
        def weigh(self, suspicion: Tensor, epoch: int) -> Tensor:
            weighed.append(epoch)
            return super().weigh(suspicion, epoch)

    fit([SignalTracker(["EL2N"]), Counts("el2n", 0.5, start_epoch=2, every_n_epochs=3)], epochs=9)
    assert weighed == [2, 5, 8]


def test_a_method_of_ours_weighs_its_losses_and_still_measures_all() -> None:
    data = Digits(num_train=80, batch_size=16)
    module = CrossEntropy(backbone="mlp", num_classes=10, in_channels=1, image_size=8)
    tracker, pruner = SignalTracker(["Margin"]), SamplePruner("aum", 0.25, start_epoch=1)
    fit([tracker, pruner], module=module, datamodule=data, epochs=3)
    assert tracker.signal_set is not None
    assert tracker.signal_set.table.views()["n_seen"].tolist() == [3] * 80
    weights = module.sample_weights(torch.arange(80))
    assert weights is not None
    assert weights.tolist() == pruner.weights.tolist()  # type: ignore[union-attr]
    assert int((weights == 0).sum()) == 20
    pruner.restore(module)
    assert module.sample_weights(torch.arange(80)).tolist() == [1.0] * 80  # type: ignore[union-attr]


def test_restored_samples_are_drawn_again() -> None:
    pruner, presented = SamplePruner("aum", 0.5, start_epoch=1, every_n_epochs=100), Presented()

    class Restores(Callback):  # type: ignore[misc]  # its base is made at import time
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            if trainer.current_epoch == 1:
                pruner.restore(pl_module)

    fit([SignalTracker(["Margin"]), pruner, presented, Restores()], loader(shuffle=True), epochs=3)
    assert [len(set(epoch)) for epoch in presented.epochs] == [N, N // 2, N]


def test_a_curriculum_grows() -> None:
    curriculum, presented = Curriculum("el2n", full_epoch=4, start=0.25), Presented()
    fit([SignalTracker(["EL2N"]), curriculum, presented], loader(shuffle=True), epochs=6)
    assert [len(set(epoch)) for epoch in presented.epochs] == [12, 3, 6, 9, 12, 12]


def test_a_curriculum_begins_with_the_least_suspicious() -> None:
    suspicion = torch.tensor([0.3, 0.9, 0.1, 0.5])
    assert Curriculum("el2n", 3, start=0.5).weigh(suspicion, 1).tolist() == [1, 0, 1, 0]


def test_a_reweighter_weighs_by_the_posterior_or_the_rank() -> None:
    suspicion = torch.cat([torch.linspace(0, 1, 40), torch.linspace(9, 10, 10)])
    by_mixture = SampleReweighter("aum", 1).weigh(suspicion, 1)
    assert torch.equal(by_mixture, fit_gmm(suspicion).posterior(suspicion))
    assert by_mixture[:40].min() > 0.9
    assert by_mixture[40:].max() < 0.1
    assert SampleReweighter("aum", 1).weigh(torch.ones(5), 1).tolist() == [1.0] * 5  # one group: no answer
    assert SampleReweighter("aum", 1, "rank").weigh(torch.tensor([2.0, 0.0, 1.0]), 1).tolist() == [0.0, 1.0, 0.5]
    assert SampleReweighter("aum", 1, "rank").weigh(torch.tensor([2.0]), 1).tolist() == [1.0]


def test_reweighted_samples_are_drawn_in_proportion() -> None:
    reweighter, presented = SampleReweighter("aum", 1, "rank", every_n_epochs=10), Presented()
    fit([SignalTracker(["Margin"]), reweighter, presented], loader(shuffle=True), epochs=40)
    assert reweighter.weights is not None
    drawn = torch.zeros(N)
    for epoch in presented.epochs[31:]:
        drawn += torch.bincount(torch.tensor(epoch), minlength=N)
    share = reweighter.weights / reweighter.weights.mean()
    assert drawn[reweighter.weights == 0].sum() == 0
    assert torch.allclose(drawn / len(presented.epochs[31:]), share, atol=0.5)


def test_a_sweep_s_score_and_rows_of_a_subset() -> None:
    rows = [7, 2, 11, 5, 0, 8]
    for data in (Subset(dataset(), rows), Subset(IndexedDataset(dataset()), rows)):
        pruner, presented = SamplePruner("aum", 0.5, start_epoch=1), Presented()
        tracker = SweepTracker(["Margin"], logits="net")
        fit([tracker, pruner, presented], loader(data, shuffle=True, batch_size=3), epochs=2)
        weights = pruner.weights
        assert weights is not None
        kept = weights.nonzero()[:, 0].tolist()
        numbers = {rows[i] for i in kept} if len(weights) == len(rows) else set(kept) & set(rows)
        assert set(presented.epochs[1]) == numbers
        assert len(numbers) == 3


def test_weights_are_in_the_checkpoint(tmp_path: Path) -> None:
    first = SamplePruner("aum", 0.5, start_epoch=1, every_n_epochs=10)
    trainer = fit([SignalTracker(["Margin"]), first], loader(shuffle=True), epochs=2)
    trainer.save_checkpoint(tmp_path / "two.ckpt")
    torch.load(tmp_path / "two.ckpt", weights_only=True)
    second, presented = SamplePruner("aum", 0.5, start_epoch=1, every_n_epochs=10), Presented()
    callbacks = [SignalTracker(["Margin"]), second, presented]
    fit(callbacks, loader(shuffle=True), epochs=3, resume=tmp_path / "two.ckpt")
    assert first.weights is not None
    assert set(presented.epochs[-1]) == set(first.weights.nonzero()[:, 0].tolist())


def test_unseen_samples_keep_their_weight() -> None:
    tracker, pruner = SignalTracker(["Margin"]), SamplePruner("aum", 0.5, start_epoch=1)
    fit([tracker, pruner], loader(), limit_train_batches=2)
    assert pruner.weights is not None
    assert pruner.weights[8:].tolist() == [1.0] * 4
    assert int((pruner.weights[:8] == 0).sum()) == 4


def test_what_cannot_be_weighed() -> None:
    with pytest.raises(ValueError, match="no tracked score `amu`; did you mean `aum`"):
        fit([SignalTracker(["Margin"]), SamplePruner("amu", 0.5, start_epoch=1)])
    with pytest.raises(ValueError, match="a tracker is needed to weigh samples by a score: add a SignalTracker"):
        fit([SamplePruner("aum", 0.5, start_epoch=1)])
    with pytest.raises(ValueError, match="`score` must point at wrong labels in one direction, 'variability' has none"):
        fit([SignalTracker(["DataMaps"]), SamplePruner("variability", 0.5, start_epoch=1)])
    with pytest.raises(
        ValueError, match=r"this loader: the batch sampler, Own, makes .* way. It draws in place .*sampler="
    ):
        fit([SignalTracker(["Margin"]), SamplePruner("aum", 0.5, 1)], loader(batch_sampler=Own(), batch_size=1))

    class Negative(SampleWeighting):
        def weigh(self, suspicion: Tensor, epoch: int) -> Tensor:
            return -torch.ones_like(suspicion)

    with pytest.raises(ValueError, match=r"`Negative.weigh` must give finite weights of at least 0, not all of them 0"):
        fit([SignalTracker(["Margin"]), Negative("aum", 1)])


class Own:
    def __iter__(self) -> Any:
        return iter([list(range(4)), list(range(4, 12))])

    def __len__(self) -> int:
        return 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SamplePruner("aum", 1.0, 1), "`fraction` must be below 1, got 1"),
        (lambda: SamplePruner("aum", 20, 1), r"`fraction` must be in \[0, 1\], got 20"),
        (lambda: SamplePruner("aum", 0.5, 0), "`start_epoch` must be at least 1, got 0: an epoch is needed to measure"),
        (lambda: SamplePruner("aum", 0.5, 1, ramp_epochs=-1), "`ramp_epochs` must be at least 0, got -1"),
        (lambda: SamplePruner("aum", 0.5, 1, drop="noisyest"), "`drop` must be one of .*did you mean 'noisiest'"),
        (lambda: Curriculum("aum", 1), r"`full_epoch` must be after `start_epoch` \(1\), got 1"),
        (lambda: Curriculum("aum", 5, start=0.0), "`start` must be above 0, got 0"),
    ],
)
def test_wrong_arguments(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
    assert (len(X), len(Y), C) == (N, N, 3)


@pytest.mark.parametrize("order", [["labelled", "other"], ["other", "labelled"]])
@pytest.mark.parametrize("sweeps", [False, True])
def test_of_several_loaders_the_tracker_s_is_weighed(order: list[str], sweeps: bool) -> None:
    class Both(Module):
        def __init__(self) -> None:
            super().__init__()
            self.drawn: dict[str, list[int]] = {"labelled": [], "other": []}

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            for name, rows in self.drawn.items() if self.current_epoch else ():
                rows += batch[name][0][:, 0].long().tolist()
            return super().training_step(batch["labelled"], batch_idx)

    how: dict[str, Any] = {"logits": "net", "loader": "labelled"}
    tracker = SweepTracker("Margin", **how) if sweeps else SignalTracker("Margin", **how)
    pruner, module = SamplePruner("aum", 0.5, start_epoch=1), Both()
    train = {name: loader(shuffle=True) for name in order}
    samplers = {name: train[name].batch_sampler.sampler for name in order}
    fit([tracker, pruner], train, module, epochs=2)
    assert pruner.weights is not None
    assert len(set(module.drawn["labelled"])) == N // 2
    assert sorted(module.drawn["other"]) == list(range(N))
    assert all(train[name].batch_sampler.sampler is samplers[name] for name in order)


def test_only_the_tracker_s_loader_must_be_one_that_can_be_weighed() -> None:
    class Both(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return super().training_step(batch["one"], batch_idx)

    def attempt(tracked: str) -> None:
        train = {"one": loader(), "own": loader(batch_sampler=Own(), batch_size=1)}
        fit([SignalTracker("Margin", loader=tracked), SamplePruner("aum", 0.5, 1)], train, Both(), epochs=2)

    attempt("one")
    with pytest.raises(ValueError, match=r"`SamplePruner` cannot weigh the samples of this loader: .* own way"):
        attempt("own")


@pytest.mark.parametrize("sweeps", [False, True])
def test_all_count_the_same_until_there_is_a_score(sweeps: bool) -> None:
    late = SweepTracker("Margin", every_n_epochs=3, logits="net")
    tracker = late if sweeps else SignalTracker("Margin", epoch_range=(2, 9))
    pruner, presented = SamplePruner("aum", 0.5, start_epoch=1), Presented()
    fit([tracker, pruner, presented], loader(shuffle=True), epochs=4)
    assert [len(set(epoch)) for epoch in presented.epochs] == [N, N, N, N // 2]


def test_every_epoch_is_drawn_anew_and_alike_in_every_run() -> None:
    runs = []
    for _ in range(2):
        pruner, presented = SamplePruner("aum", 0.5, start_epoch=1, every_n_epochs=100), Presented()
        fit([SignalTracker("Margin"), pruner, presented], loader(), epochs=4)
        runs.append(presented.epochs)
    assert runs[0] == runs[1]
    orders = runs[0][1:]
    assert all(set(order) == set(orders[0]) for order in orders)
    assert all(one != other for one, other in pairwise(orders))
