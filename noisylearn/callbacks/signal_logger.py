"""`SignalLogger`: the tracked signals as curves, and as figures where a logger can draw."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from noisylearn._checks import check_positive_int
from noisylearn._compat import Callback
from noisylearn.callbacks.figure_loggers import SignalFigures, drawing_loggers
from noisylearn.callbacks.signal_writer import Tracker
from noisylearn.callbacks.suspects import Suspect, class_names_of, suspicion_of, top_suspects
from noisylearn.callbacks.training_images import training_images
from noisylearn.metrics import detection_auroc

CLASS_IDS = ("given", "suggested")
"""Scores that are no quantities: no mean and no histogram."""


class SignalLogger(Callback):
    """Logs what the Trainer's trackers have measured, beside the metrics of the training.

    Each epoch, through the module's own ``log``, and so to every logger, each with the tracker's name before it:

    - ``signals/aum`` and so on: the mean of each score that points at wrong labels, over the samples that have it;
    - ``signals/suggests_other``: where labels are suggested, the share of samples that were given another;
    - ``signals/suspicion_auroc``: where the DataModule has ``clean_targets``, how well the suspicion
      (`noisylearn.signals.suspicion`) finds the wrong labels.

    Every ``every_n_epochs`` and at the end, where a TensorBoard or W&B logger is in use: a histogram of each score
    (of wrong and of right labels apart, where the clean ones are known), and the most suspected samples as pictures
    with given and suggested label, where the training data are images. List it after the trackers.

    Args:
        every_n_epochs: How often figures are drawn.
        num_images: Samples in the gallery; 0 for none.
        loader: Which of several training loaders the images are read from: its key in the dict or list of them.

    Raises:
        ValueError: ``every_n_epochs`` is not positive, or ``num_images`` negative.

    Example:
        >>> SignalLogger(every_n_epochs=10).num_images
        32
    """

    def __init__(self, every_n_epochs: int = 5, num_images: int = 32, loader: str | int | None = None) -> None:
        super().__init__()
        self.every_n_epochs = check_positive_int("every_n_epochs", every_n_epochs)
        if num_images:
            check_positive_int("num_images", num_images, "or 0 for no gallery")
        self.num_images, self._loader = num_images, loader
        self._logged: dict[str, int] = {}
        self._drawn: dict[str, int] = {}
        self._without_images = False

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Log the curves, and draw when it is time."""
        for tracker in _news(trainer, self._logged):
            # All processes have the same numbers; Lightning wants to be told, or it warns.
            options = {"on_step": False, "on_epoch": True, "batch_size": 1, "sync_dist": True}
            pl_module.log_dict(curves(Measured.by(tracker, trainer.datamodule)), **options)
        if (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self._draw(trainer)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Log what was measured only now (a sweep at the end of the fit), and draw what has changed."""
        for tracker in _news(trainer, self._logged):
            values = curves(Measured.by(tracker, trainer.datamodule))
            for logger in trainer.loggers:  # the module logs no more
                logger.log_metrics(values, trainer.global_step)
        self._draw(trainer)

    def _draw(self, trainer: Any) -> None:
        loggers = drawing_loggers(trainer.loggers)
        if not trainer.strategy.broadcast(bool(loggers)):
            return
        for tracker in _news(trainer, self._drawn):
            if not (trainer.is_global_zero or tracker.sharded):
                continue
            measured = Measured.by(tracker, trainer.datamodule)  # of a sharded table all processes have a part
            if not trainer.is_global_zero:
                continue
            figures = SignalFigures(tracker.name, dict(histograms(measured)), *self._gallery(trainer, measured))
            for logger, draw in loggers:
                draw(logger.experiment, figures, trainer.global_step)

    def _gallery(self, trainer: Any, measured: Measured) -> tuple[Sequence[Suspect], Tensor | None]:
        tracker, loader = measured.tracker, trainer.train_dataloader
        loader = loader if self._loader is None else loader[self._loader]
        names = class_names_of(trainer.datamodule, loader)
        suspects = top_suspects(tracker, measured.scores, self.num_images, names)
        if not suspects or self._without_images:
            return (), None
        try:
            if len(tracker.keys):
                raise ValueError("the samples have names, not positions")
            rows = [suspect.row for suspect in suspects]
            return suspects, training_images(loader, rows, by_position=tracker.by_position)
        except ValueError as reason:
            self._without_images = True
            text = f"SignalLogger shows no gallery of suspects: {reason}; `num_images=0` asks for none"
            warnings.warn(text, stacklevel=2)
            return (), None


def _news(trainer: Any, known: dict[str, int]) -> Iterator[Tracker]:
    """The trackers that have measured since the epochs in ``known``, which is brought up to date."""
    for tracker in trainer.callbacks:
        if isinstance(tracker, Tracker) and tracker.signal_set is not None:
            epoch = int(tracker.signal_set.table.views()["last_epoch"].max())
            if epoch > known.get(tracker.name, -1):
                known[tracker.name] = epoch
                yield tracker


@dataclass(frozen=True)
class Measured:
    """What a tracker has measured so far.

    Args:
        tracker: The tracker.
        scores: Its scores, ``(N,)`` each.
        wrong: ``(N,)`` bool, samples whose given label is known to be wrong; None where no true label is known.
        right: ``(N,)`` bool, those whose given label is known to be right.
    """

    tracker: Tracker
    scores: Mapping[str, Tensor]
    wrong: Tensor | None = None
    right: Tensor | None = None

    @classmethod
    def by(cls, tracker: Tracker, datamodule: Any) -> Measured:
        """Read a tracker, and the true labels where the DataModule has ``clean_targets``."""
        scores = tracker.scores()
        clean_targets = getattr(datamodule, "clean_targets", None)
        clean = None if clean_targets is None else tracker.per_row(clean_targets)
        if clean is None or not bool((clean >= 0).any()):
            return cls(tracker, scores)
        given, clean = scores["given"], clean.to(scores["given"].device)
        known = (clean >= 0) & given.isfinite()
        return cls(tracker, scores, known & (given != clean), known & (given == clean))

    @cached_property
    def suspicion(self) -> Tensor:
        """``(N,)``, see `suspicion_of`; it sorts the training set, so it is made only where it is asked for."""
        return suspicion_of(self.scores, self.tracker.score_info)


def curves(measured: Measured) -> dict[str, float]:
    """Return the curves' values, see `SignalLogger`; without those that are not numbers.

    Args:
        measured: What was measured.
    """
    scores = measured.scores
    pointing = [info.name for info in measured.tracker.score_info if info.higher_is_noisier is not None]
    means = {name: scores[name].nanmean() for name in pointing}
    if "suggested" in scores:
        known = scores["suggested"].isfinite()
        means["suggests_other"] = (scores["suggested"] != scores["given"])[known].float().mean()
    values = dict(zip(means, torch.stack(list(means.values())).tolist(), strict=True)) if means else {}
    if measured.wrong is not None and measured.right is not None:
        known = measured.wrong | measured.right
        values["suspicion_auroc"] = detection_auroc(measured.suspicion[known].cpu(), measured.wrong[known].cpu())
    return {f"{measured.tracker.name}/{name}": value for name, value in values.items() if math.isfinite(value)}


def histograms(measured: Measured) -> Iterator[tuple[str, Tensor]]:
    """Yield a tag and finite values, on the CPU, for each score and the suspicion; wrong and right labels apart.

    Args:
        measured: What was measured.
    """
    parts = {"wrong": measured.wrong, "right": measured.right} if measured.wrong is not None else {"all": None}
    for name, score in {**measured.scores, "suspicion": measured.suspicion}.items():
        if name in CLASS_IDS:
            continue
        for part, mask in parts.items():
            values = score if mask is None else score[mask]
            values = values[values.isfinite()]
            if len(values):
                yield f"{name}/{part}", values.cpu()
