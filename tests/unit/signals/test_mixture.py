"""The posterior as a signal: that of a fit on the last losses of the samples seen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from noisylearn.selection import fit_bmm, fit_gmm
from noisylearn.signals import MixturePosterior, Observation, SignalSet


@pytest.mark.parametrize(("kind", "fit"), [("gmm", fit_gmm), ("bmm", fit_bmm)])
def test_it_is_the_posterior_of_a_fit_on_the_last_losses(kind: str, fit: Callable[..., object]) -> None:
    generator = torch.Generator().manual_seed(0)
    signals = SignalSet([MixturePosterior(kind)], num_samples=60)
    seen = torch.arange(50)
    for epoch in range(2):
        margin = torch.where(seen % 5 == 0, -2.0, 3.0) + 0.3 * torch.randn(50, generator=generator)
        logits = torch.stack([torch.zeros(50), margin], 1)
        signals.observe(Observation(seen, logits, torch.ones(50, dtype=torch.int64)))
        signals.commit(epoch)
    losses = torch.full((60,), torch.nan)
    losses[:50] = torch.nn.functional.cross_entropy(logits, torch.ones(50, dtype=torch.int64), reduction="none")
    expected = fit(losses).posterior(losses)  # type: ignore[attr-defined]
    found = signals.compute()["clean_probability"]
    assert torch.equal(found.nan_to_num(-1), expected.nan_to_num(-1))
    assert found[50:].isnan().all()
    assert (found[:50:5] < 0.5).all()
    assert (found[1:50:5] > 0.5).all()


def test_no_split_is_no_answer() -> None:
    signals = SignalSet([MixturePosterior()], num_samples=4)
    signals.observe(Observation(torch.arange(4), torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64)))
    signals.commit(0)
    assert signals.compute()["clean_probability"].isnan().all()


def test_an_unknown_mixture() -> None:
    with pytest.raises(ValueError, match=r"`kind` must be one of 'gmm', 'bmm', got 'gmmm' \(did you mean 'gmm'\?\)"):
        MixturePosterior("gmmm")
