"""`SampleReweighter`: the less a sample is suspected, the more it counts."""

from __future__ import annotations

import torch
from torch import Tensor

from noisylearn._checks import check_choice
from noisylearn.callbacks.sample_weighting import SampleWeighting
from noisylearn.selection import fit_gmm


class SampleReweighter(SampleWeighting):
    """Weighs each training sample by the chance that its label is right, judged by a tracked score.

    - ``"mixture"``: two Gaussians are fitted to the score; the weight is the posterior of the less suspicious one.
      Where the score does not fall into two groups all weights are 1.
    - ``"rank"``: the weight falls evenly from 1, for the least suspicious sample, to 0 for the most suspicious; without
      any assumption on the score's shape.

    A `noisylearn.NoisyLearner` weighs its losses; in any other module samples are drawn in proportion (see
    `SampleWeighting`).

    Source: mixtures on losses, Arazo et al., "Unsupervised Label Noise Modeling and Loss Correction", ICML 2019, here
    as weights and on any score.

    Args:
        score: Name of a tracked score, e.g. ``"aum"``.
        start_epoch: First epoch that is weighted.
        weight: ``"mixture"`` or ``"rank"``.
        every_n_epochs: Weigh anew every so many epochs.
        seed: Seed of a sampler's draws.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> SampleReweighter("aum", 1, "rank").weigh(torch.tensor([3.0, 1.0, 2.0]), epoch=1).tolist()
        [0.0, 1.0, 0.5]
    """

    def __init__(
        self, score: str, start_epoch: int, weight: str = "mixture", every_n_epochs: int = 1, seed: int = 0
    ) -> None:
        super().__init__(score, start_epoch, every_n_epochs, seed)
        self.weight = check_choice("weight", weight, ("mixture", "rank"))

    def weigh(self, suspicion: Tensor, epoch: int) -> Tensor:
        """Return weights in [0, 1]."""
        if self.weight == "mixture":
            fit = fit_gmm(suspicion)
            return fit.posterior(suspicion) if fit.split else torch.ones_like(suspicion)
        if len(suspicion) == 1:
            return torch.ones_like(suspicion)
        place = suspicion.argsort(stable=True).argsort()
        return 1 - place.to(suspicion.dtype) / (len(suspicion) - 1)
