"""JoCoR: two networks that agree, on the samples of small joint loss."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from noisylearn._checks import check_probability
from noisylearn.losses import jocor
from noisylearn.methods.presets import Preset
from noisylearn.methods.small_loss import KeepRate
from noisylearn.methods.two_networks import TwoNetworks
from noisylearn.selection import small_loss


class JoCoR(TwoNetworks, KeepRate):
    """JoCoR: one loss of both networks, labels and agreement, on the samples where it is smallest.

    ``(1 - lam) (CE(z1, y) + CE(z2, y)) + lam (KL(p1 || p2) + KL(p2 || p1))``, averaged over the kept part of the batch;
    both networks learn from the same samples.

    Source: Wei et al., "Combating Noisy Labels by Agreement: A Joint Training Method with Co-Regularization", CVPR
    2020. The default ``lam`` is the authors' for CIFAR-10 with symmetric 20 % and 50 % or asymmetric 40 % noise; they
    use 0.65 at 80 %, 0.85 on CIFAR-100, 0.95 on MNIST. Their code's own default, 0.1, is not what they report. They
    leave out half the rate for asymmetric noise, which is what ``noise_rate`` counts: wrong labels. ``1 - lam`` scales
    the labels' gradient: Adam, with which they train, does not mind, but SGD needs a higher rate. Epochs count from 0
    (the reference trains from 1).

    Args:
        noise_rate: The fraction of wrong labels, known or estimated; linked to the data by the command line.
        forget_rate: The fraction of each batch left out in the end; by default ``noise_rate``.
        warmup_epochs: Epochs over which the fraction left out grows from 0.
        exponent: The growth's exponent ``c``.
        lam: Share of the agreement in the loss, in [0, 1].
        **learner: Arguments of `NoisyLearner`.

    Raises:
        ValueError: A rate or ``lam`` is outside [0, 1].

    Example:
        >>> JoCoR(noise_rate=0.4, backbone="digits_cnn", num_classes=10, in_channels=1).lam
        0.9
    """

    paper = "Wei et al., JoCoR, 2020"
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(("cifar10",), ("symmetric",), {"lam": 0.9}, "JoCoR/README.md (20 and 50 %)", rates=(0.0, 0.5)),
        Preset(("cifar10",), ("symmetric",), {"lam": 0.65}, "JoCoR/README.md (80 %)", rates=(0.8, 1.0)),
        Preset(("cifar10",), ("asymmetric",), {"lam": 0.9}, "JoCoR/README.md (40 %)"),
        Preset(("cifar100",), ("symmetric", "asymmetric"), {"lam": 0.85}, "JoCoR/README.md"),
    )

    def __init__(
        self,
        noise_rate: float | None = None,
        forget_rate: float | None = None,
        warmup_epochs: int = 10,
        exponent: float = 1.0,
        lam: float = 0.9,
        **learner: Any,
    ) -> None:
        super().__init__(noise_rate, forget_rate, warmup_epochs, exponent, **learner)
        self.save_hyperparameters("lam")
        self.lam = check_probability("lam", lam, "the share of the agreement, e.g. 0.9")

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Return the joint losses, ``(B,)``: one for both networks."""
        return jocor(logits[0], logits[1], target, self.lam)

    def select(self, losses: Tensor, logits: Tensor) -> Tensor | None:
        """Return the mask of the smallest joint losses, ``(B,)``."""
        return small_loss(losses, self.keep_rate)
