"""Two Beta distributions on per-sample losses (Arazo et al., Unsupervised Label Noise Modeling, ICML 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma, log

from torch import Tensor

from noisylearn._checks import check_positive_int
from noisylearn.selection._histogram import loss_histogram
from noisylearn.selection.mixture import MixtureFit, Pair, weighted_moments

_MARGIN = 1e-4
"""A Beta density can be 0 or infinite at 0 and 1, so losses stay this far inside, as in the authors' code."""
_MIN_VARIANCE = 1e-10
"""Keeps the parameters finite where a component's losses are all equal."""


@dataclass(frozen=True)
class BetaMixtureFit(MixtureFit):
    """What `fit_bmm` returns: a `MixtureFit` whose components are Beta distributions.

    The posterior never rises with the loss. Like two Gaussians, two Betas can turn round at an end; from that point on,
    which lies outside the two means, the posterior stays. The authors hold it at the high end, by a table of 100 bins.
    """

    @property
    def alphas(self) -> Pair:
        """First parameter of each component."""
        return self._concentration(0) * self.means[0], self._concentration(1) * self.means[1]

    @property
    def betas(self) -> Pair:
        """Second parameter of each component."""
        return self._concentration(0) * (1 - self.means[0]), self._concentration(1) * (1 - self.means[1])

    def _concentration(self, component: int) -> float:
        mean = self.means[component]
        return mean * (1 - mean) / self.variances[component] - 1

    def _log_odds(self, x: Tensor) -> Tensor:
        (w0, w1), (a0, a1), (b0, b1) = self.weights, self.alphas, self.betas
        constant = log(w0) - log(w1) - _log_beta(a0, b0) + _log_beta(a1, b1)
        return x.log().mul_(a0 - a1).add_((-x).log1p_(), alpha=b0 - b1).add_(constant)

    def _domain(self) -> Pair:
        (a0, a1), (b0, b1) = self.alphas, self.betas
        rise, fall = a1 - a0, b1 - b0
        if rise * fall <= 0:
            return _MARGIN, 1 - _MARGIN
        turn = min(max(rise / (rise + fall), _MARGIN), 1 - _MARGIN)
        return (_MARGIN, turn) if rise > 0 else (turn, 1 - _MARGIN)


def fit_bmm(losses: Tensor, clip: float = 0.05, max_iter: int = 10) -> BetaMixtureFit:
    """Fit two Beta distributions to per-sample losses, by alternating posteriors and weighted moments.

    The parameters of a component are those of the Beta distribution with its weighted mean and variance (not its
    likeliest ones), so that this need not converge; like the authors we make 10 iterations, from Beta(1, 2) and
    Beta(2, 1) of equal weight. Losses are normalised and counted in a fine histogram, on their device; the iterations
    run on the histogram, in float64 on the CPU, so that no device waits inside them. There is no chance in the result,
    and it does not depend on the order of the samples. NaN (unseen samples) and infinite losses are left out.

    Departures from the authors' code: the posterior is exact rather than from 100 bins; losses of 0 and 1 are moved
    by 1e-4, theirs by 1e-3; no small constants are added to the limits and the responsibilities.

    Args:
        losses: ``(N,)`` floating point, for example from one pass over the training set in eval mode.
        clip: Share of the losses left out of the fit at each end: the authors' 5th and 95th percentile, since a pile
            of clipped losses at 0 or 1 would shape the components. Where fewer than about 5 % of the labels are wrong,
            they would all be left out: pass less.
        max_iter: Number of iterations.

    Returns:
        The fit. Ask its ``split`` before its ``posterior``.

    Raises:
        TypeError: ``losses`` is not floating point, or another argument not a number of the right kind.
        ValueError: ``losses`` is not 1-D, or another argument is out of range.

    Example:
        >>> import torch
        >>> losses = torch.tensor([0.1, 0.2, 0.1, 0.3, 2.0, 2.5, torch.nan])
        >>> fit = fit_bmm(losses)
        >>> fit.split, fit.posterior(losses).round(decimals=2)
        (True, tensor([1., 1., 1., 1., 0., 0., nan]))
    """
    check_positive_int("max_iter", max_iter)
    histogram = loss_histogram(losses, clip, drop=True, margin=_MARGIN)
    if histogram is None:
        return BetaMixtureFit()
    moments = histogram.moments
    x = moments[1] / moments[0]
    fit = BetaMixtureFit(weights=(0.5, 0.5), means=(1 / 3, 2 / 3), variances=(1 / 18, 1 / 18))
    for _ in range(max_iter):
        weights, means, (v0, v1) = weighted_moments(moments, fit._log_odds(x).sigmoid_())
        fit = BetaMixtureFit(weights, means, (max(v0, _MIN_VARIANCE), max(v1, _MIN_VARIANCE)))
    return fit._settled(histogram)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
