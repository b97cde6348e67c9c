"""AutoAugment, RandAugment, ColorJitter: torchvision's pixels given the same draws, its draws in distribution."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import AutoAugmentPolicy, InterpolationMode, functional

from noisylearn.data import AutoAugment, ColorJitter, RandAugment, color
from noisylearn.data.augment import between, part_of
from noisylearn.data.auto_augment import OPERATIONS
from noisylearn.data.operations import Operation, apply_operations

THEIRS = {"autoaugment": v2.AutoAugment(AutoAugmentPolicy.CIFAR10), "randaugment": v2.RandAugment()}
SIZES = [(3, 32, 32), (1, 28, 28), (3, 8, 8), (1, 12, 16)]


def pictures(count: int, channels: int, height: int, width: int) -> Tensor:
    """Return random images of few and of many levels, one of a single level."""
    generator = torch.Generator().manual_seed(height)
    images = torch.randint(256, (count, channels, height, width), generator=generator)
    images[::3] = 90 + images[::3] // 4
    images[1] = 77
    return images.to(torch.uint8)


def torchvision(image: Tensor, operation: Operation) -> Tensor:
    """Return what torchvision makes of one image."""
    space = {**v2.AutoAugment._AUGMENTATION_SPACE, **v2.RandAugment._AUGMENTATION_SPACE}
    magnitudes = space[operation.name][0](operation.levels, *image.shape[1:])
    magnitude = 0.0 if magnitudes is None else operation.sign * float(magnitudes[operation.level])
    nearest = InterpolationMode.NEAREST
    return THEIRS["randaugment"]._apply_image_or_video_transform(
        image, operation.name, magnitude, nearest, {Tensor: None}
    )


# ---- the same pixels


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("levels", [10, 31])
@pytest.mark.parametrize("name", v2.AutoAugment._AUGMENTATION_SPACE)
def test_every_operation_at_every_level_to_the_pixel(name: str, levels: int, size: tuple[int, int, int]) -> None:
    operations = tuple(Operation(name, level, levels, sign) for level in range(levels) for sign in (1, -1))
    if not v2.AutoAugment._AUGMENTATION_SPACE[name][1]:
        operations = operations[::2]
    images = pictures(6, *size)
    for image in images:
        chosen = torch.arange(len(operations))[:, None]
        ours = apply_operations(image.expand(len(operations), -1, -1, -1), chosen, operations)
        for operation, result in zip(operations, ours, strict=True):
            assert torch.equal(result, torchvision(image, operation)), operation


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("policy", [AutoAugment(), RandAugment(3, 9), RandAugment(1, 30), RandAugment(2, 0)])
def test_a_batch_to_the_pixel(policy: AutoAugment | RandAugment, size: tuple[int, int, int]) -> None:
    images = pictures(150, *size)
    before = images.clone()
    draws = policy.draw(len(images), torch.Generator().manual_seed(1))
    operations = OPERATIONS if isinstance(policy, AutoAugment) else policy.operations
    ours = policy(images, draws)
    assert torch.equal(images, before)
    for image, draw, result in zip(images, draws.tolist(), ours, strict=True):
        expected = image
        for code in draw:
            expected = torchvision(expected, operations[code])
        assert torch.equal(result, expected)
    last = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(policy(last, draws), ours)


def test_a_sample_does_not_see_its_batch() -> None:
    images, policy = pictures(40, 3, 8, 8), AutoAugment()
    draws = policy.draw(40, torch.Generator().manual_seed(0))
    whole = policy(images, draws)
    parts = [policy(images[part], draws[part]) for part in (slice(0, 1), slice(1, 17), slice(17, 40))]
    assert torch.equal(whole, torch.cat(parts))


# ---- the same distribution


def drawn_by_torchvision(name: str, count: int, monkeypatch: pytest.MonkeyPatch) -> Counter[Any]:
    """Count the sequences of (operation, magnitude) that torchvision draws for an image."""
    theirs, seen, one = THEIRS[name], Counter[Any](), []
    monkeypatch.setattr(
        theirs,
        "_apply_image_or_video_transform",
        lambda image, transform_id, magnitude, **_: one.append((transform_id, round(magnitude, 4))) or image,
    )
    image = torch.zeros(3, 32, 32, dtype=torch.uint8)
    torch.manual_seed(0)
    for _ in range(count):
        one.clear()
        theirs(image)
        seen[tuple(done for done in one if done[0] != "Identity")] += 1
    return seen


def drawn_here(name: str, count: int) -> Counter[Any]:
    policy = AutoAugment() if name == "autoaugment" else RandAugment()
    operations = OPERATIONS if isinstance(policy, AutoAugment) else policy.operations
    facts = []
    for operation in operations:
        magnitude = operation.magnitude(32, 32) / (255 if operation.name == "Solarize" else 1)
        facts.append((operation.name, round(magnitude, 4)))
    draws = policy.draw(count, torch.Generator().manual_seed(0))
    return Counter(tuple(facts[code] for code in draw if facts[code][0] != "Identity") for draw in draws.tolist())


@pytest.mark.parametrize("name", ["autoaugment", "randaugment"])
def test_draws_are_distributed_as_torchvisions(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 20_000
    theirs, ours = drawn_by_torchvision(name, count, monkeypatch), drawn_here(name, 10 * count)
    for sequences in (theirs, ours):  # what neither magnitude nor sign can change
        for sequence in [s for s in sequences if any(f[0] in ("AutoContrast", "Equalize", "Invert") for f in s)]:
            plain = tuple((n, 0.0) if n in ("AutoContrast", "Equalize", "Invert") else (n, m) for n, m in sequence)
            sequences[plain] += sequences.pop(sequence)
    for sequence in theirs.keys() | ours.keys():
        expected = ours[sequence] / (10 * count)
        spread = math.sqrt(max(expected * (1 - expected), 1 / count) * 1.1 / count)
        assert abs(theirs[sequence] / count - expected) < 5 * spread, sequence


def test_the_policy_is_torchvisions() -> None:
    # Rare pairs are beyond statistics: the table itself.
    from noisylearn.data.auto_augment import _CIFAR10

    theirs = THEIRS["autoaugment"]._get_policies(AutoAugmentPolicy.CIFAR10)
    assert [tuple((n, p, level or 0) for n, p, level in row) for row in theirs] == list(_CIFAR10)


# ---- colour jitter


def test_jitter_equals_torchvision_given_its_draws() -> None:
    jitter = ColorJitter(0.4, 0.8, 1.5, hue=0.0)
    images = pictures(200, 3, 12, 12)
    draws = jitter.draw(len(images), torch.Generator().manual_seed(0))
    ours = jitter(images, draws)
    orders = torch.tensor(list(itertools.permutations(range(4))))
    for image, draw, result in zip(images, draws, ours, strict=True):
        bright, contrast, saturation = (
            float(between(max(0.0, 1 - s), 1 + s, d)) for s, d in zip((0.4, 0.8, 1.5), draw[:3], strict=True)
        )
        expected = image
        for change in orders[part_of(24, draw[4])].tolist():
            if change == 0:
                expected = functional.adjust_brightness(expected, bright)
            elif change == 1:
                expected = functional.adjust_contrast(expected, contrast)
            elif change == 2:
                expected = functional.adjust_saturation(expected, saturation)
        assert torch.equal(result, expected)


def test_the_hue_has_a_draw_of_its_own() -> None:
    jitter, images = ColorJitter(0, 0, 0, hue=0.3), pictures(50, 3, 8, 8)
    draws = jitter.draw(50, torch.Generator().manual_seed(0))
    assert torch.equal(jitter(images, draws), color.hue(images, between(-0.3, 0.3, draws[:, 3]).float()))


def test_jitter_is_distributed_as_torchvisions() -> None:
    image = torch.tensor([[200, 30], [60, 120], [10, 90]], dtype=torch.uint8).view(3, 1, 2)
    count = 4000
    theirs = v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8)
    torch.manual_seed(0)
    expected = torch.stack([theirs(image) for _ in range(count)]).float().flatten(1)
    ours = ColorJitter(0.4, 0.4, 0.4, 0.1, probability=0.8)
    draws = ours.draw(count, torch.Generator().manual_seed(0))
    found = ours(image.expand(count, -1, -1, -1), draws).float().flatten(1)
    spread = expected.std(0) / math.sqrt(count)
    assert ((found.mean(0) - expected.mean(0)).abs() < 5 * spread).all()
    torch.testing.assert_close(found.std(0), expected.std(0), rtol=0.06, atol=0)
    unchanged = [(sample == image.float().flatten()).all(1).float().mean().item() for sample in (found, expected)]
    assert unchanged == pytest.approx([0.2, 0.2], abs=0.03)
    torch.testing.assert_close(torch.corrcoef(found.T), torch.corrcoef(expected.T), rtol=0, atol=0.06)


def test_jitter_of_nothing_changes_nothing() -> None:
    for jitter in (ColorJitter(0, 0, 0, 0), ColorJitter(probability=0)):
        images = pictures(20, 3, 5, 5)
        assert torch.equal(jitter(images, jitter.draw(20, torch.Generator())), images)


# ---- refusals


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: RandAugment(num_ops=0), ValueError, r"`num_ops` must be at least 1, got 0"),
        (lambda: RandAugment(magnitude=31), ValueError, r"`magnitude` must be in \[0, 30\], got 31"),
        (
            lambda: RandAugment(magnitude=-1),
            ValueError,
            r"`magnitude` must be at least 1, got -1: pass a level of 0..30",
        ),
        (lambda: RandAugment(magnitude=2.5), TypeError, r"`magnitude` must be an integer, got 2.5"),
        (lambda: ColorJitter(hue=0.6), ValueError, r"`hue` must be in \[0, 0.5\], got 0.6"),
        (lambda: ColorJitter(contrast=-1), ValueError, r"`contrast` must be finite and at least 0, got -1"),
        (lambda: ColorJitter(probability=2), ValueError, r"`probability` must be in \[0, 1\], got 2"),
    ],
)
def test_refusals(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_images_that_a_policy_is_not_for() -> None:
    policy = AutoAugment()
    draws = policy.draw(2, torch.Generator())
    with pytest.raises(TypeError, match=r"`images` must be uint8 for a policy, got torch.float32"):
        policy(torch.zeros(2, 3, 4, 4), draws)
    with pytest.raises(ValueError, match=r"`images` must have 1 or 3 channels for a policy, got 4"):
        policy(torch.zeros(2, 4, 4, 4, dtype=torch.uint8), draws)
