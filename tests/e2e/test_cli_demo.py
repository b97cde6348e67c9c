"""`noisylearn demo` from end to end: what it prints, what it leaves, what a second call does, and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from noisylearn.cli import main

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
    assert html.count("data:image/png") > 0  # the suspicious digits themselves

    before = {file: file.read_bytes() for file in tmp_path.glob("*/*") if file.is_file()}
    page.unlink()
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(page)
    assert page.is_file()
    assert {file: file.read_bytes() for file in tmp_path.glob("*/*") if file.is_file()} == before


def test_ctrl_c_ends_the_demo_and_all_its_processes_without_a_word(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "noisylearn.cli", "demo", "--workers", "2", "--out", str(tmp_path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, start_new_session=True, **pipes) as process:
        try:
            while process.poll() is None and not list(tmp_path.glob("*/metrics.csv")):
                time.sleep(0.1)  # until training has begun
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            out, error = process.communicate(timeout=30)  # which waits for whoever shares the output
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert (process.returncode, error) == (130, "")
    assert "stopping" not in out
    assert not list(tmp_path.glob("report.html"))
