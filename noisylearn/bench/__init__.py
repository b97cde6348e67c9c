"""From configurations to runs, and from runs to tables."""

from noisylearn.bench.demo import demo_jobs, result_table, run_demo, write_page
from noisylearn.bench.job import Job
from noisylearn.bench.local import run_jobs
from noisylearn.bench.recipes import recipe_files, recipe_job, recipe_names

__all__ = ["Job", "demo_jobs", "recipe_files", "recipe_job", "recipe_names", "result_table", "run_demo", "run_jobs", "write_page"]
