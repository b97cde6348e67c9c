"""M-correction: each label is corrected as far as a mixture of two Beta distributions says that it is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from noisylearn._checks import check_non_negative
from noisylearn.losses import class_prior_penalty, cross_entropy, mixup, mixup_cross_entropy
from noisylearn.methods._step_checks import check_mixable, check_num_logits
from noisylearn.methods.learner import NoisyLearner
from noisylearn.methods.semi_supervised import in_evaluation
from noisylearn.methods.sweep import sweeping
from noisylearn.selection import BetaMixtureFit, fit_bmm
from noisylearn.tables import Column, SampleTable


class MCorrection(NoisyLearner):
    """M-correction (M-DYR-H): mixup, with each label corrected by as much as its loss says that it is wrong.

    After epochs of plain mixup, each epoch begins with a pass over the training set, and two Beta distributions are
    fitted to its losses. In a step they give each sample the probability ``w`` that its label ``y`` is wrong. With
    ``z`` the network's prediction for the sample and ``p`` the probabilities for its mixture with sample ``j``, the
    loss is ``lam L_i + (1 - lam) L_j`` with ``L_i = -(1 - w_i) log p[y_i] - w_i log p[z_i]``, and ``reg`` times the
    divergence of the batch's mean prediction from all classes alike.

    Source: Arazo et al., "Unsupervised Label Noise Modeling and Loss Correction", ICML 2019; the form with hard labels
    and plain mixup, the better one in their table of CIFAR-10 up to 80 % noise. As in their code, ``w`` is of a forward
    pass in evaluation mode and ``z`` of another in training mode, which moves the batch norm statistics. Departures:
    the pass that the distributions are fitted to sees inputs without augmentation, theirs augmented ones; the posterior
    is exact (see `fit_bmm`), and losses that do not fall into two groups correct no label. Epochs count from 0.

    Args:
        warmup_epochs: Epochs of plain mixup.
        alpha: Of the Beta distribution that says how much is mixed; large values mix in halves.
        reg: Weight of the divergence.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        ValueError: A number is negative or not finite, or ``alpha`` is 0.

    Example:
        >>> MCorrection(backbone="digits_cnn", num_classes=10, in_channels=1).alpha
        32.0
    """

    paper = "Arazo et al., M-correction (M-DYR-H), 2019"
    cost = "1 network, 1 pass and 3 forward passes"
    state = "8 bytes"

    def __init__(self, warmup_epochs: int = 105, alpha: float = 32.0, reg: float = 1.0, **learner: Any) -> None:
        super().__init__(**learner)
        self.save_hyperparameters("warmup_epochs", "alpha", "reg")
        check_non_negative("warmup_epochs", warmup_epochs, "the epochs of plain mixup, e.g. 105")
        self.warmup_epochs = warmup_epochs
        self.alpha = check_non_negative("alpha", alpha, "of the Beta distribution, e.g. 32")
        if alpha == 0:
            raise ValueError(f"`alpha` must be above 0, got {alpha}: nothing would be mixed; pass e.g. 32")
        self.reg = check_non_negative("reg", reg, "the weight of the divergence, e.g. 1")
        self.mixture = BetaMixtureFit()

    def build_tables(self, num_samples: int) -> Mapping[str, SampleTable]:
        """Keep each sample's loss as the epoch began."""
        return {"losses": SampleTable(num_samples, [Column("loss", merge="last")])}

    def begin_epoch(self) -> None:
        """Go through the training set, after the warm-up, and fit the distributions to the losses."""
        if self.current_epoch >= self.warmup_epochs:
            with sweeping(self, "fit the losses") as batches:
                for x, target, index in batches:
                    self.tables["losses"].observe(index, {"loss": self.compute_loss(self(x), target, index)})
            self.tables["losses"].commit(self.current_epoch)
            self.fit_mixture()

    def on_train_start(self) -> None:
        """Fit the distributions anew in an epoch that was broken off: its losses are in the checkpoint."""
        super().on_train_start()
        self.fit_mixture()

    def fit_mixture(self) -> None:
        """Fit the distributions to the losses in the table."""
        rows = self.tables["losses"].views()
        self.mixture = fit_bmm(torch.where(rows["n_seen"] > 0, rows["loss"], torch.nan))

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Return ``-log p`` of the given label, ``(B,)``: what the distributions are fitted to."""
        return cross_entropy(logits, target)

    def wrong_probability(self, losses: Tensor) -> Tensor:
        """Return the probability that each label is wrong, ``(B,)``, at least 1e-4 and at most 1 less that."""
        if not self.mixture.split:
            return torch.full_like(losses, 1e-4)
        return (1 - self.mixture.posterior(losses)).clamp(1e-4, 1 - 1e-4)

    def learn(self, x: Any, target: Tensor, index: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of the batch's mixtures, and the logits of its samples: in the warm-up, of the mixtures."""
        if not self._checked:
            check_mixable(x)
        corrects = self.current_epoch >= self.warmup_epochs
        with torch.no_grad():
            seen = self(x) if corrects else None
        lam = torch.distributions.Beta(self.alpha, self.alpha).sample()  # on the CPU: it mixes anywhere without a wait
        order = torch.randperm(len(target), device=target.device)
        logits = self(mixup(x, order, lam))
        check_num_logits(logits, self.num_classes)
        if seen is None:
            own, other = cross_entropy(logits, target), cross_entropy(logits, target[order])
        else:
            predicted, right = seen.argmax(-1), 1 - self.wrong_now(x, target, index)
            own = mixup_cross_entropy(
                logits, target, predicted, right
            )  # what is mixed here is a label and a prediction
            other = mixup_cross_entropy(logits, target[order], predicted[order], right[order])
        self.watch(torch.stack([own, other]))
        loss = lam * self.reduce(own, index, None) + (1 - lam) * self.reduce(other, index[order], None)
        if corrects:
            loss = loss + self.reg * class_prior_penalty(logits)
        return loss, {"logits": logits.detach() if seen is None else seen}

    def wrong_now(self, x: Any, target: Tensor, index: Tensor) -> Tensor:
        """Look at a batch in evaluation mode and return the probability that each label is wrong, ``(B,)``."""
        with torch.no_grad(), in_evaluation(self.network):
            return self.wrong_probability(self.compute_loss(self(x), target, index))
