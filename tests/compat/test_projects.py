"""Projects that were not written for noisylearn, changed as docs/other_projects.md says, in both namespaces."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.compat.documented import PAGE, added_lines, documented
from tests.compat.driving import NAMESPACES, drive, failures
from tests.compat.kinds import KINDS
from tests.compat.running import PROJECTS, project_files


@pytest.mark.parametrize("project", KINDS)
@pytest.mark.parametrize("namespace", NAMESPACES)
def test_a_project_is_tracked(namespace: str, project: str, folder: Path) -> None:
    found = drive(namespace, folder / namespace)
    if project == "hugging_face":
        print(f"transformers is {found['transformers']}")
    assert not (failed := failures(found["results"][project])), failed
    assert {"nothing changed", "as documented"} <= found["results"][project].keys()


@pytest.mark.parametrize("project", KINDS)
def test_at_most_three_lines_are_added_and_nothing_is_known_beforehand(project: str) -> None:
    files = project_files(project)
    assert not any("noisylearn" in text for text in files.values())
    for change in documented(project):
        assert 1 <= len(added_lines(change)) <= 3


def test_the_page_tells_of_every_project() -> None:
    assert {file.stem.removesuffix("_project") for file in PROJECTS.glob("*_project.*")} == set(KINDS)
    assert PAGE.read_text(encoding="utf-8").count("```diff") == sum(len(documented(name)) for name in KINDS)
