"""Self-paced learning: only what is easy by now is learned from."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from noisylearn._checks import check_non_negative, check_probability
from noisylearn.losses import cross_entropy
from noisylearn.methods.learner import NoisyLearner
from noisylearn.methods.presets import Preset
from noisylearn.selection import self_paced_threshold


class SelfPaced(NoisyLearner):
    """Learns from the samples whose loss is at most a running average of the batches' loss percentile.

    ``threshold <- decay threshold + (1 - decay) percentile(losses)``, then ``mean_i [loss_i <= threshold] loss_i`` over
    the whole batch: a batch of few easy samples makes a small step.

    Source: the self-paced baseline of Jiang et al., "MentorNet: Learning Data-Driven Curriculum for Very Deep Neural
    Networks on Corrupted Labels", ICML 2018; the defaults are that baseline's in their code, for all rates of noise.
    The code has a small network, trained to imitate this rule, choose the samples; here the rule does. MentorNet PD,
    which drops samples at random and changes its rule in the last tenth, and MentorNet DD, which needs right labels,
    are not here. The first batch's percentile is the first threshold, where the code starts at 0 and leaves out the
    first batches whole. On several processes the threshold follows the mean of their percentiles.

    Args:
        percentile: Share of a batch that counts as easy, in [0, 1].
        decay: Weight of the past in the threshold, in [0, 1].
        burn_in_epochs: Epochs that learn from all samples; the threshold moves in them too.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        TypeError: An argument is not a number.
        ValueError: ``percentile`` or ``decay`` is outside [0, 1], or ``burn_in_epochs`` negative.

    Example:
        >>> SelfPaced(percentile=0.6, backbone="digits_cnn", num_classes=10, in_channels=1).threshold
        tensor(inf)
    """

    paper = "Jiang et al., MentorNet (self-paced), 2018"
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(
            ("cifar10", "cifar100"),
            ("symmetric",),
            {"percentile": 0.7, "decay": 0.5, "burn_in_epochs": 0},
            "commands/train_studentnet_resnet.sh, self-paced, and the defaults of cifar_train_mentornet.py",
        ),
    )
    threshold: Tensor

    def __init__(self, percentile: float = 0.7, decay: float = 0.5, burn_in_epochs: int = 0, **learner: Any) -> None:
        super().__init__(**learner)
        self.save_hyperparameters("percentile", "decay", "burn_in_epochs")
        self.percentile = check_probability("percentile", percentile, "the share of easy samples, e.g. 0.7")
        self.decay = check_probability("decay", decay, "the weight of the past, e.g. 0.5")
        check_non_negative("burn_in_epochs", burn_in_epochs, "the epochs that learn from all samples, e.g. 0")
        self.burn_in_epochs = burn_in_epochs
        self.register_buffer("threshold", torch.tensor(torch.inf))

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Return ``-log p`` of the given label, ``(B,)``."""
        return cross_entropy(logits, target)

    def select(self, losses: Tensor, logits: Tensor) -> Tensor | None:
        """Move the threshold, and return the mask of the losses that are at most as large."""
        threshold = self_paced_threshold(self.threshold, losses, self.percentile, self.decay)
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(threshold)
            threshold /= self.trainer.world_size
        self.threshold.copy_(threshold)
        if self.current_epoch < self.burn_in_epochs:
            return torch.ones_like(losses, dtype=torch.bool)
        return losses <= threshold

    def reduce(self, losses: Tensor, index: Tensor, selected: Tensor | None) -> Tensor:
        """Return the mean over the whole batch, where samples left out count as 0."""
        kept = losses if selected is None else losses.where(selected, 0.0)
        return super().reduce(kept, index, None)
