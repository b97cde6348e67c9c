"""Reads the code blocks of a Markdown file and runs them in order, in one process and one folder.

A block of Python is run in the file's one namespace; a block of shell commands that begins with ``noisylearn`` is run
by bash with the environment's commands first on the path. A comment ``<!-- no-run: reason -->`` on the line before a
block keeps it from being run; ``<!-- needs: data -->`` does so where ``NOISYLEARN_DATA`` is not set.

Started as a script, ``markdown_blocks.py FILE RESULTS`` runs a file's blocks in the current folder and appends one JSON
line per block to RESULTS, so that what ran is known even if a block ends the process.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
import traceback
import types
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = {"python": "python", "py": "python", "python3": "python", "pycon": "python"}
LANGUAGES |= dict.fromkeys(("bash", "sh", "shell", "console", "zsh"), "bash")
FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<ticks>`{3,}|~{3,})[ \t]*(?P<info>[^`\n]*)$")
NO_RUN = re.compile(r"^<!--\s*no-run:\s*(?P<reason>.*\S)\s*-->$")
NEEDS_DATA = "<!-- needs: data -->"
TIMEOUT = 600.0


@dataclass(frozen=True)
class Block:
    """A fenced block of Python or shell."""

    language: str  # "python" or "bash"
    code: str
    line: int  # of its first line of code, from 1
    no_run: str  # the reason given before the block, or why blocks of its kind are not run; empty: it runs


def read_blocks(text: str) -> list[Block]:
    """The blocks of a file in order.

    Raises:
        ValueError: A fence names no language, or is never closed: such a block could be left out unseen.
    """
    blocks, lines, before, at = [], text.splitlines(), "", 0
    while at < len(lines):
        opening = FENCE.match(lines[at])
        if opening is None:
            before = lines[at] if lines[at].strip() else before
            at += 1
            continue
        info = opening["info"].strip()
        if not info:
            raise ValueError(f"line {at + 1}: the fence names no language: write `text` for what nobody runs")
        end = _closing(lines, at, opening["ticks"])
        language = LANGUAGES.get(re.split(r"[\s{,]", info.lstrip("{."))[0].rstrip("}").lower())
        if language is not None:
            code = textwrap.dedent("\n".join(lines[at + 1 : end])) + "\n"
            blocks.append(Block(language, code, at + 2, _why_not(language, code, before)))
        before, at = "", end + 1
    return blocks


def _closing(lines: list[str], start: int, ticks: str) -> int:
    for at in range(start + 1, len(lines)):
        fence = lines[at].strip()
        if fence.startswith(ticks) and not fence.strip(ticks[0]):
            return at
    raise ValueError(f"line {start + 1}: the fence is never closed")


def _why_not(language: str, code: str, before: str) -> str:
    comment = NO_RUN.match(before.strip())
    if comment is not None:
        return comment["reason"]
    if before.strip() == NEEDS_DATA and not os.environ.get("NOISYLEARN_DATA"):
        return "NOISYLEARN_DATA is not set: point it at the folder of the real data sets"
    if language == "bash" and not code.startswith("noisylearn "):
        return "only `noisylearn` commands are run"
    return ""


def run_file(file: Path, results: Path) -> None:
    """Run a file's blocks in the current folder and append ``{"line", "error"}`` to ``results`` after each."""
    namespace = types.ModuleType("__main__")
    sys.modules["__main__"] = namespace
    with results.open("a", encoding="utf-8") as sink:
        for block in read_blocks(file.read_text(encoding="utf-8")):
            if block.no_run:
                continue
            run = _run_python if block.language == "python" else _run_bash
            error = run(block, file, namespace)
            sink.write(json.dumps({"line": block.line, "error": error}) + "\n")
            sink.flush()


def _run_python(block: Block, file: Path, namespace: types.ModuleType) -> str:
    # What ran so far stands in one module file at the Markdown's own line numbers: tracebacks point there, and
    # `inspect` finds the source of what a block defines.
    module = Path(f"{file.stem.lower()}.py").resolve()
    so_far = module.read_text(encoding="utf-8").splitlines() if module.exists() else []
    padding = [""] * (block.line - 1 - len(so_far))
    module.write_text("\n".join([*so_far, *padding, block.code]), encoding="utf-8")
    namespace.__file__ = str(module)
    try:
        code = compile("\n" * (block.line - 1) + block.code, str(module), "exec")
        exec(code, namespace.__dict__)
    except BaseException:  # noqa: BLE001 - reported as the block's result, SystemExit too
        return traceback.format_exc()
    return ""


def _run_bash(block: Block, file: Path, namespace: types.ModuleType) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    command = ["bash", "-euo", "pipefail", "-c", block.code]
    environment = {**os.environ, "PATH": path}
    try:
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return f"still running after {TIMEOUT:.0f} s"
    return "" if run.returncode == 0 else f"exit status {run.returncode}\n{run.stdout[-4000:]}{run.stderr[-4000:]}"


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))  # as at a person's own prompt
    run_file(Path(sys.argv[1]), Path(sys.argv[2]))
