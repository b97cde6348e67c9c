"""No step waits for the device: on the meta device, which has no values, whoever reads one fails."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from noisylearn import signals
from noisylearn.callbacks.step_reader import StepReader
from noisylearn.signals import Observation, Signal, SignalSet, core_signals

N, B, C, D = 100, 16, 4, 6
ARGUMENTS: dict[str, dict[str, Any]] = {
    "ConfidentLearning": {"num_classes": C},
    "MeanProbability": {"num_classes": C},
    "NeighborDisagreement": {"width": D, "num_classes": C},
    "PredictionDepth": {"widths": (D, C), "k": 3},
}
LOOK_AT_THE_NETWORK = {"CumulativeSampleGradient", "GraNd", "InputCurvature", "VarianceOfGradients"}
ONLINE = [
    name
    for name in signals.__all__
    if isinstance(cls := getattr(signals, name), type)
    and issubclass(cls, Signal)
    and cls is not Signal
    and name not in LOOK_AT_THE_NETWORK
]


def observation(device: str = "meta") -> Observation:
    def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.zeros(*shape, dtype=dtype, device=device)

    ids = zeros(B, dtype=torch.int64)
    extras = {"features": zeros(B, D), "peer_logits": zeros(2, B, C), "selected": zeros(B), "learning_rate": 0.1}
    return Observation(ids, zeros(B, C), ids, ignore_index=-100, layers=[zeros(B, D), zeros(B, C)], **extras)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ONLINE)
def test_no_signal_waits(name: str) -> None:
    signal = getattr(signals, name)(**ARGUMENTS.get(name, {}))
    tracked = SignalSet([signal], N, device="meta")
    for _ in range(3):
        tracked.observe(observation())
        tracked.stage()


def test_nor_do_all_of_the_core_set_together() -> None:
    tracked = SignalSet(core_signals(), N, device="meta")
    for _ in range(3):
        tracked.observe(observation())
    tracked.stage()


def test_nor_does_what_reads_the_step() -> None:
    reader = StepReader()
    reader._checked, reader._automatic = True, True  # the first batch of a fit is looked at
    batch = {
        "index": torch.zeros(B, dtype=torch.int64, device="meta"),
        "y": torch.zeros(B, dtype=torch.int64, device="meta"),
    }
    outputs = {"loss": torch.zeros((), device="meta"), "logits": torch.zeros(B, C, device="meta")}
    assert reader.end_step(batch, outputs) is not None


def test_the_meta_device_does_tell() -> None:
    class Waits(signals.Margin):
        def observe(self, obs: Observation) -> Any:
            return {"margin_sum": obs.margin * float(obs.margin.mean())}

    tracked = SignalSet([Waits()], N, device="meta")
    with pytest.raises(RuntimeError, match="meta"):
        tracked.observe(observation())
    assert nn.Linear(1, 1, device="meta").weight.device.type == "meta"


@pytest.mark.gpu
def test_on_a_gpu_torch_s_own_watch_sees_no_wait() -> None:
    tracked = SignalSet(core_signals(), N, device="cuda")
    tracked.observe(observation("cuda"))
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            tracked.observe(observation("cuda"))
            tracked.stage()
    finally:
        torch.cuda.set_sync_debug_mode("default")
