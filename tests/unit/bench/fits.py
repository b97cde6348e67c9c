"""What stands in for a training in the tests of `run_jobs`: functions of a module, which worker processes import."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from noisylearn.bench import Job


def job(run: Path, **data: object) -> Job:
    """A job of two epochs; what else there is of it is for the fits below."""
    return Job(run, {"trainer": {"max_epochs": 2}, "data": data})


def finish(config: Path) -> None:
    """Leave what a completed training leaves, and who did it."""
    result = {"completed": True, "process": os.getpid()}
    (config.parent / "result.json").write_text(json.dumps(result), encoding="utf-8")


def succeed(config: Path, count_epoch: Callable[[], None]) -> None:
    """Finish at once."""
    count_epoch()
    count_epoch()
    finish(config)


def fail_where_asked(config: Path, count_epoch: Callable[[], None]) -> None:
    """Finish, or fail where the configuration says how."""
    how = yaml.safe_load(config.read_text(encoding="utf-8"))["data"].get("fail")
    if how == "exit":
        raise SystemExit("ended itself")
    if how is not None:
        raise ValueError(how)
    succeed(config, count_epoch)


def never_end(config: Path, count_epoch: Callable[[], None]) -> None:
    """Say that the training has begun, on the output that all processes share, and go on for good."""
    print(f"training {config.parent.name}", flush=True)
    threading.Event().wait()


def note_threads(config: Path, count_epoch: Callable[[], None]) -> None:
    """Leave the number of threads that this process computes with."""
    import torch

    (config.parent / "threads").write_text(str(torch.get_num_threads()), encoding="utf-8")
    finish(config)


def take_a_while(config: Path, count_epoch: Callable[[], None]) -> None:
    """Finish at once; where the configuration says so, after half a minute the first time."""
    slow = yaml.safe_load(config.read_text(encoding="utf-8"))["data"].get("slow")
    time.sleep(30 if slow and not (config.parent / "again").exists() else 0.1)
    finish(config)
