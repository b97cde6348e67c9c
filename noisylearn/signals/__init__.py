"""Per-sample signals of learning, forgetting and memorization (torch only)."""

from noisylearn.signals.base import Score, Signal
from noisylearn.signals.confident_learning import (
    ConfidentLearning,
    confidence_weighted_entropy,
    normalized_margin,
    self_confidence,
)
from noisylearn.signals.curvature import InputCurvature, input_curvature
from noisylearn.signals.data_maps import DataMaps
from noisylearn.signals.el2n import EL2N, el2n
from noisylearn.signals.first_k_learned import FirstKLearned
from noisylearn.signals.flips import PredictionFlips
from noisylearn.signals.fluctuation import Fluctuation
from noisylearn.signals.forgetting import Forgetting
from noisylearn.signals.given import GivenLabel
from noisylearn.signals.gradient_variance import VarianceOfGradients, logit_gradient_map, standardize_by_class
from noisylearn.signals.grand import GraNd, grand
from noisylearn.signals.intrinsic_dimension import IntrinsicDimension, intrinsic_dimension
from noisylearn.signals.label_issues import class_thresholds, label_issues
from noisylearn.signals.loss import LossStatistics
from noisylearn.signals.margin import Margin
from noisylearn.signals.mixture import MixturePosterior
from noisylearn.signals.neighbors import NeighborDisagreement, knn_disagreement
from noisylearn.signals.observation import Observation, margin
from noisylearn.signals.paced_error import PacedError
from noisylearn.signals.peer_disagreement import PeerDisagreement, js_divergence
from noisylearn.signals.prediction_depth import PredictionDepth, prediction_depth
from noisylearn.signals.sample_gradient import CumulativeSampleGradient, sample_gradient_norm
from noisylearn.signals.selection_counts import SelectionCounts
from noisylearn.signals.self_influence import SelfInfluence, last_layer_self_influence
from noisylearn.signals.signal_set import SignalSet, core_signals
from noisylearn.signals.suggestion import MeanProbability
from noisylearn.signals.suspicion import average_rank, suspicion

__all__ = [
    "EL2N",
    "ConfidentLearning",
    "CumulativeSampleGradient",
    "DataMaps",
    "FirstKLearned",
    "Fluctuation",
    "Forgetting",
    "GivenLabel",
    "GraNd",
    "InputCurvature",
    "IntrinsicDimension",
    "LossStatistics",
    "Margin",
    "MeanProbability",
    "MixturePosterior",
    "NeighborDisagreement",
    "Observation",
    "PacedError",
    "PeerDisagreement",
    "PredictionDepth",
    "PredictionFlips",
    "Score",
    "SelectionCounts",
    "SelfInfluence",
    "Signal",
    "SignalSet",
    "VarianceOfGradients",
    "average_rank",
    "class_thresholds",
    "confidence_weighted_entropy",
    "core_signals",
    "el2n",
    "grand",
    "input_curvature",
    "intrinsic_dimension",
    "js_divergence",
    "knn_disagreement",
    "label_issues",
    "last_layer_self_influence",
    "logit_gradient_map",
    "margin",
    "normalized_margin",
    "prediction_depth",
    "sample_gradient_norm",
    "self_confidence",
    "standardize_by_class",
    "suspicion",
]
