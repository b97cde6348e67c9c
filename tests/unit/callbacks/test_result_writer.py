"""What came out of a run, as files: the four accuracies, the detection figures, and what is needed to repeat it."""

from __future__ import annotations

import csv
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from torch.utils.data import Subset

from noisylearn._compat import LightningDataModule, ModelCheckpoint
from noisylearn.callbacks import MemorizationMeter, ResultWriter, SignalTracker
from noisylearn.callbacks.result_writer import as_csv, summarise
from noisylearn.data import Digits
from noisylearn.methods import CoTeaching, CrossEntropy
from tests.unit.callbacks.small import C, N, Y, dataset, fit, loader


def run(folder: Path, epochs: int, method: Any = None, callbacks: Any = (), resume: Any = None, **data: Any) -> Any:
    module = method or CrossEntropy(backbone="mlp", num_classes=10, in_channels=1, image_size=8, lr=0.05)
    tracker = SignalTracker()
    writer = ResultWriter(str(folder / "result.json"), cell="a/b", seed=3, reduced=True)
    datamodule = Digits(num_train=200, noise_rate=0.4, batch_size=50, **data)
    fit([tracker, MemorizationMeter(), writer, *callbacks], None, module, epochs, resume, datamodule)
    return json.loads((folder / "result.json").read_text()), tracker, datamodule


def metrics(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_record_of_a_run(tmp_path: Path) -> None:
    result, tracker, data = run(tmp_path, 3, val_fraction=0.2)
    rows = metrics(tmp_path)
    test = [float(row["test_accuracy"]) for row in rows]
    val = [float(row["val_accuracy"]) for row in rows]
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert (result["test_last"], result["test_best"]) == (test[-1], max(test))
    assert result["test_mean_last10"] == pytest.approx(sum(test) / 3)
    assert result["test_at_best_noisy_val"] == test[val.index(max(val))]
    assert result["memorized_last"] == pytest.approx(float(rows[-1]["memorized"]))
    assert (result["cell"], result["seed"], result["reduced"], result["completed"]) == ("a/b", 3, True, True)
    assert (result["epochs"], result["epochs_run"], result["num_samples"]) == (3, 3, data.num_samples)
    assert result["noise"]["sha1"] == data.noise.sha1
    assert result["noise"]["realised_rate"] == data.noise.realised_rate
    assert result["versions"]["torch"] == version("torch")
    assert 0 < result["minutes"] == result["train_seconds"] / 60

    scores = tracker.scores()
    trained = scores["aum"].isfinite()  # the others are for validation
    assert int(trained.sum()) == len(data.train_rows) < data.num_samples
    wrong = (data.noisy_targets != data.clean_targets)[trained].numpy()
    for name, sign in (("aum", -1), ("el2n", 1), ("wrong_events", 1)):
        score = (sign * scores[name][trained]).numpy()
        assert result["detection"][name]["auroc"] == pytest.approx(roc_auc_score(wrong, score), abs=1e-5)
        expected = average_precision_score(wrong, score)
        assert result["detection"][name]["average_precision"] == pytest.approx(expected, abs=1e-5)
    assert "variability" not in result["detection"]  # it points neither way


def test_two_networks_have_their_own_accuracies(tmp_path: Path) -> None:
    method = CoTeaching(0.4, backbone="mlp", num_classes=10, in_channels=1, image_size=8, lr=0.05)
    result, _, _ = run(tmp_path, 2, method)
    last = metrics(tmp_path)[-1]
    assert result["per_network"] == [float(last[f"test_accuracy_network{i}"]) for i in (1, 2)]
    assert result["ensemble_last"] == float(last["test_accuracy_ensemble"])
    assert result["test_last"] == pytest.approx(sum(result["per_network"]) / 2)


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty:UserWarning")
def test_a_resumed_run_keeps_its_history_and_its_minutes(tmp_path: Path) -> None:
    def saver() -> ModelCheckpoint:
        return ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1, enable_version_counter=False)

    first, _, _ = run(tmp_path, 2, callbacks=[saver()])
    before = metrics(tmp_path)
    second, _, _ = run(tmp_path, 3, callbacks=[saver()], resume=tmp_path / "epoch=1.ckpt")
    assert metrics(tmp_path)[:2] == before
    assert len(metrics(tmp_path)) == second["epochs_run"] == 3
    assert second["train_seconds"] > first["train_seconds"]


def test_without_wrong_labels_there_is_nothing_to_detect(tmp_path: Path) -> None:
    result, _, _ = run(tmp_path, 1, noise="none")
    assert result["detection"] == {}


def test_no_accuracy_is_null_and_not_zero() -> None:
    assert {name: value for name, value in summarise([]).items() if value is not None} == {"per_network": []}
    assert summarise([{"val_accuracy": 0.5}])["test_at_best_noisy_val"] is None
    assert as_csv([]) == "epoch\n"


def test_the_last_ten_of_twelve() -> None:
    history = [{"test_accuracy": i / 100} for i in range(12)]
    assert summarise(history)["test_mean_last10"] == pytest.approx(sum(range(2, 12)) / 1000)


class WholeLabels(LightningDataModule):
    """A module of somebody else: it loads a `Subset`, and knows the true labels of the whole data set as an array."""

    def __init__(self, clean: Any) -> None:
        super().__init__()
        self.clean_targets = clean

    def train_dataloader(self) -> Any:
        return loader(Subset(dataset(), range(2, N)))

    def val_dataloader(self) -> Any:
        return loader()


@pytest.mark.parametrize("as_array", [False, True])
def test_detection_with_the_labels_of_the_whole_data_set(tmp_path: Path, as_array: bool) -> None:
    clean = Y.clone()
    clean[[0, 3, 7]] = (clean[[0, 3, 7]] + 1) % C
    tracker = SignalTracker()
    data = WholeLabels(clean.numpy() if as_array else clean)
    fit([tracker, ResultWriter(str(tmp_path / "result.json"))], datamodule=data)
    found = json.loads((tmp_path / "result.json").read_text())["detection"]
    wrong = (clean != Y)[2:].numpy()
    expected = roc_auc_score(wrong, -tracker.scores()["aum"].numpy())
    assert found["aum"]["auroc"] == pytest.approx(expected, abs=1e-6)


def test_labels_that_are_not_one_a_row_are_not_compared(tmp_path: Path) -> None:
    data = WholeLabels(Y[:5])
    fit([SignalTracker(), ResultWriter(str(tmp_path / "result.json"))], datamodule=data)
    assert json.loads((tmp_path / "result.json").read_text())["detection"] == {}
