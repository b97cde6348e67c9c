"""Jobs run in processes of their own, each once, and a failure or a stop of one takes nothing from the others."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from noisylearn.bench import run_jobs
from tests.unit.bench.fits import fail_where_asked, job, note_threads, succeed, take_a_while


@pytest.fixture
def quiet() -> Console:
    return Console(file=io.StringIO())


def processes(folder: Path) -> dict[str, int]:
    """Which process finished which run."""
    files = sorted(folder.glob("*/result.json"))
    return {f.parent.name: json.loads(f.read_text(encoding="utf-8"))["process"] for f in files}


def test_each_job_is_made_once_in_another_process(tmp_path: Path, quiet: Console) -> None:
    jobs = [job(tmp_path / name, seed=0) for name in "abc"]
    assert run_jobs(jobs[:2], succeed, workers=1, console=quiet) == 2
    first = processes(tmp_path)
    assert first.keys() == {"a", "b"}
    assert os.getpid() not in first.values()
    assert len(set(first.values())) == 1  # one worker, which takes one job after the other
    assert run_jobs(jobs, succeed, workers=2, console=quiet) == 1
    second = processes(tmp_path)
    assert second.keys() == {"a", "b", "c"}
    assert second.items() >= first.items()
    assert run_jobs(jobs, succeed, console=quiet) == 0
    assert processes(tmp_path) == second


def test_nothing_is_run_where_a_run_with_other_settings_would_be_lost(tmp_path: Path, quiet: Console) -> None:
    run_jobs([job(tmp_path / "b", seed=0)], succeed, workers=1, console=quiet)
    before = processes(tmp_path)
    with pytest.raises(FileExistsError, match=r"/b' holds a run with other settings: choose another `--out`"):
        run_jobs([job(tmp_path / name, seed=1) for name in "abc"], succeed, workers=1, console=quiet)
    assert processes(tmp_path) == before
    assert not (tmp_path / "a").exists()


def test_the_others_finish_and_the_error_names_the_run_that_failed(tmp_path: Path, quiet: Console) -> None:
    how = {"a": {}, "b": {"fail": "no such file"}, "c": {"fail": "exit"}, "d": {}}
    jobs = [job(tmp_path / name, **data) for name, data in how.items()]
    with pytest.raises(RuntimeError, match=r"the run '.*/b' failed \(and 1 more\): no such file") as caught:
        run_jobs(jobs, fail_where_asked, workers=1, console=quiet)
    assert isinstance(caught.value.__cause__, ValueError)
    assert [j.name for j in jobs if j.done] == ["a", "d"]
    assert run_jobs(jobs[3:], fail_where_asked, workers=1, console=quiet) == 0


def test_workers_share_the_cores_by_the_number_asked_for(tmp_path: Path, quiet: Console) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    run_jobs([job(tmp_path / "a")], note_threads, workers=2, console=quiet)  # of which one is enough
    assert (tmp_path / "a" / "threads").read_text(encoding="utf-8") == str(max(cores // 2, 1))


@pytest.mark.parametrize("workers", [0, -1])
def test_a_number_of_workers_below_one_is_refused(workers: int, tmp_path: Path, quiet: Console) -> None:
    with pytest.raises(ValueError, match=rf"`workers` must be at least 1, got {workers}"):
        run_jobs([job(tmp_path / "a")], succeed, workers=workers, console=quiet)
    assert not (tmp_path / "a").exists()


STOPPED = """
import os, signal, sys
from pathlib import Path
from noisylearn.bench import local
from tests.unit.bench.fits import job, never_end

folder, how = sys.argv[1:]
if how:  # a signal that comes while the workers are still starting
    local._drain = lambda epochs: os.kill(0 if how == "SIGINT" else os.getpid(), signal.Signals[how])
try:
    local.run_jobs([job(Path(folder, str(i))) for i in range(4)], never_end, workers=2)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture
def started(request: pytest.FixtureRequest, checkout: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Four endless jobs in two workers, in a process group of their own."""
    command = [sys.executable, "-c", STOPPED, str(tmp_path), getattr(request, "param", "")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=checkout, text=True, start_new_session=True, **pipes) as process:
        yield process
        if process.stdout is not None and not process.stdout.closed:  # a test has failed: leave nothing behind
            os.killpg(process.pid, signal.SIGKILL)


def end(process: subprocess.Popen[str]) -> str:
    """Wait for the last process that shares the output, orphans included; return what was said on stderr."""
    return process.communicate(timeout=30)[1]


@pytest.mark.parametrize("started", ["SIGINT", "SIGKILL"], indirect=True)
def test_workers_that_are_starting_end_with_their_parent(
    started: subprocess.Popen[str], request: pytest.FixtureRequest
) -> None:
    said = end(started)
    if request.node.callspec.params["started"] == "SIGINT":
        assert (started.returncode, said) == (130, "")
    else:
        assert started.returncode == -signal.SIGKILL


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_workers_that_train_end_with_their_parent(started: subprocess.Popen[str], how: signal.Signals) -> None:
    assert started.stdout is not None
    begun = {started.stdout.readline() for _ in range(2)}
    assert begun == {"training 0\n", "training 1\n"}
    if how == signal.SIGINT:  # which a terminal sends to all of them
        os.killpg(started.pid, how)
        assert (end(started), started.returncode) == ("", 130)
    else:
        started.send_signal(how)
        end(started)
        assert started.returncode == -how


def test_when_the_time_is_up_what_is_done_stays_and_the_rest_is_for_the_next_call(
    tmp_path: Path, quiet: Console
) -> None:
    jobs = [job(tmp_path / "quick"), job(tmp_path / "slow", slow=True), job(tmp_path / "last")]
    started = time.monotonic()
    assert run_jobs(jobs, take_a_while, workers=1, console=quiet, minutes=0.15) == 1
    assert time.monotonic() - started < 25
    assert processes(tmp_path).keys() == {"quick"}
    (tmp_path / "slow" / "again").touch()
    assert run_jobs(jobs, take_a_while, workers=1, console=quiet) == 2
    assert processes(tmp_path).keys() == {"quick", "slow", "last"}


@pytest.mark.parametrize("minutes", [0, -1.0, float("nan")])
def test_no_time_at_all_is_refused(minutes: float, tmp_path: Path, quiet: Console) -> None:
    with pytest.raises(ValueError, match="`minutes` must be above 0"):
        run_jobs([job(tmp_path / "a")], succeed, console=quiet, minutes=minutes)
