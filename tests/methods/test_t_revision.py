"""T-Revision: its phases, what its weights have a gradient to, and the loss of the authors' first code."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from noisylearn._compat import Callback
from noisylearn.methods import TRevision
from noisylearn.noise import symmetric_matrix
from tests.methods.harness import Case, differences, digits, fit, plain, run, savers

NETWORK: dict[str, Any] = {"backbone": "mlp", "num_classes": 10, "in_channels": 1, "image_size": 8}
KNOWN = symmetric_matrix(10, 0.4).tolist()
ARGS = {"warmup_epochs": 1, "reweighting_epochs": 2, "revision_lr": 1e-4}


class Phase(Callback):  # type: ignore[misc]
    """Notes, after each epoch, the slack, the learning rate and the kind of state that the optimizer keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[float, float, bool]] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        optimizer = trainer.optimizers[0]
        adam = any("exp_avg" in state for state in optimizer.state.values())
        self.seen.append((float(pl_module.slack.detach().abs().sum()), optimizer.param_groups[0]["lr"], adam))


def test_the_three_phases() -> None:
    """The slack moves in revision only, by Adam, whose rate no schedule changes."""
    phase = Phase()
    schedule = {"scheduler": "MultiStepLR", "scheduler_args": {"milestones": [2, 4]}, "lr": 0.05}
    args = {"backbone": plain, **schedule}
    method: Any = run(Case(TRevision, ARGS), digits(), args, epochs=6, callbacks=[phase]).method
    slack, rates, adam = zip(*phase.seen, strict=True)
    assert slack[:3] == (0.0, 0.0, 0.0)
    assert 0 < slack[3] < slack[4] < slack[5]
    assert rates == pytest.approx((0.05, 0.005, 0.005, 1e-4, 1e-4, 1e-4))
    assert adam == (False, False, False, True, True, True)
    assert not torch.equal(method.transition, torch.eye(10))


def test_a_given_matrix_takes_the_place_of_the_warm_up() -> None:
    phase = Phase()
    case = Case(TRevision, {**ARGS, "transition": KNOWN, "reweighting_epochs": 1})
    run(case, digits(), {"backbone": plain}, epochs=2, callbacks=[phase])
    assert [adam for _, _, adam in phase.seen] == [False, True]


def made(epoch: int, **args: Any) -> tuple[TRevision, Tensor, Tensor]:
    """A method in an epoch of choice, with some slack, and a batch."""
    generator = torch.Generator().manual_seed(0)
    method = TRevision(**{"transition": KNOWN, "reweighting_epochs": 2, **args}, **NETWORK).double()
    # Lightning refuses anything but a Trainer through its setter.
    method._trainer = SimpleNamespace(current_epoch=epoch)  # type: ignore[assignment]
    with torch.no_grad():
        method.slack.copy_(0.02 * torch.rand(10, 10, generator=generator))
    logits = torch.randn(12, 10, generator=generator, dtype=torch.float64, requires_grad=True)
    return method, logits, torch.randint(0, 10, (12,), generator=generator)


def by_hand(method: TRevision, logits: Tensor, target: Tensor, first_code: bool) -> list[float]:
    out = []
    matrix, slack = method.transition.tolist(), method.slack.tolist()
    for k, (z, y) in enumerate(zip(logits.tolist(), target.tolist(), strict=True), start=1):
        p = F.softmax(torch.tensor(z, dtype=torch.float64), 0).tolist()
        times = k if first_code else 1
        given = sum(p[c] * (matrix[c][y] + times * slack[c][y]) for c in range(10))
        out.append(p[y] / given * -float(torch.tensor(p[y], dtype=torch.float64).log()))
    return out


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("epoch", [0, 2])
def test_the_losses(legacy: bool, epoch: int) -> None:
    method, logits, target = made(epoch, legacy_accumulation=legacy)
    losses = method.compute_loss(logits, target, torch.arange(12))
    assert losses.tolist() == pytest.approx(by_hand(method, logits, target, legacy), rel=1e-9)


def test_weights_are_constants_in_reweighting() -> None:
    method, logits, target = made(epoch=1)
    losses = method.compute_loss(logits, target, torch.arange(12))
    to_logits, to_slack = torch.autograd.grad(losses.sum(), (logits, method.slack))
    weights = losses.detach() / F.cross_entropy(logits, target, reduction="none").detach()
    (expected,) = torch.autograd.grad((weights * F.cross_entropy(logits, target, reduction="none")).sum(), logits)
    torch.testing.assert_close(to_logits, expected)
    assert not to_slack.any()


@pytest.mark.parametrize("legacy", [False, True])
def test_what_revision_has_a_gradient_to(legacy: bool) -> None:
    """To the slack in any case; to the network through the weights only as the authors' first code had it."""
    method, logits, target = made(epoch=2, legacy_accumulation=legacy)
    losses = method.compute_loss(logits, target, torch.arange(12))
    to_logits, to_slack = torch.autograd.grad(losses.sum(), (logits, method.slack))
    p, times = logits.softmax(1), torch.arange(1, 13).double() if legacy else torch.ones(12, dtype=torch.float64)
    slack = method.slack.detach().clone().requires_grad_()
    right, seen = (p, p) if legacy else (p.detach(), p.detach())
    rows = torch.arange(12)
    matrices = method.transition + times.view(-1, 1, 1) * slack
    weights = right[rows, target] / (seen.unsqueeze(1) @ matrices).squeeze(1)[rows, target]
    expected = torch.autograd.grad((weights * -p[rows, target].log()).sum(), (logits, slack))
    torch.testing.assert_close((to_logits, to_slack), expected)
    assert bool(to_slack.any())


def test_a_resume_in_revision_goes_on_with_adam(tmp_path: Path) -> None:
    case = Case(TRevision, {**ARGS, "reweighting_epochs": 0})
    whole = run(case, callbacks=savers(tmp_path, 5), epochs=3)
    for name in ("epoch-0", "epoch-1", "step-10", "step-20"):
        with pytest.warns(UserWarning, match="is not empty"):
            resumed = run(case, callbacks=savers(tmp_path, 5), epochs=3, resume=tmp_path / f"{name}.ckpt")
        assert differences(whole.state(), resumed.state()) == [], name
    assert whole.state()["optimizer"]["phase"] == 1


def test_a_new_trainer_begins_anew() -> None:
    method: Any = run(Case(TRevision, {**ARGS, "reweighting_epochs": 0}), epochs=3).method
    assert bool(method.slack.any())
    fit(method, digits(), epochs=1)
    assert not method.slack.any()


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"`revision_lr` must be finite and at least 0, got -1\.0: Adam's learning"):
        TRevision(revision_lr=-1.0, **NETWORK)
    with pytest.raises(ValueError, match="`reweighting_epochs` must be finite and at least 0, got -1: e"):
        TRevision(reweighting_epochs=-1, **NETWORK)
    with pytest.raises(ValueError, match="`warmup_epochs` must be at least 1, got 0"):
        TRevision(warmup_epochs=0, **NETWORK)
