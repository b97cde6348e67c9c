"""StrongAugment: its steps one after the other, on both paths, on every device."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from noisylearn.data import (
    CIFAR10,
    CIFAR100,
    Augment,
    AutoAugment,
    ColorJitter,
    Cutout,
    Digits,
    FashionMNIST,
    NoisyDataModule,
    RandAugment,
    StrongAugment,
    TensorLoader,
)
from noisylearn.data.dataloader import image_transform

EVERY = StrongAugment(2, flip=True, policy="randaugment", cutout=3, fill=(125, 123, 114), jitter=ColorJitter())


def pictures(count: int, channels: int = 3, side: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, channels, side, side), generator=generator).to(torch.uint8)


def test_the_order_is_the_papers() -> None:
    assert StrongAugment(3).steps == [AutoAugment(), Augment(3), Cutout(16)]
    expected = [Augment(2), RandAugment(2, 9), ColorJitter(), Cutout(3, (125, 123, 114))]
    assert EVERY.steps == expected
    assert StrongAugment(0, flip=False, policy=None, cutout=0).steps == [Augment(0, flip=False)]


@pytest.mark.parametrize("augment", [StrongAugment(2, cutout=4), EVERY])
def test_the_steps_one_after_the_other(augment: StrongAugment) -> None:
    images, generator = pictures(60), torch.Generator().manual_seed(3)
    draws = augment.draw(60, generator)
    assert draws.shape == (60, augment.width)
    assert draws.dtype == torch.int64
    result = augment(images, draws)
    generator.manual_seed(3)
    expected = images
    for step in augment.steps:
        expected = step(expected, step.draw(60, generator))
    assert torch.equal(result, expected)
    assert not torch.equal(result, images)


def test_floats_without_a_policy() -> None:
    augment = StrongAugment(1, policy=None, cutout=2, jitter=ColorJitter(hue=0))
    images = pictures(20).float() / 255
    result = augment(images, augment.draw(20, torch.Generator()))
    assert result.dtype == torch.float32
    assert result.max() <= 1


@pytest.mark.parametrize(("augment", "channels"), [(StrongAugment(2, cutout=4), 1), (EVERY, 3)])
def test_nothing_is_read_back_from_the_device(augment: StrongAugment, channels: int) -> None:
    """A tensor of the meta device has no value to read."""
    images = pictures(100, channels).to("meta")
    result = augment(images, augment.draw(100, torch.Generator()))
    assert (result.device.type, result.dtype, result.shape) == ("meta", torch.uint8, images.shape)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"policy": "auto"}, ValueError, r"`policy` must be one of 'autoaugment', 'randaugment', got 'auto' \(did you"),
        ({"crop_padding": -1}, ValueError, r"`crop_padding` must be at least 1, got -1"),
        ({"cutout": -1}, ValueError, r"`size` must be at least 1, got -1"),
        ({"policy": "randaugment", "magnitude": 99}, ValueError, r"`magnitude` must be in \[0, 30\], got 99"),
    ],
)
def test_refusals(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        StrongAugment(**arguments)


# ---- in a loader


def test_a_loader_serves_it_and_resumes() -> None:
    def loader() -> TensorLoader:
        augment = [Augment(1), StrongAugment(1, cutout=3)]
        return TensorLoader(pictures(40), torch.arange(40) % 3, batch_size=16, shuffle=True, seed=2, augment=augment)

    whole, resumed, weak = list(loader()), loader(), loader()
    weak.augment = Augment(1)
    resumed.load_state_dict({"epoch": 0, "position": 1})
    for batch, again in zip(whole[1:], resumed, strict=True):
        assert torch.equal(batch.input[1], again.input[1])
    for batch, alone in zip(whole, weak, strict=True):
        assert torch.equal(batch.input[0], alone.input)
        assert batch.input[1].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("module", [CIFAR10, CIFAR100, FashionMNIST, Digits])
def test_every_data_set_has_one_in_scale(module: type[NoisyDataModule]) -> None:
    data = module(root="/nowhere")
    augment = data.strong_augmentation
    assert isinstance(augment, StrongAugment)
    assert (augment.crop_padding, augment.flip) == (data.augmentation.crop_padding, data.augmentation.flip)
    assert 0 < augment.cutout <= data.image_size // 2
    assert augment.fill == tuple(round(255 * mean) for mean in data.mean)
    images = pictures(30, data.in_channels, data.image_size)
    assert augment(images, augment.draw(30, torch.Generator())).shape == images.shape


# ---- in a DataLoader


@pytest.mark.parametrize(
    "augment",
    [
        StrongAugment(1, cutout=2),
        StrongAugment(1, policy="randaugment", cutout=0),
        StrongAugment(1, policy=None, cutout=3),
        EVERY,
    ],
)
def test_the_dataloaders_transforms_mean_the_same(augment: StrongAugment) -> None:
    image, count = pictures(1)[0], 3000
    transform = image_transform(8, augment)
    torch.manual_seed(0)
    theirs = torch.stack([transform(image) for _ in range(count)])
    ours = augment(image.expand(count, -1, -1, -1), augment.draw(count, torch.Generator().manual_seed(0))).float() / 255
    spread = (theirs.std(0) + ours.std(0)) / count**0.5
    assert ((theirs.mean(0) - ours.mean(0)).abs() < 4 * spread).all()
    torch.testing.assert_close(theirs.std(0).mean(), ours.std(0).mean(), rtol=0.05, atol=0)
    black = [(images == 0).all(1).float().mean().item() for images in (theirs, ours)]
    assert black == pytest.approx([black[0]] * 2, abs=0.02)


# ---- on a GPU


@pytest.mark.gpu
@pytest.mark.parametrize("augment", [StrongAugment(2, cutout=4), EVERY, StrongAugment(policy="randaugment", num_ops=3)])
@pytest.mark.parametrize(("channels", "side"), [(3, 32), (3, 28), (3, 8)])
def test_gpu_makes_the_cpus_pixels(augment: StrongAugment, channels: int, side: int) -> None:
    images = pictures(500, channels, side)
    draws = augment.draw(500, torch.Generator().manual_seed(0))
    on_cpu, on_gpu = augment(images, draws), augment(images.cuda(), draws).cpu()
    if augment.jitter is None:
        assert torch.equal(on_cpu, on_gpu)
    else:  # the hue's divisions may differ in the last bit
        off = (on_cpu.int() - on_gpu.int()).abs()
        assert (off > 0).float().mean() < 1e-3


@pytest.mark.gpu
def test_gpu_does_not_wait() -> None:
    augment = [Augment(1), StrongAugment(2, cutout=4), EVERY]
    loader = TensorLoader(
        pictures(64), torch.zeros(64).long(), batch_size=16, shuffle=True, augment=augment, device="cuda"
    )
    list(loader)  # the tables are made once
    iterator = iter(loader)
    next(iterator)  # and so is an epoch's order
    torch.cuda.set_sync_debug_mode("error")
    try:
        assert len(list(iterator)) == 3
    finally:
        torch.cuda.set_sync_debug_mode("default")
