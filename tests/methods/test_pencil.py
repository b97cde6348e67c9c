"""PENCIL's three stages, the step of its labels, the reference's quirks, and a learning rate in stages."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisylearn._compat import Callback
from noisylearn.methods import PENCIL
from tests.methods.harness import Case, differences, digits, plain, run

NETWORK: dict[str, Any] = {"backbone": "mlp", "num_classes": 10, "in_channels": 1, "image_size": 8}


class Snapshots(Callback):  # type: ignore[misc]  # its base is made at import time
    """Keeps the weights and the label distributions that each epoch ends with."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[dict[str, Tensor]] = []
        self.labels: list[Tensor] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.weights.append({name: w.detach().clone() for name, w in pl_module.named_parameters()})
        self.labels.append(pl_module.tables["labels"].views()["logits"].clone())


def test_labels_stand_still_then_move_then_stand_still() -> None:
    data, seen = digits(), Snapshots()
    case = Case(PENCIL, {"stage1": 2, "stage2": 4})
    run(case, data, {"backbone": plain}, epochs=6, callbacks=[seen])
    given = 10 * F.one_hot(data.noisy_targets, 10).float()
    assert torch.equal(seen.labels[0], given)
    assert torch.equal(seen.labels[1], given)
    assert bool((seen.labels[2] != given).any(1).all())
    assert bool((seen.labels[3] != seen.labels[2]).any(1).all())
    assert torch.equal(seen.labels[4], seen.labels[3])
    assert torch.equal(seen.labels[5], seen.labels[3])
    assert differences(seen.weights[3], seen.weights[5]) != []


def test_labels_are_mended() -> None:
    data = digits(num_train=512)
    case = Case(PENCIL, {"stage1": 4, "stage2": 12, "lam": 1000.0, "lr": 0.02})
    rows = run(case, data, {"backbone": "digits_cnn"}, epochs=12).method.tables["labels"].views()["logits"]
    right = (rows.argmax(1) == data.clean_targets).float().mean()
    assert float(right) > 0.6 + 0.15  # of which 0.6 were right


def test_labels_without_a_rate_stay() -> None:
    data = digits()
    fitted = run(Case(PENCIL, {"stage1": 0, "stage2": 9, "lam": 0.0}), data, {"backbone": plain})
    rows = fitted.method.tables["labels"].views()["logits"]
    assert torch.equal(rows, 10 * F.one_hot(data.noisy_targets, 10).float())


def test_both_switches_are_the_step_of_the_authors_code() -> None:
    class Fixed(nn.Module):
        """Logits that a step does not change."""

        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1)[:, 20:30] * self.scale

    as_coded = {"legacy_undivided_alpha": True, "legacy_double_softmax": True}
    case = Case(PENCIL, {"stage1": 0, "stage2": 9, "lam": 3000.0, **as_coded})
    data = digits()
    fitted = run(case, data, {"backbone": Fixed(), "lr": 1e-12}, epochs=1)
    loader = data.train_dataloader()
    loader.set_epoch(0)  # type: ignore[union-attr]
    losses = []
    for image, target, index in loader:
        output = image.flatten(1)[:, 20:30]
        y = (10 * F.one_hot(target, 10).float()).requires_grad_()  # type: ignore[arg-type]
        label = y.softmax(1)
        divergence = torch.mean(output.softmax(1) * (output.log_softmax(1) - label.log()))
        entropy = -torch.mean(output.softmax(1) * output.log_softmax(1))
        loss = divergence + 0.4 * F.cross_entropy(label, target) + 0.1 * entropy
        (gradient,) = torch.autograd.grad(loss, y)
        losses.append(float(loss.detach()))
        torch.testing.assert_close(fitted.method.tables["labels"].read(index)["logits"], (y - 3000 * gradient).detach())
    assert fitted.rates.losses == pytest.approx(losses, rel=1e-5)


@pytest.mark.parametrize("legacy", [False, True])
def test_the_network_stands_still_where_the_reference_has_no_learning_rate(legacy: bool) -> None:
    """Stage 3 has six epochs; the reference trains in two of them."""
    seen = Snapshots()
    case = Case(PENCIL, {"stage1": 1, "stage2": 2, "legacy_zero_lr": legacy})
    args = {"backbone": plain, "optimizer_args": {"momentum": 0.9, "weight_decay": 0.1}}
    run(case, method=args, epochs=8, callbacks=[seen], gradient_clip_val=0.5)
    moved = [differences(before, after) != [] for before, after in zip(seen.weights, seen.weights[1:], strict=False)]
    assert moved == [True] * 3 + [not legacy] * 4


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="`stage2` must be at least `stage1`, 70, got 60: both count from the start"):
        PENCIL(stage2=60, **NETWORK)
    with pytest.raises(ValueError, match="`stage1` must be finite and at least 0, got -1: the epochs of cross-entropy"):
        PENCIL(stage1=-1, **NETWORK)
    for name in ("alpha", "beta", "lam"):
        with pytest.raises(ValueError, match=f"`{name}` must be finite and at least 0, got -1"):
            PENCIL(**{name: -1}, **NETWORK)
