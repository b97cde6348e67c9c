"""Joint Optimization: what labels are made of, when they stand still, and how the second network begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from noisylearn._compat import Callback
from noisylearn.methods import JointOptimization
from tests.methods.harness import Case, differences, digits, plain, run, savers, tiny

NETWORK: dict[str, Any] = {"backbone": "mlp", "num_classes": 10, "in_channels": 1, "image_size": 8}
CASE = Case(JointOptimization, {"update_epoch": 2, "window": 3, "retrain_epoch": 5})


class Shown(Callback):
    """Keeps every epoch's predictions as they were made, and the table that it ends with."""

    def __init__(self) -> None:
        super().__init__()
        self.probs: list[Tensor] = []
        self.tables: list[dict[str, Tensor]] = []
        self.first_momentum: list[bool] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            self.probs.append(torch.zeros(256, 10))
        self.probs[-1][batch[2]] = outputs["logits"].softmax(1)

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.first_momentum.append(not optimizer.state)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        views = pl_module.tables["predictions"].views()
        self.tables.append({name: v.clone() for name, v in views.items() if name.startswith("probs")})


def test_the_table_has_the_last_epochs_predictions_and_then_stands_still() -> None:
    shown = Shown()
    run(CASE, method={"backbone": plain}, epochs=7, callbacks=[shown])
    for epoch, table in enumerate(shown.tables):
        last = min(epoch, 4)
        for past in range(max(last - 2, 0), last + 1):
            assert torch.equal(table[f"probs{past % 3}"], shown.probs[past])
    assert sum(float(v.sum()) for v in shown.tables[0].values()) == pytest.approx(256, rel=1e-5)  # two are empty yet


def test_labels_are_mended_and_the_second_network_does_not_memorize() -> None:
    data = digits(num_train=512)
    case = Case(JointOptimization, {"update_epoch": 4, "window": 2, "retrain_epoch": 9, "lr": 0.05})
    fitted = run(case, data, {"backbone": "digits_cnn"}, epochs=12, limit_val_batches=1.0)
    rows = fitted.method.tables["predictions"].views()
    labels = (rows["probs0"] + rows["probs1"]).argmax(1)
    assert float((labels == data.clean_targets).float().mean()) > 0.6 + 0.15  # of which 0.6 were right
    assert float(fitted.trainer.callback_metrics["test_accuracy"]) > 0.75


def test_the_second_part_begins_with_the_first_weights_and_an_optimizer_without_a_past() -> None:
    shown = Shown()
    fitted = run(CASE, method={"backbone": tiny}, epochs=6, callbacks=[shown])
    assert [step for step, fresh in enumerate(shown.first_momentum) if fresh] == [0, 5 * 8]
    network: Any = fitted.method.network
    assert int(network.features[2].num_batches_tracked) == 8  # batch norm has seen one epoch
    assert fitted.method._kept_weights == {}


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty:UserWarning")
@pytest.mark.parametrize("stop", ["step-15", "epoch-1", "step-20"])  # before, at and after the second part's start
def test_resume_around_the_second_parts_start(stop: str, tmp_path: Path) -> None:
    case = Case(JointOptimization, {"update_epoch": 1, "window": 2, "retrain_epoch": 2})
    args: dict[str, Any] = {"epochs": 4, "method": {"backbone": tiny, "optimizer": "Adam", "lr": 0.01}}
    whole = run(case, callbacks=savers(tmp_path, 5), **args)
    resumed = run(case, callbacks=savers(tmp_path, 5), resume=tmp_path / f"{stop}.ckpt", **args)
    assert differences(whole.state(), resumed.state()) == []
    kept = torch.load(tmp_path / f"{stop}.ckpt", weights_only=True).get("noisylearn_kept_weights")
    assert bool(kept) == (stop != "step-20")  # not longer than needed


def test_a_sample_without_predictions_has_its_given_label() -> None:
    method = run(CASE, method={"backbone": plain}, epochs=6).method
    method.tables = dict(method.build_tables(256))
    assert method.current_epoch > 5
    logits, target, index = torch.randn(4, 10), torch.tensor([3, 1, 4, 1]), torch.arange(4)
    torch.testing.assert_close(
        method.compute_loss(logits, target, index), F.cross_entropy(logits, target, reduction="none")
    )


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="`retrain_epoch` must be at least `update_epoch`, 70, got 60: both count"):
        JointOptimization(retrain_epoch=60, **NETWORK)
    with pytest.raises(ValueError, match="`update_epoch` must be at least 1, got 0: there is no prediction before"):
        JointOptimization(update_epoch=0, **NETWORK)
    with pytest.raises(ValueError, match="`window` must be at least 1, got 0: the epochs that a target is the mean of"):
        JointOptimization(window=0, **NETWORK)
    for name in ("alpha", "beta"):
        with pytest.raises(ValueError, match=f"`{name}` must be finite and at least 0, got -1"):
            JointOptimization(**{name: -1}, **NETWORK)
