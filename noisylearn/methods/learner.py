"""`NoisyLearner`: the base of all methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from noisylearn._checks import check_positive_int
from noisylearn._compat import LightningModule
from noisylearn.methods.optimization import build_optimizer, build_scheduler
from noisylearn.models import build_backbone
from noisylearn.tables import Column, SampleTable


class NoisyLearner(LightningModule):
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
    state: ClassVar[str] = "none"

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
        self.num_samples = num_samples
        self.in_channels, self.image_size = in_channels, image_size
        if optimizer_args is None:
            optimizer_args = {"momentum": 0.9, "weight_decay": 5e-4} if optimizer == "SGD" else {}
        self._optimizer, self._lr, self._optimizer_args = optimizer, lr, dict(optimizer_args)
        self._scheduler, self._scheduler_args = scheduler, dict(scheduler_args or {})
        self._scheduler_interval = scheduler_interval
        self.tables: dict[str, SampleTable] = {}
        self._checked = False
        self._diverged: Tensor | None = None
        self.build_networks(backbone)

    def build_networks(self, backbone: str | nn.Module) -> None:
        """Make the network (or networks) that `training_logits` and `forward` use."""
        self.network = build_backbone(backbone, self.num_classes, self.in_channels, self.image_size)

    # -- what a method is --------------------------------------------------------------------------------------------

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

    def select(self, losses: Tensor) -> Tensor | None:
        """Return a mask or weights of the losses' shape, or None to learn from all samples alike."""
        return None

    def build_tables(self, num_samples: int) -> Mapping[str, SampleTable]:
        """Return the method's state per sample, by name; called once before fitting."""
        return {}

    # -- the step ----------------------------------------------------------------------------------------------------

    def forward(self, x: Any) -> Tensor:
        """Return ``(B, C)`` logits."""
        logits: Tensor = self.network(x)
        return logits

    def training_logits(self, x: Any) -> Tensor:
        """Return the logits that `compute_loss` receives."""
        return self(x)

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Return the loss and the logits, for callbacks to observe."""
        x, target, index = batch
        logits = self.training_logits(x)
        if not self._checked:
            self._check_batch(logits, target)
        loss = self.reduce(self.compute_loss(logits, target, index), index)
        self._watch(loss)
        self.log("train_loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(target))
        if self._trainer is not None and self.trainer.is_last_batch:
            self._end_epoch()  # here, and not in a hook: callbacks' checkpoints come before a module's hooks
        return {"loss": loss, **self.outputs(logits.detach())}

    def outputs(self, logits: Tensor) -> dict[str, Tensor]:
        """Return what ``training_step`` hands to callbacks."""
        return {"logits": logits}

    def reduce(self, losses: Tensor, index: Tensor) -> Tensor:
        """Return the weighted mean over the batch, summed over networks.

        Args:
            losses: ``(..., B)``.
            index: ``(B,)`` int64.
        """
        weights = self.select(losses.detach())
        if "sample_weights" in self.tables:
            own = self.tables["sample_weights"].read(index)["weight"]
            weights = own.expand_as(losses) if weights is None else weights * own
        if weights is None:
            return losses.mean(-1).sum()
        weights = weights.to(losses.dtype)
        kept = torch.where(weights > 0, losses, 0.0)  # a NaN left out must stay out
        total = weights.sum(-1)
        return ((kept * weights).sum(-1) / torch.where(total > 0, total, 1.0)).sum()

    def set_sample_weights(self, index: Tensor, weights: Tensor) -> None:
        """Weight samples in the mean from now on (1 unless set); for callbacks that prune or re-weight.

        Args:
            index: ``(K,)`` int64 row numbers, without repeats.
            weights: ``(K,)`` non-negative weights.

        Raises:
            ValueError: A weight is negative or not finite.
        """
        if not bool(((weights >= 0) & weights.isfinite()).all()):
            raise ValueError("`weights` must be finite and at least 0: 0 leaves a sample out")
        if "sample_weights" not in self.tables:
            self.tables["sample_weights"] = self._weight_table()
        self.tables["sample_weights"].write(index, {"weight": weights})

    def _weight_table(self) -> SampleTable:
        weight = Column("weight", merge="ordered", initial=1.0)
        return SampleTable(self._count_samples(), [weight], device=self.device)

    # -- evaluation --------------------------------------------------------------------------------------------------

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Log the accuracy on each evaluation set, named by the DataModule's ``eval_names``."""
        names = getattr(getattr(self.trainer, "datamodule", None), "eval_names", None)
        name = names[dataloader_idx] if names else "val" if dataloader_idx == 0 else f"val{dataloader_idx}"
        self._log_accuracy(name, batch)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Log the accuracy on the test set."""
        self._log_accuracy("test", batch)

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return ``(B, C)`` class probabilities."""
        return self(batch[0] if isinstance(batch, tuple | list) else batch).softmax(-1)

    def _log_accuracy(self, name: str, batch: Any) -> None:
        x, target = batch[0], batch[1]
        for suffix, value in self.accuracies(x, target).items():
            key = f"{name}_accuracy{suffix}"
            self.log(key, value, batch_size=len(target), sync_dist=True, add_dataloader_idx=False, prog_bar=not suffix)

    def accuracies(self, x: Any, target: Tensor) -> dict[str, Tensor]:
        """Return accuracies by the suffix of their name; ``""`` is the headline."""
        return {"": (self(x).argmax(-1) == target).float().mean()}

    # -- state and optimization --------------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Build the tables, before Lightning restores a checkpoint into them."""
        if stage == "fit":
            self._checked, self._diverged = False, None
            self.tables = {}
            if type(self).build_tables is not NoisyLearner.build_tables:
                self.tables = dict(self.build_tables(self._count_samples()))

    def _count_samples(self) -> int:
        known = self.num_samples or getattr(getattr(self.trainer, "datamodule", None), "num_samples", None)
        if known is None:
            raise ValueError(
                f"`num_samples` is needed: {type(self).__name__} keeps state per training sample. Pass the size of the "
                "training set, or fit with a NoisyDataModule"
            )
        return check_positive_int("num_samples", known)

    def on_train_start(self) -> None:
        """Move the tables to the device."""
        for table in self.tables.values():
            table.to(self.device)

    def on_validation_start(self) -> None:
        """Commit: a checkpoint may be saved in what follows."""
        if not self.trainer.sanity_checking:
            self._end_epoch()

    def on_train_epoch_end(self) -> None:
        """Commit what a stop in mid-epoch has left."""
        self._end_epoch()

    def _end_epoch(self) -> None:
        if self._diverged is not None and bool(self._diverged):
            raise RuntimeError(
                f"the loss became NaN or infinite in epoch {self.current_epoch}: lower `lr`, clip gradients "
                "(`gradient_clip_val`), or look for broken inputs; earlier checkpoints are intact"
            )
        for name, table in self.tables.items():
            if name != "sample_weights":
                table.commit(self.current_epoch)

    def _watch(self, loss: Tensor) -> None:
        """Remember on the device whether a loss was not finite; read once an epoch."""
        bad = ~loss.detach().isfinite()
        self._diverged = bad if self._diverged is None else self._diverged | bad

    def _check_batch(self, logits: Tensor, target: Tensor) -> None:
        """Checks that wait for the device: the first batch of a fit only."""
        if logits.shape[-1] != self.num_classes:
            raise ValueError(
                f"`num_classes` is {self.num_classes}, but the network gives {logits.shape[-1]} logits: make them agree"
            )
        if target.is_floating_point():
            raise ValueError(f"`target` must be integer class ids, got {target.dtype}: cast the labels to int64")
        low, high = int(target.min()), int(target.max())
        if low < 0 or high >= self.num_classes:
            raise ValueError(
                f"`target` must be in [0, {self.num_classes}), got {low if low < 0 else high}: "
                "check `num_classes` and the labels"
            )
        self._checked = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the tables, as plain CPU tensors."""
        if self.tables:
            checkpoint["noisylearn_tables"] = {name: table.state_dict() for name, table in self.tables.items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the tables, where they are built: for fitting, not for inference."""
        saved = checkpoint.get("noisylearn_tables", {})
        fitting = self._trainer is not None and self.trainer.state.fn == "fit"
        if fitting and "sample_weights" in saved:
            self.tables["sample_weights"] = self._weight_table()
        for name, table in self.tables.items():
            if name not in saved:
                raise ValueError(f"the checkpoint has no table {name!r}: resume with the method that saved it")
            table.load_state_dict(saved[name])

    def configure_optimizers(self) -> Any:
        """Return the optimizer, and the scheduler if there is one."""
        optimizer = build_optimizer(self.parameters(), self._optimizer, self._lr, self._optimizer_args)
        if self._scheduler is None:
            return optimizer
        args = (self._scheduler, self._scheduler_args, self._scheduler_interval, self.trainer)
        return {"optimizer": optimizer, "lr_scheduler": build_scheduler(optimizer, *args)}
