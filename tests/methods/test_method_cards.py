"""Every method has a card that says all that a card must say, and what is said there runs."""

from __future__ import annotations

import re
import runpy
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from noisylearn import data, methods
from noisylearn.cli.catalog import arguments
from noisylearn.cli.names import LINKED
from noisylearn.methods import ELR, CoTeachingPlus, CrossEntropy, NoisyLearner
from noisylearn.methods.presets import Preset
from tests.recipes.parsing import parsed
from tests.unit.markdown_blocks import read_blocks

DOCS = Path(__file__).resolve().parents[2] / "docs"
SECTIONS = ["Idea", "Formula", "Use", "When it hurts", "How it differs from the reference code"]
if not DOCS.is_dir():
    pytest.skip("the documentation is not part of this installation", allow_module_level=True)


@cache
def make() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "make_methods.py"))


NAMES = [cls.__name__ for cls in make()["exported"]()]
FILES: dict[str, Path] = make()["cards"]()
each_card = pytest.mark.parametrize("name", sorted(FILES))


def card(name: str) -> str:
    """The text of a method's card."""
    return FILES[name].read_text(encoding="utf-8")


def method(name: str) -> type[NoisyLearner]:
    cls: type[NoisyLearner] = getattr(methods, name)
    return cls


@pytest.mark.parametrize("name", NAMES)
def test_every_method_has_a_card(name: str) -> None:
    assert name in FILES, f"{name} has no card: none of the files in docs/methods begins with `# {name}`"


@each_card
def test_a_card_has_every_section_and_something_in_it(name: str) -> None:
    title, *parts = re.split(r"^#+ ", card(name), flags=re.MULTILINE)[1:]
    assert title.splitlines()[0] == name
    assert [part.splitlines()[0] for part in parts] == SECTIONS
    for part in parts:
        assert len(part.split()) > 15, f"the section {part.splitlines()[0]!r} of {name} says next to nothing"
    assert FILES[name].stem.replace("_", "") == name.lower()


@each_card
def test_the_facts_of_a_card_are_those_of_the_class(name: str) -> None:
    assert card(name) == make()["written"](card(name), method(name)), "run python docs/make_methods.py"


@each_card
def test_the_python_of_a_card_runs(name: str) -> None:
    assert [block.language for block in read_blocks(card(name))].count("python") >= 1
    namespace: dict[str, Any] = {"__name__": "card"}
    for block in read_blocks(card(name)):
        if block.language == "python" and not block.no_run:
            exec(compile("\n" * (block.line - 1) + block.code, f"{name}.md", "exec"), namespace)


@each_card
def test_the_yaml_of_a_card_makes_the_method(name: str, tmp_path: Path) -> None:
    blocks = re.findall(r"^( *)```yaml\n(.*?)^ *```", card(name), re.MULTILINE | re.DOTALL)
    assert blocks, "a card shows how the method is used from a configuration file"
    for indent, block in blocks:
        file = tmp_path / "card.yaml"
        file.write_text(textwrap.dedent(indent + block), encoding="utf-8")
        given = yaml.safe_load(file.read_text(encoding="utf-8"))
        small = str(given["model"].get("init_args", {}).get("backbone", "")).startswith(("digits", "mlp"))
        source = [] if "class_path" in given.get("data", {}) else [f"--data={'Digits' if small else 'CIFAR10'}"]
        config = parsed("--preset=none", f"--config={file}", *source)
        made = data_of(config)
        taken = {argument: getattr(made, known_as) for argument, known_as in LINKED.items()}
        init = config["model"]["init_args"]
        assert config["model"]["class_path"].rsplit(".", 1)[-1] == name
        assert isinstance(
            method(name)(**{**init, **{k: v for k, v in taken.items() if k in arguments(name, "methods")}}),
            method(name),
        )
    parsed.cache_clear()  # the next card's file has the same name


def data_of(config: dict[str, Any]) -> data.NoisyDataModule:
    made: data.NoisyDataModule = getattr(data, config["data"]["class_path"].rsplit(".", 1)[-1])(
        **config["data"]["init_args"]
    )
    return made


def test_a_card_is_of_a_method() -> None:
    assert set(FILES) <= set(NAMES)


def test_the_overview_is_what_the_classes_say() -> None:
    assert list(make()["SECTIONS"]) == SECTIONS
    assert make()["families"]().keys() == set(NAMES), "name each method's family in docs/make_methods.py"
    text = (DOCS / "methods" / "index.md").read_text(encoding="utf-8")
    assert text == make()["index"](), "run python docs/make_methods.py"
    for name, file in FILES.items():
        assert f"[`{name}`]({file.name})" in text


# -- what a block of facts is made of --------------------------------------------------------------------------------


def test_arguments_are_its_own_and_its_bases_but_not_those_of_all() -> None:
    own = make()["own_arguments"](CoTeachingPlus)
    mine = ["init_epoch", "agreement_steps", "legacy_double_softmax"]
    assert list(own) == [*mine, "noise_rate", "forget_rate", "warmup_epochs", "exponent", "legacy_scale"]
    assert own["init_epoch"] == 20
    said = make()["descriptions"](CoTeachingPlus)
    assert own.keys() <= said.keys()
    assert said["legacy_scale"].startswith("Divide each network's mean loss by the number kept")
    assert make()["own_arguments"](CrossEntropy) == {}


def test_a_preset_is_a_row() -> None:
    ranged = Preset(("digits",), (), {"lam": 1.0}, "a table", (0.2, 0.5), guessed=True, where={"loss": "one"})
    assert make()["presets_table"]((ranged, Preset((), ("pair",), {"lam": 2.0}, "a file", (0.45, 0.45))))[2:] == [
        "| digits | any | 0.2 to 0.5 | `lam=1.0` with `loss='one'` | a table (**guessed**) |",
        "| any | pair | 0.45 | `lam=2.0` | a file |",
    ]


def test_facts_replace_facts_and_nothing_else() -> None:
    begin, end = make()["BEGIN"], make()["END"]
    text = f"# ELR\n\n{begin}\nold\n{end}\n\n## Idea\nkept\n"
    new = make()["written"](text, ELR)
    assert new == make()["written"](new, ELR)
    assert new.startswith(f"# ELR\n\n{begin}\nEarly-learning regularization")
    assert new.endswith(f"\n{end}\n\n## Idea\nkept\n")
    assert "old" not in new
    with pytest.raises(ValueError, match="must have the lines"):
        make()["written"]("# ELR\n", ELR)
