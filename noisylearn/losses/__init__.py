"""Losses per sample: pure functions that return ``(B,)`` unreduced values.

Whoever calls them reduces them, so that selection and weights can act on single samples first. They need torch only,
draw nothing at random, and compute in float32 also under autocast (in float64 for float64 logits).

Example:
    >>> import torch
    >>> logits, targets = torch.zeros(3, 10), torch.tensor([0, 1, 2])
    >>> cross_entropy(logits, targets).shape
    torch.Size([3])
    >>> nce_rce(logits, targets, alpha=1.0, beta=1.0).mean()  # in any training loop
    tensor(8.3893)
"""

from noisylearn.losses.active_passive import (
    mean_absolute_error,
    nce_mae,
    nce_rce,
    normalized_cross_entropy,
    normalized_focal_loss,
)
from noisylearn.losses.asymmetric import asymmetric_generalized_cross_entropy, asymmetric_unhinged_loss
from noisylearn.losses.bootstrapping import hard_bootstrapping, soft_bootstrapping
from noisylearn.losses.confidence_penalty import other_classes_penalty, runner_up_penalty
from noisylearn.losses.contrastive import contrastive
from noisylearn.losses.cores import cores, cores_beta, cores_sieve
from noisylearn.losses.cross_entropy import cross_entropy, soft_cross_entropy
from noisylearn.losses.elr import elr, elr_plus, elr_regularizer, elr_target_update
from noisylearn.losses.entropy import entropy
from noisylearn.losses.generalized_cross_entropy import (
    generalized_cross_entropy,
    truncated_generalized_cross_entropy,
    truncation_mask,
)
from noisylearn.losses.jensen_shannon import generalized_jensen_shannon, jensen_shannon
from noisylearn.losses.jocor import jocor, symmetric_kl
from noisylearn.losses.joint_optimization import joint_optimization
from noisylearn.losses.mixup import mixup, mixup_cross_entropy
from noisylearn.losses.partially_huberised import phuber_cross_entropy
from noisylearn.losses.peer import peer_loss
from noisylearn.losses.pencil import pencil
from noisylearn.losses.selc import selc_target_update
from noisylearn.losses.semi_supervised import class_prior_penalty, consistency, squared_error
from noisylearn.losses.smoothing import label_smoothing
from noisylearn.losses.sop import sop, sop_balance
from noisylearn.losses.symmetric_cross_entropy import reverse_cross_entropy, symmetric_cross_entropy
from noisylearn.losses.transition import (
    backward_correction,
    forward_correction,
    importance_weights,
    volume_minimization,
)

__all__ = [
    "asymmetric_generalized_cross_entropy",
    "asymmetric_unhinged_loss",
    "backward_correction",
    "class_prior_penalty",
    "consistency",
    "contrastive",
    "cores",
    "cores_beta",
    "cores_sieve",
    "cross_entropy",
    "elr",
    "elr_plus",
    "elr_regularizer",
    "elr_target_update",
    "entropy",
    "forward_correction",
    "generalized_cross_entropy",
    "generalized_jensen_shannon",
    "hard_bootstrapping",
    "importance_weights",
    "jensen_shannon",
    "jocor",
    "joint_optimization",
    "label_smoothing",
    "mean_absolute_error",
    "mixup",
    "mixup_cross_entropy",
    "nce_mae",
    "nce_rce",
    "normalized_cross_entropy",
    "normalized_focal_loss",
    "other_classes_penalty",
    "peer_loss",
    "pencil",
    "phuber_cross_entropy",
    "reverse_cross_entropy",
    "runner_up_penalty",
    "selc_target_update",
    "soft_bootstrapping",
    "soft_cross_entropy",
    "sop",
    "sop_balance",
    "squared_error",
    "symmetric_cross_entropy",
    "symmetric_kl",
    "truncated_generalized_cross_entropy",
    "truncation_mask",
    "volume_minimization",
]
