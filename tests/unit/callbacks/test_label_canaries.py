"""Canaries: flipped in the batches alone, counted as a loop would, and taken back in every export."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from noisylearn._compat import Callback
from noisylearn.callbacks import LabelCanaries, MemorizationMeter, SignalTracker, SignalWriter, SweepTracker
from noisylearn.callbacks.step_reader import replaced
from noisylearn.data import IndexedDataset, TensorLoader
from tests.unit.callbacks.small import C, Module, fit

N = 60
Y = torch.arange(N) % C
X = torch.arange(N, dtype=torch.float32)[:, None]


class Sees(Module):
    """Writes down what it was shown and what its network made of it."""

    def __init__(self) -> None:
        super().__init__(nn.Sequential(nn.Linear(1, 32), nn.ReLU(), nn.Linear(32, C)))
        self.shown: list[dict[int, tuple[int, int]]] = []

    def on_train_epoch_start(self) -> None:
        self.shown.append({})

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        x, y = (batch["x"], batch["label"]) if isinstance(batch, dict) else (batch[0], batch[1])
        logits = self.net(x.flatten(1) / N)
        for i, label, predicted in zip(x.flatten().tolist(), y.tolist(), logits.argmax(1).tolist(), strict=True):
            self.shown[-1][int(i)] = (label, predicted)
        return nn.functional.cross_entropy(logits, y)


class Logged(Callback):  # type: ignore[misc]  # its base is made at import time
    def __init__(self) -> None:
        super().__init__()
        self.values: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.values.append({k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("canary")})


class Storage(Dataset[Any]):
    """Hands out views of its own labels, without a copy."""

    def __init__(self) -> None:
        self.y = Y.clone()

    def __len__(self) -> int:
        return N

    def __getitems__(self, rows: Sequence[int]) -> Any:
        return slice(rows[0], rows[-1] + 1)

    def collate(self, part: slice) -> Any:
        return [X[part], self.y[part]]


class Named(Dataset[Any]):
    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> Any:
        return {"x": X[i], "label": Y[i]}


def loaders() -> dict[str, Any]:
    storage = Storage()
    return {
        "list": DataLoader(TensorDataset(X, Y), 8, shuffle=True),
        "workers": DataLoader(TensorDataset(X, Y), 8, shuffle=True, num_workers=2),
        "batch": DataLoader(IndexedDataset(TensorDataset(X, Y)), 8, shuffle=True),
        "dict": DataLoader(Named(), 8, shuffle=True),
        "views": DataLoader(storage, 8, collate_fn=storage.collate),
        "tensors": TensorLoader(X[:, :, None, None], Y, batch_size=8, shuffle=True),
    }


@pytest.mark.parametrize("kind", ["list", "workers", "batch", "dict", "views", "tensors"])
def test_some_labels_are_flipped_in_the_batches_and_nowhere_else(kind: str) -> None:
    train, module, logged = loaders()[kind], Sees(), Logged()
    canaries = LabelCanaries(num_classes=C, fraction=0.2, seed=1)
    before = Y.clone()
    fit([canaries, logged], train, module, epochs=3, limit_val_batches=0)
    rows = canaries.rows.tolist()
    assert len(rows) == round(0.2 * N)
    for shown, values in zip(module.shown, logged.values, strict=True):
        assert sorted(shown) == list(range(N))
        assert [i for i in range(N) if shown[i][0] != Y[i]] == rows
        hit = [shown[i][1] == shown[i][0] for i in rows]
        right = [shown[i][1] == int(Y[i]) for i in rows]
        assert values["canary_memorized"] == pytest.approx(sum(hit) / len(rows))
        assert values["canary_correct"] == pytest.approx(sum(right) / len(rows))
        assert values["canary_other"] == pytest.approx(1 - (sum(hit) + sum(right)) / len(rows))
    assert module.shown[0].keys() == module.shown[2].keys()
    assert [module.shown[0][i][0] for i in rows] == [module.shown[2][i][0] for i in rows]
    assert torch.equal(Y, before)
    if kind == "views":
        assert torch.equal(train.dataset.y, before)
    if kind == "tensors":
        assert torch.equal(train.targets, before)


def test_exports_have_the_given_label_and_nothing_measured_on_a_canary(tmp_path: Path) -> None:
    canaries, tracker, sweep = LabelCanaries(C, 0.2), SignalTracker(["Margin"]), SweepTracker(["EL2N"], logits="net")
    writer = SignalWriter(str(tmp_path / "signals.parquet"))

    fit([tracker, sweep, writer, canaries], loaders()["list"], Sees(), epochs=2, limit_val_batches=0)
    rows = canaries.rows.tolist()
    for file, score in (("signals.parquet", "aum"), ("signals_sweep.parquet", "el2n")):
        table = pq.read_table(tmp_path / file)
        assert table["given"].to_pylist() == Y.tolist()
        unmeasured = torch.tensor(table[score].to_pylist()).isnan()
        assert unmeasured.nonzero()[:, 0].tolist() == rows


def test_the_meter_does_not_count_canaries_as_wrong_labels() -> None:
    clean = torch.where(torch.arange(N) == 8, (Y + 1) % C, Y)
    meter, module = MemorizationMeter(clean), Sees()
    canaries = LabelCanaries(C, 0.2, seed=2)
    trainer = fit([meter, canaries], loaders()["list"], module, limit_val_batches=0)
    assert 8 not in canaries.rows
    memorized = module.shown[0][8][1] == int(Y[8])
    assert float(trainer.callback_metrics["memorized"]) == float(memorized)


def test_what_was_planted_is_in_the_checkpoint(tmp_path: Path) -> None:
    tracker = SignalTracker(["Margin"])
    trainer = fit([tracker, LabelCanaries(C, 0.2)], loaders()["list"], Sees(), epochs=1, limit_val_batches=0)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    saved = torch.load(tmp_path / "one.ckpt", weights_only=True)["callbacks"][tracker.state_key]
    other = SignalTracker(["Margin"])
    other.load_state_dict(saved)
    assert torch.equal(other.scores()["given"], Y.float())


def test_evaluation_sees_the_given_labels() -> None:
    class Evaluates(Sees):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            assert torch.equal(batch[1], Y[batch[0][:, 0].long()])

    fit([LabelCanaries(C, 0.2)], loaders()["list"], Evaluates(), limit_val_batches=0)
    from pytorch_lightning import Trainer

    trainer = Trainer(
        max_epochs=1, callbacks=[LabelCanaries(C, 0.2)], accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Evaluates(), loaders()["list"], DataLoader(TensorDataset(X, Y), 8))
    assert "batch_to_device" not in vars(trainer.strategy)


def flips_of(seed: int) -> Tensor:
    canaries = LabelCanaries(C, 0.2, seed=seed)
    fit([canaries], loaders()["list"], Sees(), limit_val_batches=0)
    return canaries._shift


def test_the_choice_is_the_seed_s() -> None:
    assert torch.equal(flips_of(3), flips_of(3))
    assert not torch.equal(flips_of(3), flips_of(4))


def test_wrong_arguments() -> None:
    for fraction in (0.0, 0.3):
        with pytest.raises(ValueError, match=r"`fraction` must be in \(0, 0.2\], got"):
            LabelCanaries(C, fraction)
    with pytest.raises(ValueError, match="`target` must be a key"):
        LabelCanaries(C, target=lambda batch: batch[1])  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(ValueError, match="`num_classes` is needed to flip a label to another class, got None"):
        fit([LabelCanaries()], loaders()["list"], Sees(), limit_val_batches=0)


def test_a_label_that_means_none_stays_so() -> None:
    y = torch.where(torch.arange(N) % 4 == 1, -100, Y)

    class Ignores(Sees):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            self.shown[-1] |= {
                int(i): (label, 0) for i, label in zip(batch[0].flatten().tolist(), batch[1].tolist(), strict=True)
            }
            return nn.functional.cross_entropy(self.net(batch[0] / N), batch[1], ignore_index=-100)

    module, canaries = Ignores(), LabelCanaries(C, 0.2, ignore_index=-100)
    fit([canaries], DataLoader(TensorDataset(X, y), 8), module, limit_val_batches=0)
    assert [module.shown[0][i][0] for i in range(N) if y[i] < 0] == [-100] * int((y < 0).sum())


@pytest.mark.parametrize("asked", ["argument", "module"])
def test_a_number_of_classes_that_is_not_that_of_the_labels(asked: str) -> None:
    def attempt(classes: int, shuffled: bool = True) -> None:
        module = Sees()
        module.num_classes = classes  # type: ignore[assignment]  # a module's own attribute
        canaries = LabelCanaries(classes if asked == "argument" else None, 0.2)
        fit([canaries], loaders()["list"] if shuffled else DataLoader(TensorDataset(X, Y), 1), module)

    with pytest.raises(ValueError, match="`num_classes` must be above every label, got 2 and the label 2: pass the"):
        attempt(2)
    with pytest.raises(ValueError, match="`num_classes` must be the width of the logits, 3, got 5: pass 3"):
        attempt(5, shuffled=False)  # its first sample is no canary


def test_a_step_that_a_canary_s_label_has_broken_says_so() -> None:
    with pytest.raises(IndexError) as caught:
        fit([LabelCanaries(50, 0.2)], DataLoader(TensorDataset(X, Y), N), Sees(), limit_val_batches=0)
    assert caught.value.__notes__ == [
        "`num_classes` of LabelCanaries is 50, so labels up to 49 are shown: it must be the width of the logits"
    ]


def test_a_label_that_no_canary_has_is_never_touched() -> None:
    """Of a batch that comes later, with a label that the first batch did not show to be there."""
    canaries = LabelCanaries(2, 0.2)
    canaries._classes = 2
    canaries._shift = torch.tensor([0, 1, 0])
    assert canaries._flip(torch.arange(3), torch.tensor([2, 1, 0])).tolist() == [2, 0, 0]


def test_a_negative_label_is_not_flipped_unasked() -> None:
    y = torch.where(torch.arange(N) == 3, -100, Y)
    with pytest.raises(ValueError, match=r"`target` must be at least 0, got -100: .*pass it as `ignore_index=`"):
        fit([LabelCanaries(C, 0.2)], DataLoader(TensorDataset(X, y), 8), Sees(), limit_val_batches=0)


def quiet(callbacks: Sequence[Any], epochs: int = 2, resume: Any = None) -> Any:
    return fit(callbacks, loaders()["list"], Sees(), epochs, resume, limit_val_batches=0)


def unmeasured(tracker: Any) -> list[int]:
    """The rows without a score; all of the given labels are right."""
    scores = tracker.scores()
    assert torch.equal(scores["given"], Y.float())
    return scores["aum"].isnan().nonzero()[:, 0].tolist()


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning")  # a callback is left out
@pytest.mark.parametrize("next_canaries", [None, {"fraction": 0.1, "seed": 9}])
@pytest.mark.parametrize("how", ["resumed", "second fit"])
def test_what_was_once_a_canary_has_no_score_whoever_comes_next(
    tmp_path: Path, how: str, next_canaries: dict[str, Any] | None
) -> None:
    tracker, first = SignalTracker(["Margin"]), LabelCanaries(C, 0.2)
    trainer = quiet([tracker, first])
    planted = set(first.rows.tolist())
    others = [LabelCanaries(C, **next_canaries)] if next_canaries is not None else []
    if how == "resumed":
        trainer.save_checkpoint(tmp_path / "two.ckpt")
        tracker = SignalTracker(["Margin"])
        quiet([tracker, *others], 4, tmp_path / "two.ckpt")
    else:
        quiet([tracker, *others])
    for canaries in others:
        assert not planted >= set(canaries.rows.tolist())
        planted |= set(canaries.rows.tolist())
    assert unmeasured(tracker) == sorted(planted)


def test_canaries_that_come_later_are_read_in_mid_epoch() -> None:
    tracker, canaries = SignalTracker(["Margin"]), LabelCanaries(C, 0.2)
    quiet([tracker])

    class Reads(Callback):  # type: ignore[misc]  # its base is made at import time
        def on_train_batch_end(self, *_: Any) -> None:
            assert unmeasured(tracker) == canaries.rows.tolist()

    quiet([canaries, tracker, Reads()])


def test_a_function_that_reads_the_labels_gets_the_given_ones() -> None:
    tracker = SignalTracker(["Margin"], target=lambda batch: batch[1].clone())
    canaries = LabelCanaries(C, 0.2)
    quiet([tracker, canaries])
    assert unmeasured(tracker) == canaries.rows.tolist()


@pytest.mark.parametrize("carried", [False, True])
def test_canaries_of_a_subset(carried: bool) -> None:
    rows = list(range(1, N, 2))
    data: Any = IndexedDataset(TensorDataset(X, Y)) if carried else TensorDataset(X, Y)
    tracker, canaries, module = SignalTracker(["Margin"]), LabelCanaries(C, 0.2), Sees()
    fit([tracker, canaries], DataLoader(Subset(data, rows), 8, shuffle=True), module, limit_val_batches=0)
    flipped = {i for i, (label, _) in module.shown[0].items() if label != Y[i]}
    planted = canaries.rows.tolist()
    assert flipped == set(planted) & set(rows) if carried else {rows[i] for i in planted}
    assert len(planted) == round(0.2 * (N if carried else len(rows)))
    given, seen = tracker.scores()["given"], Y[rows].float()
    assert torch.equal(given[rows] if carried else given, seen)


def test_there_is_a_canary_in_the_smallest_set() -> None:
    canaries, logged = LabelCanaries(C, 0.01), Logged()
    fit([canaries, logged], DataLoader(TensorDataset(X[:20], Y[:20]), 8), Sees(), limit_val_batches=0)
    assert len(canaries.rows) == 1
    assert sum(logged.values[0].values()) == 1


def test_nothing_is_logged_of_an_epoch_without_a_canary() -> None:
    logged = Logged()
    data = TensorDataset(X, torch.where(torch.arange(N) == 44, -100, Y))
    fit([LabelCanaries(C, 0.01, ignore_index=-100), logged], DataLoader(data, 8), Sees(), limit_val_batches=0)
    assert logged.values == [{}]


def test_samples_with_names_are_refused() -> None:
    class Stream(IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter([{"x": X[i], "label": Y[i], "index": f"sample {i}"} for i in range(N)])

    with pytest.raises(ValueError, match=r"`index` must be integers for LabelCanaries, got strings: .*number them in"):
        fit([LabelCanaries(C, num_samples=100)], DataLoader(Stream(), 8), Sees(), limit_val_batches=0)


@pytest.mark.parametrize("column", [False, True])
def test_a_binary_head_s_labels_keep_their_shape_and_dtype(column: bool) -> None:
    zeros_and_ones = (Y > 0).float()
    y = zeros_and_ones[:, None] if column else zeros_and_ones

    class Binary(Sees):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(1, 1)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            x, shown = batch
            assert (shown.shape, shown.dtype) == ((len(x), *y.shape[1:]), torch.float32)
            self.shown[-1] |= {int(i): (label, 0) for i, label in zip(x[:, 0].tolist(), shown.tolist(), strict=True)}
            logits = self.net(x / N) if column else self.net(x / N)[:, 0]
            return nn.functional.binary_cross_entropy_with_logits(logits, shown)

    tracker, canaries, module = SignalTracker(["Margin"]), LabelCanaries(2, 0.2), Binary()
    fit([canaries, tracker], DataLoader(TensorDataset(X, y), 8, shuffle=True), module, limit_val_batches=0)
    flipped = [i for i in range(N) if module.shown[0][i][0] != y[i].tolist()]
    assert flipped == sorted(canaries.rows.tolist())
    assert torch.equal(tracker.scores()["given"], zeros_and_ones)


def test_what_is_not_one_label_a_sample_is_not_replaced() -> None:
    soft = nn.functional.one_hot(Y, C).float()
    with pytest.raises(ValueError, match=r"`target` must be one label a sample .*, got tensor \(8, 3\) float32"):
        fit([LabelCanaries(C, 0.2)], DataLoader(TensorDataset(X, soft), 8), Sees(), limit_val_batches=0)


class Encoding(UserDict[str, Tensor]):
    """A batch that has its items as attributes, as Hugging Face's BatchEncoding does."""

    def __getattr__(self, name: str) -> Any:
        if name == "data" or name not in self.data:  # not set yet, while it is copied
            raise AttributeError(name)
        return self.data[name]


def encoded(items: list[Any]) -> Encoding:
    return Encoding({"input_ids": torch.stack([x for x, _ in items]), "labels": torch.stack([y for _, y in items])})


def test_a_batch_stays_of_its_own_kind() -> None:
    class Attributes(Sees):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return super().training_step((batch.input_ids, batch.labels), batch_idx)

    canaries, module = LabelCanaries(C, 0.2), Attributes()
    fit([canaries], DataLoader(TensorDataset(X, Y), 8, collate_fn=encoded), module, limit_val_batches=0)
    assert [i for i in range(N) if module.shown[0][i][0] != Y[i]] == canaries.rows.tolist()


def test_a_replaced_label_leaves_the_batch_as_it_was() -> None:
    batch = encoded([(X[0], Y[0])])
    assert replaced(batch, "labels", Y[1:2]).labels.tolist() == [1]
    assert batch.labels.tolist() == [0]
