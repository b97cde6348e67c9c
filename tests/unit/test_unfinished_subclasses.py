"""A subclass that leaves out what its base asks for is told what, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from noisylearn.callbacks.per_sample import PerSampleCallback
from noisylearn.callbacks.sample_weighting import SampleWeighting
from noisylearn.callbacks.sweeping_meter import SweepingMeter
from noisylearn.signals import Observation, Signal


def without_init(cls: type[Any]) -> Any:
    """Return an object of a bare subclass of ``cls``."""
    return object.__new__(type("Mine", (cls,), {}))


OBSERVED = Observation(torch.tensor([0]), torch.zeros(1, 2), torch.tensor([0]))


@pytest.mark.parametrize(
    ("base", "use", "left_out"),
    [
        (Signal, lambda mine: mine.observe(OBSERVED), "observe(obs)"),
        (PerSampleCallback, lambda mine: mine.build_signals(3, 2), "build_signals(num_samples, num_classes)"),
        (PerSampleCallback, lambda mine: mine.view, "the property `view`"),
        (SampleWeighting, lambda mine: mine.weigh(torch.zeros(1), 0), "weigh(suspicion, epoch)"),
        (SweepingMeter, lambda mine: mine.measure(None, None), "measure(trainer, pl_module)"),
    ],
)
def test_names_what_is_left_out(base: type[Any], use: Callable[[Any], object], left_out: str) -> None:
    with pytest.raises(NotImplementedError) as error:
        use(without_init(base))
    assert str(error.value) == f"Mine must define {left_out}"
