"""PES with semi-supervised learning against a loop written out by hand, its batches and its stages."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from noisylearn._compat import Callback
from noisylearn.methods import PESSemi
from noisylearn.methods.presets import find_preset
from tests.methods.harness import Case, digits, fit, plain, run
from tests.methods.recorded import Fed, Recorder
from tests.methods.test_dividemix import sharpened

CASE = Case(PESSemi, {"warmup_epochs": 1, "refine_epochs": (1,), "refine_lr": 0.02, "lambda_u": 15.0})
NETWORK: dict[str, Any] = {"backbone": plain(), "num_classes": 10}
NUM_TRAIN = 200


class Before(Callback):  # type: ignore[misc]
    """The network and its optimizer as they were when labels were first chosen."""

    network: nn.Module
    state: dict[str, Any]

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.current_epoch == 2 and batch_idx == 0:
            self.network = copy.deepcopy(pl_module.network)
            self.state = copy.deepcopy(trainer.optimizers[0].state_dict()["first"])


def step_by_hand(network: nn.Module, fed: Fed, cut: int, weights: list[float], alpha: float, lambda_u: float) -> Tensor:
    one, two = fed.x
    eye = torch.eye(10, dtype=torch.float64)
    targets = [eye[y] for y in fed.target[:cut]]
    with torch.no_grad():
        for i in range(cut, len(fed.target)):
            both = sum(network(view[i : i + 1])[0].softmax(0) for view in (one, two))
            targets.append(sharpened(both / 2))
    x = [*one[:cut], *two[:cut], *one[cut:], *two[cut:]]
    t = targets[:cut] * 2 + targets[cut:] * 2
    torch.set_rng_state(fed.rng)
    lam = torch.distributions.Beta(alpha, alpha).sample().item()
    lam = max(lam, 1 - lam)
    order = torch.randperm(len(x)).tolist()
    logits = network(torch.stack([lam * x[i] + (1 - lam) * x[j] for i, j in enumerate(order)]))
    mixed = torch.stack([lam * t[i] + (1 - lam) * t[j] for i, j in enumerate(order)])
    by_class = -(mixed[: 2 * cut] * logits[: 2 * cut].log_softmax(1)).mean(0)
    loss = sum(w * value for w, value in zip(weights, by_class, strict=True))
    unlabelled: Tensor = (logits[2 * cut :].softmax(1) - mixed[2 * cut :]).square().mean()
    return loss + lambda_u * unlabelled


def test_a_fit_is_the_loop_of_the_paper() -> None:
    torch.manual_seed(1)
    method = CASE.build(backbone=plain, ramp_epochs=3.0).double()
    recorder, before = Recorder(), Before()
    data = digits(num_train=NUM_TRAIN, augment=True)
    fit(method, data, epochs=5, callbacks=[recorder, before], precision="64-true")

    network = before.network
    start = copy.deepcopy(network)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    optimizer.load_state_dict(before.state)
    still = (data.train_images.double() / 255 - data.mean[0]) / data.std[0]
    for epoch in (2, 3, 4):
        with torch.no_grad():
            right = network(still).argmax(1) == data.noisy_targets
        kept = set(right.nonzero().flatten().tolist())
        counts = [int((data.noisy_targets[right] == c).sum()) for c in range(10)]
        mean = sum(counts) / sum(n > 0 for n in counts)
        weights = [min(mean / n, 3.0) if n else 0.0 for n in counts]
        others = NUM_TRAIN - len(kept)
        cut = 32 - (16 if others > len(kept) else int(others / NUM_TRAIN * 32))
        batches = [f for f in recorder.fed if f.epoch == epoch]
        assert len(batches) == NUM_TRAIN // 32
        for number, fed in enumerate(batches):
            assert set(fed.index[:cut].tolist()) <= kept
            assert not set(fed.index[cut:].tolist()) & kept
            lambda_u = 15 * min((epoch + number / len(batches) - 2) / 3, 1)
            optimizer.zero_grad()
            step_by_hand(network, fed, cut, weights, 0.75 if epoch >= 2.5 else 4.0, lambda_u).backward()
            optimizer.step()
    for ours, hand, first in zip(method.parameters(), network.parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(ours, hand, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(hand, first, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("right", "cut"), [(256, 31), (200, 25), (128, 16), (40, 16), (0, 31)])
def test_a_batch_has_as_many_labels_as_fit(right: int, cut: int) -> None:
    """The last is the fallback: no prediction is its label, so all labels are kept."""
    planned = run(CASE, method={"backbone": plain}, epochs=3).method
    assert isinstance(planned, PESSemi)
    planned.trainer.fit_loop.epoch_progress.current.processed = 4
    rows = torch.arange(256)
    weights = (rows < right).float() if right else torch.ones(256)
    planned.tables["chosen"].write(rows, {"weight": weights, "label": rows % 10})
    plan = planned.plan_epoch(rows, 32, torch.Generator().manual_seed(0))
    assert plan is not None
    batches = plan.view(-1, 32)
    assert len(batches) == 8
    kept = set(range(right or 256))
    assert set(batches[:, :cut].flatten().tolist()) <= kept
    if len(kept) < 256:
        assert not set(batches[:, cut:].flatten().tolist()) & kept


def test_the_classifier_alone_is_trained_between_and_frozen_by_the_switch() -> None:
    class Copies(Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.after: list[nn.Module] = []

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            self.after.append(copy.deepcopy(pl_module.network))

    for frozen in (False, True):
        copies = Copies()
        run(CASE, method={"backbone": plain, "legacy_frozen_tail": frozen}, epochs=4, callbacks=[copies])
        warm, refined, _, last = copies.after

        def same(one: nn.Module, other: nn.Module, part: str) -> bool:
            pairs = zip(one.get_submodule(part).parameters(), other.get_submodule(part).parameters(), strict=True)
            return all(torch.equal(a, b) for a, b in pairs)

        assert same(warm, refined, "features")
        assert not same(warm, refined, "classifier")
        assert not same(refined, last, "features")
        assert same(refined, last, "classifier") == frozen


@pytest.mark.parametrize(
    ("data", "noise", "rate", "lambda_u", "warmup"),
    [
        ("cifar10", "instance", 0.4, 15.0, 20),
        ("cifar10", "symmetric", 0.5, None, 20),
        ("cifar100", "pair_flip", 0.45, 50.0, 35),
        ("cifar10n", "human_worse", 0.4, 5.0, 20),
        ("cifar100n", "human_fine", 0.4, 75.0, 35),
    ],
)
def test_presets(data: str, noise: str, rate: float, lambda_u: float | None, warmup: int) -> None:
    preset = find_preset(PESSemi.presets, data, noise, rate)
    assert preset is not None
    assert (preset.args.get("lambda_u"), preset.args["warmup_epochs"]) == (lambda_u, warmup)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lambda_u": -1}, "`lambda_u` must be finite and at least 0, got -1"),
        ({"temperature": 0}, "`temperature` must be positive and finite, got 0"),
        ({"alpha": 0}, "`alpha` must be positive and finite, got 0"),
        ({"late_alpha": -1}, "`late_alpha` must be positive and finite, got -1"),
        ({"ramp_epochs": -1}, "`ramp_epochs` must be finite and at least 0, got -1"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PESSemi(**arguments, **NETWORK)
