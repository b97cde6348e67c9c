"""`ResultWriter`: what came out of a run, as one JSON file."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from noisylearn._compat import Callback
from noisylearn.callbacks.signal_tracker import SignalTracker
from noisylearn.callbacks.signal_writer import check_writable
from noisylearn.metrics import evaluate_detection


class ResultWriter(Callback):
    """Writes ``metrics.csv`` each epoch and ``result.json`` at the end of fit or on interruption.

    List it after the callbacks that log metrics, so that it sees theirs.

    It has the test accuracy of the last epoch (the headline), of the mean of the last ten, of the best epoch (an
    oracle: it looks at the test set) and of the epoch that was best on noisy validation labels, each network's own
    where there are two, how well each tracked score finds the wrong labels where the true ones are known, and what is
    needed to repeat the run: noise generator, seed, hash and realised rate, versions, commit, hardware, minutes.

    Args:
        path: The file; by default ``result.json`` in the Trainer's ``default_root_dir``.
        cell: Name of the table cell that the run belongs to; by default ``<data>-<noise>-<rate>/<method>``.
        seed: The run's seed, for the record.
        reduced: Whether the schedule is shorter than the published one, to be marked wherever the number stands.

    Example:
        >>> ResultWriter("runs/mine/result.json", seed=3).path.name
        'result.json'
    """

    def __init__(
        self, path: str | None = None, cell: str | None = None, seed: int | None = None, reduced: bool = False
    ) -> None:
        super().__init__()
        self._in_root_dir = path is None
        self.path = Path(path) if path is not None else Path("result.json")
        self.cell, self.seed, self.reduced = cell, seed, reduced
        self._history: list[dict[str, float]] = []
        self._seconds = 0.0
        self._started: float | None = None

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Try the folder now, not after hours of training."""
        if stage == "fit":
            if self._in_root_dir:
                self.path = Path(trainer.default_root_dir) / "result.json"
            if trainer.is_global_zero:
                check_writable(self.path.parent)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Start the clock."""
        self._started = time.perf_counter()
        del self._history[trainer.current_epoch :]

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Remember the epoch's metrics and write them all to ``metrics.csv``."""
        metrics = {k: float(v) for k, v in trainer.callback_metrics.items()}
        self._history.append({"epoch": float(trainer.current_epoch), **metrics})
        if trainer.is_global_zero:
            _replace(self.path.with_name("metrics.csv"), as_csv(self._history))

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Write the file."""
        self._write(trainer, pl_module, completed=True)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Write what there is, marked as not completed."""
        if self._started is not None:
            self._write(trainer, pl_module, completed=False)

    def _elapsed(self) -> float:
        return self._seconds + (time.perf_counter() - self._started if self._started is not None else 0.0)

    def state_dict(self) -> dict[str, Any]:
        """Return the history and the seconds spent."""
        return {"history": self._history, "seconds": self._elapsed()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._history, self._seconds = list(state_dict["history"]), state_dict["seconds"]

    def _write(self, trainer: Any, pl_module: Any, completed: bool) -> None:
        detection = _detection(trainer) if completed or not trainer.world_size > 1 else {}
        if not trainer.is_global_zero:
            return
        seconds = self._elapsed()
        self._seconds, self._started = seconds, None
        data = trainer.datamodule
        method = type(pl_module).__name__
        data_name = getattr(data, "name", None) or (type(data).__name__ if data is not None else None)
        metrics = {k: float(v) for k, v in trainer.callback_metrics.items()}
        result = {
            "cell": self.cell or _cell(data_name, _noise(data), method),
            "method": method,
            "data": data_name,
            "noise": _noise(data),
            "seed": self.seed,
            "epochs": trainer.max_epochs,
            "epochs_run": len(self._history),
            "completed": completed,
            "reduced": self.reduced,
            "commit": commit(),
            "versions": versions(),
            "hardware": hardware(pl_module.device, trainer.world_size),
            "precision": str(trainer.precision),
            "minutes": seconds / 60,
            "train_seconds": seconds,
            "num_samples": getattr(data, "num_samples", None),
            "num_classes": getattr(data, "num_classes", None),
            "class_names": list(getattr(data, "class_names", ())),
            **summarise(self._history),
            "memorized_last": metrics.get("memorized"),
            "detection": detection,
        }
        _replace(self.path, json.dumps(result, indent=1) + "\n")


def _replace(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def as_csv(history: list[dict[str, float]]) -> str:
    """Return one line per epoch; what an epoch did not measure stays empty.

    Args:
        history: Per epoch, its number as ``epoch`` and its metrics by name.

    Example:
        >>> print(as_csv([{"epoch": 0.0, "loss": 0.5}, {"epoch": 1.0, "acc": 1.0}]))
        epoch,acc,loss
        0,,0.5
        1,1.0,
        <BLANKLINE>
    """
    names = sorted({name for epoch in history for name in epoch} - {"epoch"})
    file = io.StringIO()
    writer = csv.DictWriter(file, ["epoch", *names], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**epoch, "epoch": int(epoch["epoch"])} for epoch in history)
    return file.getvalue()


def summarise(history: list[dict[str, float]]) -> dict[str, Any]:
    """Return the four test accuracies of a run, and each network's.

    Args:
        history: Per epoch, the accuracies by name (``test_accuracy``, ``val_accuracy``, ``test_accuracy_network1``...).

    Example:
        >>> summarise([{"test_accuracy": 0.8}, {"test_accuracy": 0.6}])["test_best"]
        0.8
    """
    test = [e["test_accuracy"] for e in history if "test_accuracy" in e]
    both = [(e["val_accuracy"], e["test_accuracy"]) for e in history if "val_accuracy" in e and "test_accuracy" in e]
    out: dict[str, Any] = {
        "test_last": test[-1] if test else None,
        "test_mean_last10": sum(test[-10:]) / len(test[-10:]) if test else None,
        "test_best": max(test, default=None),
        "test_at_best_noisy_val": max(both, key=lambda pair: pair[0])[1] if both else None,
    }
    prefix = "test_accuracy_"
    last = history[-1] if history else {}
    parts = {k.removeprefix(prefix): v for k, v in last.items() if k.startswith(prefix)}
    out["per_network"] = [v for k, v in parts.items() if k.startswith("network")]
    out["ensemble_last"] = parts.get("ensemble")
    return out


def _cell(data_name: str | None, noise: dict[str, Any] | None, method: str) -> str:
    kind = f"-{noise['generator']}-{noise['rate']:g}" if noise else ""
    return f"{data_name}{kind}/{method}" if data_name else method


def _noise(data: Any) -> dict[str, Any] | None:
    noise = getattr(data, "noise", None)
    if noise is None or not hasattr(noise, "sha1"):
        return None
    fields = ("generator", "rate", "realised_rate", "seed", "sha1")
    return {name: getattr(noise, name) for name in fields}


def _detection(trainer: Any) -> dict[str, Any]:
    trackers = [c for c in trainer.callbacks if isinstance(c, SignalTracker) and c.signal_set is not None]
    given_clean = getattr(trainer.datamodule, "clean_targets", None)
    clean = trackers[0].per_row(given_clean) if trackers and given_clean is not None else None
    if clean is None:  # nothing tracked, no true labels, or (`SignalWriter` warns of it) not one per row
        return {}
    scores = {k: v.cpu() for k, v in trackers[0].scores().items()}
    known = (clean >= 0) & scores["given"].isfinite()
    wrong = (scores["given"] != clean)[known]
    if not bool(wrong.any()) or bool(wrong.all()):
        return {}
    assert trackers[0].signal_set is not None
    out = {}
    for info in trackers[0].signal_set.score_info:
        if info.higher_is_noisier is not None:
            found = evaluate_detection(scores[info.name][known], wrong, info.higher_is_noisier)
            out[info.name] = {
                k: getattr(found, k) for k in ("auroc", "average_precision", "precision_at_n", "num_missing")
            }
    return out


def commit() -> str | None:
    """Return the commit of the checkout that this package runs from, ``-dirty`` if changed; None if there is none."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # no git program, or no commit yet
        return None
    return done.stdout.strip()


def versions() -> dict[str, str]:
    """Return the versions that a result depends on.

    Example:
        >>> sorted(versions())
        ['numpy', 'python', 'pytorch-lightning', 'timm', 'torch', 'torchvision']
    """
    packages = ("torch", "torchvision", "timm", "numpy", "pytorch-lightning")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def hardware(device: torch.device, num_processes: int) -> dict[str, Any]:
    """Return what the run was computed on.

    Args:
        device: The module's device.
        num_processes: How many of them.

    Example:
        >>> hardware(torch.device("cpu"), 1)["device"]
        'cpu'
    """
    out: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "num_processes": num_processes,
        "cpu": _cpu_name(),
        "cpu_threads": torch.get_num_threads(),
    }
    return out


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
