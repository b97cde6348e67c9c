"""`SweepTracker`: signals measured in passes of their own over the training set, the network held still."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from noisylearn._checks import check_positive_int
from noisylearn.callbacks.logits_finder import Key
from noisylearn.callbacks.named_signals import Planned, as_list, built, planned
from noisylearn.callbacks.observing import check_epoch_range
from noisylearn.callbacks.per_sample import PerSampleCallback
from noisylearn.callbacks.sweep_reader import SweepReader
from noisylearn.signals import GivenLabel, Signal, SignalSet
from noisylearn.sweeping import evaluating, sweep_loader, with_progress


class SweepTracker(PerSampleCallback):
    """Measures signals in evaluation mode on every training sample, every so many epochs.

    All samples are seen by the same weights, without dropout, without updates of batch norm and in a stated transform:
    what mixtures of losses, confident learning, nearest neighbours and input gradients need, and what the online view
    of `SignalTracker` is not. A sweep costs a forward pass over the training set (signals of gradients cost more; each
    says so). It comes after an epoch's last step and before its validation, is shared out among processes, and changes
    nothing: weights, random numbers, modes and metrics are the same with and without it.

    Args:
        signals: One `Signal` or several, or their names. Online signals may be measured here too.
        every_n_epochs: Sweep at the end of every so many epochs; None sweeps once, at the end of the fit.
        logits: The name of the submodule that maps inputs to logits, or a callable ``(module, batch) -> logits``. By
            default the module's ``forward``; else the one submodule that made the logits in the first training step.
        input: Where a batch holds the network's input; by default a `Batch`, the first item, or a dict's usual key.
        target: Where a batch holds the given labels, as in `SignalTracker`.
        index: Where a batch holds the row numbers. By default a `Batch`, a dict's ``"index"``, else the position in the
            training loader's dataset.
        features: The submodule whose output the features are, for signals that need them. By default what the linear
            layer reads that makes the logits.
        layers: Names of submodules, from first to last, for signals that look at several layers.
        dataset: The training set with the transform to look through, sample by sample the same; by default the
            DataModule's ``sweep_dataloader``, else the training loader's own dataset, whatever its transform does.
        transform: What that transform is, for the record.
        loader: Which of several training loaders is swept: its key in the dict or list of them.
        ignore_index: A label that means "none given"; such samples are passed over.
        epoch_range: ``(first, last)`` epochs that are swept, both included, counted from 0; by default all.
        num_samples: Rows of the table; by default the size of the training set.
        name: Tells several trackers of one Trainer apart, in the checkpoint and in files.

    Raises:
        ValueError: An argument does not fit.

    Example:
        >>> SweepTracker(["EL2N"], every_n_epochs=5).state_key
        "SweepTracker{'name': 'sweep'}"
    """

    def __init__(
        self,
        signals: str | Signal | Sequence[str | Signal],
        every_n_epochs: int | None = 1,
        logits: str | Callable[[Any, Any], Tensor] | None = None,
        input: Key | None = None,
        target: Key | None = None,
        index: Key | None = None,
        features: str | None = None,
        layers: Sequence[str] = (),
        dataset: Any = None,
        transform: str | None = None,
        loader: str | int | None = None,
        ignore_index: int | None = None,
        num_samples: int | None = None,
        epoch_range: tuple[int, int] | None = None,
        name: str = "sweep",
    ) -> None:
        super().__init__(num_samples)
        if every_n_epochs is not None:
            check_positive_int("every_n_epochs", every_n_epochs, "or None for one sweep at the end of the fit")
        self._epoch_range = check_epoch_range(epoch_range)
        self._signals = planned(as_list(signals))
        self._every = every_n_epochs
        self._reader = SweepReader(logits, input, target, index, features, layers, loader, ignore_index, self.keys)
        self._dataset, self._transform, self._loader, self._name = dataset, transform, loader, name
        self._trained = 0

    @property
    def state_key(self) -> str:
        """Where the checkpoint keeps this tracker's table."""
        return self._generate_state_key(name=self._name)

    @property
    def name(self) -> str:
        """What tells it apart from other trackers."""
        return self._name

    @property
    def view(self) -> dict[str, str]:
        """A sweep's view."""
        given = "the sweep dataset's own" if self._dataset is not None else "the training set's own, in order"
        return {"view": "sweep", "model_mode": "eval", "transform": self._transform or given}

    def planned_signals(self) -> Sequence[Planned]:
        """Return the signals asked for."""
        return self._signals

    def build_signals(self, num_samples: int, num_classes: int) -> SignalSet:
        """Return the signals asked for, and the given label beside them."""
        return SignalSet([GivenLabel(), *built(self._signals, num_classes)], num_samples)

    # -- when ----------------------------------------------------------------------------------------------------------

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Number this fit's epochs on from the last one's."""
        self._begin_fit(trainer, pl_module.device)
        self._reader.attach(pl_module)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """On the first step, see which submodule makes the logits, where the module has no ``forward``."""
        self._reader.start_step(trainer.optimizers)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Sweep after an epoch's last step: before its validation, and before anything is saved."""
        self._reader.end_step(batch)
        self._trained = self._epoch(trainer)
        due = self._every is not None and (trainer.current_epoch + 1) % self._every == 0
        if trainer.is_last_batch and due and self._in_range(self._trained):
            self.sweep(trainer, pl_module)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Sweep once, where that is asked for; the Trainer has counted its epoch on by now."""
        if self._every is None and self._in_range(self._trained):
            self.sweep(trainer, pl_module, self._trained)

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Remove what is left of the search for the logits."""
        self._reader.detach()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Forget half a sweep, before anything is saved, and remove what is left of the search for the logits."""
        self._reader.detach()
        if self._uncommitted and self.signal_set is not None:
            self.signal_set.discard()
            self._uncommitted = False

    def _in_range(self, epoch: int) -> bool:
        first, last = self._epoch_range
        return first <= epoch <= last

    def _has_missed(self, trainer: Any) -> bool:
        """Whether an epoch before this one was to be swept."""
        if self._every is None:
            return False
        return any(self._in_range(epoch) for epoch in range(self._every - 1, trainer.current_epoch, self._every))

    # -- the pass ------------------------------------------------------------------------------------------------------

    def sweep(self, trainer: Any, pl_module: Any, epoch: int | None = None) -> None:
        """Look at every training sample once and commit what was seen; all processes take part.

        Args:
            trainer: The Trainer of a running fit.
            pl_module: Its module.
            epoch: The epoch that the sweep belongs to; by default the present one.

        Raises:
            ValueError: The logits, the labels or the rows were not found; the message says what was.
        """
        loader, dataset, rows = self._looked_at(trainer)
        passes = with_progress(sweep_loader(loader, trainer, dataset), trainer, f"sweep {self._name}")
        needs = [need for signal in self._signals for need in (*signal.needs, *signal.wants)]
        checked = False
        with evaluating(trainer, pl_module), self._reader.observing(pl_module, needs) as observe:
            for batch, positions in passes:
                positions = positions if rows is None else rows[positions]
                obs = observe(trainer.strategy.batch_to_device(batch), positions)
                if not checked:
                    self.by_position = self._reader.by_position and rows is None
                    self._prepare_rows(trainer, loader, obs.logits.shape[1], obs.logits.device)
                    checked = True
                assert self.signal_set is not None
                self._make_room()
                self.signal_set.observe(obs)
                self.signal_set.stage()  # in batches as they come: what signals need may be the network itself
                self._uncommitted = True
        self._commit(self._epoch(trainer) if epoch is None else epoch)

    def _looked_at(self, trainer: Any) -> tuple[Any, Any, Tensor | None]:
        """Return the loader to look through, the dataset in place of its own, and the rows of its samples.

        None for the dataset is the loader's own; None for the rows is what batches carry, else the positions.
        """
        trained_on = trainer.train_dataloader
        return trained_on if self._loader is None else trained_on[self._loader], self._dataset, None
