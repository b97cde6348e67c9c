"""The changes that docs/other_projects.md shows, made to a project's text as a reader would make them."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "other_projects.md"


def documented(project: str) -> list[str]:
    """The changes in the section that has the project's file, in the page's order."""
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (section,) = [s for s in sections if f"`tests/compat/projects/{project}_project.py`" in s]
    return re.findall(r"^```diff\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)


def added_lines(change: str) -> list[str]:
    """The lines to add."""
    return [line[1:] for line in change.splitlines() if line.startswith("+")]


def applied(change: str, files: dict[str, str]) -> dict[str, str]:
    """The project's files, changed: each hunk (an empty line ends one) stands in one place of one file."""
    files = dict(files)
    for hunk in change.strip("\n").split("\n\n"):
        old = _side(hunk, "-")
        (name,) = [name for name, text in files.items() for _ in range(text.count(old))]
        files[name] = files[name].replace(old, _side(hunk, "+"))
    return files


def _side(hunk: str, sign: str) -> str:
    return "".join(f"\n{line[1:]}" for line in hunk.splitlines() if line[0] in (" ", sign)) + "\n"
