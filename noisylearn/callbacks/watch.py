"""`watch`: what it takes to see whether one's labels are bad, in two lines."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from noisylearn._compat import Callback
from noisylearn.callbacks.label_canaries import LabelCanaries
from noisylearn.callbacks.logits_finder import Key
from noisylearn.callbacks.memorization_meter import MemorizationMeter
from noisylearn.callbacks.result_writer import ResultWriter
from noisylearn.callbacks.signal_tracker import SignalTracker
from noisylearn.callbacks.signal_writer import SignalWriter
from noisylearn.callbacks.suspects import class_names_of, top_suspects
from noisylearn.signals import label_issues

SHOWN = 10
"""Suspects in the summary."""
LEARNED = 0.95
"""The share of labels that a network agrees with from which it may have learned wrong ones by heart."""
AGREES = "wrong ones that it has learned by heart are not counted; train less, or see with `canaries=True`"
DIFFERS = "right ones that it has not learned yet may be counted too"


def watch(
    folder: str = "runs/labels",
    clean_targets: Any = None,
    canaries: bool = False,
    index: Key | None = None,
    target: Key | None = None,
    logits: Key | None = None,
    num_samples: int | None = None,
    loader: str | int | None = None,
    ignore_index: int | None = None,
    num_classes: int | None = None,
) -> list[Callback]:
    """Return the callbacks that tell whether the labels of a training set are bad.

    They track the core signals and the suggested label (`SignalTracker`), write one row per sample to
    ``signals.parquet`` and what `noisylearn report` draws to ``result.json`` and ``metrics.csv``, and print a summary
    at the end of the fit (`WatchSummary`). Training is not changed, unless by canaries.

    Args:
        folder: Where the files go.
        clean_targets: True labels where they are known, -1 elsewhere: then how many wrong ones are memorized is logged
            each epoch (`MemorizationMeter`).
        canaries: **Trains on a wrong label** for 2 % of the samples, to log how many of these are memorized where no
            true label is known (`LabelCanaries`). The dataset is not touched and no file has such a label.
        index: As in `SignalTracker`.
        target: As in `SignalTracker`.
        logits: As in `SignalTracker`.
        num_samples: As in `SignalTracker`.
        loader: As in `SignalTracker`.
        ignore_index: As in `SignalTracker`.
        num_classes: Number of classes, for canaries; by default that of the module or the DataModule.

    Example:
        >>> [type(callback).__name__ for callback in watch("runs/labels")]
        ['SignalTracker', 'ResultWriter', 'SignalWriter', 'WatchSummary']
    """
    place: dict[str, Any] = {"index": index, "target": target, "logits": logits}
    place |= {"loader": loader, "num_samples": num_samples, "ignore_index": ignore_index}
    result, signals = (str(Path(folder, name)) for name in ("result.json", "signals.parquet"))
    tracker = SignalTracker(**place)
    return [
        *([LabelCanaries(num_classes, **place)] if canaries else []),
        tracker,
        *([MemorizationMeter(clean_targets, **place)] if clean_targets is not None else []),
        ResultWriter(result),
        SignalWriter(signals, clean_targets),
        WatchSummary(tracker, folder),
    ]


class WatchSummary(Callback):
    """Prints, at the end of a fit, what was found out about the labels; on the first process only.

    Args:
        tracker: A tracker of the core signals, in the same Trainer's callbacks.
        folder: Where the files are.

    Example:
        >>> str(WatchSummary(SignalTracker(), "runs/labels").folder)
        'runs/labels'
    """

    def __init__(self, tracker: SignalTracker, folder: str) -> None:
        super().__init__()
        self.tracker, self.folder = tracker, Path(folder)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Print, when the files are written and progress bars are gone."""
        if not trainer.is_global_zero or self.tracker.signal_set is None:
            return
        names = class_names_of(trainer.datamodule, trainer.train_dataloader)
        command = shlex.join(["noisylearn", "report", str(self.folder)])
        where = f"every sample: {self.folder / 'signals.parquet'}\nas a page: {command}"
        print(f"{label_summary(self.tracker, names)}\n{where}", flush=True)


def label_summary(tracker: SignalTracker, class_names: Sequence[str] = ()) -> str:
    """Return in words what was found out about the labels: how many look wrong, and which most.

    Args:
        tracker: A tracker of the core signals that has seen samples.
        class_names: Names of the classes; a class without one goes by its number.
    """
    scores = tracker.scores()
    number_seen = int(scores["given"].isfinite().sum())
    lines = [f"noisylearn watched the labels of {number_seen:,} of {tracker.num_rows:,} samples"]
    number = count_issues(tracker, scores)
    if number is not None:
        share, agreed = number / max(number_seen, 1), agreement(tracker)
        how_sure, caveat = ("at least", AGREES) if agreed > LEARNED else ("about", DIFFERS)
        lines += [
            f"{how_sure} {number:,} ({share:.1%}) look wrong, by what the network made of the samples on average",
            f"in the end it agreed with {agreed:.1%} of the labels it saw: {caveat}",
        ]
    suspects = top_suspects(tracker, scores, SHOWN, class_names)
    lines += ["most suspicious (sample: given label -> suggested label):", *(f"  {suspect}" for suspect in suspects)]
    return "\n".join(lines)


def count_issues(tracker: SignalTracker, scores: Mapping[str, Tensor]) -> int | None:
    """Return how many labels look wrong, by confident learning on the probabilities averaged over the epochs.

    These are in-sample: the network has learned from the very labels. While it has learned little, it contradicts right
    ones too; the longer it trains, the more wrong ones it repeats, so that in the end the count falls short. A mixture
    of two components on margins or losses suffers less from that, but on training sets without a wrong label its second
    group was anything from a few samples to all of them, and did not shrink with training as this count does.

    Source: Northcutt, Jiang, Chuang, "Confident Learning", JAIR 2021, on out-of-sample probabilities of folds instead.

    Args:
        tracker: A tracker that has seen samples.
        scores: Its scores.

    Returns:
        The number; None where the averaged probabilities are not tracked (too many classes).
    """
    assert tracker.signal_set is not None
    state = tracker.signal_set.table.views()
    if "probability_sum" not in state:
        return None
    rows = scores["suggested"].isfinite().nonzero()[:, 0]  # seen, and shown the label that was given
    if not len(rows):
        return 0
    probs = state["probability_sum"][rows] / state["n_seen"][rows, None]
    return int(label_issues(probs, scores["given"][rows].long()).sum())


def agreement(tracker: SignalTracker) -> float:
    """Return the share of the samples seen, canaries aside, whose label was predicted at their last presentation.

    Args:
        tracker: A tracker of the core signals that has seen samples.
    """
    assert tracker.signal_set is not None
    state = tracker.signal_set.table.views()
    seen = (state["n_seen"] > 0).index_fill(0, tracker.planted.to(tracker.signal_set.table.device), False)
    return float(state["was_correct"][seen].float().mean())
