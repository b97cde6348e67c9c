"""Local intrinsic dimensionality of a sample's features."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from noisylearn._checks import check_positive_int
from noisylearn.signals.base import Score, Signal, per_seen
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views


def intrinsic_dimension(features: Tensor, k: int = 20) -> Tensor:
    """Return the maximum-likelihood estimate ``-1 / mean_j log(r_j / r_k)`` of local intrinsic dimensionality.

    ``r_1 <= ... <= r_k`` are the distances of a sample to its ``k`` nearest neighbours in the batch. Distances of zero
    (the sample itself and its duplicates) are dropped. The estimate falls as the batch grows: compare batches of one
    size.

    Args:
        features: ``(..., B, d)`` floating point; leading dimensions are batches of their own.
        k: Neighbours.

    Returns:
        ``(..., B)`` estimates, float32 (float64 stays). NaN where it is not defined: fewer than ``k`` distances above
        zero, or all of them equal.

    Raises:
        ValueError: ``k`` is below 2.

    Source: Amsaleg et al., "Estimating Local Intrinsic Dimensionality", KDD 2015; Ma et al., "Dimensionality-Driven
    Learning with Noisy Labels" (D2L), ICML 2018. D2L's code adds 1 to squared distances and divides ``k - 1`` terms by
    ``k``; this is the formula of the papers.

    Example:
        >>> round(intrinsic_dimension(torch.tensor([[0.0], [1.0], [2.0], [4.0]]), k=3)[0].item(), 4)
        1.4427
    """
    if check_positive_int("k", k) < 2:
        raise ValueError(f"`k` must be at least 2, got {k}: one distance has nothing to be compared with")
    x = features.detach()
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    if x.shape[-2] <= k:
        return x.new_full(x.shape[:-1], torch.nan)
    # By differences: through products, the distance of duplicates would be rounding noise instead of zero.
    distance = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    distance = distance.where(distance > 0, torch.inf)
    near = distance.topk(k, dim=-1, largest=False).values
    mean = (near / near[..., -1:]).log().mean(-1)
    return (-1 / mean).where(mean < 0, torch.nan)


class IntrinsicDimension(Signal):
    """Mean local intrinsic dimensionality of a sample's features, among the samples observed around it.

    It is meant as a curve: the mean over all samples turns upward when a network begins to memorize. One sample's
    value is noisy. Online or in a sweep; neighbours are sought among ``batch_size`` consecutive samples whatever the
    step's batch is, since the estimate depends on that number. A sample without ``k`` neighbours at a distance is not
    counted.

    Source: Ma et al., "Dimensionality-Driven Learning with Noisy Labels" (D2L), ICML 2018; see `intrinsic_dimension`
    for where this departs.

    Args:
        k: Neighbours.
        batch_size: Samples among which they are sought, more than ``k``.

    Raises:
        ValueError: ``k`` is below 2, or ``batch_size`` not above ``k``.

    Example:
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([IntrinsicDimension(k=2, batch_size=4)], num_samples=4)
        >>> features = torch.tensor([[0.0], [1.0], [2.0], [4.0]])
        >>> targets = torch.zeros(4, dtype=torch.int64)
        >>> signals.observe(Observation(torch.arange(4), torch.zeros(4, 2), targets, features=features))
        >>> _ = signals.commit(epoch=0)
        >>> [round(v, 3) for v in signals.compute()["intrinsic_dimension"].tolist()]
        [2.885, nan, 2.885, 4.933]
    """

    paper = "Ma et al., D2L, 2018"
    view = "either"
    formula = "`-1 / mean_{j <= k} log(r_j / r_k)`, `r_j` the distance to the j-th neighbour in the batch"
    cost = "no extra pass; the features by a hook, and their distances within a batch"
    state = "6 bytes"
    needs = ("features",)
    scores = (Score("intrinsic_dimension", "local intrinsic dimensionality of the features", higher_is_noisier=True),)
    columns = (Column("dimension_sum"), Column("dimension_count", torch.int16))

    def __init__(self, k: int = 20, batch_size: int = 128) -> None:
        if check_positive_int("k", k) < 2:
            raise ValueError(f"`k` must be at least 2, got {k}: one distance has nothing to be compared with")
        if check_positive_int("batch_size", batch_size) <= k:
            raise ValueError(f"`batch_size` must be above k = {k}, got {batch_size}: neighbours are sought in a batch")
        self.k, self.batch_size = k, batch_size

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage the estimate where there is one."""
        assert obs.features is not None
        whole, rest = divmod(len(obs.features), self.batch_size)
        groups = obs.features[: len(obs.features) - rest].reshape(whole, self.batch_size, obs.features.shape[1])
        parts = [intrinsic_dimension(groups, self.k).flatten()]
        if rest:  # what is left over looks back, to have as many samples around it
            parts.append(intrinsic_dimension(obs.features[-self.batch_size :], self.k)[-rest:])
        dimension = torch.cat(parts)
        known = dimension.isfinite()
        return {"dimension_sum": dimension.where(known, 0.0), "dimension_count": known}

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Return the mean estimate."""
        return {"intrinsic_dimension": per_seen(state["dimension_sum"], state["dimension_count"])}
