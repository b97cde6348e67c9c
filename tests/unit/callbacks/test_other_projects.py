"""What projects do beside the usual: manual optimization, binary heads, ignored labels, several loaders, features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from pytorch_lightning.utilities import CombinedLoader
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from noisylearn.callbacks import SignalTracker, SweepTracker
from noisylearn.signals import Margin, Observation, Score, Signal
from noisylearn.tables import Column, Views
from tests.unit.callbacks.small import C, Module, N, X, Y, dataset, fit, loader


class FeatureNorm(Signal):
    """Keeps what it needs: the sum of the features and of the learning rates."""

    paper = "none"
    needs = ("features", "learning_rate")
    scores = (Score("feature_sum", "sum", None), Score("rate_sum", "sum", None))
    columns = (Column("feature_sum"), Column("rate_sum"))

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        assert obs.features is not None
        assert obs.learning_rate is not None
        return {"feature_sum": obs.features.sum(1), "rate_sum": obs.learning_rate}

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        return {"feature_sum": state["feature_sum"].clone(), "rate_sum": state["rate_sum"].clone()}


class Manual(Module):
    """Two optimizers, two backward passes, nothing returned."""

    def __init__(self, skip: tuple[int, ...] = ()) -> None:
        super().__init__(nn.Sequential(nn.Linear(1, 8), nn.ReLU(), nn.Linear(8, C)))
        self.critic = nn.Linear(1, 1)
        self.automatic_optimization = False
        self.skip = skip

    def training_step(self, batch: Any, batch_idx: int) -> None:
        if batch_idx in self.skip:
            return
        x, y = batch
        for optimizer, loss in zip(
            self.optimizers(), (nn.functional.cross_entropy(self.net(x / N), y), self.critic(x).mean()), strict=True
        ):
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(m.parameters(), lr=0.1) for m in (self.net, self.critic)]


def test_manual_optimization_that_returns_nothing_is_tracked() -> None:
    tracker = SignalTracker()
    fit([tracker], module=Manual(), epochs=2)
    assert tracker.scores()["given"].tolist() == Y.tolist()
    assert tracker.signal_set is not None
    assert tracker.signal_set.table.views()["n_seen"].tolist() == [2] * N


def test_under_manual_optimization_a_step_that_runs_no_network_is_skipped() -> None:
    tracker = SignalTracker()
    fit([tracker], module=Manual(skip=(1,)))
    assert tracker.scores()["aum"].isnan().tolist() == [False] * 4 + [True] * 4 + [False] * 4


def test_an_epoch_in_which_nothing_was_seen_is_told() -> None:
    with pytest.warns(UserWarning, match="SignalTracker saw no logits in the 3 steps of epoch 0: every step was skipp"):
        fit([SignalTracker()], module=Manual(skip=(0, 1, 2)))


class Binary(Module):
    """One logit and a binary cross-entropy; labels are 0. and 1., with or without a second dimension."""

    def __init__(self, squeeze: bool) -> None:
        super().__init__(nn.Sequential(nn.Linear(1, 1), *([nn.Flatten(0)] if squeeze else [])))
        self.seen: list[Tensor] = []

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        z = self.net(batch[0] / N)
        self.seen.append(z.detach().reshape(-1))
        return nn.functional.binary_cross_entropy_with_logits(z.reshape(-1), batch[1].reshape(-1))


@pytest.mark.parametrize("squeeze", [False, True])
@pytest.mark.parametrize("columns", [False, True])
def test_a_binary_head_has_one_logit(squeeze: bool, columns: bool) -> None:
    y = (torch.arange(N) % 2).float()
    module, tracker = Binary(squeeze), SignalTracker()
    fit([tracker], loader(TensorDataset(X, y[:, None] if columns else y)), module, limit_val_batches=0)
    z = torch.cat(module.seen)
    assert tracker.scores()["given"].tolist() == y.tolist()
    assert tracker.scores()["aum"].tolist() == pytest.approx(torch.where(y > 0, z, -z).tolist())


def test_a_soft_binary_label_is_refused() -> None:
    y = torch.full((N,), 0.25)
    with pytest.raises(
        ValueError, match=r"`target` must be \(B,\) class ids, got tensor \(4,\) float32: soft and mult"
    ):
        fit([SignalTracker()], loader(TensorDataset(X, y)), Binary(True), limit_val_batches=0)


class Ignores(Module):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return nn.functional.cross_entropy(self.net(batch[0] / N), batch[1], ignore_index=-100)


def test_samples_without_a_label_are_passed_over() -> None:
    y = torch.where(torch.arange(N) % 4 == 1, -100, Y)
    tracker = SignalTracker(ignore_index=-100)
    fit([tracker], loader(dataset(y)), Ignores(), epochs=2, limit_val_batches=0)
    assert tracker.scores()["aum"].isnan().tolist() == (y == -100).tolist()
    assert tracker.signal_set is not None
    assert tracker.signal_set.table.num_non_finite == 0
    with pytest.raises(ValueError, match=r"got -100: .*if it means that no label is given, pass `ignore_index=` it"):
        fit([SignalTracker()], loader(dataset(y)), Ignores(), limit_val_batches=0)


class TwoLoaders(Module):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        part = batch["labelled"]
        if part is None:
            return None
        logits = self.net(part[0] / N)
        return {"loss": nn.functional.cross_entropy(logits, part[1]), "logits": logits}


def loaders() -> dict[str, Any]:
    return {
        "labelled": loader(shuffle=True),
        "other": DataLoader(TensorDataset(X + 100, Y), batch_size=3, shuffle=True),
    }


def test_one_of_several_loaders_is_tracked() -> None:
    for mode in ("max_size_cycle", "min_size"):
        tracker = SignalTracker(loader="labelled")
        fit([tracker], CombinedLoader(loaders(), mode), TwoLoaders(), epochs=2, limit_val_batches=0)
        assert tracker.scores()["given"].tolist() == Y.tolist()


@pytest.mark.filterwarnings("ignore:.*training_step. returned .None.:UserWarning")  # told once a process
def test_a_loader_that_ends_before_the_others() -> None:
    tracker = SignalTracker(loader="labelled")
    fit([tracker], CombinedLoader(loaders(), "max_size"), TwoLoaders(), epochs=2, limit_val_batches=0)
    assert tracker.scores()["given"].tolist() == Y.tolist()
    assert tracker.signal_set is not None
    assert tracker.signal_set.table.views()["n_seen"].tolist() == [2] * N


def test_several_loaders_need_a_name() -> None:
    for options, message in (
        ({}, "`target`: no labels found in the batch, which is dict {labelled: list"),
        ({"target": lambda batch: batch["labelled"][1]}, "there are several training loaders, in a dict; say which"),
        ({"loader": "labeled"}, r"`loader='labeled'` is not in the batch, which is dict {labelled"),
    ):
        with pytest.raises(ValueError, match=message):
            fit([SignalTracker(**options)], loaders(), TwoLoaders(), limit_val_batches=0)  # type: ignore[arg-type]


def features_of(tracker: SignalTracker) -> list[float]:
    return tracker.scores()["feature_sum"].tolist()


class Deep(Module):
    def __init__(self) -> None:
        torch.manual_seed(1)
        super().__init__(nn.Sequential(nn.Linear(1, 5), nn.ReLU(), nn.Linear(5, C)))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.0)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {
                "scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step),
                "interval": "step",
            },
        }


def test_features_are_what_the_last_linear_layer_reads() -> None:
    expected = Deep().net[:2](X / N).sum(1).tolist()
    for features in (None, "net.1"):
        tracker = SignalTracker([FeatureNorm()], features=features)
        module = Deep()
        fit([tracker], loader(), module, limit_val_batches=0)
        assert features_of(tracker) == pytest.approx(expected, rel=1e-5)
        for part in module.modules():
            assert not part._forward_hooks, "a hook is left"


def test_features_that_the_step_returns_or_that_are_computed() -> None:
    class Returns(Deep):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            h = self.net[:2](batch[0] / N)
            logits = self.net[2](h)
            return {"loss": nn.functional.cross_entropy(logits, batch[1]), "logits": logits, "features": h, "h": 2 * h}

    expected = Deep().net[:2](X / N).sum(1)
    for features, factor in (("features", 1), ("h", 2), (lambda outputs: 3 * outputs["features"], 3)):
        tracker = SignalTracker([FeatureNorm()], features=features)
        fit([tracker], loader(), Returns(), limit_val_batches=0)
        assert features_of(tracker) == pytest.approx((factor * expected).tolist(), rel=1e-5)


def test_the_learning_rate_is_the_one_that_the_step_was_made_with() -> None:
    class NoRate(Deep):
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
            rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rates, "interval": "step"}}

    tracker = SignalTracker([FeatureNorm()])
    fit([tracker], loader(), NoRate(), limit_val_batches=0)
    assert tracker.scores()["rate_sum"].tolist() == [1.0] * 4 + [0.5] * 4 + [0.25] * 4


def test_features_that_cannot_be_found() -> None:
    class Twice(Deep):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return nn.functional.cross_entropy(self.net(batch[0] / N) * 2, batch[1])

    class NoHead(Module):
        def __init__(self) -> None:
            super().__init__(nn.Sequential(nn.Unflatten(1, (1, 1)), nn.Conv1d(1, C, 1), nn.Flatten()))

    with pytest.raises(
        ValueError, match=r"`features` not found: 0 linear layers make the logits; those that ran: none"
    ):
        fit([SignalTracker([FeatureNorm()])], module=NoHead(), limit_val_batches=0)
    with pytest.raises(ValueError, match=r"`features`: 'net.9' is neither a key of training_step's output, which is d"):
        fit([SignalTracker([FeatureNorm()], features="net.9", logits="net")], module=Deep(), limit_val_batches=0)
    tracker = SignalTracker([FeatureNorm()], logits="net.2")
    fit([tracker], module=Twice(), limit_val_batches=0)  # the logits are the layer's own, whatever becomes of them
    assert tracker.signal_set is not None


def test_what_a_signal_needs_and_does_not_get_is_told() -> None:
    class Peers(FeatureNorm):
        needs = ("peer_logits",)

    class Sweeps(FeatureNorm):
        needs = ("inputs",)

    with pytest.raises(
        ValueError, match="`peer_logits` is needed by Peers, and the observation has none: it is for met"
    ):
        fit([SignalTracker([Peers()])])
    with pytest.raises(ValueError, match=r"`inputs` is needed by Sweeps, .*: track it in a sweep \(SweepTracker\)"):
        fit([SignalTracker([Sweeps()])])


def test_only_the_epochs_of_a_window_are_observed() -> None:
    tracker = SignalTracker(epoch_range=(1, 2))
    fit([tracker], epochs=4)
    assert tracker.signal_set is not None
    views = tracker.signal_set.table.views()
    assert views["n_seen"].tolist() == [2] * N
    assert views["last_epoch"].tolist() == [2] * N
    for wrong in ((2, 1), (-1, 3)):
        with pytest.raises(ValueError, match=r"`epoch_range` must be \(first, last\) with 0 <= first <= last, got"):
            SignalTracker(epoch_range=wrong)


def test_one_signal_or_one_name_needs_no_list() -> None:
    for signals in ("Margin", Margin()):
        tracker = SignalTracker(signals)
        fit([tracker])
        assert list(tracker.scores()) == ["given", "aum"]


class Output:
    """What a Hugging Face model returns."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


