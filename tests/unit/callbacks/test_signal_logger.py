"""Curves through the module, figures where a logger can draw them, and no trace of either in the training."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from noisylearn._compat import LightningDataModule, Trainer, lightning_module
from noisylearn.callbacks import LabelCanaries, SignalTracker, SweepTracker
from noisylearn.callbacks.signal_logger import SignalLogger
from noisylearn.callbacks.suspects import suspicion_of, top_suspects
from noisylearn.callbacks.training_images import MAX_SIDE, as_pictures, training_images
from noisylearn.data import Digits, IndexedDataset, TensorLoader
from noisylearn.methods import CrossEntropy
from noisylearn.metrics import detection_auroc
from noisylearn.signals import suspicion
from tests.unit.callbacks.small import C, Module, N, Y, fit, loader

Logger = lightning_module("loggers").Logger
SIDE = 4


class Writer:
    """Keeps what a SummaryWriter, or a W&B run, is asked for."""

    def __init__(self) -> None:
        self.histograms: dict[tuple[str, int], Tensor] = {}
        self.images: dict[tuple[str, int], Tensor] = {}
        self.texts: dict[tuple[str, int], str] = {}
        self.logged: list[dict[str, Any]] = []

    def add_histogram(self, tag: str, values: Tensor, global_step: int) -> None:
        assert (tag, global_step) not in self.histograms
        self.histograms[tag, global_step] = values

    def add_image(self, tag: str, image: Tensor, global_step: int) -> None:
        assert (tag, global_step) not in self.images
        self.images[tag, global_step] = image

    def add_text(self, tag: str, text: str, global_step: int) -> None:
        self.texts[tag, global_step] = text

    def log(self, values: dict[str, Any]) -> None:
        self.logged.append(values)


class Records(Logger):  # type: ignore[misc]  # its base is chosen at import time
    """A logger that keeps what it is given."""

    name, version = "records", 0

    def __init__(self) -> None:
        super().__init__()
        self.experiment = Writer()
        self.metrics: list[tuple[dict[str, float], int]] = []

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        pass

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.metrics.append((metrics, step))

    def curve(self, name: str) -> list[float]:
        return [metrics[name] for metrics, _ in self.metrics if name in metrics]


class TensorBoardLogger(Records):
    pass


class WandbLogger(Records):
    pass


class Pictures(Dataset[Any]):
    """Sample i is a picture of i hundredths, with the right label or a wrong one."""

    classes = ("cat", "dog", "elk")

    def __init__(self, noise: float = 0.0) -> None:
        self.noise, self.read = noise, [0] * N

    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> Any:
        self.read[i] += 1
        noise = torch.rand(1, SIDE, SIDE) + random.random() + np.random.rand()
        return torch.full((1, SIDE, SIDE), i / 100) + self.noise * noise, int(Y[i])


class OfPictures(Module):
    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, C)))

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        x, y = (batch["image"], batch["label"]) if isinstance(batch, dict) else batch[:2]
        return nn.functional.cross_entropy(self.net(x), y)


def run(callbacks: Sequence[Any], train: Any = None, module: Any = None, epochs: int = 1, **options: Any) -> Any:
    train = loader(Pictures(), shuffle=True) if train is None else train
    return fit(callbacks, train, module or OfPictures(), epochs, limit_val_batches=0, log_every_n_steps=1, **options)


# -- curves --------------------------------------------------------------------------------------------------------


def test_means_of_the_scores_go_through_the_module() -> None:
    tracker, logger = SignalTracker(), Records()
    module = Module()
    trainer = fit([tracker, SignalLogger()], loader(shuffle=True), module, epochs=3, logger=logger, log_every_n_steps=1)
    scores, metrics = tracker.scores(), trainer.callback_metrics
    pointing = {info.name for info in tracker.score_info if info.higher_is_noisier is not None}
    defined = {name for name in pointing if not scores[name].isnan().all()}
    others = (scores["suggested"] != scores["given"]).float().mean()
    assert metrics.keys() == {f"signals/{name}" for name in defined} | {"signals/suggests_other"}
    for name in defined:
        expected = torch.tensor([x for x in scores[name].tolist() if x == x]).mean().item()
        assert metrics[f"signals/{name}"] == pytest.approx(expected, rel=1e-6), name
    assert metrics["signals/suggests_other"] == pytest.approx(others.item())
    assert len(logger.curve("signals/aum")) == 3
    assert logger.curve("signals/aum")[-1] == pytest.approx(scores["aum"].mean().item())
    assert logger.experiment.histograms == {}  # it cannot draw


def test_what_is_no_number_is_not_logged() -> None:
    class NeverRight(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            logits = -9.0 * nn.functional.one_hot(batch[1], C) + 0 * self.net(batch[0])
            return {"loss": nn.functional.cross_entropy(logits, batch[1]), "logits": logits}

    metrics = fit([SignalTracker(), SignalLogger()], module=NeverRight()).callback_metrics
    assert metrics["signals/never_learned"] == 1
    assert "signals/first_learned" not in metrics
    assert not any(value.isnan() for value in metrics.values())


class Known(LightningDataModule):  # type: ignore[misc]
    """The small set, five labels of which are wrong."""

    def __init__(self, clean: Tensor) -> None:
        super().__init__()
        self.clean_targets = clean

    def train_dataloader(self) -> Any:
        return loader(shuffle=True)

    def val_dataloader(self) -> Any:
        return loader()


def test_where_true_labels_are_known_it_says_how_well_they_are_found() -> None:
    clean = torch.where(torch.arange(N) % 3 == 1, (Y + 1) % C, Y)
    clean[2] = -1
    tracker = SignalTracker()
    trainer = fit([tracker, SignalLogger()], datamodule=Known(clean), epochs=2)
    known = clean >= 0
    expected = detection_auroc(suspicion(tracker.scores())[known], (clean != Y)[known])
    assert trainer.callback_metrics["signals/suspicion_auroc"] == pytest.approx(expected)
    trainer = fit([SignalTracker(), SignalLogger()], datamodule=Known(torch.full((N,), -1)))
    assert "signals/suspicion_auroc" not in trainer.callback_metrics
    trainer = fit([SignalTracker(), SignalLogger()], datamodule=Known(clean[:3]))  # of some other set
    assert "signals/suspicion_auroc" not in trainer.callback_metrics


def test_canaries_are_left_out_of_what_is_found() -> None:
    clean = torch.where(torch.arange(N) % 3 == 1, (Y + 1) % C, Y)
    canaries, tracker = LabelCanaries(C, fraction=0.2, seed=3), SignalTracker()
    metrics = fit([canaries, tracker, SignalLogger()], datamodule=Known(clean), epochs=2).callback_metrics
    kept = torch.ones(N, dtype=torch.bool).index_fill(0, canaries.rows, False)
    assert len(canaries.rows) > 0
    expected = detection_auroc(suspicion(tracker.scores())[kept], (clean != Y)[kept])
    assert metrics["signals/suspicion_auroc"] == pytest.approx(expected)


def test_each_tracker_has_curves_and_a_sweep_only_when_there_was_one() -> None:
    sweep, logger = SweepTracker("EL2N", every_n_epochs=2, logits="net", name="clean view"), Records()
    early = SignalTracker("Margin", epoch_range=(0, 0), name="early")
    callbacks = [sweep, SignalTracker(), early, SignalLogger()]
    fit(callbacks, epochs=5, logger=logger, log_every_n_steps=1)
    assert [len(logger.curve(name)) for name in ("signals/aum", "clean view/el2n", "early/aum")] == [5, 2, 1]


def test_a_sweep_at_the_end_of_the_fit_is_logged_too() -> None:
    sweep, logger = SweepTracker("EL2N", every_n_epochs=None, logits="net"), TensorBoardLogger()
    trainer = fit([sweep, SignalLogger(num_images=0)], epochs=2, logger=logger, log_every_n_steps=1)
    assert logger.curve("sweep/el2n") == [pytest.approx(sweep.scores()["el2n"].mean().item())]
    assert ("sweep/el2n/all", trainer.global_step) in logger.experiment.histograms


def test_without_a_logger_the_metrics_are_there_all_the_same() -> None:
    assert "signals/aum" in fit([SignalTracker(), SignalLogger()]).callback_metrics
    assert fit([SignalLogger()]).callback_metrics == {}


# -- figures -------------------------------------------------------------------------------------------------------


def test_histograms_of_each_score_every_few_epochs_and_at_the_end() -> None:
    tracker, logger = SignalTracker(), TensorBoardLogger()
    run([tracker, SignalLogger(every_n_epochs=2, num_images=0)], epochs=5, logger=logger)
    drawn, scores = logger.experiment.histograms, tracker.scores()
    assert sorted({step for _, step in drawn}) == [6, 12, 15]  # three steps an epoch
    assert logger.experiment.images == logger.experiment.texts == {}
    shown = {name for name, value in scores.items() if not value.isnan().all()} - {"given", "suggested"}
    assert {tag for tag, step in drawn if step == 15} == {f"signals/{name}/all" for name in {*shown, "suspicion"}}
    assert torch.equal(drawn["signals/aum/all", 15], scores["aum"])
    assert torch.equal(drawn["signals/suspicion/all", 15], suspicion(scores))


def test_wrong_and_right_labels_apart_and_unseen_ones_left_out() -> None:
    clean = torch.where(torch.arange(N) % 3 == 1, (Y + 1) % C, Y)
    clean[0] = -1
    tracker, logger = SignalTracker(), TensorBoardLogger()
    options: dict[str, Any] = {"limit_train_batches": 2, "log_every_n_steps": 1, "logger": logger}
    fit([tracker, SignalLogger(num_images=0)], datamodule=Known(clean), **options)
    aum, seen = tracker.scores()["aum"], tracker.scores()["aum"].isfinite()
    for part, mask in (("wrong", clean != Y), ("right", clean == Y)):
        assert torch.equal(logger.experiment.histograms[f"signals/aum/{part}", 2], aum[mask & seen & (clean >= 0)])
    assert ("signals/aum/all", 2) not in logger.experiment.histograms


def tiles(grid: Tensor, count: int) -> list[float]:
    """The brightness of the first pictures of a grid of eight in a row, 4 pixels a side and 2 apart."""
    step = SIDE + 2
    places = [(2 + step * (i // 8), 2 + step * (i % 8)) for i in range(count)]
    return [float(grid[:, y : y + SIDE, x : x + SIDE].float().mean()) for y, x in places]


@pytest.mark.parametrize("kind", ["positions", "subset", "carried", "subset of carried", "dict", "tensors"])
def test_the_gallery_shows_the_suspects_in_order(kind: str) -> None:
    data: Any = Pictures()
    kept = [9, 8, 1, 2, 0, 11, 10, 4, 3, 7, 6]  # without 5
    images = torch.stack([(data[i][0] * 255).round().to(torch.uint8) for i in range(N)])
    if kind == "dict":
        data = [{"image": data[i][0], "label": data[i][1]} for i in range(N)]
    if "carried" in kind:
        data = IndexedDataset(data)
    if "subset" in kind:
        data = Subset(data, kept)
    train = loader(data, shuffle=True)
    if kind == "tensors":
        train = TensorLoader(images, Y, batch_size=4, shuffle=True)
    tracker, logger = SignalTracker(), TensorBoardLogger()
    run([tracker, SignalLogger(num_images=10)], train, epochs=3, logger=logger)
    scores = tracker.scores()
    order = [r for r in suspicion(scores).argsort(descending=True, stable=True).tolist() if scores["aum"][r].isfinite()]
    rows = order[:10]
    pictured = [kept[row] for row in rows] if kind == "subset" else rows  # rows count in the dataset inside, else
    (((tag, step), grid),) = logger.experiment.images.items()
    assert (tag, step) == ("signals/suspects", tracker_steps(tracker, train, 3))
    assert grid.dtype == torch.uint8
    assert tiles(grid, 10) == [round(255 * i / 100) for i in pictured]
    text = logger.experiment.texts["signals/suspects_text", step].splitlines()[2:]
    names = Pictures.classes if kind in ("positions", "subset", "carried", "subset of carried") else "012"
    for number, (row, i, line) in enumerate(zip(rows, pictured, text, strict=True)):
        suggested = names[int(scores["suggested"][row])]
        place = f"{number // 8 + 1}.{number % 8 + 1}"
        assert line == f"| {place} | {i} | {names[Y[i]]} | {suggested} | {suspicion(scores)[row]:.3f} |"


def tracker_steps(tracker: SignalTracker, train: Any, epochs: int) -> int:
    return epochs * len(train)


def test_canaries_are_no_suspects() -> None:
    canaries, tracker, logger = LabelCanaries(C, fraction=0.2, seed=3), SignalTracker(), TensorBoardLogger()
    run([canaries, tracker, SignalLogger(num_images=N)], epochs=2, logger=logger)
    (text,) = logger.experiment.texts.values()
    shown = sorted(int(line.split("|")[2]) for line in text.splitlines()[2:])
    assert shown == sorted(set(range(N)) - set(canaries.rows.tolist()))
    assert len(canaries.rows) > 0


def test_wandb_gets_histograms_and_pictures_with_captions(monkeypatch: pytest.MonkeyPatch) -> None:
    def histogram(values: Any, num_bins: int) -> Any:
        return ("histogram", values, num_bins)

    def image(picture: Any, caption: str) -> Any:
        return (picture.shape, picture.dtype, caption)

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(Histogram=histogram, Image=image))
    tracker, logger = SignalTracker(), WandbLogger()
    run([tracker, SignalLogger(num_images=3)], epochs=2, logger=logger)
    (logged,) = logger.experiment.logged
    assert logged["trainer/global_step"] == 6
    kind, values, _ = logged["signals/aum/all"]
    assert kind == "histogram"
    np.testing.assert_array_equal(values, tracker.scores()["aum"].numpy())
    suspects = top_suspects(tracker, tracker.scores(), 3, Pictures.classes)
    assert logged["signals/suspects"] == [((SIDE, SIDE, 3), np.uint8, str(suspect)) for suspect in suspects]
    assert all(" -> " in str(suspect) or suspect.suggested == suspect.given for suspect in suspects)


def test_nothing_is_imported_for_a_logger_that_is_not_in_use() -> None:
    before = set(sys.modules)
    run([SignalTracker(), SignalLogger()], epochs=2, logger=TensorBoardLogger())
    assert not {"wandb", "tensorboard", "torch.utils.tensorboard"} & (set(sys.modules) - before)


def test_a_logger_derived_from_one_that_draws_draws_once() -> None:
    mine, other = type("Mine", (type("TensorBoardLogger", (TensorBoardLogger,), {}),), {})(), Records()
    run([SignalTracker(), SignalLogger(num_images=2)], logger=[other, mine])
    assert len(mine.experiment.images) == 1
    assert other.experiment.images == {}


def test_only_the_first_process_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "is_global_zero", property(lambda trainer: False))
    logger = TensorBoardLogger()
    data = Pictures()
    run([SignalTracker(), SignalLogger()], loader(data), logger=logger)
    assert logger.experiment.histograms == logger.experiment.images == {}
    assert data.read == [1] * N


def test_data_of_one_of_several_loaders() -> None:
    logger, train = TensorBoardLogger(), {"a": loader(Pictures()), "b": loader()}

    class OfA(OfPictures):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return super().training_step(batch["a"], batch_idx)

    run([SignalTracker(loader="a"), SignalLogger(loader="a", num_images=2)], train, OfA(), logger=logger)
    assert len(logger.experiment.images) == 1


# -- no images -----------------------------------------------------------------------------------------------------


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        for i, (x, y) in enumerate(Pictures()[j] for j in range(N)):
            yield {"image": x, "label": y, "index": i}


class Named(Pictures):
    def __getitem__(self, i: int) -> Any:
        return {"image": super().__getitem__(i)[0], "label": int(Y[i]), "index": f"sample {i}"}


class Renumbered(Pictures):
    """Carries numbers that are not its samples' positions."""

    def __getitem__(self, i: int) -> Any:
        return {"image": super().__getitem__(i)[0], "label": int(Y[i]), "index": N - 1 - i}


