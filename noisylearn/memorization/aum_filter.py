"""`aum_filter`: find wrong labels by the area under the margin, and train on the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from noisylearn._compat import LightningModule
from noisylearn.memorization.dataset_view import DatasetView, MapStyle, TargetKey
from noisylearn.memorization.fake_class import FakeClassResult, fake_class_protocol
from noisylearn.memorization.runs import MakeLoader, MakeTrainer, Runs, default_loader, seeded


@dataclass(frozen=True)
class AUMFilterResult:
    """What `aum_filter` made; rows are positions in the dataset.

    Attributes:
        module: The module that was trained on the samples that are not flagged.
        found: What the two trainings before it found.
    """

    module: LightningModule
    found: FakeClassResult

    def __str__(self) -> str:
        kept = len(self.found.flagged) - self.found.num_flagged
        return f"trained on {kept} of {len(self.found.flagged)} samples; {self.found}"


def aum_filter(
    make_module: Callable[[int], LightningModule],
    dataset: MapStyle,
    num_classes: int,
    make_trainer: MakeTrainer,
    make_loader: MakeLoader | None = None,
    *,
    make_final_trainer: MakeTrainer | None = None,
    make_final_loader: MakeLoader | None = None,
    labels: Any = None,
    seed: int = 0,
    target: TargetKey | None = None,
    progress: bool = True,
    **protocol: Any,
) -> AUMFilterResult:
    """Train on the samples whose label is not called wrong by `fake_class_protocol`.

    Three trainings: two with an extra class, which say what is flagged, and one from new weights, with the classes that
    there are, on the rest. The first two should stop before the learning rate first drops, in small batches; the last
    is a training as any other.

    Args:
        make_module: Makes a fresh module with a head of so many classes: asked for ``num_classes + 1`` twice, then for
            ``num_classes``.
        dataset: A map-style dataset; items are ``(input, label, ...)``, a `noisylearn.data.Batch`, or a dict.
        num_classes: Classes of its labels.
        make_trainer: Makes the Trainer of each of the first two trainings, with the callbacks that it is given.
        make_loader: Makes their training loader; by default shuffled batches of 64.
        make_final_trainer: The same for the last training; by default ``make_trainer``.
        make_final_loader: The same for the last training; by default ``make_loader``.
        labels: ``(N,)`` given labels, which then replace the items' own.
        seed: Seed of each training and of the choice of the probes.
        target: Where an item has its label, if that is not found by itself.
        progress: Whether to show a bar of the epochs.
        **protocol: Other arguments of `fake_class_protocol`.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument does not fit, or no sample is left to train on.

    Source: Pleiss et al., "Identifying Mislabeled Data using the Area Under the Margin Ranking", NeurIPS 2020. For
    CIFAR the authors train a ResNet-32 twice for 150 epochs (SGD, rate 0.1 throughout, Nesterov momentum 0.9, weight
    decay 1e-4, batches of 64), then for 300 (batches of 256, the rate a tenth of itself from epochs 150 and 225 on).
    Here a batch of the last training holds samples that are kept alone; in their code it holds all, the flagged with a
    weight of 0, and an epoch is as long as before. Their code leaves the first epoch out of the AUM, ours does not.

    Example:
        >>> from pytorch_lightning import Trainer
        >>> from noisylearn.methods import CrossEntropy
        >>> from noisylearn.models import MLP
        >>> points = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
        >>> result = aum_filter(
        ...     lambda classes: CrossEntropy(MLP(classes, in_features=4), num_classes=classes),
        ...     [(x, int(x[0] > 0), i) for i, x in enumerate(points)],
        ...     num_classes=2,
        ...     make_trainer=lambda callbacks: Trainer(max_epochs=2, callbacks=callbacks, accelerator="cpu",
        ...         logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False),
        ...     progress=False,
        ... )
        >>> result.module.num_classes, result.found.flagged.shape
        (2, torch.Size([60]))
    """
    shared: dict[str, Any] = {"labels": labels, "seed": seed, "target": target, "progress": progress}
    found = fake_class_protocol(make_module, dataset, num_classes, make_trainer, make_loader, **shared, **protocol)
    kept = (~found.flagged).nonzero()[:, 0]
    if not len(kept):
        raise ValueError(
            f"all {len(found.flagged)} samples are flagged, none is left to train on: the networks have not "
            "learned yet, train longer, or lower `percentile`"
        )
    targets = None if labels is None else torch.as_tensor(labels)[kept]
    load, train = make_final_loader or make_loader or default_loader, make_final_trainer or make_trainer
    with Runs("AUM filter", 1, progress) as runs, seeded(seed):
        module = make_module(num_classes)
        runs.fit(train, [], module, load(DatasetView(dataset, kept, targets, target)), f"{len(kept)} samples")
    return AUMFilterResult(module, found)
