"""Truncated GCE: when samples are chosen, by what, and that a choice of none is not one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from noisylearn._compat import Callback
from noisylearn.losses import truncation_mask
from noisylearn.methods import TruncatedGCE
from tests.methods.harness import Case, digits, plain, run, tiny

NETWORK: dict[str, Any] = {"backbone": "mlp", "num_classes": 10, "in_channels": 1, "image_size": 8}


class Choices(Callback):  # type: ignore[misc]  # its base is made at import time
    """Checks each epoch's choice against the network that the epoch before has left, in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Tensor] = []

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        data = trainer.datamodule
        images = (data.train_images.float() / 255 - data.mean[0]) / data.std[0]
        pl_module.eval()
        with torch.no_grad():
            self.expected = truncation_mask(pl_module(images), data.noisy_targets, pl_module.k)
        pl_module.train()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        kept = pl_module.tables["pruned"].views()["kept"] > 0
        assert torch.equal(outputs["selected"], kept[batch[2]])
        if batch_idx == 0:
            self.kept.append(kept.clone())
            if pl_module.prunes_in(trainer.current_epoch):
                assert torch.equal(kept, self.expected)


def test_samples_are_chosen_every_few_epochs_by_the_network_of_that_moment() -> None:
    choices = Choices()
    case = Case(TruncatedGCE, {"prune_epoch": 2, "prune_every": 2, "k": 0.15})
    fitted = run(case, digits(augment=True), {"backbone": tiny}, epochs=7, callbacks=[choices])
    assert [fitted.method.prunes_in(epoch) for epoch in range(7)] == [False, False, True, False, True, False, True]  # type: ignore[operator]
    assert bool(choices.kept[0].all())
    assert bool(choices.kept[1].all())
    assert 0 < int(choices.kept[2].sum()) < 256
    for epoch in (3, 5):
        assert torch.equal(choices.kept[epoch], choices.kept[epoch - 1])
    assert not torch.equal(choices.kept[4], choices.kept[2])
    assert bool((choices.kept[4] & ~choices.kept[2]).any())  # a sample may come back


def test_what_is_kept_is_more_often_right() -> None:
    data = digits(num_train=512)
    case = Case(TruncatedGCE, {"prune_epoch": 8, "prune_every": 2})
    rows = run(case, data, {"backbone": "digits_cnn"}, epochs=9).method.tables["pruned"].views()
    right, kept = data.noisy_targets == data.clean_targets, rows["kept"] > 0
    assert float(right.float().mean()) == pytest.approx(0.6, abs=0.05)
    assert float(right[kept].float().mean()) > 0.75
    assert float(kept[right].float().mean()) > 0.75


def test_a_choice_of_none_keeps_all() -> None:
    case = Case(TruncatedGCE, {"k": 1.0, "prune_epoch": 1, "prune_every": 1})
    fitted = run(case, method={"backbone": plain}, epochs=3)
    assert bool((fitted.method.tables["pruned"].views()["kept"] == 1).all())
    assert fitted.epoch_losses[-1] < fitted.epoch_losses[0]


def test_samples_left_out_count_in_the_mean() -> None:
    method = TruncatedGCE(q=1.0, k=0.4, num_samples=4, **NETWORK)
    method.tables = dict(method.build_tables(4))
    method.tables["pruned"].write(torch.tensor([2, 3]), {"kept": torch.zeros(2)})
    logits, target, index = torch.zeros(4, 10), torch.zeros(4, dtype=torch.int64), torch.arange(4)
    losses = method.compute_loss(logits, target, index)
    assert losses.tolist() == pytest.approx([0.3, 0.3, 0.0, 0.0])  # 0.4 less the chance of a tenth
    selected = method.select(losses, logits)
    assert selected is not None
    assert selected.tolist() == [True, True, False, False]
    assert float(method.reduce(losses, index, selected)) == pytest.approx(0.15)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"`q` must be in \(0, 1\], got 0.0"):
        TruncatedGCE(q=0.0, **NETWORK)
    with pytest.raises(ValueError, match=r"`k` must be in \(0, 1\], got 5"):
        TruncatedGCE(k=5, **NETWORK)
    with pytest.raises(ValueError, match="`prune_epoch` must be finite and at least 0, got -1: the first epoch with a"):
        TruncatedGCE(prune_epoch=-1, **NETWORK)
    with pytest.raises(ValueError, match="`prune_every` must be at least 1, got 0: the epochs between choices"):
        TruncatedGCE(prune_every=0, **NETWORK)
