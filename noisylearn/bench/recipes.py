"""Recipes: published configurations as small YAML files, ``<dataset>/_base.yaml`` under one file per method."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from noisylearn._checks import unknown_name
from noisylearn.bench.job import Job


def recipe_root() -> Path:
    """Return the folder of the recipes: the checkout's ``recipes/``, or the copy inside an installed package."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "_recipes"
    return inside if inside.is_dir() else package.parent / "recipes"


def recipe_names() -> list[str]:
    """Return the names of all recipes, e.g. ``cifar10n/elr``.

    Example:
        >>> "cifar10n/elr" in recipe_names()
        True
    """
    root = recipe_root()
    files = sorted(root.glob("*/*.yaml"))
    return [f"{file.parent.name}/{file.stem}" for file in files if not file.stem.startswith("_")]


def recipe_files(names: Sequence[str]) -> list[Path]:
    """Return the files that recipes stand for, in the order in which they apply: each data set's base comes first.

    Args:
        names: E.g. ``["cifar10n/elr", "cifar10n/small"]``; a later one overrides an earlier one.

    Raises:
        ValueError: There is no such recipe; the message has the nearest names.

    Example:
        >>> [file.name for file in recipe_files(["cifar10n/elr", "cifar10n/small"])]
        ['_base.yaml', 'elr.yaml', 'small.yaml']
    """
    known = recipe_names()
    files: list[Path] = []
    for name in names:
        if name not in known:
            raise ValueError(unknown_name("recipe", name, known))
        own = recipe_root() / f"{name}.yaml"
        base = own.with_name("_base.yaml")
        files += [file for file in (base, own) if file.is_file() and file not in files]
    return files


def method_recipes(patterns: Sequence[str]) -> list[str]:
    """Return the recipes that patterns stand for: a name is itself, ``digits/*`` all that name a method.

    Args:
        patterns: Names, or names with ``*``.

    Raises:
        ValueError: There is no such recipe, or a pattern fits none.

    Example:
        >>> "digits/elr" in method_recipes(["digits/*"]), "digits/pair45" in method_recipes(["digits/*"])
        (True, False)
    """
    found: list[str] = []
    for pattern in patterns:
        named = [pattern] if pattern in recipe_names() else fnmatch.filter(recipe_names(), pattern)
        if not named:
            raise ValueError(unknown_name("recipe", pattern, recipe_names()))
        found += [name for name in named if name == pattern or _names_method(name)]
    return list(dict.fromkeys(found))


def _names_method(name: str) -> bool:
    own = yaml.safe_load((recipe_root() / f"{name}.yaml").read_text(encoding="utf-8"))
    return "class_path" in own.get("model", {})


def merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``low`` overridden by ``high``, mapping by mapping.

    Example:
        >>> merge({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}})
        {'a': {'x': 1, 'y': 3}}
    """
    out = dict(low)
    for key, value in high.items():
        old = out.get(key)
        out[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return out


def recipe_job(names: Sequence[str], seed: int, out: Path) -> Job:
    """Return the run that recipes and a seed stand for; the seed is that of weights and order.

    Args:
        names: Recipes, later ones overriding earlier ones.
        seed: The seed.
        out: Folder of the run folders.

    Raises:
        ValueError: There is no such recipe.

    Example:
        >>> recipe_job(["cifar10n/elr"], seed=1, out=Path("runs")).name
        'cifar10n-elr-1'
    """
    config: dict[str, Any] = {}
    for file in recipe_files(names):
        config = merge(config, yaml.safe_load(file.read_text(encoding="utf-8")))
    config = merge(config, {"seed_everything": seed, "data": {"init_args": {"seed": seed}}})
    return Job(out / "-".join([*(n.replace("/", "-") for n in names), str(seed)]), config)
