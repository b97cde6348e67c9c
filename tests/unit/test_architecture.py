"""Imports point one way.

The rule, checked on the syntax tree of every file of the package:

- An import is an arrow from the room of its file to the room it names, wherever it stands: at the top of the file, in
  a function, under ``if TYPE_CHECKING:`` (naming a type is knowing of it), or as the literal of ``import_module``.
- `ARROWS` says which rooms a room may know. A room that is not in it has no place in the house yet.
- `LIBRARIES` says which third-party packages a room without Lightning may use; there too every import counts.
- Only ``_compat`` imports Lightning. Under ``if TYPE_CHECKING:`` the others may, since that runs nothing.
"""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = "noisylearn"
LIGHTNING = {"lightning", "pytorch_lightning", "lightning_fabric"}

ARROWS: dict[str, set[str]] = {
    "_checks": set(),
    "_compat": set(),
    "_rng": set(),
    "_columns": {"_checks"},
    "_nearest": {"_checks"},
    "_placement": {"_columns"},
    "tables": {"_checks", "_columns", "_placement"},
    "signals": {"_checks", "_nearest", "_placement", "selection", "tables"},
    "losses": {"_checks"},
    "selection": {"_checks"},
    "noise": {"_checks", "_nearest"},
    "metrics": {"_checks"},
    "models": {"_checks"},
    "data": {"_checks", "_compat", "noise", "tables"},
    "sweeping": {"_rng"},
    "callbacks": {"_checks", "_compat", "_rng", "metrics", "selection", "signals", "sweeping", "tables"},
    "methods": {"_checks", "_compat", "losses", "models", "noise", "selection", "sweeping", "tables"},
    "bench": {"_checks", "_compat", "data", "methods"},
    "report": {"_checks", "_compat", "data", "methods"},
    "memorization": {"_checks", "_compat", "_rng", "bench", "callbacks", "data", "methods", "signals", "tables"},
}
# The command line may import every room, and no room may import it.
HOUSE = set(ARROWS)
ARROWS["cli"] = HOUSE
ARROWS["__init__"] = HOUSE

LIBRARIES: dict[str, set[str]] = {
    "_checks": {"numpy"},
    "_rng": {"numpy", "torch"},
    "_columns": {"numpy", "torch"},
    "_nearest": {"torch"},
    "_placement": {"torch"},
    "tables": {"numpy", "torch"},
    "signals": {"numpy", "torch"},
    "losses": {"numpy", "torch"},
    "selection": {"numpy", "torch"},
    "noise": {"numpy", "scipy", "torch"},
    "metrics": {"numpy", "torch", "torchmetrics"},
    "models": {"numpy", "timm", "torch", "torchvision"},
}


@dataclass(frozen=True)
class Import:
    """One imported name: ``from a import b`` is ``a.b``."""

    name: str
    line: int
    runs: bool  # false under `if TYPE_CHECKING:`


def imports_of(source: str, module: str, is_package: bool) -> Iterator[Import]:
    """Every import of a file, relative names made absolute."""
    tree = ast.parse(source)
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test).split(".")
        for child in node.body
        for inner in ast.walk(child)
    }
    for node in ast.walk(tree):
        for name in _names(node, module, is_package):
            yield Import(name, getattr(node, "lineno", 0), id(node) not in typing_only)


