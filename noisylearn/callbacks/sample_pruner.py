"""`SamplePruner`: learn without the samples whose score is worst."""

from __future__ import annotations

import torch
from torch import Tensor

from noisylearn._checks import check_choice, check_probability
from noisylearn.callbacks.sample_weighting import SampleWeighting


class SamplePruner(SampleWeighting):
    """Leaves a fraction of the training samples out, by a tracked score, and takes them back when the score says so.

    The choice is made anew every ``every_n_epochs``: a sample that is no longer among the worst comes back, and all do
    after ``restore``. In a `noisylearn.NoisyLearner` a pruned sample is still seen and measured, and has no part in the
    loss; in any other module it is not drawn, and its score stands still until it comes back.

    Args:
        score: Name of a tracked score, e.g. ``"aum"``.
        fraction: Part of the samples seen so far that is left out, in [0, 1).
        start_epoch: First epoch that goes without them.
        ramp_epochs: Epochs over which the fraction grows from 0; 0 leaves all out at once.
        every_n_epochs: Choose anew every so many epochs.
        drop: ``"noisiest"``, or ``"cleanest"`` for what is learned already (the hardest part is kept then, the wrong
            labels with it).
        seed: Seed of a sampler's draws.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> pruner = SamplePruner("aum", fraction=0.5, start_epoch=3)
        >>> pruner.weigh(torch.tensor([0.1, 3.0, 0.2, 2.0]), epoch=3).tolist()
        [1.0, 0.0, 1.0, 0.0]
    """

    def __init__(
        self,
        score: str,
        fraction: float,
        start_epoch: int,
        ramp_epochs: int = 0,
        every_n_epochs: int = 1,
        drop: str = "noisiest",
        seed: int = 0,
    ) -> None:
        super().__init__(score, start_epoch, every_n_epochs, seed)
        self.fraction = check_probability("fraction", fraction, "pass the part to leave out, e.g. 0.2")
        if fraction == 1:
            raise ValueError("`fraction` must be below 1, got 1: nothing would be left to learn from")
        if ramp_epochs < 0:
            raise ValueError(f"`ramp_epochs` must be at least 0, got {ramp_epochs}: 0 leaves all out at once")
        self.ramp_epochs = ramp_epochs
        self.drop = check_choice("drop", drop, ("noisiest", "cleanest"))

    def weigh(self, suspicion: Tensor, epoch: int) -> Tensor:
        """Return 0 for the samples left out, 1 for the others."""
        grown = min((epoch - self.start_epoch + 1) / (self.ramp_epochs + 1), 1.0)
        out = int(self.fraction * grown * len(suspicion))
        order = suspicion.argsort(stable=True, descending=self.drop == "noisiest")
        return torch.ones_like(suspicion).index_fill(0, order[:out], 0.0)
