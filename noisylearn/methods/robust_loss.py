"""Training with a loss that wrong labels move less than they move cross-entropy."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from noisylearn import losses
from noisylearn._checks import unknown_name
from noisylearn.methods.learner import NoisyLearner
from noisylearn.methods.presets import Preset

_OF_LOGITS_AND_LABELS = (
    losses.asymmetric_generalized_cross_entropy,
    losses.asymmetric_unhinged_loss,
    losses.cross_entropy,
    losses.generalized_cross_entropy,
    losses.hard_bootstrapping,
    losses.jensen_shannon,
    losses.label_smoothing,
    losses.mean_absolute_error,
    losses.nce_mae,
    losses.nce_rce,
    losses.normalized_cross_entropy,
    losses.normalized_focal_loss,
    losses.phuber_cross_entropy,
    losses.reverse_cross_entropy,
    losses.soft_bootstrapping,
    losses.symmetric_cross_entropy,
)
_BY_NAME = {loss.__name__: loss for loss in _OF_LOGITS_AND_LABELS}


def _published(loss: str, data: str, file: str, alpha: float, beta: float) -> Preset:
    """The weights of one of Ma et al.'s configurations; they are the same for both kinds of noise."""
    source = f"Active-Passive-Losses/configs/{data}/sym/{file}.yaml"
    args = {"loss_args": {"alpha": alpha, "beta": beta}}
    return Preset((data,), ("symmetric", "asymmetric"), args, source, where={"loss": loss})


class RobustLoss(NoisyLearner):
    """Learns with one of `noisylearn.losses`, named with its arguments; nothing else differs from cross-entropy.

    ``mean_i loss(logits_i, y_i)``. A loss that needs more than logits and labels (peers, a prior, several views, a
    state per sample) is refused: such a loss belongs to a method of its own.

    Source: each loss names its paper, and the arguments published for other data sets. The default is Zhang & Sabuncu,
    "Generalized Cross Entropy Loss", NeurIPS 2018, with the ``q=0.7`` of CIFAR-10 and CIFAR-100. The authors of the
    normalized losses (Ma et al., ICML 2020) clip the gradient's norm at 5: the Trainer's ``gradient_clip_val``.

    Args:
        loss: A function of `noisylearn.losses` that takes logits and targets, e.g. ``"symmetric_cross_entropy"``.
        loss_args: Its other arguments; those left out have its defaults.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        TypeError: An argument of the loss is not a number.
        ValueError: The loss or one of its arguments is unknown, missing or out of range.

    Example:
        >>> method = RobustLoss("nce_rce", {"alpha": 10.0, "beta": 0.1}, backbone="digits_cnn", in_channels=1)
        >>> method.compute_loss(torch.zeros(1, 10), torch.tensor([3]), index=torch.tensor([0]))
        tensor([1.8289])
    """

    paper = "Zhang & Sabuncu, Generalized Cross Entropy, 2018, and others by name"
    presets: ClassVar[tuple[Preset, ...]] = (
        _published("symmetric_cross_entropy", "cifar10", "sce", 0.1, 1.0),
        _published("symmetric_cross_entropy", "cifar100", "sce", 6.0, 0.1),
        _published("nce_rce", "cifar10", "nce+rce", 1.0, 1.0),
        _published("nce_rce", "cifar100", "nce+rce", 10.0, 0.1),
        _published("nce_mae", "cifar10", "nce+mae", 1.0, 1.0),
        _published("nce_mae", "cifar100", "nce+mae", 10.0, 1.0),
    )

    def __init__(
        self, loss: str = "generalized_cross_entropy", loss_args: dict[str, Any] | None = None, **learner: Any
    ) -> None:
        super().__init__(**learner)
        self.save_hyperparameters("loss", "loss_args")
        arguments = dict(loss_args or {})
        _check_names(loss, arguments)
        self.loss = partial(_BY_NAME[loss], **arguments)
        self.loss(torch.zeros(1, self.num_classes), torch.zeros(1, dtype=torch.int64))  # it checks the values itself

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Return the losses of the given labels, ``(B,)``."""
        per_sample: Tensor = self.loss(logits, target)
        return per_sample


def _check_names(loss: str, arguments: dict[str, Any]) -> None:
    if loss not in _BY_NAME and loss in losses.__all__:
        parameters = ", ".join(inspect.signature(getattr(losses, loss)).parameters)
        way_out = "what needs more is a method of its own (CONTRIBUTING.md, 'Add a method')"
        raise ValueError(
            f"`loss` must be a loss of logits and targets alone, got {loss}({parameters}): {way_out}\n"
            f"known: {', '.join(sorted(_BY_NAME))}"
        )
    if loss not in _BY_NAME:
        raise ValueError(unknown_name("loss", loss, _BY_NAME))
    _, _, *others = inspect.signature(_BY_NAME[loss]).parameters.values()
    for name in arguments:
        if name not in {other.name for other in others}:
            raise ValueError(unknown_name(f"argument of {loss}", name, [other.name for other in others]))
    for other in others:
        if other.default is other.empty and other.name not in arguments:
            raise ValueError(f"`loss_args` must have {other.name!r} for {loss}, got {arguments}: it has no default")
