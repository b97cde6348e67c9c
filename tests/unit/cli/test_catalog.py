"""What `noisylearn list` and name errors read from the source files is what the imported classes are."""

from __future__ import annotations

import inspect
import math
from types import ModuleType
from typing import Any

import pytest
import torch

from noisylearn import data, methods, models, signals
from noisylearn._compat import Trainer, lightning_module
from noisylearn.cli import catalog
from noisylearn.cli.names import ABSTRACT, LINKED
from noisylearn.models import BACKBONES, build_backbone

KINDS: dict[str, tuple[ModuleType, type]] = {
    "methods": (methods, methods.NoisyLearner),
    "signals": (signals, signals.Signal),
    "data": (data, data.NoisyDataModule),
}
FACTS = {"methods": ("paper", "cost", "state"), "signals": ("paper", "cost", "state"), "data": ("paper",)}


def public(folder: str) -> dict[str, type]:
    """The classes for use that a package exports, by importing it."""
    module, base = KINDS[folder]
    found = {name: getattr(module, name) for name in module.__all__}
    classes = {n: c for n, c in found.items() if isinstance(c, type) and issubclass(c, base) and c is not base}
    return {name: cls for name, cls in classes.items() if name not in ABSTRACT}


CLASSES = [(folder, name, cls) for folder in KINDS for name, cls in public(folder).items()]
each_class = pytest.mark.parametrize(("folder", "name", "cls"), CLASSES, ids=[name for _, name, _ in CLASSES])


def taken(cls: type) -> set[str]:
    """What a class's constructor takes by name, through every ``**kwargs`` up to where they end."""
    names: set[str] = set()
    for owner in cls.__mro__:
        if "__init__" not in vars(owner):
            continue
        parameters = list(inspect.signature(owner.__init__).parameters.values())[1:]
        names |= {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            break
    return names


@pytest.mark.parametrize("folder", KINDS)
def test_the_classes_are_those_that_the_package_exports(folder: str) -> None:
    base = KINDS[folder][1].__name__
    listed = [info.name for info in catalog.concrete(folder, base, ABSTRACT)]
    assert listed == sorted(public(folder))
    assert set(catalog.exported(folder)) == set(KINDS[folder][0].__all__)


@pytest.mark.parametrize("name", ABSTRACT)
def test_what_is_left_out_is_there_and_is_a_base(name: str) -> None:
    cls = next(getattr(module, name) for module, _ in KINDS.values() if hasattr(module, name))
    assert any(issubclass(other, cls) and other is not cls for _, _, other in CLASSES)


@each_class
def test_the_arguments_are_the_constructors(folder: str, name: str, cls: type) -> None:
    assert catalog.arguments(name, folder) == taken(cls)


@each_class
def test_the_facts_are_the_classes_own(folder: str, name: str, cls: type) -> None:
    for key in FACTS[folder]:
        value = getattr(cls, key)
        assert isinstance(value, str)
        assert catalog.fact(name, key, folder) == value


@each_class
def test_each_has_a_line_that_says_what_it_is(folder: str, name: str, cls: type) -> None:
    summary = catalog.classes(folder)[name].summary
    assert summary == inspect.cleandoc(cls.__doc__ or "").splitlines()[0]
    assert summary.endswith(".")
    assert len(summary.split()) >= 4


def size_in(text: str, **values: int) -> int:
    """The number that the list writes: ``10 bytes``, ``4 C bytes``, ``4 k + 6 bytes``."""
    terms = [term.split() for term in text.removesuffix(" bytes").split(" + ")]
    return sum(math.prod(int(values.get(factor, factor)) for factor in term) for term in terms)


# What a signal cannot be made without, and what the list calls it.
NEEDED: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "NeighborDisagreement": ({"width": 3}, {"d": 3}),
    "PredictionDepth": ({"widths": [3, 5]}, {"widths": 8}),
}


