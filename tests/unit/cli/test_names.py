"""`check_names` refuses what the parser would refuse, and nothing that the parser would take."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from noisylearn.cli import main
from noisylearn.cli.help import TRAINING
from noisylearn.cli.names import TOP_LEVEL, check_names, check_needed
from noisylearn.cli.options import read_options

# Options that act on the parsing itself and are not in what it returns; `--recipe` is taken out before.
OF_THE_PARSER = {"config", "print_config", "help", "recipe"}
MODEL_AND_DATA = ["--model=ELR", "--data=Digits"]


def printed(command: str, *args: str) -> dict[str, Any]:
    out = StringIO()
    with redirect_stdout(out), pytest.raises(SystemExit) as ended:
        main([command, *args, "--print_config"])
    assert ended.value.code == 0
    config: dict[str, Any] = yaml.safe_load(out.getvalue().split("\n", 1)[1])
    return config


def test_the_options_are_those_of_the_four_parsers() -> None:
    known = set().union(*(printed(command, *MODEL_AND_DATA) for command in TRAINING))
    assert set(TOP_LEVEL) == known | OF_THE_PARSER
    assert len(TOP_LEVEL) == len(set(TOP_LEVEL))


TAKEN: dict[str, list[str]] = {
    "nothing": [],
    "short names": [*MODEL_AND_DATA, "--model.lam", "3", "--data.noise_rate", "0.4"],
    "the long form": ["--model.class_path=ELR", "--model.init_args.lam=3", "--data=Digits"],
    "our classes by their paths": [
        "--model=noisylearn.ELR",
        "--model.lam=3",
        "--data=noisylearn.data.Digits",
        "--data.noise=none",
    ],
    "a third party's classes": [
        "--model=tests.e2e.theirs.Method",
        "--model.mine=3",
        "--data=tests.e2e.theirs.Data",
        "--data.seed=1",
    ],
    "a negative number": [*MODEL_AND_DATA, "--data.noise_seed", "-1"],
    "options of the Trainer": [*MODEL_AND_DATA, "--trainer.max_epochs=3", "--trainer.devices", "1"],
    "a callback's arguments": [
        *MODEL_AND_DATA,
        "--trainer.callbacks+=LearningRateMonitor",
        "--trainer.callbacks.logging_interval=step",
    ],
    "a dictionary's entry": [*MODEL_AND_DATA, "--model.optimizer_args.momentum=0.8"],
}


@pytest.mark.parametrize("case", TAKEN)
def test_what_the_parser_takes_passes(case: str) -> None:
    check_names(TAKEN[case])
    if TAKEN[case]:
        printed("fit", *TAKEN[case])


@pytest.mark.parametrize("value", ["theirs.Method", "my.package.deep.ELRR", "noisylearn.methods.elr.ELR", "model.yaml"])
def test_a_dotted_name_is_its_owners(value: str) -> None:
    check_names(["--model", value, "--model.whatever", "3"])


def test_a_later_class_is_the_one_whose_arguments_count(tmp_path: Path) -> None:
    file = tmp_path / "elr.yaml"
    file.write_text(yaml.safe_dump({"model": {"class_path": "ELR", "init_args": {"lam": 3.0}}}), encoding="utf-8")
    check_names(["--config", str(file), "--model.beta=0.5"])
    check_names(["--config", str(file), "--model=CoTeaching", "--model.exponent=2"])
    with pytest.raises(ValueError, match="no argument of CoTeaching `beta`"):
        check_names(["--config", str(file), "--model=CoTeaching", "--model.beta=0.5"])
    with pytest.raises(ValueError, match="no argument of ELR `exponent`"):
        check_names(["--model.exponent=2"], [file])


def test_a_class_counts_from_where_its_file_stands(tmp_path: Path) -> None:
    file = tmp_path / "elr.yaml"
    file.write_text("model: {init_args: {lam: 3.0}, class_path: ELR}\n", encoding="utf-8")  # arguments first
    check_names(["--model=CoTeaching", "--model.exponent=2", "--config", str(file), "--model.beta=0.5"])
    with pytest.raises(ValueError, match="no argument of ELR `exponent`"):
        check_names(["--model=CoTeaching", "--config", str(file), "--model.exponent=2"])


@pytest.mark.parametrize("name", ["num_classes", "num_samples", "in_channels", "image_size", "noise_rate"])
@pytest.mark.parametrize("model", ["CoTeaching", "tests.e2e.theirs.Method"])
def test_an_argument_that_the_data_decides_is_refused(model: str, name: str) -> None:
    with pytest.raises(ValueError, match=rf"`--model.{name}` is taken from the data.*\nleave it out"):
        check_names([f"--model={model}", f"--model.init_args.{name}=1"])


def test_an_argument_that_a_method_does_not_have_is_no_matter_of_the_data() -> None:
    with pytest.raises(ValueError, match="no argument of ELR `noise_rate`"):
        check_names(["--model=ELR", "--model.noise_rate=0.3"])


NEEDED: dict[str, tuple[list[str], str]] = {
    "nothing": ([], "`noisylearn fit` needs `--model` and `--data`: e.g. --model ELR "),
    "a method alone": (["--model=ELR", "--model.lam=3"], "`noisylearn fit` needs `--data`: e.g. --model ELR "),
    "arguments alone": (["--model.lam=3", "--data=Digits"], "`noisylearn fit` needs `--model`: e.g. --model ELR "),
    "null": (["--model=null", "--data=Digits"], "`noisylearn fit` needs `--model`: e.g. --model ELR "),
}


@pytest.mark.parametrize("case", NEEDED)
def test_what_is_missing_is_named_in_two_lines(case: str) -> None:
    args, message = NEEDED[case]
    with pytest.raises(ValueError, match="`noisylearn fit` needs") as told:
        check_needed("fit", read_options(args))
    first, second = str(told.value).splitlines()
    assert first.startswith(message)
    assert "`noisylearn list methods`" in second


@pytest.mark.parametrize("option", ["--run={run}", "--ckpt_path={run}/checkpoints/last.ckpt"])
def test_what_is_missing_is_in_the_runs_own_configuration(option: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").touch()
    with pytest.raises(ValueError, match="`noisylearn test` needs `--model` and `--data`") as told:
        check_needed("test", read_options([option.format(run=tmp_path)]))
    assert f": e.g. --config {tmp_path / 'config.yaml'}\n" in str(told.value)


def test_what_is_needed_may_come_from_anywhere(tmp_path: Path) -> None:
    file = tmp_path / "both.yaml"
    file.write_text("model: ELR\ndata: {class_path: Digits}\n", encoding="utf-8")
    for args in (
        ["-c", str(file)],
        MODEL_AND_DATA,
        ["--model.class_path=a.B", "--data=a.C"],
        ["--config=s3://a/b.yaml"],
    ):
        check_needed("fit", read_options(args))
    check_needed("fit", read_options([], [file]))
    check_needed("fit", read_options(['--config={"model": {"class_path": "ELR"}, "data": "Digits"}']))


LOGGERS: dict[str, tuple[list[str], str]] = {
    "an unknown one": (["--trainer.logger", "CSVLoger"], "no logger `CSVLoger`; did you mean `CSVLogger`"),
    "one without its folder": (
        ["--trainer.logger=TensorBoardLogger", "--trainer.logger.name=mine"],
        "the logger TensorBoardLogger needs `save_dir`\ne.g. --trainer.logger TensorBoardLogger --trainer.logger.save_",
    ),
    "one in a configuration": (
        ['--config={"trainer": {"logger": {"class_path": "CSVLogger", "init_args": {"name": "mine"}}}}'],
        "the logger CSVLogger needs `save_dir`\n",
    ),
}


@pytest.mark.parametrize("case", LOGGERS)
def test_a_logger_that_cannot_be_made_is_told_in_two_lines(case: str) -> None:
    args, message = LOGGERS[case]
    with pytest.raises(ValueError, match="logger") as told:
        check_needed("fit", read_options([*MODEL_AND_DATA, *args]))
    assert str(told.value).startswith(message)
    assert len(str(told.value).splitlines()) == 2


TAKEN_LOGGERS = {
    "none": ["--trainer.logger=false"],
    "Lightning's default": ["--trainer.logger", "true"],
    "one with its folder": ["--trainer.logger=CSVLogger", "--trainer.logger.save_dir=logs"],
    "the long form": ["--trainer.logger.class_path=CSVLogger", "--trainer.logger.init_args.save_dir=logs"],
    "one that needs nothing": ["--trainer.logger=MLFlowLogger"],
    "a third party's": ["--trainer.logger=theirs.Logger"],
    "a list": ['--trainer.logger=[{"class_path": "CSVLogger", "init_args": {"save_dir": "logs"}}]'],
    "a list in a configuration": [
        '--config={"trainer": {"logger": [{"class_path": "CSVLogger", "init_args": {"save_dir": "logs"}}]}}'
    ],
}


@pytest.mark.parametrize("case", TAKEN_LOGGERS)
def test_a_logger_that_the_parser_takes_passes(case: str) -> None:
    check_needed("fit", read_options([*MODEL_AND_DATA, *TAKEN_LOGGERS[case]]))
    if case != "a third party's":
        printed("fit", *MODEL_AND_DATA, *TAKEN_LOGGERS[case])
