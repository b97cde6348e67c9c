"""CORES²: which samples are sieved out when, the prior that they leave, and the rate that the reference divides."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from noisylearn._compat import Callback
from noisylearn.losses import cores_sieve
from noisylearn.methods import CORES
from tests.methods.harness import Case, digits, plain, run

NETWORK: dict[str, Any] = {"backbone": "mlp", "num_classes": 10, "in_channels": 1, "image_size": 8}
SOON = {"warmup_epochs": 1, "rise_epochs": 4, "sieve_epoch": 2}


class Kept(Callback):  # type: ignore[misc]  # its base is made at import time
    """Remembers what each epoch kept and the prior it used."""

    def __init__(self) -> None:
        super().__init__()
        self.labels: dict[int, list[int]] = {}
        self.priors: dict[int, Tensor] = {}

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        selected, epoch = outputs["selected"], trainer.current_epoch
        sieved = cores_sieve(outputs["logits"], batch[1])
        assert torch.equal(selected, sieved if epoch >= 2 else torch.ones_like(sieved))
        self.labels.setdefault(epoch, []).extend(batch[1][selected].tolist())
        self.priors[epoch] = pl_module.prior.clone()


def test_the_prior_is_that_of_the_labels_kept_in_the_epoch_before() -> None:
    kept = Kept()
    data = digits()
    fitted = run(Case(CORES, SOON), data, {"backbone": "digits_cnn"}, epochs=5, callbacks=[kept])
    assert torch.equal(kept.priors[0], torch.full((10,), 0.1))
    assert sorted(kept.labels[1]) == sorted(data.noisy_targets.tolist())
    assert 0 < len(kept.labels[4]) < 256
    for epoch in range(1, 5):
        counts = torch.bincount(torch.tensor(kept.labels[epoch - 1]), minlength=10)
        torch.testing.assert_close(kept.priors[epoch], counts / counts.sum())
    rows = fitted.method.tables["sieve"].views()["kept_label"]
    assert sorted(rows[rows >= 0].tolist()) == sorted(kept.labels[4])


def test_what_is_kept_is_more_often_right() -> None:
    data = digits(num_train=512)
    fitted = run(Case(CORES, {**SOON, "lr": 0.02}), data, {"backbone": "digits_cnn"}, epochs=8)
    kept = fitted.method.tables["sieve"].views()["kept_label"] >= 0
    right = data.noisy_targets == data.clean_targets
    assert float(right.float().mean()) == pytest.approx(0.6, abs=0.05)
    assert float(right[kept].float().mean()) > 0.75
    assert float(kept[right].float().mean()) > 0.75


def test_a_batch_of_which_nothing_is_kept_teaches_nothing() -> None:
    method = CORES(sieve_epoch=0, num_samples=4, **NETWORK)
    method.tables = dict(method.build_tables(4))
    unlikely = torch.tensor([[0.0] + [5.0] * 9] * 4, requires_grad=True)
    labels, index = torch.zeros(4, dtype=torch.int64), torch.arange(4)
    losses = method.compute_loss(unlikely, labels, index)
    selected = method.select(losses.detach(), unlikely.detach())
    assert selected is not None
    assert not selected.any()
    loss = method.reduce(losses, index, selected)
    loss.backward()
    assert float(loss.detach()) == 0
    assert not unlikely.grad.any()  # type: ignore[union-attr]
    method.tables["sieve"].commit(epoch=0)
    method.prior.copy_(torch.arange(10) / 45)
    method.begin_epoch()  # after an epoch that has kept nothing the prior stays
    assert torch.equal(method.prior, torch.arange(10) / 45)


def test_the_loss_is_divided_as_the_reference_divides_its_rate() -> None:
    """With its optimizer, SGD without momentum and weight decay."""

    class Undivided(CORES):
        def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
            return (1 + self.beta) * super().compute_loss(logits, target, index)

    class Divide(Callback):  # type: ignore[misc]
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            trainer.optimizers[0].param_groups[0]["lr"] = 0.1 / (1 + pl_module.beta)

    args = {"backbone": plain, "lr": 0.1, "optimizer_args": {}}
    ours = run(Case(CORES, SOON), method=args, epochs=5)
    theirs = run(Case(Undivided, SOON), method=args, epochs=5, callbacks=[Divide()])
    assert ours.method.beta == 2.0
    for one, other in zip(ours.method.parameters(), theirs.method.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="`beta` must be finite and at least 0, got -2: the last weight"):
        CORES(beta=-2, **NETWORK)
    with pytest.raises(ValueError, match="`warmup_epochs` must be finite and at least 0, got -1: the epochs of cross"):
        CORES(warmup_epochs=-1, **NETWORK)
    with pytest.raises(ValueError, match="`rise_epochs` must be at least 1, got 0: the epochs of the rise"):
        CORES(rise_epochs=0, **NETWORK)
    with pytest.raises(ValueError, match="`sieve_epoch` must be finite and at least 0, got -1: the first epoch of"):
        CORES(sieve_epoch=-1, **NETWORK)
