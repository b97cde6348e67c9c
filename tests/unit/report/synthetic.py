"""Run folders made up by a seeded generator: clearly synthetic, with figures that are simple to know beforehand."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SCORES = {
    "forgetting_events": None,
    "first_learned": True,
    "aum": False,
    "wrong_events": True,
    "el2n": True,
}


def write_run(
    folder: Path,
    *,
    method: str = "ELR",
    seed: int = 0,
    test_last: float | None = 0.9,
    test_best: float | None = 0.95,
    memorized: float | None = 0.2,
    epochs: int = 6,
    num_samples: int = 200,
    num_classes: int = 4,
    class_names: list[str] | None = None,
    clean_known: bool = True,
    leave_out: tuple[str, ...] = (),
    drop_columns: tuple[str, ...] = (),
    result: dict[str, Any] | None = None,
) -> Path:
    """Write a run folder; ``leave_out`` names files not to write, ``result`` overrides fields of ``result.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, num_samples, num_classes, zlib.crc32(method.encode())])
    clean = rng.integers(0, num_classes, num_samples)
    wrong = rng.random(num_samples) < 0.4
    given = np.where(wrong, (clean + rng.integers(1, num_classes, num_samples)) % num_classes, clean)
    record: dict[str, Any] = {
        "cell": "synthetic-cell",
        "method": method,
        "data": "synthetic",
        "noise": {"generator": "symmetric", "rate": 0.4, "realised_rate": 0.395, "seed": 7, "sha1": "ab" * 20},
        "seed": seed,
        "epochs": epochs,
        "commit": "c0ffee1",
        "versions": {"noisylearn": "0.0.test", "torch": "9.9"},
        "hardware": {"device": "abacus", "cpu_threads": 1},
        "minutes": 1.5,
        "train_seconds": 60.0 + seed,
        "num_samples": num_samples,
        "num_classes": num_classes,
        "class_names": class_names or [f"class{k}" for k in range(num_classes)],
        "test_last": test_last,
        "test_best": test_best,
        "memorized_last": memorized,
        "detection": {
            name: {"auroc": 0.8 + 0.01 * seed, "average_precision": 0.7, "precision_at_n": 0.6, "num_missing": 0}
            for name, higher in SCORES.items()
            if higher is not None
        },
    } | (result or {})
    if "result.json" not in leave_out:
        (folder / "result.json").write_text(json.dumps(record), encoding="utf-8")
    if "config.yaml" not in leave_out:
        (folder / "config.yaml").write_text(
            f"seed_everything: {seed}\nmodel:\n  class_path: {method}\n", encoding="utf-8"
        )
    if "metrics.csv" not in leave_out:
        _write_metrics(folder / "metrics.csv", epochs, seed)
    if "signals.parquet" not in leave_out:
        columns = _signals(rng, given, clean, num_classes)
        if not clean_known:
            columns["clean"] = np.full(num_samples, -1)
        table = pa.table({name: value for name, value in columns.items() if name not in drop_columns})
        info = {n: {"higher_is_noisier": h, "signal": n, "description": f"about {n}"} for n, h in SCORES.items()}
        metadata = {b"noisylearn": json.dumps({"scores": info, "view": "online"}).encode()}
        pq.write_table(table.replace_schema_metadata(metadata), folder / "signals.parquet")
    return folder


def _write_metrics(path: Path, epochs: int, seed: int) -> None:
    """Two sparse rows an epoch, as Lightning's CSVLogger writes them; accuracy 0.3 to 0.9, and 0.01 more per seed."""
    lines = ["epoch,step,train_loss,test_accuracy,memorized,correct_on_wrong"]
    for epoch in range(epochs):
        lines.append(f"{epoch},{10 * epoch},{1 / (epoch + 1)},,,")
        part = epoch / epochs
        lines.append(f"{epoch},{10 * epoch + 9},,{0.3 + 0.6 * part + 0.01 * seed},{part},{0.9 - 0.9 * part}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _signals(rng: np.random.Generator, given: np.ndarray, clean: np.ndarray, num_classes: int) -> dict[str, Any]:
    size, wrong = len(given), given != clean
    first = np.where(wrong & (rng.random(size) < 0.3), np.nan, rng.integers(1, 6, size).astype(np.float64))
    return {
        "index": np.arange(size),
        "given": given,
        "clean": clean,
        "n_seen": np.full(size, 6),
        "suggested": np.where(rng.random(size) < 0.9, clean, rng.integers(0, num_classes, size)),
        "forgetting_events": rng.integers(0, 4, size).astype(np.float64),
        "first_learned": first,
        "aum": rng.normal(2.0 - 4.0 * wrong, 1.0),
        "wrong_events": rng.integers(0, 3, size) + 3.0 * wrong,
        "el2n": rng.uniform(0, 0.7, size) + 0.6 * wrong,
    }
