"""Loss correction by a transition matrix, given or estimated on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from noisylearn._checks import check_choice, check_positive_int
from noisylearn.losses import backward_correction, forward_correction
from noisylearn.methods.features import classifier_inputs
from noisylearn.methods.presets import Preset
from noisylearn.methods.rewind import Rewind
from noisylearn.methods.sweep import sweeping
from noisylearn.noise import anchor_transition_matrix, dual_t_transition_matrix, hoc_transition_matrix
from noisylearn.noise.estimators import check_percentile
from noisylearn.noise.matrices import Matrix
from noisylearn.tables import Column, SampleTable

ESTIMATE_PRESETS = (
    Preset(("cifar10",), (), {"warmup_epochs": 20, "percentile": 97.0}, "xiaoboxia/T-Revision main.py, tools.py"),
    Preset(("cifar100",), (), {"warmup_epochs": 15, "percentile": None}, "xiaoboxia/T-Revision main.py, tools.py"),
)
"""Of the anchor estimate; Patrini et al.'s code has the same percentiles."""


class TransitionCorrection(Rewind):
    """Base of the methods with a matrix ``T[i, j] = P(given label j | right label i)``.

    A ``transition`` that is not given is estimated: during the warm-up ``T`` is the identity, with which the losses are
    cross-entropy; then the training set is gone through once in evaluation mode, ``T`` is estimated from what the
    network says of it, and training goes on, from the first weights if ``restart`` says so. The warm-up must end before
    the network memorizes: a network sure of its wrong labels shows no noise. The schedule of the learning rate is one
    for all epochs: with a restart, put its milestones after the warm-up.

    Args:
        transition: ``C`` rows of ``C`` chances, e.g. ``noisylearn.noise.symmetric_matrix(10, 0.4).tolist()``; None
            estimates it.
        warmup_epochs: Epochs of cross-entropy before the estimate; not read where ``transition`` is given.
        estimator: ``"anchor"``, ``"dual_t"`` or ``"hoc"``, which needs a network that ends in a linear layer.
        percentile: Of the anchor points; None takes the maximum, as published for CIFAR-100. Not read by ``"hoc"``.
        restart: Whether the network goes back to its first weights after the estimate.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        ValueError: ``transition`` is not a matrix of chances for these classes, or another argument does not fit.
    """

    cost = "1 network, 1 pass; once, a forward pass more for the estimate"
    transition: Tensor

    def __init__(
        self,
        transition: list[list[float]] | None = None,
        warmup_epochs: int = 20,
        estimator: str = "anchor",
        percentile: float | None = 97.0,
        restart: bool = True,
        **learner: Any,
    ) -> None:
        super().__init__(**learner)
        self.save_hyperparameters("transition", "warmup_epochs", "estimator", "percentile", "restart")
        self.warmup_epochs = check_positive_int("warmup_epochs", warmup_epochs)
        self.estimator = check_choice("estimator", estimator, ("anchor", "dual_t", "hoc"))
        self.percentile, self.restart = check_percentile(percentile), restart
        self.estimated = transition is None
        matrix = np.eye(self.num_classes) if transition is None else _check_matrix(transition, self.num_classes)
        # A given matrix is in the hyper-parameters; only an estimated one belongs to the weights.
        self.register_buffer("transition", torch.tensor(matrix, dtype=torch.float32), persistent=self.estimated)

    def begin_epoch(self) -> None:
        """Estimate the matrix in the first epoch after the warm-up, and begin anew with it."""
        if not self.estimated:
            return
        if self.current_epoch == 0:
            self.transition.copy_(torch.eye(self.num_classes))
            if self.restart:
                self.keep_weights()
        if self.current_epoch == self.warmup_epochs:
            self.transition.copy_(torch.from_numpy(self.estimate()))
            if self.restart:
                self.rewind()
                self.drop_weights()

    def estimate(self) -> Matrix:
        """Go through the training set and return the matrix that it suggests, ``(C, C)``; a collective call."""
        shown, labels = self._sweep()
        if self.estimator == "hoc":
            return hoc_transition_matrix(shown, labels, self.num_classes)
        probs, given = shown.cpu().numpy(), labels.cpu().numpy()
        if self.estimator == "anchor":
            return anchor_transition_matrix(probs, self.percentile)
        return dual_t_transition_matrix(probs, given, self.percentile)

    def _sweep(self) -> tuple[Tensor, Tensor]:
        """Return of every sample what the estimator reads, probabilities or features, and the given label."""
        table: SampleTable | None = None
        with sweeping(self, "transition matrix") as batches, classifier_inputs(self.network) as features:
            for x, target, index in batches:
                logits = self(x)
                shown = features() if self.estimator == "hoc" else logits.float().softmax(-1)
                if table is None:
                    columns = [
                        Column("shown", width=shown.shape[1], merge="last"),
                        Column("label", torch.int16, merge="last"),
                    ]
                    table = SampleTable(self._count_samples(), columns, device=self.device)
                table.observe(index, {"shown": shown, "label": target})
        assert table is not None
        table.commit(self.current_epoch)
        rows = table.views()
        seen = rows["n_seen"] > 0
        return rows["shown"][seen], rows["label"][seen].long()


