"""Two Gaussians on per-sample losses, as in DivideMix (Li et al., ICLR 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log, pi

import torch
from torch import Tensor
from torch.nn import functional as F

from noisylearn._checks import check_positive_int, check_probability
from noisylearn.selection._histogram import loss_histogram
from noisylearn.selection.mixture import MixtureFit, weighted_moments


@dataclass(frozen=True)
class GaussianMixtureFit(MixtureFit):
    """What `fit_gmm` returns: a `MixtureFit`.

    Far out the wider Gaussian is the likelier one, on both sides, so that the posterior can turn round at an end of the
    losses. It is left so, as in scikit-learn and DivideMix.
    """

    def _log_odds(self, x: Tensor) -> Tensor:
        (w0, w1), (m0, m1), (v0, v1) = self.weights, self.means, self.variances
        constant = log(w0) - log(w1) - 0.5 * log(v0 / v1)
        return (x - m1).square_().mul_(0.5 / v1).sub_((x - m0).square_(), alpha=0.5 / v0).add_(constant)


def fit_gmm(
    losses: Tensor, clip: float = 0.005, reg_covar: float = 5e-4, tol: float = 1e-12, max_iter: int = 2000
) -> GaussianMixtureFit:
    """Fit two Gaussians to per-sample losses, by expectation maximization until it stands still.

    Losses are clipped, min-max normalised and counted in a fine histogram, on their device; the iterations run on
    the histogram, in float64 on the CPU, so that no device waits inside them. There is no chance in the result, and
    it does not depend on the order of the samples. NaN (unseen samples) and infinite losses are left out.

    DivideMix's code calls scikit-learn's ``GaussianMixture(max_iter=10, tol=1e-2, reg_covar=5e-4)`` on min-max
    normalised losses; ``clip=0, tol=1e-2, max_iter=10`` is that call. Our departures: the iterations go on until they
    converge, where that call stops early if the components overlap; they start from the best cut of the losses in two,
    which scikit-learn's k-means looks for from random points; and outliers are clipped, since one of them would press
    all other losses together.

    Args:
        losses: ``(N,)`` floating point, for example from one pass over the training set in eval mode.
        clip: Share of the losses moved to the limit at each end. The default, the 0.5th and 99.5th percentile, moves
            less than the 1 % from which on a component counts, so that clipped losses alone are never one; more
            would cut into the high losses that are to be found. ``int(clip * N)`` are moved: none of fewer than 200.
        reg_covar: Added to both variances, on the normalised scale, above 0.
        tol: Stop when the mean log-likelihood changes by less, as in scikit-learn.
        max_iter: Stop after so many iterations anyway.

    Returns:
        The fit. Ask its ``split`` before its ``posterior``.

    Raises:
        TypeError: ``losses`` is not floating point, or another argument not a number of the right kind.
        ValueError: ``losses`` is not 1-D, or another argument is out of range.

    Example:
        >>> losses = torch.tensor([0.1, 0.2, 0.1, 0.3, 2.0, 2.5, torch.nan])
        >>> fit = fit_gmm(losses)
        >>> fit.split, fit.posterior(losses).round(decimals=2)
        (True, tensor([1., 1., 1., 1., 0., 0., nan]))
        >>> fit_gmm(torch.ones(5)).no_split
        'fewer than two distinct losses'
    """
    check_positive_int("max_iter", max_iter)
    check_probability("tol", tol, "pass the smallest change of the log-likelihood to go on for, e.g. 1e-12")
    if check_probability("reg_covar", reg_covar, "pass a variance on the normalised scale, e.g. 5e-4") == 0:
        raise ValueError("`reg_covar` must be above 0, got 0: equal losses would have no variance, pass e.g. 5e-4")
    histogram = loss_histogram(losses, clip)
    if histogram is None:
        return GaussianMixtureFit()
    moments = histogram.moments
    x = moments[1] / moments[0]
    totals = moments.sum(dim=1).tolist()
    fit, likelihood = _maximized(moments, _best_cut(moments), reg_covar), -inf
    for _ in range(max_iter):
        odds, before = fit._log_odds(x), likelihood
        likelihood = _mean_log_likelihood(fit, totals, -float(moments[0] @ F.softplus(odds, threshold=40)))
        fit = _maximized(moments, odds.sigmoid_(), reg_covar)
        if abs(likelihood - before) < tol:
            break
    return fit._settled(histogram)


def _maximized(moments: Tensor, posterior: Tensor, reg_covar: float) -> GaussianMixtureFit:
    weights, means, (v0, v1) = weighted_moments(moments, posterior)
    return GaussianMixtureFit(weights, means, (v0 + reg_covar, v1 + reg_covar))


def _mean_log_likelihood(fit: GaussianMixtureFit, totals: list[float], log_second_share: float) -> float:
    """Return the mean of ``log p(x)``, from ``p(x) = p(x, second component) / share of the second component``.

    Args:
        fit: The components.
        totals: Number, sum and sum of squares of the losses.
        log_second_share: Sum of the logarithms of the second component's posterior.
    """
    (count, total, squares), mean, variance = totals, fit.means[1], fit.variances[1]
    distance = squares - 2 * mean * total + mean**2 * count
    joint = count * (log(fit.weights[1]) - 0.5 * log(2 * pi * variance)) - distance / (2 * variance)
    return (joint - log_second_share) / count


def _best_cut(moments: Tensor) -> Tensor:
    """Return 1 for the bins below the cut that leaves the least variance on its two sides, else 0: exact 2-means."""
    count, total, _ = moments
    below, sum_below = count.cumsum(0), total.cumsum(0)
    between = (sum_below * count.sum() - below * total.sum()).square() / (below * (count.sum() - below))
    cut = between[:-1].argmax()
    return torch.arange(len(count)).le(cut).double()
