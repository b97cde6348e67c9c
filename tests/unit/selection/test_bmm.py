"""Two Beta distributions against the authors' loop, written out sample by sample in float64."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.stats import beta

from noisylearn.selection import fit_bmm

Array = npt.NDArray[np.float64]


def made_up_losses(shape: str, count: int = 600) -> Array:
    rng = np.random.default_rng(0)
    clean, noisy = int(0.6 * count), count - int(0.6 * count)
    if shape == "apart":
        return np.concatenate([rng.exponential(0.1, clean), rng.gamma(5, 0.7, noisy)])
    if shape == "overlapping":
        return np.concatenate([rng.gamma(3, 0.5, clean), rng.gamma(8, 0.35, noisy)])
    return rng.gamma(4, 0.5, count)


class SlowBetas:
    """Weights and parameters of two Betas, from ten iterations over lists of floats."""

    def __init__(self, losses: Array, clip: float, iterations: int = 10) -> None:
        ordered = sorted(losses.tolist())
        outside = int(clip * len(ordered))
        self.low, self.high = ordered[outside], ordered[-1 - outside]
        self.weights, self.alphas, self.betas = [0.5, 0.5], [1.0, 2.0], [2.0, 1.0]
        kept = [self.normalised(loss) for loss in ordered if self.low <= loss <= self.high]
        for _ in range(iterations):
            shares = [self.posterior(x) for x in kept]
            self.estimate(kept, shares, 0)
            self.estimate(kept, [1 - share for share in shares], 1)

    def normalised(self, loss: float) -> float:
        return min(max((loss - self.low) / (self.high - self.low), 1e-4), 1 - 1e-4)

    def posterior(self, x: float) -> float:
        joint = []
        for weight, a, b in zip(self.weights, self.alphas, self.betas, strict=True):
            constant = math.gamma(a + b) / (math.gamma(a) * math.gamma(b))
            joint.append(weight * constant * x ** (a - 1) * (1 - x) ** (b - 1))
        return joint[0] / sum(joint)

    def estimate(self, kept: list[float], shares: list[float], component: int) -> None:
        total = sum(shares)
        mean = sum(s * x for s, x in zip(shares, kept, strict=True)) / total
        variance = sum(s * (x - mean) ** 2 for s, x in zip(shares, kept, strict=True)) / total
        self.alphas[component] = mean * (mean * (1 - mean) / variance - 1)
        self.betas[component] = self.alphas[component] * (1 - mean) / mean
        self.weights[component] = total / len(kept)

    def monotone(self, losses: Array) -> list[float]:
        """The posterior, held from where it would turn to the nearer end of a fine grid."""
        grid = [self.posterior(x) for x in np.linspace(1e-4, 1 - 1e-4, 20_001)]
        top, bottom = int(np.argmax(grid)), int(np.argmin(grid))
        assert top < bottom
        places = [self.normalised(loss) for loss in losses.tolist()]
        low, high = (1e-4 + (1 - 2e-4) * place / 20_000 for place in (top, bottom))
        return [self.posterior(min(max(x, low), high)) for x in places]


@pytest.mark.parametrize("clip", [0.0, 0.05])
@pytest.mark.parametrize("shape", ["apart", "overlapping", "one hump"])
def test_equals_the_slow_loop(shape: str, clip: float) -> None:
    losses = made_up_losses(shape)
    slow = SlowBetas(losses, clip)
    fit = fit_bmm(torch.from_numpy(losses), clip=clip)
    assert fit.split
    assert fit.weights == pytest.approx(slow.weights, abs=2e-4)
    assert fit.alphas == pytest.approx(slow.alphas, rel=2e-3)
    assert fit.betas == pytest.approx(slow.betas, rel=2e-3)
    assert fit.posterior(torch.from_numpy(losses)).tolist() == pytest.approx(slow.monotone(losses), abs=1e-3)


def test_number_of_iterations() -> None:
    losses = made_up_losses("apart")
    slow = SlowBetas(losses, clip=0, iterations=3)
    fit = fit_bmm(torch.from_numpy(losses), clip=0, max_iter=3)
    assert fit.posterior(torch.from_numpy(losses)).tolist() == pytest.approx(slow.monotone(losses), abs=1e-3)
    assert fit.weights != pytest.approx(fit_bmm(torch.from_numpy(losses), clip=0).weights, abs=0.01)


@pytest.mark.parametrize("mirrored", [False, True])
def test_posterior_is_held_where_it_would_turn(mirrored: bool) -> None:
    # A narrow component beside a wide one: the wide one's density is the higher at the far end, on both its sides.
    rng = np.random.default_rng(0)
    losses = np.concatenate([rng.beta(1, 3, 3000), rng.beta(30, 20, 2000)])
    losses = 1 - losses if mirrored else losses
    fit = fit_bmm(torch.from_numpy(losses), clip=0, max_iter=200)
    x = torch.linspace(-0.5, 1.5, 4001, dtype=torch.float64)
    posterior = fit.posterior(x)
    assert (posterior.diff() <= 0).all()
    joint = [
        weight * beta.pdf(x.clamp(0.02, 0.98), a, b)
        for weight, a, b in zip(fit.weights, fit.alphas, fit.betas, strict=True)
    ]
    free = joint[0] / (joint[0] + joint[1])
    held_end, turned_back = (0, free[0] < 0.1) if mirrored else (-1, free[-1] > 0.9)
    assert turned_back
    assert posterior[held_end] == pytest.approx(free.max() if mirrored else free.min(), abs=0.01)


def test_clipped_losses_are_left_out_rather_than_piled_up() -> None:
    losses = torch.from_numpy(made_up_losses("apart"))
    outside = int(0.05 * len(losses))
    inner = losses.sort().values[outside : len(losses) - outside]
    left_out, cut_by_hand = fit_bmm(losses, clip=0.05), fit_bmm(inner, clip=0)
    assert left_out.means == pytest.approx(cut_by_hand.means, abs=1e-4)
    assert left_out.weights == pytest.approx(cut_by_hand.weights, abs=1e-4)


def test_a_component_of_equal_losses_stays_finite() -> None:
    fit = fit_bmm(torch.tensor([0.0] * 60 + [0.5] * 40 + [1.0] * 40))
    assert fit.split
    assert all(math.isfinite(number) for number in (*fit.alphas, *fit.betas, *fit.weights))
    assert fit.posterior(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([1, 0], abs=1e-3)


def test_wrong_max_iter() -> None:
    with pytest.raises(ValueError, match="`max_iter` must be at least 1, got 0"):
        fit_bmm(torch.rand(9), max_iter=0)
