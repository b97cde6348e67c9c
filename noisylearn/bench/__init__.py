"""From configurations to runs, and from runs to tables; each name is loaded when it is first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noisylearn.bench.demo import demo_jobs, result_table, run_demo
    from noisylearn.bench.grid import grid_jobs, grid_rows, markdown, read_rows, write_rows
    from noisylearn.bench.job import Job
    from noisylearn.bench.local import run_jobs
    from noisylearn.bench.recipes import method_recipes, recipe_files, recipe_job, recipe_names

_HOME = {
    "Job": "job",
    "demo_jobs": "demo",
    "grid_jobs": "grid",
    "grid_rows": "grid",
    "markdown": "grid",
    "method_recipes": "recipes",
    "read_rows": "grid",
    "recipe_files": "recipes",
    "recipe_job": "recipes",
    "recipe_names": "recipes",
    "result_table": "demo",
    "run_demo": "demo",
    "run_jobs": "local",
    "write_rows": "grid",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


__all__ = [
    "Job",
    "demo_jobs",
    "grid_jobs",
    "grid_rows",
    "markdown",
    "method_recipes",
    "read_rows",
    "recipe_files",
    "recipe_job",
    "recipe_names",
    "result_table",
    "run_demo",
    "run_jobs",
    "write_rows",
]
