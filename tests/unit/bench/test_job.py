"""A run's folder is its key: a finished result of the same configuration is not made again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from noisylearn.bench import Job
from noisylearn.bench.job import holds_run
from noisylearn.bench.recipes import merge

CONFIG = {"model": {"class_path": "ELR", "init_args": {"lam": 3.0}}, "seed_everything": 0}


def finish(job: Job, completed: bool = True) -> None:
    job.write()
    (job.run / "result.json").write_text(json.dumps({"completed": completed}), encoding="utf-8")


def test_a_folder_with_the_finished_result_of_this_configuration_is_done(tmp_path: Path) -> None:
    job = Job(tmp_path / "elr-0", CONFIG)
    assert not job.done
    finish(job)
    assert job.done
    assert Job(tmp_path / "elr-0", json.loads(json.dumps(CONFIG))).done
    assert not Job(tmp_path / "elr-1", CONFIG).done


@pytest.mark.parametrize("change", [{"seed_everything": 1}, {"model": {"init_args": {"lam": 7.0}}}, {"cell": "a/b"}])
def test_a_changed_configuration_is_another_run(tmp_path: Path, change: dict[str, Any]) -> None:
    finish(Job(tmp_path, CONFIG))
    assert not Job(tmp_path, merge(CONFIG, change)).done


def test_the_order_of_the_keys_is_no_change(tmp_path: Path) -> None:
    finish(Job(tmp_path, CONFIG))
    assert Job(tmp_path, dict(reversed(CONFIG.items()))).done


def test_a_run_that_was_stopped_is_not_done(tmp_path: Path) -> None:
    job = Job(tmp_path, CONFIG)
    finish(job, completed=False)
    assert not job.done


def test_a_result_that_no_job_wrote_is_not_this_jobs(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps({"completed": True}), encoding="utf-8")
    assert not Job(tmp_path, CONFIG).done


def test_a_run_that_begins_anew_is_not_done_until_it_ends(tmp_path: Path) -> None:
    job = Job(tmp_path, CONFIG)
    finish(job)
    job.write()
    assert not job.done


def test_the_configuration_is_written_with_the_run_folder(tmp_path: Path) -> None:
    file = Job(tmp_path / "new" / "elr-0", CONFIG).write()
    assert file.parent == tmp_path / "new" / "elr-0"
    assert yaml.safe_load(file.read_text(encoding="utf-8")) == {**CONFIG, "run": str(file.parent)}


@pytest.mark.parametrize("name", ["result.json", "metrics.csv", "checkpoints/last.ckpt"])
def test_the_run_of_another_configuration_is_not_overwritten(name: str, tmp_path: Path) -> None:
    theirs, mine = Job(tmp_path, merge(CONFIG, {"seed_everything": 1})), Job(tmp_path, CONFIG)
    theirs.write()
    mine.check_folder()  # nothing was made yet
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("{}", encoding="utf-8")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    for act in (mine.check_folder, mine.write):
        with pytest.raises(FileExistsError, match=rf"'{tmp_path}' holds a run with other settings: .* another `--out`"):
            act()
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
    theirs.check_folder()


def test_a_run_that_no_job_made_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").touch()
    with pytest.raises(FileExistsError, match="holds a run with other settings"):
        Job(tmp_path, CONFIG).write()


def test_what_an_unfinished_run_has_saved_stays(tmp_path: Path) -> None:
    job = Job(tmp_path, CONFIG)
    finish(job, completed=False)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    job.write()
    assert (tmp_path / "checkpoints" / "last.ckpt").is_file()
    assert not (tmp_path / "result.json").exists()  # it is that of an interruption


@pytest.mark.parametrize("name", ["result.json", "job.json"])
def test_a_file_that_was_cut_short_is_no_result(name: str, tmp_path: Path) -> None:
    job = Job(tmp_path, CONFIG)
    finish(job)
    (tmp_path / name).write_text('{"comp', encoding="utf-8")
    assert not job.done


def test_a_folder_holds_a_run_from_its_first_file_on(tmp_path: Path) -> None:
    Job(tmp_path, CONFIG).write()
    assert not holds_run(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.yaml").touch()
    assert not holds_run(tmp_path)  # of a fit that failed in its first epoch: there is nothing to lose
    (tmp_path / "checkpoints" / "epoch=0.ckpt").touch()
    assert holds_run(tmp_path)
    assert not holds_run(tmp_path / "job.json")
    assert not holds_run(tmp_path / "nothing")
