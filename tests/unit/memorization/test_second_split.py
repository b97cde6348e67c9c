"""Second-split forgetting: equal to the two phases by hand, and wrong labels go first."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from noisylearn.data import IndexedDataset, TensorLoader
from noisylearn.memorization import SecondSplitResult, forgetting_time, second_split
from noisylearn.methods import CrossEntropy
from noisylearn.metrics import detection_auroc
from noisylearn.models import MLP
from tests.unit.memorization.small import CLASSES, Yours, digits, loaders, trainers


def protocol(data: Any = None, first: int = 4, second: int = 3, **options: Any) -> SecondSplitResult:
    arguments: dict[str, Any] = {
        "make_module": lambda: Yours(CLASSES),
        "dataset": digits()[0] if data is None else data,
        "make_trainer": trainers(first),
        "make_second_trainer": trainers(second),
        "make_loader": loaders(),
        "progress": False,
    }
    return second_split(**{**arguments, **options})


def predicted(module: Yours, x: Tensor) -> Tensor:
    module.eval()
    with torch.no_grad():
        classes = torch.stack([module.net(sample[None])[0].argmax() for sample in x])
    module.train()
    return classes


def train(module: Yours, data: TensorDataset, rows: Tensor, epochs: int) -> Any:
    """A plain loop that stops after each epoch; every phase begins with a new optimizer."""
    x, given = data.tensors
    optimizer = module.configure_optimizers()
    loader = DataLoader(TensorDataset(x[rows], given[rows]), batch_size=64, shuffle=True)
    for _ in range(epochs):
        for inputs, labels in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(module.net(inputs), labels).backward()
            optimizer.step()
        yield


def by_hand(data: TensorDataset, seed: int, first: int, second: int) -> tuple[Tensor, Tensor]:
    x, given = data.tensors
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    halves = order[: len(x) // 2].sort().values, order[len(x) // 2 :].sort().values
    times, learned = torch.full((len(x),), torch.nan), torch.zeros(len(x), dtype=torch.bool)
    for one, two in (halves, halves[::-1]):
        torch.manual_seed(seed)
        module = Yours(CLASSES, dropout=0.3)
        for _ in train(module, data, one, first):
            pass
        learned[one] = predicted(module, x[one]) == given[one]
        right = [predicted(module, x[one]) == given[one] for _ in train(module, data, two, second)]
        times[one] = forgetting_time(torch.stack(right))
    return times, learned


@pytest.mark.parametrize("size", [200, 201])
def test_equals_both_phases_by_hand(size: int) -> None:
    data, _, _ = digits(size)
    before = torch.get_rng_state()
    result = protocol(data, make_module=lambda: Yours(CLASSES, dropout=0.3), seeds=(4, 9))
    assert torch.equal(torch.get_rng_state(), before)
    for number, seed in enumerate((4, 9)):
        times, learned = by_hand(data, seed, 4, 3)
        assert torch.equal(result.times[number], times)
        assert torch.equal(result.learned[number], learned)
    finite = result.times[result.times.isfinite()]
    assert 0 < len(finite) < result.times.numel()
    assert finite.max() < 3


def test_wrong_labels_that_were_learned_are_forgotten_first() -> None:
    data, given, wrong = digits()
    labels = given.clone()
    result = protocol(data, first=60, second=6, make_module=lambda: Plain(CLASSES))
    assert torch.equal(data.tensors[1], labels)
    learned = result.learned[0]
    assert learned[wrong].float().mean() > 0.6  # by heart
    assert detection_auroc(result.time, wrong, higher_is_noisier=False) > 0.8
    assert detection_auroc(result.time[learned], wrong[learned], higher_is_noisier=False) > 0.8
    assert result.never_forgotten[~wrong].float().mean() > result.never_forgotten[wrong].float().mean() + 0.4
    assert str(result).endswith("(1 seeds)")


class Plain(Yours):
    """Without batch norm and dropout, which is slower to forget."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.net = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, classes))


