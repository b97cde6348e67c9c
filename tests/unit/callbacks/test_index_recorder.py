"""The row numbers of a batch, recorded from the loader's own sampler; and what cannot be recorded is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, Sampler, SequentialSampler, Subset

from noisylearn.callbacks import MemorizationMeter, SignalTracker
from noisylearn.callbacks.index_recorder import RecordingSampler, innermost, source_index
from tests.unit.callbacks.small import Module, N, X, Y, dataset, fit, loader

YIELD_IT = "let the batch carry it: wrap the dataset in noisylearn.data.IndexedDataset, or pass `index=`"


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(zip(X, Y, strict=True))


class Whole:
    """No DataLoader at all."""

    def __iter__(self) -> Iterator[Any]:
        yield X, Y


class Pairs(BatchSampler):
    def __iter__(self) -> Iterator[list[int]]:
        yield from ([i, i + 1] for i in range(0, N, 2))

    def __len__(self) -> int:
        return N // 2


class Named(Sampler[Any]):
    """Yields what is no row number; the dataset can read it all the same."""

    def __init__(self, names: list[Any]) -> None:
        self.names = names

    def __iter__(self) -> Iterator[Any]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


class ByName:
    def __len__(self) -> int:
        return N

    def __getitem__(self, name: Any) -> Any:
        return X[int(float(name))], Y[int(float(name))]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: loader(Stream()), "an IterableDataset has no positions"),
        (lambda: DataLoader(dataset(), batch_size=None), "`batch_size=None` leaves no batch sampler"),
        (
            lambda: loader(num_workers=1, in_order=False),
            "`in_order=False` delivers batches in another order than the sampler's",
        ),
        (
            lambda: DataLoader(dataset(), batch_sampler=Pairs(SequentialSampler(range(N)), 2, False)),
            "the batch sampler, Pairs, makes batches in its own way",
        ),
        (Whole, "the training loader is a Whole, not one torch DataLoader"),
    ],
)
def test_what_cannot_be_recorded(make: Any, reason: str) -> None:
    class Takes(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            x, y = batch
            return super().training_step((x.reshape(-1, 1), y.reshape(-1)), batch_idx)

    with pytest.raises(ValueError, match="the sample index cannot be recorded") as caught:
        fit([SignalTracker()], make(), Takes(), limit_val_batches=0)
    assert f"recorded: {reason}: {YIELD_IT}" in str(caught.value)


@pytest.mark.parametrize("names", [["0", "1", "2", "3"], [0.0, 1.0, 2.0, 3.0], [False, True, False, True]])
def test_indices_that_are_no_integers(names: list[Any]) -> None:
    with pytest.raises(TypeError, match=f"the sampler must yield integers, got {names[0]!r}: let the batch carry it"):
        fit([SignalTracker()], DataLoader(ByName(), 4, sampler=Named(names)))  # type: ignore[arg-type]


def test_numpy_and_tensor_integers_are_integers() -> None:
    tracker = SignalTracker()
    fit([tracker], loader(sampler=Named(list(torch.arange(N).flip(0)))))
    assert tracker.scores()["given"].tolist() == Y.tolist()


def test_rows_dropped_on_the_way() -> None:
    def drop_one(items: list[Any]) -> Any:
        kept = items[1:]
        return torch.stack([x for x, _ in kept]), torch.stack([y for _, y in kept])

    with pytest.raises(ValueError, match=r"the batch has 3 rows where the sampler gave 4, .*: let the batch carry it"):
        fit([SignalTracker()], loader(collate_fn=drop_one))


def test_a_wrapped_sampler_is_still_itself() -> None:
    class Epochs(Named):
        epoch = -1

        def set_epoch(self, epoch: int) -> None:
            self.epoch = epoch

    sampler = Epochs(list(range(N)))
    train = loader(sampler=sampler)
    fit([SignalTracker(), MemorizationMeter(Y.clone())], train, epochs=3)
    assert sampler.epoch == 2
    assert train.batch_sampler.sampler is sampler


def test_a_new_epoch_forgets_what_the_last_left_over() -> None:
    epochs = [0]
    recording = RecordingSampler([5, 6, 7], epoch=lambda: epochs[-1])
    first = iter(recording)
    assert [next(first), next(first)] == [5, 6]
    assert recording.take(1) == [5]
    epochs.append(1)
    assert list(recording) == [5, 6, 7]
    assert recording.take(9) == [5, 6, 7]
    assert len(recording) == 3


class StopsInTheFirstStep(Module):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        raise RuntimeError("broken")


def test_an_error_leaves_nothing_behind() -> None:
    train, module = loader(), StopsInTheFirstStep()
    sampler = train.batch_sampler.sampler
    trackers = [SignalTracker(name="a"), SignalTracker(name="b"), MemorizationMeter(Y.clone())]
    with pytest.raises(RuntimeError, match="broken"):
        fit(trackers, train, module)
    assert train.batch_sampler.sampler is sampler
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def test_positions_in_a_chain_of_subsets() -> None:
    data = dataset()
    chain = Subset(Subset(data, [9, 7, 5, 3, 1]), [4, 0, 2])
    assert source_index(chain) == [1, 9, 5]
    assert innermost(chain) is data
    tracker = SignalTracker()
    fit([tracker], loader(chain, shuffle=True))
    assert tracker.dataset_index == [1, 9, 5]
    assert tracker.scores()["given"].tolist() == Y[[1, 9, 5]].tolist()
    assert tracker.per_row(torch.arange(N)).tolist() == [1, 9, 5]  # type: ignore[union-attr]
    assert tracker.per_row([10, 11, 12]).tolist() == [10, 11, 12]  # type: ignore[union-attr]
    assert tracker.per_row([1, 2]) is None


class Long(IterableDataset[Any]):
    """A stream that tells no length: Lightning then fetches a batch ahead."""

    def __iter__(self) -> Iterator[Any]:
        return iter([(X[0], Y[0])] * 50)


class Both(Module):
    """Writes down which samples it has seen of one loader, and may look at a batch of it unasked."""

    def __init__(self, peeks: str | None) -> None:
        super().__init__()
        self.peeks = peeks
        self.rows: list[Any] = []

    def on_train_epoch_start(self) -> None:
        if self.peeks == "one batch":
            next(iter(self.trainer.train_dataloader["short"]))

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if batch_idx == 4 and self.peeks == "in mid-epoch":
            list(self.trainer.train_dataloader["short"])
        self.rows.append(batch["short"][0][:, 0].long())
        return super().training_step(batch["short"], batch_idx)


@pytest.mark.parametrize("ahead", [True, False])
@pytest.mark.parametrize(
    ("options", "peeks"),
    [
        ({"batch_size": 4}, None),
        ({"batch_size": 5}, None),
        ({"batch_size": 5, "drop_last": True}, None),
        ({"batch_size": N}, None),
        ({"batch_size": 5, "num_workers": 2}, None),
        ({"batch_size": 5, "drop_last": True, "num_workers": 1}, None),
        ({"batch_size": 5}, "one batch"),
        ({"batch_size": 5}, "in mid-epoch"),
        ({"batch_size": 5, "num_workers": 1}, "one batch"),
    ],
)
def test_a_short_loader_that_begins_again_in_the_epoch(options: dict[str, Any], peeks: str | None, ahead: bool) -> None:
    tracker, module = SignalTracker(loader="short"), Both(peeks)
    other: Any = Long() if ahead else [(X[0], Y[0])] * 50
    combined = {"short": loader(shuffle=True, **options), "long": DataLoader(other, 5)}
    fit([tracker], combined, module, epochs=3, limit_val_batches=0)
    assert tracker.signal_set is not None
    assert tracker.signal_set.table.views()["n_seen"].tolist() == torch.cat(module.rows).bincount(minlength=N).tolist()
    assert torch.equal(tracker.scores()["given"].nan_to_num(-1), Y.float())


def test_a_look_at_the_whole_loader_before_the_epoch_s_first_step() -> None:
    class Looks(Module):
        def on_train_epoch_start(self) -> None:
            list(self.trainer.train_dataloader)

    tracker = SignalTracker()
    fit([tracker], loader(shuffle=True), Looks(), epochs=2)
    assert torch.equal(tracker.scores()["given"], Y.float())


def test_two_iterators_at_once() -> None:
    class Reads(Module):
        def on_train_epoch_start(self) -> None:
            self.other = iter(self.trainer.train_dataloader)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            next(self.other)
            return super().training_step(batch, batch_idx)

    with pytest.raises(ValueError, match=r"the training loader is read by two iterators at once, .*: let the batch"):
        fit([SignalTracker()], loader(shuffle=True), Reads())
