"""CORES²: a loss that rewards confidence, and a sieve for the samples whose label it finds unlikely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from noisylearn._checks import check_non_negative, check_positive_int
from noisylearn.losses import cores, cores_beta, cores_sieve
from noisylearn.methods.learner import NoisyLearner
from noisylearn.methods.presets import Preset
from noisylearn.tables import Column, SampleTable


class CORES(NoisyLearner):
    """Confidence regularized sample sieve: learns, confidently, from the samples whose given label is not unlikely.

    ``CE - beta(e) sum_c prior_c (-log p_c)``, divided by ``1 + beta(e)``; from ``sieve_epoch`` on the mean is over the
    samples with ``CE <= mean_c(-log p_c)``. The prior is that of the given labels among the samples kept in the epoch
    before.

    Source: Cheng et al., "Learning with Instance-Dependent Label Noise: A Sample Sieve Approach", ICLR 2021: the first
    phase, without the consistency training (CORES*) that follows it. The schedule is that of the authors' code, for its
    100 epochs. The code divides the learning rate by ``1 + beta(e)``; the loss is divided here, which is the same with
    their optimizer (SGD without momentum and weight decay) and needs no schedule of its own. A batch of which nothing
    is kept teaches nothing; the code fails.

    Args:
        beta: The last weight of the subtracted term.
        warmup_epochs: Epochs of plain cross-entropy.
        rise_epochs: Epochs over which the weight then rises from 0 to ``beta``.
        sieve_epoch: The first epoch, from 0, that leaves samples out.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        TypeError: An argument is not a number of the right kind.
        ValueError: An argument is out of range.

    Example:
        >>> CORES(beta=2.0, backbone="digits_cnn", num_classes=10, in_channels=1).prior
        tensor([0.1000, 0.1000, 0.1000, 0.1000, 0.1000, 0.1000, 0.1000, 0.1000, 0.1000, 0.1000])
    """

    paper = "Cheng et al., CORES², 2021"
    state = "4 bytes"
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(
            ("cifar10", "cifar100"),
            (),
            {"beta": 2.0, "warmup_epochs": 10, "rise_epochs": 30, "sieve_epoch": 31},
            "loss.py, f_beta and loss_cores, the same for all data and noise",
        ),
    )
    prior: Tensor

    def __init__(
        self,
        beta: float = 2.0,
        warmup_epochs: int = 10,
        rise_epochs: int = 30,
        sieve_epoch: int = 31,
        **learner: Any,
    ) -> None:
        super().__init__(**learner)
        self.save_hyperparameters("beta", "warmup_epochs", "rise_epochs", "sieve_epoch")
        self.max_beta = check_non_negative("beta", beta, "the last weight of the subtracted term, e.g. 2")
        check_non_negative("warmup_epochs", warmup_epochs, "the epochs of cross-entropy, e.g. 10")
        check_non_negative("sieve_epoch", sieve_epoch, "the first epoch of the sieve, e.g. 31")
        self.warmup_epochs, self.sieve_epoch = warmup_epochs, sieve_epoch
        self.rise_epochs = check_positive_int("rise_epochs", rise_epochs, "the epochs of the rise, e.g. 30")
        self.register_buffer("prior", torch.full((self.num_classes,), 1 / self.num_classes))

    def build_tables(self, num_samples: int) -> Mapping[str, SampleTable]:
        """Keep the given label of each sample that was kept, -1 for the others."""
        column = Column("kept_label", torch.int16, merge="last", initial=-1)
        return {"sieve": SampleTable(num_samples, [column])}

    @property
    def beta(self) -> float:
        """The weight of the subtracted term in the current epoch."""
        return cores_beta(self.current_epoch, self.max_beta, self.warmup_epochs, self.rise_epochs)

    def begin_epoch(self) -> None:
        """Take the prior of the labels kept in the epoch before; the device waits once."""
        labels = self.tables["sieve"].views()["kept_label"].long()
        counts = torch.bincount(labels[labels >= 0], minlength=self.num_classes)
        if int(counts.sum()) > 0:  # in the first epoch beta is 0, and so the prior does not count
            self.prior.copy_(counts / counts.sum())

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Note what the sieve keeps, then return the losses, ``(B,)``."""
        everything = self.current_epoch < self.sieve_epoch
        self.kept = torch.ones_like(target, dtype=torch.bool) if everything else cores_sieve(logits, target)
        self.tables["sieve"].observe(index, {"kept_label": torch.where(self.kept, target, -1)})
        return cores(logits, target, self.prior, self.beta) / (1 + self.beta)

    def select(self, losses: Tensor, logits: Tensor) -> Tensor | None:
        """Return the mask of the samples that the sieve kept."""
        return self.kept
