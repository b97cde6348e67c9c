"""What a benchmark ran on, and where its result goes; a helper, not a benchmark."""

from __future__ import annotations

import argparse
import csv
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from noisylearn.callbacks.result_writer import commit

RESULTS = Path(os.environ.get("NOISYLEARN_RESULTS") or Path(__file__).with_name("results"))


def machine(device: torch.device | str = "cpu") -> dict[str, str]:
    """Return processor, device, threads, torch, commit and day, for the record."""
    device = torch.device(device)
    names = subprocess.run(["grep", "-m1", "model name", "/proc/cpuinfo"], capture_output=True, text=True, check=False)
    cpu = names.stdout.partition(":")[2].strip() or platform.processor() or platform.machine()
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} thread"
    return {
        "cpu": cpu,
        "device": where,
        "torch": torch.__version__,
        "commit": commit() or "",
        "day": datetime.now(tz=UTC).strftime("%Y-%m-%d"),
    }


def add_save(parser: argparse.ArgumentParser) -> None:
    """Give a benchmark its ``--save``."""
    parser.add_argument("--save", action="store_true", help="replace this benchmark's file in benchmarks/results")


def save(script: str, rows: Sequence[dict[str, object]], device: torch.device | str = "cpu") -> None:
    """Write a benchmark's rows, with the machine in each, to ``benchmarks/results/<script>.csv``."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    full = [{**row, **machine(device)} for row in rows]
    with (RESULTS / f"{Path(script).stem}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(full[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(full)
