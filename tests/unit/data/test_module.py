"""NoisyDataModule: one draw of noise, rows of the full training set, both loaders alike, nothing clean leaks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import datasets

from noisylearn.data import (
    CIFAR10,
    CIFAR10N,
    CIFAR100,
    CIFAR100N,
    Arrays,
    Batch,
    Digits,
    FashionMNIST,
    MissingDataError,
    NoisyDataModule,
    TensorLoader,
)
from noisylearn.noise import CIFAR100_FINE_TO_COARSE, symmetric

LOADERS = ["tensor", "dataloader"]


def by_index(loader: Any) -> dict[int, tuple[Tensor, int]]:
    found: dict[int, tuple[Tensor, int]] = {}
    for batch in loader:
        assert isinstance(batch, Batch)
        for image, target, index in zip(*batch, strict=True):
            assert int(index) not in found
            found[int(index)] = (image, int(target))
    return found


# ---- noise


def test_noise_is_drawn_once_and_recorded(toy: Any) -> None:
    data = toy(noise="symmetric", noise_rate=0.5, noise_seed=3)
    data.setup("fit")
    expected = symmetric(np.arange(60) % 3, 3, 0.5, 3)
    assert data.noise.sha1 == expected.sha1
    assert data.noise.realised_rate == expected.realised_rate > 0.3
    assert (data.noise.generator, data.noise.rate, data.noise.seed) == ("symmetric", 0.5, 3)
    assert data.noisy_targets.tolist() == expected.labels.tolist()
    assert data.clean_targets.tolist() == [i % 3 for i in range(60)]
    first = data.noisy_targets
    data.setup("validate")
    data.setup()
    assert data.noisy_targets is first
    assert data.reads == 1


def test_no_noise(toy: Any) -> None:
    data = toy(noise="none", noise_rate=0.4)
    assert data.noise_rate == data.noise.rate == data.noise.realised_rate == 0.0
    assert torch.equal(data.noisy_targets, data.clean_targets)


def test_instance_dependent_noise_reads_channels_last_pixels() -> None:
    from noisylearn.noise import instance_dependent

    class Colour(NoisyDataModule):
        num_classes = 3

        def load(self) -> Arrays:
            images = torch.randint(256, (30, 3, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
            return Arrays(images, torch.arange(30) % 3, images[:6], torch.arange(6) % 3)

    data = Colour(noise="instance_dependent", noise_rate=0.5)
    flat = data.load().train_images.permute(0, 2, 3, 1).reshape(30, -1).numpy()
    assert data.noise.sha1 == instance_dependent(np.arange(30) % 3, flat, 3, 0.5, 0).sha1


def test_known_before_setup(toy: Any) -> None:
    data = toy(noise="pair_flip", noise_rate=0.3)
    assert (data.noise_kind, data.noise_rate, data.num_classes, data.num_samples) == ("pair_flip", 0.3, 3, 60)
    assert data.reads == 1  # for the number of samples, which this class does not name
    for module, count, classes in ((Digits, 1437, 10), (FashionMNIST, 60_000, 10), (CIFAR10, 50_000, 10)):
        data = module(root="/nowhere")
        assert (data.num_samples, data.num_classes, len(data.class_names)) == (count, classes, classes)
        assert module(root="/nowhere", num_train=50).num_samples == 50


def test_before_setup_the_rest_says_so(toy: Any) -> None:
    data = toy()
    with pytest.raises(AttributeError, match=r"`clean_targets` is there after setup: call `Toy.setup\(\)` first"):
        _ = data.clean_targets
    with pytest.raises(AttributeError, match="'Toy' object has no attribute 'clean_target'"):
        _ = data.clean_target


def test_labels_that_come_with_the_data() -> None:
    class Given(NoisyDataModule):
        num_classes = 3
        noise_kinds = ("human",)

        def load(self) -> Arrays:
            images = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
            clean = torch.tensor([0, 1, -1, -1])
            return Arrays(images, clean, images[:1], clean[:1], noisy_targets=torch.tensor([0, 2, 1, 1]))

    data = Given(noise="human", noise_rate=0.25)
    assert (data.noise.generator, data.noise.rate, data.noise.realised_rate) == ("human", 0.25, 0.25)
    assert data.noisy_targets.tolist() == [0, 2, 1, 1]
    assert data.clean_targets.tolist() == [0, 1, -1, -1]


def test_num_train_takes_the_first(toy: Any) -> None:
    data = toy(num_train=10)
    data.setup()
    assert data.num_samples == len(data.noisy_targets) == len(data.train_images) == 10
    assert sorted(by_index(data.train_dataloader())) == list(range(10))
    with pytest.raises(ValueError, match="`num_train` must be at most 60, got 61"):
        toy(num_train=61).setup()


# ---- loaders


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("val_fraction", [0.0, 0.2])
def test_rows_and_labels_of_every_loader(toy: Any, loader: str, val_fraction: float) -> None:
    data = toy(
        noise_rate=0.6, batch_size=7, eval_batch_size=11, val_fraction=val_fraction, loader=loader, augment=False
    )
    data.setup("fit")
    assert data.num_samples == 60
    train, predict, test = (
        by_index(part()) for part in (data.train_dataloader, data.predict_dataloader, data.test_dataloader)
    )
    val_loaders = data.val_dataloader()
    assert data.eval_names == (["val", "test"] if val_fraction else ["test"])
    assert len(val_loaders) == len(data.eval_names)
    val = by_index(val_loaders[0]) if val_fraction else {}

    assert sorted([*train, *val]) == list(range(60))
    assert len(val) == round(60 * val_fraction)
    assert list(predict) == sorted(train) == data.train_rows.tolist()
    assert list(val) == data.val_rows.tolist()
    assert list(test) == list(by_index(val_loaders[-1])) == list(range(24))
    for part, labels in ((train, data.noisy_targets), (predict, data.noisy_targets), (val, data.noisy_targets)):
        for index, (image, target) in part.items():
            assert target == labels[index]
            torch.testing.assert_close(image, torch.full((1, 6, 6), (index / 255 - 0.5) / 0.25))
    assert all(target == index % 3 for index, (_, target) in test.items())
    # Stratified by what was given, within one row of the class's share.
    for c in range(3):
        given = data.noisy_targets == c
        assert abs(int(given[data.val_rows].sum()) - int(given.sum()) * val_fraction) < 1


def test_clean_validation_labels(toy: Any) -> None:
    data = toy(noise_rate=0.6, val_fraction=0.5, noisy_val=False)
    data.setup()
    val = by_index(data.val_dataloader()[0])
    assert all(target == index % 3 for index, (_, target) in val.items())
    assert any(target != data.noisy_targets[index] for index, (_, target) in val.items())


def test_sweep_is_predict(toy: Any) -> None:
    data = toy(val_fraction=0.2)
    data.setup()
    assert list(by_index(data.sweep_dataloader())) == list(by_index(data.predict_dataloader()))


def test_tensor_loader_and_dataloader_give_the_same_content() -> None:
    options = {"augment": False, "batch_size": 100, "noise_rate": 0.4}
    device, cpu = Digits(loader="tensor", **options), Digits(loader="dataloader", **options)
    for data in (device, cpu):
        data.setup()
    assert isinstance(device.train_dataloader(), TensorLoader)
    assert isinstance(cpu.train_dataloader(), DataLoader)
    a, b = by_index(device.train_dataloader()), by_index(cpu.train_dataloader())
    direct = (device.train_images.float() / 255 - device.mean[0]) / device.std[0]
    assert sorted(a) == sorted(b) == list(range(1437))
    for index in range(1437):
        assert a[index][1] == b[index][1] == device.noisy_targets[index]
        torch.testing.assert_close(a[index][0], b[index][0])
        torch.testing.assert_close(a[index][0], direct[index])


@pytest.mark.parametrize("loader", LOADERS)
def test_augmentation_is_of_training_only(toy: Any, loader: str) -> None:
    data = toy(loader=loader, normalize=False)
    data.setup()
    # A shifted image has a black edge, and only image 0 is black without it.
    edged = [bool((image == 0).any()) for index, (image, _) in by_index(data.train_dataloader()).items() if index]
    assert any(edged)
    for part in (data.predict_dataloader(), data.test_dataloader()):
        assert not any(bool((image == 0).any()) for index, (image, _) in by_index(part).items() if index)
    plain = toy(loader=loader, augment=False)
    plain.setup()
    assert all(len(image.unique()) == 1 for image, _ in by_index(plain.train_dataloader()).values())


def test_the_same_shifts_and_flips_are_possible_on_both_paths() -> None:
    class One(NoisyDataModule):
        num_classes = 2
        image_size = 4
        in_channels = 1
        from noisylearn.data import Augment

        augmentation = Augment(1, flip=True)

        def load(self) -> Arrays:
            images = torch.arange(1, 17, dtype=torch.uint8).view(1, 1, 4, 4).repeat(400, 1, 1, 1)
            return Arrays(images, torch.arange(400) % 2, images[:2], torch.arange(2))

    def variants(loader: str) -> set[bytes]:
        data = One(loader=loader, noise="none", normalize=False)
        data.setup()
        images = torch.cat([batch.input for batch in data.train_dataloader()])
        return {(image * 255).round().to(torch.uint8).numpy().tobytes() for image in images.contiguous()}

    assert variants("tensor") == variants("dataloader")
    assert len(variants("tensor")) == 18  # 3 x 3 shifts, mirrored or not


def with_views(data: Any, views: Any) -> Any:
    """Set up as within a Trainer that fits a module with these views."""
    data.trainer = SimpleNamespace(
        global_rank=0,
        world_size=1,
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
        lightning_module=SimpleNamespace(views=views),
    )
    data.setup("fit")
    return data


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_method_names_its_views(toy: Any, loader: str, num_workers: int) -> None:
    data = with_views(toy(loader=loader, num_workers=num_workers, normalize=False), ("weak", "none", "strong"))
    train = data.train_dataloader()
    for batch in train:
        assert isinstance(batch, Batch)
        weak, none, strong = batch.input
        assert type(batch.input) is tuple
        assert weak.shape == none.shape == strong.shape == (len(batch.index), 1, 6, 6)
        assert torch.equal((none * 255).round().long(), batch.index.view(-1, 1, 1, 1).expand(none.shape))
        assert not torch.equal(weak, none)
        assert not torch.equal(weak, strong)
    if num_workers and loader == "dataloader":
        train._iterator = None
    for part in (data.val_dataloader()[0], data.predict_dataloader(), data.test_dataloader(), data.sweep_dataloader()):
        assert isinstance(next(iter(part)).input, Tensor)


@pytest.mark.parametrize("loader", LOADERS)
def test_one_view_is_a_plain_tensor(toy: Any, loader: str) -> None:
    for views in (("weak",), ["strong"], ("none",)):
        data = with_views(toy(loader=loader, normalize=False), views)
        images = torch.cat([batch.input for batch in data.train_dataloader()])
        assert bool((images.amin((1, 2, 3)) < images.amax((1, 2, 3))).any()) == (views != ("none",))


def test_one_weak_view_is_what_a_module_without_views_gets(toy: Any) -> None:
    data, without = with_views(toy(), ("weak",)), toy()
    without.setup()
    for a, b in zip(data.train_dataloader(), without.train_dataloader(), strict=True):
        assert torch.equal(a.input, b.input)


@pytest.mark.parametrize("loader", LOADERS)
def test_without_augmentation_all_views_are_the_image(toy: Any, loader: str) -> None:
    batch = next(iter(with_views(toy(loader=loader, augment=False), ("weak", "strong")).train_dataloader()))
    assert torch.equal(*batch.input)


@pytest.mark.parametrize(
    ("views", "error", "message"),
    [
        (("weak", "stong"), ValueError, r"`views` must be one of 'weak', 'strong', 'none', got 'stong' \(did you mean"),
        ("weak", TypeError, r"`views` must be a tuple of names, got 'weak': e.g. \('weak', 'strong'\)"),
        ((), TypeError, r"`views` must be a tuple of names, got \(\)"),
    ],
)
def test_views_that_are_none(toy: Any, views: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        with_views(toy(), views).train_dataloader()


def test_worker_processes_give_the_same(toy: Any) -> None:
    data = toy(loader="dataloader", num_workers=1, augment=False)
    data.setup()
    train = data.train_dataloader()
    assert sorted(by_index(train)) == list(range(60))
    train._iterator = None  # ends the persistent worker here and not in whichever test collects the garbage


def test_seed_moves_the_order_but_not_the_noise(toy: Any) -> None:
    a, b = toy(seed=0), toy(seed=1)
    orders = []
    for data in (a, b):
        data.setup()
        orders.append(next(iter(data.train_dataloader())).index.tolist())
    assert orders[0] != orders[1]
    assert a.noise.sha1 == b.noise.sha1
    c = toy(noise_seed=1)
    assert c.noise.sha1 != a.noise.sha1


def test_ranks_come_from_the_trainer(toy: Any) -> None:
    rows = []
    for rank in range(2):
        data = toy()
        data.trainer = SimpleNamespace(
            global_rank=rank, world_size=2, strategy=SimpleNamespace(root_device=torch.device("cpu")), overfit_batches=0
        )
        data.setup("fit")
        rows.append(sorted(by_index(data.train_dataloader())))
    assert rows == [list(range(0, 60, 2)), list(range(1, 60, 2))]


def test_loaders_share_one_copy_of_the_images(toy: Any) -> None:
    data = toy(val_fraction=0.5)
    data.setup()
    loaders = [data.train_dataloader(), data.val_dataloader()[0], data.predict_dataloader()]
    assert len({loader.images.data_ptr() for loader in loaders}) == 1


# ---- clean labels stay out


@pytest.mark.parametrize("loader", LOADERS)
def test_poisoned_clean_labels_change_no_batch(toy: Any, loader: str) -> None:
    def batches(poison: bool) -> list[tuple[int, int]]:
        data = toy(noise_rate=0.5, loader=loader, augment=False, val_fraction=0.2)
        data.setup("fit")
        if poison:
            data.clean_targets.fill_(2)
            data.setup("fit")  # Lightning calls it again
        loaders = [data.train_dataloader(), data.predict_dataloader(), *data.val_dataloader()]
        return [(index, target) for part in loaders for index, (_, target) in sorted(by_index(part).items())]

    assert batches(poison=False) == batches(poison=True)


def test_clean_labels_are_not_reachable_from_a_training_batch_or_its_dataset(toy: Any) -> None:
    clean = [i % 3 for i in range(60)]
    for loader in LOADERS:
        data = toy(noise="pair_flip", noise_rate=1.0, loader=loader)
        data.setup()
        train = data.train_dataloader()
        assert Batch._fields == ("input", "target", "index")
        seen, queue = set(), [train]
        while queue:
            thing = queue.pop()
            if id(thing) in seen or isinstance(thing, type):
                continue
            seen.add(id(thing))
            if isinstance(thing, Tensor | np.ndarray) and thing.shape == (60,):
                assert thing.tolist() != clean
            elif isinstance(thing, dict):
                queue.extend(thing.values())
            elif isinstance(thing, list | tuple):
                queue.extend(thing)
            elif hasattr(thing, "__dict__"):
                queue.extend(vars(thing).values())
        assert len(seen) > 5


# ---- refusals and hyper-parameters


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"noise": "symetric"},
            ValueError,
            r"`noise` must be one of .*, got 'symetric' \(did you mean 'symmetric'\?\)",
        ),
        ({"noise_rate": 40}, ValueError, r"`noise_rate` must be in \[0, 1\], got 40"),
        ({"batch_size": 0}, ValueError, r"`batch_size` must be at least 1, got 0"),
        ({"eval_batch_size": 1.5}, TypeError, r"`eval_batch_size` must be an integer, got 1.5"),
        ({"val_fraction": -0.1}, ValueError, r"`val_fraction` must be in \[0, 1\], got -0.1"),
        ({"loader": "dali"}, ValueError, r"`loader` must be one of 'tensor', 'dataloader', got 'dali'"),
        ({"num_train": 0}, ValueError, r"`num_train` must be at least 1, got 0"),
    ],
)
def test_refusals(toy: Any, arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        toy(**arguments)


def test_labels_out_of_range_are_refused() -> None:
    class Wrong(NoisyDataModule):
        num_classes = 2

        def load(self) -> Arrays:
            images = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
            return Arrays(images, torch.tensor([0, 2, 1]), images, torch.tensor([0, 1, 1]))

    with pytest.raises(ValueError, match=r"`train_targets` must be in \[0, 2\), got 2 at position 1"):
        Wrong().setup()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"train_images": torch.zeros(4, 1, 2, 2)}, TypeError, "`train_images` must be uint8, got torch.float32"),
        ({"test_images": torch.zeros(0, 1, 2, 2).byte()}, ValueError, "`test_images` must be .* N at least 1"),
        ({"train_targets": torch.zeros(4)}, TypeError, "`train_targets` must be int64 class ids, got torch.float32"),
        ({"test_targets": torch.zeros(3).long()}, ValueError, r"`test_targets` must have shape \(2,\), got \(3,\)"),
        ({"noisy_targets": torch.zeros(3).long()}, ValueError, r"`noisy_targets` must have shape \(4,\), got \(3,\)"),
    ],
)
def test_arrays_refuse(change: dict[str, Tensor], error: type[Exception], message: str) -> None:
    good = {
        "train_images": torch.zeros(4, 1, 2, 2).byte(),
        "train_targets": torch.zeros(4).long(),
        "test_images": torch.zeros(2, 1, 2, 2).byte(),
        "test_targets": torch.zeros(2).long(),
    }
    Arrays(**good)
    with pytest.raises(error, match=message):
        Arrays(**(good | change))


def test_the_base_class_names_what_is_missing() -> None:
    with pytest.raises(NotImplementedError, match=r"NoisyDataModule must implement `load\(\) -> Arrays`"):
        NoisyDataModule().setup()


def test_hyper_parameters_are_saved_and_plain() -> None:
    data = CIFAR10N(root="x", labels="worst", batch_size=64)
    assert data.hparams["labels"] == "worst"
    assert data.hparams["batch_size"] == 64
    assert all(isinstance(value, str | int | float | bool | None) for value in data.hparams.values())
    assert "_instantiator" not in data.hparams
    rebuilt = CIFAR10N(**{k: v for k, v in data.hparams.items() if k not in ("noise", "noise_rate", "noise_seed")})
    assert rebuilt.noise_kind == "human_worse"


# ---- the data sets, without their files


def test_digits() -> None:
    data = Digits(noise="none")
    data.setup()
    images = data.train_images
    assert images.shape == (1437, 1, 8, 8)
    assert (images.dtype, int(images.min()), int(images.max())) == (torch.uint8, 0, 255)
    assert data.test_images.shape == (360, 1, 8, 8)
    pixels = images.double() / 255
    assert pixels.mean().item() == pytest.approx(data.mean[0], abs=1e-4)
    assert pixels.std(correction=0).item() == pytest.approx(data.std[0], abs=1e-4)
    assert torch.bincount(data.clean_targets).min() >= 139
    assert not data.augment
    shifted = Digits(augment=True)
    shifted.setup()
    assert shifted.train_dataloader().augment.flip is False


@pytest.mark.parametrize("module", [FashionMNIST, CIFAR10, CIFAR100, CIFAR10N, CIFAR100N])
def test_missing_data_says_what_was_looked_for_and_how_to_get_it(
    module: type[NoisyDataModule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(datasets.cifar, "download_and_extract_archive", offline)
    monkeypatch.setattr(datasets.FashionMNIST, "download", offline)
    for step in ("setup", "prepare_data"):
        with pytest.raises(MissingDataError) as caught:
            getattr(module(root=str(tmp_path)), step)()
        text = str(caught.value)
        assert str(tmp_path) in text
        assert "To get it, " in text
        assert "NOISYLEARN_DATA" in text
        assert "https://" in text


def test_a_damaged_file_is_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name, _ in (*datasets.CIFAR10.train_list, *datasets.CIFAR10.test_list):
        (folder / name).write_bytes(b"not a pickle")
    with pytest.raises(MissingDataError, match="absent, or not what their checksums say"):
        CIFAR10(root=str(tmp_path)).setup()


def test_data_root_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISYLEARN_DATA", "/from/environment")
    assert CIFAR10(root="/given").root == Path("/given")
    assert CIFAR10().root == Path("/from/environment")
    monkeypatch.delenv("NOISYLEARN_DATA")
    assert CIFAR10().root == Path("data")


def test_label_names() -> None:
    with pytest.raises(ValueError, match=r"`labels` must be one of .*, got 'wors' \(did you mean 'worse'\?\)"):
        CIFAR10N(labels="wors")
    coarse = CIFAR100N(labels="coarse")
    assert (coarse.num_classes, len(coarse.class_names), coarse.noise_rate) == (20, 20, 0.26404)
    fine = CIFAR100N()
    assert (fine.num_classes, len(fine.class_names), fine.noise_rate) == (100, 100, 0.402)
    # A few known members tie the table of superclasses to the two lists of names.
    for name, group in (
        ("apple", "fruit_and_vegetables"),
        ("wolf", "large_carnivores"),
        ("worm", "non-insect_invertebrates"),
    ):
        assert coarse.class_names[CIFAR100_FINE_TO_COARSE[fine.class_names.index(name)]] == group


def test_the_wrong_rate_is_what_comes_out() -> None:
    from noisylearn.data import CIFAR10, CIFAR10N

    assert CIFAR10(noise="pair_flip", noise_rate=0.3).wrong_rate == 0.3
    assert CIFAR10(noise="none", noise_rate=0.3).wrong_rate == 0.0
    assert CIFAR10(noise="asymmetric_cifar10", noise_rate=0.4).wrong_rate == 0.2
    assert CIFAR10(noise="symmetric_inclusive", noise_rate=0.5).wrong_rate == pytest.approx(0.45)
    worst = CIFAR10N(labels="worse")
    assert worst.wrong_rate == worst.noise_rate > 0.4
