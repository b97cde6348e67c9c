"""One table of methods, and what every test does with a row: fit it on a few digits and compare what came out.

A new method adds one row to `CASES`; the tests of this folder then run on it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from noisylearn._compat import Callback, ModelCheckpoint, Trainer, seed_everything
from noisylearn.callbacks import ExactResume, SignalTracker
from noisylearn.data import Digits
from noisylearn.methods import (
    CDR,
    CORES,
    DISC,
    ELR,
    O2U,
    PENCIL,
    PES,
    SELC,
    SOP,
    UNICON,
    BackwardCorrection,
    CoTeaching,
    CoTeachingPlus,
    CrossEntropy,
    Decoupling,
    DivideMix,
    ELRPlus,
    ForwardCorrection,
    JoCoR,
    JointOptimization,
    LateStopping,
    MCorrection,
    MeMomentum,
    NoisyLearner,
    PESSemi,
    RobustLoss,
    SelfFiltering,
    SelfPaced,
    SmallLoss,
    SOPPlus,
    TRevision,
    TruncatedGCE,
    VolMinNet,
)
from noisylearn.noise import symmetric_matrix


@dataclass(frozen=True)
class Case:
    """A method as the tests run it.

    Args:
        method: The class.
        args: Its own arguments.
        networks: How many networks it trains.
        tables: Names of its per-sample tables.
        selected: Shape of what a step of 32 samples selects, None where the method learns from all of them. Without a
            selection a batch's loss is the mean of its parts' losses.
        clean: Arguments that say that all labels are right.
        steady: Whether its loss means the same in every epoch. It does not where it is a mean over the samples that
            two networks still disagree on, or that it has chosen, or where training has stages.
        mixes: Whether it learns from mixtures of a batch's samples. Then the parts of a batch have not the gradient of
            the whole, callbacks may see the logits of mixtures, and its loop by hand is in a test of its own.
        planned: Whether it says which samples an epoch serves: epochs then differ in length, no schedule by step fits
            them, and its loop by hand is in a test of its own.
        halves: Whether its batches are half labelled and half unlabelled after ``warmup_epochs``: samples come often or
            not at all, and a batch of one has no halves.
        own_rates: Whether its learning rates are its own: it takes no schedule.
        sightings: How often its tables have seen a sample after 1, 2 and 3 epochs; by default once in each.
        refuses_dicts: What it says to an input that is a dict (text, tabular data), where it cannot learn from one.
        edits_gradients: Whether it changes the gradients before they are clipped, after callbacks have seen them.
        of_the_batch: Whether its loss has a term of the batch as a whole, which two halves of it do not add up to.
        slowly: Arguments with which it learns something within four epochs, where its own are to choose early.
        begins: Epoch from which losses are compared: the one in which the network begins anew.
    """

    method: type[NoisyLearner]
    args: Mapping[str, Any] = field(default_factory=dict)
    networks: int = 1
    tables: tuple[str, ...] = ()
    selected: tuple[int, ...] | None = None
    clean: Mapping[str, Any] = field(default_factory=dict)
    steady: bool = True
    mixes: bool = False
    planned: bool = False
    halves: bool = False
    own_rates: bool = False
    sightings: tuple[int, int, int] = (1, 2, 3)
    refuses_dicts: str = ""
    edits_gradients: bool = False
    of_the_batch: bool = False
    slowly: Mapping[str, Any] = field(default_factory=dict)
    begins: int = 0

    @property
    def name(self) -> str:
        return self.method.__name__

    @property
    def by_hand(self) -> bool:
        """Whether its loop by hand is one of those that all methods share."""
        return not (self.mixes or self.planned or len(self.method.views) > 1)

    def seen(self, epochs: int) -> int:
        """How often a fit of so many epochs shows each sample to the tables."""
        return self.sightings[epochs - 1]

    def build(self, **args: Any) -> NoisyLearner:
        """Build the method; a ``backbone`` that is a function is called here, after the seed is set."""
        given = {"backbone": tiny, "num_classes": 10, "in_channels": 1, "image_size": 8, "lr": 0.05}
        given |= {**self.args, **args}
        if isinstance(given["backbone"], FunctionType):
            given["backbone"] = given["backbone"]()
        return self.method(**given)

    def refuses(self, schedule: Mapping[str, Any]) -> bool:
        """Whether the method cannot follow a learning-rate schedule."""
        by_step = schedule.get("scheduler") == "OneCycleLR" or schedule.get("scheduler_interval") == "step"
        return (self.planned and by_step) or (self.own_rates and bool(schedule))

    def first_taken(self, *schedulers: str) -> dict[str, str]:
        """The first of these schedulers that the method can follow, as an argument; none where it is none of them."""
        given = ({"scheduler": name} for name in schedulers)
        return next((schedule for schedule in given if not self.refuses(schedule)), {})


_SELECTION = {"noise_rate": 0.4, "warmup_epochs": 2}
_CLEAN = {"noise_rate": 0.05}
UNMIXABLE = "`input` must be a floating point tensor to be mixed with others"
_KNOWN = symmetric_matrix(10, 0.4).tolist()
CASES = (
    Case(CrossEntropy),
    Case(ELR, {"lam": 3.0, "beta": 0.7}, tables=("targets",)),
    Case(RobustLoss, {"loss": "symmetric_cross_entropy", "loss_args": {"alpha": 1.0}}),
    Case(SELC, {"warmup_epochs": 1}, tables=("targets",)),
    # Far from the paper's first values and rates, so that a few epochs are enough to matter.
    Case(SOP, {"lr_u": 5.0, "lr_v": 10.0, "init_std": 0.3}, tables=("noise",), clean={"init_std": 1e-8}),
    Case(SmallLoss, _SELECTION, selected=(32,), clean=_CLEAN),
    Case(CoTeaching, _SELECTION, networks=2, selected=(2, 32), clean=_CLEAN),
    Case(CoTeachingPlus, {**_SELECTION, "init_epoch": 1}, networks=2, selected=(2, 32), clean=_CLEAN, steady=False),
    Case(Decoupling, {"init_steps": 8}, networks=2, selected=(2, 32), steady=False),
    Case(
        DivideMix,
        {"warmup_epochs": 1},
        networks=2,
        tables=("division",),
        clean={"lambda_u": 0.0, "warmup_epochs": 3},  # the authors' weight for little noise
        steady=False,
        planned=True,
        mixes=True,
        halves=True,
        sightings=(0, 1, 2),
        refuses_dicts=UNMIXABLE,
    ),
    Case(
        ForwardCorrection,
        {"warmup_epochs": 1, "percentile": None},
        clean={"warmup_epochs": 4, "restart": False},
        begins=1,
    ),
    Case(BackwardCorrection, {"transition": _KNOWN}, clean={"transition": torch.eye(10).tolist()}),
    # Far from the paper's rate of revision, so that a few epochs are enough to matter.
    Case(
        TRevision,
        {"warmup_epochs": 1, "reweighting_epochs": 1, "revision_lr": 1e-4, "percentile": None},
        steady=False,
        clean={"warmup_epochs": 4, "reweighting_epochs": 8},
    ),
    Case(VolMinNet, {"lam": 1e-2, "transition_lr": 0.5}),
    Case(JoCoR, {**_SELECTION, "lam": 0.5}, networks=2, selected=(32,), clean=_CLEAN),
    Case(CDR, {"noise_rate": 0.4}, clean=_CLEAN, edits_gradients=True),
    Case(CORES, {"warmup_epochs": 1, "rise_epochs": 4, "sieve_epoch": 1}, tables=("sieve",), selected=(32,)),
    Case(PENCIL, {"stage1": 1, "stage2": 3, "lam": 600.0}, tables=("labels",), steady=False),
    # Mixed less than in the paper, so that a few epochs of mixup are enough to tell labels apart.
    Case(
        MCorrection,
        {"warmup_epochs": 1, "alpha": 0.2},
        tables=("losses",),
        clean={"warmup_epochs": 6},
        steady=False,
        mixes=True,
        sightings=(0, 1, 2),
        refuses_dicts=UNMIXABLE,
    ),
    Case(
        O2U,
        {"noise_rate": 0.4, "first_epochs": 1, "cyclic_epochs": 1, "period": 2},
        tables=("chosen",),
        clean={"noise_rate": 0.05, "first_epochs": 4, "cyclic_epochs": 4},
        steady=False,
        planned=True,
        own_rates=True,
        sightings=(0, 1, 1),
    ),
    Case(
        PES,
        {"warmup_epochs": 1, "tail": ("classifier",), "refine_epochs": (1,), "refine_lr": 0.02},
        tables=("chosen",),
        clean={"warmup_epochs": 6},
        steady=False,
        planned=True,
        sightings=(0, 0, 1),
    ),
    # Without validation data, so that every round is over after two epochs.
    Case(
        MeMomentum,
        {"round_epochs": 2},
        tables=("chosen",),
        clean={"round_epochs": 4},
        steady=False,
        planned=True,
        own_rates=True,
        sightings=(0, 0, 1),
    ),
    # A warm-up of less teaches too little on these few samples; a resume while it selects is in a test of its own.
    Case(
        SelfFiltering,
        {"warmup_epochs": 3, "warmup_penalty": 0.5},
        tables=("chosen",),
        clean={"warmup_epochs": 4},
        steady=False,
        planned=True,
        sightings=(0, 0, 1),
    ),
    Case(
        JointOptimization,
        {"update_epoch": 1, "window": 2, "retrain_epoch": 2},
        tables=("predictions",),
        # Twelve epochs are two trainings here, each with a cosine of its own.
        clean={
            "update_epoch": 5,
            "window": 1,
            "retrain_epoch": 6,
            "scheduler": "CosineAnnealingWarmRestarts",
            "scheduler_args": {"T_0": 6},
        },
        steady=False,
        of_the_batch=True,
    ),
    Case(
        TruncatedGCE,
        # Nearer to cross-entropy than the paper's, and with a threshold that a few epochs' predictions pass.
        {"q": 0.3, "k": 0.12, "prune_epoch": 2, "prune_every": 3},
        tables=("pruned",),
        selected=(32,),
        clean={"prune_epoch": 4},
        steady=False,
        sightings=(0, 0, 1),
    ),
    Case(
        ELRPlus,
        {"ema_ramp_steps": 20, "lam_ramp_steps": 4},
        networks=2,
        tables=("targets",),
        mixes=True,
        refuses_dicts=UNMIXABLE,
    ),
    Case(
        SOPPlus,
        {"lr_u": 5.0, "lr_v": 10.0, "init_std": 0.3},
        tables=("noise",),
        clean={"init_std": 1e-8},
        of_the_batch=True,
    ),
    Case(
        DISC,
        {"warmup_epochs": 1, "threshold_momentum": 0.8},
        tables=("groups",),
        steady=False,
        mixes=True,
        refuses_dicts=UNMIXABLE,
    ),
    Case(
        LateStopping,
        {"keep_rate": 0.62, "rounds": (1, 2), "ignored_epochs": 0},
        tables=("chosen",),
        clean={"rounds": (), "final_lr_factor": 1.0},
        steady=False,
        planned=True,
        own_rates=True,
        sightings=(0, 1, 2),
    ),
    Case(
        UNICON,
        {"warmup_epochs": 1},
        networks=2,
        tables=("selection",),
        clean={"lambda_u": 0.0, "warmup_epochs": 3},
        steady=False,
        planned=True,
        mixes=True,
        halves=True,
        sightings=(0, 1, 2),
        refuses_dicts=UNMIXABLE,
    ),
    Case(
        PESSemi,
        {"warmup_epochs": 1, "refine_epochs": (1,), "refine_lr": 0.02, "lambda_u": 15.0},
        tables=("chosen",),
        slowly={"warmup_epochs": 3, "refine_epochs": (0,)},
        clean={"warmup_epochs": 6, "lambda_u": 0.0},
        steady=False,
        planned=True,
        mixes=True,
        halves=True,
        sightings=(0, 0, 1),
        refuses_dicts=UNMIXABLE,
    ),
    Case(SelfPaced, selected=(32,), clean={"percentile": 0.95}, steady=False),
)
each_method = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def tiny() -> nn.Module:
    """A network that draws random numbers (dropout) and keeps buffers (batch norm)."""
    return with_classifier(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1))


def plain() -> nn.Module:
    """A network whose output for a sample does not depend on the other samples."""
    return with_classifier(nn.Linear(64, 32), nn.ReLU())


def with_classifier(*features: nn.Module) -> nn.Module:
    """A network whose last layer has the name that it has in our own networks."""
    layers = {"features": nn.Sequential(nn.Flatten(), *features), "classifier": nn.Linear(32, 10)}
    return nn.Sequential(OrderedDict(layers))


class Rates(Callback):  # type: ignore[misc]  # its base is made at import time
    """Remembers the loss and the learning rate of every step."""

    def __init__(self) -> None:
        super().__init__()
        self.rates: dict[int, float] = {}
        self.losses: list[float] = []
        self.epochs: list[int] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.epochs.append(trainer.current_epoch)
        self.rates[trainer.global_step] = trainer.optimizers[0].param_groups[0]["lr"]
        self.losses.append(float(outputs["loss"]))


def means_by_epoch(values: Sequence[float], epochs: Sequence[int]) -> list[float]:
    """The mean of each epoch's values, in float32."""
    each, which = torch.tensor(values), torch.tensor(epochs)
    return [float(each[which == epoch].mean()) for epoch in which.unique()]


