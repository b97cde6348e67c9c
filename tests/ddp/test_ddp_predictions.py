"""Predictions of several processes are one file, each sample once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from noisylearn._compat import Trainer, seed_everything
from noisylearn.callbacks import PredictionWriter
from tests.ddp.ranks import Ranks
from tests.methods.harness import CASES, digits, plain


def predict(file: str, devices: int) -> None:
    seed_everything(0, verbose=False)
    options: dict[str, Any] = {"strategy": "ddp"} if devices > 1 else {}
    trainer = Trainer(
        accelerator="cpu",
        devices=devices,
        callbacks=[PredictionWriter(file)],
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        **options,
    )
    data = digits(num_train=51, eval_batch_size=16)
    trainer.predict(CASES[0].build(backbone=plain), datamodule=data, return_predictions=devices == 1)


def test_two_processes_write_what_one_does(ranks: Ranks, tmp_path: Path) -> None:
    predict(str(tmp_path / "one.parquet"), 1)
    ranks.run(2, predict, str(tmp_path / "two.parquet"), 2)
    one, two = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("one", "two"))
    assert one["index"].to_pylist() == two["index"].to_pylist() == list(range(51))
    for name in ("given", "predicted"):
        assert one[name].to_pylist() == two[name].to_pylist()
    for row, other in zip(one["probabilities"].to_pylist(), two["probabilities"].to_pylist(), strict=True):
        assert max(abs(a - b) for a, b in zip(row, other, strict=True)) < 1e-6
