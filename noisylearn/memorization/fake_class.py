"""`fake_class_protocol`: wrong labels told from right ones by two trainings with an extra class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from noisylearn._checks import check_labels
from noisylearn._compat import LightningModule
from noisylearn.callbacks import SignalTracker
from noisylearn.callbacks.logits_finder import Key
from noisylearn.memorization.dataset_view import DatasetView, MapStyle, TargetKey, check_dataset, read_labels
from noisylearn.memorization.fake_class_rule import choose_probes, fake_class_flags
from noisylearn.memorization.runs import MakeLoader, MakeTrainer, Runs, default_loader, seeded


@dataclass(frozen=True)
class FakeClassResult:
    """What `fake_class_protocol` found; rows are positions in the dataset.

    Attributes:
        flagged: ``(N,)`` bool, below the threshold in every run in which the sample was regular.
        aum: ``(2, N)`` float32, the area under the margin in each run; a probe's is toward the extra class, NaN was
            never seen.
        probes: ``(2, n)`` int64, the rows that were probes in each run, sorted and disjoint.
        thresholds: ``(2,)`` float32, see `fake_class_threshold`.
    """

    flagged: Tensor
    aum: Tensor
    probes: Tensor
    thresholds: Tensor

    @property
    def is_probe(self) -> Tensor:
        """``(2, N)`` bool, whether a sample was a probe in a run."""
        return _is_probe(self.probes, self.aum.shape[1])

    @property
    def regular_aum(self) -> Tensor:
        """``(N,)`` float32, mean AUM over the runs in which the sample was regular: a ranking, low is suspicious."""
        return self.aum.masked_fill(self.is_probe, torch.nan).nanmean(0)

    @property
    def num_flagged(self) -> int:
        """How many samples are flagged."""
        return int(self.flagged.sum())

    def __str__(self) -> str:
        unseen = int(self.regular_aum.isnan().sum())
        thresholds = ", ".join(f"{t:.3g}" for t in self.thresholds.tolist())
        return (
            f"{self.num_flagged} of {len(self.flagged)} labels flagged ({self.num_flagged / len(self.flagged):.1%}), "
            f"{self.probes.shape[1]} probes a run, thresholds {thresholds}"
            + (f", {unseen} samples never seen" if unseen else "")
        )


def fake_class_protocol(
    make_module: Callable[[int], LightningModule],
    dataset: MapStyle,
    num_classes: int,
    make_trainer: MakeTrainer,
    make_loader: MakeLoader | None = None,
    *,
    labels: Any = None,
    num_probes: int | None = None,
    percentile: float = 99.0,
    seed: int = 0,
    target: TargetKey | None = None,
    logits: Key | None = None,
    progress: bool = True,
) -> FakeClassResult:
    """Find wrong labels by the area under the margin (AUM), with a threshold that needs no clean label.

    Some samples, the probes, are put into an extra class that means nothing: their labels are wrong by construction,
    and the 99th percentile of their AUM is how high a wrong label gets. Regular samples below it are flagged. A second
    training, alike but for other probes, judges the first one's probes; a sample is flagged if it is below the
    threshold in every run in which it was regular. The probes' labels are changed in a view: ``dataset`` stays as it
    is.

    Train for it as for AUM: stop before the learning rate first drops, in small batches (the authors: 64), without
    label smoothing or mixup. Then train a final model on the samples that are not flagged; these two are not it.
    Accuracies that a module logs meanwhile count the extra class; over the first ``num_classes`` logits they do not.

    Args:
        make_module: Makes a fresh module with a head of so many classes (it is asked for ``num_classes + 1``); see
            `widen_head` for networks whose head is fixed.
        dataset: A map-style dataset; items are ``(input, label, ...)``, a `noisylearn.data.Batch`, or a dict.
        num_classes: Classes of its labels, without the extra one.
        make_trainer: Makes a fresh Trainer with the callbacks that it is given; it decides epochs and devices.
        make_loader: Makes the training loader of a `DatasetView`; by default shuffled batches of 64.
        labels: ``(N,)`` given labels, which then replace the items' own; by default each item is read once for them.
        num_probes: Probes in each run; by default ``N // (num_classes + 1)``.
        percentile: Of the probes' AUM.
        seed: Seed of the probes' choice, and of weights and order in both runs.
        target: Where an item, and a batch, has its label, if that is not found by itself.
        logits: Where the logits are, as in `noisylearn.SignalTracker`.
        progress: Whether to show a bar of the epochs.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument does not fit, or the labels did not reach the training.

    Source: Pleiss et al., "Identifying Mislabeled Data using the Area Under the Margin Ranking", NeurIPS 2020. The
    number of probes is the paper's, which makes the extra class as large as an average one; the authors' code takes
    ``N // num_classes`` of a permutation. Here probes are drawn in the proportions of the classes.

    Example:
        >>> from pytorch_lightning import Trainer
        >>> from noisylearn.methods import CrossEntropy
        >>> from noisylearn.models import MLP
        >>> points = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
        >>> data = [(x, int(x[0] > 0), i) for i, x in enumerate(points)]
        >>> result = fake_class_protocol(
        ...     lambda classes: CrossEntropy(MLP(classes, in_features=4), num_classes=classes),
        ...     data,
        ...     num_classes=2,
        ...     make_trainer=lambda callbacks: Trainer(max_epochs=2, callbacks=callbacks, accelerator="cpu",
        ...         logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False),
        ...     progress=False,
        ... )
        >>> result.flagged.shape, result.probes.shape
        (torch.Size([60]), torch.Size([2, 20]))
    """
    size = check_dataset("dataset", dataset)
    given = check_labels("labels", read_labels(dataset, target) if labels is None else labels, num_classes)
    if len(given) != size:
        raise ValueError(f"`labels` must have one label per sample ({size}), got {len(given)}")
    num_probes = max(size // (num_classes + 1), 1) if num_probes is None else num_probes
    probes = torch.stack(choose_probes(given, num_probes, seed))
    make_loader = make_loader or default_loader
    aum = []
    with Runs("fake class", len(probes), progress) as runs:
        for number, rows in enumerate(probes):
            targets = torch.from_numpy(given).index_fill(0, rows, num_classes)
            tracker = SignalTracker("Margin", target=target, logits=logits, num_samples=size)
            with seeded(seed):
                module = make_module(num_classes + 1)
                loader = make_loader(DatasetView(dataset, targets=targets, key=target))
                try:
                    runs.fit(make_trainer, [tracker], module, loader, f"probes {'AB'[number]}")
                except IndexError as error:  # cross-entropy's, on the CPU, of a label beyond the logits
                    error.add_note(
                        f"With the extra class there are {num_classes + 1} classes: `make_module({num_classes + 1})` "
                        "must make a head of so many outputs, see noisylearn.memorization.widen_head"
                    )
                    raise
            scores = {name: score.cpu() for name, score in tracker.scores().items()}
            _check_labels_arrived(scores["given"], targets)
            aum.append(scores["aum"])
    thresholds, flagged = fake_class_flags(torch.stack(aum), _is_probe(probes, size), percentile)
    return FakeClassResult(flagged, torch.stack(aum), probes, thresholds)


def _is_probe(probes: Tensor, size: int) -> Tensor:
    return torch.zeros(len(probes), size, dtype=torch.bool).scatter_(1, probes, True)


def _check_labels_arrived(given: Tensor, targets: Tensor) -> None:
    told = targets.clamp(max=torch.iinfo(torch.int16).max)  # as far as a tracker counts classes
    other = int((~given.isnan() & (given != told)).sum())
    if other:
        raise ValueError(
            f"{other} samples were trained on under another label than the view's: `make_loader` must load the dataset "
            "that it is given, whole, and nothing may relabel its batches"
        )
