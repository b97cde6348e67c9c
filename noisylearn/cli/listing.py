"""`noisylearn list`: what there is, by name, with one line on each; torch is not imported."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from noisylearn._checks import unknown_name
from noisylearn.cli import catalog
from noisylearn.cli.names import ABSTRACT

LISTS = ("methods", "signals", "data", "models", "recipes")


def print_list(what: str) -> None:
    """Print what there is of one kind.

    Args:
        what: One of ``methods``, ``signals``, ``data``, ``models``, ``recipes``.
    """
    from rich.console import Console
    from rich.table import Table

    if what not in LISTS:
        raise ValueError(unknown_name("list", what, LISTS))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("name", no_wrap=True)
    table.add_column(HEADERS[what])
    for name, summary, *facts in rows_of(what):
        table.add_row(name, summary.replace("`", ""))
        if any(facts):
            table.add_row("", " · ".join(filter(None, facts)), style="dim")
    Console(highlight=False).print(table)


HEADERS = {
    "methods": "what · paper · cost · state per sample",
    "signals": "what · paper · cost · state per sample",
    "data": "what · source",
    "models": "what",
    "recipes": "what",
}


def rows_of(what: str) -> list[tuple[str, ...]]:
    """Return the rows that `print_list` prints.

    Args:
        what: One of ``methods``, ``signals``, ``data``, ``models``, ``recipes``.

    Example:
        >>> "CoTeaching" in [row[0] for row in rows_of("methods")]
        True
    """
    if what == "models":
        return list(catalog.model_names().items())
    if what == "recipes":
        from noisylearn.bench.recipes import recipe_files, recipe_names

        return [(name, _first_comment(recipe_files([name]))) for name in recipe_names()]
    folder, base, keys = {
        "methods": ("methods", "NoisyLearner", ("paper", "cost", "state")),
        "signals": ("signals", "Signal", ("paper", "cost", "state")),
        "data": ("data", "NoisyDataModule", ("paper",)),
    }[what]
    found = catalog.concrete(folder, base, ABSTRACT)
    facts = [[str(catalog.fact(info.name, key, folder) or "") for key in keys] for info in found]
    return [(info.name, info.summary, *row) for info, row in zip(found, facts, strict=True)]


def _first_comment(files: Sequence[Path]) -> str:
    """The first sentence of the comment that opens the most specific file that has one."""
    for file in reversed(files):
        lines = file.read_text(encoding="utf-8").splitlines()
        comment = " ".join(line.removeprefix("# ") for line in takewhile(lambda line: line.startswith("# "), lines))
        if comment:
            return comment.split(". ", 1)[0].removesuffix(".")
    return ""
