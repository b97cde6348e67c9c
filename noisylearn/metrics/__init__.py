"""Metrics of noisy-label learning: how well a score finds wrong labels, and how many of them are memorized.

Pure functions, and `torchmetrics.Metric` classes over them whose states merge across processes. They need torch and
torchmetrics only, no Lightning.

Example:
    >>> detection_auroc(scores=[0.9, 0.2, 0.4], is_noisy=[True, False, False])
    1.0
"""

from noisylearn.metrics.detection import (
    DetectionMetrics,
    DetectionResult,
    detection_auroc,
    detection_average_precision,
    evaluate_detection,
    precision_at_n,
)
from noisylearn.metrics.membership import LossAttack, loss_attack, loss_attack_curve
from noisylearn.metrics.memorization import (
    MemorizationMetric,
    MemorizedFraction,
    fractions_from_counts,
    memorization_counts,
    memorized_fraction,
)
from noisylearn.metrics.susceptibility import susceptibility

__all__ = [
    "DetectionMetrics",
    "DetectionResult",
    "LossAttack",
    "MemorizationMetric",
    "MemorizedFraction",
    "detection_auroc",
    "detection_average_precision",
    "evaluate_detection",
    "fractions_from_counts",
    "loss_attack",
    "loss_attack_curve",
    "memorization_counts",
    "memorized_fraction",
    "precision_at_n",
    "susceptibility",
]
