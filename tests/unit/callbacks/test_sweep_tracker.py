"""A sweep equals a loop over all samples with the epoch's weights, and training cannot tell that there was one."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from noisylearn._compat import Callback
from noisylearn.callbacks import SweepTracker
from noisylearn.data import Digits, IndexedDataset, TensorLoader
from noisylearn.methods import CrossEntropy
from noisylearn.signals import Observation, PredictionDepth, Score, Signal, margin, prediction_depth
from noisylearn.tables import Column, Views
from tests.unit.callbacks.small import C, Module, N, X, Y, dataset, fit, loader


def network() -> nn.Sequential:
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(1, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, C))


class Weights(Callback):  # type: ignore[misc]  # its base is made at import time
    """The logits of all samples in evaluation mode after each epoch's last step, by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.logits: list[Tensor] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        if trainer.is_last_batch:
            net = network()
            net.load_state_dict(pl_module.net.state_dict())
            net.eval()
            with torch.no_grad():
                self.logits.append(torch.stack([net((x / N)[None])[0] for x in X]))


class Forward(Module):
    def __init__(self) -> None:
        super().__init__(network())

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x / N)
        return logits

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return nn.functional.cross_entropy(self(batch[0]), batch[1])


class NoForward(Module):
    """Calls its network on what it makes of the input."""

    def __init__(self) -> None:
        super().__init__(nn.Sequential(Scaled(), network()))

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])


class Scaled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / N


def margins(weights: Weights) -> Tensor:
    return torch.stack([margin(logits, Y) for logits in weights.logits])


@pytest.mark.parametrize(
    "train",
    [
        lambda: loader(shuffle=True),
        lambda: loader(shuffle=True, drop_last=True, batch_size=5),
        lambda: loader(shuffle=True, num_workers=2),
        lambda: loader(IndexedDataset(dataset()), shuffle=True),
        lambda: TensorLoader(X[:, :, None, None], Y, batch_size=5, shuffle=True, channels_last=False),
    ],
)
def test_a_sweep_equals_a_loop_over_all_samples(train: Any) -> None:
    class Flat(Forward):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.flatten(1))

    tracker, weights = SweepTracker(["Margin", "Forgetting"]), Weights()
    fit([tracker, weights], train(), Flat(), epochs=3)
    scores, expected = tracker.scores(), margins(weights)
    assert scores["given"].tolist() == Y.tolist()
    assert torch.allclose(scores["aum"], expected.mean(0), atol=1e-5)
    right = expected > 0
    assert scores["first_learned"].nan_to_num(-1).tolist() == [
        float(r.float().argmax()) if r.any() else -1.0 for r in right.T
    ]


@pytest.mark.parametrize(("every", "seen"), [(1, 4), (2, 2), (3, 1), (None, 1)])
def test_how_often(every: int | None, seen: int) -> None:
    tracker = SweepTracker("Margin", every_n_epochs=every)
    fit([tracker], module=Forward(), epochs=4)
    assert tracker.signal_set is not None
    assert tracker.signal_set.table.views()["n_seen"].tolist() == [seen] * N
    with pytest.raises(ValueError, match="`every_n_epochs` must be at least 1, got 0: or None for one sweep"):
        SweepTracker("Margin", every_n_epochs=0)


@pytest.mark.parametrize(
    ("every", "epoch_range", "swept"),
    [(1, (1, 2), [1, 2]), (2, (1, 2), [1]), (2, (0, 0), []), (None, (0, 3), [3]), (None, (0, 2), [])],
)
def test_only_epochs_in_the_range_are_swept(every: int | None, epoch_range: tuple[int, int], swept: list[int]) -> None:
    tracker = SweepTracker("Margin", every_n_epochs=every, epoch_range=epoch_range)
    fit([tracker], module=Forward(), epochs=4)
    if not swept:
        assert tracker.signal_set is None
        return
    assert tracker.signal_set is not None
    assert tracker.signal_set.table.views()["n_seen"].tolist() == [len(swept)] * N
    assert tracker.epochs == (swept[0], swept[-1])


def test_a_range_of_epochs_that_cannot_be() -> None:
    with pytest.raises(
        ValueError, match=r"`epoch_range` must be \(first, last\) with 0 <= first <= last, got \(3, 2\)"
    ):
        SweepTracker("Margin", epoch_range=(3, 2))


