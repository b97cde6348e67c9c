"""Tracking: what all core signals add to a training step, against the step alone, in the same run.

A plain loop trains a network and hands its logits to a `SignalSet`, commits at each epoch's end included. Printed are
the median time of the step, the mean time of the tracking per step, and their ratio; then the same for tracking that
stages every step by itself, which is what waiting for a larger batch is there to beat.

    python benchmarks/tracking.py [--network digits_cnn] [--save]

Goals on a CPU with one thread, batch 128: 0.03 for the digits CNN, 0.01 for cnn7, 0.005 for resnet18_cifar. On a GPU
whole steps are compared instead: tracked / untracked at most 1.01 for resnet18_cifar.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from _machine import add_save, machine, save
from torch.nn import functional as F

from noisylearn.models import build_backbone
from noisylearn.signals import GivenLabel, Observation, SignalSet, core_signals

NETWORKS = {"digits_cnn": (1, 8, 100, 0.03), "cnn7": (3, 32, 12, 0.01), "resnet18_cifar": (3, 32, 4, 0.005)}
"""Channels, image size, steps of an epoch, and the goal."""


def clock(device: torch.device) -> float:
    """Return the time, once the device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def measure(network_name: str, batch_size: int, device: torch.device, at_once: bool) -> tuple[float, float]:
    """Train and track, and return the median step and the mean tracking, in milliseconds.

    Args:
        network_name: One of `NETWORKS`.
        batch_size: Samples of a step.
        device: Where.
        at_once: Stage each step by itself.
    """
    channels, size, steps, _ = NETWORKS[network_name]
    network = build_backbone(network_name, 10, channels, size).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    rows = steps * batch_size
    images = torch.rand(batch_size, channels, size, size, device=device).to(memory_format=torch.channels_last)
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
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--network", choices=NETWORKS, action="append", help="one or several (default: all)")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add_save(parser)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    print(", ".join(machine(device).values()))
    results: list[dict[str, object]] = []
    for name in args.network or NETWORKS:
        for title, at_once in (("waiting", False), ("at once", True)):
            step, tracking = measure(name, args.batch_size, device, at_once)
            ratio, goal = tracking / step, NETWORKS[name][-1]
            row = {"network": name, "batch": args.batch_size, "staging": title, "step_ms": f"{step:.3f}"}
            results.append(row | {"tracking_ms": f"{tracking:.3f}", "ratio": f"{ratio:.4f}", "goal": goal})
            print(
                f"{name:<15} {title:<8} step {step:.3f} ms, tracking {tracking:.3f} ms, ratio {ratio:.4f} (goal {goal})"
            )
    if args.save:
        save(__file__, results, device)


if __name__ == "__main__":
    main()
