"""PENCIL: the label of each sample is a distribution that is learned with the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from noisylearn._checks import check_non_negative
from noisylearn.losses import cross_entropy, pencil
from noisylearn.methods.learner import NoisyLearner
from noisylearn.methods.presets import Preset
from noisylearn.tables import Column, SampleTable

CERTAINTY = 10.0
"""The logit of the given label that a label distribution starts with; the others are 0."""

_AS_CODED: Mapping[str, Any] = {"legacy_undivided_alpha": True, "legacy_double_softmax": True}


def _quoted(data: str, noise: str, at: str, **args: float) -> Preset:
    source = f"the paper's setting {at}, as AlexandrosPetropoulos/PENCIL quotes it"
    return Preset((data,), (noise,), args, source, guessed=True, where=_AS_CODED)


class PENCIL(NoisyLearner):
    """Probabilistic end-to-end noise correction: label distributions move to the network's, held by the given label.

    Each sample has ``label_logits``, at first 10 at the given label and 0 elsewhere; ``y`` is their softmax. Stage 1 is
    cross-entropy on the given labels. In stage 2 the loss is ``(KL(p || y) + alpha * -log y_given + beta * entropy(p))
    / C``, and with every step ``label_logits <- label_logits - lam * gradient``. In stage 3 the distributions stand
    still and the loss is the first term.

    Source: Yi & Wu, "Probabilistic End-to-end Noise Correction for Learning with Noisy Labels", CVPR 2019. The stages
    and the weights are the defaults of the authors' code, for 320 epochs and batches of 128; its learning rate is 0.06,
    in stage 3 0.2 and lower (`PiecewiseConstantLR`). Three quirks of the code are off here, each behind a ``legacy_``
    switch; values of ``alpha`` published for it belong to the first two. Unlike the code's, label distributions are in
    the checkpoint and right on several processes. A sample drawn twice in an epoch takes one step, its last.

    Args:
        stage1: Epochs until the end of stage 1.
        stage2: Epochs until the end of stage 2, counted from the start.
        alpha: Weight of what holds a distribution to the given label.
        beta: Weight of the prediction's entropy.
        lam: Learning rate of ``label_logits``, for the mean loss over the batch.
        legacy_undivided_alpha: Do not divide the term of ``alpha`` by the number of classes, as in the code.
        legacy_double_softmax: Take ``y`` for logits in the term of ``alpha``, as the code does.
        legacy_zero_lr: Let the network stand still in the last two thirds of stage 3, as in the code, whose learning
            rate there is ``0.2 // 10``.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        TypeError: An argument is not a number.
        ValueError: An argument is negative, or stage 2 ends before stage 1.

    Example:
        >>> PENCIL(stage1=10, stage2=30, backbone="digits_cnn", num_classes=10, in_channels=1).state
        '8 C bytes'
    """

    paper = "Yi & Wu, PENCIL, 2019"
    state = "8 C bytes"
    presets: ClassVar[tuple[Preset, ...]] = (
        _quoted("cifar10", "none", "for clean labels", alpha=0.1, beta=0.8, lam=200.0),
        _quoted("cifar10", "symmetric", "for 30 %", alpha=0.1, beta=0.8, lam=300.0),
        _quoted("cifar10", "asymmetric", "for 50 %", alpha=0.0, beta=0.4, lam=4000.0),
        _quoted("cifar100", "symmetric", "for 30 %", alpha=0.1, beta=0.4, lam=1000.0),
        Preset(("cifar10",), (), {"alpha": 0.4, "beta": 0.1, "lam": 600.0}, "PENCIL.py, defaults", where=_AS_CODED),
    )

    def __init__(
        self,
        stage1: int = 70,
        stage2: int = 200,
        alpha: float = 0.4,
        beta: float = 0.1,
        lam: float = 600.0,
        legacy_undivided_alpha: bool = False,
        legacy_double_softmax: bool = False,
        legacy_zero_lr: bool = False,
        **learner: Any,
    ) -> None:
        super().__init__(**learner)
        self.save_hyperparameters("stage1", "stage2", "alpha", "beta", "lam")
        self.save_hyperparameters("legacy_undivided_alpha", "legacy_double_softmax", "legacy_zero_lr")
        check_non_negative("stage1", stage1, "the epochs of cross-entropy, e.g. 70")
        if stage2 < stage1:
            raise ValueError(f"`stage2` must be at least `stage1`, {stage1}, got {stage2}: both count from the start")
        self.stage1, self.stage2 = stage1, stage2
        self.alpha = check_non_negative("alpha", alpha, "the hold of the given label, e.g. 0.4")
        self.beta = check_non_negative("beta", beta, "the weight of the entropy, e.g. 0.1")
        self.lam = check_non_negative("lam", lam, "the learning rate of label distributions, e.g. 600")
        self.legacy_undivided_alpha, self.legacy_double_softmax = legacy_undivided_alpha, legacy_double_softmax
        self.legacy_zero_lr = legacy_zero_lr

    def build_tables(self, num_samples: int) -> Mapping[str, SampleTable]:
        """Keep the logits of one label distribution per sample; a row never seen stands for the given label."""
        return {"labels": SampleTable(num_samples, [Column("logits", width=self.num_classes, merge="last")])}

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Step the label distributions in stage 2, and return the losses before that step, ``(B,)``."""
        rows = self.tables["labels"].read(index)
        given = CERTAINTY * F.one_hot(target, self.num_classes).to(rows["logits"].dtype)
        labels = torch.where((rows["n_seen"] > 0).unsqueeze(-1), rows["logits"], given)
        legacy = (self.legacy_undivided_alpha, self.legacy_double_softmax)
        if self.current_epoch < self.stage1:
            losses = cross_entropy(logits, target)
        elif self.current_epoch < self.stage2:
            losses = pencil(logits, target, labels.requires_grad_(), self.alpha, self.beta, *legacy)
            (gradient,) = torch.autograd.grad(losses.sum(), labels, retain_graph=True)  # stops short of the network
            count = len(index) * self.trainer.accumulate_grad_batches * self.trainer.world_size
            labels = labels.detach() - self.lam / count * gradient
        else:
            losses = pencil(logits, target, labels, 0.0, 0.0, *legacy)
        self.tables["labels"].observe(index, {"logits": labels})
        return losses

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Leave the network as it is where the reference's learning rate is 0."""
        zero_from = self.stage2 + ((self.trainer.max_epochs or 0) - self.stage2) // 3
        if self.legacy_zero_lr and self.current_epoch >= max(zero_from, self.stage2):
            for parameter in self.parameters():
                parameter.grad = None