@pytest.mark.parametrize(
    ("train", "module", "reason"),
    [
        (loader(), Module(), r"the inputs are tensor \(12, 1\) float32, not images of 1 or 3 channels"),
        (DataLoader(Stream(), 4), OfPictures(), "a DataLoader gives no sample by its row"),
        (loader(Named()), OfPictures(), "the samples have names, not positions"),
        (loader(Renumbered()), OfPictures(), "the row numbers that batches carry are not positions in the dataset"),
    ],
)
def test_no_images_are_said_once(train: Any, module: Any, reason: str) -> None:
    logger = TensorBoardLogger()
    size = N if isinstance(train.dataset, Stream) else None
    callbacks = [SignalTracker(num_samples=size), SignalLogger(every_n_epochs=1)]
    with pytest.warns(
        UserWarning, match=f"SignalLogger shows no gallery of suspects: {reason}.*; `num_images=0`"
    ) as told:
        run(callbacks, train, module, epochs=3, logger=logger)
    assert len([w for w in told if "gallery" in str(w.message)]) == 1
    assert logger.experiment.images == logger.experiment.texts == {}
    assert len(logger.experiment.histograms) > 3


def test_pictures_are_small_and_in_range() -> None:
    wide = torch.linspace(-3, 5, 2 * 3 * 64 * 300).view(2, 3, 64, 300)
    shown = as_pictures(wide)
    assert shown.shape == (2, 3, 27, MAX_SIDE)
    assert shown.amin((1, 2, 3)).max() <= 2
    assert shown.amax((1, 2, 3)).min() >= 253
    grey = torch.tensor([[0.25]]).expand(1, 1, 2, 2)
    assert as_pictures(grey).unique().tolist() == [64]
    assert as_pictures((grey * 255).to(torch.uint8)).shape == (1, 3, 2, 2)
    assert as_pictures(torch.full((1, 1, 2, 2), 7.0)).unique().tolist() == [0]  # one value only
    for wrong in (torch.zeros(2, 5, 4, 4), torch.zeros(2, 4), "text"):
        with pytest.raises(ValueError, match="not images of 1 or 3 channels"):
            as_pictures(wrong)


