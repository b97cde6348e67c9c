"""DivideMix: each network learns, semi-supervised, from the labels that the other's losses call right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from noisylearn._checks import check_positive_int, check_probability
from noisylearn.methods.presets import Preset
from noisylearn.methods.semi_supervised import SemiSupervised
from noisylearn.methods.sweep import sweeping
from noisylearn.selection import clean_probability, labelled, min_max_normalized
from noisylearn.tables import Column, SampleTable, Views


class DivideMix(SemiSupervised):
    """DivideMix: a mixture of two Gaussians on one network's losses divides the samples for the other.

    After the warm-up (cross-entropy, less ``confidence_penalty`` times the entropy) each epoch begins with a pass over
    the training set: two Gaussians on each network's losses give every label a probability ``w`` of being right. A
    network keeps the labels of which the other's losses say ``w > threshold``. Of two views of each sample it makes

    - for a label kept, ``w y + (1 - w) p``, with its own mean prediction ``p``, sharpened (co-refinement);
    - for the others, the mean prediction of both networks, sharpened (co-guessing),

    mixes all of them with each other (MixMatch), and learns cross-entropy on the mixtures that are mostly labelled,
    ``lambda_u`` times the squared error on the others, and that all classes be predicted alike often.

    Source: Li et al., "DivideMix: Learning with Noisy Labels as Semi-supervised Learning", ICLR 2020, and the authors'
    code. The batch size is both halves: theirs is 64 + 64, which is 128 here, as in their warm-up. Departures: in the
    warm-up both networks see the same batches; the last batch of an epoch is filled up rather than short; losses that
    do not fall into two groups keep all labels, and where no label passes the threshold the likeliest tenth is kept
    (theirs fails).

    Args:
        warmup_epochs: Epochs of the warm-up: 10 for CIFAR-10, 30 for CIFAR-100.
        lambda_u: Weight of the samples without label.
        threshold: A label is kept where its probability of being right is larger.
        temperature: Of the sharpening.
        alpha: Of the Beta distribution that says how much is mixed.
        ramp_epochs: Epochs after the warm-up over which ``lambda_u`` grows from 0.
        confidence_penalty: Weight of the entropy in the warm-up: 1 for asymmetric noise, else 0.
        loss_history: Epochs over which the losses are averaged: 5 for 90 % noise, else 1.
        alternation: ``"epoch"``, one network after the other, or ``"step"``, in turns.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        ValueError: An argument does not fit.

    Example:
        >>> method = DivideMix(lambda_u=25, backbone="digits_cnn", num_classes=10, in_channels=1)
        >>> method.views, len(method.networks)
        (('weak', 'weak'), 2)
    """

    paper = "Li et al., DivideMix, 2020"
    cost = "2 networks, up to 4 passes and up to 7 forward passes each; the more, the more labels are kept"
    state = "16 + 8 loss_history bytes"
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(
            ("cifar10",),
            ("asymmetric",),
            {"warmup_epochs": 10, "lambda_u": 0.0, "confidence_penalty": 1.0},
            "Train_CIFAR.py; the authors in issues 15 and 26",
        ),
        Preset(
            ("cifar10",),
            ("symmetric",),
            {"warmup_epochs": 10, "lambda_u": 0.0},
            "Train_CIFAR.py; the authors in issue 50",
            rates=(0.0, 0.3),
        ),
        Preset(
            ("cifar10",),
            ("symmetric",),
            {"warmup_epochs": 10, "lambda_u": 50.0, "threshold": 0.6, "loss_history": 5},
            "Train_CIFAR.py; threshold: the authors in issue 10; lambda_u: the paper's table 7",
            rates=(0.85, 1.0),
            guessed=True,
        ),
        Preset(("cifar10",), ("symmetric",), {"warmup_epochs": 10, "lambda_u": 25.0}, "Train_CIFAR.py"),
        Preset(
            ("cifar100",),
            ("symmetric",),
            {"warmup_epochs": 30, "lambda_u": 25.0},
            "Train_CIFAR.py",
            rates=(0.0, 0.3),
        ),
        Preset(
            ("cifar100",),
            ("symmetric",),
            {"warmup_epochs": 30, "lambda_u": 150.0, "threshold": 0.6, "loss_history": 5},
            "Train_CIFAR.py; the authors in issue 10",
            rates=(0.85, 1.0),
        ),
        Preset(
            ("cifar100",),
            ("symmetric",),
            {"warmup_epochs": 30, "lambda_u": 150.0},
            "Train_CIFAR.py; the authors in issue 10, for 80 %",
        ),
    )

    def __init__(
        self,
        warmup_epochs: int = 10,
        lambda_u: float = 25.0,
        threshold: float = 0.5,
        temperature: float = 0.5,
        alpha: float = 4.0,
        ramp_epochs: float = 16.0,
        confidence_penalty: float = 0.0,
        loss_history: int = 1,
        alternation: str = "epoch",
        **learner: Any,
    ) -> None:
        super().__init__(
            warmup_epochs, lambda_u, temperature, alpha, ramp_epochs, confidence_penalty, alternation, **learner
        )
        self.save_hyperparameters("threshold", "loss_history")
        self.threshold = check_probability("threshold", threshold, "a label is kept above it, e.g. 0.5")
        self.loss_history = check_positive_int("loss_history", loss_history)

    def build_tables(self, num_samples: int) -> Mapping[str, SampleTable]:
        """Keep, for both networks, the probability that a label is right and the last losses, newest first."""
        columns = [
            Column("clean", width=2, merge="ordered", initial=1.0),
            Column("history", width=2 * self.loss_history, merge="ordered"),
        ]
        return {"division": SampleTable(num_samples, columns, observed=[Column("loss", width=2, merge="last")])}

    def begin_epoch(self) -> None:
        """Go through the training set with both networks, and divide it."""
        if self.current_epoch < self.warmup_epochs:
            return
        table = self.tables["division"]
        with sweeping(self, "divide") as batches:
            for x, target, index in batches:
                table.observe(index, {"loss": self.losses_of(self.training_logits(x), target).T})
        table.commit(self.current_epoch, self._divide)

    def _divide(self, state: Views, staged: Views) -> Mapping[str, Tensor]:
        swept = (staged["n_seen"] > 0).unsqueeze(1)
        losses = min_max_normalized(torch.where(swept, staged["loss"], torch.nan))
        history = torch.cat([losses, state["history"][:, :-2]], dim=1)
        epochs = (state["n_seen"] + 1).clamp(max=self.loss_history).unsqueeze(1)
        mean = history.view(len(history), -1, 2).sum(dim=1) / epochs
        return {"history": history, "clean": torch.stack([clean_probability(each) for each in mean.unbind(1)], dim=1)}

    def choose(self, network: int, rows: Tensor) -> Tensor:
        """Return the rows that the other network's losses call right."""
        return labelled(self.clean(network, rows), self.threshold)

    def clean(self, network: int, index: Tensor) -> Tensor:
        """Return the probability that the other network's losses give each label."""
        return self.tables["division"].read(index)["clean"][:, 1 - network]
