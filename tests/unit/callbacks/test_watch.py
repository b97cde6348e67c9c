"""What `watch` sets up, what it says at the end, and that it says so once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Subset

from noisylearn._compat import Trainer
from noisylearn.callbacks import SignalTracker
from noisylearn.callbacks.watch import agreement, count_issues, label_summary, watch
from noisylearn.data import Digits
from noisylearn.methods import CrossEntropy
from noisylearn.report import build_report
from noisylearn.signals import label_issues
from tests.unit.callbacks.small import C, Module, N, X, Y, dataset, fit, loader


def names(callbacks: Any) -> list[str]:
    return [type(callback).__name__ for callback in callbacks]


def test_the_sensible_set() -> None:
    always = ["ResultWriter", "SignalWriter", "WatchSummary"]
    assert names(watch()) == ["SignalTracker", *always]
    assert names(watch(clean_targets=Y)) == ["SignalTracker", "MemorizationMeter", *always]
    assert names(watch(canaries=True)) == ["LabelCanaries", "SignalTracker", *always]


def test_two_lines_write_the_table_print_the_summary_and_can_be_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "my labels"
    callbacks = watch(str(folder))
    fit([*callbacks], loader(shuffle=True), epochs=3)
    tracker = callbacks[0]
    assert isinstance(tracker, SignalTracker)
    assert sorted(f.name for f in folder.iterdir()) == ["metrics.csv", "result.json", "signals.parquet"]
    assert pq.read_table(folder / "signals.parquet")["suggested"].to_pylist() == tracker.scores()["suggested"].tolist()
    said = capsys.readouterr().out
    assert said.count(label_summary(tracker)) == 1
    assert said.endswith(f"every sample: {folder / 'signals.parquet'}\nas a page: noisylearn report '{folder}'\n")
    page = build_report([folder], tmp_path / "page.html", title="mine")
    assert page.stat().st_size > 0


class Fixed(Module):
    """Logits that are given per sample and never change."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__(nn.Linear(1, C))
        self.logits = logits

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        logits = self.logits[batch[0][:, 0].long()] + 0 * self.net(batch[0])
        return {"loss": nn.functional.cross_entropy(logits, batch[1]), "logits": logits}


def test_what_it_says() -> None:
    """Two of twelve labels are wrong, and the network knows."""
    given = Y.clone()
    given[[4, 9]] = torch.tensor([2, 1])
    logits = 4.0 * nn.functional.one_hot(Y, C) + 0.01 * torch.arange(N)[:, None] * nn.functional.one_hot(Y, C)
    logits[9] += 2 * nn.functional.one_hot(Y, C)[9]
    tracker = SignalTracker()
    fit([tracker], loader(dataset(given), shuffle=True), Fixed(logits), epochs=2, limit_val_batches=0)
    lines = label_summary(tracker, ["cat", "dog", "elk"]).splitlines()
    assert lines[0] == "noisylearn watched the labels of 12 of 12 samples"
    assert lines[1] == "about 2 (16.7%) look wrong, by what the network made of the samples on average"
    assert lines[2].startswith("in the end it agreed with 83.3% of the labels it saw: right ones that it has not")
    assert lines[3:6] == [
        "most suspicious (sample: given label -> suggested label):",
        "  9: dog -> cat",
        "  4: elk -> dog",
    ]
    assert len(lines) == 4 + 10


def test_a_network_that_agrees_with_all_labels_may_have_learned_wrong_ones() -> None:
    tracker = SignalTracker()
    fit([tracker], module=Fixed(4.0 * nn.functional.one_hot(Y, C)), limit_val_batches=0)
    lines = label_summary(tracker).splitlines()
    assert lines[1].startswith("at least 0 (0.0%) look wrong")
    assert lines[2].startswith("in the end it agreed with 100.0% of the labels it saw: wrong ones that it has learned")


def test_the_number_is_confident_learning_on_the_mean_probabilities() -> None:
    torch.manual_seed(0)
    logits, tracker = torch.randn(N, C), SignalTracker()
    expected = int(label_issues(logits.softmax(1), Y).sum())
    assert 0 < expected < N
    drawn = [*range(N), 0, 0, 0, 0, 5, 5, 5, 1, 2, 8, 8, 8]  # a sample counts the same, however often it is drawn
    fit([tracker], loader(sampler=drawn), Fixed(logits), epochs=3, limit_val_batches=0)
    assert count_issues(tracker, tracker.scores()) == expected
    assert agreement(tracker) == pytest.approx((logits.argmax(1) == Y).float().mean().item())


def test_samples_that_were_not_seen_do_not_count() -> None:
    tracker = SignalTracker()
    torch.manual_seed(0)
    module = Fixed(torch.randn(N, C))
    fit([tracker], module=module, limit_train_batches=2, limit_val_batches=0)
    said = label_summary(tracker)
    assert said.startswith("noisylearn watched the labels of 8 of 12 samples\n")
    assert count_issues(tracker, tracker.scores()) == int(label_issues(module.logits[:8].softmax(1), Y[:8]).sum())
    assert len(said.splitlines()) == 4 + 8
    assert agreement(tracker) == pytest.approx((module.logits.argmax(1) == Y)[:8].float().mean().item())


