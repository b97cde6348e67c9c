"""`Signal`: what a sample's row means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views


@dataclass(frozen=True, slots=True)
class Score:
    """One number per sample that a signal reports.

    Args:
        name: Its name in exported tables.
        description: One line on what it is.
        higher_is_noisier: Whether a large value points at a wrong label; None where neither direction does.

    Example:
        >>> Score("aum", "mean margin", higher_is_noisier=False).name
        'aum'
    """

    name: str
    description: str
    higher_is_noisier: bool | None


class Signal:
    """State kept per sample, how an observation changes it, and the scores read from it.

    Subclasses set `scores` and `columns` and override what they need. The first of `scores` is the signal's own
    noise score. A signal holds no tensors: they live in the `SampleTable` that its `SignalSet` builds, so that one
    gather and one scatter serve all signals. Signals of one set that declare a column of the same name share it.

    Attributes:
        paper: Authors, short title and year.
        formula: What is measured, in one line.
        view: What it is meant for: ``"online"`` (training steps), ``"sweep"`` (passes of their own), or ``"either"``.
        scores: What the signal reports.
        cost: What it adds to a training step.
        state: Bytes per sample, for the list of signals.
        needs: What an `Observation` must hold beside index, logits and targets, e.g. ``("features",)``.
        wants: What it uses if an `Observation` holds it.
        columns: Its state.
        observed: What it stages for `advance` beyond the columns that are observed themselves.
    """

    paper: ClassVar[str]
    formula: ClassVar[str] = ""
    view: ClassVar[str] = "either"
    scores: ClassVar[tuple[Score, ...]]
    cost: ClassVar[str] = "no extra pass"
    state: ClassVar[str] = ""
    needs: ClassVar[tuple[str, ...]] = ()
    wants: ClassVar[tuple[str, ...]] = ()
    columns: tuple[Column, ...] = ()
    observed: tuple[Column, ...] = ()

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Return the ``(B,)`` values to stage: one per observed column and per column that is not ``"ordered"``."""
        raise NotImplementedError(f"{type(self).__name__} must define observe(obs)")

    def advance(self, state: Views, staged: Views) -> Mapping[str, Tensor]:
        """Return new ``(N,)`` values of the ``"ordered"`` columns; rows that were not staged are ignored."""
        return {}

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Return ``(N,)`` float tensors, one per score, NaN for samples that were never seen."""
        raise NotImplementedError

    @property
    def bytes_per_sample(self) -> int:
        """Bytes of state that one sample takes for this signal alone."""
        return sum(c.width * torch.empty((), dtype=c.dtype).element_size() for c in self.columns)


def per_seen(total: Tensor, n_seen: Tensor) -> Tensor:
    """Divide a sum by the number of presentations; NaN where there was none.

    Example:
        >>> per_seen(torch.tensor([3.0, 0.0]), torch.tensor([2, 0])).tolist()
        [1.5, nan]
    """
    return torch.where(n_seen > 0, total / n_seen, torch.nan)
