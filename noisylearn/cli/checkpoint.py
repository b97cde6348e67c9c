"""Finds a missing or damaged checkpoint before anything is written."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

KEYWORDS = ("best", "last", "hpc")
"""What Lightning takes for the place of a checkpoint instead of a path, beside ``registry:...``."""


def check_checkpoint(path: str) -> None:
    """Refuse a checkpoint file that is not there or cannot be read whole.

    A checkpoint is a zip file; its checksums are compared, which torch does not do. Sharded checkpoints,
    which are folders, URLs and Lightning's keywords are left to Lightning.

    Args:
        path: What ``--ckpt_path`` names.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is cut short, damaged, or no checkpoint, or a folder that has some.

    Example:
        >>> check_checkpoint("runs/none/last.ckpt")
        Traceback (most recent call last):
        FileNotFoundError: the checkpoint 'runs/none/last.ckpt' does not exist: start anew without `--ckpt_path`
    """
    file = Path(path)
    if path in KEYWORDS or path.startswith("registry") or "://" in path:
        return
    if file.is_dir():
        if inside := sorted(str(other) for pattern in ("*.ckpt", "checkpoints/*.ckpt") for other in file.glob(pattern)):
            raise ValueError(
                f"`--ckpt_path` must name a checkpoint, got the folder {path!r}: there is {', '.join(inside)}"
            )
        return
    if not file.exists():
        raise FileNotFoundError(f"the checkpoint {path!r} does not exist: {_way_out(file)}")
    try:
        with zipfile.ZipFile(file) as archive:
            whole = archive.testzip() is None
    except (zipfile.BadZipFile, EOFError, RuntimeError, zlib.error):  # what a damaged zip file may look like
        whole = False
    if not whole:
        raise ValueError(f"the checkpoint {path!r} is cut short, damaged, or no checkpoint: {_way_out(file)}")


def _way_out(file: Path) -> str:
    others = sorted(str(other) for other in file.parent.glob("*.ckpt") if other != file)
    return f"there is {', '.join(others)}" if others else "start anew without `--ckpt_path`"