def test_images_come_through_a_worker_where_training_s_do() -> None:
    data = Pictures()
    shown = training_images(DataLoader(data, 2, num_workers=2), [3, 11])
    assert shown[:, 0, 0, 0].tolist() == [8, 28]
    assert data.read == [0] * N  # another process has read them


# -- suspects ------------------------------------------------------------------------------------------------------


def test_what_is_suspected_where_a_part_is_not_tracked() -> None:
    tracker = SignalTracker(["Margin"])
    fit([tracker], limit_train_batches=2, limit_val_batches=0)
    aum = tracker.scores()["aum"]
    suspects = top_suspects(tracker, tracker.scores(), 20)
    assert [s.row for s in suspects] == aum[:8].argsort(stable=True).tolist()
    assert {s.suggested for s in suspects} == {""}
    assert str(suspects[0]) == f"{suspects[0].row}: {Y[suspects[0].row]}"
    assert suspicion_of(tracker.scores(), []).isnan().all()


# -- training cannot tell ------------------------------------------------------------------------------------------


def test_training_is_the_same() -> None:
    def weights(*more: Any) -> Tensor:
        module = OfPictures()
        torch.manual_seed(1)
        np.random.seed(1)
        random.seed(1)
        data = Pictures(noise=1.0)
        run([SignalTracker(), *more], loader(data, shuffle=True), module, epochs=4, logger=TensorBoardLogger())
        reads.append(sum(data.read))
        return torch.cat([p.detach().flatten() for p in module.parameters()])

    reads: list[int] = []
    assert torch.equal(weights(), weights(SignalLogger(every_n_epochs=1, num_images=3)))
    assert reads == [4 * N, 4 * N + 4 * 3]