@pytest.mark.parametrize(("epoch_range", "missed"), [((0, 9), True), ((2, 9), False)])
def test_a_sweep_that_was_missed_before_the_resume_is_told(
    epoch_range: tuple[int, int], missed: bool, tmp_path: Path
) -> None:
    fit([], module=Forward(), epochs=2).save_checkpoint(tmp_path / "two.ckpt")
    tracker = SweepTracker("Margin", epoch_range=epoch_range)
    with pytest.warns(UserWarning, match="is not in the checkpoint") if missed else nullcontext():
        fit([tracker], module=Forward(), epochs=3, resume=tmp_path / "two.ckpt")
    assert tracker.epochs == (2, 2)


class Draws(Callback):  # type: ignore[misc]  # its base is made at import time
    """Draws a number from every generator at each epoch's end, as a later epoch would."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[tuple[float, float, float]] = []
        self.modes: list[list[bool]] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.drawn.append((float(torch.rand(1)), random.random(), float(np.random.rand())))
        self.modes.append([part.training for part in pl_module.modules()])
        assert trainer.training


class Noisy(Dataset[Any]):
    """A transform that draws."""

    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> Any:
        return X[i] + torch.rand(1) + random.random() + np.random.rand(), Y[i]


@pytest.mark.filterwarnings("ignore:Found 1 module.* in eval mode at the start of training")
@pytest.mark.parametrize("frozen", [False, True])
def test_training_cannot_tell(frozen: bool) -> None:
    ends = []
    for callbacks in ([], [SweepTracker(["Margin"])], [SweepTracker(["EL2N"], dataset=dataset(), transform="none")]):
        random.seed(0)
        np.random.seed(0)
        module, draws = Forward(), Draws()
        if frozen:
            module.net[1].eval()
        torch.manual_seed(5)
        fit([*callbacks, draws], loader(Noisy(), shuffle=True), module, epochs=3)
        ends.append((module.state_dict(), draws.drawn, draws.modes))
    for weights, drawn, modes in ends[1:]:
        assert all(torch.equal(weights[name], value) for name, value in ends[0][0].items())
        assert drawn == ends[0][1]
        assert modes == ends[0][2]


def test_the_submodule_that_makes_the_logits_is_found_or_named() -> None:
    found: list[Tensor] = []
    for logits in (None, "net", lambda module, batch: module.net(batch[0])):
        tracker, module = SweepTracker("Margin", logits=logits), NoForward()
        fit([tracker], loader(), module, epochs=2)
        found.append(tracker.scores()["aum"])
        for part in module.modules():
            assert not part._forward_hooks, "a hook is left"
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_batches_that_are_dicts() -> None:
    class Items(Dataset[Any]):
        def __len__(self) -> int:
            return N

        def __getitem__(self, i: int) -> Any:
            return {"pixels": X[i], "label": Y[i]}

    class Takes(Forward):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return nn.functional.cross_entropy(self(batch["pixels"]), batch["label"])

    for key in ("pixels", lambda batch: batch["pixels"]):
        tracker = SweepTracker("Margin", input=key)
        fit([tracker], DataLoader(Items(), 4), Takes(), limit_val_batches=0)
        assert tracker.scores()["given"].tolist() == Y.tolist()
    with pytest.raises(
        ValueError, match=r"`input`: nothing found in the batch, which is dict {pixels: .*pass `input=`"
    ):
        fit([SweepTracker("Margin")], DataLoader(Items(), 4), Takes(), limit_val_batches=0)


def test_a_subset_is_swept_and_its_rows_are_resolved() -> None:
    rows = [7, 2, 11, 5]
    tracker = SweepTracker("Margin")
    fit([tracker], loader(Subset(dataset(), rows)), Forward())
    assert tracker.scores()["given"].tolist() == Y[rows].tolist()
    assert tracker.dataset_index == rows
    assert tracker.per_row(Y) is not None


def test_our_data_module_is_swept_without_augmentation() -> None:
    tracker = SweepTracker("Margin")
    data = Digits(num_train=60, batch_size=16, augment=True)
    module = CrossEntropy(backbone="mlp", num_classes=10, in_channels=1, image_size=8)
    fit([tracker], module=module, datamodule=data)
    batch = next(iter(data.predict_dataloader()))
    module.eval()
    expected = margin(module(batch.input), batch.target)
    assert torch.allclose(tracker.scores()["aum"][batch.index], expected, atol=1e-5)
    assert len(batch.index) == 60


class Everything(Signal):
    """Keeps what a sweep gives beside the logits."""

    paper = "none"
    needs = ("features", "layers", "inputs", "network")
    scores = (Score("everything", "all of it", None),)
    columns = (Column("features", width=6, merge="last"), Column("layers", width=6 + C, merge="last"), Column("x"))

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        assert obs.features is not None
        assert obs.layers is not None
        assert obs.inputs is not None
        assert obs.network is not None
        with torch.enable_grad():
            x = obs.inputs.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(obs.network(x).sum(), x)
        return {"features": obs.features, "layers": torch.cat(list(obs.layers), 1), "x": gradient[:, 0]}

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        return {"everything": state["n_seen"].float()}


def test_what_a_sweep_gives_to_signals() -> None:
    tracker, module = SweepTracker(Everything(), layers=["net.1", "net"], every_n_epochs=None), Forward()
    fit([tracker], loader(), module)
    assert tracker.signal_set is not None
    state = tracker.signal_set.table.views()
    module.eval()
    first = module.net[:2](X / N).detach()
    x = X.clone().requires_grad_()
    logits = module(x)
    (gradient,) = torch.autograd.grad(logits.sum(), x)
    assert torch.allclose(state["features"], torch.relu(first), atol=1e-6)
    assert torch.allclose(state["layers"], torch.cat([first, logits.detach()], 1), atol=1e-6)
    assert torch.allclose(state["x"], gradient[:, 0], atol=1e-6)
    for part in module.modules():
        assert not part._forward_hooks, "a hook is left"
    with pytest.raises(ValueError, match="`layers`: there is no submodule 'nett'; there are net"):
        fit([SweepTracker("Margin", layers=["nett"])], loader(), Forward())
    tracker = SweepTracker(Everything(), layers=["net"], logits=lambda module, batch: module(batch[0]))
    with pytest.raises(ValueError, match=r"`inputs` is needed by Everything, .* whose `logits` is not a function"):
        fit([tracker], loader(), Forward())


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter(zip(X, Y, range(N), strict=True))


def test_what_cannot_be_swept() -> None:
    class Wrong(Forward):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).flatten()

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self(batch[0]).sum()

    for tracker, train, module, message in (
        (
            SweepTracker("Margin"),
            DataLoader(Stream(), 4),
            Forward(),
            r"`dataset`: a sweep goes .* DataLoader of Stream",
        ),
        (
            SweepTracker("Margin", dataset=dataset(Y[:5])),
            loader(),
            Forward(),
            r"`dataset` must have .* \(12\), .* got 5",
        ),
        (
            SweepTracker("Margin", logits="nett"),
            loader(),
            Forward(),
            "`logits`: there is no submodule 'nett'; there are",
        ),
        (
            SweepTracker("Margin"),
            loader(),
            Wrong(),
            r"`logits`: the sweep got tensor \(12,\) float32 for 4 samples, not",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            fit([tracker], train, module)


def test_a_checkpoint_holds_the_sweeps(tmp_path: Any) -> None:
    whole, weights = SweepTracker(["Margin", "LossStatistics"]), Forward()
    fit([whole], loader(), weights, epochs=4)
    first, module = SweepTracker(["Margin", "LossStatistics"]), Forward()
    trainer = fit([first], loader(), module, epochs=2)
    file = io.BytesIO()
    path = tmp_path / "two.ckpt"
    trainer.save_checkpoint(path)
    torch.save(torch.load(path, weights_only=True)["callbacks"], file)
    second = SweepTracker(["Margin", "LossStatistics"])
    fit([second], loader(), Forward(), epochs=4, resume=path)
    assert whole.scores().keys() == second.scores().keys()
    for name, value in whole.scores().items():
        assert value.shape == second.scores()[name].shape
    assert second.signal_set is not None
    assert second.signal_set.table.views()["n_seen"].tolist() == [4] * N


def test_a_sweep_at_the_end_belongs_to_the_last_epoch() -> None:
    tracker = SweepTracker("Margin", every_n_epochs=None)
    fit([tracker], module=Forward(), epochs=3)
    assert tracker.signal_set is not None
    assert tracker.signal_set.table.views()["last_epoch"].tolist() == [2] * N


class Halving(Forward):
    """A body at ten times the head's rate, both halved after every step."""

    def configure_optimizers(self) -> Any:
        body, head = self.net[0].parameters(), self.net[4].parameters()
        optimizer = torch.optim.SGD([{"params": body, "lr": 10.0}, {"params": head, "lr": 1.0}])
        rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rates, "interval": "step"}}


