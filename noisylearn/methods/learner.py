"""`NoisyLearner`: the base of all methods."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from noisylearn._checks import check_positive_int
from noisylearn.methods._step_checks import check_batch, check_num_logits, check_target_range, check_views
from noisylearn.methods.optimization import build_optimizer, build_scheduler, check_optimization
from noisylearn.methods.presets import Preset, find_preset
from noisylearn.methods.sample_state import SampleState
from noisylearn.models import build_backbone


class NoisyLearner(SampleState):
    """A classifier that learns from labels some of which are wrong.

    A method overrides `compute_loss` (per-sample losses), and `select` if it learns from a part of the batch. State
    per sample is built in `build_tables`; the base moves it to the device, commits it once per epoch and keeps it in
    the checkpoint. A batch is ``(input, target, index)``; the target is the given label, and no method ever receives
    the true one.

    Args:
        backbone: A network's name (``noisylearn list models``), ``timm:NAME``, or any ``nn.Module`` that maps inputs to
            ``(B, num_classes)`` logits.
        num_classes: Number of classes, at least 2.
        in_channels: Channels of the input, for networks built by name.
        image_size: Height and width of the input, for networks built by name.
        num_samples: Size of the training set, for methods with state per sample; by default the DataModule's.
        optimizer: A name in ``torch.optim``, or an import path.
        lr: Learning rate.
        optimizer_args: The optimizer's other arguments; by default momentum 0.9 and weight decay 5e-4 for SGD.
        scheduler: A name in ``torch.optim.lr_scheduler`` or an import path; None keeps the rate constant.
        scheduler_args: Its arguments; the length of the run is filled in.
        scheduler_interval: ``"epoch"`` or ``"step"``.

    Raises:
        ValueError: An argument does not fit.

    Example:
        >>> from torch.nn import functional as F
        >>> class LabelSmoothing(NoisyLearner):
        ...     '''Cross-entropy with label smoothing.'''
        ...
        ...     def compute_loss(self, logits, target, index):
        ...         return F.cross_entropy(logits, target, reduction="none", label_smoothing=0.1)
        >>> LabelSmoothing("digits_cnn", num_classes=10, in_channels=1).num_classes
        10
    """

    paper: ClassVar[str] = ""
    cost: ClassVar[str] = "1 network, 1 pass"
    """What an epoch takes once a warm-up is over: ``"N networks, P passes and F forward passes each; a remark"``. In a
    pass, a network sees as many samples as the training set has, and learns; in a forward pass, it or a copy of it
    only looks, without gradients. What depends on the data has ``about`` or ``up to`` before its number."""
    state: ClassVar[str] = "none"
    """What the tables keep of a sample, committed and staged, besides 6 bytes of each for counting: ``"none"`` or
    ``"8 C + 4 bytes; a remark"``, with ``C`` classes and the names of the method's arguments."""
    presets: ClassVar[tuple[Preset, ...]] = ()
    """The authors' own arguments by data set, family of noise and rate; the more particular stand first."""
    views: ClassVar[tuple[str, ...]] = ("weak",)
    """How a NoisyDataModule transforms each training input: ``"weak"``, ``"strong"`` or ``"none"``. With several, the
    input of a batch is a tuple of that many views of the same samples."""

    def __init__(
        self,
        backbone: str | nn.Module = "resnet34_cifar",
        num_classes: int = 10,
        in_channels: int = 3,
        image_size: int = 32,
        num_samples: int | None = None,
        optimizer: str = "SGD",
        lr: float = 0.02,
        optimizer_args: dict[str, Any] | None = None,
        scheduler: str | None = None,
        scheduler_args: dict[str, Any] | None = None,
        scheduler_interval: str = "epoch",
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["backbone"] if isinstance(backbone, nn.Module) else [])
        # Lightning's restricted loader would refuse this entry in the other namespace.
        self.hparams.pop("_instantiator", None)
        self.num_classes = check_positive_int("num_classes", num_classes)
        if num_classes < 2:
            raise ValueError(f"`num_classes` must be at least 2, got {num_classes}: one class has no wrong label")
        self.num_samples = None if num_samples is None else check_positive_int("num_samples", num_samples)
        self.in_channels, self.image_size = in_channels, image_size
        check_optimization(optimizer, lr, scheduler, scheduler_interval)
        if optimizer_args is None:
            optimizer_args = {"momentum": 0.9, "weight_decay": 5e-4} if optimizer == "SGD" else {}
        self._optimizer, self._lr, self._optimizer_args = optimizer, lr, dict(optimizer_args)
        self._scheduler, self._scheduler_args = scheduler, dict(scheduler_args or {})
        self._scheduler_interval = scheduler_interval
        self._checked = False
        self._loss_sum: Tensor | None = None
        self._loss_count = 0
        self.build_networks(backbone)

    def build_networks(self, backbone: str | nn.Module) -> None:
        """Make the network (or networks) that `training_logits` and `forward` use."""
        self.network = build_backbone(backbone, self.num_classes, self.in_channels, self.image_size)

    # -- what a method is --------------------------------------------------------------------------------------------

    @classmethod
    def preset(cls, data: str, noise_kind: str, noise_rate: float, /, **args: Any) -> dict[str, Any]:
        """Return the arguments that the method's authors use on a data set, beneath those that you have decided.

        Args:
            data: The data set's name, `NoisyDataModule.name`.
            noise_kind: Its ``noise_kind``.
            noise_rate: Its ``noise_rate``, the rate asked for.
            **args: Arguments of yours, which come back as they are.

        Example:
            >>> from noisylearn.methods import ELR
            >>> ELR.preset("cifar10", "asymmetric_cifar10", 0.4, beta=0.5)
            {'lam': 1.0, 'beta': 0.5}
        """
        found = find_preset(cls.presets, data, noise_kind, noise_rate, args)
        if found is None:
            return args
        if found.guessed and not found.args.keys() <= args.keys():
            warnings.warn(found.warning(), stacklevel=2)
        return {**found.args, **args}

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Return the loss of each sample.

        Args:
            logits: ``(B, C)``; for methods of two networks ``(2, B, C)``.
            target: ``(B,)`` int64 given labels.
            index: ``(B,)`` int64 row numbers in the training set.

        Returns:
            ``(B,)`` unreduced losses; for methods of two networks ``(2, B)``.
        """
        raise NotImplementedError(f"{type(self).__name__} must define compute_loss(logits, target, index)")

    def select(self, losses: Tensor, logits: Tensor) -> Tensor | None:
        """Return a mask or weights of the losses' shape, or None to learn from all samples alike.

        Args:
            losses: What `compute_loss` returned, detached.
            logits: What it received, detached.
        """
        return None

    def plan_epoch(self, rows: Tensor, batch_size: int, generator: torch.Generator) -> Tensor | None:
        """Return the rows of the coming epoch in the order to serve them, or None for all of them, shuffled.

        For methods whose batches are made of parts, labelled and unlabelled samples say. Called after `begin_epoch`.
        It needs a NoisyDataModule with ``loader="tensor"``.

        Args:
            rows: ``(M,)`` int64 on the CPU, the training rows that are this process's.
            batch_size: Samples in a batch; every ``batch_size`` rows of the plan make one.
            generator: For random numbers, a new one for every epoch and process.

        Returns:
            ``(K,)`` int64 on the CPU, repeats allowed. Where processes plan different lengths, the shorter plan is
            begun again.
        """
        return None

    def planned_rows(self, rows: Tensor, batch_size: int, generator: torch.Generator) -> Tensor | None:
        """Begin the epoch and return its plan; what the DataModule calls."""
        self._plan_is_asked = True
        if not self._plans:
            return None
        self.begin_epoch_once()
        return self.plan_epoch(rows, batch_size, generator)

    # -- the step ----------------------------------------------------------------------------------------------------

    def forward(self, x: Any) -> Tensor:
        """Return ``(B, C)`` logits."""
        logits: Tensor = self.network(x)
        return logits

    def training_logits(self, x: Any) -> Tensor:
        """Return the logits that `compute_loss` receives."""
        logits: Tensor = self(x)
        return logits

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Return the loss, the logits and what `select` chose, for callbacks to observe."""
        if not self._checked:
            check_batch(batch)
            check_views(batch[0], self.views)
        x, target, index = batch
        if not self._checked or target.device.type == "cpu":  # on a GPU it would be a wait in every step
            check_target_range(target, self.num_classes)
        loss, shown = self.learn(x, target, index)
        self._checked = True
        self._count_loss(loss.detach(), len(target))
        if self.trainer.is_last_batch:
            self._log_mean_loss()
            self.commit()  # here, and not in a hook: callbacks' checkpoints come before a module's hooks
        return {"loss": loss, **shown}

    def _count_loss(self, loss: Tensor, samples: int) -> None:
        """Add to the epoch's mean, on the device: Lightning's own mean costs a small network a tenth of its step."""
        weighed = loss * samples
        self._loss_sum = weighed if self._loss_sum is None else self._loss_sum + weighed
        self._loss_count += samples

    def _log_mean_loss(self) -> None:
        if self._loss_sum is not None:
            mean, count = self._loss_sum / self._loss_count, self._loss_count
            self.log("train_loss", mean, on_step=False, on_epoch=True, batch_size=count, sync_dist=True)
        self._loss_sum, self._loss_count = None, 0

    def on_train_epoch_end(self) -> None:
        """Log and commit what a stop in mid-epoch has left."""
        self._log_mean_loss()
        super().on_train_epoch_end()

    def learn(self, x: Any, target: Tensor, index: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch, and what callbacks observe of it.

        A method overrides it whose loss is no mean over losses of the batch's own samples, of mixed ones say. It then
        hands its losses to `watch` itself, and returns logits of the samples as they are.

        Args:
            x: The input; with several `views` a tuple of them.
            target: ``(B,)`` int64 given labels.
            index: ``(B,)`` int64 row numbers in the training set.

        Returns:
            A scalar, and a dict of ``logits``, ``(B, C)``, and whatever else is there to see.
        """
        logits = self.training_logits(x)
        if not self._checked:
            check_num_logits(logits, self.num_classes)
        losses = self.compute_loss(logits, target, index)
        self.watch(losses)
        selected = self.select(losses.detach(), logits.detach())
        chosen = {} if selected is None else {"selected": selected}
        return self.reduce(losses, index, selected), {**self.outputs(logits.detach()), **chosen}

    def outputs(self, logits: Tensor) -> dict[str, Tensor]:
        """Return what ``training_step`` hands to callbacks."""
        return {"logits": logits}

    def reduce(self, losses: Tensor, index: Tensor, selected: Tensor | None) -> Tensor:
        """Return the weighted mean over the batch, summed over networks; 0 where nothing is selected.

        Args:
            losses: ``(..., B)``.
            index: ``(B,)`` int64.
            selected: What `select` returned.
        """
        weights = selected
        own = self.sample_weights(index)
        if own is not None:
            weights = own.expand_as(losses) if weights is None else weights * own
        if weights is None:
            return losses.mean(-1).sum()
        weights = weights.to(losses.dtype)
        kept = torch.where(weights > 0, losses, 0.0)  # a NaN left out must stay out
        total = weights.sum(-1)
        return ((kept * weights).sum(-1) / torch.where(total > 0, total, 1.0)).sum()

    # -- evaluation --------------------------------------------------------------------------------------------------

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Log the accuracy on each evaluation set, named by the DataModule's ``eval_names``."""
        self._log_accuracy(self.eval_name(dataloader_idx), batch)

    def eval_name(self, dataloader_idx: int) -> str:
        """Return the name of an evaluation set: the DataModule's, else ``"val"``, ``"val1"`` and so on."""
        names = getattr(getattr(self.trainer, "datamodule", None), "eval_names", None)
        return str(names[dataloader_idx]) if names else "val" if dataloader_idx == 0 else f"val{dataloader_idx}"

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Log the accuracy on the test set."""
        self._log_accuracy("test", batch)

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return ``(B, C)`` class probabilities."""
        logits: Tensor = self(batch[0] if isinstance(batch, tuple | list) else batch)
        return logits.softmax(-1)

    def _log_accuracy(self, name: str, batch: Any) -> None:
        x, target = batch[0], batch[1]
        for suffix, value in self.accuracies(x, target).items():
            key = f"{name}_accuracy{suffix}"
            self.log(key, value, batch_size=len(target), sync_dist=True, add_dataloader_idx=False, prog_bar=not suffix)

    def accuracies(self, x: Any, target: Tensor) -> dict[str, Tensor]:
        """Return accuracies by the suffix of their name; ``""`` is the headline."""
        return {"": (self(x).argmax(-1) == target).float().mean()}

    # -- optimization ------------------------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Build the tables; the first batch is checked anew."""
        super().setup(stage)
        self._checked = self._plan_is_asked = False
        self._loss_sum, self._loss_count = None, 0
        if self._plans:
            trainer: Any = self.trainer  # Lightning sets the attribute undeclared
            trainer.reload_dataloaders_every_n_epochs = 1  # each epoch's plan is a loader of its own

    @property
    def _plans(self) -> bool:
        return type(self).plan_epoch is not NoisyLearner.plan_epoch

    def on_train_start(self) -> None:
        """Move the tables to the device.

        Raises:
            ValueError: The method plans its epochs and the data does not ask for the plan.
        """
        super().on_train_start()
        if self._plans and not self._plan_is_asked:
            raise ValueError(
                f"{type(self).__name__} composes its own batches, and these data cannot be asked for them: fit with a "
                "NoisyDataModule with loader='tensor'"
            )

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Return the one optimizer of all parameters; a method that needs several kinds makes them one (`Chain`)."""
        return build_optimizer(self.parameters(), self._optimizer, self._lr, self._optimizer_args)

    def configure_optimizers(self) -> Any:
        """Return the optimizer, and the scheduler if there is one.

        Raises:
            ValueError: The scheduler needs the number of steps, and the method's epochs differ in length.
        """
        if self._plans and (self._scheduler_interval == "step" or str(self._scheduler).endswith("OneCycleLR")):
            raise ValueError(
                f"`scheduler` must move by epoch with {type(self).__name__}, got {self._scheduler!r} by step: its "
                "epochs differ in length; e.g. scheduler='CosineAnnealingLR', scheduler_interval='epoch'"
            )
        optimizer = self.make_optimizer()
        if self._scheduler is None:
            return optimizer
        args = (self._scheduler, self._scheduler_args, self._scheduler_interval, self.trainer)
        return {"optimizer": optimizer, "lr_scheduler": build_scheduler(optimizer, *args)}
