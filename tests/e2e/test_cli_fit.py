"""`noisylearn fit` and what is done with its run folder, by the command line's own entry point."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
import yaml

from noisylearn.cli import main
from noisylearn.cli.training import run_cli
from noisylearn.data import Digits

QUICK = ["--trainer.accelerator=cpu", "--trainer.max_epochs=2", "--trainer.enable_progress_bar=false"]
SMALL = ["--data.num_train=256", "--data.batch_size=64"]


def quietly(*args: str) -> int:
    with redirect_stdout(StringIO()):
        return main(args)


def metrics(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "metrics.csv").read_text(encoding="utf-8").splitlines()))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a short fit."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    model = ["--model", "CrossEntropy", "--model.backbone", "mlp", "--model.lr=0.1", "--data", "Digits", *SMALL]
    noise = ["--data.noise_rate=0.3", "--data.noise_seed=5", "--seed_everything=7", "--cell=a/b", "--reduced=true"]
    assert quietly("fit", *model, *noise, *QUICK, "--run", str(folder)) == 0
    return folder


@pytest.fixture
def evaluated(run: Path) -> Iterator[list[str]]:
    """Arguments that take the run's configuration and weights; the run folder must stay what the fit left."""
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    yield ["--config", str(run / "config.yaml"), "--ckpt_path", str(run / "checkpoints" / "last.ckpt")]
    assert {file: file.read_bytes() for file in run.rglob("*") if file.is_file()} == before


def test_the_run_folder_is_whole(run: Path) -> None:
    files = {file.relative_to(run).as_posix() for file in run.rglob("*") if file.is_file()}
    assert files == {
        "config.yaml",
        "metrics.csv",
        "report.html",
        "result.json",
        "signals.parquet",
        "checkpoints/last.ckpt",
        "checkpoints/epoch=1.ckpt",
    }


def test_the_metrics_have_a_line_per_epoch(run: Path) -> None:
    lines = metrics(run)
    assert [line["epoch"] for line in lines] == ["0", "1"]
    on_wrong = ("memorized", "correct_on_wrong", "other_on_wrong")
    for line in lines:
        assert sum(float(line[name]) for name in on_wrong) == pytest.approx(1.0, abs=1e-5)
        assert 0 <= float(line["test_accuracy"]) <= 1
    assert float(lines[1]["train_loss"]) < float(lines[0]["train_loss"])


def test_the_signals_have_a_row_per_sample(run: Path) -> None:
    data = Digits(noise_rate=0.3, noise_seed=5, num_train=256)
    data.setup()
    table = pq.read_table(run / "signals.parquet")
    columns = {name: table.column(name).to_pylist() for name in ("index", "given", "clean", "n_seen", "aum", "el2n")}
    assert columns["index"] == list(range(256))
    assert columns["given"] == data.noisy_targets.tolist()
    assert columns["clean"] == data.clean_targets.tolist()
    assert set(columns["n_seen"]) == {2}
    assert all(value == value for name in ("aum", "el2n") for value in columns[name])


def test_the_result_says_what_came_out_and_how_to_repeat_it(run: Path) -> None:
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    expected = {"cell": "a/b", "method": "CrossEntropy", "data": "digits", "seed": 7, "epochs": 2, "epochs_run": 2}
    expected |= {"completed": True, "reduced": True, "num_samples": 256, "num_classes": 10, "precision": "32-true"}
    assert {name: result[name] for name in expected} == expected
    lines = metrics(run)
    accuracies = [float(line["test_accuracy"]) for line in lines]
    assert result["test_last"] == accuracies[-1]
    assert result["test_best"] == max(accuracies)
    assert result["memorized_last"] == float(lines[-1]["memorized"])
    data = Digits(noise_rate=0.3, noise_seed=5, num_train=256)
    assert result["noise"] == {
        "generator": "symmetric",
        "rate": 0.3,
        "realised_rate": data.noise.realised_rate,
        "seed": 5,
        "sha1": data.noise.sha1,
    }
    assert {"commit", "versions", "hardware", "minutes", "test_mean_last10", "test_at_best_noisy_val"} <= result.keys()
    assert {"auroc", "average_precision"} <= result["detection"]["aum"].keys()


