"""A method's preset for the data of a training command: what its authors set where the command sets nothing."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from noisylearn.cli.options import Option
from noisylearn.data import NoisyDataModule
from noisylearn.methods.presets import Preset, find_preset, in_words, noise_family

CHOICES = ("auto", "none")
HELP = (
    "auto: where you set no argument of the method, it has the value that its authors use on such data, and a line "
    "says so; none: it has its default"
)


@dataclass(frozen=True)
class ChosenPreset:
    """What a command takes from a preset.

    Args:
        preset: The preset.
        args: Those of its arguments that the command leaves open.
        owner: Whose preset it is and for what, in words.
    """

    preset: Preset
    args: dict[str, Any]
    owner: str

    def options(self) -> list[str]:
        """Return the options that set its arguments."""
        return ["--config", json.dumps({"model": {"init_args": self.args}})]

    def told(self) -> str:
        """Return the line that tells of it."""
        return f"{self.owner}: {in_words(self.args)} ({self.preset.source}); `--preset none` leaves it out"


def choose_preset(config: Namespace, options: Sequence[Option]) -> ChosenPreset | None:
    """Return what a command takes from a preset, None where it takes nothing.

    Args:
        config: The command as it is parsed without a preset.
        options: What is given on it (see `read_options`). A configuration from elsewhere (``s3://...``) is not read
            there and could be overridden: with one, nothing is taken.
    """
    remote = any(name == "config" and "://" in str(value) for name, value in options)
    module, _, name = config.model.class_path.rpartition(".")
    presets = getattr(getattr(importlib.import_module(module), name), "presets", ())
    if config.preset == "none" or remote or not presets:
        return None
    data, decided = _make(config.data), vars(config.model.init_args)
    preset = find_preset(presets, data.name, data.noise_kind, data.noise_rate, decided)
    if preset is None:
        return None
    given = {name.split(".")[1] for name, _ in options if name.startswith("model.")}
    args = {name: value for name, value in preset.args.items() if name not in given}
    family = noise_family(data.noise_kind)
    owner = f"the preset of {name} for {data.name}, {family} noise, rate {data.noise_rate:g}"
    return ChosenPreset(preset, args, owner) if args else None


def _make(config: Namespace) -> NoisyDataModule:
    """Make the DataModule, which knows its noise before it reads anything."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(NoisyDataModule, "data")
    make = getattr(parser, "instantiate", parser.instantiate_classes)  # its name from jsonargparse 4.49 on, and before
    data: NoisyDataModule = make(parser.parse_object({"data": config.clone()})).data
    return data
