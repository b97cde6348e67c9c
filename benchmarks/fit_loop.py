"""`fit` against a hand-written loop: the same loader, network, optimizer and precision, images a second in one run.

The loop is what a person writes who wants nothing but speed: logits, loss, backward, step; for Co-teaching two networks
and the exchange of the small losses. `fit` is Lightning's Trainer with our method, alone and as `noisylearn fit` runs
it, with signals and meter. Epochs of the contestants alternate, so that a busy machine slows them alike; printed are
the medians and the ratio to the loop. Goal: at least 0.97.

    python benchmarks/fit_loop.py [--network cnn7] [--method CrossEntropy] [--save]
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from _machine import add_save, machine, save
from torch import Tensor
from torch.nn import functional as F

from noisylearn._compat import Callback, Trainer
from noisylearn.callbacks import MemorizationMeter, SignalTracker
from noisylearn.data.arrays import Arrays
from noisylearn.data.module import NoisyDataModule
from noisylearn.methods import CoTeaching, CrossEntropy, NoisyLearner
from noisylearn.models import build_backbone

BATCH = 128
STEPS = {"digits_cnn": 60, "cnn7": 8, "resnet18_cifar": 4}
"""Steps of an epoch on a CPU; on a GPU fifty times as many."""
GOAL = 0.97
RATE = 0.4
Epoch = Callable[[], None]


class RandomImages(NoisyDataModule):
    """Images of noise: what they show makes no difference to the time."""

    name = "random"
    num_classes = 10

    def __init__(self, num_images: int, channels: int, size: int, augment: bool) -> None:
        super().__init__(batch_size=BATCH, augment=augment)
        self.num_images, self.in_channels, self.image_size = num_images, channels, size
        self.mean, self.std = (0.5,) * channels, (0.25,) * channels

    def load(self) -> Arrays:
        """Return random bytes."""
        shape = (self.num_images, self.in_channels, self.image_size, self.image_size)
        images = torch.randint(256, shape, dtype=torch.uint8)
        targets = torch.randint(10, (self.num_images,))
        return Arrays(images, targets, images[:BATCH], targets[:BATCH])


def hand_written(method: str, network: str, data: RandomImages, device: torch.device, precision: str) -> Epoch:
    """Return an epoch of the loop."""
    size = (10, data.in_channels, data.image_size)
    networks = [build_backbone(network, *size).to(device) for _ in range(1 if method == "CrossEntropy" else 2)]
    for net in networks:
        net.train().to(memory_format=torch.channels_last)
    parameters = [p for net in networks for p in net.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.02, momentum=0.9, weight_decay=5e-4)
    loader = data.train_dataloader()
    keep = round((1 - RATE) * BATCH)

    def loss_of(images: Tensor, targets: Tensor) -> Tensor:
        if len(networks) == 1:
            return F.cross_entropy(networks[0](images), targets)
        losses = [F.cross_entropy(net(images).float(), targets, reduction="none") for net in networks]
        chosen = [each.detach().topk(keep, largest=False).indices for each in losses]
        return losses[0][chosen[1]].mean() + losses[1][chosen[0]].mean()

    def epoch() -> None:
        for images, targets, _ in loader:
            autocast = torch.autocast(device.type, torch.bfloat16) if precision == "bf16-mixed" else nullcontext()
            with autocast:
                loss = loss_of(images, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch


class EpochByEpoch(Callback):  # type: ignore[misc]  # its base is made at import time
    """Stops the clock while the others have their turn, and keeps the seconds of each epoch."""

    def __init__(self, others: Epoch, device: torch.device) -> None:
        super().__init__()
        self.others, self.device, self.seconds = others, device, list[float]()

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Let the others run, then start the clock."""
        self.others()
        synchronize(self.device)
        self.start = time.perf_counter()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Stop it."""
        synchronize(self.device)
        self.seconds.append(time.perf_counter() - self.start)


def synchronize(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def fit(
    method: NoisyLearner,
    data: RandomImages,
    extra: list[Any],
    epochs: int,
    device: torch.device,
    precision: str,
    others: Epoch,
) -> list[float]:
    """Fit, and return the seconds of each epoch."""
    clock = EpochByEpoch(others, device)
    trainer = Trainer(
        max_epochs=epochs,
        accelerator=device.type if device.type == "cpu" else "gpu",
        devices=1,
        precision=precision,  # type: ignore[arg-type]
        callbacks=[*extra, clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice on workers
        trainer.fit(method, datamodule=data)
    return clock.seconds


def compare(
    method: str, network: str, device: torch.device, precision: str, epochs: int
) -> Iterator[dict[str, object]]:
    """Yield a row per way to fit."""
    channels, size = (1, 8) if network == "digits_cnn" else (3, 32)
    steps = STEPS[network] * (50 if device.type == "cuda" else 1)
    data = RandomImages(steps * BATCH, channels, size, augment=network != "digits_cnn")

    def ours() -> NoisyLearner:
        args: dict[str, Any] = {"backbone": network, "in_channels": channels, "image_size": size}
        made = (
            CrossEntropy(**args) if method == "CrossEntropy" else CoTeaching(noise_rate=RATE, warmup_epochs=1, **args)
        )
        return made.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    plain = hand_written(method, network, RandomImages(steps * BATCH, channels, size, data.augment), device, precision)
    ways: dict[str, list[Any]] = {"fit": [], "fit, tracked": [SignalTracker(), MemorizationMeter()]}
    for name, extra in ways.items():
        own: list[float] = []

        def one_plain(own: list[float] = own) -> None:
            synchronize(device)
            start = time.perf_counter()
            plain()
            synchronize(device)
            own.append(time.perf_counter() - start)

        seconds = fit(ours(), data, extra, epochs, device, precision, one_plain)
        # The first epoch warms up. Each epoch is compared with the loop's just before it.
        ratios = [a / b for a, b in zip(own[1:], seconds[1:], strict=True)]
        images = steps * BATCH
        yield {
            "method": method,
            "network": network,
            "precision": precision,
            "way": name,
            "images_per_s": f"{images / statistics.median(seconds[1:]):.1f}",
            "loop_images_per_s": f"{images / statistics.median(own[1:]):.1f}",
            "ratio": f"{statistics.median(ratios):.3f}",
            "goal": GOAL,
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--network", choices=STEPS, action="append", help="one or several (default: all)")
    parser.add_argument("--method", choices=("CrossEntropy", "CoTeaching"), action="append", help="(default: both)")
    parser.add_argument("--epochs", type=int, default=9, help="the first warms up (%(default)s)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", default="bf16-mixed")
    add_save(parser)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    logging.disable(logging.INFO)  # Lightning's, for each fit
    device = torch.device(args.device)
    print(", ".join(machine(device).values()))
    rows = []
    for network in args.network or STEPS:
        for method in args.method or ("CrossEntropy", "CoTeaching"):
            for row in compare(method, network, device, args.precision, args.epochs):
                rows.append(row)
                print("  ".join(f"{value!s:<14}" for value in row.values()), flush=True)
    if args.save:
        save(__file__, rows, device)


if __name__ == "__main__":
    main()
