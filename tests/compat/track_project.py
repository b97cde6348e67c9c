"""Runs every project in a process of its own, in every setting, and prints what came out, as JSON.

    python track_project.py lightning.pytorch FOLDER

The first argument is the name that Lightning is imported by. That takes seconds, so it is done once, before the
processes are forked.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from tests.compat.comparing import equals_the_count, equals_the_slow_loop, trained_alike
from tests.compat.documented import PAGE, applied, documented
from tests.compat.kinds import KINDS, NUM_SAMPLES, logits_of_image, logits_of_text, true_labels
from tests.compat.running import Fit, project_files, write

EPOCHS = 3
Cases = dict[str, Callable[[], Any]]


class Project:
    """A project, changed as the page says and run."""

    def __init__(self, name: str, namespace: str, folder: Path) -> None:
        self.name, self.kind, self.namespace, self.folder = name, KINDS[name], namespace, folder
        self.files, self.changes = project_files(name), documented(name)

    def fit(self, label: str, files: dict[str, str], *further: str, **kind: Any) -> Fit:
        return Fit(self.name, replace(self.kind, **kind), files, self.namespace, self.folder / label, further)

    @cached_property
    def untouched(self) -> Fit:
        return self.fit("untouched", self.files)

    @cached_property
    def tracked(self) -> Fit:
        return self.fit("tracked", applied(self.changes[0], self.files))

    # -- in every project ----------------------------------------------------------------------------------------------

    def trains_alike(self, fit: Fit) -> None:
        assert not any(type(c).__module__.startswith("noisylearn") for c in self.untouched.trainer.callbacks)
        trained_alike(self.untouched, fit)
        assert fit.warnings <= self.untouched.warnings, fit.warnings - self.untouched.warnings

    def is_tracked(self, fit: Fit) -> None:
        total = equals_the_slow_loop(fit.callback("SignalTracker"), fit.passes, fit.given)
        assert total > 0.9 * EPOCHS * NUM_SAMPLES

    # -- in some -------------------------------------------------------------------------------------------------------

    def writes(self) -> None:
        table = pq.read_table(self.tracked.folder / "signals.parquet")
        assert table["given"].to_pylist() == self.tracked.given.tolist()
        assert table["aum"].to_pylist() == self.tracked.callback("SignalTracker").scores()["aum"].tolist()

    def sweeps(self, logits_of: Callable[[Fit, int], torch.Tensor]) -> None:
        fit = self.fit("swept", applied(self.changes[1], self.files))
        self.trains_alike(fit)
        margins = torch.zeros(NUM_SAMPLES, dtype=torch.float64)
        fit.module.eval()
        assert len(fit.weights) == EPOCHS
        for weights in fit.weights:
            fit.module.load_state_dict(weights)
            for number, given in enumerate(fit.given.tolist()):
                with torch.no_grad():
                    z = logits_of(fit, number)[0].double().tolist()
                margins[number] += (z[given] - max(v for k, v in enumerate(z) if k != given)) / EPOCHS
        scores = fit.callback("SweepTracker").scores()
        assert scores["given"].tolist() == fit.given.tolist()
        torch.testing.assert_close(scores["aum"].double(), margins, rtol=1e-4, atol=1e-5)

    def meters(self) -> None:
        fit = self.fit("metered", applied(self.changes[1], self.files))
        self.trains_alike(fit)
        logged = float(fit.trainer.callback_metrics["memorized"])
        equals_the_count(logged, fit.passes, fit.given, torch.from_numpy(true_labels()), EPOCHS - 1)

    def is_told(self, argument: str) -> None:
        """Without an argument that the page gives, the error is one that the page shows."""
        change, arguments = self.changes[0], self.kind.arguments
        assert (argument in change) != (argument in arguments)
        files, message = applied(change.replace(argument, ""), self.files), "nothing was told"
        try:
            self.fit("told", files, arguments=tuple(a for a in arguments if a != argument))
        except ValueError as error:
            message = str(error)
        assert f"\n{message}\n" in PAGE.read_text(encoding="utf-8"), message

    def in_settings_of_its_own(self) -> Cases:
        """The plain project's loaders and Trainers are made by functions, which are called here with many options."""
        from tests.compat import plain_settings

        write(self.files, self.namespace, self.folder / "module")
        sys.path.insert(0, str(self.folder / "module"))
        project = importlib.import_module("plain_project")
        return {label: partial(act, project) for label, act in plain_settings.cases().items()}

    def cases(self) -> Cases:
        """What is tried, by name."""
        out: Cases = {
            "untouched": lambda: self.untouched,  # first: some warnings come once a process
            "as documented": lambda: self.is_tracked(self.tracked),
            "nothing changed": lambda: self.trains_alike(self.tracked),
        }
        changed = applied(self.changes[0], self.files)
        for further in self.kind.settings:
            label = " ".join(further)
            out[label] = lambda label=label, further=further: self.is_tracked(self.fit(label, changed, *further))
        if self.name == "plain":
            return out | {"file": self.writes} | self.in_settings_of_its_own()
        line = "--trainer.callbacks+=noisylearn.SignalTracker"
        some: dict[str, Cases] = {
            "manual": {"error": lambda: self.is_told('logits="head"')},
            "torchvision": {"sweep": lambda: self.sweeps(logits_of_image)},
            "timm": {"error": lambda: self.is_told("--no-prefetcher")},
            "hugging_face": {"sweep": lambda: self.sweeps(logits_of_text)},
            "cli": {"meter": self.meters, line: lambda: self.is_tracked(self.fit("line", self.files, line))},
        }
        return out | some.get(self.name, {})


def run(name: str, namespace: str, folder: Path) -> None:
    """Run a project in its settings and write what came out."""
    if find_spec("transformers") is None:
        from tests.compat import stand_in_transformers

        sys.modules["transformers"] = stand_in_transformers
    results = {}
    for case, act in Project(name, namespace, folder / name).cases().items():
        try:
            act()
            results[case] = "ok"
        except Exception:  # noqa: BLE001  reported to the test, which fails on it
            results[case] = traceback.format_exc()
    folder.joinpath(f"{name}.json").write_text(json.dumps(results), encoding="utf-8")


def main() -> None:
    """Run the projects one after the other."""
    namespace, folder = sys.argv[1], Path(sys.argv[2])
    os.environ |= {"PL_TRAINER_ACCELERATOR": "cpu", "PL_TRAINER_ENABLE_PROGRESS_BAR": "False"}
    lightning = importlib.import_module(namespace)
    context = multiprocessing.get_context("fork")
    results: dict[str, dict[str, str]] = {}
    for name in KINDS:
        process = context.Process(target=run, args=(name, namespace, folder))
        process.start()
        process.join()
        file = folder / f"{name}.json"
        ended = {"all": f"the process ended with {process.exitcode}"}
        results[name] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else ended
    transformers = "itself" if find_spec("transformers") else "a stand-in"
    print(json.dumps({"results": results, "lightning": lightning.__version__, "transformers": transformers}))


if __name__ == "__main__":
    main()