@dataclass
class Fitted:
    """A fit that is over."""

    trainer: Any
    method: NoisyLearner
    data: Digits
    rates: Rates

    @property
    def epoch_losses(self) -> list[float]:
        """Mean loss of each epoch."""
        return means_by_epoch(self.rates.losses, self.rates.epochs)

    def state(self) -> dict[str, Any]:
        """Everything that an exact resume must restore, as plain values."""
        trackers = [c for c in self.trainer.callbacks if isinstance(c, SignalTracker)]
        return {
            "weights": self.method.state_dict(),
            "optimizer": self.trainer.optimizers[0].state_dict(),
            "schedulers": [c.scheduler.state_dict() for c in self.trainer.lr_scheduler_configs],
            "tables": {name: table.state_dict() for name, table in self.method.tables.items()},
            "signals": [tracker.state_dict() for tracker in trackers],
            "steps": (self.trainer.current_epoch, self.trainer.global_step),
        }


def digits(**args: Any) -> Digits:
    """Noisy digits, few enough for a fit to take a fraction of a second."""
    return Digits(**{"noise_rate": 0.4, "num_train": 256, "batch_size": 32, **args})


def fit(
    method: NoisyLearner,
    data: Digits | None = None,
    *,
    epochs: int = 2,
    callbacks: Sequence[Any] = (),
    resume: Path | None = None,
    compiled: Any = None,
    **trainer_args: Any,
) -> Fitted:
    """Fit quietly on the CPU; nothing is written unless a callback does."""
    data = data or digits()
    rates = Rates()
    checkpoints = any(isinstance(c, ModelCheckpoint) for c in callbacks)
    quiet = {
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "limit_val_batches": 0,
        "enable_checkpointing": checkpoints,
    }
    trainer = Trainer(max_epochs=epochs, callbacks=[rates, *callbacks], **{**quiet, **trainer_args})
    trainer.fit(compiled if compiled is not None else method, datamodule=data, ckpt_path=resume)
    return Fitted(trainer, method, data, rates)


