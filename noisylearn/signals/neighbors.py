"""Disagreement of a sample's label with those of its neighbours in feature space."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from noisylearn._checks import check_positive_int
from noisylearn._nearest import nearest, votes
from noisylearn.signals.base import Score, Signal
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views


def knn_disagreement(
    features: Tensor, targets: Tensor, num_classes: int, k: int = 10, chunk: int = 2048
) -> tuple[Tensor, Tensor]:
    """Return how far each sample's neighbours vote for another label than the given one, and which label wins.

    The ``k`` samples of largest cosine similarity vote for their own given labels, each with its similarity as weight
    (1e-6 where it is smaller). The disagreement is ``1 - v_g``, ``v_g`` being the given label's share; the order is
    that of the reference's ``-log v_g``, without its infinities.

    Args:
        features: ``(N, d)`` floating point.
        targets: ``(N,)`` int64 given labels in ``[0, num_classes)``.
        num_classes: Number of classes.
        k: Neighbours that vote, below N. The sample itself has no vote.
        chunk: Side of the tiles in which similarities are made; there is never an N x N matrix.

    Returns:
        ``(N,)`` disagreement in [0, 1] and ``(N,)`` int64 winning labels (of a tie, the smallest).

    Raises:
        ValueError: There are not more than ``k`` samples.

    Source: Zhu et al., "Detecting Corrupted Labels Without Training a Model to Predict" (SimiFeat), ICML 2022, in one
    round over all samples; its code lets the sample vote too, with a similarity extrapolated from the next two.

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [2.0, 0.2], [3.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
        >>> disagreement, winner = knn_disagreement(features, torch.tensor([0, 0, 1, 1, 1]), num_classes=2, k=1)
        >>> disagreement.tolist(), winner.tolist()
        ([1.0, 1.0, 1.0, 0.0, 0.0], [1, 1, 0, 1, 1])
    """
    unit = F.normalize(features.detach().to(torch.promote_types(features.dtype, torch.float32)), dim=1)
    disagreement, winner = [], []
    for rows, squared, index in nearest(unit, k, chunk):
        shares = votes(targets[index], (1 - squared / 2).clamp(min=1e-6), num_classes)
        disagreement.append(1 - shares.gather(1, targets[rows, None])[:, 0])
        winner.append(shares.argmax(1))
    return torch.cat(disagreement), torch.cat(winner)


class NeighborDisagreement(Signal):
    """Share of a sample's nearest neighbours, in the network's features, that carry another label.

    Meant for sweeps: features of one network, without augmentation. A network that has memorized its labels groups
    samples by the given label, so sweep early, or give features of a network trained otherwise. Near-duplicates with
    the same wrong label vouch for each other. NaN while not more than ``k`` samples were seen.

    - ``neighbor_disagreement``: similarity-weighted share of other labels, in [0, 1].
    - ``neighbors_outvote``: 1 where another label wins the vote, else 0.
    - ``neighbor_label``: the label that wins.

    Source: Zhu et al., "Detecting Corrupted Labels Without Training a Model to Predict" (SimiFeat), ICML 2022; see
    `knn_disagreement` for where this departs.

    Args:
        width: Length of the (flattened) features; the state is this many float32 per sample, and the given label.
        num_classes: Number of classes.
        k: Neighbours that vote.

    Raises:
        ValueError: An argument is below 1.

    Example:
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([NeighborDisagreement(width=2, num_classes=2, k=1)], num_samples=3)
        >>> features = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
        >>> targets = torch.tensor([0, 1, 1])
        >>> signals.observe(Observation(torch.arange(3), torch.zeros(3, 2), targets, features=features))
        >>> _ = signals.commit(epoch=0)
        >>> signals.compute()["neighbor_disagreement"].tolist()
        [1.0, 1.0, 0.0]
    """

    paper = "Zhu et al., SimiFeat, 2022"
    view = "sweep"
    formula = "`1 - v_g`, `v` the similarity-weighted vote of the `k` nearest neighbours' given labels"
    cost = "a pass over the training set; N^2 d multiplications when read"
    state = "4 d + 2 bytes"
    needs = ("features",)
    scores = (
        Score("neighbor_disagreement", "weighted share of neighbours with another label", higher_is_noisier=True),
        Score("neighbors_outvote", "1 where the neighbours vote for another label", higher_is_noisier=True),
        Score("neighbor_label", "the label that the neighbours vote for", higher_is_noisier=None),
    )

    def __init__(self, width: int, num_classes: int, k: int = 10) -> None:
        self.width = check_positive_int("width", width, "the length of the flattened features")
        self.num_classes = check_positive_int("num_classes", num_classes)
        self.k = check_positive_int("k", k, "the number of neighbours that vote, e.g. 10")
        self.columns = (
            Column("features", width=width, merge="last"),
            Column("given", torch.int16, merge="last", initial=-1),
        )

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage the features and the label."""
        assert obs.features is not None
        if obs.features.shape[1] != self.width:
            raise ValueError(
                f"`features` must have {self.width} values per sample, got {obs.features.shape[1]}: "
                "build NeighborDisagreement with the width of the layer that is read"
            )
        # A column of width 1 is (N,).
        return {"features": obs.features if self.width > 1 else obs.features[:, 0], "given": obs.targets}

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Find the neighbours among the samples seen, and let them vote."""
        seen = state["n_seen"] > 0
        features, targets = state["features"][seen], state["given"][seen].long()
        scores = {score.name: torch.full_like(seen, torch.nan, dtype=torch.float32) for score in self.scores}
        if len(targets) > self.k:
            disagreement, winner = knn_disagreement(features.reshape(-1, self.width), targets, self.num_classes, self.k)
            values = (disagreement, (winner != targets).float(), winner.float())
            for score, value in zip(self.scores, values, strict=True):
                scores[score.name][seen] = value
        return scores
