"""VolMinNet: the transition matrix is learned along with the network, the one of least volume."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisylearn._checks import check_non_negative
from noisylearn.losses import volume_minimization
from noisylearn.methods.learner import NoisyLearner
from noisylearn.methods.optimization import build_optimizer, check_optimization
from noisylearn.methods.optimizers import Chain
from noisylearn.methods.presets import Preset


class VolMinNet(NoisyLearner):
    """VolMinNet: forward correction by a matrix that is learned, kept as small in volume as the labels allow.

    ``-log sum_c p_c T[c, y] + lam log |det T|``, where ``T`` is the identity plus ``sigmoid(w)`` off the diagonal, each
    row divided by its sum. ``w`` has an optimizer of its own, without weight decay, under the network's schedule.

    Source: Li et al., "Provably End-to-end Label-noise Learning without Anchor Points", ICML 2021. The defaults are the
    reference's for CIFAR-10. Departs from its code in that logarithms are summed, where it takes the logarithm of a
    probability that may be 0; and in that the last epoch counts, not that of least loss on held-out noisy labels.

    Args:
        lam: Weight of the volume.
        init: First value of ``w``; the lower, the nearer ``T`` begins to the identity.
        transition_optimizer: Of ``w``: a name in ``torch.optim``, or an import path.
        transition_lr: Its learning rate.
        transition_optimizer_args: Its other arguments; by default momentum 0.9 for SGD.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        ValueError: An argument does not fit.

    Example:
        >>> method = VolMinNet(backbone="digits_cnn", num_classes=10, in_channels=1, lam=1e-4, init=-2.0)
        >>> round(method.transition[0, 0].item(), 3)
        0.482
    """

    paper = "Li et al., VolMinNet, 2021"
    presets = (
        Preset(
            ("cifar10",),
            (),
            {"lam": 1e-4, "init": -2.0, "transition_optimizer": "SGD", "transition_lr": 0.01},
            "xuefeng-li1/Provably-end-to-end-label-noise-learning-without-anchor-points main.py, models.py",
        ),
        Preset(
            ("cifar100",),
            (),
            {"lam": 1e-4, "init": -4.5, "transition_optimizer": "Adam", "transition_lr": 0.01},
            "xuefeng-li1/Provably-end-to-end-label-noise-learning-without-anchor-points main.py, models.py",
        ),
    )

    def __init__(
        self,
        lam: float = 1e-4,
        init: float = -2.0,
        transition_optimizer: str = "SGD",
        transition_lr: float = 0.01,
        transition_optimizer_args: dict[str, Any] | None = None,
        **learner: Any,
    ) -> None:
        super().__init__(**learner)
        names = ("transition_optimizer", "transition_lr", "transition_optimizer_args")
        self.save_hyperparameters("lam", "init", *names)
        self.lam = check_non_negative("lam", lam, "the weight of the volume, e.g. 1e-4")
        check_optimization(transition_optimizer, transition_lr, None, "epoch")
        if transition_optimizer_args is None:
            transition_optimizer_args = {"momentum": 0.9} if transition_optimizer == "SGD" else {}
        self._transition_optimizer = (transition_optimizer, transition_lr, dict(transition_optimizer_args))
        self.transition_logits = nn.Parameter(torch.full((self.num_classes, self.num_classes), float(init)))

    @property
    def transition(self) -> Tensor:
        """The matrix as it stands, ``(C, C)``."""
        identity = torch.eye(self.num_classes, device=self.transition_logits.device)
        return F.normalize(identity + self.transition_logits.sigmoid() * (1 - identity), p=1, dim=1)

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Return `volume_minimization`, ``(B,)``."""
        return volume_minimization(logits, target, self.transition, self.lam)

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Return the optimizers of the network and of the matrix, as one."""
        network = build_optimizer(self.network.parameters(), self._optimizer, self._lr, self._optimizer_args)
        return Chain(network, build_optimizer([self.transition_logits], *self._transition_optimizer))
