"""CDR chooses its weights once per step of the optimizer: by whole, unscaled, unclipped gradients."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from noisylearn._compat import Callback, lightning_module
from noisylearn.methods import CDR
from noisylearn.selection import critical_weights
from tests.methods.harness import Case, digits, plain, run, tiny

NETWORK: dict[str, Any] = {"backbone": "mlp", "num_classes": 10, "in_channels": 1, "image_size": 8}


class Seen(Callback):  # type: ignore[misc]  # its base is made at import time
    """Keeps the weights and gradients of the first step before the method edits them, and the gradients after."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[str, Any] = {}
        self.after: dict[str, Any] = {}
        self.edits = 0

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.edits += 1
        if not self.before:
            self.before = {n: (w.detach().clone(), w.grad.clone()) for n, w in pl_module.named_parameters()}

    def on_before_zero_grad(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        if self.before and not self.after:
            self.after = {n: w.grad.clone() for n, w in pl_module.named_parameters()}


def scaled() -> dict[str, Any]:
    """float16 with a gradient scaler, which a GPU has of itself."""
    precision = lightning_module("plugins.precision").MixedPrecision
    return {"plugins": [precision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))]}


@pytest.mark.parametrize(("accumulate", "amp"), [(1, dict), (2, dict), (1, scaled)])
def test_the_step_follows_the_critical_weights_alone(accumulate: int, amp: Callable[[], dict[str, Any]]) -> None:
    seen = Seen()
    case = Case(CDR, {"noise_rate": 0.3})
    data = digits(batch_size=32 // accumulate)
    args = {"epochs": 1, "callbacks": [seen], "accumulate_grad_batches": accumulate, **amp()}
    run(case, data, {"backbone": "digits_cnn"}, **args)
    assert seen.edits == 8
    assert max(float(gradient.norm()) for _, gradient in seen.before.values()) < 100  # the scale is gone: 65,536
    ranked = [name for name, (weight, _) in seen.before.items() if weight.ndim in (2, 4)]
    masks = critical_weights(*zip(*(seen.before[name] for name in ranked), strict=True), keep_rate=0.7)
    assert 0.69 < float(torch.cat([m.flatten() for m in masks]).float().mean()) < 0.71
    shares = [float(mask.float().mean()) for mask in masks]
    assert max(shares) - min(shares) > 0.1  # layers are not ranked one by one
    for name, mask in zip(ranked, masks, strict=True):
        torch.testing.assert_close(seen.after[name], 0.7 * mask * seen.before[name][1])
    others = seen.before.keys() - set(ranked)
    assert others
    for name in others:
        assert torch.equal(seen.after[name], seen.before[name][1])


def test_a_frozen_layer_is_not_ranked() -> None:
    backbone = plain()
    backbone[1].requires_grad_(False)
    fitted = run(Case(CDR, {"noise_rate": 0.4}), method={"backbone": backbone}, epochs=1)
    assert len(fitted.method.ranked_weights()) == 1  # type: ignore[operator]
    assert backbone[1].weight.grad is None


def test_with_every_label_wrong_the_matrices_only_decay() -> None:
    backbone = plain()
    before = copy.deepcopy(backbone.state_dict())
    args = {"backbone": backbone, "optimizer_args": {"weight_decay": 0.5}, "lr": 0.1}
    run(Case(CDR, {"noise_rate": 1.0}), method=args, epochs=1)
    for name in ("features.1.weight", "classifier.weight"):
        torch.testing.assert_close(backbone.state_dict()[name], before[name] * (1 - 0.1 * 0.5) ** 8)
    assert not torch.equal(backbone.state_dict()["classifier.bias"], before["classifier.bias"] * (1 - 0.1 * 0.5) ** 8)


def test_the_second_forward_pass_of_the_reference_moves_batch_norm_twice() -> None:
    """With weights that stand still, and batches of all samples, the running mean is that of so many updates."""
    for legacy, updates in ((False, 3), (True, 6)):
        torch.manual_seed(0)
        backbone = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10))
        method = {"backbone": backbone, "legacy_double_forward": legacy, "lr": 1e-12}
        data = digits(batch_size=256)
        run(Case(CDR, {"noise_rate": 0.4}), data, method, epochs=3)
        pixels = (data.train_images.float().flatten(1) / 255 - data.mean[0]) / data.std[0]
        expected = (1 - 0.9**updates) * pixels.mean(0)
        torch.testing.assert_close(backbone[1].running_mean, expected, rtol=1e-4, atol=1e-5)


def test_the_second_forward_pass_adds_no_gradient() -> None:
    weights = []
    for legacy in (False, True):
        fitted = run(Case(CDR, {"noise_rate": 0.4}), method={"backbone": plain, "legacy_double_forward": legacy})
        weights.append(fitted.method.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    drawn = run(Case(CDR, {"noise_rate": 0.4}), method={"backbone": tiny, "legacy_double_forward": True})
    assert drawn.epoch_losses[-1] < drawn.epoch_losses[0]


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="`noise_rate` is needed to know how many weights are critical: pass it"):
        CDR(**NETWORK)
    with pytest.raises(ValueError, match=r"`noise_rate` must be in \[0, 1\], got 40: pass a fraction, e.g. 0.4"):
        CDR(noise_rate=40, **NETWORK)
