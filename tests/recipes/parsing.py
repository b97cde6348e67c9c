"""What the command line makes of its arguments, without making any class."""

from __future__ import annotations

from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from typing import Any

import pytest
import yaml

from noisylearn.cli import main


@cache
def parsed(*args: str) -> dict[str, Any]:
    """The configuration that ``noisylearn fit`` would run with these arguments."""
    out = StringIO()
    with redirect_stdout(out), pytest.raises(SystemExit) as ended:
        main(["fit", *args, "--print_config"])
    assert ended.value.code == 0
    config: dict[str, Any] = yaml.safe_load(out.getvalue().split("\n", 1)[1])  # after the line that says it is loading
    return config
