"""ELR: early-learning regularization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from noisylearn._checks import check_non_negative, check_probability
from noisylearn.losses import elr, elr_target_update
from noisylearn.methods.learner import NoisyLearner
from noisylearn.methods.presets import Preset
from noisylearn.tables import Column, SampleTable


class ELR(NoisyLearner):
    """Early-learning regularization: pulls predictions toward a running average of the sample's own predictions.

    ``t <- beta t + (1 - beta) p``, then ``CE + lam log(1 - <t, p>)``. Large negative losses are normal.

    Source: Liu et al., "Early-Learning Regularization Prevents Memorization of Noisy Labels", NeurIPS 2020. The
    defaults are the reference's for CIFAR-10 with symmetric noise; use ``lam=1, beta=0.9`` for asymmetric noise and
    ``lam=7, beta=0.9`` for CIFAR-100. Unlike the reference's, the targets are in the checkpoint and right on several
    processes. A sample drawn twice in an epoch updates its target once.

    Args:
        lam: Weight of the regularizer.
        beta: Weight of the past in the running average, in [0, 1].
        **learner: Arguments of `NoisyLearner`.

    Raises:
        ValueError: ``lam`` is negative or not finite, or ``beta`` outside [0, 1].

    Example:
        >>> ELR(backbone="digits_cnn", num_classes=10, in_channels=1, lam=3.0, beta=0.7).state
        '8 C bytes'
    """

    paper = "Liu et al., Early-Learning Regularization, 2020"
    state = "8 C bytes"
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(("cifar10",), ("symmetric",), {"lam": 3.0, "beta": 0.7}, "ELR/config_cifar10.json"),
        Preset(("cifar10",), ("asymmetric",), {"lam": 1.0, "beta": 0.9}, "ELR/config_cifar10_asym.json"),
        Preset(("cifar100",), ("symmetric", "asymmetric"), {"lam": 7.0, "beta": 0.9}, "ELR/config_cifar100.json"),
    )

    def __init__(self, lam: float = 3.0, beta: float = 0.7, **learner: Any) -> None:
        super().__init__(**learner)
        self.save_hyperparameters("lam", "beta")
        self.lam = check_non_negative("lam", lam, "the weight of the regularizer, e.g. 3")
        self.beta = check_probability("beta", beta, "the weight of the past, e.g. 0.7")

    def build_tables(self, num_samples: int) -> Mapping[str, SampleTable]:
        """Keep one target distribution per sample; it starts at zero, as in the reference."""
        return {"targets": SampleTable(num_samples, [Column("target", width=self.num_classes, merge="last")])}

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Update the targets, then return the regularized losses, ``(B,)``."""
        table = self.tables["targets"]
        ema_targets = elr_target_update(table.read(index)["target"], logits, self.beta)
        table.observe(index, {"target": ema_targets})
        return elr(logits, target, ema_targets, self.lam)
