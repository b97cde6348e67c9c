"""`SignalSet`: several signals over one table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from noisylearn._placement import process
from noisylearn.signals.base import Score, Signal
from noisylearn.signals.data_maps import DataMaps
from noisylearn.signals.el2n import EL2N
from noisylearn.signals.forgetting import Forgetting
from noisylearn.signals.loss import LossStatistics
from noisylearn.signals.margin import Margin
from noisylearn.signals.observation import EXTRAS, Observation
from noisylearn.tables import Column, SampleTable, Views

CHUNK_ROWS, CHUNK_VALUES = 8192, 2**21
"""Observations wait until they are so many rows, or values: on small batches an operation costs more than its work."""
HOW_TO_GIVE = {
    "features": 'name the submodule whose output they are, e.g. `features="net.flatten"`',
    "peer_logits": 'it is for methods of two networks; return them from training_step as "peer_logits"',
    "selected": 'return it from training_step as "selected"; methods that select samples do',
    "learning_rate": "pass the optimizer's rate",
    "inputs": "track it in a sweep (SweepTracker) whose `logits` is not a function",
    "network": "track it in a sweep (SweepTracker) whose `logits` is not a function",
    "layers": "track it in a sweep (SweepTracker) with `layers=` the names of some submodules",
}
"""What an observation that lacks something is told."""


def core_signals() -> list[Signal]:
    """Return the core online set: AUM, wrong events and Data Maps, EL2N, loss statistics, forgetting.

    Example:
        >>> [type(s).__name__ for s in core_signals()]
        ['Margin', 'DataMaps', 'EL2N', 'LossStatistics', 'Forgetting']
    """
    return [Margin(), DataMaps(), EL2N(), LossStatistics(), Forgetting()]


class SignalSet:
    """Several signals fed from the same logits; works in any training loop, without Lightning.

    What steps show is copied, kept for some steps and then staged at once: a few large operations in place of many
    small ones. `commit` stages what is left, and `state_dict` holds it, so that this cannot be seen from outside.

    Args:
        signals: The signals, each of another class or with other scores.
        num_samples: Number of rows.
        device: Where the table lives.
        sharded: On several processes, keep each sample's row on one of them, see `noisylearn.tables.SampleTable`.

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

    def __init__(
        self, signals: Sequence[Signal], num_samples: int, device: torch.device | str = "cpu", sharded: bool = False
    ) -> None:
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
            sharded=sharded,
        )
        self.needs = tuple(dict.fromkeys(need for s in self.signals for need in s.needs))
        wanted = [name for s in self.signals for name in (*s.needs, *s.wants)]
        self._extras = [name for name in dict.fromkeys(wanted) if name in EXTRAS]
        self._sweeps = any(need not in EXTRAS for need in self.needs)
        self._waiting: list[Observation] = []
        self._rows = self._values = 0
        self._num_classes = 0  # of the logits that wait; 0 before the first, which is staged at once to be checked

    @property
    def score_info(self) -> list[Score]:
        """What is reported, in order: name, description, direction."""
        return [score for signal in self.signals for score in signal.scores]

    def observe(self, obs: Observation) -> None:
        """Take in one step's observation.

        Raises:
            IndexError: An index is out of range (on the CPU at once; on a GPU at the next commit).
            ValueError: A signal needs what the observation does not hold.
        """
        self.table.check_index(obs.index)
        for need in self.needs:
            if getattr(obs, need) is None:
                who = next(type(s).__name__ for s in self.signals if need in s.needs)
                raise ValueError(f"`{need}` is needed by {who}, and the observation has none: {HOW_TO_GIVE[need]}")
        alike = obs.logits.shape[1] == self._num_classes
        if not alike:
            self.stage()
            self._num_classes = obs.logits.shape[1]
        if self._sweeps:  # a sweep's: they look at the network as it is now
            self.stage()
            self._stage(obs)
            return
        self._wait(obs.keep(self._extras))  # a copy: the next step may write its logits where this one's are
        if not alike or self._rows >= CHUNK_ROWS or self._values >= CHUNK_VALUES:
            self.stage()

    def _wait(self, obs: Observation) -> None:
        self._waiting.append(obs)
        self._rows += len(obs.logits)
        self._values += obs.logits.numel() + (0 if obs.features is None else obs.features.numel())

    def stage(self) -> None:
        """Stage what the steps since the last call have shown."""
        if not self._waiting:
            return
        obs = Observation.cat(self._waiting)
        self._waiting, self._rows, self._values = [], 0, 0
        self._stage(obs)

    def _stage(self, obs: Observation) -> None:
        values: dict[str, Tensor] = {}
        for signal in self.signals:
            values |= signal.observe(obs)
        self.table.observe(obs.index, values, obs.finite, obs.labelled)

    def commit(self, epoch: int) -> int:
        """Merge the ranks, apply the staged rows and return how many observations were not finite."""
        self.stage()
        return self.table.commit(epoch, self._advance)

    def to(self, device: torch.device | str) -> SignalSet:
        """Move the table to ``device``, in place, and return the set."""
        self.table.to(device)
        self._waiting = [_moved(obs.tensors(), device) for obs in self._waiting]
        return self

    def discard(self) -> int:
        """Drop what was observed since the last commit and return how many rows that was."""
        self.stage()
        return self.table.discard_staged()

    def grow(self, num_samples: int) -> None:
        """Add rows at the end of the table, see `SampleTable.grow`."""
        self.stage()
        self.table.grow(num_samples)

    def _advance(self, state: Views, staged: Views) -> Mapping[str, Tensor]:
        new: dict[str, Tensor] = {}
        for signal in self.signals:
            new |= signal.advance(state, staged)
        return new

    def compute(self, names: Collection[str] | None = None) -> dict[str, Tensor]:
        """Return scores as ``(N,)`` float32, NaN for samples never seen; a collective call where sharded.

        Args:
            names: The scores wanted, by default all. A signal that reports none of them is not computed: neighbours and
                mixtures take their time.
        """
        state = self.table.gather()
        wanted = {score.name for score in self.score_info} if names is None else set(names)
        signals = [s for s in self.signals if any(score.name in wanted for score in s.scores)]
        return {name: value for s in signals for name, value in s.compute(state).items() if name in wanted}

    def state_dict(self) -> dict[str, Any]:
        """Return the table, and what waits, as plain CPU tensors; a collective call where the table is sharded."""
        if process()[1] > 1:  # a table knows whose rows are whose
            self.stage()
        # Not staged by itself: signals that look across samples would have other neighbours than without a checkpoint.
        waiting = [{name: value.cpu() for name, value in obs.tensors().items()} for obs in self._waiting]
        return {**self.table.state_dict(), "waiting": waiting, "num_classes": self._num_classes}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned; what was observed and not committed is dropped."""
        self.table.load_state_dict(state)
        self._waiting, self._rows, self._values = [], 0, 0
        self._num_classes = state.get("num_classes", 0)
        for tensors in state.get("waiting", []) if process()[0] == 0 else []:  # as of what is staged, see the table
            self._wait(_moved(tensors, self.table.device))


def _moved(tensors: Mapping[str, Tensor], device: torch.device | str) -> Observation:
    return Observation.of_tensors({name: value.to(device) for name, value in tensors.items()})


def _distinct(columns: Iterable[Column]) -> list[Column]:
    by_name: dict[str, Column] = {}
    for column in columns:
        if by_name.setdefault(column.name, column) != column:
            raise ValueError(f"`signals` declare the column {column.name!r} in two ways: rename one of them")
    return list(by_name.values())
