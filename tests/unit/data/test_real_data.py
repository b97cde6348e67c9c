"""The real data sets, where NOISYLEARN_DATA names their folder: counts, first labels, noise rates, label files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from noisylearn.data import CIFAR10, CIFAR10N, CIFAR100, CIFAR100N, FashionMNIST, NoisyDataModule, read_human_labels
from noisylearn.noise import symmetric

pytestmark = pytest.mark.data

CIFAR10_FIRST = [6, 9, 9, 4, 1, 1, 2, 7, 8, 3, 4, 7]
CIFAR100_FIRST = [19, 29, 0, 11, 1, 86, 90, 28, 23, 31, 39, 96]


def ready(data: NoisyDataModule) -> NoisyDataModule:
    data.prepare_data()  # finds the files in place and downloads nothing
    data.setup()
    return data


@pytest.mark.parametrize(
    ("module", "train", "test", "first"),
    [
        (CIFAR10, (50_000, 3, 32, 32), (10_000, 3, 32, 32), CIFAR10_FIRST),
        (CIFAR100, (50_000, 3, 32, 32), (10_000, 3, 32, 32), CIFAR100_FIRST),
        (FashionMNIST, (60_000, 1, 28, 28), (10_000, 1, 28, 28), None),
    ],
)
def test_images_and_labels(
    data_root: Path,
    module: type[NoisyDataModule],
    train: tuple[int, ...],
    test: tuple[int, ...],
    first: list[int] | None,
) -> None:
    data = ready(module(root=str(data_root), noise="none", augment=False))
    assert data.train_images.shape == train
    assert data.test_images.shape == test
    assert data.train_images.dtype == data.test_images.dtype == torch.uint8
    assert torch.equal(
        torch.bincount(data.clean_targets), torch.full((data.num_classes,), train[0] // data.num_classes)
    )
    if first is not None:
        assert data.clean_targets[:12].tolist() == first
    # Normalised, 4,096 images have mean 0, and deviation 1 but for CIFAR-10's known smaller one.
    inputs = torch.cat([batch.input for batch, _ in zip(data.predict_dataloader(), range(8), strict=False)])
    assert inputs.mean(dim=(0, 2, 3)).abs().max() < 0.03
    expected = torch.tensor([0.2470, 0.2435, 0.2616]) / torch.tensor(data.std) if module is CIFAR10 else torch.ones(1)
    assert (inputs.std(dim=(0, 2, 3)) - expected).abs().max() < 0.03


def test_cifar10n(data_root: Path) -> None:
    data = ready(CIFAR10N(root=str(data_root), labels="worst"))
    assert data.clean_targets[:12].tolist() == CIFAR10_FIRST
    assert round(data.noise.realised_rate, 5) == data.noise_rate == data.noise.rate == 0.40208
    assert data.noise.generator == "human_worse"
    batch = next(iter(data.train_dataloader()))
    assert torch.equal(batch.target, data.noisy_targets[batch.index])
    assert (batch.target != data.clean_targets[batch.index]).any()


def test_rates_of_every_cifar10n_label_set(data_root: Path) -> None:
    sets = read_human_labels(data_root / "cifar-n" / "cifar10n.npz")
    rates = {name: (sets[key] != sets["clean_label"]).mean() for name, (key, _) in CIFAR10N.label_sets.items()}
    expected = {"aggre": 0.09010, "random1": 0.17234, "random2": 0.18122, "random3": 0.17640, "worse": 0.40208}
    assert {name: round(float(rate), 5) for name, rate in rates.items()} == expected
    assert {name: rate for name, (_, rate) in CIFAR10N.label_sets.items()} == expected


@pytest.mark.parametrize(("labels", "rate", "classes"), [("fine", 0.40200, 100), ("coarse", 0.26404, 20)])
def test_cifar100n(data_root: Path, labels: str, rate: float, classes: int) -> None:
    data = ready(CIFAR100N(root=str(data_root), labels=labels))
    assert round(data.noise.realised_rate, 5) == data.noise_rate == rate
    assert data.num_classes == classes
    test = torch.cat([batch.target for batch in data.test_dataloader()])
    assert torch.equal(torch.bincount(test), torch.full((classes,), 10_000 // classes))
    if labels == "fine":
        assert data.clean_targets[:12].tolist() == CIFAR100_FIRST


@pytest.mark.parametrize(
    ("npz", "pt"), [("cifar10n.npz", "CIFAR-10_human.pt"), ("cifar100n.npz", "CIFAR-100_human.pt")]
)
def test_both_file_formats_give_the_same_labels(data_root: Path, npz: str, pt: str) -> None:
    folder = data_root / "cifar-n"
    a, b = read_human_labels(folder / npz), read_human_labels(folder / pt)
    assert a.keys() == b.keys()
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_labels_in_another_order_are_refused(data_root: Path, tmp_path: Path) -> None:
    sets = read_human_labels(data_root / "cifar-n" / "cifar10n.npz")
    (tmp_path / "cifar-n").mkdir()
    np.savez(tmp_path / "cifar-n" / "cifar10n.npz", **{name: labels[::-1] for name, labels in sets.items()})
    (tmp_path / "cifar-10-batches-py").symlink_to(data_root / "cifar-10-batches-py")
    with pytest.raises(
        ValueError, match=r"`clean_label` in .* must equal the data set's own labels, got .* in another order"
    ):
        CIFAR10N(root=str(tmp_path)).setup()


def test_the_pt_file_alone_is_enough(data_root: Path, tmp_path: Path) -> None:
    (tmp_path / "cifar-n").mkdir()
    shutil.copy(data_root / "cifar-n" / "CIFAR-10_human.pt", tmp_path / "cifar-n")
    (tmp_path / "cifar-10-batches-py").symlink_to(data_root / "cifar-10-batches-py")
    data = CIFAR10N(root=str(tmp_path), labels="aggre", num_train=1000)
    data.setup()
    assert data.num_samples == len(data.noisy_targets) == 1000


def test_synthetic_noise_is_the_pinned_one(data_root: Path) -> None:
    data = CIFAR10(root=str(data_root), noise="symmetric", noise_rate=0.2)
    assert data.noise.sha1[:12] == "def5063377f2"
    assert data.noise.sha1 == symmetric(data.clean_targets.numpy(), 10, 0.2).sha1


def test_class_names(data_root: Path) -> None:
    from torchvision import datasets

    assert tuple(datasets.CIFAR10(data_root, train=False).classes) == CIFAR10.class_names
    assert tuple(datasets.CIFAR100(data_root, train=False).classes) == CIFAR100.class_names
    assert tuple(datasets.FashionMNIST.classes) == FashionMNIST.class_names
