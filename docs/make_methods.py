"""Writes what is a fact into the cards of the methods, docs/methods/*.md, and the overview of them, index.md.

    python docs/make_methods.py

A card is written by hand; what stands in it between two comments is what the method's class declares. A test holds
the committed files to what this would write.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from noisylearn import methods
from noisylearn.bench.recipes import recipe_files, recipe_names
from noisylearn.cli.names import ABSTRACT
from noisylearn.methods import NoisyLearner
from noisylearn.methods.presets import Preset, in_words

CARDS = Path(__file__).with_name("methods")
OTHERS = ("index.md", "label_wave.md")  # the second is of a callback, and written by hand throughout
BEGIN, END = "<!-- facts: written by docs/make_methods.py -->", "<!-- end of facts -->"
SECTIONS = ("Idea", "Formula", "Use", "When it hurts", "How it differs from the reference code")
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "robust losses": ("CrossEntropy", "RobustLoss", "TruncatedGCE", "CORES"),
    "transition matrix": ("ForwardCorrection", "BackwardCorrection", "TRevision", "VolMinNet"),
    "early learning": ("ELR", "ELRPlus", "SOP", "SOPPlus", "CDR", "PES"),
    "selection": ("SmallLoss", "SelfPaced", "O2U", "SelfFiltering", "MeMomentum", "LateStopping"),
    "two networks": ("Decoupling", "CoTeaching", "CoTeachingPlus", "JoCoR"),
    "refurbishment": ("SELC", "PENCIL", "JointOptimization", "MCorrection"),
    "semi-supervised": ("DivideMix", "UNICON", "DISC", "PESSemi"),
}
"""What the methods are grouped by in the overview."""
HEAD = """\
# Methods

A method is a LightningModule that learns from labels some of which are wrong: `noisylearn fit --model ELR ...`, or
`from noisylearn.methods import ELR` with a Trainer of your own. Each name below leads to its card: the idea, the
formula, its use from Python and from YAML, the values that its authors use, when it hurts, and what differs from their
code.

*Cost* is of an epoch once a warm-up is over. In a pass, a network sees as many samples as the training set has, and
learns; in a forward pass it only looks. *State* is what is kept of a sample, with `C` classes, besides 6 bytes a table.
Both are counted by a test.

[Label Wave](label_wave.md), which ends any of them where it begins to memorize, is a callback.

