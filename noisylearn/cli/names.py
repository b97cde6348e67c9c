"""Finds misspelt and missing names in a training command before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from noisylearn._checks import unknown_name
from noisylearn.cli import catalog
from noisylearn.cli.options import Option, given, read_options

KINDS = {"model": ("method", "methods", "NoisyLearner"), "data": ("data set", "data", "NoisyDataModule")}
TOP_LEVEL = (
    "config", "recipe", "seed_everything", "trainer", "model", "data", "preset", "run", "cell", "reduced", "ckpt_path",
    "weights_only", "return_predictions", "verbose", "print_config", "help",
)  # fmt: skip
ABSTRACT = ("TwoNetworks", "NoisyLearner", "NoisyDataModule")
LINKED = {
    "num_classes": "num_classes",
    "num_samples": "num_samples",
    "in_channels": "in_channels",
    "image_size": "image_size",
    "noise_rate": "wrong_rate",
}
"""Arguments of a method that the data knows, and what the data calls them; the parser would overwrite what is given."""


def known_classes(part: str) -> list[str]:
    """Return the names that ``--model`` or ``--data`` may take.

    Args:
        part: ``"model"`` or ``"data"``.

    Example:
        >>> "Digits" in known_classes("data")
        True
    """
    _, folder, base = KINDS[part]
    return [info.name for info in catalog.concrete(folder, base, ABSTRACT)]


def check_names(args: Sequence[str], files: Sequence[Path] = ()) -> list[Option]:
    """Check the names in a training command.

    Only names of ours and of the Trainer are checked; a dotted class path is its owner's.

    Args:
        args: What follows ``noisylearn fit``, without recipes.
        files: Configuration files that come before.

    Returns:
        What the command gives (see `read_options`).

    Raises:
        ValueError: A name does not exist; two lines: what was not found, and the nearest names. Or a configuration
            file cannot be read.

    Example:
        >>> check_names(["--model", "ELRR"])
        Traceback (most recent call last):
        ValueError: no method `ELRR`; did you mean `ELR` or ...
    """
    options = read_options(args, files)
    chosen: dict[str, str] = {}
    for name, value in options:
        part, _, rest = name.partition(".")
        if part not in TOP_LEVEL:
            raise ValueError(unknown_name("option", f"--{part}", [f"--{o}" for o in TOP_LEVEL]))
        if part in KINDS and (not rest or rest == "class_path") and value is not None:
            chosen[part] = _check_class(part, value)
        elif part in KINDS and rest:
            _check_argument(part, chosen.get(part), rest.split(".", 1)[0])
        elif part == "trainer" and rest:
            argument = rest.split(".", 1)[0]
            if argument not in catalog.trainer_arguments():
                raise ValueError(unknown_name("argument of the Trainer", argument, catalog.trainer_arguments()))
    return options


def check_needed(command: str, options: Sequence[Option]) -> None:
    """Refuse a training command without a method, a data set, or what its logger needs.

    Args:
        command: The command.
        options: What it gives, as `check_names` returns it.

    Raises:
        ValueError: Something is missing; two lines: what, and how to give it.

    Example:
        >>> check_needed("fit", [("model", "ELR")])
        Traceback (most recent call last):
        ValueError: `noisylearn fit` needs `--data`: e.g. --model ELR --model.backbone digits_cnn --data Digits
        known: `noisylearn list methods`, `noisylearn list data`, and both together `noisylearn list recipes`
    """
    missing = [f"`--{part}`" for part in KINDS if not (given(options, part) or given(options, f"{part}.class_path"))]
    # What a configuration from elsewhere gives is not known here.
    if missing and not any(name == "config" and "://" in str(value) for name, value in options):
        folders = [Path(run) for run in (given(options, "run"),) if run]
        folders += [Path(checkpoint).parent.parent for checkpoint in (given(options, "ckpt_path"),) if checkpoint]
        configs = [folder / "config.yaml" for folder in folders if (folder / "config.yaml").is_file()]
        example = f"--config {configs[0]}" if configs else "--model ELR --model.backbone digits_cnn --data Digits"
        raise ValueError(
            f"`noisylearn {command}` needs {' and '.join(missing)}: e.g. {example}\n"
            "known: `noisylearn list methods`, `noisylearn list data`, and both together `noisylearn list recipes`"
        )
    _check_logger(options)


def _check_logger(options: Sequence[Option]) -> None:
    """Lightning's parser tells of a logger's missing argument in a dozen lines, of which none says what to do."""
    named = [v for n, v in options if n in ("trainer.logger", "trainer.logger.class_path") and v is not None]
    name = yaml.safe_load(named[-1]) if named else None
    if not isinstance(name, str) or "." in name:  # true, false, a list, or its owner's
        return
    known = catalog.loggers()
    if name not in known:
        raise ValueError(unknown_name("logger", name, known))
    missing = [argument for argument in known[name] if given(options, f"trainer.logger.{argument}") is None]
    if missing:
        example = " ".join(f"--trainer.logger.{a} {'runs/logs' if a.endswith('dir') else 'VALUE'}" for a in missing)
        needed = " and ".join(f"`{argument}`" for argument in missing)
        raise ValueError(f"the logger {name} needs {needed}\ne.g. --trainer.logger {name} {example}")


def _check_class(part: str, value: str) -> str:
    kind, folder, _ = KINDS[part]
    known = known_classes(part)
    name = value.removeprefix("noisylearn.").removeprefix(f"{folder}.")
    if "." not in name and name not in known:
        raise ValueError(unknown_name(kind, name, known))
    return name


def _check_argument(part: str, chosen: str | None, argument: str) -> None:
    if argument in ("init_args", "class_path", "dict_kwargs", "help"):
        return
    if chosen is not None and "." not in chosen:
        known = catalog.arguments(chosen, KINDS[part][1])
        if argument not in known:
            raise ValueError(unknown_name(f"argument of {chosen}", argument, known))
    if part == "model" and argument in LINKED:
        way_out = ": `forget_rate` sets another fraction" if argument == "noise_rate" else ""
        raise ValueError(f"`--model.{argument}` is taken from the data and would not count\nleave it out{way_out}")
