"""A checkpoint or a run folder that cannot be used: one clear error, exit status 1, earlier results intact."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from noisylearn.cli import main
from noisylearn.cli.checkpoint import check_checkpoint

FIT = [
    "--model=CrossEntropy",
    "--model.backbone=mlp",
    "--data=Digits",
    "--data.num_train=64",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.max_epochs=1",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    assert main(["fit", *FIT, f"--run={folder}"]) == 0
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def fails(args: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that is said, beside Lightning's note of the seed."""
    capsys.readouterr()
    assert main(args) == 1
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "Seed set to" not in line)
    return line.removeprefix("noisylearn: ")


def flipped(whole: bytes) -> bytes:
    """One bit of the weights is another: torch reads such a file without a word."""
    at = len(whole) // 2
    return whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "cut in half": lambda whole: whole[: len(whole) // 2],
    "cut by a byte": lambda whole: whole[:-1],
    "empty": lambda whole: b"",
    "damaged": flipped,
    "no checkpoint": lambda whole: b"seed_everything: 0\n",
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_checkpoint(how: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = run / "checkpoints" / "last.ckpt", tmp_path / "broken.ckpt"
    bad.write_bytes(BROKEN[how](good.read_bytes()))
    before = contents(run)
    said = fails(["fit", f"--config={run / 'config.yaml'}", f"--ckpt_path={bad}"], capsys)
    assert said == (f"the checkpoint '{bad}' is cut short, damaged, or no checkpoint: start anew without `--ckpt_path`")
    assert contents(run) == before


@pytest.mark.parametrize("command", ["fit", "test"])
def test_a_missing_checkpoint(command: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing, before = run / "checkpoints" / "lost.ckpt", contents(run)
    said = fails([command, *FIT, f"--run={run}", f"--ckpt_path={missing}"], capsys)
    others = ", ".join(str(run / "checkpoints" / name) for name in ("epoch=0.ckpt", "last.ckpt"))
    assert said == f"the checkpoint '{missing}' does not exist: there is {others}"
    assert contents(run) == before


@pytest.mark.parametrize("inside", ["", "checkpoints"])
def test_a_folder_is_no_checkpoint(inside: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, folder = contents(run), run / inside
    there = ", ".join(str(run / "checkpoints" / name) for name in ("epoch=0.ckpt", "last.ckpt"))
    said = fails(["fit", f"--config={run / 'config.yaml'}", f"--ckpt_path={folder}"], capsys)
    assert said == f"`--ckpt_path` must name a checkpoint, got the folder '{folder}': there is {there}"
    assert contents(run) == before


@pytest.mark.parametrize("name", ["best", "last", "registry:mine", "s3://bucket/last.ckpt", "."])
def test_what_only_lightning_can_look_for_is_left_to_it(name: str) -> None:
    check_checkpoint(name)


@pytest.mark.parametrize("inside", ["result.json", "result.json/deep/down"])
def test_a_run_folder_that_cannot_be_written(inside: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Below a regular file nobody can write, the superuser neither."""
    before, folder = contents(run), run / inside
    said = fails(["fit", *FIT, f"--run={folder}"], capsys)
    assert said.startswith(f"the run folder '{folder}' cannot be written (")
    assert said.endswith("): choose another")
    assert contents(run) == before


# The new run has a folder of its own.
@pytest.mark.filterwarnings("ignore:The dirpath has changed from:UserWarning")
def test_a_checkpoint_of_another_training_set(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, other = contents(run), run.with_name("other")
    args = ["--data.noise_seed=1", "--trainer.max_epochs=2", f"--run={other}"]
    said = fails(["fit", *FIT, *args, f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}"], capsys)
    assert said.startswith("`noise` must be the checkpoint's to resume")
    assert contents(run) == before


def test_the_checkpoint_itself_is_fine(run: Path) -> None:
    """Else the tests above would show nothing."""
    last = run / "checkpoints" / "last.ckpt"
    check_checkpoint(str(last))
    saved: dict[str, Any] = torch.load(last, weights_only=True)
    assert saved["global_step"] == 1
