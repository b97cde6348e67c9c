"""Every block of Python and every `noisylearn` command in README.md, CONTRIBUTING.md and docs/ runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tests.unit import markdown_blocks
from tests.unit.markdown_blocks import Block, read_blocks

CHECKOUT = Path(__file__).resolve().parents[2]
FILES = [f for f in (CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md") if f.is_file()]
# The methods' cards are run by tests/methods/test_method_cards.py, all in one process.
FILES += sorted(file for file in (CHECKOUT / "docs").rglob("*.md") if file.parent.name != "methods")


def _name(file: Path) -> str:
    return file.relative_to(CHECKOUT).as_posix()


def _cases() -> list[tuple[Path, Block]]:
    cases = []
    for file in FILES:
        try:
            cases += [(file, block) for block in read_blocks(file.read_text(encoding="utf-8"))]
        except ValueError:
            continue  # `test_fences_are_clear` fails for this file and says where
    return cases


CASES = _cases()
Results = dict[int, str]


def _run(file: Path, folder: Path) -> Results:
    """Run a file's blocks in ``folder`` and return each block's error ("" where it ran through) by its line."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "recipes").exists():
        (folder / "recipes").symlink_to(CHECKOUT / "recipes")
    results = folder / "results.jsonl"
    command = [sys.executable, "-P", markdown_blocks.__file__, str(file), str(results)]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    errors = {row["line"]: row["error"] for row in map(json.loads, lines)}
    for block in read_blocks(file.read_text(encoding="utf-8")):
        if not block.no_run:
            errors.setdefault(block.line, f"never ran, the process ended with {run.returncode}\n{run.stderr[-4000:]}")
    return errors


@pytest.fixture(scope="session")
def results_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Results]:
    """Results of a file's blocks, run once per test run: pytest-xdist's workers share them through a file."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def results(file: Path) -> Results:
        name = _name(file).replace("/", "__")
        kept = shared / f"blocks-{name}.json"
        with FileLock(shared / f"blocks-{name}.lock"):
            if not kept.exists():
                kept.write_text(json.dumps(_run(file, shared / f"blocks-{name}")), encoding="utf-8")
            return {int(line): error for line, error in json.loads(kept.read_text(encoding="utf-8")).items()}

    return results


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_fences_are_clear(file: Path) -> None:
    assert [b for b in read_blocks(file.read_text(encoding="utf-8")) if not b.code.strip()] == []


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("file", "block"), CASES, ids=[f"{_name(file)}:{block.line}" for file, block in CASES])
def test_block_runs(file: Path, block: Block, results_of: Callable[[Path], Results]) -> None:
    if block.no_run:
        pytest.skip(block.no_run)
    error = results_of(file)[block.line]
    assert not error, error


SAMPLE = """# A page

```python
import pathlib
from dataclasses import dataclass

@dataclass
class Point:
    x: int = 3
```

1. In a list, and the namespace is kept:

   ```py title="use.py"
   import inspect
   assert "x: int = 3" in inspect.getsource(Point)
   pathlib.Path("written.txt").write_text(str(Point().x))
   ```

```bash
noisylearn --help || true
cat written.txt >&2; exit 7
```

<!-- no-run: needs a week -->

```python
raise SystemExit("never")
```

```bash
make demo
```

```text
not code
```

```python
1 / 0
```

~~~python
import os; os._exit(5)
~~~

```python
pass
```
"""


def test_blocks_are_read_in_order_with_their_reasons() -> None:
    read = [(b.language, b.line, b.no_run) for b in read_blocks(SAMPLE)]
    assert read == [
        ("python", 4, ""),
        ("python", 15, ""),
        ("bash", 21, ""),
        ("python", 28, "needs a week"),
        ("bash", 32, "only `noisylearn` commands are run"),
        ("python", 40, ""),
        ("python", 44, ""),
        ("python", 48, ""),
    ]


def test_each_block_gets_its_own_result(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(SAMPLE, encoding="utf-8")
    errors = _run(page, tmp_path / "run")
    assert (errors[4], errors[15]) == ("", "")
    assert errors[21].startswith("exit status 7\n")
    assert errors[21].endswith("3")  # the block before it had run, in the same folder
    assert 'page.py", line 40' in errors[40]
    assert "ZeroDivisionError" in errors[40]
    assert errors[44].startswith("never ran, the process ended with 5")
    assert errors[48].startswith("never ran")
    assert 28 not in errors


@pytest.mark.parametrize(("text", "message"), [("```\na\n```", "names no language"), ("```python\na", "never closed")])
def test_a_fence_that_could_be_left_out_unseen_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_blocks(text)


def test_a_block_that_needs_data_says_so_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "<!-- needs: data -->\n```bash\nnoisylearn fit\n```"
    monkeypatch.setenv("NOISYLEARN_DATA", "somewhere")
    assert read_blocks(text)[0].no_run == ""
    monkeypatch.delenv("NOISYLEARN_DATA")
    assert "NOISYLEARN_DATA is not set" in read_blocks(text)[0].no_run
