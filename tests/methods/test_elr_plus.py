"""ELR+ against a loop written out by hand, and its moving averages."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from noisylearn.methods import ELRPlus
from tests.methods.harness import Case, digits, fit, plain, run, tiny
from tests.methods.recorded import Recorder

ELR_PLUS = Case(ELRPlus, {"ema_ramp_steps": 20, "lam_ramp_steps": 12})
NETWORK: dict[str, Any] = {"backbone": "mlp", "num_classes": 10, "in_channels": 1, "image_size": 8}
LR, BETA, LAM = 0.05, 0.7, 3.0


def ramp(step: int, length: int) -> float:
    return math.exp(-5 * (1 - min(step, length) / length) ** 2)


def loss_by_hand(z: Tensor, label: Tensor, believed: Tensor, lam: float, reweight: bool) -> Tensor:
    if reweight:
        label = label * believed / (label * believed).sum()
    p = z.softmax(0).clamp(1e-4, 1 - 1e-4)
    return -(label * z.log_softmax(0)).sum() + lam * torch.log(1 - (believed * p).sum())


@pytest.mark.parametrize("reweight", [False, True])
def test_a_fit_is_the_loop_of_the_paper(reweight: bool) -> None:
    torch.manual_seed(1)
    method = ELR_PLUS.build(backbone=plain, reweight=reweight).double()
    assert isinstance(method, ELRPlus)
    networks = copy.deepcopy(list(method.networks))
    averages = copy.deepcopy(networks)
    recorder = Recorder()
    fit(method, digits(num_train=100, augment=True), epochs=3, callbacks=[recorder], precision="64-true")

    optimizers = [torch.optim.SGD(n.parameters(), lr=LR, momentum=0.9, weight_decay=5e-4) for n in networks]
    targets = torch.zeros(2, 100, 10, dtype=torch.float64)
    for step, fed in enumerate(recorder.fed, start=1):
        size = len(fed.target)
        with torch.no_grad():
            predicted = [average(fed.x).softmax(1) for average in averages]
        torch.set_rng_state(fed.rng)
        for k, (network, optimizer) in enumerate(zip(networks, optimizers, strict=True)):
            for i, row in enumerate(fed.index.tolist()):
                targets[k, row] = BETA * targets[k, row] + (1 - BETA) * predicted[1 - k][i]
            share = torch.distributions.Beta(1.0, 1.0).sample().item()
            share = max(share, 1 - share)
            order = torch.randperm(size).tolist()
            logits = network(torch.stack([share * fed.x[i] + (1 - share) * fed.x[j] for i, j in enumerate(order)]))
            total = torch.zeros((), dtype=torch.float64)
            for i, j in enumerate(order):
                one, other = (torch.eye(10, dtype=torch.float64)[fed.target[n]] for n in (i, j))
                mine, theirs = (targets[k, fed.index[n]] for n in (i, j))
                label, believed = (share * a + (1 - share) * b for a, b in ((one, other), (mine, theirs)))
                total = total + loss_by_hand(logits[i], label, believed, LAM * ramp(step, 12), reweight) / size
            optimizer.zero_grad()
            total.backward()
        decay = 0.997 * ramp(step + 1, 20)
        for network, average, optimizer in zip(networks, averages, optimizers, strict=True):
            optimizer.step()
            with torch.no_grad():
                for a, p in zip(average.parameters(), network.parameters(), strict=True):
                    a.copy_(decay * a + (1 - decay) * p)
    for ours, hand in ((method.networks, networks), (method.averages, averages)):
        for one, other in zip(ours.parameters(), nn.ModuleList(hand).parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    kept = method.tables["targets"].views()["target"].view(100, 2, 10).transpose(0, 1)
    torch.testing.assert_close(kept, targets.float(), rtol=1e-4, atol=1e-5)


def test_averages_take_no_gradient_and_keep_batch_norm_statistics_of_their_own() -> None:
    fitted = run(ELR_PLUS, method={"backbone": tiny}, epochs=1)
    method = fitted.method
    assert isinstance(method, ELRPlus)
    trained = {id(p) for n in method.networks for p in n.parameters()}
    averaged = {id(p) for n in method.averages for p in n.parameters()}
    assert not trained & averaged
    assert all(p.grad is None and not p.requires_grad for n in method.averages for p in n.parameters())
    for average, network in zip(method.averages, method.networks, strict=True):
        (steps,), (mean,) = (statistics(average, name) for name in ("num_batches_tracked", "running_mean"))
        (others,), (other,) = (statistics(network, name) for name in ("num_batches_tracked", "running_mean"))
        assert int(steps) == int(others) == 8
        assert average.training
        assert not torch.allclose(mean, other)


def statistics(network: nn.Module, name: str) -> list[Tensor]:
    return [buffer for known, buffer in network.named_buffers() if known.endswith(name)]


def test_averages_move_once_per_step_of_the_optimizer() -> None:
    args = {"ema_ramp_steps": 0, "ema_decay": 0.5, "backbone": plain, "lr": 1e-12, "optimizer": "SGD"}
    method = ELR_PLUS.build(**args)
    assert isinstance(method, ELRPlus)
    for average in method.averages:
        for parameter in average.parameters():
            parameter.data.zero_()
    start = copy.deepcopy(method.networks)
    fit(method, epochs=1, accumulate_grad_batches=4)  # two steps of eight batches
    for average, network in zip(method.averages.parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(average, 0.75 * network, rtol=1e-5, atol=1e-7)


def test_what_is_shown_is_what_the_averages_say_of_the_samples_as_they_are() -> None:
    method = ELR_PLUS.build(backbone=plain, num_samples=4)
    assert isinstance(method, ELRPlus)
    fit(method, digits(num_train=4), epochs=1)
    x, rows = torch.randn(4, 1, 8, 8), torch.arange(4)
    _, shown = method.learn(x, rows, rows)
    each = torch.stack([average(x) for average in method.averages])
    assert torch.equal(shown["peer_logits"], each)
    assert torch.equal(shown["logits"], each.mean(0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lam": -1}, "`lam` must be finite and at least 0, got -1: the weight of the regularizer"),
        ({"beta": 2}, r"`beta` must be in \[0, 1\], got 2: the weight of the past"),
        ({"alpha": 0}, "`alpha` must be positive and finite, got 0: of the Beta"),
        ({"ema_decay": 1.5}, r"`ema_decay` must be in \[0, 1\], got 1.5"),
        ({"ema_ramp_steps": -1}, "`ema_ramp_steps` must be finite and at least 0, got -1"),
        ({"lam_ramp_steps": -1}, "`lam_ramp_steps` must be finite and at least 0, got -1"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ELRPlus(**arguments, **NETWORK)
