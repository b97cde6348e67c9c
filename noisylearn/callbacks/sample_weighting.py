"""`SampleWeighting`: base of the callbacks that make some samples count more than others, by a tracked score."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from noisylearn._checks import check_positive_int, unknown_name
from noisylearn._compat import Callback
from noisylearn.callbacks.index_recorder import RecordingSampler, recordable, tracked_loader
from noisylearn.callbacks.per_sample import PerSampleCallback
from noisylearn.callbacks.shadow import Shadow, unwrap
from noisylearn.callbacks.weighted_sampler import WeightedSampler

NO_TRACKER = "a tracker is needed to weigh samples by a score: add a SignalTracker to the Trainer's callbacks"

WAY_OUT = (
    "It draws in place of the loader's own sampler: pass a DataLoader with `batch_size=` and `sampler=` or `shuffle=`, "
    "or train a NoisyLearner, which weighs its losses"
)


class SampleWeighting(Callback):
    """Sets every training sample's weight at the end of epochs, from a score that a tracker of the Trainer has.

    A module that has ``set_sample_weights`` (`noisylearn.NoisyLearner`) weighs its losses: every sample is still seen
    and measured. Any other module's training loader draws samples in proportion instead (`WeightedSampler`): an epoch
    keeps its length, a sample of weight 0 is not drawn. Of several training loaders it is the tracker's. The dataset is
    not touched, weights of 1 bring all back, and weights are in the checkpoint. A sample that was never seen keeps the
    weight 1.

    Args:
        score: Name of the score, e.g. ``"aum"``.
        start_epoch: First epoch that is weighted; the ones before it are needed to measure.
        every_n_epochs: Weigh anew every so many epochs.
        seed: Seed of the sampler's draws.

    Attributes:
        weights: ``(N,)`` float32 on the CPU, the weights in force; None before the first.
    """

    def __init__(self, score: str, start_epoch: int, every_n_epochs: int = 1, seed: int = 0) -> None:
        super().__init__()
        self.score = score
        self.start_epoch = check_positive_int("start_epoch", start_epoch, "an epoch is needed to measure")
        self.every_n_epochs = check_positive_int("every_n_epochs", every_n_epochs)
        self.seed = seed
        self.weights: Tensor | None = None
        self._trainer: Any = None
        self._shadow: Shadow | None = None
        self._samplers: list[tuple[Any, WeightedSampler]] = []

    def weigh(self, suspicion: Tensor, epoch: int) -> Tensor:
        """Return the weights for an epoch.

        Args:
            suspicion: ``(K,)`` float32 scores of the samples seen, the more suspicious the higher, without NaN.
            epoch: The epoch that is weighted.

        Returns:
            ``(K,)`` weights, finite and at least 0.
        """
        raise NotImplementedError(f"{type(self).__name__} must define weigh(suspicion, epoch)")

    # -- life of a fit -----------------------------------------------------------------------------------------------

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Stand before the training loader, where the module cannot weigh its losses."""
        if stage == "fit":
            self._trainer = trainer
            if not hasattr(pl_module, "set_sample_weights"):
                self._shadow = Shadow(trainer.strategy, "process_dataloader", self._process)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Look for the score and the loader now, not at an epoch's end.

        Raises:
            ValueError: No tracker has the score, or the samples of its loader cannot be weighed.
        """
        tracker = self.tracker()
        if not hasattr(pl_module, "set_sample_weights"):
            reason = recordable(tracked_loader(trainer, tracker.loader))
            if reason is not None:
                raise ValueError(
                    f"`{type(self).__name__}` cannot weigh the samples of this loader: {reason}. {WAY_OUT}"
                )

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Weigh the samples for the epoch that follows."""
        following = trainer.current_epoch + 1
        if self.tracker().signal_set is None:  # its window, or its first sweep, is yet to come: all count the same
            return
        if following >= self.start_epoch and (following - self.start_epoch) % self.every_n_epochs == 0:
            self._apply(self._weights_for(following), pl_module)

    def _weights_for(self, epoch: int) -> Tensor:
        tracker = self.tracker()
        score = tracker.scores([self.score])[self.score]
        seen = score.isfinite()
        weights = torch.ones_like(score)
        if bool(seen.any()):
            weights[seen] = self.weigh(score[seen] if self._higher_is_noisier(tracker) else -score[seen], epoch)
        return weights.cpu()

    def _apply(self, weights: Tensor, pl_module: Any) -> None:
        if not bool(((weights >= 0) & weights.isfinite()).all()) or not bool((weights > 0).any()):
            raise ValueError(f"`{type(self).__name__}.weigh` must give finite weights of at least 0, not all of them 0")
        self.weights = weights
        if hasattr(pl_module, "set_sample_weights"):
            pl_module.set_sample_weights(torch.arange(len(weights)), weights)

    def restore(self, pl_module: Any) -> None:
        """Bring all samples back: every weight is 1 from the next epoch on.

        Args:
            pl_module: The module that is trained.
        """
        if self.weights is not None:
            self._apply(torch.ones_like(self.weights), pl_module)

    def tracker(self) -> PerSampleCallback:
        """Return the tracker that has the score.

        Raises:
            ValueError: None has; the message gives the nearest names.
        """
        trackers = [c for c in self._trainer.callbacks if isinstance(c, PerSampleCallback)]
        known = {info.name: tracker for tracker in reversed(trackers) for info in tracker.score_info}
        if self.score not in known:
            raise ValueError(unknown_name("tracked score", self.score, known) if known else NO_TRACKER)
        return known[self.score]

    def _higher_is_noisier(self, tracker: PerSampleCallback) -> bool:
        info = next(info for info in tracker.score_info if info.name == self.score)
        if info.higher_is_noisier is None:
            raise ValueError(f"`score` must point at wrong labels in one direction, {self.score!r} has none")
        return info.higher_is_noisier

    # -- the loader of a module that cannot weigh its losses ----------------------------------------------------------

    def _process(self, process: Callable[[Any], Any], loader: Any) -> Any:
        loader = process(loader)
        if self._trainer.training and recordable(loader) is None:
            self._wrap(loader)
        return loader

    def _wrap(self, loader: Any) -> None:
        """Stand before a loader's sampler: which of several loaders is tracked is known when an epoch begins."""
        self._unwrap(loader)
        # Under what records the indices, so that what is recorded is what was drawn.
        owner, name = loader.batch_sampler, "sampler"
        while isinstance(found := getattr(owner, name), RecordingSampler):
            owner, name = found, "wrapped"
        sampler = WeightedSampler(found, partial(self._weights_of, loader), self._generator, len(loader.dataset))
        setattr(owner, name, sampler)
        self._samplers.append((loader, sampler))

    def _weights_of(self, loader: Any, positions: Tensor) -> Tensor | None:
        weights = self.weights
        if weights is None or bool((weights == weights[0]).all()):
            return None
        tracker = self.tracker()
        if tracked_loader(self._trainer, tracker.loader) is not loader:
            return None
        return weights[tracker.rows_at(positions, loader.dataset)]

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed + 1_000_003 * int(self._trainer.current_epoch))

    def _unwrap(self, only: Any = None) -> None:
        for loader, sampler in self._samplers:
            if only is None or loader is only:
                unwrap(loader.batch_sampler, "sampler", sampler)
        self._samplers = [pair for pair in self._samplers if only is not None and pair[0] is not only]

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Put the loader back."""
        self._unwrap()
        if self._shadow is not None:
            self._shadow.remove()
        self._shadow = None

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Put the loader back."""
        self.teardown(trainer, pl_module, "fit")

    # -- checkpoint --------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return the weights in force."""
        return {} if self.weights is None else {"weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint; a `NoisyLearner` has saved its weights too."""
        self.weights = state_dict["weights"]
