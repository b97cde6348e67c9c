"""`second_split`: what a network forgets when it goes on with other samples (SSFT)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from noisylearn._compat import LightningModule
from noisylearn.callbacks.logits_finder import Key
from noisylearn.memorization.dataset_view import DatasetView, MapStyle, TargetKey, check_dataset
from noisylearn.memorization.runs import MakeLoader, MakeTrainer, Runs, default_loader, seeded
from noisylearn.memorization.split_sweep import SplitSweep


@dataclass(frozen=True)
class SecondSplitResult:
    """What `second_split` found; rows are positions in the dataset.

    Attributes:
        times: ``(S, N)`` float32 for S seeds: the epoch of the second phase, counted from 0, from which on the sample
            was always wrong; infinity where it was never forgotten, NaN where it was not measured.
        learned: ``(S, N)`` bool, whether the sample was right at the end of the first phase. One that was not cannot be
            forgotten: its time says little.
    """

    times: Tensor
    learned: Tensor

    @property
    def time(self) -> Tensor:
        """``(N,)`` float32, the median over seeds (the lower one of two): a ranking, low is suspicious.

        The median and not the mean: there is no mean of a time that never comes.
        """
        return self.times.nanmedian(0).values

    @property
    def never_forgotten(self) -> Tensor:
        """``(N,)`` bool, where the median time is infinite: a category, not a late time."""
        return self.time.isinf()

    @property
    def never_forgotten_rate(self) -> Tensor:
        """``(N,)`` float32, the share of seeds in which the sample was never forgotten; NaN where not measured."""
        return self.times.isinf().float().masked_fill(self.times.isnan(), torch.nan).nanmean(0)

    def __str__(self) -> str:
        seeds, size = self.times.shape
        never, unlearned = int(self.never_forgotten.sum()), int((~self.learned).any(0).sum())
        forgotten = size - never - int(self.time.isnan().sum())
        return (
            f"{forgotten} of {size} samples forgotten, {never} never; {unlearned} were not learned in the first phase "
            f"of some run ({seeds} seeds)"
        )


def second_split(
    make_module: Callable[[], LightningModule],
    dataset: MapStyle,
    make_trainer: MakeTrainer,
    make_loader: MakeLoader | None = None,
    *,
    make_second_trainer: MakeTrainer | None = None,
    eval_dataset: MapStyle | None = None,
    labels: Any = None,
    seeds: Sequence[int] = (0,),
    target: TargetKey | None = None,
    input: Key | None = None,
    logits: str | Callable[[Any, Any], Tensor] | None = None,
    progress: bool = True,
) -> SecondSplitResult:
    """Measure second-split forgetting time (SSFT): wrong labels, learned by heart, are forgotten first.

    The dataset is cut into two random halves. A network is fitted to one, then goes on with the other (the same
    weights, a fresh optimizer), and after each of those epochs is asked about the first half, in evaluation mode. The
    halves then change places, with a fresh network. That is four fits on half the data for each seed, and a forward
    pass over half of it in each epoch of the second phase.

    Fit the first phase until wrong labels are learned, too: what was not learned cannot be forgotten. The learning rate
    of the second phase has to be large, as at the beginning of a training.

    Args:
        make_module: Makes a fresh module. State per sample that it keeps would mix the two halves.
        dataset: A map-style dataset; items are ``(input, label, ...)``, a `noisylearn.data.Batch`, or a dict.
        make_trainer: Makes a fresh Trainer with the callbacks that it is given; it decides epochs and devices.
        make_loader: Makes the training loader of a `DatasetView`; by default shuffled batches of 64.
        make_second_trainer: The same for the second phase, where that is to be of another length.
        eval_dataset: The same samples in the same order through the transform to look through; by default ``dataset``,
            whatever its transform does.
        labels: ``(N,)`` integer labels that replace the items' own.
        seeds: Each with its own halves, weights and order. Times vary from run to run: take several.
        target: Where an item, and a batch, has its label, if that is not found by itself.
        input: Where a batch has the network's input, as in `noisylearn.callbacks.SweepTracker`.
        logits: What maps inputs to logits, as in `noisylearn.callbacks.SweepTracker`.
        progress: Whether to show a bar of the epochs.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument does not fit.

    Source: Maini et al., "Characterizing Datapoints via Second-Split Forgetting", NeurIPS 2022. The authors' code
    counts from 1, writes ``T + 1`` where a sample is never forgotten, and averages that number over seeds.

    Example:
        >>> from pytorch_lightning import Trainer
        >>> from noisylearn.methods import CrossEntropy
        >>> from noisylearn.models import MLP
        >>> points = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
        >>> data = [(x, int(x[0] > 0), i) for i, x in enumerate(points)]
        >>> result = second_split(
        ...     lambda: CrossEntropy(MLP(2, in_features=4), num_classes=2),
        ...     data,
        ...     make_trainer=lambda callbacks: Trainer(max_epochs=2, callbacks=callbacks, accelerator="cpu",
        ...         logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False),
        ...     progress=False,
        ... )
        >>> result.time.shape, bool(result.time.isnan().any())
        (torch.Size([60]), False)
    """
    size = check_dataset("dataset", dataset)
    if size < 2:
        raise ValueError("`dataset` must hold at least two samples, got 1: it is cut into halves")
    seen = dataset if eval_dataset is None else eval_dataset
    if (found := check_dataset("eval_dataset", seen)) != size:
        raise ValueError(f"`eval_dataset` must have the {size} samples of `dataset`, in its order, got {found}")
    if not len(seeds):
        raise ValueError("`seeds` must hold at least one seed, got none: e.g. (0, 1, 2)")
    targets = None if labels is None else _as_targets(labels, size)
    make_loader, second = make_loader or default_loader, make_second_trainer or make_trainer

    def view(data: MapStyle, rows: Tensor) -> DatasetView:
        return DatasetView(data, rows, None if targets is None else targets[rows], target)

    times = torch.full((len(seeds), size), torch.nan)
    learned = torch.zeros(len(seeds), size, dtype=torch.bool)
    with Runs("second split", 4 * len(seeds), progress) as runs:
        for number, seed in enumerate(seeds):
            for first, other in _both_ways(size, seed):
                with seeded(seed):
                    module, looked_at = make_module(), view(seen, first)
                    looks = [SplitSweep(looked_at, make_loader(looked_at), n, logits, input, target) for n in (None, 1)]
                    runs.fit(make_trainer, looks[:1], module, make_loader(view(dataset, first)), f"seed {seed}, learn")
                    runs.fit(second, looks[1:], module, make_loader(view(dataset, other)), f"seed {seed}, forget")
                at_first, after = (look.scores()["forgetting_time"].cpu()[first] for look in looks)
                learned[number, first] = at_first.isinf()
                times[number, first] = after
    return SecondSplitResult(times, learned)


def _both_ways(size: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Two random halves of the rows, and the same in the other order."""
    order = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
    one, two = order[: size // 2].sort().values, order[size // 2 :].sort().values
    return [(one, two), (two, one)]


def _as_targets(labels: Any, size: int) -> Tensor:
    targets = torch.as_tensor(labels)
    if targets.is_floating_point() or targets.dtype == torch.bool:
        raise TypeError(f"`labels` must be integer class ids, got dtype {targets.dtype}: cast with .long()")
    if targets.shape != (size,):
        raise ValueError(f"`labels` must have shape ({size},), one label per sample, got {tuple(targets.shape)}")
    return targets.long().cpu()