@pytest.mark.parametrize("name", sorted(public("signals")))
def test_a_signals_state_is_that_of_its_columns(name: str) -> None:
    cls: Any = getattr(signals, name)
    defaults = {n: p.default for n, p in inspect.signature(cls).parameters.items() if n in taken(cls)}
    needed, sizes = NEEDED.get(name, ({}, {}))
    for classes in (10, 11):
        given = {**needed, **({"num_classes": classes} if "num_classes" in defaults else {})}
        listed = cls.state.replace("(sum of widths)", "widths")
        assert size_in(listed, **{**defaults, **sizes, "C": classes}) == cls(**given).bytes_per_sample


def test_what_is_linked_are_arguments_that_the_data_knows() -> None:
    known = set().union(*(taken(cls) for cls in public("methods").values()))
    assert set(LINKED) <= known
    for cls in public("data").values():
        assert all(hasattr(cls, name) for name in LINKED.values())
        assert 0 <= cls().wrong_rate <= 1  # type: ignore[attr-defined]


def test_the_trainers_arguments_are_the_trainers() -> None:
    assert catalog.trainer_arguments() == set(inspect.signature(Trainer.__init__).parameters) - {"self"}


def test_the_loggers_are_lightnings_and_need_what_has_no_default() -> None:
    module = lightning_module("loggers")
    expected = {}
    for name in set(module.__all__) - {"Logger"}:
        parameters = inspect.signature(getattr(module, name)).parameters.values()
        needed = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
        expected[name] = tuple(p.name for p in needed)
    assert catalog.loggers() == expected
    assert expected["TensorBoardLogger"] == ("save_dir",)


def test_the_networks_are_those_that_can_be_built() -> None:
    listed = catalog.model_names()
    assert tuple(sorted(listed)) == BACKBONES
    assert set(models.__all__) >= {"BACKBONES", "build_backbone"}
    for name, text in listed.items():
        network = build_backbone(name, num_classes=3, in_channels=1, image_size=8 if name == "digits_cnn" else 32)
        assert isinstance(network, torch.nn.Module)
        assert len(text.split()) >= 4


@pytest.mark.parametrize("name", ["Nothing", "TensorLoader"])
def test_what_is_no_class_of_a_kind_has_nothing(name: str) -> None:
    assert not catalog.descends(name, "NoisyLearner", "methods")
    assert catalog.fact(name, "paper", "methods") is None
    assert catalog.arguments(name, "methods") == set()


def test_facts_and_arguments_are_found_through_several_bases(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rooms").mkdir()
    (tmp_path / "rooms" / "__init__.py").write_text('__all__ = ["Base", "Left", "Own", "Closed"]\n', encoding="utf-8")
    source = '''
class Base:
    """The base."""
    paper = "old"
    cost: ClassVar[str] = "cheap"
    sizes = (Column("a"),)
    def __init__(self, first, second=2): ...

class Left(Base):
    """Hands on what it does not know."""
    paper = "new"
    def __init__(self, third=3, *, fourth=4, **more): ...

class Own(mixins.Plain, Left):
    """Has no constructor of its own.

    More.
    """

class Closed(Left):
    """Takes nothing else."""
    def __init__(self, only, other=1, *, needed, free=None): ...
'''
    (tmp_path / "rooms" / "a.py").write_text(source, encoding="utf-8")
    monkeypatch.setattr(catalog, "PACKAGE", tmp_path)
    assert [info.name for info in catalog.concrete("rooms", "Base")] == ["Closed", "Left", "Own"]
    assert [info.name for info in catalog.concrete("rooms", "Base", ("Left",))] == ["Closed", "Own"]
    assert catalog.arguments("Own", "rooms") == {"first", "second", "third", "fourth"}
    assert catalog.arguments("Closed", "rooms") == {"only", "other", "needed", "free"}
    assert catalog.classes("rooms")["Closed"].required == ("only", "needed")
    assert (catalog.fact("Own", "paper", "rooms"), catalog.fact("Own", "cost", "rooms")) == ("new", "cheap")
    assert catalog.fact("Own", "sizes", "rooms") is None
    assert catalog.classes("rooms")["Own"].summary == "Has no constructor of its own."
