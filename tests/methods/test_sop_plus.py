"""SOP+ against a loop written out by hand."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from noisylearn.methods import SOP, SOPPlus
from tests.methods.harness import Case, digits, fit, plain, run, tiny
from tests.methods.recorded import Recorder

NETWORK: dict[str, Any] = {"backbone": "mlp", "num_classes": 10, "in_channels": 1, "image_size": 8}
SOP_PLUS = Case(SOPPlus, {"lr_u": 5.0, "lr_v": 10.0, "init_std": 0.3})
LR, NUM_TRAIN = 0.05, 250


def test_a_fit_is_the_loop_of_the_paper() -> None:
    """``u`` and ``v`` have an optimizer of their own, over all rows, as in the reference code."""
    torch.manual_seed(1)
    method = SOP_PLUS.build(backbone=plain, consistency_weight=0.7, balance_weight=0.6).double()
    network = copy.deepcopy(method.network)
    start = copy.deepcopy(network)
    recorder = Recorder()
    fit(method, digits(num_train=NUM_TRAIN, augment=True), epochs=3, callbacks=[recorder], precision="64-true")

    first = 0.3 * torch.randn(NUM_TRAIN, 11, generator=torch.Generator().manual_seed(0)).double()
    u, v = first[:, :1].clone().requires_grad_(), first[:, 1:].clone().requires_grad_()
    of_noise = torch.optim.SGD([{"params": [u], "lr": 5.0}, {"params": [v], "lr": 10.0}])
    optimizer = torch.optim.SGD(network.parameters(), lr=LR, momentum=0.9, weight_decay=5e-4)
    for fed in recorder.fed:
        weak, strong = (network(view) for view in fed.x)
        assert not torch.equal(*fed.x)
        label = torch.eye(10, dtype=torch.float64)[fed.target]
        much = torch.clamp(u[fed.index] ** 2 * label, 0, 1)
        little = torch.clamp(v[fed.index] ** 2 * (1 - label), 0, 1)
        p = torch.clamp(weak.softmax(1) + much - little.detach(), min=1e-4)
        p = torch.clamp(F.normalize(p, p=1, eps=1e-4), min=1e-4, max=1.0)
        hard = torch.eye(10, dtype=torch.float64)[weak.detach().argmax(1)]
        loss = -(label * p.log()).sum(1).mean() + F.mse_loss(hard + much - little, label, reduction="sum") / len(label)
        loss = loss - 0.6 * (0.1 * torch.clamp(p.mean(0), 1e-4, 1).log()).sum()
        loss = loss + 0.7 * F.kl_div(strong.log_softmax(1), weak.softmax(1).detach(), reduction="batchmean")
        optimizer.zero_grad()
        of_noise.zero_grad()
        loss.backward()
        optimizer.step()
        of_noise.step()
    for ours, hand, before in zip(method.parameters(), network.parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(ours, hand, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(hand, before, rtol=1e-3, atol=1e-3)
    kept = method.tables["noise"].views()
    torch.testing.assert_close(kept["u"], u[:, 0].detach().float(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(kept["v"], v.detach().float(), rtol=1e-4, atol=1e-5)


def test_both_views_go_through_the_network_together() -> None:
    """Batch norm then has one mean for both; the reference code joins them too."""
    fitted = run(SOP_PLUS, method={"backbone": tiny}, epochs=1)
    counts = [value for name, value in fitted.method.named_buffers() if name.endswith("num_batches_tracked")]
    assert [int(count) for count in counts] == [8]


def test_without_its_terms_it_is_sop_of_the_weak_view() -> None:
    args = {"backbone": plain, "consistency_weight": 0.0, "balance_weight": 0.0}
    plus = run(SOP_PLUS, digits(augment=True), args)
    sop = run(Case(SOP, SOP_PLUS.args), digits(augment=True), {"backbone": plain})
    for one, other in zip(plus.method.parameters(), sop.method.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("argument", ["consistency_weight", "balance_weight", "lr_u", "lr_v", "init_std"])
def test_wrong_arguments(argument: str) -> None:
    with pytest.raises(ValueError, match=f"`{argument}` must be finite and at least 0, got -1"):
        SOPPlus(**{argument: -1}, **NETWORK)
