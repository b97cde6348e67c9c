"""What only the methods of two networks have: switches of reference code, and batches that nothing is selected from."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from noisylearn.callbacks import SignalTracker
from noisylearn.methods import CoTeaching, CoTeachingPlus, Decoupling, JoCoR
from noisylearn.signals import SelectionCounts
from tests.methods.harness import Case, digits, plain, run

NETWORK: dict[str, Any] = {"backbone": "mlp", "num_classes": 10, "in_channels": 1, "image_size": 8}


def outputs() -> tuple[Tensor, Tensor, Tensor]:
    """Logits of two networks that disagree on most of 20 samples, labels and rows."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 20, 10, generator=generator, requires_grad=True)
    return logits, torch.randint(0, 10, (20,), generator=generator), torch.arange(20)


@pytest.mark.parametrize("method", [CoTeaching, CoTeachingPlus])
def test_legacy_scale_divides_by_the_number_kept_once_more(method: type[CoTeaching]) -> None:
    args = {"init_epoch": 0} if method is CoTeachingPlus else {}

    def loss(legacy: bool) -> tuple[float, int]:
        built = method(noise_rate=0.4, warmup_epochs=1, legacy_scale=legacy, **args, **NETWORK)
        logits, target, index = outputs()
        losses = built.compute_loss(logits, target, index)
        selected = built.select(losses, logits)
        assert selected is not None
        return float(built.reduce(losses, index, selected).detach()), int(selected[0].sum())

    (ours, kept), (legacy, _) = loss(False), loss(True)
    assert kept > 1
    assert legacy == pytest.approx(ours / kept)


def test_legacy_double_softmax_takes_the_softmax_twice_from_the_first_disagreement_on() -> None:
    logits, target, index = outputs()
    for init_epoch, twice in ((0, True), (1, False)):
        method = CoTeachingPlus(init_epoch, legacy_double_softmax=True, noise_rate=0.4, **NETWORK)
        losses = method.compute_loss(logits, target, index)
        for one, z in zip(losses, logits, strict=True):
            expected = F.cross_entropy(z.softmax(1) if twice else z, target, reduction="none")
            torch.testing.assert_close(one, expected)
    plain_losses = CoTeachingPlus(0, noise_rate=0.4, **NETWORK).compute_loss(logits, target, index)
    torch.testing.assert_close(plain_losses[0], F.cross_entropy(logits[0], target, reduction="none"))


@pytest.mark.parametrize(
    "method", [Decoupling(**NETWORK), CoTeachingPlus(0, agreement_steps=0, noise_rate=0.4, **NETWORK)], ids=["", "plus"]
)
def test_a_batch_without_disagreement_teaches_nothing(method: Decoupling | CoTeachingPlus) -> None:
    logits, target, index = outputs()
    agreed = logits[:1].expand(2, -1, -1)
    losses = method.compute_loss(agreed, target, index)
    selected = method.select(losses.detach(), agreed.detach())
    loss = method.reduce(losses, index, selected)
    assert float(loss.detach()) == 0
    (gradient,) = torch.autograd.grad(loss, logits)
    assert not gradient.any()


def test_co_teaching_plus_learns_a_batch_without_disagreement_whole_at_first() -> None:
    method = CoTeachingPlus(0, noise_rate=0.4, warmup_epochs=1, **NETWORK)
    logits, target, index = outputs()
    agreed = logits[:1].expand(2, -1, -1)
    losses = method.compute_loss(agreed, target, index)
    selected = method.select(losses.detach(), agreed.detach())
    assert selected is not None
    assert selected.all()
    differ = logits[0].argmax(1) != logits[1].argmax(1)
    others = method.select(losses.detach(), logits.detach())
    assert others is not None
    assert not others[:, ~differ].any()


def test_decoupling_weighs_a_few_samples_less_than_a_batch() -> None:
    logits, target, index = outputs()
    agreed = logits[:1].repeat(2, 1, 1)
    first = torch.cat([logits[:, :1], agreed[:, 1:]], dim=1)
    assert int((first[0].argmax(1) != first[1].argmax(1)).sum()) == 1  # of 20: a twentieth

    def loss(**args: Any) -> Tensor:
        method = Decoupling(**args, **NETWORK)
        losses = method.compute_loss(first, target, index)
        return method.reduce(losses, index, method.select(losses.detach(), first.detach()))

    one = sum(F.cross_entropy(z[:1], target[:1]) for z in first)
    torch.testing.assert_close(loss(), one / 2)
    torch.testing.assert_close(loss(min_share=0.0), one)
    torch.testing.assert_close(loss(init_steps=1), sum(F.cross_entropy(z, target) for z in first))


def test_co_teaching_plus_exchanges_among_disagreed_samples() -> None:
    """Each network's samples are those of the other's small losses, and none on which both agree."""
    method = CoTeachingPlus(init_epoch=0, noise_rate=0.4, warmup_epochs=1, forget_rate=0.0, **NETWORK)
    logits, target, index = outputs()
    losses = method.compute_loss(logits, target, index)
    differ = logits[0].argmax(1) != logits[1].argmax(1)
    assert torch.equal(method.select(losses, logits), differ.expand(2, -1))


def test_jocor_selects_once_for_both_networks() -> None:
    method = JoCoR(noise_rate=0.4, **NETWORK)
    logits, target, index = outputs()
    losses = method.compute_loss(logits, target, index)
    assert losses.shape == (20,)
    torch.testing.assert_close(method.reduce(losses, index, None), losses.mean())


@pytest.mark.parametrize("method", [CoTeaching, CoTeachingPlus, JoCoR])
def test_selection_is_counted(method: type[CoTeaching]) -> None:
    args = {"noise_rate": 0.5, "warmup_epochs": 1}
    tracker = SignalTracker([SelectionCounts()])
    run(Case(method, args), digits(), {"backbone": plain}, epochs=3, callbacks=[tracker])
    assert tracker.signal_set is not None
    rate = tracker.signal_set.compute()["selection_rate"]
    # All are kept in the first epoch, half of them in the two that follow.
    assert float(rate.mean()) == pytest.approx(2 / 3, abs=1e-6)
    assert rate.unique().numel() > 2


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"`lam` must be in \[0, 1\], got 9: the share of the agreement"):
        JoCoR(noise_rate=0.4, lam=9, **NETWORK)
    with pytest.raises(ValueError, match="`init_epoch` must be finite and at least 0, got -1"):
        CoTeachingPlus(init_epoch=-1, noise_rate=0.4, **NETWORK)
    with pytest.raises(ValueError, match="`agreement_steps` must be finite and at least 0, got -1"):
        CoTeachingPlus(agreement_steps=-1, noise_rate=0.4, **NETWORK)
    with pytest.raises(ValueError, match="`init_steps` must be finite and at least 0, got -1"):
        Decoupling(init_steps=-1, **NETWORK)
    with pytest.raises(ValueError, match=r"`min_share` must be in \[0, 1\], got 2"):
        Decoupling(min_share=2, **NETWORK)
    for method in (JoCoR, CoTeachingPlus):
        with pytest.raises(ValueError, match="`noise_rate` is needed to know how much to leave out"):
            method(**NETWORK)
