from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from noisylearn.report import load_run
from noisylearn.report.reading import per_epoch
from tests.unit.report.synthetic import SCORES, write_run


def test_whole_run_folder_is_read(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "run", method="ELR", seed=3))
    assert (run.method, run.seed, run.num_classes) == ("ELR", "3", 4)
    assert run.signals is not None
    assert run.signals.num_rows == 200
    assert run.score_names == list(SCORES)
    assert run.score_info["aum"] == {"higher_is_noisier": False, "signal": "aum", "description": "about aum"}
    assert "class_path: ELR" in run.config


def test_metrics_are_columns_with_nan_where_a_row_has_no_value(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path, epochs=3, seed=1))
    np.testing.assert_array_equal(run.metrics["epoch"], [0, 0, 1, 1, 2, 2])
    np.testing.assert_allclose(run.metrics["test_accuracy"], [np.nan, 0.31, np.nan, 0.51, np.nan, 0.71])
    assert per_epoch(run, "test_accuracy") == pytest.approx({0: 0.31, 1: 0.51, 2: 0.71})
    assert per_epoch(run, "no_such_metric") == {}


def test_only_the_result_is_required(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path, leave_out=("metrics.csv", "signals.parquet", "config.yaml")))
    assert (run.metrics, run.signals, run.config, run.score_names) == ({}, None, "", [])
    with pytest.raises(KeyError, match="has no signals column 'aum'"):
        run.column("aum")


def test_folder_without_result_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path, leave_out=("result.json",))
    with pytest.raises(FileNotFoundError, match=r"run folders with a result\.json, found none in .*finished writing"):
        load_run(tmp_path)


def test_broken_files_are_named(tmp_path: Path) -> None:
    (write_run(tmp_path / "a") / "result.json").write_text("{", encoding="utf-8")
    (write_run(tmp_path / "b") / "result.json").write_text("[]", encoding="utf-8")
    (write_run(tmp_path / "c") / "signals.parquet").write_bytes(b"PAR1 cut off")
    (write_run(tmp_path / "d") / "metrics.csv").write_text("epoch,x\n0,many\n", encoding="utf-8")
    pq.write_table(pa.table({"index": [0], "given": [0]}), write_run(tmp_path / "e") / "signals.parquet")
    for name, message in {
        "a": r"result\.json is not valid JSON",
        "b": r"result\.json must hold a JSON object, got list",
        "c": r"signals\.parquet is not a readable parquet file",
        "d": r"metrics\.csv must hold numbers",
        "e": r"signals\.parquet must have the columns index, given and clean, lacks \['clean'\]",
    }.items():
        with pytest.raises(ValueError, match=message):
            load_run(tmp_path / name)


def test_columns_that_are_no_scores_are_not_taken_for_scores(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    table = pq.read_table(folder / "signals.parquet")
    table = table.append_column("dataset_index", pa.array(range(table.num_rows), pa.int64()))
    pq.write_table(table, folder / "signals.parquet")
    assert load_run(folder).score_names == list(SCORES)


def test_number_of_classes_without_a_statement_is_the_largest_label_seen(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path, num_classes=7, result={"num_classes": None, "class_names": None}))
    assert run.num_classes == 7
    assert [run.class_name(k) for k in (3, -1)] == ["3", "–"]
