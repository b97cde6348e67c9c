"""Lists, help and misspelt names are answered from the source files: in two lines, with status 1, without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

# All cases in one process, the command line's own: what an earlier one has imported, a later one has too.
SCRIPT = """
import contextlib, io, json, sys
from noisylearn.cli import main

answers = []
for argv in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(argv)
        except SystemExit as exit_:
            status = exit_.code
    heavy = [name for name in ("torch", "pytorch_lightning", "lightning", "timm") if name in sys.modules]
    answers.append([status, out.getvalue(), err.getvalue(), heavy])
json.dump(answers, sys.stdout)
"""

ELR = ["fit", "--model", "ELR", "--data", "Digits"]
MISSPELT: dict[str, tuple[list[str], str]] = {
    "a command": (["fti", "--model", "ELR"], "no command `fti`; did you mean `fit`"),
    "a method": (["fit", "--model", "ELRR", "--data", "Digits"], "no method `ELRR`; did you mean `ELR`"),
    "a method after =": (["fit", "--model=CoTeachin"], "no method `CoTeachin`; did you mean `CoTeaching`"),
    "a method of ours by its path": (
        ["fit", "--model", "noisylearn.methods.ELRR"],
        "no method `ELRR`; did you mean `ELR`",
    ),
    "a class path": (["fit", "--model.class_path", "Elrr"], "no method `Elrr`; did you mean `ELR`"),
    "a data set": (["test", "--data", "Digit"], "no data set `Digit`; did you mean `Digits`"),
    "an argument of the method": ([*ELR, "--model.lamm", "3"], "no argument of ELR `lamm`; did you mean `lam`"),
    "its long form": ([*ELR, "--model.init_args.lamm=3"], "no argument of ELR `lamm`; did you mean `lam`"),
    "an argument of all methods": (
        [*ELR, "--model.optimzer", "Adam"],
        "no argument of ELR `optimzer`; did you mean `optimizer`",
    ),
    "an argument of the data": (
        [*ELR, "--data.nois_rate", "0.4"],
        "no argument of Digits `nois_rate`; did you mean `noise_rate`",
    ),
    "an argument of the Trainer": (
        [*ELR, "--trainer.max_epoch", "3"],
        "no argument of the Trainer `max_epoch`; did you mean `max_epochs`",
    ),
    "an option": (["validate", "--modle", "ELR"], "no option `--modle`; did you mean `--model`"),
    "a recipe": (
        ["fit", "--recipe", "digits/erl"],
        "no recipe `digits/erl`; did you mean `digits/elr`",
    ),
    "a recipe after =": (
        ["fit", "--recipe=cifar10n/smal"],
        "no recipe `cifar10n/smal`; did you mean `cifar10n/small`",
    ),
    "an argument beside a recipe": (
        ["fit", "--recipe", "digits/elr", "--model.bta", "0.9"],
        "no argument of ELR `bta`; did you mean `beta`",
    ),
    "a list": (["list", "signal"], "no list `signal`; did you mean `signals`"),
    "an option of the demo": (["demo", "--epohcs", "2"], "no option `--epohcs`; did you mean `--epochs`"),
    "an option of the report": (["report", "run", "--ot", "x"], "no option `--ot`; did you mean `--out`"),
    "a part of an option of the demo": (["demo", "--epoch", "2"], "no option `--epoch`; did you mean `--epochs`"),
    "a part of an option of the report": (["report", "run", "--ou=x"], "no option `--ou`; did you mean `--out`"),
    "a part of an option": ([*ELR, "--reduc=true"], "no option `--reduc`; did you mean `--reduced`"),
    "a logger": ([*ELR, "--trainer.logger=CSVLoger"], "no logger `CSVLoger`; did you mean `CSVLogger`"),
}

CONFIGS: dict[str, tuple[dict[str, Any], str]] = {
    "a method": ({"model": {"class_path": "ELRR"}}, "no method `ELRR`; did you mean `ELR`"),
    "a method in short": ({"model": "ELRR"}, "no method `ELRR`; did you mean `ELR`"),
    "an argument": (
        {"model": {"class_path": "ELR", "init_args": {"lamm": 3}}},
        "no argument of ELR `lamm`; did you mean `lam`",
    ),
    "an argument, as a run's own config.yaml has it": (
        {"data": {"class_path": "noisylearn.data.Digits", "init_args": {"nois": "none"}}},
        "no argument of Digits `nois`; did you mean `noise`",
    ),
    "an argument of the Trainer": (
        {"trainer": {"max_epoch": 3}},
        "no argument of the Trainer `max_epoch`; did you mean `max_epochs`",
    ),
    "an option": ({"seed_everthing": 3}, "no option `--seed_everthing`; did you mean `--seed_everything`"),
}
# What is missing, in a folder without any run, and what the two lines begin with.
MISSING: dict[str, tuple[list[str], str, str]] = {
    "method and data": (
        ["fit"],
        "`noisylearn fit` needs `--model` and `--data`: e.g. --model ELR",
        "known: `noisylearn",
    ),
    "the data": (
        ["test", "--model=ELR"],
        "`noisylearn test` needs `--data`: e.g. --model ELR",
        "known: `noisylearn list",
    ),
    "the method of an overlay": (
        ["fit", "--recipe", "cifar10n/small"],
        "`noisylearn fit` needs `--model`: e.g. ",
        "known: `noisylearn list methods`",
    ),
    "an argument of the logger": (
        [*ELR, "--trainer.logger", "TensorBoardLogger"],
        "the logger TensorBoardLogger needs `save_dir`",
        "e.g. --trainer.logger TensorBoardLogger --trainer.logger.save_dir ",
    ),
}
UNTRAINED = ("validate", "test", "predict")
# Taken from the data when the classes are made, so that what is given here would be dropped without a word.
LINKED = {
    "num_classes": "leave it out",
    "noise_rate": "leave it out: `forget_rate` sets another fraction",
}
LISTS = {
    "methods": {"CoTeaching", "CrossEntropy", "ELR", "SmallLoss"},
    "signals": {"DataMaps", "EL2N", "Forgetting", "GivenLabel", "LossStatistics", "Margin", "MeanProbability"},
    "data": {"CIFAR10", "CIFAR100", "CIFAR100N", "CIFAR10N", "Digits", "FashionMNIST"},
    "models": {"cnn7", "cnn8", "cnn9", "digits_cnn", "mlp", "preact_resnet18", "resnet34_cifar"},
}


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    status: int
    out: str
    err: str
    heavy: list[str]


Ask = Callable[[Any], Answer]


def _config_commands(folder: Path) -> dict[tuple[str, str], list[str]]:
    commands = {}
    for number, (name, (config, _)) in enumerate(CONFIGS.items()):
        file = folder / f"{number}.yaml"
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        for option, args in {"-c": ["-c", str(file)], "--config=": [f"--config={file}"]}.items():
            commands[name, option] = ["fit", *args]
    return commands


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """The answer to a command, by its case."""
    commands: dict[Any, list[str]] = {}
    commands |= {("misspelt", name): argv for name, (argv, _) in MISSPELT.items()}
    commands |= _config_commands(tmp_path_factory.mktemp("configs"))
    commands |= {("linked", n): ["fit", "--model", "CoTeaching", f"--model.{n}", "1"] for n in LINKED}
    commands |= {("missing", name): argv for name, (argv, *_) in MISSING.items()}
    commands |= {("untrained", name): [name, *ELR[1:]] for name in UNTRAINED}
    commands |= {("list", name): ["list", name] for name in (*LISTS, "recipes")}
    commands |= {"nothing": []}
    commands |= {flag: [flag] for flag in ("--help", "--version")}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(list(commands.values())),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert (run.returncode, run.stderr) == (0, "")
    answers = dict(zip(commands, (Answer(*row) for row in json.loads(run.stdout)), strict=True))
    return answers.__getitem__


def two_lines(answer: Answer) -> tuple[str, str]:
    assert (answer.status, answer.out) == (1, "")
    first, second = answer.err.splitlines()
    return first, second


def assert_nearest(answer: Answer, expected: str) -> None:
    """The best guess stands first, and among the names that the second line has."""
    first, second = two_lines(answer)
    assert first.startswith(f"noisylearn: {expected}")
    assert second.startswith("known: ")
    assert expected.split("`")[-2] in second.removeprefix("known: ").split(", ")


@pytest.mark.parametrize("case", MISSPELT)
def test_a_misspelt_name_gets_two_lines(case: str, answer: Ask) -> None:
    assert_nearest(answer(("misspelt", case)), MISSPELT[case][1])


@pytest.mark.parametrize("option", ["-c", "--config="])
@pytest.mark.parametrize("case", CONFIGS)
def test_a_misspelt_name_in_a_file_gets_two_lines(case: str, option: str, answer: Ask) -> None:
    assert_nearest(answer((case, option)), CONFIGS[case][1])


@pytest.mark.parametrize("name", LINKED)
def test_an_argument_that_the_data_decides_is_refused(name: str, answer: Ask) -> None:
    expected = (f"noisylearn: `--model.{name}` is taken from the data and would not count", LINKED[name])
    assert two_lines(answer(("linked", name))) == expected


@pytest.mark.parametrize("case", MISSING)
def test_what_is_missing_gets_two_lines(case: str, answer: Ask) -> None:
    lines = two_lines(answer(("missing", case)))
    for line, expected in zip(lines, MISSING[case][1:], strict=True):
        assert line.removeprefix("noisylearn: ").startswith(expected)


@pytest.mark.parametrize("command", UNTRAINED)
def test_untrained_weights_are_not_measured(command: str, answer: Ask) -> None:
    found = answer(("untrained", command))
    way_out = "name a fit's folder with `--run`, or a checkpoint with `--ckpt_path`"
    assert (found.status, found.out) == (1, "")
    assert found.err == f"noisylearn: `noisylearn {command}` needs trained weights: {way_out}\n"


def names_in(table: str) -> set[str]:
    """The names of a printed list: what begins a line after the header; the rest of an entry is indented."""
    return {line.split()[0] for line in table.splitlines()[1:] if not line.startswith(" ")}


@pytest.mark.parametrize("what", LISTS)
def test_a_list_names_what_there_is(what: str, answer: Ask) -> None:
    found = answer(("list", what))
    assert (found.status, found.err) == (0, "")
    assert names_in(found.out) >= LISTS[what]
    assert max(map(len, found.out.splitlines())) <= 80
    assert not any(word in found.out for word in ("TwoNetworks", "NoisyLearner", "NoisyDataModule", "None"))


def test_the_list_of_methods_has_paper_cost_and_state(answer: Ask) -> None:
    words = " ".join(answer(("list", "methods")).out.split())
    assert "Han et al., Co-teaching, 2018 · 2 networks, 1 pass each · none" in words
    assert "Liu et al., Early-Learning Regularization, 2020 · 1 network, 1 pass · 8 C bytes" in words


def test_the_list_of_recipes_is_the_folder(answer: Ask, checkout: Path) -> None:
    found = answer(("list", "recipes"))
    files = [f for f in (checkout / "recipes").glob("*/*.yaml") if not f.name.startswith("_")]
    assert (found.status, found.err) == (0, "")
    assert names_in(found.out) == {f"{f.parent.name}/{f.stem}" for f in files}


def test_help_names_every_command_and_shows_how(answer: Ask) -> None:
    found = answer("--help")
    assert (found.status, found.err) == (0, "")
    for command in ("fit", "validate", "test", "predict", "demo", "list", "report"):
        assert f"\n    {command} " in found.out
    assert "noisylearn fit --recipe cifar10n/elr" in found.out
    assert answer("nothing") == found
    assert answer("--version").out.startswith("noisylearn ")


def test_nothing_of_this_imports_torch_or_lightning(answer: Ask) -> None:
    # The last of the commands, all of which were run in one process.
    assert answer("--version").heavy == []
