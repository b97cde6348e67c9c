"""Per-sample signals of learning, forgetting and memorization (torch only)."""

from noisylearn.signals.base import Score, Signal
from noisylearn.signals.data_maps import DataMaps
from noisylearn.signals.el2n import EL2N, el2n
from noisylearn.signals.first_k_learned import FirstKLearned
from noisylearn.signals.flips import PredictionFlips
from noisylearn.signals.fluctuation import Fluctuation
from noisylearn.signals.forgetting import Forgetting
from noisylearn.signals.given import GivenLabel
from noisylearn.signals.loss import LossStatistics
from noisylearn.signals.margin import Margin
from noisylearn.signals.observation import Observation, margin
from noisylearn.signals.signal_set import SignalSet, core_signals
from noisylearn.signals.suggestion import MeanProbability

__all__ = [
    "EL2N",
    "DataMaps",
    "FirstKLearned",
    "Fluctuation",
    "Forgetting",
    "GivenLabel",
    "LossStatistics",
    "Margin",
    "MeanProbability",
    "Observation",
    "PredictionFlips",
    "Score",
    "Signal",
    "SignalSet",
    "core_signals",
    "el2n",
    "margin",
]