def _names(node: ast.AST, module: str, is_package: bool) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parents = module.split(".")
            here = parents[: len(parents) - node.level + is_package]
            base = ".".join([*here, *([base] if base else [])])
        return [f"{base}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and node.args and ast.unparse(node.func).endswith(("import_module", "__import__")):
        first = node.args[0]
        return [first.value] if isinstance(first, ast.Constant) and isinstance(first.value, str) else []
    return []


def room_of(name: str, rooms: set[str]) -> str | None:
    """The room that a dotted name stands in, or None where it is not ours."""
    package, _, rest = name.partition(".")
    if package != PACKAGE:
        return None
    first = rest.partition(".")[0]
    return first if first in rooms else "__init__"


def violations(root: Path) -> list[str]:
    """Every import under ``root`` (the package's folder) that points the wrong way, as ``file:line: message``."""
    files = sorted(root.rglob("*.py"))
    rooms = {file.relative_to(root).parts[0].removesuffix(".py") for file in files} | set(ARROWS)
    found = []
    for file in files:
        parts = file.relative_to(root).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        module = ".".join([PACKAGE, *(parts[:-1] if is_package else parts)])
        room = parts[0]
        if room not in ARROWS:
            found.append(f"{file}:1: room `{room}` has no entry in ARROWS: say what it may import")
            continue
        for imported in imports_of(file.read_text(encoding="utf-8"), module, is_package):
            message = _fault(imported, room, rooms)
            if message:
                found.append(f"{file}:{imported.line}: {message}")
    return found


def _fault(imported: Import, room: str, rooms: set[str]) -> str | None:
    target = room_of(imported.name, rooms)
    if target is not None:
        is_metadata = imported.name.removeprefix(f"{PACKAGE}.").startswith("__")  # e.g. __version__
        if target == room or target in ARROWS[room] or is_metadata:
            return None
        return f"`{room}` must not import `{target}` ({imported.name})"
    library = imported.name.partition(".")[0]
    if library in sys.stdlib_module_names:
        return None
    if room in LIBRARIES and library not in LIBRARIES[room]:
        return f"`{room}` must do without `{library}`: it may use {', '.join(sorted(LIBRARIES[room]))}"
    if library in LIGHTNING and room != "_compat" and imported.runs:
        return f"`{room}` must import Lightning through `_compat`, which decides which copy it is"
    return None


def test_every_import_points_the_right_way(checkout: Path) -> None:
    assert violations(checkout / PACKAGE) == []


def test_the_arrows_have_no_circle() -> None:
    graphlib.TopologicalSorter(ARROWS).prepare()


WRONG = {
    "an arrow the other way": ("losses/a.py", "from noisylearn.methods import ELR"),
    "from the package itself": ("tables.py", "from noisylearn import signals"),
    "a public name, lazily": ("signals/a.py", "from noisylearn import SignalTracker"),
    "the package itself": ("signals/a.py", "import noisylearn"),
    "a relative import": ("methods/a.py", "from ..callbacks.tracker import SignalTracker"),
    "a relative import in __init__": ("methods/__init__.py", "from ..data import Batch"),
    "a parent by relative name": ("methods/a.py", "from .. import data"),
    "in a function": ("methods/a.py", "def f():\n    import noisylearn.data.batch as batch\n    return batch"),
    "for a type only": (
        "methods/a.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from noisylearn.callbacks import SignalTracker",
    ),
    "by import_module": ("data/a.py", "import importlib\nimportlib.import_module('noisylearn.methods')"),
    "the command line": ("bench/a.py", "from noisylearn.cli import main"),
    "the command line, from the package": ("__init__.py", "from noisylearn.cli import main"),
    "Lightning in a torch-only room": ("metrics/a.py", "import pytorch_lightning as pl"),
    "a library too many": ("selection/a.py", "from sklearn.mixture import GaussianMixture"),
    "Lightning past _compat": ("callbacks/a.py", "def f():\n    from lightning.pytorch import Callback"),
    "a room of no standing": ("utils/a.py", ""),
}
RIGHT = {
    "downwards": ("methods/a.py", "from noisylearn.losses import elr\nfrom noisylearn import tables"),
    "a neighbour": ("signals/__init__.py", "from .margin import Margin\nfrom noisylearn.signals.base import Signal"),
    "the version": ("report/a.py", "from noisylearn import __version__"),
    "the standard library": ("losses/a.py", "import math\nfrom collections.abc import Callable"),
    "a type of Lightning's": (
        "callbacks/a.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pytorch_lightning import Trainer",
    ),
    "the command line's own": ("cli/a.py", "from noisylearn.callbacks import SignalTracker\nimport noisylearn.bench"),
}


def _tree(folder: Path, path: str, source: str) -> Path:
    file = folder / PACKAGE / path
    file.parent.mkdir(parents=True)
    file.write_text(source, encoding="utf-8")
    return folder / PACKAGE


@pytest.mark.parametrize("case", WRONG)
def test_the_check_finds(case: str, tmp_path: Path) -> None:
    assert len(violations(_tree(tmp_path, *WRONG[case]))) == 1


@pytest.mark.parametrize("case", RIGHT)
def test_the_check_allows(case: str, tmp_path: Path) -> None:
    assert violations(_tree(tmp_path, *RIGHT[case])) == []


def _python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False)


def test_the_torch_only_rooms_import_with_lightning_blocked(checkout: Path) -> None:
    names = sorted(LIBRARIES)
    code = f"""
import importlib, sys
for name in {sorted(LIGHTNING)}:
    sys.modules[name] = None
for name in {names}:
    importlib.import_module("{PACKAGE}." + name)
assert "{PACKAGE}._compat" not in sys.modules
print(len({names}))
"""
    run = _python(code, checkout)
    assert (run.stdout.strip(), run.stderr) == (str(len(names)), "")


def test_importing_the_package_imports_neither_torch_nor_lightning(checkout: Path) -> None:
    heavy = sorted({"torch", "numpy", "torchmetrics", "timm", *LIGHTNING})
    run = _python(f"import sys, {PACKAGE}; print([n for n in {heavy} if n in sys.modules])", checkout)
    assert (run.stdout.strip(), run.stderr) == ("[]", "")
