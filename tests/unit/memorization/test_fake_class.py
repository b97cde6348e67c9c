"""The fake class of AUM: equal to two trainings by hand, and it finds wrong labels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from noisylearn.data import IndexedDataset, TensorLoader
from noisylearn.memorization import FakeClassResult, choose_probes, fake_class_protocol, widen_head
from noisylearn.methods import CrossEntropy
from noisylearn.metrics import detection_auroc
from noisylearn.models import MLP
from noisylearn.signals import margin
from tests.unit.memorization.small import CLASSES, Yours, digits, loaders, trainers


def protocol(data: Any = None, epochs: int = 5, **options: Any) -> FakeClassResult:
    arguments: dict[str, Any] = {
        "make_module": lambda classes: Yours(classes, lr=0.05),
        "dataset": digits()[0] if data is None else data,
        "num_classes": CLASSES,
        "make_trainer": trainers(epochs),
        "make_loader": loaders(32),
        "progress": False,
    }
    return fake_class_protocol(**{**arguments, **options})


def by_hand(data: TensorDataset, rows: Tensor, epochs: int, seed: int) -> Tensor:
    """The mean margins of one run, with no Lightning: relabel, train, and note each margin before its step."""
    x, given = data.tensors
    targets = given.clone()
    targets[rows] = CLASSES
    torch.manual_seed(seed)
    module = Yours(CLASSES + 1, lr=0.05, dropout=0.3)
    optimizer = module.configure_optimizers()
    loader = DataLoader(TensorDataset(x, targets, torch.arange(len(x))), batch_size=32, shuffle=True)
    total = torch.zeros(len(x), dtype=torch.float64)
    for _ in range(epochs):
        for inputs, labels, index in loader:
            logits = module.net(inputs)
            total[index] += margin(logits.detach().double(), labels)
            optimizer.zero_grad()
            nn.functional.cross_entropy(logits, labels).backward()
            optimizer.step()
    return total / epochs


@pytest.mark.parametrize("seed", [0, 3])
def test_equals_two_runs_by_hand(seed: int) -> None:
    data, given, _ = digits(300)
    before = torch.get_rng_state()
    result = protocol(data, 2, make_module=lambda classes: Yours(classes, lr=0.05, dropout=0.3), seed=seed)
    assert torch.equal(torch.get_rng_state(), before)
    probes = choose_probes(given.numpy(), 300 // (CLASSES + 1), seed)
    assert torch.equal(result.probes, torch.stack(probes))
    for run, rows in enumerate(probes):
        expected = by_hand(data, rows, 2, seed)
        torch.testing.assert_close(result.aum[run].double(), expected, atol=1e-4, rtol=1e-4)
        assert result.thresholds[run] == result.aum[run][rows].max()  # of fewer than 100
    passed = (result.aum >= result.thresholds[:, None]) & ~result.is_probe
    assert torch.equal(result.flagged, ~passed.any(0))


def test_finds_wrong_labels_and_leaves_the_data_alone() -> None:
    data, given, wrong = digits()
    labels = given.clone()
    result = protocol(epochs=10)
    assert torch.equal(data.tensors[1], labels)
    right_share = (wrong & result.flagged).sum() / result.flagged.sum()
    found_share = (wrong & result.flagged).sum() / wrong.sum()
    assert right_share > 0.6  # by chance: 0.2
    assert found_share > 0.8
    assert detection_auroc(result.regular_aum, wrong, higher_is_noisier=False) > 0.95
    assert not set(result.probes[0].tolist()) & set(result.probes[1].tolist())
    assert result.is_probe.sum(1).tolist() == [600 // 11] * 2
    text = str(result)
    assert text.startswith(f"{result.num_flagged} of 600 labels flagged (")
    assert "54 probes a run" in text


def test_the_same_seed_gives_the_same_result_and_another_does_not() -> None:
    torch.manual_seed(1)
    one = protocol(epochs=1)
    torch.manual_seed(2)
    two, other = protocol(epochs=1), protocol(epochs=1, seed=1)
    assert torch.equal(one.aum, two.aum)
    assert torch.equal(one.probes, two.probes)
    assert not torch.equal(one.probes, other.probes)


class Dicts(torch.utils.data.Dataset[Any]):
    """Items as many projects have them; the number that they carry is not their position."""

    def __init__(self, data: TensorDataset) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, Any]:
        x, y = self.data[index]
        return {"image": x, "label": int(y), "index": 7 * index}


class OfDicts(Yours):
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return super().training_step((batch["image"], batch["label"]), batch_idx)


@pytest.mark.parametrize("form", ["dict", "batch", "widened", "labels", "tensor loader", "workers"])
def test_every_form_of_a_project_gives_the_same(form: str) -> None:
    data, given, _ = digits(200)
    expected = protocol(data, 2)
    options: dict[str, Any] = {}
    if form == "dict":
        options = {"data": Dicts(data), "make_module": lambda classes: OfDicts(classes, lr=0.05)}
    elif form == "batch":
        options = {"data": IndexedDataset(data), "make_module": lambda classes: OfBatches(classes, lr=0.05)}
    elif form == "widened":
        options = {"data": data, "make_module": lambda classes: widen_head(Yours(classes - 1, lr=0.05))}
    elif form == "labels":
        options = {"data": TensorDataset(data.tensors[0], torch.zeros(200, dtype=torch.int64)), "labels": given}
    elif form == "tensor loader":
        x = data.tensors[0]
        options = {
            "data": data,
            "make_module": lambda classes: OfBatches(classes, lr=0.05),
            "make_loader": lambda view: TensorLoader(x, view.targets, batch_size=32, shuffle=True),
        }
    else:
        options = {"data": data, "make_loader": loaders(32, num_workers=1)}
    result = protocol(options.pop("data"), 2, **options)
    assert torch.equal(result.probes, expected.probes)
    if form not in ("widened", "tensor loader"):  # other weights, another order
        assert torch.equal(result.aum, expected.aum)
    assert not result.aum.isnan().any()


class OfBatches(Yours):
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return super().training_step(batch[:2], batch_idx)


def test_our_own_methods_need_no_more() -> None:
    data, _, wrong = digits()
    result = protocol(
        IndexedDataset(data),
        make_module=lambda classes: CrossEntropy(MLP(classes, in_features=64), num_classes=classes, lr=0.05),
    )
    assert detection_auroc(result.regular_aum, wrong, higher_is_noisier=False) > 0.9


def test_samples_that_were_never_seen_are_not_flagged() -> None:
    data, _, _ = digits(200)
    result = protocol(data, 1, make_loader=lambda view: DataLoader(view, batch_size=32, drop_last=True))
    assert result.aum[:, 192:].isnan().all()
    assert not result.flagged[192:].any()
    assert str(result).endswith("8 samples never seen")


@pytest.mark.parametrize("namespace", ["pytorch_lightning", "lightning.pytorch"])
def test_in_either_copy_of_lightning(namespace: str) -> None:
    pl = pytest.importorskip(namespace)
    data, _, _ = digits(100)

    class Theirs(pl.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self, classes: int) -> None:
            super().__init__()
            self.net = nn.Linear(64, classes)

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            raise AssertionError("there is nothing to validate on")

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    def make_trainer(callbacks: Any) -> Any:
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        return pl.Trainer(max_epochs=1, callbacks=callbacks, accelerator="cpu", enable_model_summary=False, **quiet)

    assert not protocol(data, make_module=Theirs, make_trainer=make_trainer).aum.isnan().any()


@pytest.mark.gpu
def test_on_a_gpu_the_result_is_on_the_cpu() -> None:
    result = protocol(digits(200)[0], make_trainer=trainers(2, accelerator="gpu", devices=1))
    assert (result.aum.device.type, result.flagged.device.type) == ("cpu", "cpu")
    assert not result.aum.isnan().any()


def test_wrong_arguments() -> None:
    data, given, _ = digits(100)
    with pytest.raises(ValueError, match=r"`labels` must be in \[0, 5\), got 9"):
        protocol(data, num_classes=5)
    with pytest.raises(ValueError, match=r"`labels` must have one label per sample \(100\), got 99"):
        protocol(data, labels=given[:99])
    with pytest.raises(ValueError, match="`num_probes` must leave regular samples"):
        protocol(data, num_probes=50)
    with pytest.raises(ValueError, match="`num_probes` must be at least 1, got 0"):
        protocol(data, num_probes=0)
    with pytest.raises(ValueError, match="`target`: no label in an item of `dataset`"):
        protocol([{"image": 0}] * 30)
    with pytest.raises(TypeError, match="`labels` must be integer class ids, got dtype float32"):
        protocol(TensorDataset(torch.zeros(30, 64), torch.zeros(30)))
    with pytest.raises(ValueError, match="`make_trainer` must hand its argument to the Trainer"):
        protocol(data, make_trainer=lambda callbacks: trainers(1)([]))


@pytest.mark.parametrize(
    "make_loader",
    [lambda view: loaders()(view.dataset), lambda view: loaders()(Subset(view, list(reversed(range(100)))))],
)
def test_a_loader_of_something_else_is_refused(make_loader: Any) -> None:
    with pytest.raises(ValueError, match="`make_loader` must load the dataset that it is given"):
        protocol(digits(100)[0], 1, make_loader=make_loader)


def test_a_head_that_is_too_narrow_is_told_of() -> None:
    with pytest.raises(IndexError, match="out of bounds") as error:
        protocol(digits(100)[0], 1, make_module=lambda classes: Yours(classes - 1))
    assert "`make_module(11)` must make a head of so many outputs" in error.value.__notes__[0]
