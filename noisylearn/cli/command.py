"""The command `noisylearn`."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from noisylearn import __version__
from noisylearn._checks import unknown_name
from noisylearn.cli.errors import in_own_words
from noisylearn.cli.help import EXAMPLES, TRAINING
from noisylearn.cli.listing import LISTS, print_list
from noisylearn.cli.names import check_names, check_needed
from noisylearn.cli.options import expand_recipes, only_asks, shortens
from noisylearn.cli.run_folder import from_run_folder

COMMANDS = (*TRAINING, "demo", "bench", "list", "report")
FORESEEN = (
    ValueError, TypeError, IndexError, OSError, RuntimeError, MemoryError, ImportError, argparse.ArgumentError,
)  # fmt: skip
INTERRUPTED = 130  # the exit status of what Ctrl-C ends


class Parser(argparse.ArgumentParser):
    """Tells a misspelt option in two lines, with the nearest names; a part of a name is no name."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, **kwargs)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse as usual, then refuse what looks like an option and is none.

        Raises:
            ValueError: There is no such option.
        """
        parsed, rest = super().parse_known_args(args, namespace)
        for arg in rest:
            if arg.startswith("--"):
                known = [name for name in self._option_string_actions if name.startswith("--")]
                raise ValueError(unknown_name("option", arg.partition("=")[0], known))
        return parsed, rest


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands but the training ones, whose arguments are Lightning's.

    Example:
        >>> build_parser().parse_args(["list", "methods"]).what
        'methods'
    """
    parser = Parser(
        prog="noisylearn",
        description="Learn from data some of whose labels are wrong, and find them.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"noisylearn {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    for name, text in TRAINING.items():
        commands.add_parser(name, help=text, add_help=False)
    demo = commands.add_parser("demo", help="what wrong labels do to a network, and what helps: digits, in a minute")
    demo.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder for runs and page (%(default)s)")
    demo.add_argument("--epochs", type=int, default=60, help="length of a run (%(default)s)")
    demo.add_argument("--workers", type=int, default=None, help="runs at a time (default: one per core)")
    bench = commands.add_parser("bench", help="runs of recipes with several seeds, and one table of them")
    bench.add_argument("recipes", nargs="+", metavar="RECIPE", help="recipes, e.g. digits/elr; `digits/*` is all of it")
    bench.add_argument("--overlay", nargs="+", default=[], metavar="RECIPE", help="change all of them, one at a time")
    bench.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="of weights, order and noise (0 1 2)")
    bench.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder for the runs (%(default)s)")
    bench.add_argument("--csv", type=Path, default=None, help="rows are put here, means beside it in results.md")
    bench.add_argument("--workers", type=int, default=None, help="runs at a time (default: one per core)")
    bench.add_argument(
        "--time-budget", type=float, default=None, metavar="MINUTES", help="stop then; a later call goes on"
    )
    listing = commands.add_parser("list", help="what there is: " + ", ".join(LISTS))
    listing.add_argument("what", metavar="{" + ",".join(LISTS) + "}")
    report = commands.add_parser("report", help="one page from run folders")
    report.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders")
    report.add_argument("--out", type=Path, default=None, help="the page, or its folder (default: the first RUN)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; by default the process's.

    Returns:
        The exit status: 0, 1 after an error told in its own words, 130 after Ctrl-C or SIGTERM.
    """
    args = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    try:
        if args[0] in TRAINING:
            return train(args)
        if not args[0].startswith("-") and args[0] not in COMMANDS:
            raise ValueError(unknown_name("command", args[0], COMMANDS))
        run_command(build_parser().parse_args(args))
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as exit_:
        if not isinstance(exit_.__context__, KeyboardInterrupt):
            raise
        return stopped(exit_.__context__)  # Lightning turns Ctrl-C into an exit with status 1
    except FORESEEN as error:
        if os.environ.get("NOISYLEARN_DEBUG"):
            raise
        print(f"noisylearn: {in_own_words(error)}", file=sys.stderr)
        return 1
    return 0


def run_command(parsed: argparse.Namespace) -> None:
    """Do what a command other than the training ones asks for.

    Args:
        parsed: What `build_parser` made of the arguments.
    """
    if parsed.command == "list":
        print_list(parsed.what)
    elif parsed.command == "report":
        out = parsed.out or parsed.runs[0]
        out = out / "report.html" if out.is_dir() else out
        print(report(parsed.runs, out, title=parsed.runs[0].name))
    elif parsed.command == "bench":
        bench(
            *(parsed.recipes, parsed.overlay, parsed.seeds, parsed.out, parsed.csv, parsed.workers, parsed.time_budget)
        )
    else:
        print(demo(parsed.out, parsed.epochs, parsed.workers))


def stopped(interrupt: KeyboardInterrupt) -> int:
    """Say how to go on after a fit was interrupted, where it has saved itself, and return the exit status.

    Args:
        interrupt: What stopped it; `noisylearn.callbacks.Stopped` has the checkpoint's path.

    Example:
        >>> stopped(KeyboardInterrupt("runs/mine/checkpoints/last.ckpt"))
        stopped; to go on: noisylearn fit --config runs/mine/config.yaml --ckpt_path runs/mine/checkpoints/last.ckpt
        130
    """
    if interrupt.args:
        checkpoint = Path(str(interrupt))
        config = checkpoint.parents[1] / "config.yaml"
        command = ["noisylearn", "fit", "--config", str(config), "--ckpt_path", str(checkpoint)]
        print(f"stopped; to go on: {shlex.join(command)}")
        run = checkpoint.parents[1]
        if (run / "result.json").is_file():
            try:
                report([run], run / "report.html", title=run.name)
            except KeyboardInterrupt:  # the second one: whatever else there is to do is not wanted
                return INTERRUPTED
    return INTERRUPTED


def demo(out: Path, epochs: int, workers: int | None) -> Path:
    """Run the demo and write its page.

    Args:
        out: Folder for the runs and the page.
        epochs: Length of a run.
        workers: Runs at a time; None for one per core.

    Returns:
        The page.
    """
    print("noisylearn demo: loading PyTorch", flush=True)  # some seconds, in which a silent command looks dead
    from noisylearn.bench import run_demo
    from noisylearn.cli.job import fit_job

    try:
        runs = run_demo(out, fit_job, epochs, workers)
    except KeyboardInterrupt:
        print("stopped; the same command goes on")
        raise
    return report(runs, out / "report.html", title="Learning with wrong labels: the demo")


def bench(
    recipes: Sequence[str],
    overlays: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    csv: Path | None,
    workers: int | None,
    minutes: float | None = None,
) -> None:
    """Make the runs of a grid that are not made yet, then print their table and keep their rows.

    Args:
        recipes: Names of recipes; ``digits/*`` is all recipes of digits that are a method's.
        overlays: Recipes that change the others, one at a time.
        seeds: Seeds of weights, order and noise.
        out: Folder of the run folders.
        csv: The results file, which keeps the rows of other recipes and seeds; by default ``results.csv`` in ``out``.
        workers: Runs at a time; None for one per core.
        minutes: Stop after so long; the same call goes on.

    Raises:
        RuntimeError: A run failed; the rows of the others are kept.
    """
    print("noisylearn bench: loading PyTorch", flush=True)
    from noisylearn.bench import grid_jobs, grid_rows, markdown, method_recipes, run_jobs, write_rows
    from noisylearn.cli.job import fit_job

    recipes = method_recipes(recipes)
    jobs = grid_jobs(recipes, overlays, seeds, out)
    try:
        run_jobs(jobs, fit_job, workers, minutes=minutes)
    except KeyboardInterrupt:
        print("stopped; the same command goes on")
        raise
    finally:
        rows = grid_rows(recipes, overlays, seeds, out)
        write_rows(csv or out / "results.csv", rows)
    print(markdown(rows))
    if len(rows) < len(jobs):
        print(f"{len(rows)} of {len(jobs)} runs are made; the same command goes on")


def report(runs: Sequence[Path], out: Path, title: str) -> Path:
    """Write one page from run folders, with a sign of life on the terminal meanwhile.

    Args:
        runs: Run folders.
        out: The page.
        title: Its title.

    Returns:
        The page.
    """
    from rich.console import Console

    with Console(stderr=True).status("drawing the page"):
        from noisylearn.cli.page import write_page

        return write_page(runs, out, title)


def train(args: Sequence[str]) -> int:
    """Check the names, then hand the command to Lightning's command line.

    Args:
        args: The subcommand and its arguments; ``--recipe NAME`` stands for that recipe's files.

    Returns:
        The exit status.
    """
    command = args[0]
    expanded, files = expand_recipes(args[1:])
    options = check_names(expanded, files)
    if not only_asks(options):
        check_needed(command, options)
        expanded += from_run_folder(command, options)
    if files and shortens(expanded):
        expanded += ["--reduced", "true"]
    configs = [part for file in files for part in ("--config", str(file))]
    print(f"noisylearn {command}: loading Lightning", flush=True)
    # Lightning's own affairs: these arguments are the command line's, and the LeafSpec is its issue #21326.
    warnings.filterwarnings("ignore", "LightningCLI's args parameter", UserWarning)
    if command == "fit":  # `check_unused` has seen to it
        warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty", UserWarning)
    else:  # it misses the callbacks of the fit, whose state no evaluation needs
        for text in ("Be aware that when using `ckpt_path`", "The dirpath has changed"):
            warnings.filterwarnings("ignore", text, UserWarning)
    warnings.filterwarnings("ignore", ".*isinstance\\(treespec, LeafSpec\\)", FutureWarning)
    from noisylearn.cli.training import run_cli

    cli = run_cli([command, *configs, *expanded])
    run = cli.config[command].run
    if not cli.trainer.is_global_zero:
        return 0
    if command == "fit" and Path(run, "result.json").is_file():
        page = report([Path(run)], Path(run, "report.html"), title=Path(run).name)
        print(f"noisylearn fit: the run folder is {run}, its page {page}")
    elif command == "fit":
        print(f"noisylearn fit: nothing is written to {run}: no epoch was trained to be kept")
    elif command == "predict":
        print(f"noisylearn predict: the class probabilities are in {Path(run, 'predictions.parquet')}")
    return 0
