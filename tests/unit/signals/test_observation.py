"""`Observation`: what is derived from logits, against scalar definitions, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from noisylearn.signals import Observation, el2n, margin
from tests.unit.signals.slow import Look, softmax


def observe(logits: Tensor, targets: Tensor) -> Observation:
    return Observation(torch.arange(len(logits)), logits, targets)


def test_golden_vectors() -> None:
    z = torch.tensor([[2.0, 1.0, 0.0]])
    assert margin(z, torch.tensor([0])).item() == 1.0
    assert margin(z, torch.tensor([2])).item() == -2.0
    probs = torch.tensor([[0.7, 0.2, 0.1]], dtype=torch.float64)
    seen = observe(probs.log(), torch.tensor([1]))
    assert seen.confidence.item() == pytest.approx(0.2)
    assert seen.loss.item() == pytest.approx(1.6094, abs=5e-5)
    assert el2n(seen.probs, seen.targets).item() == pytest.approx(1.0677, abs=5e-5)
    assert seen.prediction.item() == 0
    assert not seen.correct.item()


@pytest.mark.parametrize("num_classes", [2, 10, 31, 40])
@pytest.mark.parametrize("size", [1, 5, 16, 100])
def test_a_samples_values_do_not_depend_on_its_batch(num_classes: int, size: int) -> None:
    """To the last bit: what is staged early, before a checkpoint say, is what would be staged later."""
    logits = 4 * torch.randn(307, num_classes, generator=torch.Generator().manual_seed(size))
    targets = torch.arange(307) % num_classes
    whole = observe(logits, targets)
    parts = [observe(z, g) for z, g in zip(logits.split(size), targets.split(size), strict=True)]
    assert torch.equal(torch.cat([part.loss for part in parts]), whole.loss)
    assert torch.equal(torch.cat([el2n(part.probs, part.targets) for part in parts]), el2n(whole.probs, targets))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("num_classes", [2, 3, 11])
def test_every_derived_value_equals_its_definition(num_classes: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(num_classes)
    logits = 4 * torch.randn(50, num_classes, generator=generator, dtype=dtype)
    targets = torch.randint(0, num_classes, (50,), generator=generator)
    seen = observe(logits, targets)
    norms = el2n(seen.probs, targets)
    for i, (z, given) in enumerate(zip(logits.tolist(), targets.tolist(), strict=True)):
        look = Look(z, given)
        assert seen.probs[i].tolist() == pytest.approx(softmax(z), abs=1e-6)
        assert seen.confidence[i].item() == pytest.approx(look.p, abs=1e-6)
        assert seen.loss[i].item() == pytest.approx(-math.log(look.p), rel=1e-5, abs=1e-6)
        assert seen.margin[i].item() == pytest.approx(look.margin, abs=1e-5)
        assert norms[i].item() == pytest.approx(look.el2n, abs=1e-6)
        assert seen.prediction[i].item() == look.predicted
        assert seen.correct[i].item() == look.right == (look.margin > 0)
    assert seen.finite.all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_widened_before_anything_is_computed(dtype: torch.dtype) -> None:
    logits = torch.tensor([[3.0, 2.984375, -5.0]]).to(dtype)
    seen, wide = observe(logits, torch.tensor([1])), observe(logits.float(), torch.tensor([1]))
    assert seen.logits.dtype == seen.loss.dtype == torch.float32
    for name in ("loss", "margin", "confidence", "probs"):
        assert torch.equal(getattr(seen, name), getattr(wide, name)), name


def test_nothing_keeps_the_graph() -> None:
    seen = observe(torch.randn(2, 3, requires_grad=True), torch.tensor([0, 1]))
    assert not any(t.requires_grad for t in (seen.logits, seen.probs, seen.loss, seen.margin, seen.confidence))


def test_a_logit_that_is_no_number_makes_the_sample_not_finite() -> None:
    logits = torch.zeros(5, 3)
    logits[0, 2], logits[1, 1], logits[2, 0], logits[3, 2] = math.nan, math.inf, -math.inf, -math.inf
    # Sample 2's given label is impossible; sample 3 has a masked class that is not its label, which is no fault.
    assert observe(logits, torch.zeros(5, dtype=torch.int64)).finite.tolist() == [False, False, False, True, True]


def test_extreme_logits_stay_finite() -> None:
    seen = observe(torch.tensor([[3e38, -3e38, 0.0], [1e4, 0.0, 0.0]]), torch.tensor([0, 1]))
    assert seen.loss.tolist() == [0.0, 1e4]
    assert seen.confidence.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 2, 2), (4, 0)])
def test_logits_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"`logits` must be \(B, C\) with C >= 2, got shape .*: pass raw logits"):
        observe(torch.zeros(shape), torch.zeros(4, dtype=torch.int64))


def test_no_samples() -> None:
    with pytest.raises(ValueError, match="`batch size` must be at least 1, got 0"):
        observe(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))


@pytest.mark.parametrize("name", ["index", "targets"])
@pytest.mark.parametrize("shape", [(3,), (4, 1), ()])
def test_an_index_or_labels_of_another_shape(name: str, shape: tuple[int, ...]) -> None:
    parts = {"index": torch.arange(4), "targets": torch.zeros(4, dtype=torch.int64)}
    parts[name] = torch.zeros(shape, dtype=torch.int64)
    with pytest.raises(ValueError, match=rf"`{name}` must have shape \(4,\), as `logits` has 4 rows, got"):
        Observation(parts["index"], torch.zeros(4, 3), parts["targets"])


def test_soft_labels() -> None:
    with pytest.raises(ValueError, match=r"`targets` must be class ids, got dtype torch\.float32: soft labels have no"):
        observe(torch.zeros(4, 3), torch.zeros(4))


@pytest.mark.parametrize("label", [-100, -1, 3])
def test_a_label_out_of_range(label: int) -> None:
    with pytest.raises(ValueError, match=rf"`targets` must be in \[0, 3\), got {label} at position 1"):
        observe(torch.zeros(2, 3), torch.tensor([0, label]))
