"""The memorization meter: what it logs, and the true labels that it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import Subset

from noisylearn.callbacks import MemorizationMeter
from tests.unit.callbacks.small import C, Module, N, Y, dataset, fit, loader


class Predicts(Module):
    """Always predicts the classes that it is told, by sample."""

    def __init__(self, classes: torch.Tensor) -> None:
        super().__init__()
        self.classes = classes

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        rows = batch[0][:, 0].long()
        logits = 5 * nn.functional.one_hot(self.classes[rows], C).float()
        return {"loss": self.net(batch[0]).sum(), "logits": logits}


CLEAN = torch.tensor([0, 1, 2, 0, 1, 2, 1, 2, 0, 2, -1, -1])  # samples 6 to 9 are given a wrong label
PREDICTED = torch.tensor([0, 1, 2, 0, 1, 0, 0, 2, 1, 0, 1, 0])
EXPECTED = {
    "memorized": 2 / 4,  # samples 6 and 9, as given
    "correct_on_wrong": 1 / 4,  # sample 7, as it truly is
    "other_on_wrong": 1 / 4,  # sample 8, neither
    "correct_on_right": 5 / 6,
}


def test_the_four_fractions() -> None:
    assert (Y != CLEAN)[:10].nonzero()[:, 0].tolist() == [6, 7, 8, 9]
    trainer = fit([MemorizationMeter(CLEAN)], loader(shuffle=True), Predicts(PREDICTED), epochs=2)
    logged = {name: float(trainer.callback_metrics[name]) for name in EXPECTED}
    assert logged == pytest.approx(EXPECTED)


def test_only_what_the_epoch_showed_counts() -> None:
    trainer = fit([MemorizationMeter(CLEAN)], loader(), Predicts(PREDICTED), limit_train_batches=2)  # samples 0 to 7
    logged = {name: float(trainer.callback_metrics[name]) for name in EXPECTED}
    assert logged == pytest.approx(
        {"memorized": 1 / 2, "correct_on_wrong": 1 / 2, "other_on_wrong": 0, "correct_on_right": 5 / 6}
    )


def test_labels_of_the_whole_dataset_serve_a_subset() -> None:
    part = Subset(dataset(), [9, 8, 7, 6])
    trainer = fit([MemorizationMeter(CLEAN)], loader(part), Predicts(PREDICTED))
    assert float(trainer.callback_metrics["memorized"]) == pytest.approx(EXPECTED["memorized"])


@pytest.mark.parametrize(
    ("clean", "kind", "message"),
    [
        (
            None,
            ValueError,
            r"`clean_targets` is needed to tell wrong labels from right ones, .* leave Memo",
        ),
        ([-1] * N, ValueError, r"`clean_targets` is needed to tell wrong labels from right ones"),
        (
            torch.zeros(N),
            TypeError,
            r"`clean_targets` must be \(N,\) class ids, got \(12,\) torch.float32: pass",
        ),
        (torch.zeros(N, 2, dtype=torch.int64), TypeError, r"`clean_targets` must be \(N,\) class ids, got \(12, 2\)"),
        ([0] * 11 + [-2], ValueError, r"`clean_targets` must be at least -1, got -2: -1 means unknown"),
        (
            [0] * 11,
            ValueError,
            r"`clean_targets` must have one label per training sample \(12\), got 11: pass",
        ),
    ],
)
def test_true_labels_that_are_refused(clean: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        fit([MemorizationMeter(clean)])
