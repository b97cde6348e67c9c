"""What a training command gives, read before its parser and without torch: recipes, configuration files, options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from noisylearn.bench.recipes import recipe_files

Option: TypeAlias = tuple[str, str | None]
"""A name without its dashes and without ``init_args``, and a value where there is one that is a word."""


def expand_recipes(args: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Take ``--recipe NAME`` out of the arguments and return the rest and the recipes' files.

    Args:
        args: Arguments of a training command.

    Raises:
        ValueError: There is no such recipe, or no name follows.

    Example:
        >>> rest, files = expand_recipes(["--recipe", "cifar10n/elr", "--seed_everything", "1"])
        >>> rest, [file.name for file in files]
        (['--seed_everything', '1'], ['_base.yaml', 'elr.yaml'])
    """
    names: list[str] = []
    rest: list[str] = []
    remaining = iter(args)
    for arg in remaining:
        if arg == "--recipe":
            name = next(remaining, None)
            if name is None:
                raise ValueError("`--recipe` needs a name, e.g. cifar10n/elr: see `noisylearn list recipes`")
            names.append(name)
        elif arg.startswith("--recipe="):
            names.append(arg.removeprefix("--recipe="))
        else:
            rest.append(arg)
    return rest, recipe_files(names)


SCHEDULE = ("trainer.max_epochs", "trainer.max_steps", "trainer.limit_train_batches", "data.num_train")
"""What a recipe's schedule is made of."""


def shortens(args: Sequence[str]) -> bool:
    """Return whether a recipe's schedule is changed by what else is given, and nothing says if it counts as reduced.

    Args:
        args: What follows ``noisylearn fit``, without recipes.

    Example:
        >>> shortens(["--trainer.max_epochs", "2"]), shortens(["--trainer.max_epochs", "2", "--reduced=false"])
        (True, False)
    """
    names = {name for name, _ in read_options(args)}
    return "reduced" not in names and not names.isdisjoint(SCHEDULE)


def read_options(args: Sequence[str], files: Sequence[Path] = ()) -> list[Option]:
    """Return what a command gives in the order in which it applies, a configuration file's content in its place.

    Args:
        args: What follows ``noisylearn fit``, without recipes.
        files: Configuration files that come before.

    Raises:
        ValueError: A configuration file cannot be read, or a word stands where an option must.

    Example:
        >>> read_options(["--model", "ELR", "--model.init_args.lam=3", "--print_config"])
        [('model', 'ELR'), ('model.lam', '3'), ('print_config', None)]
    """
    options = [option for file in files for option in _from_config(str(file))]
    words = list(args)
    while words:
        name, value = _next_option(words)
        options.append((name.rstrip("+").replace(".init_args.", "."), value))
        if name == "config" and value is not None:
            options += _from_config(value)
    return options


def _next_option(words: list[str]) -> Option:
    """Take an option and its value from the front: ``--name value``, ``--name=value``, ``-c file``, ``-cfile``."""
    word = words.pop(0)
    if not word.startswith("-"):
        raise ValueError(f"{word!r} belongs to no option: a value follows its option's name, e.g. `--model ELR`")
    if word.startswith("--"):
        name, equals, value = word[2:].partition("=")
    else:
        name, equals, value = {"c": "config", "h": "help"}.get(word[1:2], word[1:]), word[2:], word[2:].lstrip("=")
    if not equals and words and not words[0].startswith("--"):
        value = words.pop(0)
    return name, None if value in ("", "null") else value


def given(options: Sequence[Option], name: str) -> str | None:
    """Return the value that an option has in the end; None if it has none.

    Args:
        options: What `read_options` returned.
        name: The option's name.

    Example:
        >>> given([("run", "runs/a"), ("run", "runs/b")], "run")
        'runs/b'
    """
    return next((value for other, value in reversed(options) if other == name), None)


def only_asks(options: Sequence[Option]) -> bool:
    """Return whether a command asks for help or for its configuration and runs nothing.

    Args:
        options: What `read_options` returned.

    Example:
        >>> only_asks([("model.help", "ELR")])
        True
    """
    return any(name == "print_config" or name.rpartition(".")[2] == "help" for name, _ in options)


def _from_config(text: str) -> Iterator[Option]:
    if "://" not in text:  # what lies elsewhere is the parser's business
        for key, value in _load(text).items():
            yield from _flat(str(key), value)


def _flat(name: str, value: Any) -> Iterator[Option]:
    """The options that a part of a configuration stands for, a class before its arguments."""
    yield name.replace(".init_args.", "."), value if isinstance(value, str) else None
    if isinstance(value, Mapping):
        for key in sorted(value, key=lambda key: key != "class_path"):
            yield from _flat(f"{name}.{key}", value[key])


def _load(text: str) -> Mapping[Any, Any]:
    """The content of a configuration file, or of the text itself where that is a configuration."""
    try:
        config = yaml.safe_load(text)
        if isinstance(config, Mapping):
            return config
        config = yaml.safe_load(Path(text).read_text(encoding="utf-8"))
    except OSError as error:
        found = f"got {text!r} ({error.strerror})"
        raise ValueError(f"`--config` must name a YAML file, {found}{_near(Path(text))}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"`--config` must name a YAML file, got {text!r}, which is no text") from error
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        what = getattr(error, "problem", None) or error
        raise ValueError(f"the configuration {text!r} is not valid YAML: line {line}: {what}") from error
    if config is not None and not isinstance(config, Mapping):
        way_out = "`noisylearn fit --recipe digits/elr --print_config` shows one"
        found = f"got a {type(config).__name__}"
        raise ValueError(f"the configuration {text!r} must hold options by name, {found}: {way_out}")
    return config or {}


def _near(path: Path) -> str:
    """Configuration files where one was looked for."""
    folder = path if path.is_dir() else path.parent
    found = sorted(str(file) for file in folder.glob("*.yaml"))[:5]
    return f": there is {', '.join(found)}" if found else ": check the path"
