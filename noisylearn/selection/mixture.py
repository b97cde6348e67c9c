"""Two components on per-sample losses, whichever their shape: what was fitted, and the posterior.

Samples with a right label tend to have small losses, those with a wrong one large losses. A mixture of two components
gives each sample the probability that it is of the first kind, without a threshold to choose. `fit_gmm` and `fit_bmm`
make the fits.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from noisylearn.selection._histogram import LossHistogram, check_losses, pieces

Pair = tuple[float, float]

_MIN_WEIGHT = 0.01
_MIN_GAP = 0.01


@dataclass(frozen=True)
class MixtureFit(abc.ABC):
    """Two components on losses clipped to ``[low, high]`` and normalised to ``[0, 1]``, the lower mean first.

    The numbers are Python's: a fit prints, compares and pickles, and gives posteriors on any device.

    Args:
        weights: Share of the samples in each component.
        means: Mean of each component, on the normalised scale.
        variances: Variance of each component, on the normalised scale.
        low: The loss that became 0.
        high: The loss that became 1.
        no_split: Why the components are not two groups of samples, empty where they are: fewer than two distinct
            losses (the other fields are then NaN), a component of less than 1 % of the weight, or means less than 0.01
            apart.
    """

    weights: Pair = (torch.nan, torch.nan)
    means: Pair = (torch.nan, torch.nan)
    variances: Pair = (torch.nan, torch.nan)
    low: float = torch.nan
    high: float = torch.nan
    no_split: str = "fewer than two distinct losses"

    @property
    def split(self) -> bool:
        """Whether the losses fall into two groups; without a split the posterior is NaN."""
        return not self.no_split

    def posterior(self, losses: Tensor) -> Tensor:
        """Return the probability that each sample belongs to the component of the lower mean, the clean one.

        Without a split all are NaN, since any number would be taken for an answer, and ``posterior > 0.5`` is false for
        all: ask `split` first, and keep every sample where it is false. A NaN loss (an unseen sample) gives NaN. Losses
        beyond ``[low, high]``, infinite ones too, get the probability of the limit. Stays on the device; nothing waits.

        Args:
            losses: ``(N,)`` floating point; those that were fitted, or others on their scale.

        Returns:
            ``(N,)`` in ``[0, 1]`` or NaN, float32, or float64 where ``losses`` is float64.

        Raises:
            TypeError: ``losses`` is not floating point.
            ValueError: ``losses`` is not 1-D.
        """
        check_losses(losses)
        dtype = torch.promote_types(losses.dtype, torch.float32)
        if not self.split:
            return torch.full_like(losses, torch.nan, dtype=dtype, requires_grad=False)
        low, high = self._domain()
        normalised = ((piece - self.low).div_(self.high - self.low).clamp_(low, high) for piece in pieces(losses))
        return torch.cat([self._log_odds(x).sigmoid_().to(dtype) for x in normalised])

    @abc.abstractmethod
    def _log_odds(self, x: Tensor) -> Tensor:
        """Return, as a new tensor, the log-odds of the first component at normalised losses."""

    def _domain(self) -> Pair:
        """Return the normalised losses between which the posterior may move; beyond them it stays."""
        return 0.0, 1.0

    def _settled(self, histogram: LossHistogram) -> Self:
        """Return the fit with its components in order, its scale, and whether it is a split."""
        order = sorted((0, 1), key=self.means.__getitem__)
        weights, means, variances = (
            (pair[order[0]], pair[order[1]]) for pair in (self.weights, self.means, self.variances)
        )
        no_split = ""
        if not min(weights) >= _MIN_WEIGHT:
            no_split = f"a component holds {min(weights):.2%} of the weight, less than {_MIN_WEIGHT:.0%}"
        elif not means[1] - means[0] >= _MIN_GAP:
            no_split = f"the means are {means[1] - means[0]:.4f} of the range apart, less than {_MIN_GAP}"
        return replace(
            self,
            weights=weights,
            means=means,
            variances=variances,
            low=histogram.low,
            high=histogram.high,
            no_split=no_split,
        )


def weighted_moments(moments: Tensor, posterior: Tensor) -> tuple[Pair, Pair, Pair]:
    """Return the weights, means and variances of the two components, given each bin's share in the first.

    Args:
        moments: ``(3, K)`` of a `LossHistogram`.
        posterior: ``(K,)`` in ``[0, 1]``, float64; kept 1e-12 away from both, so that no component is ever empty.
    """
    first = posterior.clamp(1e-12, 1 - 1e-12)
    n0, sum0, squares0 = (moments @ first).tolist()
    n1, sum1, squares1 = (moments @ (1 - first)).tolist()
    m0, m1 = sum0 / n0, sum1 / n1
    return (n0 / (n0 + n1), n1 / (n0 + n1)), (m0, m1), (squares0 / n0 - m0**2, squares1 / n1 - m1**2)