def test_the_configuration_makes_the_run_again(run: Path, tmp_path: Path) -> None:
    assert quietly("fit", "--config", str(run / "config.yaml"), "--run", str(tmp_path / "again")) == 0
    one, again = (torch.load(f / "checkpoints/last.ckpt", weights_only=True) for f in (run, tmp_path / "again"))
    assert one["state_dict"].keys() == again["state_dict"].keys()
    assert all(torch.equal(one["state_dict"][name], again["state_dict"][name]) for name in one["state_dict"])


def test_a_second_fit_does_not_overwrite_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    args = ["--model=CrossEntropy", "--model.backbone=mlp", "--data=Digits", *SMALL, *QUICK, "--trainer.max_epochs=1"]
    for rate in ("0.2", "0.3"):
        assert quietly("fit", *args, f"--data.noise_rate={rate}") == 0
    results = {file.parent.name: json.loads(file.read_text()) for file in Path("runs").glob("*/result.json")}
    rates = {name: result["noise"]["rate"] for name, result in results.items()}
    assert rates == {"digits-crossentropy-0": 0.2, "digits-crossentropy-0-2": 0.3}


def test_a_fit_into_a_run_folder_is_refused(
    run: Path, evaluated: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    again = ["--model=ELR", "--model.backbone=mlp", "--data=Digits", *SMALL, *QUICK, f"--run={run}"]
    resume = f"resume it with `--ckpt_path {run / 'checkpoints' / 'last.ckpt'}`"
    for args in (again, evaluated[:2]):  # `evaluated` compares the files
        assert main(["fit", *args]) == 1
        told = f"noisylearn: the run folder '{run}' holds a run already: choose another `--run`, or {resume}\n"
        assert capsys.readouterr().err == told


# The copy has a folder of its own.
@pytest.mark.filterwarnings("ignore:The dirpath has changed from:UserWarning")
def test_a_run_goes_on_in_its_own_folder(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(run, tmp_path / "copied")
    own = ["--config", str(run / "config.yaml"), f"--run={tmp_path / 'copied'}", "--trainer.max_epochs=3"]
    assert main(["fit", *own, "--ckpt_path=last"]) == 0
    assert "exists and is not empty" not in capsys.readouterr().err
    assert [line["epoch"] for line in metrics(tmp_path / "copied")] == ["0", "1", "2"]
    assert metrics(tmp_path / "copied")[:2] == metrics(run)


def test_a_fit_without_checkpoints_saves_none(tmp_path: Path) -> None:
    args = ["--model=CrossEntropy", "--model.backbone=mlp", "--data=Digits", *SMALL, *QUICK]
    assert quietly("fit", *args, "--trainer.enable_checkpointing=false", "--run", str(tmp_path)) == 0
    assert {file.name for file in tmp_path.iterdir()} == {
        "config.yaml",
        "metrics.csv",
        "report.html",
        "result.json",
        "signals.parquet",
    }


def test_what_the_data_knows_arrives_in_a_third_partys_method(tmp_path: Path) -> None:
    theirs = ["--model", "tests.e2e.theirs.Method", "--model.mine=5", "--data", "tests.e2e.theirs.Data"]
    more = ["--model.backbone=mlp", "--model.warmup_epochs=1", "--data.noise_rate=0.3", "--run", str(tmp_path)]
    assert quietly("fit", *theirs, *more, *QUICK) == 0
    saved = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)["hyper_parameters"]
    size = int((Digits().load().train_targets < 4).sum())
    linked = {"num_classes": 4, "num_samples": size, "in_channels": 1, "image_size": 8, "noise_rate": 0.3}
    assert {name: saved[name] for name in linked} == linked
    assert saved["mine"] == 5
    config = yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8"))
    assert config["model"]["class_path"] == "tests.e2e.theirs.Method"
    assert not linked.keys() & config["model"]["init_args"].keys()
    assert json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["method"] == "Method"


@pytest.mark.parametrize("checkpoint", ["named", "the run folder's", "last"])
@pytest.mark.parametrize("command", ["validate", "test"])
def test_a_checkpoint_is_measured(
    command: str, checkpoint: str, run: Path, evaluated: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    args = {"named": evaluated, "the run folder's": evaluated[:2], "last": [*evaluated[:2], "--ckpt_path=last"]}
    assert main([command, *args[checkpoint]]) == 0
    out = capsys.readouterr().out
    line = f"noisylearn {command}: the weights are those of {run / 'checkpoints' / 'last.ckpt'}"
    assert (line in out.splitlines()) == (checkpoint != "named")
    found = re.search(r"test_accuracy\D+([\d.]+)", out)
    assert found is not None
    last = json.loads((run / "result.json").read_text(encoding="utf-8"))["test_last"]
    assert float(found[1]) == pytest.approx(last, abs=1e-6)


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")  # `main` does it for its user
def test_a_checkpoint_predicts_every_training_sample(run: Path, evaluated: list[str]) -> None:
    with redirect_stdout(StringIO()):
        cli = run_cli(["predict", *evaluated])
    probabilities = torch.cat(cli.trainer.predict_loop.predictions)
    assert probabilities.shape == (256, 10)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(256))
    data = Digits(noise_rate=0.3, noise_seed=5, num_train=256)
    data.setup()
    weights = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    cli.model.load_state_dict(weights)
    inputs = torch.cat([batch.input for batch in data.predict_dataloader()])
    torch.testing.assert_close(probabilities, cli.model.eval()(inputs).softmax(1).detach())
    file = run / "predictions.parquet"
    table = pq.read_table(file)
    file.unlink()  # all that it adds to the run folder
    assert table["index"].to_pylist() == list(range(256))
    assert table["given"].to_pylist() == data.noisy_targets.tolist()
    assert table["predicted"].to_pylist() == probabilities.argmax(1).tolist()
    assert table["probabilities"].to_pylist() == probabilities.tolist()


def test_the_last_of_several_run_folders_counts(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = ["--config", str(run / "config.yaml")]
    assert main(["test", *config, "--run", str(tmp_path)]) == 1
    assert f"needs trained weights: the run folder '{tmp_path}' has no" in capsys.readouterr().err
    assert main(["test", "--run", str(tmp_path), *config]) == 0
    assert f"the weights are those of {run}" in capsys.readouterr().out


def test_weights_of_another_method_do_not_fit(evaluated: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", *evaluated, "--model=CoTeaching"]) == 1
    assert "noisylearn: the checkpoint's weights do not fit CoTeaching\n" in capsys.readouterr().err


def test_report_prints_the_page_last(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = shutil.copytree(run, tmp_path / "copied")
    assert main(["report", str(copy)]) == 0
    page = copy / "report.html"
    assert capsys.readouterr().out.splitlines()[-1] == str(page)
    assert "CrossEntropy" in page.read_text(encoding="utf-8")
    other = tmp_path / "page.html"
    assert main(["report", str(run), str(copy), "--out", str(other)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(other)
    assert other.is_file()
    assert main(["report", str(run), "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "report.html")


NO_DATA = {"none": None, "broken": "data: [", "without data": "model: ELR\n", "a list": "- a\n"}


@pytest.mark.parametrize("case", NO_DATA)
def test_a_report_without_a_configuration_has_no_images(
    case: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = shutil.copytree(run, tmp_path / "copied") / "config.yaml"
    config.unlink()
    if NO_DATA[case] is not None:
        config.write_text(NO_DATA[case], encoding="utf-8")
    assert main(["report", str(config.parent)]) == 0
    words = " ".join(capsys.readouterr().err.split())
    assert f"the page has no images: {config} does not say on what data the run was made" in words
    assert config.with_name("report.html").is_file()


def test_a_third_partys_data_of_our_name_has_no_images(run: Path, tmp_path: Path) -> None:
    config = shutil.copytree(run, tmp_path / "copied") / "config.yaml"
    config.write_text("data: {class_path: theirs.Digits, init_args: {}}\n", encoding="utf-8")
    assert main(["report", str(config.parent)]) == 0
    assert '<img src="data:image/png' not in config.with_name("report.html").read_text(encoding="utf-8")


NO_REPORT: dict[str, tuple[list[str], str]] = {
    "no folder": (["nothere"], "`runs` must be run folders with a result.json, found none in nothere: "),
    "no run": (["empty"], "`runs` must be run folders with a result.json, found none in empty: "),
    "no place": (["mine", "--out", "file/page.html"], "the page 'file/page.html' cannot be written ("),
}


@pytest.mark.parametrize("case", NO_REPORT)
def test_a_report_that_cannot_be_made_is_one_clear_error(
    case: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("file").touch()
    Path("mine").symlink_to(run)
    args, message = NO_REPORT[case]
    assert main(["report", *args]) == 1
    (told,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("noisylearn: "))
    assert told.removeprefix("noisylearn: ").startswith(message)
    assert {file.name for file in tmp_path.iterdir()} == {"empty", "file", "mine"}


WRONG: dict[str, tuple[list[str], str]] = {
    "a noise rate": (["--data.noise_rate=1.5"], "`noise_rate` must be in [0, 1], got 1.5: pass a fraction, e.g. 0.4"),
    "a noise": (["--data.noise=symetric"], "`noise` must be one of 'none', 'symmetric', "),
    "a number of samples": (["--data.num_train=0"], "`num_train` must be at least 1, got 0"),
    "a batch size": (["--data.batch_size=2.5"], "`--data.batch_size`: Expected a <class 'int'>. Got value: 2.5"),
    "labels": (["--data=CIFAR10N", "--data.labels=worstt"], "`labels` must be one of 'worse', 'aggre', "),
    "a backbone": (["--model.backbone=mpl"], "no backbone `mpl`; did you mean `mlp`?"),
    "a forget rate": (
        ["--model=CoTeaching", "--model.backbone=mlp", "--model.forget_rate=-0.1"],
        "`forget_rate` must be in [0, 1], got -0.1",
    ),
    "a learning rate": (["--model.lr=-1"], "`lr` must be above 0, got -1.0"),
    "an optimizer": (["--model.optimizer=SDG"], "no optimizer `SDG`; did you mean `SGD`"),
    "a number of epochs": (["--trainer.max_epochs=abc"], "`--trainer.max_epochs`: Expected a <class 'int'>."),
    "a number of devices": (["--trainer.devices=0"], "value is not a valid input using cpu accelerator"),
    "a configuration": (
        ["--config=nothere.yaml"],
        "`--config` must name a YAML file, got 'nothere.yaml' (No such file",
    ),
    "a checkpoint": (["--ckpt_path=nothere.ckpt"], "nothere.ckpt"),
    "a module of a third party": (["--model=nowhere.Method"], "`--model`: No module named 'nowhere'"),
    "a class of a third party": (["--model=tests.e2e.theirs.Methud"], "Methud"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_value_is_one_clear_error(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    args, message = WRONG[case]
    base = ["--model=CrossEntropy", "--model.backbone=mlp", "--data=Digits", *SMALL, *QUICK]
    assert main(["fit", *base, *args, "--run=run"]) == 1
    error = capsys.readouterr().err
    told = [line for line in error.splitlines() if line.startswith("noisylearn: ")]
    assert len(told) == 1
    assert message in told[0]
    assert "Traceback" not in error
    assert "Subtypes" not in error
    assert "usage:" not in error
    assert not Path("run", "result.json").exists()
    assert not Path("run", "signals.parquet").exists()


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
@pytest.mark.parametrize("args", [["--model.optimizer=SDG"], ["--data.noise_rate=1.5"], ["--model.scheduler=StepLR"]])
def test_a_start_that_fails_leaves_an_earlier_run_as_it_was(args: list[str], evaluated: list[str]) -> None:
    assert quietly("fit", *evaluated, *args) == 1  # `evaluated` compares the files


def test_debugging_shows_where_an_error_came_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOISYLEARN_DEBUG", "1")
    args: list[Any] = ["--model=CrossEntropy", "--data=Digits", "--data.noise_rate=1.5", "--run", str(tmp_path)]
    with pytest.raises(ValueError, match="noise_rate"):
        main(["fit", *args])


def test_a_recipe_whose_schedule_is_changed_is_marked_reduced(tmp_path: Path) -> None:
    short = ["--recipe", "digits/cross_entropy", *QUICK, *SMALL]
    assert quietly("fit", *short, "--run", str(tmp_path / "short")) == 0
    assert json.loads((tmp_path / "short" / "result.json").read_text(encoding="utf-8"))["reduced"] is True
    assert quietly("fit", *short, "--reduced=false", "--run", str(tmp_path / "said")) == 0
    assert json.loads((tmp_path / "said" / "result.json").read_text(encoding="utf-8"))["reduced"] is False


def test_timm_networks_get_images_that_they_normalise_themselves(tmp_path: Path) -> None:
    model = ["--model", "CrossEntropy", "--model.backbone", "timm:test_resnet", "--data", "Digits"]
    small = ["--data.num_train=16", "--data.batch_size=8", "--trainer.limit_val_batches=0"]
    assert quietly("fit", *model, *small, *QUICK, "--run", str(tmp_path)) == 0
    config = yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8"))
    assert config["data"]["init_args"]["normalize"] is False