This page is written by `docs/make_methods.py`.
"""


def exported() -> list[type[NoisyLearner]]:
    """Return the methods that can be used, by name."""
    return [getattr(methods, name) for name in sorted(methods.__all__, key=str.lower) if is_method(name)]


def is_method(name: str) -> bool:
    """Return whether a name of the package is a method, and none that is only a base."""
    found = getattr(methods, name, None)
    return name not in ABSTRACT and isinstance(found, type) and issubclass(found, NoisyLearner)


def cards() -> dict[str, Path]:
    """Return the cards by the title on their first line, which is the method's name."""
    files = [file for file in sorted(CARDS.glob("*.md")) if file.name not in OTHERS]
    return {file.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# "): file for file in files}


def families() -> dict[str, str]:
    """Return each method's family, by its name, in the order of the overview."""
    return {name: family for family, names in FAMILIES.items() for name in names if is_method(name)}


def index() -> str:
    """Return the overview."""
    rows = ["| method | family | what it does | cost | state |", "|---|---|---|---|---|"]
    files = cards()
    for name, family in families().items():
        cls = getattr(methods, name)
        link = f"[`{name}`]({files[name].name})" if name in files else f"`{name}`"
        rows.append(f"| {link} | {family} | {first_line(cls)} | {cls.cost} | {cls.state} |")
    return "\n".join([HEAD, *rows, ""])


def first_line(cls: type) -> str:
    """Return the line that says what a class is."""
    return (inspect.getdoc(cls) or "").partition("\n")[0].replace("``", "`")


def written(card: str, cls: type[NoisyLearner]) -> str:
    """Return a card with a method's facts in their place.

    Raises:
        ValueError: The card has no place for them.
    """
    before, begin, rest = card.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the card of {cls.__name__} must have the lines {BEGIN} and {END}, in this order")
    return "\n".join([before + BEGIN, *facts(cls), END + after])


def facts(cls: type[NoisyLearner]) -> list[str]:
    """Return a method's facts as lines of Markdown."""
    recipes = ", ".join(f"`{name}`" for name in recipes_of(cls)) or "none"
    return [
        first_line(cls),
        "",
        f"- **Paper:** {cls.paper}",
        f"- **Cost:** {cls.cost}",
        f"- **State:** {cls.state}" + (" a sample" if cls.state.endswith("bytes") else ""),
        f"- **Views:** {', '.join(cls.views)}",
        f"- **Recipes:** {recipes}",
        "",
        *presets_table(cls.presets),
        "",
        *arguments_table(cls),
    ]


def recipes_of(cls: type) -> list[str]:
    """Return the recipes that name a method."""
    own = ((name, yaml.safe_load(recipe_files([name])[-1].read_text(encoding="utf-8"))) for name in recipe_names())
    return [name for name, config in own if config.get("model", {}).get("class_path") == cls.__name__]


def presets_table(presets: tuple[Preset, ...]) -> list[str]:
    """Return the presets, in the order in which they are looked at."""
    if not presets:
        return ["It has no presets."]
    rows = ["| preset for | noise | rates | arguments | where it was read |", "|---|---|---|---|---|"]
    for preset in presets:
        data, noise = (", ".join(names) or "any" for names in (preset.data, preset.noise))
        low, high = preset.rates
        rates = "any" if preset.rates == (0.0, 1.0) else f"{low:g}" if low == high else f"{low:g} to {high:g}"
        args = f"`{in_words(preset.args)}`" + (f" with `{in_words(preset.where)}`" if preset.where else "")
        source = preset.source + " (**guessed**)" * preset.guessed
        rows.append(f"| {data} | {noise} | {rates} | {args} | {source} |")
    return rows


def arguments_table(cls: type[NoisyLearner]) -> list[str]:
    """Return the arguments that the method has besides those of all."""
    own = own_arguments(cls)
    if not own:
        return ["It has no arguments of its own; those of all methods are `NoisyLearner`'s."]
    said = descriptions(cls)
    rows = ["| argument | default | what it is |", "|---|---|---|"]
    for name, default in own.items():
        shown = "" if default is inspect.Parameter.empty else f"`{default!r}`"
        rows.append(f"| `{name}` | {shown} | {said[name]} |")
    return rows


def own_arguments(cls: type[NoisyLearner]) -> dict[str, Any]:
    """Return names and defaults: its own, then those of its bases, up to what `NoisyLearner` itself takes."""
    own: dict[str, Any] = {}
    for owner in cls.__mro__[: cls.__mro__.index(NoisyLearner)]:
        if "__init__" not in vars(owner):
            continue
        parameters = list(inspect.signature(vars(owner)["__init__"]).parameters.values())[1:]
        named = {p.name: p.default for p in parameters if p.kind != p.VAR_KEYWORD}
        own |= {name: default for name, default in named.items() if name not in own}
        if len(named) == len(parameters):  # it hands nothing on
            break
    return own


def descriptions(cls: type[NoisyLearner]) -> dict[str, str]:
    """Return what the docstrings of a class and its bases say of each argument; the class's own word counts."""
    said: dict[str, str] = {}
    for owner in reversed(cls.__mro__[: cls.__mro__.index(NoisyLearner)]):
        text = inspect.cleandoc(owner.__doc__ or "")
        section = re.search(r"^Args:\n((?: .*\n?|\n)+)", text, re.MULTILINE)
        for name, what in re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", section[1] if section else "", re.MULTILINE):
            said[name] = " ".join(what.split()).replace("``", "`").replace("|", "\\|")
    return said


def main() -> None:
    """Write the facts of all cards that are there, and the overview."""
    files = cards()
    for cls in exported():
        if cls.__name__ in files:
            file = files[cls.__name__]
            file.write_text(written(file.read_text(encoding="utf-8"), cls), encoding="utf-8")
        else:
            print(f"no card begins with `# {cls.__name__}`")
    (CARDS / "index.md").write_text(index(), encoding="utf-8")


if __name__ == "__main__":
    main()
