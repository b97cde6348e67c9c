"""What a project may keep from a tracker: each is one error in the first step that lists what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from noisylearn.callbacks import SignalTracker
from tests.unit.callbacks.small import C, Module, N, X, Y, dataset, fit, loader

PAIRS = [[i, i + 1] for i in range(0, N, 2)]


class Returns(Module):
    """Returns something else as its logits."""

    def __init__(self, made: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.made = made

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        logits = self.net(batch[0] / N)
        return {"loss": nn.functional.cross_entropy(logits, batch[1]), "logits": self.made(logits)}


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda z: torch.cat([z, z]), r"`index` must have shape \(8,\), as `logits` has 8 rows, got \(4,\)"),
        (lambda z: z[:, :, None].expand(-1, -1, 5), r"`logits` must be \(B, C\) with C >= 2, got shape \(4, 3, 5\)"),
        (lambda z: z[:, :2], r"`target` must be in \[0, 2\), as the logits are tensor \(4, 2\) float32, got 2"),
        (lambda z: None, r"`logits` must be a tensor, got NoneType"),
    ],
    ids=["of two views", "of every token", "of fewer classes", "none"],
)
def test_returned_logits_of_another_shape(made: Callable[[Tensor], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit([SignalTracker()], module=Returns(made), limit_val_batches=0)


class TwoHeads(Module):
    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Linear(1, C + 2)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        x, y = batch[0] / N, batch[1]
        return nn.functional.cross_entropy(self.net(x), y) + nn.functional.cross_entropy(self.other(x), y)


def test_two_heads_are_told_and_nothing_is_left() -> None:
    module, train = TwoHeads(), loader()
    sampler = train.batch_sampler.sampler
    with pytest.raises(ValueError, match=r"2 outermost .*of this step: net: \(4, 3\) float32, other: \(4, 5\) float32"):
        fit([SignalTracker()], train, module, limit_val_batches=0)
    assert train.batch_sampler.sampler is sampler
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    for name in ("net", "other"):
        tracker = SignalTracker(logits=name)
        fit([tracker], loader(), TwoHeads(), limit_val_batches=0)
        assert tracker.scores()["given"].tolist() == Y.tolist()


class OwnBatches:
    """Makes batches, and has no sampler to make them from."""

    def __iter__(self) -> Iterator[list[int]]:
        return iter(PAIRS)

    def __len__(self) -> int:
        return len(PAIRS)


@pytest.mark.parametrize(("batches", "name"), [(PAIRS, "list"), (OwnBatches(), "OwnBatches")])
def test_batches_that_no_sampler_tells_of(batches: Any, name: str) -> None:
    train = DataLoader(dataset(), batch_sampler=batches)
    with pytest.raises(ValueError, match=f"cannot be recorded: the batch sampler, {name}, makes batches in its own "):
        fit([SignalTracker()], train, limit_val_batches=0)
    numbered = TensorDataset(X, Y, torch.arange(N))
    tracker = SignalTracker(index=2)  # one of the ways out
    fit([tracker], DataLoader(numbered, batch_sampler=batches), limit_val_batches=0)
    assert tracker.scores()["given"].tolist() == Y.tolist()


def test_one_hot_targets_of_integers() -> None:
    class OneHot(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return nn.functional.cross_entropy(self.net(batch[0] / N), batch[1].float())

    hot = TensorDataset(X, nn.functional.one_hot(Y, C))
    with pytest.raises(ValueError, match=r"`target` must be \(B,\) class ids, got tensor \(4, 3\) int64: soft and mul"):
        fit([SignalTracker()], loader(hot), OneHot(), limit_val_batches=0)
    tracker = SignalTracker(target=lambda batch: batch[1].argmax(1))
    fit([tracker], loader(hot), OneHot(), limit_val_batches=0)
    assert tracker.scores()["given"].tolist() == Y.tolist()
