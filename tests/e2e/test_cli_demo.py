"""`noisylearn demo` from end to end: what it prints, what it leaves, what a second call does, after Ctrl-C too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from noisylearn.cli import main
from tests.methods.harness import differences

pytestmark = pytest.mark.slow
RUNS = {f"digits-{method}-{seed}" for method in ("cross_entropy", "elr", "co_teaching") for seed in (0, 1, 2)}


def test_the_demo_prints_its_table_and_page_and_makes_each_run_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["demo", "--epochs", "2", "--workers", "2", "--out", str(tmp_path)]
    assert main(command) == 0
    out, page = capsys.readouterr().out, tmp_path / "report.html"
    assert out.splitlines()[-1] == str(page)
    rows = [line.split() for line in out.splitlines()]
    for method in ("CrossEntropy", "ELR", "CoTeaching"):
        (row,) = (row for row in rows if row[:1] == [method])
        assert len(row) == 8
        assert all("±" in field for field in row[1:4])
    assert "n = 3" in out

    results = {file.parent.name: file for file in tmp_path.glob("*/result.json")}
    assert results.keys() == RUNS
    for file in results.values():
        result = json.loads(file.read_text(encoding="utf-8"))
        assert (result["completed"], result["epochs_run"]) == (True, 2)
    hashes = [json.loads(f.read_text(encoding="utf-8"))["noise"]["sha1"] for f in results.values()]
    assert len(set(hashes)) == 3  # one draw of the noise per seed, the same for all methods
    html = page.read_text(encoding="utf-8")
    assert page.stat().st_size < 8_000_000
    assert all(method in html for method in ("CrossEntropy", "ELR", "CoTeaching"))
    assert html.count('<img src="data:image/png') > 0  # the suspicious digits themselves

    before = {file: file.read_bytes() for file in tmp_path.glob("*/*") if file.is_file()}
    page.unlink()
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(page)
    assert page.is_file()
    assert {file: file.read_bytes() for file in tmp_path.glob("*/*") if file.is_file()} == before


def test_other_settings_do_not_overwrite_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "digits-elr-1"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "last.ckpt").touch()
    assert main(["demo", "--epochs", "2", "--out", str(tmp_path)]) == 1
    told = capsys.readouterr().err.splitlines()
    way_out = "choose another `--out`, or delete it to have it made anew"
    assert told == [f"noisylearn: the folder '{run}' holds a run with other settings: {way_out}"]
    assert [file.name for file in tmp_path.rglob("*")] == ["digits-elr-1", "checkpoints", "last.ckpt"]


EPOCHS = ["--epochs", "4", "--workers", "2"]


def test_ctrl_c_ends_the_demo_and_all_its_processes_and_a_second_call_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "cut"
    command = [sys.executable, "-m", "noisylearn.cli", "demo", *EPOCHS, "--out", str(out)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, start_new_session=True, **pipes) as process:
        try:
            while process.poll() is None and not list(out.glob("*/checkpoints/last.ckpt")):
                time.sleep(0.02)  # until there is something to go on from
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            said, error = process.communicate(timeout=30)  # which waits for whoever shares the output
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert (process.returncode, error) == (130, "")
    assert "stopping" not in said
    assert said.splitlines()[-1] == "stopped; the same command goes on"
    assert not list(out.glob("report.html"))
    cut = {file.parents[1].name for file in out.glob("*/checkpoints/last.ckpt")}
    assert cut
    assert not list(out.glob("*/result.json"))

    whole = tmp_path / "whole"
    for folder in (out, whole):
        assert main(["demo", *EPOCHS, "--out", str(folder)]) == 0
    assert (out / "report.html").is_file()
    for name in RUNS:
        runs = [folder / name for folder in (whole, out)]
        assert differences(*(checkpoint(run) for run in runs)) == []
        assert differences(*(result(run) for run in runs)) == []
        for file in ("metrics.csv", "signals.parquet"):
            assert (runs[0] / file).read_bytes() == (runs[1] / file).read_bytes()


def checkpoint(run: Path) -> dict[str, Any]:
    """The last checkpoint of a run without its callbacks, whose state has paths and seconds."""
    loaded: dict[str, Any] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    del loaded["callbacks"]
    return loaded


def result(run: Path) -> dict[str, Any]:
    """What came out of a run, but for the time it took."""
    loaded: dict[str, Any] = json.loads((run / "result.json").read_text(encoding="utf-8"))
    return {name: value for name, value in loaded.items() if name not in ("minutes", "train_seconds")}
