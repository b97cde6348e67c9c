"""Noisy-label learning on PyTorch Lightning.

Methods that learn from labels some of which are wrong, signals that find those labels while training goes on, and
meters of what a network has memorized. Names are loaded when first used: ``noisylearn.losses`` and its neighbours need
torch only.

Example:
    >>> import noisylearn
    >>> noisylearn.SignalTracker.__name__
    'SignalTracker'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from noisylearn.callbacks import (
        Curriculum,
        EarlyMemorizationStop,
        ExactResume,
        GracefulStop,
        LabelCanaries,
        LabelRefurbisher,
        LossAttackMeter,
        MemorizationMeter,
        ResultWriter,
        SamplePruner,
        SampleReweighter,
        SignalTracker,
        SignalWriter,
        Susceptibility,
        SweepTracker,
    )
    from noisylearn.data import Batch, IndexedDataset, NoisyDataModule, TensorLoader
    from noisylearn.methods import (
        ELR,
        SELC,
        SOP,
        BackwardCorrection,
        CoTeaching,
        CoTeachingPlus,
        CrossEntropy,
        Decoupling,
        ForwardCorrection,
        JoCoR,
        NoisyLearner,
        RobustLoss,
        SmallLoss,
    )
    from noisylearn.signals import Observation, Signal, SignalSet, suspicion
    from noisylearn.tables import Column, SampleTable

_HOME = {
    "callbacks": (
        "Curriculum", "EarlyMemorizationStop", "ExactResume", "GracefulStop", "LabelCanaries", "LabelRefurbisher",
        "LossAttackMeter", "MemorizationMeter", "ResultWriter", "SamplePruner", "SampleReweighter",
        "SignalTracker", "SignalWriter", "Susceptibility", "SweepTracker",
    ),
    "data": ("Batch", "IndexedDataset", "NoisyDataModule", "TensorLoader"),
    "methods": (
        "BackwardCorrection", "CoTeaching", "CoTeachingPlus", "CrossEntropy", "Decoupling", "ELR", "ForwardCorrection",
        "JoCoR", "NoisyLearner", "RobustLoss", "SELC", "SOP", "SmallLoss",
    ),
    "signals": ("Observation", "Signal", "SignalSet", "suspicion"),
    "tables": ("Column", "SampleTable"),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_OF])


__all__ = [
    "ELR",
    "SELC",
    "SOP",
    "BackwardCorrection",
    "Batch",
    "CoTeaching",
    "CoTeachingPlus",
    "Column",
    "CrossEntropy",
    "Curriculum",
    "Decoupling",
    "EarlyMemorizationStop",
    "ExactResume",
    "ForwardCorrection",
    "GracefulStop",
    "IndexedDataset",
    "JoCoR",
    "LabelCanaries",
    "LabelRefurbisher",
    "LossAttackMeter",
    "MemorizationMeter",
    "NoisyDataModule",
    "NoisyLearner",
    "Observation",
    "ResultWriter",
    "RobustLoss",
    "SamplePruner",
    "SampleReweighter",
    "SampleTable",
    "Signal",
    "SignalSet",
    "SignalTracker",
    "SignalWriter",
    "SmallLoss",
    "Susceptibility",
    "SweepTracker",
    "TensorLoader",
    "__version__",
    "suspicion",
]
