"""A fit does not overwrite a run, and what measures weights finds those of the run folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from noisylearn.cli.run_folder import check_unused, from_run_folder, trained_weights


def make(run: Path, *names: str) -> Path:
    """A folder with these files, as far as their names go."""
    for name in names:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).touch()
    return run


@pytest.mark.parametrize("name", ["result.json", "metrics.csv", "checkpoints/epoch=0.ckpt", "checkpoints/last.ckpt"])
def test_a_folder_with_a_part_of_a_run_is_refused(name: str, tmp_path: Path) -> None:
    run = make(tmp_path / "mine", name)
    last = run / "checkpoints" / "last.ckpt"
    resume = f", or resume it with `--ckpt_path {last}`" if name.endswith("last.ckpt") else ""
    with pytest.raises(FileExistsError) as told:
        check_unused(run, None)
    assert str(told.value) == f"the run folder '{run}' holds a run already: choose another `--run`{resume}"


@pytest.mark.parametrize("names", [[], ["notes.txt"], ["config.yaml"], ["logs/version_0/metrics.csv", "job.yaml"]])
def test_a_folder_without_a_run_is_free(names: list[str], tmp_path: Path) -> None:
    check_unused(make(tmp_path / "mine", *names), None)


def test_a_run_goes_on_from_its_own_checkpoint_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = make(Path("mine"), "config.yaml", "checkpoints/last.ckpt", "checkpoints/epoch=3.ckpt")
    other = make(Path("other"), "checkpoints/last.ckpt")
    for checkpoint in (run / "checkpoints/last.ckpt", tmp_path / run / "checkpoints/epoch=3.ckpt", "last"):
        check_unused(run, str(checkpoint))
    with pytest.raises(FileExistsError, match="'mine' holds a run already"):
        check_unused(run, str(other / "checkpoints/last.ckpt"))
    with pytest.raises(FileExistsError, match="'mine' holds a run already"):
        check_unused(run, "best")


def test_lightning_would_begin_anew_where_there_is_no_last(tmp_path: Path) -> None:
    run = make(tmp_path, "result.json")
    with pytest.raises(FileExistsError, match=r"holds a run already: choose another `--run`$"):
        check_unused(run, "last")


def test_a_job_that_is_queued_again_goes_on(tmp_path: Path) -> None:
    check_unused(make(tmp_path, "config.yaml", "checkpoints/last.ckpt", "hpc_ckpt_1.ckpt"), None)


def test_the_weights_are_the_run_folders_last(tmp_path: Path) -> None:
    run = make(tmp_path / "mine", "checkpoints/last.ckpt", "checkpoints/epoch=0.ckpt")
    assert trained_weights("test", run) == run / "checkpoints" / "last.ckpt"


def test_without_weights_the_ways_out_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"`noisylearn predict` needs trained weights: .* `--run`, .* `--ckpt_path`"
    ):
        trained_weights("predict", None)
    run = make(tmp_path / "mine", "checkpoints/epoch=0.ckpt")
    with pytest.raises(FileNotFoundError) as told:
        trained_weights("test", run)
    assert str(told.value) == (
        f"`noisylearn test` needs trained weights: the run folder '{run}' has no checkpoints/last.ckpt: "
        f"name a checkpoint with `--ckpt_path` (there is {run / 'checkpoints' / 'epoch=0.ckpt'})"
    )


def test_a_damaged_checkpoint_of_the_run_folder_is_found(tmp_path: Path) -> None:
    run = make(tmp_path, "checkpoints/last.ckpt")
    with pytest.raises(ValueError, match="cut short, damaged, or no checkpoint"):
        from_run_folder("test", [("run", str(run))])


def test_a_checkpoint_that_is_named_needs_no_run(tmp_path: Path) -> None:
    assert from_run_folder("test", [("ckpt_path", "best")]) == []
