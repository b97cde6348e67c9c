"""The weights that matter most to a loss, against a slow sort."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noisylearn.selection import critical_weights

QUICK = settings(deadline=None, max_examples=60)
tensors = st.lists(
    st.lists(st.tuples(st.floats(-9, 9, width=32), st.floats(-9, 9, width=32)), min_size=1, max_size=9),
    min_size=1,
    max_size=4,
)


def slow(weights: list[list[float]], gradients: list[list[float]], keep_rate: float) -> list[list[bool]]:
    matter = [[abs(w * g) for w, g in zip(*pair, strict=True)] for pair in zip(weights, gradients, strict=True)]
    ranked = sorted((m for part in matter for m in part), reverse=True)
    count = int(keep_rate * len(ranked))
    return [[count > 0 and m >= ranked[count - 1] for m in part] for part in matter]


@QUICK
@given(tensors, st.floats(0, 1))
def test_equals_the_slow_sort(rows: list[list[tuple[float, float]]], keep_rate: float) -> None:
    weights, gradients = ([[pair[k] for pair in part] for part in rows] for k in (0, 1))
    found = critical_weights(
        [torch.tensor(w, dtype=torch.float64) for w in weights],
        [torch.tensor(g, dtype=torch.float64) for g in gradients],
        keep_rate,
    )
    assert [mask.tolist() for mask in found] == slow(weights, gradients, keep_rate)


def test_all_tensors_are_ranked_together_whatever_their_shape() -> None:
    small, large = torch.full((2, 2), 0.1), torch.full((1, 3, 1, 1), 5.0)
    found = critical_weights([small, large], [torch.ones_like(small), torch.ones_like(large)], 3 / 7)
    assert [tuple(mask.shape) for mask in found] == [(2, 2), (1, 3, 1, 1)]
    assert not found[0].any()
    assert found[1].all()


def test_nothing_is_kept_at_a_rate_of_0_and_everything_at_1() -> None:
    weights, gradients = [torch.ones(2, 3)], [torch.rand(2, 3)]
    assert not critical_weights(weights, gradients, 0.0)[0].any()
    assert not critical_weights(weights, gradients, 0.1)[0].any()  # a tenth of six is none
    assert critical_weights(weights, gradients, 1.0)[0].all()


def test_the_ranking_is_made_in_float32() -> None:
    """In bfloat16 the two products below are the same number."""
    weights = torch.tensor([1.0078125, 1.0], dtype=torch.bfloat16)
    gradients = torch.tensor([1.0078125, 1.015625], dtype=torch.bfloat16)
    assert float((weights * gradients)[0]) == float((weights * gradients)[1])
    (mask,) = critical_weights([weights], [gradients], 0.5)
    assert mask.tolist() == slow([weights.tolist()], [gradients.tolist()], 0.5)[0]
    assert mask.sum() == 1


def test_no_value_is_read() -> None:
    weights = [torch.ones(2, 3, device="meta"), torch.ones(4, 1, 3, 3, device="meta")]
    masks = critical_weights(weights, weights, 0.6)
    assert [(tuple(mask.shape), mask.dtype) for mask in masks] == [((2, 3), torch.bool), ((4, 1, 3, 3), torch.bool)]


def test_wrong_arguments() -> None:
    one = [torch.ones(2)]
    with pytest.raises(ValueError, match=r"`keep_rate` must be in \[0, 1\], got 60: pass the share of weights"):
        critical_weights(one, one, 60)
    with pytest.raises(ValueError, match="`weights` must hold at least one tensor, got none"):
        critical_weights([], [], 0.5)
    with pytest.raises(ValueError, match=r"`gradients` must have the shapes of `weights`, \[\(2,\)\], got \[\(3,\)\]"):
        critical_weights(one, [torch.ones(3)], 0.5)