def run(case: Case, data: Digits | None = None, method: Mapping[str, Any] | None = None, **fit_args: Any) -> Fitted:
    """Build a row's method from seed 0 and fit it."""
    seed_everything(0, verbose=False)
    return fit(case.build(**(method or {})), data, **fit_args)


def savers(folder: Path, every_n_train_steps: int) -> list[Any]:
    """Callbacks that save at the end of every epoch and every so many steps, exactly resumable."""
    forever = {"save_top_k": -1, "enable_version_counter": False}
    return [
        SignalTracker(),
        ExactResume(),
        ModelCheckpoint(folder, "epoch-{epoch}", auto_insert_metric_name=False, **forever),
        ModelCheckpoint(
            folder, "step-{step}", auto_insert_metric_name=False, every_n_train_steps=every_n_train_steps, **forever
        ),
    ]


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Where two nested structures of tensors and plain values differ, in a single bit."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return [] if one.dtype == other.dtype and torch.equal(one, other) else [path]
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if one.keys() != other.keys():
            return [f"{path}: keys {sorted(map(str, one.keys() ^ other.keys()))}"]
        return [d for key in one for d in differences(one[key], other[key], f"{path}.{key}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            return [f"{path}: {len(one)} and {len(other)} items"]
        return [d for i, (a, b) in enumerate(zip(one, other, strict=True)) for d in differences(a, b, f"{path}[{i}]")]
    return [] if one == other else [f"{path}: {one!r} and {other!r}"]
