"""The chance that a label is right, by a mixture of two components on the losses."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from noisylearn._checks import check_choice
from noisylearn.selection import fit_bmm, fit_gmm
from noisylearn.signals.base import Score, Signal
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views


class MixturePosterior(Signal):
    """Posterior of the low-loss component of a mixture on the last losses. Low means suspicious.

    Meant for sweeps: the losses of all samples by the same weights, in evaluation mode and without augmentation. The
    fit is made anew whenever the score is read. Where the losses do not fall into two groups there is no answer: NaN
    for all. It separates early, while wrong labels are not memorized yet; asymmetric noise it separates badly, since
    the two groups overlap.

    Source: two Gaussians: Li, Socher, Hoi, "DivideMix", ICLR 2020; two Beta distributions: Arazo et al., "Unsupervised
    Label Noise Modeling and Loss Correction", ICML 2019. See `noisylearn.selection.fit_gmm` and `fit_bmm`.

    Args:
        kind: ``"gmm"`` or ``"bmm"``.

    Raises:
        ValueError: ``kind`` is neither.

    Example:
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([MixturePosterior()], num_samples=6)
        >>> logits = torch.tensor([[0.0, 3.0], [0.0, 2.9], [0.0, 3.1], [0.0, 3.0], [2.0, 0.0], [2.1, 0.0]])
        >>> signals.observe(Observation(torch.arange(6), logits, torch.ones(6, dtype=torch.int64)))
        >>> _ = signals.commit(epoch=0)
        >>> signals.compute()["clean_probability"].round().tolist()
        [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]
    """

    paper = "Li et al., DivideMix, 2020; Arazo et al., 2019"
    view = "sweep"
    formula = "`P(low-mean component | l)` of two Gaussians, or two Beta distributions, on the normalised losses"
    state = "4 bytes"
    cost = "a fit at each reading"
    scores = (Score("clean_probability", "posterior of the low-loss component", higher_is_noisier=False),)
    columns = (Column("mixture_loss", merge="last"),)

    def __init__(self, kind: str = "gmm") -> None:
        self.kind = check_choice("kind", kind, ("gmm", "bmm"))

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage the loss."""
        return {"mixture_loss": obs.loss}

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Fit, and return the posterior."""
        losses = state["mixture_loss"].where(state["n_seen"] > 0, torch.nan)
        fit = fit_gmm(losses) if self.kind == "gmm" else fit_bmm(losses)
        return {"clean_probability": fit.posterior(losses)}