def test_seeds_are_told_apart_and_joined_without_a_mean_of_infinity() -> None:
    inf, nan = math.inf, math.nan
    times = torch.tensor([[0.0, inf, 2.0, nan, inf], [1.0, inf, inf, nan, inf], [5.0, 0.0, inf, nan, nan]])
    result = SecondSplitResult(times, torch.ones(3, 5, dtype=torch.bool))
    assert result.time[:3].tolist() == [1.0, inf, inf]
    assert result.time[3].isnan()
    assert result.never_forgotten.tolist() == [False, True, True, False, True]
    torch.testing.assert_close(result.never_forgotten_rate, torch.tensor([0.0, 2 / 3, 2 / 3, nan, 1.0]), equal_nan=True)
    assert SecondSplitResult(times[:2], result.learned[:2]).time[:3].tolist() == [0.0, inf, 2.0]
    assert str(result) == (
        "1 of 5 samples forgotten, 3 never; 0 were not learned in the first phase of some run (3 seeds)"
    )


class Forward(Yours):
    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        return logits

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return nn.functional.cross_entropy(self(batch[0]), batch[1])


class OfDicts(Forward):
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return super().training_step((batch["image"], batch["digit"]), batch_idx)


@pytest.mark.parametrize("form", ["forward", "dict", "labels", "batch", "callable", "workers"])
def test_every_form_of_a_project_gives_the_same(form: str) -> None:
    data, given, _ = digits(200)
    x = data.tensors[0]
    expected = protocol(data)
    options: dict[str, Any] = {"data": data}
    if form == "dict":
        options = {
            "data": [{"image": a, "digit": int(b), "index": f"sample-{b}"} for a, b in zip(x, given, strict=True)],
            "make_module": lambda: OfDicts(CLASSES),
            "target": "digit",
        }
    elif form == "labels":
        options = {"data": TensorDataset(x, torch.zeros_like(given)), "labels": given.numpy()}
    elif form == "batch":
        options = {"data": IndexedDataset(data), "make_module": lambda: Forward(CLASSES)}
    elif form == "callable":
        options["logits"] = lambda module, batch: module.net(batch[0])
    elif form == "workers":
        options["make_loader"] = loaders(num_workers=1)
    else:
        options["make_module"] = lambda: Forward(CLASSES)
    result = protocol(options.pop("data"), **options)
    assert torch.equal(result.times, expected.times)
    assert torch.equal(result.learned, expected.learned)


def test_a_tensor_loader_serves_a_views_rows() -> None:
    data, given, _ = digits(200)
    x = data.tensors[0]

    def make_loader(view: Any) -> TensorLoader:
        return TensorLoader(x, given, batch_size=64, shuffle=True, indices=view.rows)

    result = protocol(
        data,
        make_module=lambda: CrossEntropy(MLP(CLASSES, in_features=64), num_classes=CLASSES),
        make_loader=make_loader,
    )
    assert not result.times.isnan().any()


def test_it_looks_through_the_evaluation_dataset() -> None:
    """Nobody recognises digits that are all black: most are wrong from the first epoch on."""
    data, given, _ = digits(200)
    dark = TensorDataset(torch.zeros_like(data.tensors[0]), given)
    result = protocol(data, eval_dataset=dark)
    assert (result.times == 0).float().mean() > 0.5
    assert result.learned.float().mean() < 0.5


@pytest.mark.gpu
def test_on_a_gpu_the_result_is_on_the_cpu() -> None:
    result = protocol(digits(200)[0], make_trainer=trainers(4, accelerator="gpu", devices=1), make_second_trainer=None)
    assert (result.times.device.type, result.learned.device.type) == ("cpu", "cpu")
    assert not result.times.isnan().any()


def test_wrong_arguments() -> None:
    data, given, _ = digits(50)
    with pytest.raises(ValueError, match="`dataset` must hold at least two samples, got 1"):
        protocol([(torch.zeros(64), 0)])
    with pytest.raises(ValueError, match="`eval_dataset` must have the 50 samples of `dataset`, in its order, got 49"):
        protocol(data, eval_dataset=digits(49)[0])
    with pytest.raises(ValueError, match="`seeds` must hold at least one seed, got none"):
        protocol(data, seeds=())
    with pytest.raises(TypeError, match=r"`labels` must be integer class ids, got dtype torch\.float32"):
        protocol(data, labels=given.float())
    with pytest.raises(ValueError, match=r"`labels` must have shape \(50,\), one label per sample, got \(49,\)"):
        protocol(data, labels=given[:49])
    with pytest.raises(ValueError, match="`make_trainer` must hand its argument to the Trainer"):
        protocol(data, make_trainer=lambda callbacks: trainers(1)([]))
    with pytest.raises(ValueError, match="there is no submodule 'fc'"):
        protocol(data, logits="fc")
