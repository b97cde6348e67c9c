"""The division of a training set, against loops, and its edges."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.mixture import GaussianMixture

from noisylearn.selection import clean_probability, labelled, min_max_normalized

finite = st.floats(0, 1e4, width=32)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of(finite, st.just(math.nan)), min_size=1, max_size=20))
def test_normalized_losses_equal_the_slow_loop(losses: list[float]) -> None:
    known = [x for x in losses if not math.isnan(x)]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    expected = [x if math.isnan(x) else (x - low) / ((high - low) or 1.0) for x in losses]
    both = torch.tensor([losses, losses], dtype=torch.float64).T
    for column in min_max_normalized(both).unbind(1):
        assert column.tolist() == pytest.approx(expected, nan_ok=True)


def two_groups() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    small = 0.3 + 0.1 * torch.randn(700, generator=generator)
    large = 2.0 + 0.4 * torch.randn(300, generator=generator)
    return torch.cat([small, large]).abs()


def test_the_probability_is_that_of_the_reference_codes_call() -> None:
    losses = two_groups()
    scaled = ((losses - losses.min()) / (losses.max() - losses.min())).double().numpy().reshape(-1, 1)
    reference = GaussianMixture(n_components=2, max_iter=10, tol=1e-2, reg_covar=5e-4, random_state=0).fit(scaled)
    expected = torch.from_numpy(reference.predict_proba(scaled)[:, reference.means_.argmin()]).float()
    found = clean_probability(losses)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-2)
    assert found[:700].mean() > 0.99
    assert found[700:].mean() < 0.01


def test_samples_without_a_loss_have_no_probability() -> None:
    losses = two_groups()
    losses[::3] = torch.nan
    found = clean_probability(losses)
    assert torch.equal(found.isnan(), losses.isnan())
    assert clean_probability(torch.tensor([1.0, 1.0, torch.nan])).tolist() == pytest.approx(
        [1, 1, math.nan], nan_ok=True
    )


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=30), st.floats(0, 1), st.floats(0, 1))
def test_labelled_are_those_above_the_threshold_or_the_likeliest(
    clean: list[float], threshold: float, at_least: float
) -> None:
    expected = [p > torch.tensor(threshold).item() for p in clean]
    if not any(expected):
        count = max(1, int(at_least * len(clean)))
        first = sorted(range(len(clean)), key=lambda i: (-clean[i], i))[:count]
        expected = [i in first for i in range(len(clean))]
    assert labelled(torch.tensor(clean), torch.tensor(threshold).item(), at_least).tolist() == expected


def test_a_sample_without_probability_comes_last() -> None:
    assert labelled(torch.tensor([torch.nan, 0.2, 0.1]), at_least=0.7).tolist() == [False, True, True]


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"`threshold` must be in \[0, 1\], got 5"):
        labelled(torch.zeros(3), threshold=5)
    with pytest.raises(ValueError, match=r"`at_least` must be in \[0, 1\], got -1"):
        labelled(torch.zeros(3), at_least=-1)