@pytest.mark.parametrize("every", [1, None])
def test_the_learning_rate_is_the_last_steps(every: int | None) -> None:
    """Of the last layer where that is known, else the largest; not the one that a scheduler has moved on to."""
    tracker = SweepTracker(["SelfInfluence", "PacedError", "EL2N"], every_n_epochs=every)
    paced = SweepTracker(["PacedError", "EL2N"], every_n_epochs=every, name="paced")
    fit([tracker, paced], module=Halving(), epochs=1)  # of three steps
    scores = tracker.scores()
    square = scores["el2n"].square()
    assert torch.allclose(scores["self_influence_normalized"], 0.25 * square)
    assert torch.allclose(scores["paced_error"], 0.25 * square)
    assert bool((scores["self_influence"] >= scores["self_influence_normalized"]).all())
    assert torch.allclose(paced.scores()["paced_error"], 2.5 * square)


class OneLogit(Forward):
    def __init__(self) -> None:
        super().__init__()
        self.net[4] = nn.Linear(6, 1)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return nn.functional.binary_cross_entropy_with_logits(self(batch[0]), batch[1])


class Pair(OneLogit):
    """The same with two logits ``[0, z]``."""

    def forward(self, x: Tensor) -> Tensor:
        z = super().forward(x)
        return torch.cat([torch.zeros_like(z), z], 1)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return nn.functional.cross_entropy(self(batch[0]), batch[1])


