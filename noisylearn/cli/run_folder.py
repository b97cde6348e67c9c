"""What a training command finds in its run folder: a run that it must not overwrite, or the weights it measures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from noisylearn.bench.job import holds_run
from noisylearn.cli.checkpoint import check_checkpoint
from noisylearn.cli.options import Option, given

LAST = Path("checkpoints", "last.ckpt")


def from_run_folder(command: str, options: Sequence[Option]) -> list[str]:
    """Check the run folder and the checkpoint that a command names, and return the weights that it leaves unnamed.

    Args:
        command: The command.
        options: What it gives, as `check_names` returns it.

    Returns:
        Further arguments: where weights are measured and none are named, the run folder's.

    Raises:
        FileExistsError: A fit would overwrite a run.
        FileNotFoundError: There is no such checkpoint, or none at all to be measured.
        ValueError: The checkpoint is damaged.
    """
    run, checkpoint = given(options, "run"), given(options, "ckpt_path")
    unnamed = command != "fit" and checkpoint in (None, "last")  # for "last", Lightning looks in this process's fit
    if unnamed:
        checkpoint = str(trained_weights(command, Path(run) if run else None))
    if checkpoint is not None:
        check_checkpoint(checkpoint)
    if command == "fit" and run is not None:
        check_unused(Path(run), checkpoint)
    if not unnamed:
        return []
    print(f"noisylearn {command}: the weights are those of {checkpoint}", flush=True)
    return ["--ckpt_path", str(checkpoint)]


def check_unused(run: Path, ckpt_path: str | None) -> None:
    """Refuse a fit that would overwrite a run; one that goes on from the folder's own checkpoint does not.

    Args:
        run: The run folder.
        ckpt_path: What ``--ckpt_path`` names, if given.

    Raises:
        FileExistsError: The folder holds a run.

    Example:
        >>> check_unused(Path("runs/nothing-is-here"), None)
    """
    # A job that SLURM has queued again starts with the same command; Lightning then finds its own checkpoint.
    if not holds_run(run) or any(run.glob("hpc_ckpt_*.ckpt")):
        return
    last = run / LAST
    if ckpt_path == "last" and last.is_file():
        return
    if ckpt_path is not None and Path(ckpt_path).resolve().is_relative_to(run.resolve()):
        return
    resume = f", or resume it with `--ckpt_path {last}`" if last.is_file() else ""
    raise FileExistsError(f"the run folder {str(run)!r} holds a run already: choose another `--run`{resume}")


def trained_weights(command: str, run: Path | None) -> Path:
    """Return the checkpoint that a command measures where ``--ckpt_path`` names none: the run folder's last.

    Args:
        command: The command, for the message.
        run: The run folder, if one is given.

    Raises:
        FileNotFoundError: There is none; untrained weights would be measured.

    Example:
        >>> trained_weights("test", None)
        Traceback (most recent call last):
        FileNotFoundError: `noisylearn test` needs trained weights: name a fit's folder with `--run`, or a checkpoint with `--ckpt_path`
    """  # noqa: E501 - the message is one line
    if run is not None and (run / LAST).is_file():
        return run / LAST
    if run is None:
        way_out = "name a fit's folder with `--run`, or a checkpoint with `--ckpt_path`"
    else:
        others = ", ".join(str(file) for file in sorted((run / LAST).parent.glob("*.ckpt")))
        found = f" (there is {others})" if others else ""
        way_out = f"the run folder {str(run)!r} has no {LAST}: name a checkpoint with `--ckpt_path`{found}"
    raise FileNotFoundError(f"`noisylearn {command}` needs trained weights: {way_out}")
