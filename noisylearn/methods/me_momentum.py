"""Me-Momentum: round by round a better classifier chooses its samples, and better samples make the classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from noisylearn._checks import check_positive_int
from noisylearn.losses import cross_entropy
from noisylearn.methods.chosen import ChosenSamples
from noisylearn.methods.renewal import check_renewable, draw_anew
from noisylearn.methods.sweep import sweeping
from noisylearn.tables import Column

_EACH_WAIT = 0.001
"""By how much more an epoch has to be better for each that was not: a tenth of a percentage point, the authors'."""


@dataclass(frozen=True)
class Rounds:
    """Which round of the method it is, from the validation accuracies so far.

    Args:
        length: Most epochs of a round.
        patience: Epochs without a better one that end a first round.
        inner: Most rounds after the first that begin from the best weights.
        outer: How often all of them are done, each time from new weights.
        number: The round, 0 for the first.
        restarts: How often all began anew.
        epoch: The epoch of the round.
        best: The best accuracy since the weights were new.
        before: The best accuracy at the end of the round before.
        waited: Epochs of the first round since the best.
        improved: Whether the epoch just over was the best.

    Example:
        >>> rounds = Rounds(length=2, patience=9, inner=5, outer=1)
        >>> for accuracy in (0.5, 0.6, 0.7, 0.6, 0.6, 0.7):
        ...     rounds = rounds.after(accuracy)
        ...     print(rounds.number, rounds.epoch, rounds.improved, rounds.over)
        0 1 True False
        1 0 True False
        1 1 True False
        2 0 False False
        2 1 False False
        0 0 False True
    """

    length: int
    patience: int
    inner: int
    outer: int
    number: int = 0
    restarts: int = 0
    epoch: int = 0
    best: float = 0.0
    before: float = 0.0
    waited: int = 0
    improved: bool = False

    @property
    def over(self) -> bool:
        """Whether the method has nothing more to do."""
        return self.restarts == self.outer

    def after(self, accuracy: float | None) -> Rounds:
        """Return where it is after an epoch of that accuracy; None, not measured, counts as better than all before."""
        if self.over:
            return replace(self, improved=False)
        first = self.number == 0
        needed = self.best + (_EACH_WAIT * self.waited if first else 0.0)
        accuracy = needed + 1.0 if accuracy is None else accuracy
        improved, epoch = accuracy > needed, self.epoch + 1
        now = replace(
            self,
            epoch=epoch,
            improved=improved,
            best=accuracy if improved else self.best,
            waited=0 if improved else self.waited + 1,
        )
        if epoch < self.length and not (first and now.waited >= self.patience):
            return now
        if first or (now.best > self.before and self.number < self.inner):
            return replace(now, number=self.number + 1, epoch=0, before=0.0 if first else now.best)
        fresh = Rounds(self.length, self.patience, self.inner, self.outer, restarts=self.restarts + 1)
        return replace(fresh, improved=improved)