# -- the real ones -------------------------------------------------------------------------------------------------


def digits(callbacks: Sequence[Any], logger: Any, epochs: int = 2) -> Any:
    data = Digits(noise_rate=0.2, num_train=200, batch_size=50)
    module = CrossEntropy(backbone="digits_cnn", num_classes=10, in_channels=1, image_size=8)
    return fit(callbacks, module=module, epochs=epochs, datamodule=data, logger=logger, log_every_n_steps=1)


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_a_real_tensorboard_shows_it(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = lightning_module("loggers").TensorBoardLogger(tmp_path, name="", version="")
    trainer = digits([SignalTracker(), SignalLogger()], logger)
    events = EventAccumulator(str(tmp_path), size_guidance={"histograms": 0, "images": 0, "scalars": 0})
    events.Reload()
    tags = events.Tags()
    assert {"signals/aum/wrong", "signals/aum/right", "signals/suspicion/wrong"} <= set(tags["histograms"])
    assert [e.step for e in events.Histograms("signals/aum/wrong")] == [trainer.global_step]
    assert "signals/suspects" in tags["images"]
    assert {"signals/aum", "signals/suspicion_auroc"} <= set(tags["scalars"])
    assert "signals/suspects_text/text_summary" in tags["tensors"]


@pytest.mark.skipif(find_spec("wandb") is None, reason="wandb is not installed")
def test_a_real_wandb_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    logger = lightning_module("loggers").WandbLogger(save_dir=tmp_path, project="labels")
    digits([SignalTracker(), SignalLogger()], logger)
    kept = dict(logger.experiment.summary)
    logger.experiment.finish()
    assert kept["signals/aum/wrong"]["_type"] == "histogram"
    assert kept["signals/suspects"]["_type"] == "images/separated"
    assert kept["signals/suspects"]["count"] == 32
    assert "signals/suspicion_auroc" in kept


def test_errors() -> None:
    with pytest.raises(ValueError, match="`every_n_epochs` must be at least 1, got 0"):
        SignalLogger(every_n_epochs=0)
    with pytest.raises(ValueError, match="`num_images` must be at least 1, got -1: or 0 for no gallery"):
        SignalLogger(num_images=-1)
