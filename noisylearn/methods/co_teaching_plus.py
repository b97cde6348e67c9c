"""Co-teaching+: two networks choose samples for each other among those they disagree on."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from noisylearn._checks import check_non_negative
from noisylearn.methods.co_teaching import CoTeaching
from noisylearn.methods.presets import Preset
from noisylearn.selection import disagreement, small_loss_among


class CoTeachingPlus(CoTeaching):
    """Co-teaching+: after some epochs of Co-teaching, the small-loss exchange is among disagreed samples only.

    Source: Yu et al., "How does Disagreement Help Generalization against Label Corruption?", ICML 2019. The default
    ``init_epoch`` is the reference's for CIFAR-10; it has 5 on CIFAR-100, 0 on MNIST, 100 on Tiny-ImageNet. After
    ``init_epoch`` the reference feeds the softmax outputs to a cross-entropy that takes a softmax again, which its
    numbers depend on: ``legacy_double_softmax``. A batch without disagreement is learned whole in the first 5000 steps
    and not at all later (its gradient is 0); where we count steps, the reference takes the epoch times the batch's
    number. It also drops the sample with index 0; ours does not. Epochs count from 0.

    Args:
        init_epoch: The first epoch that looks at the disagreement.
        agreement_steps: Steps in which a batch without disagreement is learned whole.
        legacy_double_softmax: From ``init_epoch`` on, compute losses from probabilities in place of logits.
        **co_teaching: Arguments of `CoTeaching` and `NoisyLearner`.

    Raises:
        ValueError: ``init_epoch`` or ``agreement_steps`` is negative, or what `CoTeaching` raises.

    Example:
        >>> CoTeachingPlus(noise_rate=0.4, backbone="digits_cnn", num_classes=10, in_channels=1).init_epoch
        20
    """

    paper = "Yu et al., Co-teaching+, 2019"
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(("cifar10",), (), {"init_epoch": 20}, "coteaching_plus/main.py"),
        Preset(("cifar100",), (), {"init_epoch": 5}, "coteaching_plus/main.py"),
    )

    def __init__(
        self,
        init_epoch: int = 20,
        agreement_steps: int = 5000,
        legacy_double_softmax: bool = False,
        **co_teaching: Any,
    ) -> None:
        super().__init__(**co_teaching)
        self.save_hyperparameters("init_epoch", "agreement_steps", "legacy_double_softmax")
        check_non_negative("init_epoch", init_epoch, "the first epoch that looks at the disagreement, e.g. 20")
        check_non_negative("agreement_steps", agreement_steps, "steps that may learn without disagreement, e.g. 5000")
        self.init_epoch, self.agreement_steps = init_epoch, agreement_steps
        self.legacy_double_softmax = legacy_double_softmax

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Return each network's cross-entropy, ``(2, B)``."""
        if self.legacy_double_softmax and self.current_epoch >= self.init_epoch:
            logits = logits.softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
        return super().compute_loss(logits, target, index)

    def select(self, losses: Tensor, logits: Tensor) -> Tensor | None:
        """Return, for each network, the mask that its peer's smallest losses make, among disagreed samples."""
        if self.current_epoch < self.init_epoch:
            return super().select(losses, logits)
        differ = disagreement(logits)
        chosen = small_loss_among(losses, differ, self.keep_rate).flip(0)
        return chosen | ~differ.any() if self.global_step < self.agreement_steps else chosen
