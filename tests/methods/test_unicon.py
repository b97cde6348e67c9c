"""UNICON against a loop written out by hand, its batches, and what its projections are trained by."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from noisylearn._compat import Callback
from noisylearn.losses import contrastive
from noisylearn.methods import UNICON
from noisylearn.methods.projected import Projected
from noisylearn.selection import uniform_selection
from tests.methods.harness import Case, digits, fit, plain, run
from tests.methods.recorded import Fed, Recorder
from tests.methods.test_dividemix import sharpened
from tests.unit.selection.test_unicon import slow_divergence

CASE = Case(UNICON, {"warmup_epochs": 1})
NETWORK: dict[str, Any] = {"backbone": "mlp", "num_classes": 10, "in_channels": 1, "image_size": 8}
LR, NUM_TRAIN = 0.05, 250


def step_by_hand(own: Any, peer: Any, fed: Fed, cut: int, divergence: list[float], lambda_u: float) -> Tensor:
    """The loss of one batch, whose first ``cut`` samples keep their label."""
    weak, strong = fed.x[:2], fed.x[2:]
    targets = []
    with torch.no_grad():
        for i, y in enumerate(fed.target.tolist()):
            mine = [own(view[i : i + 1])[0].softmax(0) for view in weak]
            if i < cut:
                d = divergence[int(fed.index[i])]
                w = 1.0 if d < 0.5 else 1 - d
                targets.append(sharpened(w * torch.eye(10, dtype=torch.float64)[y] + (1 - w) * sum(mine) / 2))
            else:
                theirs = [peer(view[i : i + 1])[0].softmax(0) for view in weak]
                targets.append(sharpened(sum([*mine, *theirs]) / 4))
    x = [row for part in (slice(cut), slice(cut, None)) for view in strong for row in view[part]]
    t = targets[:cut] * 2 + targets[cut:] * 2
    torch.set_rng_state(fed.rng)
    lam = torch.distributions.Beta(4.0, 4.0).sample().item()
    lam = max(lam, 1 - lam)
    order = torch.randperm(len(x)).tolist()
    logits = own(torch.stack([lam * x[i] + (1 - lam) * x[j] for i, j in enumerate(order)]))
    mixed = torch.stack([lam * t[i] + (1 - lam) * t[j] for i, j in enumerate(order)])
    kept, others = logits[: 2 * cut], logits[2 * cut :]
    loss = -(mixed[: 2 * cut] * kept.log_softmax(1)).sum(1).mean()
    loss = loss + lambda_u * (others.softmax(1) - mixed[2 * cut :]).square().mean()
    loss = loss + (0.1 * torch.log(0.1 / logits.softmax(1).mean(0))).sum()
    first, second = (own.projection(own.network[0](view[cut:])) for view in strong)
    return loss + 0.5 * contrastive(first, second, 0.1).mean()


def test_a_fit_is_the_loop_of_the_paper() -> None:
    torch.manual_seed(1)
    method = CASE.build(backbone=plain, lambda_c=0.5, contrast_temperature=0.1, ramp_epochs=2.0).double()
    networks: list[Any] = copy.deepcopy(list(method.networks))  # type: ignore[arg-type]
    start = copy.deepcopy(networks)
    recorder = Recorder()
    data = digits(num_train=NUM_TRAIN, augment=True)
    fit(method, data, epochs=3, callbacks=[recorder], precision="64-true")

    optimizers = [torch.optim.SGD(n.parameters(), lr=LR, momentum=0.9, weight_decay=5e-4) for n in networks]
    for fed in (f for f in recorder.fed if f.epoch == 0):
        for network, optimizer in zip(networks, optimizers, strict=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(fed.x[0]), fed.target).backward()
            optimizer.step()
    still = (data.train_images.double() / 255 - data.mean[0]) / data.std[0]
    given = data.noisy_targets
    for epoch in (1, 2):
        with torch.no_grad():
            mean = sum(network(still).softmax(1) for network in networks) / 2
        divergence = [slow_divergence(p, y) for p, y in zip(mean.tolist(), given.tolist(), strict=True)]
        kept = set(uniform_selection(torch.tensor(divergence), given, 10).nonzero().flatten().tolist())
        share = len(kept) / NUM_TRAIN
        cut = round(32 * 2 * share / (2 * share + 1))
        steps = math.ceil(len(kept) / cut)
        batches = [f for f in recorder.fed if f.epoch == epoch]
        assert 1 < cut < 31
        assert len(batches) == 2 * steps
        for number, fed in enumerate(batches):
            mine = number // steps
            assert set(fed.index[:cut].tolist()) <= kept
            assert not set(fed.index[cut:].tolist()) & kept
            lambda_u = 30 * min((epoch + number % steps / steps - 1) / 2, 1)
            optimizers[mine].zero_grad()
            step_by_hand(networks[mine], networks[1 - mine], fed, cut, divergence, lambda_u).backward()
            optimizers[mine].step()
        assert {i for f in batches[:steps] for i in f.index[:cut].tolist()} == kept
    for ours, hand, first in zip(method.networks, networks, start, strict=True):  # type: ignore[arg-type]
        for one, two, three in zip(ours.parameters(), hand.parameters(), first.parameters(), strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)
            assert three.ndim < 2 or not torch.allclose(two, three, rtol=1e-3, atol=1e-3)


def test_projections_stand_still_in_the_warm_up() -> None:
    class Copy(Callback):  # type: ignore[misc]
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            self.first = copy.deepcopy(pl_module.networks)

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            if trainer.current_epoch == 0:
                self.warm = copy.deepcopy(pl_module.networks)

    kept = Copy()
    fitted = run(CASE, method={"backbone": plain}, callbacks=[kept])
    for first, warm, last in zip(kept.first, kept.warm, fitted.method.networks, strict=True):  # type: ignore[arg-type]
        for part, moves in (("projection", False), ("network", True)):
            pairs = zip(first.get_submodule(part).parameters(), warm.get_submodule(part).parameters(), strict=True)
            assert [not torch.equal(a, b) for a, b in pairs] == [moves] * 4
        pairs = zip(warm.projection.parameters(), last.projection.parameters(), strict=True)
        assert not any(torch.equal(a, b) for a, b in pairs if a.ndim == 2)


def test_a_network_is_projected_from_what_its_classifier_sees() -> None:
    network = plain()
    projected = Projected(network, width=16)
    x = torch.randn(5, 1, 8, 8)
    assert torch.equal(projected(x), network(x))
    expected = projected.projection(network[0](x))  # type: ignore[index]
    torch.testing.assert_close(projected.embed(x), expected)
    assert projected._seen is None
    with pytest.raises(ValueError, match=r"`backbone` must have an nn\.Linear classifier.*got a Conv2d without one"):
        Projected(nn.Conv2d(1, 2, 3))


@pytest.mark.parametrize(("kept", "part"), [(128, 16), (64, 11), (1, 1), (250, 21)])
def test_the_parts_of_a_batch_go_with_the_share_of_labels_kept(kept: int, part: int) -> None:
    method = CASE.build(backbone=plain, num_samples=256)
    assert isinstance(method, UNICON)
    table = method.build_tables(256)["selection"]
    rows = torch.arange(256)
    table.write(rows, {"last_epoch": torch.zeros(256), "kept": rows < kept})
    method.tables = {"selection": table}
    assert method.labelled_part(32) == part


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lambda_c": -1}, "`lambda_c` must be finite and at least 0, got -1: the weight of the contrastive loss"),
        ({"contrast_temperature": 0}, "`contrast_temperature` must be positive and finite, got 0"),
        ({"projection_width": 0}, "`projection_width` must be at least 1, got 0"),
        ({"lambda_u": -1}, "`lambda_u` must be finite and at least 0, got -1"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UNICON(**arguments, **NETWORK)
