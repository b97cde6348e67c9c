"""Callbacks that act on what is measured, on several processes: all ranks decide alike, on each sample once."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from noisylearn._compat import Callback, Trainer, seed_everything
from noisylearn.callbacks import (
    Curriculum,
    EarlyMemorizationStop,
    LabelCanaries,
    LabelRefurbisher,
    MemorizationMeter,
    SamplePruner,
    SampleReweighter,
    SignalTracker,
)
from tests.ddp.ranks import Ranks
from tests.ddp.test_ddp_tracking import N, Plain, Step, Witness, assert_same, pairs

CLASSES, BATCH = 4, 8
each_world = pytest.mark.parametrize("world", [2, 3])


class Logged(Callback):  # type: ignore[misc]  # its base is made at import time
    """What the epochs logged."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.values.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def fit(world: int, callbacks: Sequence[Any], epochs: int, module: Any = None, **options: Any) -> Any:
    """Fit somebody else's project on this rank: pairs without an index, shuffled and padded by torch's sampler."""
    seed_everything(0, verbose=False)
    trainer = Trainer(
        accelerator="cpu",
        devices=world,
        strategy="ddp" if world > 1 else "auto",
        max_epochs=epochs,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(module or Plain(fixed=False), DataLoader(pairs()[0], batch_size=BATCH, shuffle=True))
    assert trainer.world_size == world
    return trainer


Shown = dict[int, tuple[int, int]]
"""Of the samples of an epoch: the label that was shown, and the class that was predicted."""


def shown(seen: Sequence[Sequence[Sequence[Step]]]) -> list[Shown]:
    """By epoch; of a sample that several ranks saw, what the lowest of them did."""
    epochs: list[Shown] = []
    for parts in zip(*seen, strict=True):
        epochs.append({})
        for rows, logits, labels in (step for steps in parts for step in steps):
            for row, label, predicted in zip(rows, labels.tolist(), logits.argmax(1).tolist(), strict=True):
                epochs[-1].setdefault(row, (label, predicted))
    return epochs


# -- canaries ----------------------------------------------------------------------------------------------------------


def with_canaries(world: int) -> dict[str, Any]:
    _, clean = pairs()
    canaries, tracker, witness, logged = LabelCanaries(CLASSES, 0.2), SignalTracker(["Margin"]), Witness(), Logged()
    fit(world, [tracker, canaries, MemorizationMeter(clean), witness, logged], epochs=3)
    return {"rows": canaries.rows.tolist(), "seen": witness.epochs, "logged": logged.values, "scores": tracker.scores()}


@each_world
def test_canaries_are_the_same_on_all_ranks_and_counted_once(ranks: Ranks, world: int) -> None:
    (one,) = ranks.run(1, with_canaries, 1)
    fitted = ranks.run(world, with_canaries, world)
    given, clean = pairs()[0].tensors[1].tolist(), pairs()[1].tolist()
    for epoch, samples in enumerate(shown([rank["seen"] for rank in fitted])):
        assert [row for row in range(N) if samples[row][0] != given[row]] == one["rows"]
        canaries = [(*samples[row], given[row]) for row in one["rows"]]
        wrong = [row for row in range(N) if given[row] != clean[row] and row not in one["rows"]]
        expected = {
            "canary_memorized": sum(p == label for label, p, _ in canaries) / len(canaries),
            "canary_correct": sum(p == true for _, p, true in canaries) / len(canaries),
            "canary_other": sum(p not in (label, true) for label, p, true in canaries) / len(canaries),
            "memorized": sum(samples[row][1] == given[row] for row in wrong) / len(wrong),
        }
        for rank in fitted:
            assert {name: rank["logged"][epoch][name] for name in expected} == pytest.approx(expected)
    for rank in fitted:
        assert rank["rows"] == one["rows"]
        assert_same(fitted[0]["scores"], rank["scores"])
        assert rank["scores"]["aum"].isnan().nonzero()[:, 0].tolist() == one["rows"]
        assert rank["scores"]["given"].tolist() == given


# -- weights through the sampler ---------------------------------------------------------------------------------------

WEIGHTINGS = {
    "pruner": lambda: SamplePruner("aum", 0.3, start_epoch=1),
    "reweighter": lambda: SampleReweighter("el2n", 1, "rank"),
    "curriculum": lambda: Curriculum("el2n", full_epoch=4, start=0.4),
}


class Weights(Callback):  # type: ignore[misc]  # its base is made at import time
    """After each epoch, the weights in force and those that the score gives, worked out at once over all samples."""

    def __init__(self, weighting: Any, tracker: SignalTracker) -> None:
        super().__init__()
        self.weighting, self.tracker = weighting, tracker
        self.found: list[Tensor] = []
        self.expected: list[Tensor] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        score = self.tracker.scores()[self.weighting.score]
        suspicion = -score if self.weighting.score == "aum" else score
        self.found.append(self.weighting.weights)
        self.expected.append(self.weighting.weigh(suspicion, trainer.current_epoch + 1))


def weighted(world: int, kind: str) -> dict[str, Any]:
    weighting, tracker, witness = WEIGHTINGS[kind](), SignalTracker(), Witness()
    weights = Weights(weighting, tracker)
    trainer = fit(world, [tracker, weighting, witness, weights], epochs=4)
    sampler = trainer.train_dataloader.batch_sampler.sampler
    shares = []
    for epoch in range(4):
        sampler.set_epoch(epoch)
        shares.append(list(sampler))
    drawn = [[row for rows, _, _ in steps for row in rows] for steps in witness.epochs]
    n_seen = tracker.signal_set.table.views()["n_seen"].tolist()  # type: ignore[union-attr]
    return {"found": weights.found, "expected": weights.expected, "drawn": drawn, "shares": shares, "n_seen": n_seen}


@each_world
@pytest.mark.parametrize("kind", WEIGHTINGS)
def test_samples_are_drawn_by_weights_that_all_ranks_share(ranks: Ranks, world: int, kind: str) -> None:
    fitted = ranks.run(world, weighted, world, kind)
    for rank in fitted:
        for found, expected in zip(rank["found"], rank["expected"], strict=True):
            torch.testing.assert_close(found, expected)
        assert all(map(torch.equal, rank["found"], fitted[0]["found"]))
        assert rank["n_seen"] == fitted[0]["n_seen"]
        assert rank["drawn"][0] == rank["shares"][0]
        for epoch in range(1, 4):
            weights = rank["found"][epoch - 1]
            assert len(rank["drawn"][epoch]) == -(-N // world)
            assert set(rank["drawn"][epoch]) <= set(rank["shares"][epoch])
            assert weights[rank["drawn"][epoch]].min() > 0  # what is left out is not drawn
    n_seen = torch.zeros(N, dtype=torch.int64)
    for epoch in range(4):
        drawn = [torch.bincount(torch.tensor(rank["drawn"][epoch]), minlength=N) for rank in fitted]
        counted = torch.zeros(N, dtype=torch.int64)
        for counts in drawn:  # the lowest rank that drew a sample is its owner
            counted = torch.where(counted > 0, counted, counts)
        n_seen += counted
        weights = fitted[0]["found"][epoch - 1] if epoch else torch.ones(N)
        assert counted[weights == 1].min() > 0  # the others have the more of the epoch
    assert n_seen.tolist() == fitted[0]["n_seen"]


def few(world: int) -> list[int]:
    curriculum, witness = Curriculum("el2n", full_epoch=3, start=0.01), Witness()
    fit(world, [SignalTracker(), curriculum, witness], epochs=2)
    return sorted({row for rows, _, _ in witness.epochs[1] for row in rows})


def test_a_rank_whose_share_has_no_sample_left(ranks: Ranks) -> None:
    one, other = ranks.run(2, few, 2)
    assert len(one) == len(other) == 1


# -- labels that are followed ------------------------------------------------------------------------------------------


class Follows(Callback):  # type: ignore[misc]  # its base is made at import time
    """The labels that the next epoch should be trained on, worked out from the tracker's scores."""

    def __init__(self, tracker: SignalTracker) -> None:
        super().__init__()
        self.tracker = tracker
        self.expected: list[list[int]] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        scores = self.tracker.scores()
        sure = scores["suggested_probability"] >= 0.5
        self.expected.append(torch.where(sure, scores["suggested"], scores["given"]).long().tolist())


def refurbished(world: int) -> dict[str, Any]:
    tracker, witness, logged = SignalTracker(), Witness(), Logged()
    refurbisher, follows = LabelRefurbisher(1, threshold=0.5), Follows(tracker)
    fit(world, [tracker, refurbisher, witness, follows, logged], epochs=4)
    given = tracker.scores()["given"].tolist()
    return {"seen": witness.epochs, "follows": follows.expected, "logged": logged.values, "given": given}


@each_world
def test_all_ranks_follow_the_same_labels(ranks: Ranks, world: int) -> None:
    fitted = ranks.run(world, refurbished, world)
    given = pairs()[0].tensors[1].tolist()
    epochs = shown([rank["seen"] for rank in fitted])
    for epoch, samples in enumerate(epochs):
        labels = fitted[0]["follows"][epoch - 1] if epoch else given
        assert [samples[row][0] for row in range(N)] == labels
    replaced = sum(a != b for a, b in zip(fitted[0]["follows"][-1], given, strict=True))
    assert 0 < replaced < N
    for rank in fitted:
        assert rank["follows"] == fitted[0]["follows"]
        assert rank["logged"][-1]["refurbished"] == pytest.approx(replaced / N)
        assert rank["given"] == given


# -- the stop ----------------------------------------------------------------------------------------------------------


def stopped(world: int) -> dict[str, Any]:
    stop, witness, module = EarlyMemorizationStop(window=1, patience=1), Witness(), Plain(fixed=False)
    trainer = fit(world, [stop, witness], epochs=30, module=module)
    weights = torch.cat([part.flatten() for part in module.state_dict().values()])
    return {
        "epochs": trainer.current_epoch,
        "stopped": stop.stopped_epoch,
        "curve": stop._curve,
        "seen": witness.epochs,
        "weights": weights,
    }


@each_world
def test_all_ranks_stop_at_the_same_epoch(ranks: Ranks, world: int) -> None:
    fitted = ranks.run(world, stopped, world)
    epochs = shown([rank["seen"] for rank in fitted])
    flips = [sum(before[row][1] != after[row][1] for row in range(N)) for before, after in pairwise(epochs)]
    for rank in fitted:
        assert rank["curve"] == flips
        assert (rank["epochs"], rank["stopped"]) == (len(epochs), len(epochs) - 2)
        assert torch.equal(rank["weights"], fitted[0]["weights"])
    assert len(epochs) < 30


class Own(Callback):  # type: ignore[misc]  # its base is made at import time
    """Logs a metric that is each rank's own, as a training loss is without `sync_dist`."""

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        pl_module.log("own", float(trainer.current_epoch + 2 * trainer.global_rank), rank_zero_only=False)


def stopped_by_an_own_metric(world: int) -> int:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".*sync_dist=True")  # Lightning's advice
        return int(fit(world, [Own(), EarlyMemorizationStop("own", threshold=3.5)], epochs=10).current_epoch)


def test_a_metric_that_differs_between_ranks_stops_all_or_none(ranks: Ranks) -> None:
    """Ranks see it at 3.5 in epochs 4 and 2, their mean in epoch 3."""
    assert ranks.run(2, stopped_by_an_own_metric, 2) == [4, 4]


# -- rows that no rank saw ---------------------------------------------------------------------------------------------


def cut_short(world: int) -> tuple[dict[str, Tensor], list[int]]:
    tracker, witness = SignalTracker(), Witness()
    fit(world, [tracker, witness], epochs=2, limit_train_batches=2)
    return tracker.scores(), sorted({row for steps in witness.epochs for rows, _, _ in steps for row in rows})


@pytest.mark.parametrize("world", [1, 2, 3])
def test_rows_that_no_rank_saw_are_nan_in_every_score(ranks: Ranks, world: int) -> None:
    fitted = ranks.run(world, cut_short, world)
    seen = torch.zeros(N, dtype=torch.bool)
    for _, rows in fitted:
        seen[rows] = True
    assert 0 < int(seen.sum()) < N
    for scores, _ in fitted:
        for name, score in scores.items():
            assert score[~seen].isnan().all(), name
            if name not in ("first_learned", "learned_for_good"):  # NaN too where it was not learned
                assert score[seen].isfinite().all(), name
