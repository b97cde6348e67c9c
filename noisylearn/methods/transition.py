"""Loss correction by a transition matrix, given or estimated on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from noisylearn._checks import check_choice, check_positive_int
from noisylearn.losses import backward_correction, forward_correction
from noisylearn.methods.learner import NoisyLearner
from noisylearn.noise import anchor_transition_matrix, dual_t_transition_matrix
from noisylearn.tables import Column, SampleTable


class TransitionCorrection(NoisyLearner):
    """Base of the methods that correct cross-entropy by ``T[i, j] = P(given label j | right label i)``.

    A ``transition`` that is not given is estimated. Until the end of the warm-up ``T`` is the identity, with which both
    corrections are cross-entropy; a table keeps the prediction that each sample had when it was last trained on. Then
    ``T`` is estimated from the table, once, and training goes on. The warm-up must end before the network memorizes: a
    network sure of its wrong labels shows no noise.

    Args:
        transition: ``C`` rows of ``C`` chances, e.g. ``noisylearn.noise.symmetric_matrix(10, 0.4).tolist()``; None
            estimates it.
        warmup_epochs: Epochs of cross-entropy before the estimate; not read where ``transition`` is given.
        estimator: ``"anchor"`` or ``"dual_t"``.
        percentile: Of the anchor points; None takes the maximum, as published for CIFAR-100.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        ValueError: ``transition`` is not a matrix of chances for these classes, or another argument does not fit.
    """

    state = "8 C + 4 bytes; none with a given matrix"
    transition: Tensor

    def __init__(
        self,
        transition: list[list[float]] | None = None,
        warmup_epochs: int = 20,
        estimator: str = "anchor",
        percentile: float | None = 97.0,
        **learner: Any,
    ) -> None:
        super().__init__(**learner)
        self.save_hyperparameters("transition", "warmup_epochs", "estimator", "percentile")
        self.warmup_epochs = check_positive_int("warmup_epochs", warmup_epochs)
        self.estimator = check_choice("estimator", estimator, ("anchor", "dual_t"))
        self.percentile = percentile
        self.estimated = transition is None
        matrix = np.eye(self.num_classes) if transition is None else _check_matrix(transition, self.num_classes)
        # A given matrix is in the hyper-parameters; only an estimated one belongs to the weights.
        self.register_buffer("transition", torch.tensor(matrix, dtype=torch.float32), persistent=self.estimated)

    def build_tables(self, num_samples: int) -> Mapping[str, SampleTable]:
        """Keep, where the matrix is to be estimated, each sample's last prediction and its given label."""
        if not self.estimated:
            return {}
        label = Column("label", torch.int16, merge="last")
        return {"predictions": SampleTable(num_samples, [Column("probs", width=self.num_classes, merge="last"), label])}

    def correct(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the corrected losses, ``(B,)``."""
        raise NotImplementedError(f"{type(self).__name__} must define correct(logits, target)")

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Stage what the estimate is made of, then return the corrected losses, ``(B,)``."""
        if self.estimated:
            seen = {"probs": logits.detach().float().softmax(-1), "label": target}
            self.tables["predictions"].observe(index, seen)
        return self.correct(logits, target)

    def on_train_epoch_start(self) -> None:
        """Estimate the matrix, in the first epoch after the warm-up; the device waits once."""
        if self.estimated and self.current_epoch == self.warmup_epochs:
            self.transition.copy_(torch.from_numpy(self.estimate()))

    def estimate(self) -> Any:
        """Return the transition matrix that the last predictions suggest, ``(C, C)``."""
        rows = self.tables["predictions"].views()
        seen = rows["n_seen"] > 0
        probs, labels = rows["probs"][seen].cpu().numpy(), rows["label"][seen].long().cpu().numpy()
        if self.estimator == "anchor":
            return anchor_transition_matrix(probs, self.percentile)
        return dual_t_transition_matrix(probs, labels, self.percentile)


class ForwardCorrection(TransitionCorrection):
    """Forward correction: cross-entropy between the given label and what the noise makes of the prediction.

    ``-log sum_c p_c T[c, y]``.

    Source: Patrini et al., "Making Deep Neural Networks Robust to Label Noise: a Loss Correction Approach", CVPR 2017.
    The estimate's percentile is theirs for CIFAR-10, the 20 epochs before it are T-Revision's (Xia et al., NeurIPS
    2019), who take 15 and no percentile on CIFAR-100. Departs from both: the network is not trained anew after the
    estimate, and the predictions are those of the training steps, not of a pass over the data in evaluation mode.

    Args:
        transition: ``C`` rows of ``C`` chances, e.g. ``noisylearn.noise.symmetric_matrix(10, 0.4).tolist()``; None
            estimates it.
        warmup_epochs: Epochs of cross-entropy before the estimate; not read where ``transition`` is given.
        estimator: ``"anchor"`` or ``"dual_t"``.
        percentile: Of the anchor points; None takes the maximum, as published for CIFAR-100.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        ValueError: ``transition`` is not a matrix of chances for these classes, or another argument does not fit.

    Example:
        >>> from noisylearn.noise import symmetric_matrix
        >>> known = symmetric_matrix(10, 0.4).tolist()
        >>> method = ForwardCorrection(known, backbone="digits_cnn", num_classes=10, in_channels=1)
        >>> float(method.transition[3, 3])
        0.6000000238418579
    """

    paper = "Patrini et al., Forward correction, 2017"

    def correct(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return `forward_correction`."""
        return forward_correction(logits, target, self.transition)


class BackwardCorrection(TransitionCorrection):
    """Backward correction: the combination of the losses of all labels that is cross-entropy on average.

    ``sum_c inverse(T)[y, c] * -log p_c``. It is unbiased, and loud: clip the gradient where ``T`` is far from the
    identity.

    Source: Patrini et al., "Making Deep Neural Networks Robust to Label Noise: a Loss Correction Approach", CVPR 2017.
    The estimate is that of `ForwardCorrection`, with the same departures.

    Args:
        transition: ``C`` rows of ``C`` chances, e.g. ``noisylearn.noise.symmetric_matrix(10, 0.4).tolist()``; None
            estimates it.
        **correction: Arguments of `ForwardCorrection` and `NoisyLearner`.

    Raises:
        ValueError: ``transition`` is not an invertible matrix of chances for these classes, or another argument does
            not fit.

    Example:
        >>> from noisylearn.noise import pair_flip_matrix
        >>> known = pair_flip_matrix(10, 0.2).tolist()
        >>> BackwardCorrection(known, backbone="digits_cnn", num_classes=10, in_channels=1).estimated
        False
    """

    paper = "Patrini et al., Backward correction, 2017"

    def __init__(self, transition: list[list[float]] | None = None, **correction: Any) -> None:
        super().__init__(transition, **correction)
        if np.linalg.cond(self.transition.double().numpy()) > 1e6:
            raise ValueError("`transition` must be invertible: the noise mixes classes up; try ForwardCorrection")

    def correct(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return `backward_correction`."""
        return backward_correction(logits, target, self.transition)


def _check_matrix(transition: Any, num_classes: int) -> Any:
    matrix = np.asarray(transition, dtype=np.float64)
    if matrix.shape != (num_classes, num_classes):
        found = f"got shape {matrix.shape}"
        raise ValueError(f"`transition` must have {num_classes} rows of {num_classes}, {found}: one row per class")
    if not ((matrix >= 0).all() and np.allclose(matrix.sum(axis=1), 1, atol=1e-4)):
        raise ValueError("`transition` must have rows of chances that sum to 1: row i is of the right label i")
    return matrix
