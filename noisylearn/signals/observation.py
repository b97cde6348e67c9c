"""`Observation`: what one training step shows about some samples, computed once for all signals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noisylearn._checks import check_labels, check_positive_int

EXTRAS = ("features", "peer_logits", "selected", "learning_rate")
"""What an observation may hold beside the logits, one row per sample in each."""
FEW_CLASSES, VECTOR = 32, 16
_ROWS = {"peer_logits": -2, "selected": -1}
"""The dimension of the samples, where it is not the first."""


def margin(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the logit margin of the given label, ``z_g - max_{k != g} z_k``.

    Args:
        logits: ``(B, C)`` raw logits (a softmax would change the range and the order), C at least 2.
        targets: ``(B,)`` int64 given labels.

    Returns:
        ``(B,)`` margins, positive where the prediction is the given label.

    Source: Pleiss et al., "Identifying Mislabeled Data using the Area Under the Margin Ranking", 2020.

    Example:
        >>> margin(torch.tensor([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0]]), torch.tensor([0, 2])).tolist()
        [1.0, -2.0]
    """
    column = targets[:, None]
    others = logits.scatter(1, column, float("-inf"))
    return logits.gather(1, column)[:, 0] - others.amax(1)


class Observation:
    """Logits and given labels of some samples, and what signals derive from them (each computed at most once).

    Everything is detached and float32 (float64 stays), also when the step ran in bfloat16: its margins would tie.
    What only some signals need (`Signal.needs`) is optional; whoever observes supplies it when asked.

    Args:
        index: ``(B,)`` int64 row numbers in the training set.
        logits: ``(B, C)`` raw logits, C at least 2.
        targets: ``(B,)`` int64 given labels in ``[0, C)``.
        ignore_index: A label that means "none given"; such rows are left out of every signal and not counted.
        features: ``(B, ...)`` what the last linear layer reads, flattened to ``(B, d)``.
        peer_logits: ``(2, B, C)`` logits of two networks.
        selected: ``(B,)``, or ``(2, B)`` for two networks: whether the sample was learned from (bool, or weights).
        learning_rate: The rate that this step's update of the last layer is made with.
        inputs: ``(B, ...)`` what the network was given (sweeps only).
        network: The module that maps inputs to logits (sweeps only).
        layers: Outputs of some layers, from first to last, ``(B, ...)`` each (sweeps only).

    Raises:
        ValueError: The shapes do not fit together, or a label is out of range (seen on the CPU only: a GPU would wait).

    Example:
        >>> obs = Observation(torch.tensor([7]), torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0]))
        >>> obs.margin.tolist(), obs.prediction.tolist(), obs.correct.tolist()
        ([1.0], [0], [True])
    """

    def __init__(
        self,
        index: Tensor,
        logits: Tensor,
        targets: Tensor,
        *,
        ignore_index: int | None = None,
        features: Tensor | None = None,
        peer_logits: Tensor | None = None,
        selected: Tensor | None = None,
        learning_rate: float | Tensor | None = None,
        inputs: Tensor | None = None,
        network: nn.Module | None = None,
        layers: Sequence[Tensor] | None = None,
    ) -> None:
        if logits.ndim != 2 or logits.shape[1] < 2:
            raise ValueError(f"`logits` must be (B, C) with C >= 2, got shape {tuple(logits.shape)}: pass raw logits")
        check_positive_int("batch size", len(logits))
        for name, value in (("index", index), ("targets", targets)):
            if value.shape != logits.shape[:1]:
                raise ValueError(
                    f"`{name}` must have shape ({len(logits)},), as `logits` has {len(logits)} rows, "
                    f"got {tuple(value.shape)}: pass one value per row of the logits"
                )
        if targets.is_floating_point():
            raise ValueError(f"`targets` must be class ids, got dtype {targets.dtype}: soft labels have no given label")
        self.labelled = None if ignore_index is None else targets != ignore_index
        if self.labelled is not None:
            targets = targets.masked_fill(~self.labelled, 0)
        if targets.device.type == "cpu":  # cheap here; on a GPU it would be a wait in every step
            low, high = targets.aminmax()
            if targets.dtype == torch.bool or low < 0 or high >= logits.shape[1]:
                check_labels("targets", targets.detach(), logits.shape[1])
        self.index = index
        self.logits = _wide(logits)
        self.targets = targets.detach().to(logits.device, torch.int64)
        self.features = None if features is None else _wide(features).flatten(1)
        self.peer_logits = None if peer_logits is None else _wide(peer_logits)
        self.selected = None if selected is None else selected.detach()
        self.learning_rate = learning_rate if learning_rate is None else self._per_row(learning_rate)
        self.inputs, self.network, self.layers = inputs, network, layers

    def _per_row(self, value: float | Tensor) -> Tensor:
        if isinstance(value, Tensor):
            return value.detach().to(self.logits).expand(len(self.logits))
        return torch.full_like(self.logits[:, 0], value)

    def keep(self, extras: Iterable[str] = ()) -> Observation:
        """Return a copy that later steps cannot write into, with no more than the extras named.

        Args:
            extras: Names among `EXTRAS`.
        """
        return Observation.of_tensors({name: value.clone() for name, value in self.tensors(extras).items()})

    def tensors(self, extras: Iterable[str] = EXTRAS) -> dict[str, Tensor]:
        """Return what it holds by name, apart from what only sweeps have.

        Args:
            extras: Names among `EXTRAS`.
        """
        found = {name: getattr(self, name) for name in ("index", "logits", "targets", "labelled", *extras)}
        return {name: value for name, value in found.items() if value is not None}

    @staticmethod
    def of_tensors(tensors: Mapping[str, Tensor]) -> Observation:
        """Return the observation of which `tensors` returned these.

        Args:
            tensors: Tensors by name.
        """
        made = Observation.__new__(Observation)
        for name in ("index", "logits", "targets", "labelled", *EXTRAS, "inputs", "network", "layers"):
            setattr(made, name, tensors.get(name))
        return made

    @staticmethod
    def cat(parts: Sequence[Observation]) -> Observation:
        """Return the observations of several steps as one; all have the same number of classes and the same extras.

        Args:
            parts: Copies made by `keep`.

        Example:
            >>> step = Observation(torch.tensor([7]), torch.zeros(1, 3), torch.tensor([0]))
            >>> Observation.cat([step.keep(), step.keep()]).index.tolist()
            [7, 7]
        """
        held = [part.tensors() for part in parts]
        return Observation.of_tensors(
            {name: torch.cat([one[name] for one in held], _ROWS.get(name, 0)) for name in held[0]}
        )

    @cached_property
    def log_probs(self) -> Tensor:
        """``(B, C)`` log-softmax of the logits."""
        if self.logits.device.type == "cpu" and self.logits.shape[1] < FEW_CLASSES:
            # Over few classes a CPU's kernel goes value by value; over many samples it uses its vectors. Samples that
            # do not fill one it rounds otherwise: zeros behind them do, so that a sample's value is the same in any
            # batch. There are always some, as rows of 8192 values share their places in the cache.
            count = len(self.logits)
            return F.pad(self.logits.t(), (0, VECTOR - count % VECTOR)).log_softmax(0).t()[:count]
        return self.logits.log_softmax(1)

    @cached_property
    def probs(self) -> Tensor:
        """``(B, C)`` softmax of the logits."""
        return self.log_probs.exp()

    @cached_property
    def loss(self) -> Tensor:
        """``(B,)`` plain cross-entropy against the given label, whatever the objective is."""
        return -self.log_probs.gather(1, self.targets[:, None])[:, 0]

    @cached_property
    def confidence(self) -> Tensor:
        """``(B,)`` probability of the given label."""
        return (-self.loss).exp()

    @cached_property
    def margin(self) -> Tensor:
        """``(B,)`` logit margin of the given label."""
        return margin(self.logits, self.targets)

    @cached_property
    def finite(self) -> Tensor:
        """``(B,)`` bool: the loss is a number, so no logit is NaN; other samples are left out of every signal."""
        return self.loss.isfinite()

    @cached_property
    def prediction(self) -> Tensor:
        """``(B,)`` int64 predicted class."""
        return self.logits.argmax(1)

    @cached_property
    def correct(self) -> Tensor:
        """``(B,)`` bool: the prediction is the given label."""
        return self.prediction == self.targets


def _wide(x: Tensor) -> Tensor:
    """Detached, and float32 unless it is float64."""
    x = x.detach()
    return x if x.dtype == torch.float64 else x.float()
