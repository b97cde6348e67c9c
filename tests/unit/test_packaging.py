"""What is installed: the wheel's files, its metadata, and the lock that `make` installs."""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYTHONS = ("3.11.0", "3.12.0", "3.13.0")
PINNED = re.compile(r"^(?P<pin>[A-Za-z0-9._-]+==[^\s\\]+)(?P<marker> ;[^\\]*)?", re.MULTILINE)


@pytest.fixture(scope="session")
def project(checkout: Path) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


@pytest.fixture(scope="session")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=checkout, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def lock(checkout: Path) -> str:
    return (checkout / "requirements.lock").read_text(encoding="utf-8")


def _files(folder: Path) -> set[str]:
    found = (f.relative_to(folder) for f in folder.rglob("*") if f.is_file())
    return {f.as_posix() for f in found if "__pycache__" not in f.parts}


def test_the_wheel_holds_the_package_and_the_recipes_and_nothing_else(wheel: Path, checkout: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {n for n in archive.namelist() if ".dist-info/" not in n}
    expected = {f"noisylearn/{f}" for f in _files(checkout / "noisylearn")}
    expected |= {f"noisylearn/_recipes/{f}" for f in _files(checkout / "recipes")}
    assert names == expected
    assert "noisylearn/py.typed" in names
    assert any(n.startswith("noisylearn/report/") and n.endswith(".jinja") for n in names)


def test_the_wheel_says_what_it_is(wheel: Path, project: dict[str, Any]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        folder = f"noisylearn-{project['version']}.dist-info"
        metadata = email.message_from_string(archive.read(f"{folder}/METADATA").decode())
        assert archive.read(f"{folder}/entry_points.txt").decode().split("\n")[1] == "noisylearn = noisylearn.cli:main"
        assert b"Apache License" in archive.read(f"{folder}/licenses/LICENSE")
    assert (metadata["License-Expression"], metadata["Requires-Python"]) == ("Apache-2.0", ">=3.11")
    assert metadata.get_all("Provides-Extra") == ["cleanlab", "dev", "docs", "ray"]


def test_the_package_reports_the_project_s_version(checkout: Path, project: dict[str, Any]) -> None:
    code = "import noisylearn; print(noisylearn.__version__)"
    run = subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == project["version"]
    assert f"\n## {project['version']}" in (checkout / "CHANGELOG.md").read_text(encoding="utf-8")


def test_an_installed_wheel_lists_the_recipes_of_the_checkout(wheel: Path, checkout: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    listed = []
    for package in (tmp_path / "site", checkout):
        code = f"import noisylearn.cli as c; assert c.__file__.startswith({str(package)!r}), c.__file__; c.main()"
        environment = {**os.environ, "PYTHONPATH": str(package), "COLUMNS": "200"}
        command = [sys.executable, "-P", "-c", code, "list", "recipes"]
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert (run.returncode, run.stderr) == (0, "")
        listed.append(run.stdout)
    assert listed[0] == listed[1]
    assert "elr" in listed[0].lower()


def test_the_lock_names_no_host(lock: str) -> None:
    assert re.findall(r"\S*(?:://|@ |--index|--extra-index|--find-links|--trusted-host)\S*", lock) == []


def test_every_locked_version_has_its_hash(lock: str) -> None:
    entries = re.split(r"\n(?=\S)", lock.strip())
    assert [e.splitlines()[0] for e in entries if "--hash=sha256:" not in e] == []


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_holds_a_version_of_every_dependency(lock: str, project: dict[str, Any], python: str) -> None:
    environment = {"python_version": python[:4], "python_full_version": python, "sys_platform": "linux"}
    locked = {}
    for line in PINNED.finditer(lock):
        pin = Requirement(line["pin"] + (line["marker"] or ""))
        if pin.marker is None or pin.marker.evaluate({**environment, "platform_machine": "x86_64"}):
            assert pin.name not in locked
            locked[canonicalize_name(pin.name)] = next(iter(pin.specifier)).version
    extras = project["optional-dependencies"]
    wanted = [Requirement(r) for r in (*project["dependencies"], *extras["dev"], *extras["docs"])]
    assert [str(w) for w in wanted if not w.specifier.contains(locked.get(canonicalize_name(w.name), "0"))] == []


def test_every_floor_and_exclusion_gives_its_reason(checkout: Path) -> None:
    lines = (checkout / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    bounded = [i for i, line in enumerate(lines) if re.match(r'\s+"[a-zA-Z0-9._\[\]-]+(>=|!=|<|==|~=)', line)]
    assert len(bounded) > 10
    assert [lines[i] for i in bounded if not lines[i - 1].strip().startswith("#")] == []
