"""O2U-Net: labels that the network has to learn again and again, as its rate goes up and down, are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from noisylearn._checks import check_non_negative, check_positive_int, check_probability
from noisylearn.losses import cross_entropy
from noisylearn.methods.chosen import ChosenSamples
from noisylearn.methods.rewind import Rewind
from noisylearn.selection import small_loss_among
from noisylearn.tables import Column


class O2U(ChosenSamples, Rewind):
    """O2U-Net: a cyclic learning rate takes the network from overfitting to underfitting; large losses are left out.

    Three stages in one fit. The first is cross-entropy on all samples. In the second the rate falls from ``lr`` to
    ``lr_factor`` times that within each ``period``, over and over, and the losses of each sample's steps are added up.
    For the third the network is again what it was after the first; it trains on the samples without the ``noise_rate``
    of them whose losses were largest, until the end of the fit. The rate is the method's own: in the first and third
    stage ``lr``, half of it from a quarter of the stage on, a tenth from its half on. The optimizer begins anew with
    each stage.

    Source: Huang et al., "O2U-Net: A Simple Noisy Label Detection Approach for Deep Neural Networks", ICCV 2019, and
    the authors' code, whose stages are of 249 epochs each. Their second stage has batches of 16, the others 128; here a
    fit has one batch size. The code adds up the losses less their mean in the epoch, which gives the same order where
    every sample comes in every epoch; ours is of mean losses, so that a sample does not look right for being missed.
    Our cycles begin at their first tenth, the code's at their second.

    Args:
        noise_rate: The fraction of wrong labels, known or estimated; linked to the data by the command line.
        forget_rate: The fraction left out in the third stage; by default ``noise_rate``.
        first_epochs: Epochs of the first stage.
        cyclic_epochs: Epochs of the second stage.
        period: Epochs of a cycle.
        lr_factor: The lowest rate of a cycle, as a part of ``lr``, in [0, 1].
        **learner: Arguments of `NoisyLearner`, without ``scheduler``.

    Raises:
        ValueError: Neither ``noise_rate`` nor ``forget_rate`` is given, a number is out of range, or a ``scheduler`` is
            given.

    Example:
        >>> stages = {"first_epochs": 4, "cyclic_epochs": 4, "period": 2}
        >>> method = O2U(noise_rate=0.4, **stages, backbone="digits_cnn", in_channels=1)
        >>> [round(method.rate_at(epoch, of=12), 3) for epoch in range(12)]
        [1.0, 0.5, 0.1, 0.1, 0.55, 0.1, 0.55, 0.1, 1.0, 0.5, 0.1, 0.1]
    """

    paper = "Huang et al., O2U-Net, 2019"
    cost = "1 network, up to 1 pass; the third stage trains on what is left"
    state = "12 bytes"

    def __init__(
        self,
        noise_rate: float | None = None,
        forget_rate: float | None = None,
        first_epochs: int = 249,
        cyclic_epochs: int = 249,
        period: int = 10,
        lr_factor: float = 0.1,
        **learner: Any,
    ) -> None:
        super().__init__(**learner)
        self.save_hyperparameters("noise_rate", "forget_rate", "first_epochs", "cyclic_epochs", "period", "lr_factor")
        if self._scheduler is not None:
            raise ValueError(
                f"`scheduler` must be left out with O2U, got {self._scheduler!r}: its rates, from `lr` on, are its own"
            )
        rate = noise_rate if forget_rate is None else forget_rate
        if rate is None:
            raise ValueError("`noise_rate` is needed to know how much to leave out: pass it, or `forget_rate`")
        self.forget_rate = check_probability("noise_rate" if forget_rate is None else "forget_rate", rate)
        check_non_negative("first_epochs", first_epochs, "the epochs of the first stage, e.g. 249")
        self.first_epochs = first_epochs
        self.cyclic_epochs = check_positive_int("cyclic_epochs", cyclic_epochs)
        self.period = check_positive_int("period", period)
        self.lr_factor = check_probability("lr_factor", lr_factor, "the lowest rate as a part of `lr`, e.g. 0.1")

    @property
    def third(self) -> int:
        """The first epoch of the third stage."""
        return self.first_epochs + self.cyclic_epochs

    def rate_at(self, epoch: int, of: int) -> float:
        """Return an epoch's learning rate as a part of ``lr``.

        Args:
            epoch: The epoch.
            of: Epochs of the whole fit.
        """
        if self.first_epochs <= epoch < self.third:
            done = ((epoch - self.first_epochs) % self.period + 1) / self.period
            return (1 - done) + done * self.lr_factor
        first = epoch < self.first_epochs
        part = epoch / self.first_epochs if first else (epoch - self.third) / (of - self.third)
        return 1.0 if part < 0.25 else 0.5 if part < 0.5 else 0.1

    def evidence(self) -> Sequence[Column]:
        """Keep the sum of the losses of the second stage; how many they are is counted anyway."""
        return [Column("loss")]

    def begin_epoch(self) -> None:
        """Begin a stage where one does, and set the rate."""
        optimizer: Any = self.optimizers(use_pl_optimizer=False)
        if self.current_epoch == self.first_epochs:
            self.forget_steps()
            self.keep_weights()
        elif self.current_epoch == self.third:
            self.rewind()
            self.drop_weights()
            rows = self.tables["chosen"].views()
            seen = rows["n_seen"] > 0
            losses = torch.where(seen, rows["loss"] / rows["n_seen"], torch.nan)
            self.choose(small_loss_among(losses, seen, 1 - self.forget_rate).float())
        for group in optimizer.param_groups:
            group["lr"] = self._lr * self.rate_at(self.current_epoch, of=self.trainer.max_epochs or 0)

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Return ``-log p`` of the given label, ``(B,)``, and in the second stage add it to what is kept."""
        losses = cross_entropy(logits, target)
        if self.first_epochs <= self.current_epoch < self.third:
            self.tables["chosen"].observe(index, {"loss": losses})
        return losses
