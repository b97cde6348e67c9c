"""Two Gaussians against scikit-learn's mixture on the same normalised losses."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.stats import norm
from sklearn.mixture import GaussianMixture

from noisylearn.selection import fit_gmm, gmm

Array = npt.NDArray[np.float64]


def made_up_losses(shape: str, count: int = 6000) -> Array:
    rng = np.random.default_rng(0)
    clean, noisy = int(0.6 * count), count - int(0.6 * count)
    match shape:
        case "apart":
            parts = rng.exponential(0.1, clean), rng.gamma(5, 0.7, noisy)
        case "overlapping":
            parts = rng.gamma(3, 0.5, clean), rng.gamma(8, 0.35, noisy)
        case "few noisy":
            parts = rng.exponential(0.1, int(0.97 * count)), rng.gamma(5, 0.7, count - int(0.97 * count))
        case "one hump":
            parts = (rng.gamma(4, 0.5, count),)
        case "counts":
            parts = rng.binomial(60, 0.1, clean).astype(float), rng.binomial(60, 0.6, noisy).astype(float)
        case "cross-entropy":
            logits = rng.normal(size=(count, 10))
            labels = np.r_[np.zeros(clean, int), rng.integers(1, 10, noisy)]
            logits[:, 0] += rng.gamma(4, 1, count)
            parts = (np.log(np.exp(logits).sum(1)) - logits[np.arange(count), labels],)
        case _:
            raise ValueError(shape)
    return np.concatenate(parts)


def reference(losses: Array, clip: float, tol: float = 1e-12, max_iter: int = 2000) -> Array:
    """scikit-learn's posterior of the component of the lower mean."""
    ordered, outside = np.sort(losses), int(clip * len(losses))
    low, high = ordered[outside], ordered[-1 - outside]
    x = ((losses.clip(low, high) - low) / (high - low))[:, None]
    mixture = GaussianMixture(2, reg_covar=5e-4, tol=tol, max_iter=max_iter, random_state=0).fit(x)
    posterior: Array = mixture.predict_proba(x)[:, mixture.means_.ravel().argmin()]
    return posterior


@pytest.mark.parametrize("clip", [0.0, 0.005, 0.05])
@pytest.mark.parametrize("shape", ["apart", "overlapping", "few noisy", "one hump", "counts", "cross-entropy"])
def test_posterior_is_scikit_learns(shape: str, clip: float) -> None:
    losses = made_up_losses(shape)
    vector = torch.from_numpy(losses)
    fit = fit_gmm(vector, clip=clip)
    assert fit.split
    assert np.abs(fit.posterior(vector).numpy() - reference(losses, clip)).max() < 1e-4
    single = vector.float()
    assert np.abs(fit_gmm(single, clip=clip).posterior(single).numpy() - reference(losses, clip)).max() < 1e-4


@pytest.mark.parametrize("shape", ["apart", "few noisy", "counts"])
def test_the_call_of_dividemix(shape: str) -> None:
    losses = made_up_losses(shape)
    ours = fit_gmm(torch.from_numpy(losses), clip=0, tol=1e-2, max_iter=10).posterior(torch.from_numpy(losses))
    assert np.abs(ours.numpy() - reference(losses, 0.0, tol=1e-2, max_iter=10)).max() < 1e-4


def test_the_call_of_dividemix_stops_early_where_components_overlap() -> None:
    losses = made_up_losses("overlapping")
    vector = torch.from_numpy(losses)
    early = fit_gmm(vector, clip=0, tol=1e-2, max_iter=10).posterior(vector).numpy()
    # scikit-learn's k-means stops a little before the best cut, from which ours starts.
    assert np.abs(early - reference(losses, 0.0, tol=1e-2, max_iter=10)).max() < 0.02
    assert np.abs(early - reference(losses, 0.0)).max() > 0.05


@pytest.mark.parametrize("times", [3.9, 4.1, 1e3, 1e12, -50.0])
def test_outliers_do_not_flatten_the_rest(times: float) -> None:
    losses = made_up_losses("cross-entropy")
    losses[::300] = losses.max() * times
    fit = fit_gmm(torch.from_numpy(losses))
    assert fit.split
    assert np.abs(fit.posterior(torch.from_numpy(losses)).numpy() - reference(losses, 0.005)).max() < 1e-4
    assert fit.high - fit.low < 20


def test_fields_are_the_components() -> None:
    rng = np.random.default_rng(1)
    losses = torch.from_numpy(np.concatenate([rng.normal(1, 0.1, 70_000), rng.normal(3, 0.3, 30_000)]))
    fit = fit_gmm(losses, clip=0, reg_covar=1e-9)
    scale = fit.high - fit.low
    assert (fit.low, fit.high) == (losses.min().item(), losses.max().item())
    assert fit.weights == pytest.approx((0.7, 0.3), abs=0.005)
    assert [fit.low + scale * mean for mean in fit.means] == pytest.approx([1, 3], abs=0.01)
    assert [scale * variance**0.5 for variance in fit.variances] == pytest.approx([0.1, 0.3], rel=0.02)


def test_mean_log_likelihood_is_that_of_the_density() -> None:
    x = torch.rand(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    fit = gmm.GaussianMixtureFit((0.7, 0.3), (0.2, 0.6), (0.01, 0.04), low=0, high=1, no_split="")
    density = [0.7 * norm.pdf(loss, 0.2, 0.1) + 0.3 * norm.pdf(loss, 0.6, 0.2) for loss in x.tolist()]
    totals = [50.0, x.sum().item(), x.square().sum().item()]
    log_share = (1 - fit.posterior(x)).log().sum().item()
    expected = sum(math.log(p) for p in density) / 50
    assert gmm._mean_log_likelihood(fit, totals, log_share) == pytest.approx(expected, abs=1e-12)


def test_reg_covar_is_added_to_both_variances() -> None:
    losses = torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0])
    assert fit_gmm(losses, reg_covar=1e-3).variances == pytest.approx((1e-3, 1e-3), abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"reg_covar": 0.0}, ValueError, "`reg_covar` must be above 0, got 0: equal losses"),
        ({"reg_covar": -1.0}, ValueError, r"`reg_covar` must be in \[0, 1\], got -1.0: pass a variance"),
        ({"tol": -1e-3}, ValueError, r"`tol` must be in \[0, 1\], got -0.001: pass the smallest change"),
        ({"max_iter": 0}, ValueError, "`max_iter` must be at least 1, got 0"),
        ({"max_iter": 2.5}, TypeError, "`max_iter` must be an integer, got 2.5"),
    ],
)
def test_wrong_arguments(arguments: dict[str, float], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fit_gmm(torch.rand(9), **arguments)  # type: ignore[arg-type]  # wrong on purpose
