"""A committed result says how it was made, and its command is one that makes it."""

from __future__ import annotations

import csv
import math
import re
import shlex
from typing import Any

import pytest

from noisylearn.bench import recipe_names
from noisylearn.bench.recipes import recipe_root
from tests.recipes.parsing import parsed

COLUMNS = """recipe,method,seed,schedule,test_last,test_best_oracle,test_last_ensemble,memorized_last,
aum_average_precision,aum_auroc,realised_noise_rate,noise_sha1,precision,hardware,torch,commit,minutes,command"""
FRACTIONS = ("test_last", "test_best_oracle", "memorized_last", "aum_average_precision", "aum_auroc")
FILES = sorted(recipe_root().glob("*/results.csv"))
ROWS = [
    (file.parent.name, row)
    for file in FILES
    for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines(), restkey="too many", restval="")
]
each_row = pytest.mark.parametrize(("folder", "row"), ROWS, ids=[f"{row['recipe']}-{row['seed']}" for _, row in ROWS])


def command_of(row: dict[str, str]) -> tuple[list[str], dict[str, Any]]:
    """The recipes that a row's command names, and the configuration that it stands for."""
    program, subcommand, *args = shlex.split(row["command"])
    assert (program, subcommand) == ("noisylearn", "fit")
    return [args[i + 1] for i, arg in enumerate(args) if arg == "--recipe"], parsed(*args)


def test_the_results_of_cifar10n_are_there() -> None:
    assert [file.parent.name for file in FILES] == ["cifar10n"]
    made = {(row["method"], row["seed"]) for _, row in ROWS}
    assert made == {(m, s) for m in ("CrossEntropy", "ELR", "CoTeaching") for s in "012"}
    assert len(ROWS) == len(made)


@each_row
def test_a_row_is_whole(folder: str, row: dict[str, str]) -> None:
    assert list(row) == COLUMNS.replace("\n", "").split(",")
    assert all(value for name, value in row.items() if name != "test_last_ensemble")
    assert bool(row["test_last_ensemble"]) == (row["method"] == "CoTeaching")
    assert all(0 <= float(row[name]) <= 1 for name in FRACTIONS)
    assert float(row["test_best_oracle"]) >= float(row["test_last"])
    assert re.fullmatch(r"[0-9a-f]{12}", row["commit"]), "the commit of a clean checkout"
    assert re.fullmatch(r"[0-9a-f]{12}", row["noise_sha1"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", row["torch"])
    assert float(row["minutes"]) > 0
    assert math.isclose(float(row["realised_noise_rate"]), 0.4186)


@each_row
def test_its_command_makes_this_run(folder: str, row: dict[str, str]) -> None:
    names, config = command_of(row)
    assert names == row["recipe"].split("+")
    assert set(names) <= set(recipe_names())
    assert all(name.startswith(f"{folder}/") for name in names)
    assert config["model"]["class_path"].rsplit(".", 1)[-1] == row["method"]
    assert config["seed_everything"] == config["data"]["init_args"]["seed"] == int(row["seed"])
    assert config["trainer"]["precision"] == row["precision"]


@each_row
def test_a_reduced_schedule_is_marked_and_is_the_recipes(folder: str, row: dict[str, str]) -> None:
    _, config = command_of(row)
    assert config["reduced"] is True
    assert row["schedule"].startswith("reduced (")
    data, model = config["data"]["init_args"], config["model"]["init_args"]
    assert f"{config['trainer']['max_epochs']} epochs" in row["schedule"]
    assert f"first {data['num_train']} images" in row["schedule"]
    assert model["backbone"] in row["schedule"]
    assert ("no augmentation" in row["schedule"]) == (data["augment"] is False)
