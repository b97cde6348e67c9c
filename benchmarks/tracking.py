"""Tracking: what all core signals add to a training step, against the step alone, in the same run.

A plain loop trains a network and hands its logits to a `SignalSet`, commits at each epoch's end included. Printed are
the median time of the step, the mean time of the tracking per step, and their ratio; then the same for tracking that
stages every step by itself, which is what waiting for a larger batch is there to beat.

    python benchmarks/tracking.py

On a CPU the network is the digits CNN (one thread, the target 0.03); on a GPU ResNet-18 at 32x32 (the target 0.01).
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch.nn import functional as F

from noisylearn.models import build_backbone
from noisylearn.signals import GivenLabel, Observation, SignalSet, core_signals


def clock(device: torch.device) -> float:
    """Return the time, once the device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def measure(steps: int, batch_size: int, device: torch.device, at_once: bool) -> tuple[float, float]:
    """Train and track, and return the median step and the mean tracking, in milliseconds.

    Args:
        steps: Steps of an epoch; there are four, of which the first is not counted.
        batch_size: Samples of a step.
        device: Where.
        at_once: Stage each step by itself.
    """
    name, size, channels = ("resnet18_cifar", 32, 3) if device.type == "cuda" else ("digits_cnn", 8, 1)
    network = build_backbone(name, 10, channels, size).to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    rows = steps * batch_size
    images = torch.rand(batch_size, channels, size, size, device=device)
    targets = torch.randint(0, 10, (rows,), device=device)
    signals = SignalSet([GivenLabel(), *core_signals()], rows, device)
    step_ms: list[float] = []
    tracking_ms: list[float] = []

    def timed(act: Callable[[], object]) -> float:
        start = clock(device)
        act()
        return 1000 * (clock(device) - start)

    for epoch in range(4):
        for index in torch.randperm(rows, device=device).split(batch_size):
            kept: list[torch.Tensor] = []

            def step(index: torch.Tensor = index, kept: list[torch.Tensor] = kept) -> None:
                logits = network(images)
                loss = F.cross_entropy(logits, targets[index])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                kept.append(logits.detach())

            def track(index: torch.Tensor = index, kept: list[torch.Tensor] = kept) -> None:
                signals.observe(Observation(index, kept[0], targets[index]))
                if at_once:
                    signals.stage()

            step_ms.append(timed(step))
            tracking_ms.append(timed(track))
        tracking_ms[-1] += timed(lambda epoch=epoch: signals.commit(epoch))
    return statistics.median(step_ms[steps:]), statistics.mean(tracking_ms[steps:])


def main() -> None:
    """Measure both and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--steps", type=int, default=100, help="of an epoch")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{args.threads} thread"
    print(f"machine     {platform.machine()}, {where}, torch {torch.__version__}, batch {args.batch_size}")
    for title, at_once in (("waiting", False), ("at once", True)):
        step, tracking = measure(args.steps, args.batch_size, device, at_once)
        print(f"{title:<11} step {step:.3f} ms, tracking {tracking:.3f} ms, ratio {tracking / step:.4f}")


if __name__ == "__main__":
    main()