class Wrapped(nn.Linear):
    def forward(self, x: Tensor) -> Output:  # type: ignore[override]
        return Output(super().forward(x))


def test_an_output_object_has_its_logits_taken() -> None:
    class Takes(Module):
        def __init__(self) -> None:
            super().__init__(Wrapped(1, C))

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return nn.functional.cross_entropy(self.net(batch[0] / N).logits, batch[1])

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            pass

    for logits in (None, "net"):
        tracker = SignalTracker(logits=logits)
        fit([tracker], module=Takes())
        assert tracker.scores()["given"].tolist() == Y.tolist()


def test_a_misspelt_name_lists_the_submodules() -> None:
    with pytest.raises(
        ValueError, match=r"'nett' is neither a key .*, nor a submodule \(net, net.0, net.1, net.2\): pass"
    ):
        fit([SignalTracker(logits="nett")], module=Deep())


def test_a_sweep_of_a_forward_with_other_arguments_says_what_to_pass() -> None:
    class Keywords(Module):
        def forward(self, *, x: Tensor) -> Tensor:
            logits: Tensor = self.net(x / N)
            return logits

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return nn.functional.cross_entropy(self(x=batch[0]), batch[1])

    with pytest.raises(ValueError, match=r"could not be called with one input .*: pass `logits=lambda module, batch"):
        fit([SweepTracker("Margin")], module=Keywords(), limit_val_batches=0)