class MeMomentum(ChosenSamples):
    """Me-Momentum: rounds of training, each from the best weights so far, on the samples they predict as labelled.

    The first round trains on all samples and stops early, by the accuracy on validation data with noisy labels, the
    mean over classes. Each further round begins with the best weights, a new optimizer and a pass over the training
    set, and trains on the samples whose prediction is their label; a round that has found no better weights is the
    last. All of it is done ``outer_rounds`` times, from new weights each; then the fit stops. It needs a noisy
    validation set: a DataModule's of the name ``"val"`` (``val_fraction``), else the first. Where there is none, every
    round is of ``round_epochs``, and begins with the weights that the one before has ended with.

    Source: Bai & Liu, "Me-Momentum: Extracting Hard Confident Examples from Noisily Labeled Data", ICCV 2021, and the
    authors' code. In the first round an epoch has to be better by a tenth of a percentage point for each epoch since
    the best. The rates are the method's own: ``lr`` throughout the first round, in the others a tenth of it from 40 %
    of the round on, and a tenth of that from 80 % on. As in the code, a further outer round begins on the samples that
    were chosen last. Departures: the validation data and the samples to choose from are looked at without augmentation.

    Args:
        round_epochs: Most epochs of the first round, and epochs of each other.
        patience: Epochs without a better one that end the first round.
        inner_rounds: Most rounds after the first.
        outer_rounds: How often all rounds are done.
        **learner: Arguments of `NoisyLearner`, without ``scheduler``.

    Raises:
        ValueError: A number is below 1, a ``scheduler`` is given, or the network has weights that cannot be drawn anew.

    Example:
        >>> MeMomentum(round_epochs=10, backbone="digits_cnn", num_classes=10, in_channels=1).rounds.number
        0
    """

    paper = "Bai & Liu, Me-Momentum, 2021"
    cost = "1 network, up to 1 pass and up to 1 forward pass; the forward pass as a round begins"
    state = "12 bytes"

    def __init__(
        self,
        round_epochs: int = 100,
        patience: int = 20,
        inner_rounds: int = 19,
        outer_rounds: int = 3,
        **learner: Any,
    ) -> None:
        super().__init__(**learner)
        self.save_hyperparameters("round_epochs", "patience", "inner_rounds", "outer_rounds")
        if self._scheduler is not None:
            raise ValueError(
                f"`scheduler` must be left out with MeMomentum, got {self._scheduler!r}: its rates, from `lr` on, are "
                "its own"
            )
        self.rounds = Rounds(
            length=check_positive_int("round_epochs", round_epochs),
            patience=check_positive_int("patience", patience),
            inner=check_positive_int("inner_rounds", inner_rounds),
            outer=check_positive_int("outer_rounds", outer_rounds),
        )
        self._beginning = self.rounds
        if outer_rounds > 1:
            check_renewable("outer_rounds", self.network.modules(), "pass outer_rounds=1")
        self._best: dict[str, Tensor] = {}  # weights
        self._accuracy: float | None = None  # of the epoch before, None where it was not measured
        self._counts: Tensor | None = None  # right predictions and labels of each class, while validating

    def setup(self, stage: str) -> None:
        """Begin at the first round, unless the same Trainer goes on."""
        super().setup(stage)
        if stage == "fit" and self.trainer.current_epoch == 0:
            self.rounds, self._best, self._accuracy = self._beginning, {}, None

    def on_train_start(self) -> None:
        """Move the tables to the device.

        Raises:
            ValueError: There is no validation after some epochs.
        """
        super().on_train_start()
        every = self.trainer.check_val_every_n_epoch
        if every != 1:
            raise ValueError(
                f"`check_val_every_n_epoch` must be 1 with MeMomentum, got {every}: rounds go by each epoch"
            )

    def evidence(self) -> Sequence[Column]:
        """Keep each sample's prediction and label, as a round began."""
        return [Column("prediction", torch.int16, merge="last", initial=-1), Column("label", torch.int16, merge="last")]

    # -- rounds ------------------------------------------------------------------------------------------------------

    def begin_epoch(self) -> None:
        """Keep the best weights, begin a round where one does, and set the rate."""
        before = self.rounds
        if self.current_epoch > 0:
            self.rounds, self._accuracy = before.after(self._accuracy), None
            if self.rounds.improved:
                self._best = {name: value.clone() for name, value in self.network.state_dict().items()}
        optimizer: Any = self.optimizers(use_pl_optimizer=False)
        if (self.rounds.restarts, self.rounds.number) != (before.restarts, before.number) and not self.rounds.over:
            optimizer.state.clear()
            if self.rounds.number == 0:
                draw_anew(self, self.network.modules())
            else:
                self.network.load_state_dict(self._best)
                self.choose_predicted()
        part = self.rounds.epoch / self.rounds.length if self.rounds.number else 0.0
        for group in optimizer.param_groups:
            group["lr"] = self._lr * 0.1 ** ((part >= 0.4) + (part >= 0.8))

    def choose_predicted(self) -> None:
        """Go through the training set and choose the samples whose prediction is their label."""
        table = self.tables["chosen"]
        with sweeping(self, "choose what is predicted") as batches:
            for x, target, index in batches:
                table.observe(index, {"prediction": self(x).argmax(-1), "label": target})
        table.commit(self.current_epoch)
        rows = table.views()
        self.choose((rows["prediction"] == rows["label"]).float())

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Return ``-log p`` of the given label, ``(B,)``."""
        return cross_entropy(logits, target)

    def on_train_epoch_end(self) -> None:
        """Commit, and stop the fit where the last round is over."""
        super().on_train_epoch_end()
        if self.rounds.after(self._accuracy).over:
            self.trainer.should_stop = True

    # -- validation --------------------------------------------------------------------------------------------------

    def on_validation_epoch_start(self) -> None:
        """Begin to count."""
        self._counts = None

    def accuracies(self, x: Any, target: Tensor) -> dict[str, Tensor]:
        """Return the accuracy, and note which predictions are right."""
        right = self(x).argmax(-1) == target
        ones = torch.ones_like(target)
        counts = target.new_zeros(2, self.num_classes)
        self._counted = counts.index_add(1, target, torch.stack([right.to(ones.dtype), ones]))
        return {"": right.float().mean()}

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Log the accuracy, and count by class what the validation set has."""
        super().validation_step(batch, batch_idx, dataloader_idx)
        if self.eval_name(dataloader_idx) == "val":
            self._counts = self._counted if self._counts is None else self._counts + self._counted

    def on_validation_epoch_end(self) -> None:
        """Take the mean of the classes' accuracies, of all processes together; the device waits once."""
        if self._counts is None or self.trainer.sanity_checking:
            return
        right, all_of = self.trainer.strategy.reduce(self._counts, reduce_op="sum").double()
        self._accuracy = float((right / all_of)[all_of > 0].mean())

    # -- checkpoint --------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add where the rounds are, and the best weights."""
        super().on_save_checkpoint(checkpoint)
        best = {name: value.to("cpu", copy=True) for name, value in self._best.items()}
        checkpoint["noisylearn_rounds"] = {"rounds": asdict(self.rounds), "accuracy": self._accuracy, "best": best}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore them."""
        super().on_load_checkpoint(checkpoint)
        saved = checkpoint.get("noisylearn_rounds")
        if saved is not None:
            self.rounds, self._accuracy, self._best = Rounds(**saved["rounds"]), saved["accuracy"], saved["best"]
