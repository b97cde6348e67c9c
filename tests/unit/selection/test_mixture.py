"""What both mixture fits promise, whichever the shape of their components."""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from noisylearn.selection import MixtureFit, _histogram, fit_bmm, fit_gmm

QUICK = settings(deadline=None, max_examples=100)
any_losses = st.lists(
    st.one_of(
        st.floats(width=32, allow_nan=True, allow_infinity=True),
        st.floats(0, 10, width=32),
        st.sampled_from([0.0, 0.5, 5.0, 1e30]),
    ),
    max_size=300,
)
both = pytest.mark.parametrize("fit_mixture", [fit_gmm, fit_bmm])
Fit = Callable[..., MixtureFit]


def two_groups(count: int = 4000, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    clean = torch.empty(count * 6 // 10, dtype=torch.float64).exponential_(5, generator=generator)
    noisy = torch.randn(count - len(clean), dtype=torch.float64, generator=generator).mul(0.8).add(3).abs()
    losses = torch.cat([clean, noisy])
    return losses[torch.randperm(count, generator=generator)].to(dtype)


@both
@QUICK
@given(any_losses)
@example([0.0] * 70 + [1.0] * 30)
@example([-3.4e38, 3.4e38, 0.0, 1.0])
@example([5.0] * 200 + [1e30, -1e30])
@example([0.0, 1e-45])
def test_any_losses_give_probabilities_or_nan(fit_mixture: Fit, values: list[float]) -> None:
    losses = torch.tensor(values, dtype=torch.float32)
    fit = fit_mixture(losses)
    posterior = fit.posterior(losses)
    assert posterior.shape == losses.shape
    if fit.split:
        assert fit.means[0] < fit.means[1]
        assert sum(fit.weights) == pytest.approx(1)
        assert min(fit.variances) > 0
        assert torch.equal(posterior.isnan(), losses.isnan())
        known = posterior[~losses.isnan()]
        assert ((known >= 0) & (known <= 1)).all()
    else:
        assert posterior.isnan().all()


@both
def test_low_losses_are_the_first_component(fit_mixture: Fit) -> None:
    losses = two_groups()
    for values in (losses, -losses):  # the larger group first, then last
        fit = fit_mixture(values)
        assert fit.means[0] < fit.means[1]
        assert (fit.weights[0] > 0.5) == (values is losses)
        posterior = fit.posterior(values)
        assert posterior[values.argmin()] > 0.9
        assert posterior[values.argmax()] < 0.1


@both
def test_components_that_end_in_the_other_order_change_places(fit_mixture: Fit) -> None:
    histogram = _histogram.loss_histogram(two_groups(), clip=0)
    assert histogram is not None
    kind = type(fit_mixture(two_groups()))
    fit = kind(weights=(0.3, 0.7), means=(0.8, 0.1), variances=(0.02, 0.01))._settled(histogram)
    assert (fit.weights, fit.means, fit.variances) == ((0.7, 0.3), (0.1, 0.8), (0.01, 0.02))
    assert (fit.low, fit.high, fit.split) == (histogram.low, histogram.high, True)


@both
def test_order_and_piece_size_change_nothing(fit_mixture: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = two_groups()
    fit = fit_mixture(losses)
    assert fit_mixture(losses.sort().values) == fit
    posterior = fit.posterior(losses)
    monkeypatch.setattr(_histogram, "_PIECE", 37)
    assert fit_mixture(losses) == fit
    assert torch.equal(fit.posterior(losses), posterior)


@both
@pytest.mark.parametrize("clip", [0.0, 0.02])
def test_scale_and_offset_change_nothing(fit_mixture: Fit, clip: float) -> None:
    losses = two_groups(dtype=torch.float64)
    posterior = fit_mixture(losses, clip=clip).posterior(losses)
    for other in (1e-6 * losses, 1e6 * losses, losses - 1000):
        assert fit_mixture(other, clip=clip).posterior(other).numpy() == pytest.approx(posterior.numpy(), abs=1e-4)


@both
def test_unseen_and_infinite_losses_are_left_out(fit_mixture: Fit) -> None:
    losses = two_groups()
    fit = fit_mixture(losses)
    some = torch.tensor([torch.nan, torch.inf, -torch.inf])
    longer = torch.cat([some, losses, some])
    assert fit_mixture(longer) == fit
    posterior = fit.posterior(longer)
    assert torch.equal(posterior[3:-3], fit.posterior(losses))
    assert posterior[0].isnan()
    assert posterior[1:3].tolist() == fit.posterior(torch.tensor([fit.high, fit.low])).tolist()


@both
@pytest.mark.parametrize(
    "losses",
    [
        torch.zeros(0),
        torch.tensor([torch.nan, torch.nan]),
        torch.tensor([torch.inf, torch.nan, 1.0]),
        torch.tensor([2.0]),
        torch.full((50,), 2.3),
        torch.tensor([2.3, 2.3 + 2e-7]),  # one float32 step apart
        torch.tensor([0.3] * 5000 + [9.0]),  # all that is not clipped
    ],
    ids=["none", "unseen", "one finite", "one", "equal", "equal but for rounding", "equal but for an outlier"],
)
def test_one_value_is_no_split(fit_mixture: Fit, losses: Tensor) -> None:
    fit = fit_mixture(losses)
    assert not fit.split
    assert fit.no_split == "fewer than two distinct losses"
    assert math.isnan(fit.means[0])
    posterior = fit.posterior(losses)
    assert posterior.shape == losses.shape
    assert posterior.isnan().all()


@both
def test_a_component_below_one_percent_is_no_split(fit_mixture: Fit) -> None:
    losses = torch.cat([torch.linspace(0, 0.1, 995), torch.full((5,), 3.0)])
    fit = fit_mixture(losses, clip=0)
    assert not fit.split
    assert re.fullmatch(r"a component holds 0\.5\d% of the weight, less than 1%", fit.no_split)
    assert fit.weights == pytest.approx((0.995, 0.005), abs=1e-3)
    assert fit.posterior(losses).isnan().all()
    more = torch.cat([torch.linspace(0, 0.1, 980), torch.full((20,), 3.0)])
    assert fit_mixture(more, clip=0).split


def test_means_that_meet_are_no_split() -> None:
    quantiles = torch.linspace(0.0005, 0.9995, 2000, dtype=torch.float64)
    fit = fit_gmm(torch.special.ndtri(quantiles))  # one Gaussian
    assert not fit.split
    assert fit.no_split.startswith("the means are 0.0")
    assert fit.no_split.endswith("of the range apart, less than 0.01")


@both
def test_two_samples_are_a_split(fit_mixture: Fit) -> None:
    losses = torch.tensor([0.1, 2.0])
    fit = fit_mixture(losses)
    assert fit.split
    assert (fit.low, fit.high) == pytest.approx((0.1, 2.0))
    assert fit.posterior(losses).tolist() == pytest.approx([1, 0], abs=1e-3)


@both
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_of_the_posterior(fit_mixture: Fit, dtype: torch.dtype) -> None:
    losses = two_groups(dtype=dtype)
    fit = fit_mixture(losses)
    assert fit == fit_mixture(losses.double())
    posterior = fit.posterior(losses.clone().requires_grad_())
    assert posterior.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert not posterior.requires_grad
    assert torch.equal(posterior.double(), fit.posterior(losses.double()).to(posterior.dtype).double())
    assert type(fit)().posterior(losses).dtype == posterior.dtype  # without a split


@both
def test_a_fit_pickles_and_gives_posteriors_of_new_losses(fit_mixture: Fit) -> None:
    losses = two_groups()
    fit = pickle.loads(pickle.dumps(fit_mixture(losses.requires_grad_())))
    assert fit == fit_mixture(losses.detach())
    assert torch.equal(fit.posterior(losses[:7]), fit.posterior(losses)[:7])


@pytest.mark.gpu
@both
def test_on_a_gpu(fit_mixture: Fit) -> None:
    losses = two_groups()
    fit = fit_mixture(losses)
    on_gpu = losses.cuda()
    assert fit_mixture(on_gpu).means == pytest.approx(fit.means, abs=1e-6)
    torch.cuda.set_sync_debug_mode("error")
    try:
        posterior = fit.posterior(on_gpu)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert posterior.is_cuda
    assert posterior.tolist() == pytest.approx(fit.posterior(losses).tolist(), abs=1e-5)


@both
@pytest.mark.parametrize(
    ("losses", "arguments", "error", "message"),
    [
        (torch.arange(5), {}, TypeError, r"`losses` must be floating point, got torch\.int64: pass unreduced"),
        (torch.rand(2, 3), {}, ValueError, r"`losses` must be \(N,\), got shape \(2, 3\): pass one loss per sample"),
        (torch.tensor(1.0), {}, ValueError, r"`losses` must be \(N,\), got shape \(\): pass one loss per sample"),
        (torch.rand(5), {"clip": 5}, ValueError, r"`clip` must be in \[0, 1\], got 5: pass the share to clip"),
        (torch.rand(5), {"clip": 0.5}, ValueError, "`clip` must be below 0.5, got 0.5: half at each end leaves"),
        (torch.rand(5), {"clip": None}, TypeError, r"`clip` must be a number in \[0, 1\], got None"),
    ],
)
def test_wrong_arguments(
    fit_mixture: Fit, losses: Tensor, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        fit_mixture(losses, **arguments)


@both
def test_posterior_checks_its_losses(fit_mixture: Fit) -> None:
    for fit in (fit_mixture(two_groups()), fit_mixture(torch.zeros(3))):
        with pytest.raises(TypeError, match=r"`losses` must be floating point, got torch\.int64"):
            fit.posterior(torch.arange(3))
        with pytest.raises(ValueError, match=r"`losses` must be \(N,\), got shape \(1, 3\)"):
            fit.posterior(torch.rand(1, 3))
