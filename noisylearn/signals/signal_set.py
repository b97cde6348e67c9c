"""`SignalSet`: several signals over one table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from noisylearn.signals.base import Score, Signal
from noisylearn.signals.data_maps import DataMaps
from noisylearn.signals.el2n import EL2N
from noisylearn.signals.forgetting import Forgetting
from noisylearn.signals.loss import LossStatistics
from noisylearn.signals.margin import Margin
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, SampleTable, Views


def core_signals() -> list[Signal]:
    """Return the core online set: AUM, wrong events and Data Maps, EL2N, loss statistics, forgetting.

    Example:
        >>> [type(s).__name__ for s in core_signals()]
        ['Margin', 'DataMaps', 'EL2N', 'LossStatistics', 'Forgetting']
    """
    return [Margin(), DataMaps(), EL2N(), LossStatistics(), Forgetting()]


class SignalSet:
    """Several signals fed from the same logits; works in any training loop, without Lightning.

    Args:
        signals: The signals, each of another class or with other scores.
        num_samples: Number of rows.
        device: Where the table lives.

    Raises:
        ValueError: Two signals report a score of the same name, or declare one column in two ways.

    Example:
        >>> signals = SignalSet(core_signals(), num_samples=50_000)
        >>> index, targets = torch.tensor([3, 1]), torch.tensor([0, 2])
        >>> signals.observe(Observation(index, torch.randn(2, 10), targets))
        >>> _ = signals.commit(epoch=0)
        >>> signals.compute()["aum"].shape
        torch.Size([50000])
        >>> signals.table.bytes_per_sample
        (44, 26)
    """

    def __init__(self, signals: Sequence[Signal], num_samples: int, device: torch.device | str = "cpu") -> None:
        if not signals:
            raise ValueError("`signals` must hold at least one signal, got none: e.g. core_signals()")
        self.signals = list(signals)
        names = [score.name for score in self.score_info]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"`signals` must report distinct scores, got {twice[0]!r} twice: drop one of the signals")
        self.table = SampleTable(
            num_samples,
            _distinct(c for s in self.signals for c in s.columns),
            observed=_distinct(c for s in self.signals for c in s.observed),
            device=device,
        )

    @property
    def score_info(self) -> list[Score]:
        """What is reported, in order: name, description, direction."""
        return [score for signal in self.signals for score in signal.scores]

    def observe(self, obs: Observation) -> None:
        """Stage one step's observation."""
        values: dict[str, Tensor] = {}
        for signal in self.signals:
            values |= signal.observe(obs)
        self.table.observe(obs.index, values, obs.finite)

    def commit(self, epoch: int) -> int:
        """Merge the ranks, apply the staged rows and return how many observations were not finite."""
        return self.table.commit(epoch, self._advance)

    def _advance(self, state: Views, staged: Views) -> Mapping[str, Tensor]:
        new: dict[str, Tensor] = {}
        for signal in self.signals:
            new |= signal.advance(state, staged)
        return new

    def compute(self) -> dict[str, Tensor]:
        """Return every score as ``(N,)`` float32, NaN for samples that were never seen."""
        state = self.table.views()
        return {name: value for signal in self.signals for name, value in signal.compute(state).items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the table as plain CPU tensors."""
        return self.table.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.table.load_state_dict(state)


def _distinct(columns: Iterable[Column]) -> list[Column]:
    by_name: dict[str, Column] = {}
    for column in columns:
        if by_name.setdefault(column.name, column) != column:
            raise ValueError(f"`signals` declare the column {column.name!r} in two ways: rename one of them")
    return list(by_name.values())
