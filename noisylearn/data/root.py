"""Where the data sets lie, and what to say when one is not there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

ENVIRONMENT_VARIABLE = "NOISYLEARN_DATA"


class MissingDataError(FileNotFoundError):
    """A data set is not where it was looked for; the message says how to get it."""


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder that holds the data sets.

    Args:
        root: The folder; None takes the environment variable ``NOISYLEARN_DATA``, else ``data/``.

    Returns:
        The folder, whether it exists or not.

    Example:
        >>> data_root("my_data").name
        'my_data'
    """
    return Path(root or os.environ.get(ENVIRONMENT_VARIABLE) or "data").expanduser()


def missing_data(name: str, folder: Path, wanted: Sequence[str], how: str, found: str = "absent") -> MissingDataError:
    """Return the error for a data set that cannot be read.

    Args:
        name: The data set.
        folder: The folder that was looked in.
        wanted: The files that were looked for in it.
        how: The way to get them, a clause.
        found: What was the matter with them.

    Example:
        >>> print(missing_data("Toy", Path("data/toy"), ["a.bin", "b.bin"], "run fetch_toy"))
        Toy: looked in data/toy for a.bin, b.bin: absent. To get it, run fetch_toy; another data root is given by `root` or the environment variable NOISYLEARN_DATA.
    """  # noqa: E501 - the message is one line
    return MissingDataError(
        f"{name}: looked in {folder} for {', '.join(wanted)}: {found}. To get it, {how}; "
        f"another data root is given by `root` or the environment variable {ENVIRONMENT_VARIABLE}."
    )
