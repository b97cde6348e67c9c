"""The moving threshold of self-paced learning against a slow sort."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noisylearn.selection import self_paced_threshold

QUICK = settings(deadline=None, max_examples=60)


def slow(threshold: float, losses: list[float], percentile: float, decay: float) -> float:
    from_the_largest = sorted(losses, reverse=True)
    latest = from_the_largest[round((len(losses) - 1) * (1 - percentile))]
    return latest if math.isinf(threshold) else decay * threshold + (1 - decay) * latest


@QUICK
@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=40), st.floats(0, 1), st.floats(0, 1), st.floats(0, 50))
def test_equals_the_slow_sort(losses: list[float], percentile: float, decay: float, past: float) -> None:
    for threshold in (past, math.inf):
        found = self_paced_threshold(
            torch.tensor(threshold, dtype=torch.float64), torch.tensor(losses, dtype=torch.float64), percentile, decay
        )
        assert float(found) == pytest.approx(slow(threshold, losses, percentile, decay))


def test_at_the_ends_it_is_the_smallest_and_the_largest_loss() -> None:
    losses, none = torch.tensor([0.5, 0.1, 0.9]), torch.tensor(math.inf)
    assert float(self_paced_threshold(none, losses, percentile=0.0)) == pytest.approx(0.1)
    assert float(self_paced_threshold(none, losses, percentile=1.0)) == pytest.approx(0.9)
    assert float(self_paced_threshold(none, losses[:1], percentile=0.3)) == 0.5


def test_no_value_is_read_no_gradient_flows_and_half_precision_is_widened() -> None:
    losses = torch.rand(8, requires_grad=True)
    assert not self_paced_threshold(torch.tensor(1.0), losses).requires_grad
    assert self_paced_threshold(torch.tensor(1.0), losses.bfloat16()).dtype == torch.float32
    shown = self_paced_threshold(torch.tensor(1.0, device="meta"), losses.to("meta"))
    assert (shown.shape, shown.device.type) == ((), "meta")


def test_wrong_arguments() -> None:
    past, losses = torch.tensor(1.0), torch.rand(8)
    with pytest.raises(ValueError, match=r"`percentile` must be in \[0, 1\], got 70: pass the share of a batch that"):
        self_paced_threshold(past, losses, percentile=70)
    with pytest.raises(ValueError, match=r"`decay` must be in \[0, 1\], got -1: pass the weight of the past"):
        self_paced_threshold(past, losses, decay=-1)
    with pytest.raises(ValueError, match=r"`losses` must be \(B,\) with at least one loss, got shape \(0,\)"):
        self_paced_threshold(past, losses[:0])
    with pytest.raises(TypeError, match=r"`losses` must be floating point, got torch\.int64"):
        self_paced_threshold(past, losses.long())