class ForwardCorrection(TransitionCorrection):
    """Forward correction: cross-entropy between the given label and what the noise makes of the prediction.

    ``-log sum_c p_c T[c, y]``.

    Source: Patrini et al., "Making Deep Neural Networks Robust to Label Noise: a Loss Correction Approach", CVPR 2017.
    The estimate's percentile is theirs for CIFAR-10. They train the network of the estimate for as long as the one
    that is corrected, and take its weights of least loss on held-out noisy labels; the 20 epochs before it are
    T-Revision's (Xia et al., NeurIPS 2019), who take 15 and no percentile on CIFAR-100. Here the estimate is that of
    the last warm-up epoch, and the network begins anew from its own first weights, not from others.

    Args:
        transition: ``C`` rows of ``C`` chances, e.g. ``noisylearn.noise.symmetric_matrix(10, 0.4).tolist()``; None
            estimates it.
        warmup_epochs: Epochs of cross-entropy before the estimate; not read where ``transition`` is given.
        estimator: ``"anchor"``, ``"dual_t"`` or ``"hoc"``, which needs a network that ends in a linear layer.
        percentile: Of the anchor points; None takes the maximum, as published for CIFAR-100. Not read by ``"hoc"``.
        restart: Whether the network goes back to its first weights after the estimate.
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
    presets = ESTIMATE_PRESETS

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Return `forward_correction`, ``(B,)``."""
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
        RuntimeError: The estimate cannot be inverted.

    Example:
        >>> from noisylearn.noise import pair_flip_matrix
        >>> known = pair_flip_matrix(10, 0.2).tolist()
        >>> BackwardCorrection(known, backbone="digits_cnn", num_classes=10, in_channels=1).estimated
        False
    """

    paper = "Patrini et al., Backward correction, 2017"
    presets = ESTIMATE_PRESETS

    def __init__(self, transition: list[list[float]] | None = None, **correction: Any) -> None:
        super().__init__(transition, **correction)
        if not _invertible(self.transition.double().numpy()):
            raise ValueError("`transition` must be invertible: the noise mixes classes up; try ForwardCorrection")

    def estimate(self) -> Matrix:
        """Return the estimate, if it can be inverted."""
        matrix = super().estimate()
        if not _invertible(matrix):
            raise RuntimeError(
                f"the transition matrix estimated after {self.warmup_epochs} epochs cannot be inverted: the network "
                "does not tell some classes apart yet; raise `warmup_epochs`, or use ForwardCorrection"
            )
        return matrix

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Return `backward_correction`, ``(B,)``."""
        return backward_correction(logits, target, self.transition)


def _invertible(matrix: Matrix) -> bool:
    return bool(np.linalg.cond(matrix) <= 1e6)


def _check_matrix(transition: Any, num_classes: int) -> Any:
    matrix = np.asarray(transition, dtype=np.float64)
    if matrix.shape != (num_classes, num_classes):
        found = f"got shape {matrix.shape}"
        raise ValueError(f"`transition` must have {num_classes} rows of {num_classes}, {found}: one row per class")
    if not ((matrix >= 0).all() and np.allclose(matrix.sum(axis=1), 1, atol=1e-4)):
        raise ValueError("`transition` must have rows of chances that sum to 1: row i is of the right label i")
    return matrix
