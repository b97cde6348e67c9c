"""Histograms and a gallery of suspects, drawn by the loggers that can draw: TensorBoard's and Weights & Biases'."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from torch import Tensor
from torchvision.utils import make_grid

from noisylearn.callbacks.suspects import Suspect

PER_ROW = 8
"""Pictures side by side in a grid."""


@dataclass(frozen=True)
class SignalFigures:
    """What there is to draw of one tracker.

    Args:
        name: The tracker's, before all tags.
        histograms: ``(k,)`` finite values by tag.
        suspects: The most suspected labels, worst first.
        pictures: ``(len(suspects), 3, H, W)`` uint8; None where there are none.
    """

    name: str
    histograms: Mapping[str, Tensor] = field(default_factory=dict)
    suspects: Sequence[Suspect] = ()
    pictures: Tensor | None = None


Draw: TypeAlias = Callable[[Any, SignalFigures, int], None]
"""Given a logger's experiment, the figures and the step."""


def to_tensorboard(experiment: Any, figures: SignalFigures, step: int) -> None:
    """Draw with a ``SummaryWriter``: histograms, one grid of pictures, and a table of what they show, row by row.

    Args:
        experiment: The writer.
        figures: What to draw.
        step: The number of optimizer steps so far.
    """
    for tag, values in figures.histograms.items():
        experiment.add_histogram(f"{figures.name}/{tag}", values, step)
    if figures.pictures is None:
        return
    experiment.add_image(f"{figures.name}/suspects", make_grid(figures.pictures, nrow=PER_ROW), step)
    head = ["| picture | sample | given | suggested | suspicion |", "| --- | --- | --- | --- | --- |"]
    lines = [
        f"| {i // PER_ROW + 1}.{i % PER_ROW + 1} | {s.sample} | {s.given} | {s.suggested} | {s.suspicion:.3f} |"
        for i, s in enumerate(figures.suspects)
    ]
    experiment.add_text(f"{figures.name}/suspects_text", "\n".join([*head, *lines]), step)


def to_wandb(experiment: Any, figures: SignalFigures, step: int) -> None:
    """Draw with a W&B run: histograms, and the pictures with their captions.

    Args:
        experiment: The run.
        figures: What to draw.
        step: The number of optimizer steps so far.
    """
    wandb = importlib.import_module("wandb")  # in use, so installed
    drawn = {
        f"{figures.name}/{tag}": wandb.Histogram(values.numpy(), num_bins=64)
        for tag, values in figures.histograms.items()
    }
    if figures.pictures is not None:
        pairs = zip(figures.pictures.permute(0, 2, 3, 1).numpy(), figures.suspects, strict=True)
        drawn[f"{figures.name}/suspects"] = [wandb.Image(picture, caption=str(suspect)) for picture, suspect in pairs]
    # The step is a value, as in Lightning's own logger: W&B's counter goes up with every call.
    experiment.log({**drawn, "trainer/global_step": step})


BY_LOGGER: dict[str, Draw] = {"TensorBoardLogger": to_tensorboard, "WandbLogger": to_wandb}


def drawing_loggers(loggers: Sequence[Any]) -> list[tuple[Any, Draw]]:
    """Return the loggers that can draw, and what draws with them.

    They are known by the name of their class, or of one that it derives from: nothing is imported that is not in use,
    and both copies of Lightning have them.

    Args:
        loggers: The Trainer's.

    Example:
        >>> class TensorBoardLogger: ...
        >>> [draw.__name__ for _, draw in drawing_loggers([object(), TensorBoardLogger()])]
        ['to_tensorboard']
    """
    names = [[cls.__name__ for cls in type(logger).__mro__] for logger in loggers]  # Lightning's has Fabric's above it
    known = [next((BY_LOGGER[n] for n in above if n in BY_LOGGER), None) for above in names]
    return [(logger, draw) for logger, draw in zip(loggers, known, strict=True) if draw is not None]
