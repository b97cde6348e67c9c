"""T-Revision: importance reweighting by a transition matrix that is estimated, then revised."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from noisylearn._checks import check_non_negative
from noisylearn.losses import cross_entropy, importance_weights
from noisylearn.methods.optimizers import Phases
from noisylearn.methods.presets import Preset
from noisylearn.methods.transition import TransitionCorrection


class TRevision(TransitionCorrection):
    """T-Revision: each label counts by how much likelier it is right than given; what the matrix lacks is learned.

    In three phases: a warm-up of cross-entropy, after which ``T`` is estimated; cross-entropy weighted by
    ``p_y / sum_c p_c T[c, y]``; and revision, with ``T + slack`` in place of ``T``, where Adam, at a small rate of its
    own, steps network and ``slack`` together. The weights are constants to the network, and have a gradient to
    ``slack``.

    Source: Xia et al., "Are Anchor Points Really Indispensable in Label-Noise Learning?", NeurIPS 2019. In their first
    code ``slack`` was added once per sample, so that the k-th of a batch saw ``T + k slack``, and in revision the
    network's gradient went through the weights, which are least where the given label is all but impossible
    (``legacy_accumulation``); in their vectorised code the weights have no gradient, so that ``slack`` is never
    learned. Departs from their code too in that each phase goes on from the last epoch of the one before, not from its
    best on held-out noisy labels; in that warm-up and reweighting share one optimizer and schedule (theirs warms up
    without momentum); and in the bounds of `importance_weights`.

    Args:
        transition: ``C`` rows of ``C`` chances that take the place of warm-up and estimate; None estimates them.
        warmup_epochs: Epochs of cross-entropy before the estimate; not read where ``transition`` is given.
        reweighting_epochs: Epochs after these, before revision begins.
        revision_lr: Adam's learning rate in revision, constant. Its weight decay is that of ``optimizer_args``.
        restart: Whether the network goes back to its first weights after the estimate.
        legacy_accumulation: Let the k-th sample of a batch see ``T + k slack``, and revision change the network by what
            that does to its weights.
        **correction: Arguments of `ForwardCorrection` and `NoisyLearner`.

    Raises:
        ValueError: ``transition`` is not a matrix of chances for these classes, or another argument does not fit.

    Example:
        >>> method = TRevision(revision_lr=5e-7, backbone="digits_cnn", num_classes=10, in_channels=1)
        >>> method.slack.shape
        torch.Size([10, 10])
    """

    paper = "Xia et al., T-Revision, 2019"
    presets = (
        Preset(("cifar10",), (), {"warmup_epochs": 20, "percentile": 97.0}, "xiaoboxia/T-Revision main.py, tools.py"),
        Preset(("cifar100",), (), {"warmup_epochs": 15, "percentile": None}, "xiaoboxia/T-Revision main.py, tools.py"),
    )

    def __init__(
        self,
        transition: list[list[float]] | None = None,
        warmup_epochs: int = 20,
        reweighting_epochs: int = 200,
        revision_lr: float = 5e-7,
        restart: bool = False,
        legacy_accumulation: bool = False,
        **correction: Any,
    ) -> None:
        super().__init__(transition, warmup_epochs, restart=restart, **correction)
        self.save_hyperparameters("reweighting_epochs", "revision_lr", "legacy_accumulation")
        self.reweighting_epochs = int(check_non_negative("reweighting_epochs", reweighting_epochs, "e.g. 200"))
        self.revision_lr = check_non_negative("revision_lr", revision_lr, "Adam's learning rate, e.g. 5e-7")
        self.legacy_accumulation = legacy_accumulation
        self.slack = nn.Parameter(torch.zeros(self.num_classes, self.num_classes))

    @property
    def revising(self) -> bool:
        """Whether ``slack`` is being learned."""
        return self.current_epoch >= (self.warmup_epochs if self.estimated else 0) + self.reweighting_epochs

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Return the weighted losses, ``(B,)``; during the warm-up all weights are 1."""
        if self.legacy_accumulation:
            times = torch.arange(1, len(target) + 1, device=target.device).view(-1, 1, 1)
            weights = importance_weights(logits, target, self.transition + times * self.slack)
        else:
            weights = importance_weights(logits.detach(), target, self.transition + self.slack)
        if not self.revising:
            weights = weights.detach() + 0 * self.slack.sum()  # DDP waits for a gradient of every parameter
        return weights * cross_entropy(logits, target)

    def begin_epoch(self) -> None:
        """Estimate the matrix after the warm-up, and change the optimizer for revision."""
        super().begin_epoch()
        if self.current_epoch == 0:
            nn.init.zeros_(self.slack)
        if self.revising:
            optimizer: Any = self.optimizers(use_pl_optimizer=False)
            optimizer.enter(1)

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Return the optimizer of the network, and Adam of network and ``slack``, one after the other."""
        decay = self._optimizer_args.get("weight_decay", 0.0)
        revision = torch.optim.Adam(self.parameters(), lr=self.revision_lr, weight_decay=decay)
        return Phases(super().make_optimizer(), revision)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Follow the schedule until revision, whose rate is constant."""
        if not self.revising:
            super().lr_scheduler_step(scheduler, metric)
