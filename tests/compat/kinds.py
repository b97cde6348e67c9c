"""The projects: the data that each finds in its folder, and how to read what its network is shown."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tests.compat.watching import Watched

NUM_SAMPLES, NUM_CLASSES = 53, 4
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Kind:
    """A project.

    Args:
        write: Writes the data into a folder and returns the given label of each sample.
        watched: What of its network to watch.
        arguments: What its script is started with.
        settings: Further arguments, each of them tried too.
    """

    write: Callable[[Path], Tensor]
    watched: Watched
    arguments: tuple[str, ...] = ()
    settings: tuple[tuple[str, ...], ...] = ()


# -- features: the first is the sample's number ------------------------------------------------------------------------


def by_first_feature(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    return args[0][:, 0].long()


def random_labels(seed: int) -> Any:
    return np.random.RandomState(seed).randint(0, NUM_CLASSES, NUM_SAMPLES)


def true_labels() -> Any:
    crowd = random_labels(0)
    return np.where(np.arange(NUM_SAMPLES) % 3 == 0, (crowd + 1) % NUM_CLASSES, crowd)


def write_arrays(folder: Path) -> Tensor:
    x = np.random.RandomState(7).randn(NUM_SAMPLES, 6).astype(np.float32)
    x[:, 0] = np.arange(NUM_SAMPLES)
    np.savez(folder / "train.npz", x=x, y=true_labels(), y_crowd=random_labels(0))
    return torch.from_numpy(true_labels())


def write_arrays_of_the_crowd(folder: Path) -> Tensor:
    write_arrays(folder)
    return torch.from_numpy(random_labels(0))


def write_nothing(folder: Path) -> Tensor:
    """The plain project makes its own, by these random numbers."""
    generator = torch.Generator().manual_seed(7)
    torch.randn(NUM_SAMPLES, 6, generator=generator)
    return torch.randint(0, NUM_CLASSES, (NUM_SAMPLES,), generator=generator)


# -- images: of one colour, whose red is the number; crops and flips keep it -------------------------------------------


def by_red(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    red = args[0][:, 0].mean((1, 2)) * STD[0] + MEAN[0]
    return (red * 255 / 4).round().long()


def colour(number: int) -> tuple[int, int, int]:
    return 4 * number, 37 * number % 256, 101 * number % 256


def write_images(folder: Path) -> Tensor:
    """Image folders are sorted by class, so that a number is a position."""
    labels = np.arange(NUM_SAMPLES) * NUM_CLASSES // NUM_SAMPLES
    for part, step in (("train", 1), ("val", 7)):
        for number in range(0, NUM_SAMPLES, step):
            file = folder / part / f"class{labels[number]}" / f"{number:03}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 36), colour(number)).save(file)
    return torch.from_numpy(labels)


def logits_of_image(fit: Any, number: int) -> Tensor:
    values = (torch.tensor(colour(number)) / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    logits: Tensor = fit.module.model(values[None, :, None, None].expand(1, 3, 32, 32))
    return logits


# -- texts: the first word says which it is; words are numbered in alphabetical order, from 2 --------------------------


def by_first_word(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    numbers: Tensor = kwargs["input_ids"][:, 1] - 2
    return numbers


def write_texts(folder: Path) -> Tensor:
    labels = random_labels(1)
    with (folder / "reviews.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        for number, label in enumerate(labels):
            words = (f"word{number * k % 5}" for k in range(2 + number % 4))
            rows.writerow([" ".join([f"a{number:03}", f"says{label}", *words]), label])
    return torch.from_numpy(labels)


def logits_of_text(fit: Any, number: int) -> Tensor:
    ids = torch.tensor([fit.trainer.train_dataloader.dataset[number]["input_ids"]])
    logits: Tensor = fit.module.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    return logits


SMALL_VIT = ("--model-kwargs", "embed_dim=32", "depth=2", "num_heads=2")
KINDS = {
    "plain": Kind(write_nothing, Watched("net", "net", by_first_feature)),
    "dict": Kind(write_arrays, Watched("classifier", "encoder", by_first_feature)),
    "manual": Kind(write_arrays, Watched("head", "backbone", by_first_feature), (), (("--num-workers", "2"),)),
    "torchvision": Kind(write_images, Watched("model", "model", by_red), (), (("-j", "2"),)),
    "timm": Kind(
        write_images,
        Watched("model", "model", by_red),
        ("--no-prefetcher", "--device", "cpu", "--color-jitter", "0", *SMALL_VIT),
        (("-j", "2"),),
    ),
    "hugging_face": Kind(
        write_texts,
        Watched("model.classifier", "model", by_first_word),
        (),
        (("--accumulate", "3"), ("--num_workers", "2")),
    ),
    "cli": Kind(
        write_arrays_of_the_crowd,
        Watched("net", "net", by_first_feature),
        ("fit", "--config", "cli_project.yaml"),
        (("--data.init_args.num_workers", "2"), ("--trainer.accumulate_grad_batches", "2")),
    ),
}