def test_a_binary_head_of_one_logit_is_two_classes() -> None:
    """Signals of gradients too, which run the network themselves."""
    y = torch.arange(N) % 2
    one, two = (SweepTracker(["Margin", "GraNd", "CumulativeSampleGradient"], transform="none") for _ in range(2))
    fit([one], loader(TensorDataset(X, y[:, None].float())), OneLogit(), epochs=2, limit_val_batches=0)
    fit([two], loader(TensorDataset(X, y)), Pair(), epochs=2, limit_val_batches=0)
    scores, expected = one.scores(), two.scores()
    assert scores["given"].tolist() == y.tolist()
    for name in expected:
        assert torch.allclose(scores[name], expected[name], atol=1e-5), name


def test_soft_binary_labels_have_no_given_one() -> None:
    soft = TensorDataset(X, torch.full((N, 1), 0.25))
    with pytest.raises(
        ValueError, match=r"`target` must be \(B,\) class ids, got tensor \(4, 1\) float32: soft and mult"
    ):
        fit([SweepTracker("Margin")], loader(soft), OneLogit(), limit_val_batches=0)


class Tokens(Forward):
    """Eight tokens of six channels, averaged before the head, as in a transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(1, 8 * 6), nn.Linear(6, C)
        self.tokens = nn.Unflatten(1, (8, 6))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.tokens(self.body(x / N)).mean(1))
        return logits


def test_prediction_depth_of_tokens() -> None:
    """A layer's channels may come last: averaged are its positions, whichever dimensions they are."""
    tracker, module = SweepTracker(PredictionDepth([6], k=3), layers=["tokens"], every_n_epochs=None), Tokens()
    fit([tracker], module=module)
    with torch.no_grad():
        pooled = module.tokens(module.body(X / N)).mean(1)
        expected = prediction_depth([pooled], Y, module(X).argmax(1), k=3)
    assert tracker.signal_set is not None
    assert torch.allclose(tracker.signal_set.table.views()["layers"], pooled, atol=1e-6)
    assert tracker.scores()["prediction_depth"].tolist() == expected.tolist()
