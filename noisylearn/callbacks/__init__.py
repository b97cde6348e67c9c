"""Lightning callbacks: track signals, measure memorization, write, resume, stop. They work in any Lightning project."""

from noisylearn.callbacks.curriculum import Curriculum
from noisylearn.callbacks.early_memorization_stop import EarlyMemorizationStop
from noisylearn.callbacks.exact_resume import ExactResume
from noisylearn.callbacks.graceful_stop import GracefulStop, Stopped
from noisylearn.callbacks.label_canaries import LabelCanaries
from noisylearn.callbacks.label_refurbisher import LabelRefurbisher
from noisylearn.callbacks.loss_attack_meter import LossAttackMeter
from noisylearn.callbacks.memorization_meter import MemorizationMeter
from noisylearn.callbacks.prediction_writer import PredictionWriter, prediction_table
from noisylearn.callbacks.result_writer import ResultWriter
from noisylearn.callbacks.sample_pruner import SamplePruner
from noisylearn.callbacks.sample_reweighter import SampleReweighter
from noisylearn.callbacks.signal_history import SignalHistory, read_history
from noisylearn.callbacks.signal_logger import SignalLogger
from noisylearn.callbacks.signal_table import signal_table
from noisylearn.callbacks.signal_tracker import SignalTracker
from noisylearn.callbacks.signal_writer import SignalWriter
from noisylearn.callbacks.susceptibility import Susceptibility
from noisylearn.callbacks.sweep_tracker import SweepTracker
from noisylearn.callbacks.watch import watch

__all__ = [
    "Curriculum",
    "EarlyMemorizationStop",
    "ExactResume",
    "GracefulStop",
    "LabelCanaries",
    "LabelRefurbisher",
    "LossAttackMeter",
    "MemorizationMeter",
    "PredictionWriter",
    "ResultWriter",
    "SamplePruner",
    "SampleReweighter",
    "SignalHistory",
    "SignalLogger",
    "SignalTracker",
    "SignalWriter",
    "Stopped",
    "Susceptibility",
    "SweepTracker",
    "prediction_table",
    "read_history",
    "signal_table",
    "watch",
]
