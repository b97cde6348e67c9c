"""What a noise generator returns."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class NoisyLabels:
    """One draw of label noise, and what is needed to name it and to find it again.

    Attributes:
        labels: ``(N,)`` int64, the labels to train on. A copy, as ``clean`` is: the caller's array is never
            shared.
        clean: ``(N,)`` int64, the labels they were made from.
        generator: Which generator made them, e.g. ``"symmetric"``.
        rate: The rate asked for, a fraction. What came out is `realised_rate`; the two differ by design where
            a generator leaves some classes alone or may draw the own class.
        seed: The seed of the draw.

    Raises:
        ValueError: ``labels`` and ``clean`` differ in shape, or are not 1-D.

    Example:
        >>> noisy = NoisyLabels([0, 2, 2, 1], clean=[0, 1, 2, 1], generator="by_hand", rate=0.25, seed=0)
        >>> noisy.realised_rate
        0.25
        >>> noisy.flipped
        array([False,  True, False, False])
        >>> noisy.sha1[:12]
        'e6888eb28d22'
    """

    labels: npt.NDArray[np.int64]
    clean: npt.NDArray[np.int64]
    generator: str
    rate: float
    seed: int

    def __post_init__(self) -> None:
        for field in ("labels", "clean"):
            object.__setattr__(self, field, np.array(getattr(self, field), dtype=np.int64))
        if self.labels.ndim != 1 or self.labels.shape != self.clean.shape:
            raise ValueError(
                f"`labels` and `clean` must be 1-D and of one length, got shapes {self.labels.shape} and "
                f"{self.clean.shape}: pass the two labels of each sample in the same order"
            )

    @property
    def flipped(self) -> npt.NDArray[np.bool_]:
        """``(N,)`` bool: where the label differs from the clean one."""
        return np.not_equal(self.labels, self.clean)

    @property
    def realised_rate(self) -> float:
        """The fraction of labels that differ from the clean ones."""
        return float(self.flipped.mean())

    @property
    def sha1(self) -> str:
        """Hex SHA-1 of the labels' int64 little-endian bytes: equal hashes are equal label vectors."""
        return hashlib.sha1(self.labels.astype("<i8").tobytes(), usedforsecurity=False).hexdigest()
