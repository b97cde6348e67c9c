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
    text = (f"`--{'.'.join(keys)}`: " if keys else "") + _short(str(error))
    frames = traceback.extract_tb(error.__traceback__)
    ours = bool(keys) or (bool(frames) and Path(frames[-1].filename).is_relative_to(PACKAGE))
    return text if ours else f"{text}\n(NOISYLEARN_DEBUG=1 shows where it happened)"


def _short(text: str) -> str:
    """A page of the parser's, or a list of all weights of a network, in two lines."""
    if (mismatch := re.match(r"Error\(s\) in loading state_dict for (\w+):", text)) is not None:
        way_out = "give the configuration that they were trained with, `--config RUN/config.yaml`"
        return f"the checkpoint's weights do not fit {mismatch[1]}\n{way_out}"
    if not text.startswith("Does not validate against any of the Union subtypes"):
        return text
    if (broken := re.search(r"Problem with given class_path '(?:[^']*\.)?([^']+)':\n\s+(.+)", text)) is not None:
        way_out = "a class's arguments follow it: --trainer.callbacks+=NAME --trainer.callbacks.ARGUMENT VALUE"
        return f"{broken[1]}: {broken[2]}\n{way_out}"
    if (unknown := re.search(r"Expected a dot import path string: (.+)", text)) is not None:
        return f"no class `{unknown[1]}`\nanother package's is named by its import path, e.g. package.{unknown[1]}"
    wanted = dict.fromkeys(re.findall(r"^  - Expected an? (.+)$", text, re.MULTILINE))
    value = text.rpartition("Given value: ")[2]
    return f"Expected a {' or '.join(w for w in wanted if 'NoneType' not in w)}. Got value: {value}"
