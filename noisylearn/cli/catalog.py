"""What there is to use, read from the source files: `noisylearn list` and name errors must not import torch."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class ClassInfo:
    """A class as its source file shows it.

    Args:
        name: The class's name.
        bases: Names of its base classes, without their modules.
        summary: First line of its docstring.
        facts: Class attributes that are plain values, e.g. ``paper``.
        arguments: What ``__init__`` takes by name; None if it has none of its own.
        open_ended: Whether ``__init__`` hands further arguments on to the bases.
        required: Which of ``arguments`` have no default.
    """

    name: str
    bases: tuple[str, ...]
    summary: str
    facts: dict[str, object] = field(default_factory=dict)
    arguments: tuple[str, ...] | None = None
    open_ended: bool = False
    required: tuple[str, ...] = ()


def _facts(node: ast.ClassDef) -> dict[str, object]:
    out: dict[str, object] = {}
    for item in node.body:
        target: ast.expr | None = item.target if isinstance(item, ast.AnnAssign) else None
        if isinstance(item, ast.Assign) and len(item.targets) == 1:
            target = item.targets[0]
        value = getattr(item, "value", None)
        if isinstance(target, ast.Name) and isinstance(value, ast.Constant | ast.Tuple):
            try:
                out[target.id] = ast.literal_eval(value)
            except ValueError:  # a tuple of calls: not a plain value
                continue
    return out


def _class_info(node: ast.ClassDef) -> ClassInfo:
    init = next((f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)
    arguments, required = (None, ()) if init is None else _arguments(init.args)
    bases = tuple(ast.unparse(b).rsplit(".", 1)[-1] for b in node.bases)
    summary = (ast.get_docstring(node) or "").split("\n", 1)[0]
    open_ended = init is None or init.args.kwarg is not None
    return ClassInfo(node.name, bases, summary, _facts(node), arguments, open_ended, required)


def _arguments(args: ast.arguments) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names after ``self``, and those of them that have no default."""
    positional, named = args.args[1:], args.kwonlyargs
    without = positional[: max(len(positional) - len(args.defaults), 0)]
    without += [a for a, default in zip(named, args.kw_defaults, strict=True) if default is None]
    return tuple(a.arg for a in [*positional, *named]), tuple(a.arg for a in without)


def _read(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def classes(folder: str) -> dict[str, ClassInfo]:
    """Return the classes that the files of a package folder define, by name.

    Args:
        folder: A folder of the package, e.g. ``"methods"``, or another's by its absolute path.

    Example:
        >>> "ELR" in classes("methods")
        True
    """
    nodes = (n for f in sorted((PACKAGE / folder).glob("*.py")) for n in _read(f).body)
    return {n.name: _class_info(n) for n in nodes if isinstance(n, ast.ClassDef)}


@cache
def exported(folder: str) -> tuple[str, ...]:
    """Return the public names of a package folder, its ``__all__``.

    Args:
        folder: A folder of the package, or another's by its absolute path.

    Example:
        >>> "ELR" in exported("methods")
        True
    """
    for node in _read(PACKAGE / folder / "__init__.py").body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return tuple(ast.literal_eval(node.value))
    return ()


def descends(name: str, base: str, folder: str) -> bool:
    """Whether a class derives from ``base``, by the source files of one folder.

    Example:
        >>> descends("CoTeaching", "NoisyLearner", "methods")
        True
    """
    known = classes(folder)
    return name in known and any(b == base or descends(b, base, folder) for b in known[name].bases)


def concrete(folder: str, base: str, abstract: tuple[str, ...] = ()) -> list[ClassInfo]:
    """Return the public classes of a folder that derive from ``base``, without the bases that are not for use.

    Args:
        folder: A folder of the package.
        base: The base class's name.
        abstract: Public names to leave out.

    Example:
        >>> "CoTeaching" in [info.name for info in concrete("methods", "NoisyLearner", ("TwoNetworks",))]
        True
    """
    names = [n for n in exported(folder) if n not in abstract and descends(n, base, folder)]
    return sorted((classes(folder)[n] for n in names), key=lambda info: info.name)


def fact(name: str, key: str, folder: str) -> object | None:
    """Return a class attribute, inherited ones too; None if there is none.

    Example:
        >>> fact("CoTeaching", "cost", "methods")
        '2 networks, 1 pass each'
    """
    info = classes(folder).get(name)
    if info is None:
        return None
    if key in info.facts:
        return info.facts[key]
    found = (fact(base, key, folder) for base in info.bases)
    return next((value for value in found if value is not None), None)


def arguments(name: str, folder: str) -> set[str]:
    """Return the constructor arguments of a class, those handed on to its bases too.

    Example:
        >>> {"lam", "beta", "lr"} <= arguments("ELR", "methods")
        True
    """
    info = classes(folder).get(name)
    if info is None:
        return set()
    own = set(info.arguments or ())
    if info.open_ended:
        own |= {a for base in info.bases for a in arguments(base, folder)}
    return own


@cache
def _lightning() -> Path:
    """The folder of the Lightning copy that is installed."""
    for package, inside in (("pytorch_lightning", ""), ("lightning", "pytorch")):
        spec = find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            return Path(spec.submodule_search_locations[0], inside)
    raise ImportError("no Lightning is installed: pip install pytorch-lightning")


def trainer_arguments() -> frozenset[str]:
    """Return the arguments of Lightning's Trainer, from its source file.

    Example:
        >>> "max_epochs" in trainer_arguments()
        True
    """
    return frozenset(classes(str(_lightning() / "trainer"))["Trainer"].arguments or ())


def loggers() -> dict[str, tuple[str, ...]]:
    """Return Lightning's loggers by name, each with the arguments it cannot do without, from their source files.

    Example:
        >>> loggers()["CSVLogger"]
        ('save_dir',)
    """
    folder = str(_lightning() / "loggers")
    return {name: classes(folder)[name].required for name in exported(folder) if name != "Logger"}


def model_names() -> dict[str, str]:
    """Return the names of the built-in networks and one line on each.

    Example:
        >>> "resnet34_cifar" in model_names()
        True
    """
    docs: dict[str, str] = {}
    functions: dict[str, str] = {}
    for file in sorted((PACKAGE / "models").glob("*.py")):
        for node in _read(file).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                docs[node.name] = (ast.get_docstring(node) or "").split("\n", 1)[0]
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
                pairs = zip(node.value.keys, node.value.values, strict=True)
                functions |= {str(k.value): ast.unparse(v) for k, v in pairs if isinstance(k, ast.Constant)}
    # A function's first line says what it returns; in a list that is what it is.
    return {name: docs.get(made_by, "").removeprefix("Return ") for name, made_by in sorted(functions.items())}
