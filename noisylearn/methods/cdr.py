"""CDR: only the weights that matter most to the loss follow its gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from noisylearn._checks import check_probability
from noisylearn.losses import cross_entropy
from noisylearn.methods.learner import NoisyLearner
from noisylearn.selection import critical_weights


class CDR(NoisyLearner):
    """Robust early-learning: in each step the non-critical weights are decayed, and not trained.

    Of the ``P`` weights of convolutions and linear layers, the ``(1 - tau) P`` with the largest ``|gradient * weight|``
    are critical; there ``gradient <- (1 - tau) gradient``, elsewhere ``gradient <- 0``, with ``tau`` the rate of wrong
    labels. Biases and normalization layers are trained as ever. The critical weights are chosen once per step of the
    optimizer, by the gradient of all accumulated batches and all processes, before it is clipped.

    Source: Xia et al., "Robust Early-learning: Hindering the Memorization of Noisy Labels", ICLR 2021. As in the
    authors' code, the decay is the optimizer's ``weight_decay`` (theirs: 1e-3), where the paper has an L1 penalty, and
    ``tau`` is constant: the code computes a gradual schedule and overwrites it. Momentum goes on moving a weight that
    was critical a step before, there as here. The code forwards each batch a second time for its accuracy, which moves
    the running statistics of batch norm twice a step; that is off here (``legacy_double_forward``).

    Args:
        noise_rate: The fraction of wrong labels, known or estimated; linked to the data by the command line.
        legacy_double_forward: Forward each batch once more, before the forward pass that the loss comes from.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        TypeError: ``noise_rate`` is not a number.
        ValueError: ``noise_rate`` is not given, or outside [0, 1].

    Example:
        >>> method = CDR(noise_rate=0.4, backbone="digits_cnn", num_classes=10, in_channels=1)
        >>> [weight.ndim for weight in method.ranked_weights()][:2]
        [4, 4]
    """

    paper = "Xia et al., Robust early-learning (CDR), 2021"
    cost = "1 network, 1 pass; a ranking of all weights in each step"

    def __init__(self, noise_rate: float | None = None, legacy_double_forward: bool = False, **learner: Any) -> None:
        super().__init__(**learner)
        self.save_hyperparameters("noise_rate", "legacy_double_forward")
        if noise_rate is None:
            raise ValueError("`noise_rate` is needed to know how many weights are critical: pass it, e.g. 0.4")
        self.noise_rate = check_probability("noise_rate", noise_rate)
        self.legacy_double_forward = legacy_double_forward

    def training_logits(self, x: Any) -> Tensor:
        """Return ``(B, C)`` logits."""
        if self.legacy_double_forward:
            with torch.no_grad():
                self(x)
        return super().training_logits(x)

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Return ``-log p`` of the given label, ``(B,)``."""
        return cross_entropy(logits, target)

    def ranked_weights(self) -> list[Tensor]:
        """Return the weights that are critical or not: those of convolutions and linear layers."""
        return [weight for weight in self.parameters() if weight.ndim in (2, 4) and weight.requires_grad]

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Keep the gradient of the critical weights alone; it is unscaled by now, and not yet clipped."""
        weights = [weight for weight in self.ranked_weights() if weight.grad is not None]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        masks = critical_weights(weights, gradients, 1 - self.noise_rate)
        for gradient, mask in zip(gradients, masks, strict=True):
            gradient.mul_(mask).mul_(1 - self.noise_rate)
