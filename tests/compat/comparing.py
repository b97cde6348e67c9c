"""What callbacks found, held against a slow account of the same passes."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from tests.compat.kinds import NUM_CLASSES, NUM_SAMPLES
from tests.compat.watching import Pass
from tests.unit.signals.slow import check_scores, slow_scores


def equals_the_slow_loop(tracker: Any, passes: list[Pass], given: Tensor) -> int:
    """Assert that a tracker's table is what the passes come to; return how many presentations there were."""
    steps = [(epoch, index, logits, given[index]) for epoch, index, logits in passes]
    expected = slow_scores(NUM_SAMPLES, NUM_CLASSES, steps)
    check_scores(tracker.scores(), tracker.signal_set.table.views()["n_seen"], expected)
    total = sum(len(index) for _, index, _ in passes)
    assert sum(expected["n_seen"]) == total > 0
    return total


def trained_alike(bare: Any, tracked: Any) -> None:
    """Assert that two fits ended with the same weights, buffers and metrics, bit by bit."""
    one, other = bare.module.state_dict(), tracked.module.state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one), "tracking changed the weights"
    logged, also = ({name: float(v) for name, v in f.trainer.callback_metrics.items()} for f in (bare, tracked))
    assert logged, "the project logs nothing"
    assert logged.items() <= also.items(), "tracking changed a metric"


def equals_the_count(logged: float, passes: list[Pass], given: Tensor, clean: Tensor, epoch: int) -> None:
    """Assert that the logged fraction is that of the wrong labels that were predicted as given in an epoch."""
    wrong = memorized = 0
    for when, index, logits in passes:
        for i, z in zip(index.tolist(), logits, strict=True):
            if when == epoch and clean[i] >= 0 and clean[i] != given[i]:
                wrong += 1
                memorized += int(z.argmax()) == int(given[i])
    assert 0 < wrong < NUM_SAMPLES
    assert math.isclose(logged, memorized / wrong, rel_tol=1e-6), (logged, memorized / wrong)
