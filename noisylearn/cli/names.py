"""Finds misspelt names in a training command before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from noisylearn._checks import unknown_name
from noisylearn.cli import catalog

KINDS = {"model": ("method", "methods", "NoisyLearner"), "data": ("data set", "data", "NoisyDataModule")}
TOP_LEVEL = (
    "config", "recipe", "seed_everything", "trainer", "model", "data", "run", "cell", "reduced", "ckpt_path",
    "weights_only", "return_predictions", "verbose", "print_config", "help",
)  # fmt: skip
ABSTRACT = ("TwoNetworks", "NoisyLearner", "NoisyDataModule")
LINKED = ("num_classes", "num_samples", "in_channels", "image_size", "noise_rate")
"""Arguments of a method that the data knows; the parser would overwrite what is given."""


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


def _options(args: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Each ``--option`` and its value, ``--option=value`` and ``--option value`` alike."""
    args = ["--config" if arg == "-c" else arg for arg in args]
    for i, arg in enumerate(args):
        if arg.startswith("--") and len(arg) > 2:
            name, _, value = arg[2:].partition("=")
            following = args[i + 1] if i + 1 < len(args) and not args[i + 1].startswith("--") else None
            yield name.rstrip("+"), value or following


def _from_file(path: Path) -> Iterator[tuple[str, str | None]]:
    """The options that a configuration file stands for; a broken file is the parser's business."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return
    if not isinstance(config, Mapping):
        return
    for key, value in config.items():
        yield str(key), value if isinstance(value, str) else None
        if not isinstance(value, Mapping):
            continue
        if key in KINDS and "class_path" in value:
            yield str(key), str(value["class_path"])
        inner: Any = value.get("init_args") if key in KINDS else value
        for name in inner or ():
            yield f"{key}.{name}", None


def check_names(args: Sequence[str], files: Sequence[Path] = ()) -> None:
    """Check the names in a training command.

    Only names of ours and of the Trainer are checked; a dotted class path is its owner's.

    Args:
        args: What follows ``noisylearn fit``.
        files: Configuration files, in the order in which they apply.

    Raises:
        ValueError: A name does not exist; two lines: what was not found, and the nearest names.

    Example:
        >>> check_names(["--model", "ELRR"])
        Traceback (most recent call last):
        ValueError: no method `ELRR`; did you mean `ELR`?
        known: CoTeaching, CrossEntropy, ELR, SmallLoss
    """
    given = list(_options(args))
    named = [Path(v) for n, v in given if n == "config" and v]
    chosen: dict[str, str] = {}
    for name, value in [*(o for f in [*files, *named] for o in _from_file(f)), *given]:
        part, _, rest = name.partition(".")
        if part not in TOP_LEVEL:
            raise ValueError(unknown_name("option", f"--{part}", [f"--{o}" for o in TOP_LEVEL]))
        if part in KINDS and (not rest or rest == "class_path") and value is not None:
            chosen[part] = _check_class(part, value)
        elif part in KINDS and rest:
            _check_argument(part, chosen.get(part), rest.removeprefix("init_args.").split(".", 1)[0])
        elif part == "trainer" and rest:
            argument = rest.split(".", 1)[0]
            if argument not in catalog.trainer_arguments():
                raise ValueError(unknown_name("argument of the Trainer", argument, catalog.trainer_arguments()))


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
