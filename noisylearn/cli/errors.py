"""What went wrong, in the words of what raised it."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
WRAPPED = re.compile(
    r"Parser key \"(?P<key>[^\"]+)\":"
    r"|Problem with given class_path"
    r"|\s*- Expected a path but"
    r"|Does not validate against any of the Union subtypes\nSubtypes: \[[^\[\],]+, <class 'NoneType'>\]"
)


def in_own_words(error: BaseException) -> str:
    """Return what went wrong without the layers that the argument parser puts around it.

    An error that was not raised in this package is followed by how to see where it was.

    Args:
        error: What was caught.

    Example:
        >>> in_own_words(ValueError("`rate` must be in [0, 1], got 2")).splitlines()[0]
        '`rate` must be in [0, 1], got 2'
    """
    keys: list[str] = []
    while (wrapper := WRAPPED.match(str(error))) is not None and error.__cause__ is not None:
        if (key := wrapper["key"]) is not None and key not in keys:
            keys.append(key)
        error = error.__cause__
    text = (f"`--{'.'.join(keys)}`: " if keys else "") + str(error)
    frames = traceback.extract_tb(error.__traceback__)
    ours = bool(keys) or (bool(frames) and Path(frames[-1].filename).is_relative_to(PACKAGE))
    return text if ours else f"{text}\n(NOISYLEARN_DEBUG=1 shows where it happened)"