def test_positions_in_the_dataset_where_a_part_of_it_is_trained_on() -> None:
    tracker = SignalTracker()
    fit([tracker], loader(Subset(dataset(), [8, 3, 5, 2])))
    shown = [line.partition(":")[0].strip() for line in label_summary(tracker).splitlines()[4:]]
    assert sorted(shown, key=int) == ["2", "3", "5", "8"]


def test_without_suggestions_there_is_no_number() -> None:
    class Many(Module):
        def __init__(self) -> None:
            super().__init__(nn.Linear(1, 201))

    tracker = SignalTracker()
    fit([tracker], module=Many())
    assert count_issues(tracker, tracker.scores()) is None
    said = label_summary(tracker).splitlines()
    assert [line for line in said if "look wrong" in line or "->" in line] == [said[1]]


def test_it_finds_wrong_labels_of_digits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = Digits(noise_rate=0.2, num_train=600, batch_size=32)
    callbacks = watch(str(tmp_path))
    torch.manual_seed(0)
    module = CrossEntropy(backbone="digits_cnn", num_classes=10, in_channels=1, image_size=8)
    fit([*callbacks], module=module, epochs=8, datamodule=data)
    said = capsys.readouterr().out
    clean, given = data.clean_targets, data.noisy_targets
    shown = [line.strip() for line in said.splitlines() if line.startswith("  ")]
    assert len(shown) == 10
    rows = [int(line.partition(":")[0]) for line in shown]
    assert bool((clean[rows] != given[rows]).all())
    assert shown == [f"{i}: {data.class_names[given[i]]} -> {data.class_names[clean[i]]}" for i in rows]


def test_clean_targets_are_metered_and_canaries_planted(tmp_path: Path) -> None:
    clean = (Y + (torch.arange(N) == 5)) % C
    trainer = fit([*watch(str(tmp_path), clean_targets=clean, canaries=True, num_classes=C)], epochs=2)
    assert {"memorized", "correct_on_right", "canary_memorized"} <= trainer.callback_metrics.keys()
    assert pq.read_table(tmp_path / "signals.parquet")["given"].to_pylist() == Y.tolist()


def test_where_things_are_is_passed_on(tmp_path: Path) -> None:
    class OfDicts(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            kept = batch["kind"] >= 0
            return nn.functional.cross_entropy(self.net(batch["x"] / N)[kept], batch["kind"][kept])

    rows = [{"x": X[i], "kind": -1 if i == 4 else int(Y[i]), "at": 2 * i} for i in range(N)]
    callbacks = watch(str(tmp_path), index="at", target="kind", logits="net", num_samples=2 * N, ignore_index=-1)
    fit([*callbacks], loader(rows), OfDicts(), limit_val_batches=0)
    given = pq.read_table(tmp_path / "signals.parquet")["given"].to_pylist()
    assert given == [-1 if i % 2 or i == 8 else int(Y[i // 2]) for i in range(2 * N)]


def test_training_is_the_same(tmp_path: Path) -> None:
    def weights(callbacks: Any) -> Tensor:
        module = Module()
        torch.manual_seed(1)
        fit(callbacks, loader(shuffle=True), module, epochs=3)
        return torch.cat([p.detach().flatten() for p in module.parameters()])

    assert torch.equal(weights([]), weights([*watch(str(tmp_path), clean_targets=Y)]))
    assert json.loads((tmp_path / "result.json").read_text())["completed"]


def test_only_the_first_process_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Trainer, "is_global_zero", property(lambda trainer: False))
    fit([*watch(str(tmp_path))])
    assert capsys.readouterr().out == ""


def test_nothing_is_printed_where_nothing_was_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit([*watch(str(tmp_path))], epochs=0)
    assert capsys.readouterr().out == ""


def test_ignored_labels_go_with_canaries_and_true_labels(tmp_path: Path) -> None:
    class Ignores(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return nn.functional.cross_entropy(self.net(batch[0] / N), batch[1], ignore_index=-1)

    y = torch.where(torch.arange(N) % 4 == 1, -1, Y)
    clean = torch.where(torch.arange(N) == 2, (Y + 1) % C, Y)
    callbacks = watch(str(tmp_path), clean, canaries=True, ignore_index=-1, num_classes=C)
    trainer = fit(callbacks, loader(dataset(y)), Ignores(), limit_val_batches=0)
    table = pq.read_table(tmp_path / "signals.parquet")
    assert table["given"].to_pylist() == y.tolist()
    assert table["clean"].to_pylist() == clean.tolist()
    assert "memorized" in trainer.callback_metrics
