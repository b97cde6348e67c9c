"""`SignalTracker`: forgetting and memorization signals in any Lightning project."""

from __future__ import annotations

from collections.abc import Sequence

from noisylearn.callbacks.logits_finder import Key
from noisylearn.callbacks.named_signals import Planned, as_list, built, planned
from noisylearn.callbacks.observing import ObservingCallback
from noisylearn.signals import GivenLabel, MeanProbability, PacedError, Signal, SignalSet, core_signals

MAX_CLASSES_SUGGESTED = 200


class SignalTracker(ObservingCallback):
    """Tracks per-sample signals during training, on the training device, from logits that exist anyway.

    Add it to any Trainer's callbacks; dataset, batches and module stay as they are. Afterwards `scores` has one tensor
    per score and `noisylearn.callbacks.SignalWriter` writes them to a parquet file.

    Args:
        signals: One `Signal` or several, or their names, e.g. ``"Margin"``. By default the core set and
            `PacedError`; with up to 200 classes also the label that the averaged predictions suggest.
        index: Where a batch holds the row numbers: a key (str or int) or a callable on the batch. By default a
            `noisylearn.data.Batch`, a dict's ``"index"``, else what the loader's own sampler yields.
        target: Where a batch holds the given labels. By default a `Batch`, a dict's ``"target"``, ``"label"``,
            ``"labels"`` or ``"y"``, else the second item.
        logits: A key of what ``training_step`` returns, the name of a submodule, or a callable on the output. By
            default ``"logits"``, else the one submodule whose output is (B, C).
        num_samples: Rows of the table; by default the size of the training set.
        commit_every_n_steps: Also commit in mid-epoch, every this many steps; a sample then counts once an epoch.
        features: Where the features come from that some signals need (`SelfInfluence`): a key of what ``training_step``
            returns, the name of the submodule whose output they are, or a callable on the output. By default what the
            linear layer reads that makes the logits.
        loader: Which of several training loaders is tracked: its key in the dict or list of them.
        ignore_index: A label that means "none given" (e.g. -100); such samples are passed over.
        epoch_range: ``(first, last)`` epochs that are observed, both included, counted from 0; by default all. Signals
            of memorization are worth most before it: stop before the learning rate first drops.
        sharded: On several processes, keep each sample's row on one of them: memory divides by their number, and
            nothing is exchanged. For loaders that give sample ``i`` to rank ``i mod R``
            (`noisylearn.data.TensorLoader`).
        name: Tells several trackers of one Trainer apart in the checkpoint.

    Example:
        >>> tracker = SignalTracker(["Margin", "Forgetting"])
        >>> tracker.state_key
        "SignalTracker{'name': 'signals'}"
    """

    def __init__(
        self,
        signals: str | Signal | Sequence[str | Signal] | None = None,
        index: Key | None = None,
        target: Key | None = None,
        logits: Key | None = None,
        num_samples: int | None = None,
        commit_every_n_steps: int | None = None,
        features: Key | None = None,
        loader: str | int | None = None,
        ignore_index: int | None = None,
        epoch_range: tuple[int, int] | None = None,
        sharded: bool = False,
        name: str = "signals",
    ) -> None:
        super().__init__(
            index, target, logits, num_samples, commit_every_n_steps, features, loader, ignore_index, epoch_range
        )
        self._signals = None if signals is None else planned(as_list(signals))
        wanted = [name for s in self.planned_signals() for name in (*s.needs, *s.wants)]
        self._reader.needs = tuple(dict.fromkeys(wanted))
        self._name, self._sharded = name, sharded

    @property
    def state_key(self) -> str:
        """Where the checkpoint keeps this tracker's table."""
        return self._generate_state_key(name=self._name)

    @property
    def name(self) -> str:
        """What tells it apart from other trackers."""
        return self._name

    def planned_signals(self) -> Sequence[Planned]:
        """Return the signals asked for, or the core set."""
        return [*core_signals(), PacedError()] if self._signals is None else self._signals

    @property
    def suggests(self) -> bool:
        """Whether a label is suggested; before the first step, as if there were not too many classes for it."""
        return super().suggests or (self._signals is None and self.signal_set is None)

    def build_signals(self, num_samples: int, num_classes: int) -> SignalSet:
        """Return the signals asked for, and the given label beside them."""
        suggested = self._signals is None and num_classes <= MAX_CLASSES_SUGGESTED
        suggestion = [MeanProbability(num_classes)] if suggested else []
        return SignalSet(
            [GivenLabel(), *built(self.planned_signals(), num_classes), *suggestion], num_samples, sharded=self._sharded
        )
