"""Truncated GCE: generalized cross-entropy, without the samples whose label the network finds unlikely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from noisylearn._checks import check_non_negative, check_positive_int
from noisylearn.losses import truncated_generalized_cross_entropy, truncation_mask
from noisylearn.methods.learner import NoisyLearner
from noisylearn.methods.presets import Preset
from noisylearn.methods.sweep import sweeping
from noisylearn.tables import Column, SampleTable

_SOURCE = "AlanChou/Truncated-Loss README.md and TruncatedLoss.py"


class TruncatedGCE(NoisyLearner):
    """Generalized cross-entropy on the samples with ``p_y > k``, chosen anew every few epochs.

    ``(k^q - p_y^q) / q``, 0 where a sample is left out; the mean is over the whole batch. From ``prune_epoch`` on,
    every ``prune_every`` epochs, one pass over the training set in evaluation mode decides which samples are left out
    until the next; before, none is, nor where all would be. Negative losses are normal.

    Source: Zhang & Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels",
    NeurIPS 2018, with the epochs that the public port has for CIFAR-10. The port (AlanChou/Truncated-Loss) prunes with
    the weights of the best test accuracy and on augmented images, one epoch earlier, and trains none of the weights
    that it keeps in such an epoch; here the weights of the moment prune, on plain images, and training goes on.

    Args:
        q: The exponent, in (0, 1].
        k: The least likely label that is kept, in (0, 1].
        prune_epoch: The first epoch, from 0, that begins with a choice.
        prune_every: Epochs from one choice to the next.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        TypeError: An argument is not a number of the right kind.
        ValueError: An argument is out of range.

    Example:
        >>> TruncatedGCE(prune_epoch=20, backbone="digits_cnn", num_classes=10, in_channels=1).prunes_in(30)
        True
    """

    paper = "Zhang & Sabuncu, truncated GCE, 2018"
    cost = "1 network, 1 pass; a forward pass every prune_every epochs"
    state = "4 bytes"
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(("cifar10",), (), {"q": 0.7, "k": 0.5, "prune_epoch": 40, "prune_every": 10}, _SOURCE),
        Preset(("cifar100",), (), {"q": 0.7, "k": 0.5, "prune_epoch": 80, "prune_every": 10}, _SOURCE),
    )

    def __init__(
        self, q: float = 0.7, k: float = 0.5, prune_epoch: int = 40, prune_every: int = 10, **learner: Any
    ) -> None:
        super().__init__(**learner)
        self.save_hyperparameters("q", "k", "prune_epoch", "prune_every")
        logits, label = torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64)
        truncated_generalized_cross_entropy(logits, label, truncation_mask(logits, label, k), q, k)  # checks q and k
        self.q, self.k = q, k
        check_non_negative("prune_epoch", prune_epoch, "the first epoch with a choice, e.g. 40")
        self.prune_epoch = prune_epoch
        self.prune_every = check_positive_int("prune_every", prune_every, "the epochs between choices, e.g. 10")

    def build_tables(self, num_samples: int) -> Mapping[str, SampleTable]:
        """Keep of each sample whether it is learned from; all are at first."""
        return {"pruned": SampleTable(num_samples, [Column("kept", torch.int16, merge="last", initial=1)])}

    def prunes_in(self, epoch: int) -> bool:
        """Return whether an epoch begins with a choice."""
        since = epoch - self.prune_epoch
        return since >= 0 and since % self.prune_every == 0

    def begin_epoch(self) -> None:
        """Choose anew, where it is time."""
        if not self.prunes_in(self.current_epoch):
            return
        table = self.tables["pruned"]
        with sweeping(self, "prune") as batches:
            for x, target, index in batches:
                table.observe(index, {"kept": truncation_mask(self(x), target, self.k)})
        table.commit(self.current_epoch)
        kept = table.views()["kept"]
        if not bool(kept.any()):  # a network that believes no label would never learn again
            kept.fill_(1)

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Return the losses, ``(B,)``, 0 for samples left out."""
        self.kept = self.tables["pruned"].read(index)["kept"] > 0
        return truncated_generalized_cross_entropy(logits, target, self.kept, self.q, self.k)

    def select(self, losses: Tensor, logits: Tensor) -> Tensor | None:
        """Return the mask of the samples learned from."""
        return self.kept

    def reduce(self, losses: Tensor, index: Tensor, selected: Tensor | None) -> Tensor:
        """Return the mean over the whole batch, samples left out included."""
        return super().reduce(losses, index, None)
