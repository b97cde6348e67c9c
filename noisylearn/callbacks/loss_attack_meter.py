"""`LossAttackMeter`: can the training samples be told from held-out ones by their loss?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DistributedSampler

from noisylearn._checks import check_positive_int
from noisylearn.callbacks.index_recorder import tracked_loader
from noisylearn.callbacks.logits_finder import Key
from noisylearn.callbacks.sweep_reader import Observe
from noisylearn.callbacks.sweeping_meter import SweepingMeter, held_out_loader
from noisylearn.metrics import loss_attack, loss_attack_curve
from noisylearn.sweeping import evaluating, sweep_loader, with_progress


class LossAttackMeter(SweepingMeter):
    """Logs, every so many epochs, how well "its loss is low, so it was trained on" finds the training samples.

    Members are the training samples, the others those of the first validation loader, both in evaluation mode; each
    with the label it comes with. ``loss_attack_auc`` is 0.5 where nothing is memorized.
    ``loss_attack_tpr_at_1_percent`` and ``loss_attack_tpr_at_01_percent`` are the shares of members found at false
    positive rates of 1 % and 0.1 %, the figures that matter for privacy. A rate that would rest on fewer than ten
    errors is not logged: 1 % needs 1,000 held-out samples, 0.1 % needs 10,000. Labels of another quality in the two
    sets (noisy training labels, clean validation labels) show as memorization too.

    Source: Yeom et al., "Privacy Risk in Machine Learning", CSF 2018; low rates: Carlini et al., "Membership Inference
    Attacks From First Principles", S&P 2022. See `noisylearn.metrics.loss_attack`.

    Attributes:
        curve: The last measurement's ROC curve, for logarithmic axes: false positive rates, and the shares of members
            found (`noisylearn.metrics.loss_attack_curve`); None before the first.

    Args:
        every_n_epochs: Measure at the end of every so many epochs.
        at_most: Members that are looked at, about, evenly spaced over the training set.
        nonmembers: Batches of held-out samples; by default the first validation loader.
        logits: As in `SweepTracker`.
        input: As in `SweepTracker`.
        target: As in `SweepTracker`.
        loader: Which of several training loaders has the members: its key in the dict or list of them.
        ignore_index: A label that means "none given"; such samples are passed over, in both sets.

    Raises:
        ValueError: A number is below 1.

    Example:
        >>> LossAttackMeter(every_n_epochs=5).state_key
        'LossAttackMeter'
    """

    def __init__(
        self,
        every_n_epochs: int = 1,
        at_most: int = 10_000,
        nonmembers: Iterable[Any] | None = None,
        logits: str | Callable[[Any, Any], Tensor] | None = None,
        input: Key | None = None,
        target: Key | None = None,
        loader: str | int | None = None,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(every_n_epochs, logits, input, target, loader, ignore_index)
        self._at_most = check_positive_int("at_most", at_most)
        self._nonmembers = nonmembers
        self.curve: tuple[Tensor, Tensor] | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Find the members and the held-out samples now, not at the end of an epoch.

        Raises:
            ValueError: There are none, or there are several training loaders.
        """
        super().on_train_start(trainer, pl_module)
        members = tracked_loader(trainer, self._loader)
        if isinstance(members, dict | list | tuple):
            keys = list(members) if isinstance(members, dict) else list(range(len(members)))
            raise ValueError(f"`loader` is needed to say which of the training loaders has the members: one of {keys}")
        self._held_out(trainer)

    def _held_out(self, trainer: Any) -> Iterable[Any]:
        if self._nonmembers is not None:
            return self._nonmembers
        found: Iterable[Any] = held_out_loader(trainer, "nonmembers")
        return found

    def measure(self, trainer: Any, pl_module: Any) -> dict[str, Any]:
        """Return the area under the curve and the shares of members found."""
        members = sweep_loader(tracked_loader(trainer, self._loader), trainer, at_most=self._at_most)
        with evaluating(trainer, pl_module), self._reader.observing(pl_module) as observe:
            passes = with_progress(members, trainer, "loss attack")
            inside = _gathered([_losses(observe, trainer, batch, rows) for batch, rows in passes], trainer)
            held_out = sharded(self._held_out(trainer))
            outside = _gathered([_losses(observe, trainer, batch, rows) for batch, rows in held_out], trainer)
        self.curve = loss_attack_curve(inside, outside)
        found = asdict(loss_attack(inside, outside))
        names = {"auc": "auc", "tpr_at_1_percent_fpr": "tpr_at_1_percent", "tpr_at_01_percent_fpr": "tpr_at_01_percent"}
        return {f"loss_attack_{name}": found[key] for key, name in names.items() if not math.isnan(found[key])}


def sharded(loader: Iterable[Any]) -> Iterator[tuple[Any, Tensor | None]]:
    """Yield a loader's batches and their samples' positions, where torch's sampler shares it out and pads the shares.

    Args:
        loader: The loader; without such a sampler there are no positions.

    Example:
        >>> from torch.utils.data import DataLoader, DistributedSampler
        >>> sampler = DistributedSampler(range(5), num_replicas=2, rank=1, shuffle=False)
        >>> [rows.tolist() for _, rows in sharded(DataLoader(range(5), 2, sampler=sampler))]
        [[1, 3], [0]]
    """
    sampler, size = getattr(loader, "sampler", None), getattr(loader, "batch_size", None)
    if not isinstance(sampler, DistributedSampler) or size is None:
        yield from ((batch, None) for batch in loader)
        return
    order = list(sampler)
    for number, batch in enumerate(loader):
        yield batch, torch.tensor(order[number * size : (number + 1) * size])


def _losses(observe: Observe, trainer: Any, batch: Any, positions: Tensor | None) -> tuple[Tensor, Tensor]:
    batch = trainer.strategy.batch_to_device(batch)
    obs = observe(batch, positions)
    return (obs.index, obs.loss) if obs.labelled is None else (obs.index[obs.labelled], obs.loss[obs.labelled])


def _gathered(parts: list[tuple[Tensor, Tensor]], trainer: Any) -> Tensor:
    """The losses of all processes, a sample that several have looked at once."""
    index, losses = (torch.cat(column).cpu() for column in zip(*parts, strict=True))
    if trainer.world_size > 1:
        every: list[Any] = [None] * trainer.world_size
        torch.distributed.all_gather_object(every, (index, losses))
        index, losses = (torch.cat(column) for column in zip(*every, strict=True))
    nameless = index < 0
    distinct, row = torch.unique(index[~nameless], return_inverse=True)
    return torch.cat([losses[nameless], losses.new_zeros(len(distinct)).scatter_(0, row, losses[~nameless])])
