"""When to stop: the first smoothed minimum, or a threshold; and what the module has afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from noisylearn._compat import Callback
from noisylearn.callbacks import EarlyMemorizationStop, LabelCanaries
from noisylearn.callbacks.early_memorization_stop import smoothed
from tests.unit.callbacks.small import C, Module, N, X, Y, dataset, fit, loader


def slow_first_minimum(curve: Sequence[float], window: int, patience: int) -> tuple[int, int] | None:
    """The position of the first smoothed minimum and of the value that shows it."""
    smooth = [sum(curve[max(i - window + 1, 0) : i + 1]) / len(curve[max(i - window + 1, 0) : i + 1])
              for i in range(len(curve))]  # fmt: skip
    for at in range(len(smooth)):
        after = smooth[at + 1 : at + 1 + patience]
        if (at == 0 or smooth[at] <= smooth[at - 1]) and len(after) == patience and min(after) > smooth[at]:
            return at, at + patience
    return None


class Logs(Callback):  # type: ignore[misc]  # its base is made at import time
    """Logs a curve as a metric, and remembers the weights of every epoch."""

    def __init__(self, curve: Sequence[float] = ()) -> None:
        super().__init__()
        self.curve = list(curve)
        self.weights: list[dict[str, Tensor]] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.weights.append({name: part.clone() for name, part in pl_module.state_dict().items()})
        if self.curve:
            pl_module.log("curve", self.curve[trainer.current_epoch])


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], value) for name, value in other.items())


CURVES = [
    ([9, 5, 4, 5, 6, 7, 8], 1, 2),
    ([9, 5, 6, 4, 5, 6, 7, 8], 1, 2),
    ([9, 5, 4, 4, 6, 7, 8, 9], 1, 3),
    ([1, 2, 3, 4, 5], 1, 3),
    ([9, 3, 8, 2, 7, 6, 9, 9, 9, 9], 3, 2),
    ([9, 8, 7, 6, 5, 4], 2, 2),
]


@pytest.mark.parametrize(("curve", "window", "patience"), CURVES)
def test_the_first_smoothed_minimum(curve: list[float], window: int, patience: int) -> None:
    logs = Logs(curve)
    stop, module = EarlyMemorizationStop("curve", window=window, patience=patience), Module()
    trainer = fit([logs, stop], module=module, epochs=len(curve))
    expected = slow_first_minimum(curve, window, patience)
    if expected is None:
        assert stop.stopped_epoch is None
        assert trainer.current_epoch == len(curve)
        assert same(module.state_dict(), logs.weights[-1])
    else:
        assert (stop.stopped_epoch, trainer.current_epoch - 1) == expected
        assert same(module.state_dict(), logs.weights[expected[0]])


@given(st.lists(st.integers(0, 9), min_size=1, max_size=25), st.integers(1, 4), st.integers(1, 4))
def test_one_pass_finds_what_the_definition_finds(curve: list[int], window: int, patience: int) -> None:
    stop = EarlyMemorizationStop("curve", window=window, patience=patience)
    found = candidate = None
    for epoch, value in enumerate(curve):
        stop._curve.append(float(value))
        if stop._goes_on(float(value)):
            candidate = epoch
        elif stop._has_set_in(float(value)):
            found = (candidate, epoch)
            break
    assert found == slow_first_minimum([float(v) for v in curve], window, patience)


def test_smoothed() -> None:
    assert smoothed([3.0, 5.0, 1.0], 2) == [3.0, 4.0, 3.0]
    assert smoothed([3.0, 5.0, 1.0], 1) == [3.0, 5.0, 1.0]


@pytest.mark.parametrize("restore", [True, False])
def test_a_threshold(restore: bool) -> None:
    logs = Logs([0.0, 0.1, 0.4, 0.6, 0.9])
    stop = EarlyMemorizationStop("curve", threshold=0.5, restore_weights=restore)
    module = Module()
    trainer = fit([logs, stop], module=module, epochs=5)
    assert trainer.current_epoch == 4
    assert stop.stopped_epoch == (2 if restore else 3)
    assert same(module.state_dict(), logs.weights[2 if restore else 3])


def test_label_wave_counts_the_predictions_that_changed() -> None:
    class Counts(Callback):  # type: ignore[misc]  # its base is made at import time
        def __init__(self) -> None:
            super().__init__()
            self.predictions: list[dict[int, int]] = []
            self.logged = -1.0

        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            self.predictions.append({})

        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            with torch.no_grad():
                predicted = pl_module.net(batch[0] / N).argmax(1).tolist()
            self.predictions[-1] |= dict(zip(batch[0][:, 0].long().tolist(), predicted, strict=True))

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            self.logged = float(trainer.callback_metrics["prediction_flips"])

    class Fast(Module):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=3.0)

    counts, stop = Counts(), EarlyMemorizationStop(patience=100)
    fit([counts, stop], loader(shuffle=True), Fast(), epochs=6)
    changed = [
        sum(before[i] != after[i] for i in range(N))
        for before, after in zip(counts.predictions, counts.predictions[1:], strict=False)
    ]
    assert sum(changed) > 0
    assert stop._curve == changed
    assert counts.logged == changed[-1]


def test_a_resumed_curve_counts_its_own_changes_alone(tmp_path: Path) -> None:
    class Jumps(Module):
        def on_train_epoch_start(self) -> None:
            torch.manual_seed(self.current_epoch)
            nn.init.normal_(self.net.weight)

    whole, first, second = (EarlyMemorizationStop(patience=100) for _ in range(3))
    fit([whole], module=Jumps(), epochs=6)
    fit([first], module=Jumps(), epochs=3).save_checkpoint(tmp_path / "three.ckpt")
    fit([second], module=Jumps(), epochs=6, resume=tmp_path / "three.ckpt")
    assert sum(first._curve) > 0
    assert second._curve == whole._curve


def test_it_watches_canaries() -> None:
    stop = EarlyMemorizationStop("canary_memorized", threshold=0.0)
    trainer = fit([LabelCanaries(C, 0.2, seed=1), stop], epochs=4)
    assert trainer.current_epoch == 1  # any fraction is at least 0


def test_what_is_not_logged_is_told() -> None:
    with pytest.raises(
        ValueError, match=r"`monitor='curv'`: no logged metric `curv`; did you mean `curve`(.|\n)*list the"
    ):
        fit([Logs([1, 2]), EarlyMemorizationStop("curv")], epochs=2)
    with pytest.raises(ValueError, match="`monitor='curve'`: nothing is logged yet; list the callback that logs it"):
        fit([EarlyMemorizationStop("curve"), Logs([1, 2])], epochs=2)


@pytest.mark.parametrize("monitor", ["prediction_flips", "curve"])
def test_a_resumed_run_stops_where_the_whole_one_does(monitor: str, tmp_path: Path) -> None:
    curve = [9, 5, 4, 5, 6, 7, 8, 9]
    ends = []
    for resumed in (False, True):
        stop, module, logs = EarlyMemorizationStop(monitor, window=1, patience=3), Module(), Logs(curve)
        if resumed:
            first = EarlyMemorizationStop(monitor, window=1, patience=3)
            fit([Logs(curve), first], module=Module(), epochs=4).save_checkpoint(tmp_path / "four.ckpt")
            torch.load(tmp_path / "four.ckpt", weights_only=True)
            fit([logs, stop], module=module, epochs=8, resume=tmp_path / "four.ckpt")
        else:
            fit([logs, stop], module=module, epochs=8)
        ends.append((stop.stopped_epoch, stop._curve, module.state_dict()))
    assert ends[0][:2] == ends[1][:2]
    assert same(ends[0][2], ends[1][2])
    if monitor == "curve":
        assert ends[0][0] == 2


def test_samples_without_a_label_are_passed_over() -> None:
    class Ignores(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return nn.functional.cross_entropy(self.net(batch[0] / N), batch[1], ignore_index=-100)

    stop = EarlyMemorizationStop(ignore_index=-100)
    fit([stop], loader(dataset(Y.masked_fill(torch.arange(N) % 3 == 1, -100))), Ignores(), epochs=2)
    assert stop.signal_set is not None
    assert int((stop.signal_set.table.views()["n_seen"] == 2).sum()) == 2 * N // 3


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="`window` must be at least 1, got 0"):
        EarlyMemorizationStop(window=0)
    with pytest.raises(ValueError, match="`patience` must be at least 1, got 0"):
        EarlyMemorizationStop(patience=0)
    assert len(X) == N
