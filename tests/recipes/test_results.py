"""A committed result says how it was made, and its command is one that makes it."""

from __future__ import annotations

import csv
import re
import shlex
from typing import Any

import pytest

from noisylearn.bench import markdown, method_recipes, read_rows, recipe_names
from noisylearn.bench.grid import COLUMNS
from noisylearn.bench.recipes import recipe_root
from tests.recipes.parsing import parsed

FRACTIONS = ("test_last", "test_best_oracle", "memorized_last", "aum_average_precision", "aum_auroc")
FILES = sorted(recipe_root().glob("*/results.csv"))
ROWS = [
    (file.parent.name, row)
    for file in FILES
    for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines(), restkey="too many", restval="")
]
PARSED = [(folder, row) for folder, row in ROWS if folder != "digits" or row["seed"] == "0"]
"""Those whose command is parsed: of digits' hundreds one seed of each cell, as parsing takes its time."""
each_row = pytest.mark.parametrize(("folder", "row"), ROWS, ids=[f"{row['recipe']}-{row['seed']}" for _, row in ROWS])
each_command = pytest.mark.parametrize(
    ("folder", "row"), PARSED, ids=[f"{row['recipe']}-{row['seed']}" for _, row in PARSED]
)


def command_of(row: dict[str, str]) -> tuple[list[str], dict[str, Any]]:
    """The recipes that a row's command names, and the configuration that it stands for."""
    program, subcommand, *args = shlex.split(row["command"])
    assert (program, subcommand) == ("noisylearn", "fit")
    return [args[i + 1] for i, arg in enumerate(args) if arg == "--recipe"], parsed(*args)


def test_the_results_of_cifar10n_are_there() -> None:
    made = [(row["method"], row["seed"]) for folder, row in ROWS if folder == "cifar10n"]
    assert set(made) == {(m, s) for m in ("CrossEntropy", "ELR", "CoTeaching") for s in "012"}
    assert len(made) == len(set(made))


NOISE = {"symmetric40": 0.4, "pair45": 0.45, "asymmetric40": 0.2, "instance40": 0.4}
"""The overlays of digits, and the part of the labels that they make wrong."""


def test_the_results_of_digits_are_of_its_methods_under_its_noises() -> None:
    made = [(row["recipe"], row["seed"]) for folder, row in ROWS if folder == "digits"]
    cells = {f"{recipe}+digits/{noise}" for recipe in method_recipes(["digits/*"]) for noise in NOISE}
    assert {cell for cell, _ in made} <= cells
    assert {seed for _, seed in made} == set("012")
    assert len(made) == len(set(made))
    baseline = {(f"digits/cross_entropy+digits/{noise}", seed) for noise in NOISE for seed in "012"}
    assert baseline <= set(made)


def test_the_table_of_means_is_that_of_the_rows() -> None:
    folder = recipe_root() / "digits"
    assert (folder / "results.md").read_text(encoding="utf-8") == markdown(read_rows(folder / "results.csv"))


@each_row
def test_a_row_is_whole(folder: str, row: dict[str, str]) -> None:
    assert tuple(row) == COLUMNS
    assert all(value for name, value in row.items() if name != "test_last_ensemble")
    assert all(0 <= float(row[name]) <= 1 for name in FRACTIONS)
    assert float(row["test_best_oracle"]) >= float(row["test_last"])
    assert re.fullmatch(r"[0-9a-f]{12}", row["commit"]), "the commit of a clean checkout"
    assert re.fullmatch(r"[0-9a-f]{12}", row["noise_sha1"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", row["torch"])
    assert float(row["minutes"]) > 0
    overlay = row["recipe"].rpartition("/")[2]
    expected = pytest.approx(NOISE[overlay], abs=0.05) if folder == "digits" else 0.4186
    assert float(row["realised_noise_rate"]) == expected


def test_commands_of_other_seeds_differ_in_nothing_else() -> None:
    commands: dict[str, set[str]] = {}
    for folder, row in ROWS:
        if folder == "digits":
            commands.setdefault(row["recipe"], set()).add(re.sub(rf" {row['seed']}\b", " SEED", row["command"]))
    assert {len(each) for each in commands.values()} <= {1}


@each_command
def test_its_command_makes_this_run(folder: str, row: dict[str, str]) -> None:
    names, config = command_of(row)
    assert names == row["recipe"].split("+")
    assert set(names) <= set(recipe_names())
    assert all(name.startswith(f"{folder}/") for name in names)
    assert config["model"]["class_path"].rsplit(".", 1)[-1] == row["method"]
    assert config["seed_everything"] == config["data"]["init_args"]["seed"] == int(row["seed"])
    assert (config["trainer"]["precision"] or "32-true") == row["precision"]


@each_command
def test_a_schedule_is_the_recipes_and_marked_where_it_is_reduced(folder: str, row: dict[str, str]) -> None:
    _, config = command_of(row)
    if folder == "digits":
        assert config["reduced"] is False
        assert row["schedule"] == f"{config['trainer']['max_epochs']} epochs"
        assert config["data"]["init_args"]["noise_seed"] == int(row["seed"])
        return
    assert config["reduced"] is True
    assert row["schedule"].startswith("reduced (")
    data, model = config["data"]["init_args"], config["model"]["init_args"]
    assert f"{config['trainer']['max_epochs']} epochs" in row["schedule"]
    assert f"first {data['num_train']} images" in row["schedule"]
    assert model["backbone"] in row["schedule"]
    assert ("no augmentation" in row["schedule"]) == (data["augment"] is False)
