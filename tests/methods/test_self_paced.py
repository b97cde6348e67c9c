"""Self-paced learning: when samples are left out, how a batch of few counts, and a threshold that ranks share."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from noisylearn._compat import Callback
from noisylearn.methods import CrossEntropy, SelfPaced
from tests.methods.harness import Case, differences, digits, plain, run

NETWORK: dict[str, Any] = {"backbone": "mlp", "num_classes": 10, "in_channels": 1, "image_size": 8}


class Chosen(Callback):  # type: ignore[misc]  # its base is made at import time
    """Remembers which samples each epoch learned from, and the threshold it ended with."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[int, list[int]] = {}
        self.thresholds: dict[int, float] = {}

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.rows.setdefault(trainer.current_epoch, []).extend(batch[2][outputs["selected"]].tolist())
        self.thresholds[trainer.current_epoch] = float(pl_module.threshold)


def test_all_samples_are_learned_from_until_the_burn_in_is_over() -> None:
    chosen = Chosen()
    burning = run(Case(SelfPaced, {"burn_in_epochs": 2}), method={"backbone": plain}, epochs=4, callbacks=[chosen])
    assert [len(chosen.rows[epoch]) for epoch in (0, 1)] == [256, 256]
    assert all(100 < len(chosen.rows[epoch]) < 220 for epoch in (2, 3))
    assert chosen.thresholds[0] != chosen.thresholds[1]  # it moves all the same
    plainly = run(Case(CrossEntropy), method={"backbone": plain}, epochs=2)
    first = run(Case(SelfPaced, {"burn_in_epochs": 2}), method={"backbone": plain}, epochs=2)
    weights = [{n: w for n, w in f.method.state_dict().items() if n != "threshold"} for f in (plainly, first)]
    assert differences(*weights) == []
    assert burning.method.threshold.isfinite()


def test_what_is_easy_is_more_often_right() -> None:
    data, chosen = digits(num_train=512), Chosen()
    case = Case(SelfPaced, {"percentile": 0.6, "burn_in_epochs": 3})
    run(case, data, {"backbone": "digits_cnn"}, epochs=6, callbacks=[chosen])
    right = data.noisy_targets == data.clean_targets
    assert float(right.float().mean()) == pytest.approx(0.6, abs=0.05)
    assert float(right[chosen.rows[5]].float().mean()) > 0.75


def test_samples_left_out_count_in_the_mean() -> None:
    method = SelfPaced(**NETWORK)
    losses, index = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.arange(4)
    assert float(method.reduce(losses, index, torch.tensor([True, False, False, False]))) == 0.25
    assert float(method.reduce(losses, index, torch.zeros(4, dtype=torch.bool))) == 0.0
    broken = torch.tensor([1.0, torch.nan, 3.0, 4.0])
    assert float(method.reduce(broken, index, torch.tensor([True, False, False, True]))) == 1.25


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"`percentile` must be in \[0, 1\], got 70: the share of easy samples"):
        SelfPaced(percentile=70, **NETWORK)
    with pytest.raises(ValueError, match=r"`decay` must be in \[0, 1\], got 2: the weight of the past"):
        SelfPaced(decay=2, **NETWORK)
    with pytest.raises(ValueError, match="`burn_in_epochs` must be finite and at least 0, got -1: the epochs that"):
        SelfPaced(burn_in_epochs=-1, **NETWORK)
