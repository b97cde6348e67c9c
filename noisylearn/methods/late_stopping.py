"""Late Stopping: round after round, the samples that a network has not learned late in its training are left out."""

from __future__ import annotations

import logging
from bisect import bisect
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, ClassVar

import torch
from torch import Tensor

from noisylearn._checks import check_non_negative, check_positive_int, check_probability
from noisylearn.losses import cross_entropy
from noisylearn.methods.chosen import ChosenSamples
from noisylearn.methods.presets import Preset
from noisylearn.methods.rewind import Rewind
from noisylearn.methods.sweep import sweeping
from noisylearn.tables import Column, Views

_log = logging.getLogger(__name__)
_KEY = "noisylearn_late_stopping"


def _published(data: str, rates: tuple[float, float], keep_rate: float, rounds: Sequence[int], at: int) -> Preset:
    args = {"keep_rate": keep_rate, "rounds": tuple(rounds), "ignored_epochs": 7}
    source = f"LateStopping/main_{data}_noise_ratio={at}.py"
    return Preset((data,), ("symmetric", "pair", "instance"), args, source, rates)


class LateStopping(ChosenSamples, Rewind):
    """Trains in rounds, each until all but a few samples are learned, and goes on without these few.

    A sample is learned in a round when it has been predicted as labelled after ``k`` epochs in a row, not counting the
    first ``ignored_epochs``. Round ``n``, from 1, ends when ``keep_rate ** n`` of the training set are learned: the
    others are left out for good, network and optimizer begin anew, and so does what is learned. ``k`` is 1 in the first
    ``rounds[0]`` rounds, 2 in the next ``rounds[1]``, and so on. After all of them the network is trained on what is
    left, for the rest of the fit. Wrong labels are learned late, hard right ones too, but before them; so it is the
    last to be learned that are left out, and few at a time.

    The rate is the method's own: ``lr`` in the rounds, then ``final_lr_factor`` times that, and half as much from each
    of ``final_milestones`` on.

    Source: Yuan et al., "Late Stopping: Avoiding Confidently Learning from Mislabeled Examples", ICCV 2023, and the
    authors' code. Every round begins with the weights that the first began with, where the code draws new ones. The
    passes that say what is learned see images without augmentation, the code's augmented ones; the code counts a pass
    only after one more epoch. How long a round takes depends on the data: the fit must be long enough for all of them.

    Args:
        keep_rate: The part of the training set that a round leaves of what the round before it was to leave.
        rounds: How many rounds there are for ``k = 1, 2, ...``.
        ignored_epochs: First epochs of a round after which nothing counts as learned.
        max_round_epochs: Epochs after which a round ends without leaving out any.
        final_lr_factor: The rate after the rounds, as a multiple of ``lr``.
        final_milestones: Epochs after the rounds' end from which the rate is half of what it was.
        **learner: Arguments of `NoisyLearner`, without ``scheduler``.

    Raises:
        TypeError: An argument is not a number.
        ValueError: A number is out of range, or a ``scheduler`` is given.

    Example:
        >>> method = LateStopping(keep_rate=0.95, rounds=(4, 2), backbone="digits_cnn", in_channels=1)
        >>> [method.streak_in(number) for number in range(6)]
        [1, 1, 1, 1, 2, 2]
    """

    paper = "Yuan et al., Late Stopping, 2023"
    cost = "1 network, up to 1 pass and 1 forward pass; of many trainings, one after another"
    state = "12 bytes"
    presets: ClassVar[tuple[Preset, ...]] = (
        _published("cifar10", (0.0, 0.3), 0.98, (4, 4, 4), 20),
        _published("cifar10", (0.3, 0.5), 0.955, (4, 4, 4), 40),
        _published("cifar100", (0.0, 0.3), 0.98, (4, 4, 4), 20),
        _published("cifar100", (0.3, 0.5), 0.975, (22, 5), 40),
    )

    def __init__(
        self,
        keep_rate: float = 0.98,
        rounds: Sequence[int] = (4, 4, 4),
        ignored_epochs: int = 7,
        max_round_epochs: int = 300,
        final_lr_factor: float = 2.0,
        final_milestones: Sequence[int] = (10, 20, 40, 60, 80),
        **learner: Any,
    ) -> None:
        super().__init__(**learner)
        self.save_hyperparameters("keep_rate", "rounds", "ignored_epochs", "max_round_epochs")
        self.save_hyperparameters("final_lr_factor", "final_milestones")
        if self._scheduler is not None:
            raise ValueError(
                f"`scheduler` must be left out with LateStopping, got {self._scheduler!r}: its rates are its own, and "
                "nobody knows beforehand how long a round takes"
            )
        self.keep_rate = check_probability("keep_rate", keep_rate, "the part that a round leaves, e.g. 0.98")
        for number in rounds:
            check_non_negative("rounds", number, "how many rounds there are for k = 1, 2, ..., e.g. (4, 4, 4)")
        self.rounds = tuple(rounds)
        check_non_negative("ignored_epochs", ignored_epochs, "a round's epochs that do not count, e.g. 7")
        self.ignored_epochs = ignored_epochs
        self.max_round_epochs = check_positive_int("max_round_epochs", max_round_epochs)
        self.final_lr_factor = check_non_negative("final_lr_factor", final_lr_factor, "a multiple of `lr`, e.g. 2")
        self.final_milestones = tuple(final_milestones)
        self.round, self.began = 0, 0

    def evidence(self) -> Sequence[Column]:
        """Keep whether a sample was predicted as labelled, how often in a row, and whether it is learned."""
        integers = [Column(name, torch.int16, merge="ordered") for name in ("streak", "learned")]
        return [Column("correct", torch.int16, merge="last"), *integers]

    def streak_in(self, number: int) -> int:
        """Return after how many epochs in a row a round's samples are learned.

        Args:
            number: The round, from 0.
        """
        return bisect(list(accumulate(self.rounds)), number) + 1

    @property
    def lr_factor(self) -> float:
        """The current epoch's learning rate, as a multiple of ``lr``."""
        if self.round < sum(self.rounds):
            return 1.0
        return self.final_lr_factor * 0.5 ** bisect(self.final_milestones, self.current_epoch - self.began)

    # -- rounds ------------------------------------------------------------------------------------------------------

    def begin_epoch(self) -> None:
        """See what is learned, begin a new round if it is enough, and set the rate."""
        if self.current_epoch == 0:
            self.round, self.began = 0, 0
            self.keep_weights()
        done = self.current_epoch - self.began
        if self.round < sum(self.rounds) and done > self.ignored_epochs:
            learned, enough = self._look()
            if enough or done >= self.max_round_epochs:
                self._begin_round(learned if enough else None)
        for group in self.optimizers(use_pl_optimizer=False).param_groups:  # type: ignore[union-attr]
            group["lr"] = self._lr * self.lr_factor

    def _look(self) -> tuple[Tensor, bool]:
        """Go through the training set; return which samples are learned and whether they are enough for the round."""
        table = self.tables["chosen"]
        with sweeping(self, "what is learned") as batches:
            for x, target, index in batches:
                table.observe(index, {"correct": self(x).argmax(-1) == target})
        table.commit(self.current_epoch, self._count)
        rows = table.views()
        learned = (rows["learned"] > 0) & (rows["weight"] > 0)
        wanted = int(int((rows["n_seen"] > 0).sum()) * self.keep_rate ** (self.round + 1))
        return learned, int(learned.sum()) >= wanted

    def _count(self, state: Views, staged: Views) -> Mapping[str, Tensor]:
        streak = torch.where(staged["correct"] != 0, state["streak"].int() + 1, 0)
        learned = (state["learned"] > 0) | (streak >= self.streak_in(self.round))
        return {"streak": streak, "learned": learned.int()}

    def _begin_round(self, learned: Tensor | None) -> None:
        rows = self.tables["chosen"].views()
        if learned is not None:
            self.choose(learned.float())
        for name in ("streak", "learned"):
            rows[name].zero_()
        self.round, self.began = self.round + 1, self.current_epoch
        self.rewind()
        if self.round == sum(self.rounds):
            self.drop_weights()
        left = int((rows["weight"] > 0).sum())
        _log.info("round %d of %d begins in epoch %d: %d samples", self.round, sum(self.rounds), self.began, left)

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Return ``-log p`` of the given label, ``(B,)``."""
        return cross_entropy(logits, target)

    # -- checkpoint --------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add which round it is, and when it began."""
        super().on_save_checkpoint(checkpoint)
        checkpoint[_KEY] = {"round": self.round, "began": self.began}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore them."""
        super().on_load_checkpoint(checkpoint)
        saved = checkpoint.get(_KEY, {"round": 0, "began": 0})
        self.round, self.began = saved["round"], saved["began"]
