"""`top_suspects`: the samples whose given label is suspected most, in words that a person can act on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
from torch import Tensor

from noisylearn.signals import Score, average_rank, suspicion
from noisylearn.signals.suspicion import PACED, PARTS

if TYPE_CHECKING:
    from noisylearn.callbacks.per_sample import PerSampleCallback


@dataclass(frozen=True)
class Suspect:
    """One suspected label.

    Args:
        row: Its row in the tracker's table.
        sample: Its name, where samples have names, else its position in the innermost dataset.
        given: The given label.
        suggested: What the network would have said on average; empty where that is not tracked.
        suspicion: From 0 to 1.

    Example:
        >>> str(Suspect(row=3, sample="17", given="cat", suggested="dog", suspicion=0.99))
        '17: cat -> dog'
    """

    row: int
    sample: str
    given: str
    suggested: str
    suspicion: float

    def __str__(self) -> str:
        other = f" -> {self.suggested}" if self.suggested not in ("", self.given) else ""
        return f"{self.sample}: {self.given}{other}"


def suspicion_of(scores: Mapping[str, Tensor], score_info: Sequence[Score]) -> Tensor:
    """Return how much each given label is suspected, from whatever was tracked.

    Args:
        scores: ``(N,)`` tensors by name.
        score_info: What they are.

    Returns:
        ``(N,)`` float32 in [0, 1], see `noisylearn.signals.suspicion`; where a part of that was not tracked, the rank
        in the first score that points at wrong labels. NaN for samples without it, for all where no score points.

    Example:
        >>> scores = {"given": torch.tensor([0.0, 1.0, 1.0]), "aum": torch.tensor([3.0, -2.0, 0.5])}
        >>> suspicion_of(scores, [Score("aum", "mean margin", higher_is_noisier=False)]).tolist()
        [0.0, 1.0, 0.5]
    """
    if any(name in scores for name in PACED) or all(name in scores for name, _ in PARTS):
        return suspicion(scores)
    pointing = next((info for info in score_info if info.higher_is_noisier is not None), None)
    if pointing is None:
        return torch.full_like(scores["given"], torch.nan)
    score = scores[pointing.name]
    return average_rank(score if pointing.higher_is_noisier else -score)


def top_suspects(
    tracker: PerSampleCallback, scores: Mapping[str, Tensor], count: int, class_names: Sequence[str] = ()
) -> list[Suspect]:
    """Return the samples whose given label is suspected most, worst first.

    Args:
        tracker: A tracker that has seen samples.
        scores: Its scores.
        count: How many at most.
        class_names: Names of the classes; a class without one goes by its number.
    """
    rank = suspicion_of(scores, tracker.score_info).cpu()
    rows = rank.nan_to_num(-1).argsort(descending=True, stable=True)[:count]
    rows = rows[rank[rows].isfinite()]
    given = scores["given"].cpu()[rows].tolist()
    suggested = scores["suggested"].cpu()[rows].tolist() if "suggested" in scores else [None] * len(rows)

    def label(number: float | None) -> str:
        if number is None:
            return ""
        return class_names[int(number)] if number < len(class_names) else str(int(number))

    def sample(row: int) -> str:
        if len(tracker.keys):
            return tracker.keys.names[row]
        return str(row if tracker.dataset_index is None else tracker.dataset_index[row])

    found = zip(rows.tolist(), given, suggested, rank[rows].tolist(), strict=True)
    return [Suspect(row, sample(row), label(g), label(s), value) for row, g, s, value in found]


def class_names_of(datamodule: Any, loader: Any) -> Sequence[str]:
    """Return the names of the classes: the DataModule's ``class_names``, else a dataset's ``classes``; empty if none.

    Args:
        datamodule: The DataModule, or None.
        loader: The training loader; of its dataset, those that it wraps are asked too.

    Example:
        >>> from types import SimpleNamespace
        >>> folder = SimpleNamespace(classes=["cat", "dog"])
        >>> class_names_of(None, SimpleNamespace(dataset=SimpleNamespace(dataset=folder)))
        ('cat', 'dog')
    """
    names, dataset = getattr(datamodule, "class_names", None), getattr(loader, "dataset", None)
    while not _are_names(names) and dataset is not None:
        names, dataset = getattr(dataset, "classes", None), getattr(dataset, "dataset", None)
    return tuple(names) if _are_names(names) else ()


def _are_names(names: Any) -> TypeGuard[Sequence[str]]:
    return isinstance(names, list | tuple) and bool(names) and all(isinstance(name, str) for name in names)
