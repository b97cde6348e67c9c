"""EL2N: the norm of the error vector."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from noisylearn.signals.base import Score, Signal, per_seen
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views


def el2n(probs: Tensor, targets: Tensor) -> Tensor:
    """Return ``||p - onehot(g)||_2``, in ``[0, sqrt(2)]``.

    Args:
        probs: ``(B, C)`` probabilities.
        targets: ``(B,)`` int64 given labels.

    Returns:
        ``(B,)`` norms. The un-squared norm, as the authors' code has it: ranks agree with the square's within a run,
        not after averaging.

    Source: Paul, Ganguli, Dziugaite, "Deep Learning on a Data Diet", NeurIPS 2021.

    Example:
        >>> round(el2n(torch.tensor([[0.7, 0.2, 0.1]]), torch.tensor([1])).item(), 4)
        1.0677
    """
    error = probs.scatter_add(1, targets[:, None], torch.full_like(probs[:, :1], -1.0))
    norm: Tensor = torch.linalg.vector_norm(error, dim=1)
    return norm


class EL2N(Signal):
    """Mean EL2N over all presentations. High means suspicious.

    The paper scores one early epoch in evaluation mode, averaged over ten or more networks; this is the free online
    form: the running mean over one run, from the training step's own logits.

    Source: Paul, Ganguli, Dziugaite, "Deep Learning on a Data Diet", NeurIPS 2021.

    Example:
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([EL2N()], num_samples=1)
        >>> signals.observe(Observation(torch.tensor([0]), torch.zeros(1, 2), torch.tensor([0])))
        >>> _ = signals.commit(epoch=0)
        >>> round(signals.compute()["el2n"].item(), 4)
        0.7071
    """

    paper = "Paul et al., Data Diet, 2021"
    view = "either"
    formula = "`|| p - onehot(g) ||_2`, averaged over presentations"
    state = "4 bytes"
    scores = (Score("el2n", "mean norm of the error vector p - onehot", higher_is_noisier=True),)
    columns = (Column("el2n_sum"),)

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage the norm."""
        return {"el2n_sum": el2n(obs.probs, obs.targets)}

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Return the mean norm."""
        return {"el2n": per_seen(state["el2n_sum"], state["n_seen"])}
