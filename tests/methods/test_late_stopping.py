"""Late Stopping against a loop of its rounds, its rates, its checkpoints, and arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from noisylearn.methods import LateStopping
from noisylearn.tables import Column, SampleTable
from tests.methods.harness import Case, differences, digits, plain, run, savers, tiny
from tests.methods.planned import Served, Watch

NETWORK: dict[str, Any] = {"backbone": "mlp", "num_classes": 10, "in_channels": 1, "image_size": 8}
LR = 0.05
SETTING: dict[str, Any] = {"keep_rate": 0.55, "rounds": (1, 1), "ignored_epochs": 2, "lr": LR}
SETTING |= {"final_lr_factor": 0.5, "final_milestones": (1, 3)}


def test_a_fit_is_the_rounds_of_the_paper() -> None:
    watch, served, data, epochs = Watch(), Served(), digits(num_train=250), 16
    args: dict[str, Any] = {"precision": "64-true", "callbacks": [watch, served]}
    fitted = run(Case(LateStopping, SETTING), data, {"backbone": plain}, epochs=epochs, **args)
    network = plain().double()
    images = ((data.train_images.float() / 255 - data.mean[0]) / data.std[0]).double()

    left, began, rates = set(range(250)), [], {}
    epoch = 0
    for number, k, lr in ((0, 1, LR), (1, 2, LR), (2, 0, LR / 2)):  # the third is what comes after the rounds
        network.load_state_dict(watch.first)
        sgd = torch.optim.SGD(network.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4)
        began.append(epoch)
        streak, learned = dict.fromkeys(left, 0), set()
        while epoch < epochs:
            done = epoch - began[-1]
            if number == 2 and done in (1, 3):
                sgd.param_groups[0]["lr"] /= 2
            rates[epoch] = sgd.param_groups[0]["lr"]
            assert set(served.rows[epoch]) == left
            for x, y, _ in watch.batches[epoch]:
                sgd.zero_grad()
                F.cross_entropy(network(x), y).backward()
                sgd.step()
            epoch += 1
            if number < 2 and done + 1 > 2:
                right = (network(images).argmax(1) == data.noisy_targets).tolist()
                for i in left:
                    streak[i] = streak[i] + 1 if right[i] else 0
                    learned |= {i} if streak[i] >= k else set()
                if len(learned) >= int(250 * 0.55 ** (number + 1)):
                    left = learned
                    break

    assert began == sorted(set(began))
    assert began[-1] < epochs - 4  # all rounds were over, and some epochs came after
    assert (fitted.method.round, fitted.method.began) == (2, began[-1])
    for one, other in zip(fitted.method.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    steps = [epoch for epoch, rows in sorted(served.rows.items()) for _ in range(-(-len(rows) // 32))]
    assert fitted.rates.rates == pytest.approx({n + 1: rates[epoch] for n, epoch in enumerate(steps)})


def test_what_is_left_is_more_often_right() -> None:
    data = digits(num_train=256)
    case = Case(LateStopping, {"keep_rate": 0.85, "rounds": (2, 2), "ignored_epochs": 1, "lr": 0.03})
    fitted = run(case, data, {"backbone": "digits_cnn"}, epochs=60)
    assert fitted.method.round >= 3
    left = fitted.method.tables["chosen"].views()["weight"] > 0
    right = data.noisy_targets == data.clean_targets
    assert float(right[left].float().mean()) > float(right.float().mean()) + 0.1


def test_a_sample_is_learned_after_so_many_right_predictions_in_a_row() -> None:
    method = LateStopping(rounds=(1, 1, 1), **NETWORK)
    shown = [[1, 0, 1], [1, 1, 0], [1, 1, 1], [1, 0, 1]]
    for number, expected in ((0, [1, 1, 1]), (1, [1, 1, 1]), (2, [1, 0, 0])):
        method.round = number
        assert method.streak_in(number) == number + 1
        table = SampleTable(3, [Column("weight", merge="ordered", initial=1.0), *method.evidence()])
        for epoch, right in enumerate(shown):
            table.observe(torch.arange(3), {"correct": torch.tensor(right)})
            table.commit(epoch, method._count)
        assert table.views()["learned"].tolist() == expected


def test_a_round_that_takes_too_long_leaves_out_none() -> None:
    served = Served()
    case = Case(LateStopping, {"keep_rate": 1.0, "rounds": (2,), "ignored_epochs": 0, "max_round_epochs": 2})
    fitted = run(case, method={"backbone": plain}, epochs=6, callbacks=[served])
    assert (fitted.method.round, fitted.method.began) == (2, 4)
    assert [len(served.rows[epoch]) for epoch in range(6)] == [256] * 6


def test_nothing_is_looked_at_while_nothing_counts_and_after_the_rounds() -> None:
    looks: list[int] = []

    class Looking(LateStopping):
        def _look(self) -> tuple[Tensor, bool]:
            looks.append(self.current_epoch)
            return super()._look()

    args = {"keep_rate": 0.0, "rounds": (2,), "ignored_epochs": 2}  # the first look is enough
    fitted = run(Case(Looking, args), method={"backbone": plain}, epochs=9)
    assert looks == [3, 6]
    assert fitted.method.round == 2


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty:UserWarning")
@pytest.mark.parametrize("stop", ["epoch-1", "epoch-2", "step-20"])
def test_resume_around_a_rounds_start(stop: str, tmp_path: Path) -> None:
    case = Case(LateStopping, {"keep_rate": 0.5, "rounds": (1, 1), "ignored_epochs": 0})
    args: dict[str, Any] = {"epochs": 6, "method": {"backbone": tiny}}
    whole = run(case, callbacks=savers(tmp_path, 5), **args)
    assert whole.method.began in (4, 5)
    saved = torch.load(tmp_path / f"{stop}.ckpt", weights_only=True)["noisylearn_late_stopping"]
    assert saved["round"] == (0 if stop == "epoch-1" else 1)
    resumed = run(case, callbacks=savers(tmp_path, 5), resume=tmp_path / f"{stop}.ckpt", **args)
    assert differences(whole.state(), resumed.state()) == []
    assert (whole.method.round, whole.method.began) == (resumed.method.round, resumed.method.began)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"`keep_rate` must be in \[0, 1\], got 98: the part that a round leaves"):
        LateStopping(keep_rate=98, **NETWORK)
    with pytest.raises(ValueError, match="`rounds` must be finite and at least 0, got -1: how many rounds there are"):
        LateStopping(rounds=(4, -1), **NETWORK)
    with pytest.raises(ValueError, match="`scheduler` must be left out with LateStopping, got 'CosineAnnealingLR'"):
        LateStopping(scheduler="CosineAnnealingLR", **NETWORK)
    with pytest.raises(ValueError, match="`max_round_epochs` must be at least 1, got 0"):
        LateStopping(max_round_epochs=0, **NETWORK)
    with pytest.raises(ValueError, match="`ignored_epochs` must be finite and at least 0, got -1: a round's epochs"):
        LateStopping(ignored_epochs=-1, **NETWORK)
