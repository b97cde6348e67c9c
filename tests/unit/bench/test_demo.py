"""The demo's jobs and its table."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from noisylearn.bench import demo_jobs, recipe_names, result_table, run_demo
from tests.unit.bench.fits import succeed


def result(method: str, last: float, best: float = 0.9, memorized: float | None = 0.5, **rest: Any) -> dict[str, Any]:
    scores = {"auroc": 0.8, "average_precision": 0.7}
    detection = {"aum": scores, "wrong_events": scores, "el2n": scores}
    values = {"test_last": last, "test_best": best, "memorized_last": memorized, "train_seconds": 4.0}
    return {"method": method, "detection": detection, **values, **rest}


def lines(results: list[dict[str, Any]], width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(result_table(results))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def row(results: list[dict[str, Any]], method: str) -> list[str]:
    return next(line.split() for line in lines(results) if line.strip().startswith(method))


def test_a_row_is_mean_and_sample_deviation_over_the_runs_of_a_method() -> None:
    results = [result("CrossEntropy", 0.60), result("ELR", 0.90), result("CrossEntropy", 0.70), result("ELR", 0.94)]
    assert row(results, "CrossEntropy")[:4] == ["CrossEntropy", "65.0±7.1", "90.0±0.0", "50.0±0.0"]
    assert row(results, "ELR")[1] == "92.0±2.8"
    assert any("n = 2" in line for line in lines(results))


def test_one_run_has_no_deviation() -> None:
    assert row([result("ELR", 0.9)], "ELR")[1:4] == ["90.0", "90.0", "50.0"]


def test_detectors_are_auroc_and_average_precision_in_their_own_columns() -> None:
    detection = {
        "aum": {"auroc": 0.91, "average_precision": 0.81},
        "wrong_events": {"auroc": 0.92, "average_precision": 0.82},
        "el2n": {"auroc": 1.0, "average_precision": 0.99996},
        "loss_mean": {"auroc": 0.1, "average_precision": 0.1},
    }
    other = {name: {k: v - 0.02 for k, v in scores.items()} for name, scores in detection.items()}
    assert row([result("ELR", 0.9, detection=detection)], "ELR")[4:7] == ["91.0/81.0", "92.0/82.0", "100/100"]
    both = [result("ELR", 0.9, detection=d) for d in (detection, other)]
    assert row(both, "ELR")[4:6] == ["90.0/80.0", "91.0/81.0"]
    header = " ".join(lines(both))
    assert header.index("AUM") < header.index("events") < header.index("EL2N")


def test_what_was_not_measured_is_a_dash_and_no_zero() -> None:
    assert row([result("ELR", 0.9, memorized=None, detection={})], "ELR")[3:7] == ["-", "-", "-", "-"]


def test_seconds_are_those_of_a_run() -> None:
    assert row([result("ELR", 0.9, train_seconds=10.0), result("ELR", 0.9, train_seconds=13.0)], "ELR")[-1] == "12s"


def test_the_table_fits_a_terminal_of_80_columns() -> None:
    perfect = {name: {"auroc": 0.999, "average_precision": 0.999} for name in ("aum", "wrong_events", "el2n")}
    results = [result("CrossEntropy", v, v, v, detection=perfect, train_seconds=100.0) for v in (0.1, 0.9)]
    assert max(map(len, lines(results))) <= 80
    assert not any("…" in line for line in lines(results))


def test_methods_stand_in_the_order_of_the_runs() -> None:
    table = "\n".join(lines([result("ELR", 0.9), result("CrossEntropy", 0.6)]))
    assert table.index("ELR") < table.index("CrossEntropy")


def test_each_seed_has_its_own_weights_order_and_noise() -> None:
    jobs = demo_jobs(Path("out"), epochs=7, seeds=(3, 8))
    assert [job.name for job in jobs][:3] == ["digits-cross_entropy-3", "digits-elr-3", "digits-co_teaching-3"]
    assert len({job.run for job in jobs}) == len({job.key for job in jobs}) == 6
    for job, seed in zip(jobs, (3, 3, 3, 8, 8, 8), strict=True):
        data = job.config["data"]["init_args"]
        assert (job.config["seed_everything"], data["seed"], data["noise_seed"]) == (seed, seed, seed)
        assert job.config["trainer"]["max_epochs"] == 7
        assert (data["noise"], data["noise_rate"]) == ("symmetric", 0.4)


def test_the_demo_runs_the_recipes_as_they_are_published(checkout: Path) -> None:
    base = yaml.safe_load((checkout / "recipes/digits/_base.yaml").read_text(encoding="utf-8"))
    job = demo_jobs(Path("out"))[0]
    assert job.config["model"]["init_args"] == base["model"]["init_args"]
    assert job.config["trainer"]["max_epochs"] == base["trainer"]["max_epochs"] == 60
    assert {"digits/cross_entropy", "digits/elr", "digits/co_teaching"} <= set(recipe_names())


@pytest.mark.parametrize("epochs", [0, -1])
def test_a_demo_without_epochs_is_refused(epochs: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"`epochs` must be at least 1, got {epochs}"):
        run_demo(tmp_path, succeed, epochs=epochs, console=Console(file=io.StringIO()))


@pytest.mark.parametrize("inside", ["file", "file/deeper"])
def test_a_demo_without_a_folder_is_refused(inside: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"`out` must be a folder, got '.*file.*' \(.*\): choose another"):
        run_demo(tmp_path / inside, succeed, console=Console(file=io.StringIO()))
