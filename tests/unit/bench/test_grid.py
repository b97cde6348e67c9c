"""A grid makes each of its runs once, and its rows say how each was made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from noisylearn.bench import grid_jobs, grid_rows, markdown, method_recipes, read_rows, recipe_names, write_rows
from noisylearn.bench.grid import COLUMNS

RECIPES, OVERLAYS = ["digits/elr", "digits/co_teaching"], ["digits/pair45", "digits/instance40"]


def finish(out: Path, **changes: Any) -> None:
    """Leave in each run's folder what a training leaves."""
    for number, job in enumerate(grid_jobs(RECIPES, OVERLAYS, [0, 1], out)):
        job.write()
        result = {
            "completed": True,
            "method": job.config["model"]["class_path"],
            "epochs": 60,
            "reduced": False,
            "test_last": 0.5 + number / 100,
            "test_best": 0.75,
            "ensemble_last": None,
            "memorized_last": 0.25,
            "detection": {"aum": {"auroc": 0.9, "average_precision": 0.8}},
            "noise": {"realised_rate": 0.4516, "sha1": "f165d6f4f944aaaa"},
            "precision": "32-true",
            "hardware": {"device": "cpu", "num_processes": 1, "cpu": "a CPU", "cpu_threads": 1},
            "versions": {"torch": "2.15.0+cu130"},
            "commit": "c90212a105c4",
            "minutes": 0.5,
        }
        (job.run / "result.json").write_text(json.dumps(result | changes), encoding="utf-8")


def test_a_grid_has_each_recipe_under_each_overlay_with_each_seed() -> None:
    jobs = grid_jobs(RECIPES, OVERLAYS, [0, 1], Path("runs"))
    assert len({job.name for job in jobs}) == len(jobs) == 8
    for job in jobs:
        seed, data = job.config["seed_everything"], job.config["data"]["init_args"]
        assert data["seed"] == data["noise_seed"] == seed == int(job.name[-1])
        assert data["noise"] == ("pair_flip" if "pair45" in job.name else "instance_dependent")
    plain = grid_jobs(RECIPES, [], [0], Path("runs"))
    assert [job.name for job in plain] == ["digits-elr-0", "digits-co_teaching-0"]


def test_rows_are_of_finished_runs_and_say_how_they_were_made(tmp_path: Path) -> None:
    assert grid_rows(RECIPES, OVERLAYS, [0, 1], tmp_path) == []
    finish(tmp_path)
    rows = grid_rows(RECIPES, OVERLAYS, [0, 1], tmp_path)
    assert [tuple(row) for row in rows] == [COLUMNS] * 8
    assert rows[0]["recipe"] == "digits/elr+digits/pair45"
    assert rows[0]["command"] == (
        "noisylearn fit --recipe digits/elr --recipe digits/pair45 --seed_everything 0 --data.init_args.seed 0 "
        "--data.init_args.noise_seed 0"
    )
    assert (rows[0]["test_last"], rows[0]["test_last_ensemble"], rows[0]["torch"]) == ("0.5000", "", "2.15.0")
    assert (rows[0]["hardware"], rows[0]["schedule"], rows[0]["noise_sha1"]) == (
        "a CPU, 1 thread",
        "60 epochs",
        "f165d6f4f944",
    )


def test_a_new_row_replaces_the_old_one_and_leaves_the_others(tmp_path: Path) -> None:
    finish(tmp_path / "runs")
    rows = grid_rows(RECIPES, OVERLAYS, [0, 1], tmp_path / "runs")
    file = tmp_path / "results" / "results.csv"
    write_rows(file, rows[:5])
    write_rows(file, [rows[0] | {"test_last": "0.9000"}, *rows[5:]])
    written = read_rows(file)
    assert len(written) == 8
    assert {row["recipe"] for row in written} == {row["recipe"] for row in rows}
    assert next(r for r in written if (r["recipe"], r["seed"]) == (rows[0]["recipe"], "0"))["test_last"] == "0.9000"
    assert file.with_name("results.md").read_text(encoding="utf-8") == markdown(written)
    assert file.read_text(encoding="utf-8").splitlines()[0] == ",".join(COLUMNS)


def test_means_and_deviations_are_over_the_seeds_of_a_recipe(tmp_path: Path) -> None:
    finish(tmp_path)
    text = markdown(grid_rows(RECIPES, OVERLAYS, [0, 1], tmp_path))
    pair, instance = text.split("## ")[1:]
    # Of numbers 0 and 4 in order of seeds: 0.50 and 0.54.
    assert "| elr | ELR | 52.0 ± 2.8 | 75.0 ± 0.0 | 25.0 ± 0.0 | 80.0 ± 0.0 | 0.5 | 2 |" in pair
    assert instance.startswith("digits/instance40")


def test_a_pattern_is_all_recipes_that_name_a_method() -> None:
    found = method_recipes(["digits/*", "digits/elr"])
    assert len(found) == len(set(found))
    assert {"digits/elr", "digits/cross_entropy"} <= set(found)
    assert set(recipe_names()) - set(found) >= {"digits/pair45", "cifar10n/small", "cifar10n/elr"}
    with pytest.raises(ValueError, match="no recipe `digit/"):
        method_recipes(["digit/*"])
