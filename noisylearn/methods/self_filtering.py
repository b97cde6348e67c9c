"""Self-Filtering: samples whose label is predicted for some epochs on end, and not forgotten, are learned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from noisylearn._checks import check_non_negative, check_positive_int, check_probability
from noisylearn.losses import cross_entropy, other_classes_penalty, runner_up_penalty
from noisylearn.methods.chosen import ChosenSamples
from noisylearn.methods.presets import Preset
from noisylearn.methods.sweep import sweeping
from noisylearn.selection import label_confidence, self_filtering_score
from noisylearn.tables import Column


class SelfFiltering(ChosenSamples):
    """Self-Filtering: a memory of the last epochs' predictions says which labels fluctuate; those are left out.

    Each epoch begins with a pass over the training set, which notes for each sample the probability of its label if
    that is the prediction, else 0. After the warm-up an epoch trains on the samples whose `self_filtering_score` of the
    last ``memory`` epochs is above 0.5. A penalty keeps predictions from being too sure, so that wrong labels go on
    fluctuating.

    Source: Wei et al., "Self-Filtering: A Noise-Aware Sample Selection for Label Noise with Confidence Penalization",
    ECCV 2022. The authors' code notes the largest logit in place of the probability, with which one confident
    prediction outweighs any fluctuation (``legacy_logits``). Its penalty in the warm-up multiplies a row by a column,
    which gives the product of two means; here it is the mean of the products. It looks at augmented inputs, we at
    inputs that are not; it has batches of 128 in the warm-up and 32 after it, a fit here has one batch size.

    Args:
        warmup_epochs: Epochs that train on all samples; 10 on CIFAR-10, 30 on CIFAR-100.
        memory: Epochs that are remembered, at least 2; the authors' 2 to 4.
        threshold: A class is too unlikely where its probability is less than this part of another's, in [0, 1].
        warmup_penalty: Weight of `runner_up_penalty` in the warm-up: 0.5 for pair and instance-dependent noise, else 0.
        penalty: Weight of `other_classes_penalty` after it.
        legacy_logits: Remember logits in place of probabilities, as the reference code does.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        ValueError: A number is out of range, or the warm-up is shorter than the memory.

    Example:
        >>> SelfFiltering(memory=3, backbone="digits_cnn", num_classes=10, in_channels=1).memory
        3
    """

    paper = "Wei et al., Self-Filtering, 2022"
    cost = "1 network, up to 1 pass and 1 forward pass; an epoch trains on the selected samples"
    state = "8 memory + 4 bytes"
    presets: ClassVar[tuple[Preset, ...]] = tuple(
        Preset((data,), noise, {"warmup_epochs": epochs, "warmup_penalty": weight}, "main.py, function.py, README.md")
        for data, epochs in (("cifar10", 10), ("cifar100", 30))
        for noise, weight in ((("pair", "instance"), 0.5), (("symmetric",), 0.0))
    )

    def __init__(
        self,
        warmup_epochs: int = 10,
        memory: int = 2,
        threshold: float = 0.2,
        warmup_penalty: float = 0.0,
        penalty: float = 0.1,
        legacy_logits: bool = False,
        **learner: Any,
    ) -> None:
        super().__init__(**learner)
        self.save_hyperparameters("warmup_epochs", "memory", "threshold", "warmup_penalty", "penalty", "legacy_logits")
        self.memory = check_positive_int("memory", memory, "the epochs that are remembered, e.g. 2")
        if memory < 2:
            raise ValueError(f"`memory` must be at least 2, got {memory}: one epoch shows no fluctuation")
        if not warmup_epochs >= memory - 1:
            raise ValueError(
                f"`warmup_epochs` must be at least {memory - 1} with a memory of {memory}, got {warmup_epochs}: the "
                "memory is of the epoch and those before"
            )
        self.warmup_epochs = warmup_epochs
        self.threshold = check_probability("threshold", threshold, "the ratio that is too small, e.g. 0.2")
        self.warmup_penalty = check_non_negative("warmup_penalty", warmup_penalty, "its weight, e.g. 0.5, or 0")
        self.penalty = check_non_negative("penalty", penalty, "its weight, e.g. 0.1")
        self.legacy_logits = legacy_logits

    def evidence(self) -> Sequence[Column]:
        """Keep what the last epochs' predictions said of each label, the newest last."""
        return [Column("memory", width=self.memory, merge="last")]

    def begin_epoch(self) -> None:
        """Go through the training set, remember, and select; before the memory counts there is nothing to do."""
        if self.current_epoch <= self.warmup_epochs - self.memory:
            return
        table = self.tables["chosen"]
        with sweeping(self, "remember and select") as batches:
            for x, target, index in batches:
                logits = self(x).float()
                now = label_confidence(logits if self.legacy_logits else logits.softmax(-1), target)
                before = table.read(index)["memory"][:, 1:]
                table.observe(index, {"memory": torch.cat([before, now.unsqueeze(1)], dim=1)})
        table.commit(self.current_epoch)
        if self.current_epoch >= self.warmup_epochs:
            self.choose((self_filtering_score(table.views()["memory"]) > 0.5).float())

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Return cross-entropy with the epoch's penalty, ``(B,)``."""
        losses = cross_entropy(logits, target)
        if self.current_epoch >= self.warmup_epochs:
            return losses + self.penalty * other_classes_penalty(logits, target, self.threshold)
        return losses + self.warmup_penalty * runner_up_penalty(logits, self.threshold)
