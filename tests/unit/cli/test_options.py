"""What a command gives is read as its parser reads it, in the order in which it applies."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from noisylearn.cli.options import expand_recipes, given, only_asks, read_options

READ = {
    "--name value": (["--model", "ELR"], [("model", "ELR")]),
    "--name=value": (["--model=ELR", "--data=Digits"], [("model", "ELR"), ("data", "Digits")]),
    "init_args": (["--model.init_args.lam=3"], [("model.lam", "3")]),
    "appending": (["--trainer.callbacks+=Timer"], [("trainer.callbacks", "Timer")]),
    "a negative number": (["--data.noise_seed", "-1"], [("data.noise_seed", "-1")]),
    "an = in a value": (["--config=", "--run=a=b"], [("config", None), ("run", "a=b")]),
    "null": (["--run", "null"], [("run", None)]),
    "an empty value": (["--run=", "--cell", ""], [("run", None), ("cell", None)]),
    "flags": (["-h", "--print_config"], [("help", None), ("print_config", None)]),
}


@pytest.mark.parametrize("case", READ)
def test_an_option_is_read(case: str) -> None:
    args, expected = READ[case]
    assert read_options(args) == expected


@pytest.mark.parametrize("form", [["-c", "{}"], ["-c{}"], ["-c={}"], ["--config", "{}"], ["--config={}"]])
def test_a_file_applies_where_it_stands(form: list[str], tmp_path: Path) -> None:
    file, first = tmp_path / "run.yaml", tmp_path / "first.yaml"
    file.write_text(yaml.safe_dump({"run": "from-file", "data": {"init_args": {"seed": 3}}}), encoding="utf-8")
    first.write_text("run: first\n", encoding="utf-8")
    args = [part.format(file) for part in form]
    assert given(read_options(["--run=before", *args], [first]), "run") == "from-file"
    assert given(read_options([*args, "--run=after"], [first]), "run") == "after"
    assert given(read_options([], [first]), "run") == "first"
    assert [name for name, _ in read_options(args)] == ["config", "data", "data.init_args", "data.seed", "run"]


@pytest.mark.parametrize("words", [["digits/elr"], ["--model", "ELR", "CoTeaching"], ["--run=a", "b"]])
def test_a_word_that_belongs_to_no_option_is_refused(words: list[str]) -> None:
    with pytest.raises(ValueError, match=f"'{words[-1]}' belongs to no option: a value follows its option's name"):
        read_options(words)


BROKEN = {
    "no YAML": (b"model: ELR\ndata: [1, 2\n", "the configuration '{file}' is not valid YAML: line 3: "),
    "a list": (b"- a\n- b\n", "the configuration '{file}' must hold options by name, got a list: "),
    "a word": (b"just text", "the configuration '{file}' must hold options by name, got a str: "),
    "no text": (b"\xff\xfe\x00", "`--config` must name a YAML file, got '{file}', which is no text"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_cannot_be_read_is_named(case: str, tmp_path: Path) -> None:
    content, message = BROKEN[case]
    file = tmp_path / "broken.yaml"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.yaml") as told:
        read_options(["--config", str(file)])
    assert str(told.value).startswith(message.format(file=file))
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["", "confg.yaml"])
def test_a_file_that_is_not_there_is_told_with_those_that_are(name: str, tmp_path: Path) -> None:
    missing = tmp_path / name
    with pytest.raises(
        ValueError, match=r"`--config` must name a YAML file, got .* \((Is a|No such).*\): check the path"
    ):
        read_options([f"--config={missing}"])
    (tmp_path / "config.yaml").touch()
    with pytest.raises(ValueError, match="`--config` must name a YAML file") as told:
        read_options([f"--config={missing}"])
    assert str(told.value).endswith(f": there is {tmp_path / 'config.yaml'}")


def test_an_empty_file_gives_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").touch()
    assert read_options([], [tmp_path / "empty.yaml"]) == []


@pytest.mark.parametrize("name", ["help", "model.help", "trainer.logger.help", "print_config"])
def test_what_only_asks_runs_nothing(name: str) -> None:
    assert only_asks(read_options(["--model=ELR", f"--{name}"]))
    assert not only_asks(read_options(["--model=ELR", f"--{name}s"]))


def test_recipes_are_taken_out_in_their_order() -> None:
    rest, files = expand_recipes(["--recipe=digits/elr", "--run", "a", "--recipe", "cifar10n/small"])
    assert rest == ["--run", "a"]
    assert [f"{file.parent.name}/{file.stem}" for file in files] == [
        "digits/_base", "digits/elr", "cifar10n/_base", "cifar10n/small",
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"`--recipe` needs a name, e\.g\. cifar10n/elr"):
        expand_recipes(["--recipe"])
