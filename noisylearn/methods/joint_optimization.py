"""Joint Optimization: labels become the mean of recent predictions, and a new network is trained on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from noisylearn._checks import check_non_negative, check_positive_int
from noisylearn.losses import joint_optimization, soft_cross_entropy
from noisylearn.methods.presets import Preset
from noisylearn.methods.rewind import Rewind
from noisylearn.tables import Column, SampleTable, Views


class JointOptimization(Rewind):
    """Relabels each sample with the mean of the network's last predictions of it, then trains anew on these labels.

    From ``update_epoch`` on the target of a sample is the mean of its predictions in the last ``window`` epochs, soft,
    as they were made in training; before, it is the given label. The loss is ``-sum_c t_c log p_c + alpha KL(uniform ||
    batch mean of p) + beta entropy(p)``. From ``retrain_epoch`` on the labels stand still, the network and its
    optimizer begin anew, and the loss is the first term. The learning rate of the first part should be high: it is what
    keeps the network from memorizing.

    Source: Tanaka et al., "Joint Optimization Framework for Learning with Noisy Labels", CVPR 2018, with soft labels,
    as in the authors' code. It trains for 200 epochs at a constant rate, 0.08 for symmetric and 0.03 for asymmetric
    noise, and for 120 more at 0.2, 0.02 and 0.002 (`PiecewiseConstantLR`). Here both parts are one fit. The second
    begins with the weights that the first began with, where the code draws new ones: a pretrained network stays one.
    Labels are in the checkpoint and right on several processes, on each of which the batch's mean is that of its own
    part.

    Args:
        alpha: Weight of what keeps the classes predicted about equally often.
        beta: Weight of the prediction's entropy.
        update_epoch: The first epoch, from 0, whose targets are the network's.
        window: Epochs that a target is the mean of.
        retrain_epoch: The first epoch, from 0, of the second part.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        TypeError: An argument is not a number of the right kind.
        ValueError: An argument is out of range, or ``retrain_epoch`` comes before ``update_epoch``.

    Example:
        >>> JointOptimization(window=2, backbone="digits_cnn", num_classes=10, in_channels=1).state
        '4 window C + 4 C bytes'
    """

    paper = "Tanaka et al., Joint Optimization, 2018"
    state = "4 window C + 4 C bytes"
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(("cifar10",), ("symmetric",), {"alpha": 1.2, "beta": 0.8}, "README.md, for 70 %"),
        Preset(("cifar10",), ("asymmetric",), {"alpha": 0.8, "beta": 0.4}, "README.md, for 40 %"),
    )

    def __init__(
        self,
        alpha: float = 1.2,
        beta: float = 0.8,
        update_epoch: int = 70,
        window: int = 10,
        retrain_epoch: int = 200,
        **learner: Any,
    ) -> None:
        super().__init__(**learner)
        self.save_hyperparameters("alpha", "beta", "update_epoch", "window", "retrain_epoch")
        self.alpha = check_non_negative("alpha", alpha, "the weight of the classes' balance, e.g. 1.2")
        self.beta = check_non_negative("beta", beta, "the weight of the entropy, e.g. 0.8")
        self.window = check_positive_int("window", window, "the epochs that a target is the mean of, e.g. 10")
        self.update_epoch = check_positive_int("update_epoch", update_epoch, "there is no prediction before epoch 1")
        if retrain_epoch < update_epoch:
            found = f"got {retrain_epoch}: both count from the start"
            raise ValueError(f"`retrain_epoch` must be at least `update_epoch`, {update_epoch}, {found}")
        self.retrain_epoch = retrain_epoch

    def build_tables(self, num_samples: int) -> Mapping[str, SampleTable]:
        """Keep each sample's predictions of the last epochs, one column an epoch, in turn."""
        past = [Column(f"probs{k}", width=self.num_classes, merge="ordered") for k in range(self.window)]
        now = Column("probs", width=self.num_classes, merge="last")
        return {"predictions": SampleTable(num_samples, past, observed=[now])}

    def advance(self, name: str, state: Views, staged: Views) -> Mapping[str, Tensor]:
        """Let an epoch's predictions take the place of the oldest, until the labels stand still."""
        if self.current_epoch >= self.retrain_epoch:
            return {}
        return {f"probs{self.current_epoch % self.window}": staged["probs"]}

    def begin_epoch(self) -> None:
        """Keep the first weights; at the second part's start go back to them, with an optimizer that has no past."""
        if self.current_epoch == 0:
            self.keep_weights()
        if self.current_epoch == self.retrain_epoch:
            self.rewind()
            self.drop_weights()

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Stage the predictions, then return the losses, ``(B,)``."""
        targets = F.one_hot(target, self.num_classes).to(logits.dtype)
        if self.current_epoch >= self.update_epoch:
            rows = self.tables["predictions"].read(index)
            total = torch.stack([rows[f"probs{k}"] for k in range(self.window)]).sum(0)
            seen = total.sum(-1, keepdim=True)
            targets = (total / seen).where(seen > 0, targets)  # a sample never seen has its given label
        self.tables["predictions"].observe(index, {"probs": logits.detach().float().softmax(-1)})
        if self.current_epoch >= self.retrain_epoch:
            return soft_cross_entropy(logits, targets)
        return joint_optimization(logits, targets, self.alpha, self.beta)
