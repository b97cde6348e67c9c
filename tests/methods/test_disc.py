"""DISC against a loop written out by hand, and batches that few samples of are chosen."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisylearn.methods import DISC
from noisylearn.methods.presets import find_preset
from tests.methods.harness import Case, digits, fit, plain, run, tiny
from tests.methods.recorded import Fed, Recorder
from tests.unit.selection.test_disc import slow

NETWORK: dict[str, Any] = {"backbone": "mlp", "num_classes": 10, "in_channels": 1, "image_size": 8}
CASE = Case(DISC, {"warmup_epochs": 1, "threshold_momentum": 0.6, "sigma": 0.2, "hard_weight": 0.5})
LR, NUM_TRAIN = 0.05, 100


def robust(logits: Tensor, target: Tensor) -> Tensor:
    return (1 - logits.softmax(1)[torch.arange(len(target)), target].clamp(min=1e-7) ** 0.7) / 0.7


def mixed(network: nn.Module, x: Tensor, labels: list[int], size: int) -> Tensor:
    """Mixup of all of the rows, which are the chosen ones of a batch of ``size``."""
    eye = torch.eye(10, dtype=torch.float64)
    order = torch.rand(size, dtype=torch.float64)[: len(x)].argsort().tolist()
    lam = torch.distributions.Beta(5.0, 5.0).sample().item()
    lam = max(lam, 1 - lam)
    logits = network(torch.stack([lam * x[i] + (1 - lam) * x[j] for i, j in enumerate(order)]))
    total = torch.zeros((), dtype=torch.float64)
    for i, j in enumerate(order):
        total = total - ((lam * eye[labels[i]] + (1 - lam) * eye[labels[j]]) * logits[i].log_softmax(0)).sum() / len(x)
    return total


def loss_by_hand(
    network: nn.Module, views: list[Tensor], fed: Fed, groups: list[int] | None, labels: list[int]
) -> Tensor:
    """The loss of a batch; without groups that of the warm-up."""
    rows, size = fed.index.tolist(), len(fed.target)
    loss = torch.zeros((), dtype=torch.float64)
    for logits in views:
        given, hedged = F.cross_entropy(logits, fed.target, reduction="none"), robust(logits, fed.target)
        for i, row in enumerate(rows):
            group = 1 if groups is None else groups[row]
            loss = loss + (given[i] if group == 1 else 0.5 * hedged[i] if group == 2 else 0.0) / size
    if groups is None:
        return loss
    chosen = [i for i, row in enumerate(rows) if groups[row]]
    torch.set_rng_state(fed.rng)
    for view in fed.x:
        loss = loss + mixed(network, view[chosen], [labels[rows[i]] for i in chosen], size)
    return loss


def test_a_fit_is_the_loop_of_the_paper() -> None:
    torch.manual_seed(1)
    method = CASE.build(backbone=plain).double()
    network = copy.deepcopy(method.network)
    start = copy.deepcopy(network)
    recorder = Recorder()
    data = digits(num_train=NUM_TRAIN, augment=True)
    fit(method, data, epochs=5, callbacks=[recorder], precision="64-true")

    optimizer = torch.optim.SGD(network.parameters(), lr=LR, momentum=0.9, weight_decay=5e-4)
    thresholds = [[1 / NUM_TRAIN] * 2 for _ in range(NUM_TRAIN)]
    groups, labels = [0] * NUM_TRAIN, [0] * NUM_TRAIN
    seen_groups: set[int] = set()
    for epoch in range(5):
        shown: dict[int, list[list[float]]] = {}
        for fed in (f for f in recorder.fed if f.epoch == epoch):
            views = [network(view) for view in fed.x]
            for i, row in enumerate(fed.index.tolist()):
                shown[row] = [each[i].softmax(0).tolist() for each in views]
            loss = loss_by_hand(network, views, fed, groups if epoch else None, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        for row, (one, two) in shown.items():
            y = int(data.noisy_targets[row])
            groups[row], labels[row] = slow(one, two, y, thresholds[row], 0.2, 0.99)
            thresholds[row] = [0.6 * t + 0.4 * max(p) for t, p in zip(thresholds[row], (one, two), strict=True)]
        seen_groups |= set(groups)
    assert seen_groups == {0, 1, 2, 3}
    for ours, hand, before in zip(method.parameters(), network.parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(ours, hand, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(hand, before, rtol=1e-3, atol=1e-3)
    kept = method.tables["groups"].views()
    assert kept["group"].tolist() == groups
    assert [int(y) for y, g in zip(kept["label"], groups, strict=True) if g] == [
        y for y, g in zip(labels, groups, strict=True) if g
    ]
    torch.testing.assert_close(kept["threshold"], torch.tensor(thresholds), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 3, 8])
def test_samples_that_are_not_chosen_are_not_mixed_in(count: int) -> None:
    """Inputs of the others are NaN: one of them in a mixture would show."""
    method = CASE.build(backbone=plain)
    assert isinstance(method, DISC)
    chosen = torch.zeros(8, dtype=torch.bool)
    chosen[torch.tensor([5, 0, 7, 2, 1, 3, 4, 6])[:count]] = True
    x = torch.randn(8, 1, 8, 8)
    x[~chosen] = torch.nan
    if not count:
        x = torch.zeros(8, 1, 8, 8)
    loss = method.mixed_loss(x, torch.arange(8), chosen, torch.arange(8))
    assert bool(loss.isfinite())
    if not count:
        assert float(loss.detach()) == 0
    if count == 1:  # a sample mixed with itself
        expected = F.cross_entropy(method(x[5:6]), torch.tensor([5]))
        torch.testing.assert_close(loss, expected)


def test_a_sample_without_a_group_teaches_nothing() -> None:
    fitted = run(CASE, digits(num_train=32), {"backbone": plain, "lr": 1e-12}, epochs=1)
    method = fitted.method
    method.trainer.fit_loop.epoch_progress.current.processed = 3
    rows = torch.arange(32)
    method.tables["groups"].write(rows, {"group": torch.zeros(32)})
    x = torch.randn(32, 1, 8, 8)
    loss, _ = method.learn((x, x), rows % 10, rows)
    gradients = torch.autograd.grad(loss, list(method.parameters()))
    assert float(loss.detach()) == 0
    assert not any(bool(g.any()) for g in gradients)


def test_views_go_through_together_and_mixtures_after_them() -> None:
    sizes: list[int] = []

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = tiny()

        def forward(self, x: Tensor) -> Tensor:
            sizes.append(len(x))
            y: Tensor = self.inside(x)
            return y

    run(CASE, digits(num_train=64), {"backbone": Watched()}, epochs=2)
    assert sizes == [64, 64] + [64, 32, 32] * 2


@pytest.mark.parametrize(
    ("noise", "rate", "expected"),
    [
        ("symmetric", 0.2, (20, 0.99, 1.0)),
        ("symmetric", 0.8, (20, 0.95, 0.2)),
        ("asymmetric", 0.4, (20, 0.95, 1.0)),
        ("instance", 0.4, (15, 0.99, 1.0)),
        ("instance", 0.6, (15, 0.95, 0.2)),
    ],
)
def test_presets(noise: str, rate: float, expected: tuple[int, float, float]) -> None:
    preset = find_preset(DISC.presets, "cifar100", noise, rate)
    assert preset is not None
    assert tuple(preset.args.values()) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"warmup_epochs": 0}, "`warmup_epochs` must be at least 1, got 0"),
        ({"threshold_momentum": 2}, r"`threshold_momentum` must be in \[0, 1\], got 2"),
        ({"sigma": -1}, "`sigma` must be finite and at least 0, got -1"),
        ({"ceiling": 2}, r"`ceiling` must be in \[0, 1\], got 2"),
        ({"hard_weight": -1}, "`hard_weight` must be finite and at least 0, got -1"),
        ({"q": 0}, r"`q` must be in \(0, 1\], got 0"),
        ({"alpha": 0}, "`alpha` must be positive and finite, got 0"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DISC(**arguments, **NETWORK)
