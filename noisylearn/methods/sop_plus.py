"""SOP+: SOP with predictions that agree between two views and are balanced over the classes."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from noisylearn._checks import check_non_negative
from noisylearn.losses import consistency, sop, sop_balance
from noisylearn.methods.presets import Preset
from noisylearn.methods.sop import SOP
from noisylearn.methods.views import join_views


class SOPPlus(SOP):
    """SOP+: the weak view learns as in SOP, the strong view what the weak one predicts, and no class is preferred.

    `SOP`'s loss of the weak view, plus ``consistency_weight`` times the divergence of its prediction, a constant, from
    that of the strong view, plus ``balance_weight`` times `noisylearn.losses.sop_balance` of the batch. Both views go
    through the network together.

    Source: Liu et al., "Robust Training under Label Noise by Over-parameterization", ICML 2022, and the authors' code.
    The default rates are theirs for CIFAR-100 with symmetric noise; they belong to the batch size 128. Their strong
    view is AutoAugment and a hole of 16x16 pixels, on CIFAR-100 scaled by the wrong data set's mean, which ours is not.
    For the rest see `SOP`.

    Args:
        lr_u: Learning rate of ``u``.
        lr_v: Learning rate of ``v``.
        init_std: Standard deviation of their first values.
        consistency_weight: Weight of the agreement of the views.
        balance_weight: Weight of the balance of the classes.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        ValueError: An argument is negative or not finite.

    Example:
        >>> SOPPlus(lr_u=1.0, lr_v=10.0, backbone="digits_cnn", num_classes=10, in_channels=1).views
        ('weak', 'strong')
    """

    paper = "Liu et al., SOP+, 2022"
    cost = "1 network, 2 passes"
    views = ("weak", "strong")
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(("cifar100",), ("symmetric",), {"lr_u": 1.0, "lr_v": 10.0}, "README.md"),
        Preset(("cifar100",), ("asymmetric",), {"lr_u": 0.1, "lr_v": 100.0}, "README.md"),
        Preset(("cifar10",), ("symmetric",), {"lr_u": 10.0, "lr_v": 10.0}, "the paper's table A.1", guessed=True),
        Preset(("cifar10",), ("asymmetric",), {"lr_u": 10.0, "lr_v": 100.0}, "the paper's table A.1", guessed=True),
    )

    def __init__(
        self,
        lr_u: float = 1.0,
        lr_v: float = 10.0,
        init_std: float = 1e-8,
        consistency_weight: float = 0.9,
        balance_weight: float = 0.1,
        **learner: Any,
    ) -> None:
        super().__init__(lr_u, lr_v, init_std, **learner)
        self.save_hyperparameters("consistency_weight", "balance_weight")
        self.consistency_weight = check_non_negative("consistency_weight", consistency_weight, "e.g. 0.9")
        self.balance_weight = check_non_negative("balance_weight", balance_weight, "e.g. 0.1")

    def learn(self, x: Any, target: Tensor, index: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Step ``u`` and ``v``, and return the loss before that step."""
        weak, strong = self(join_views(x)).chunk(2)
        u, v = self.read_noise(index)
        losses = sop(weak, target, u, v) + self.consistency_weight * consistency(weak, strong)
        balance = self.balance_weight * sop_balance(weak, target, u, v)
        self.step_noise(index, u, v, losses.mean() + balance)
        self.watch(losses + balance)
        return self.reduce(losses, index, None) + balance, self.outputs(weak.detach())
