"""Self-Filtering against a loop in the order of the authors' code, its switch, a resume while it selects, arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from noisylearn.methods import SelfFiltering
from noisylearn.selection import self_filtering_score
from tests.methods.harness import Case, differences, digits, plain, run, savers
from tests.methods.planned import Served, Watch

WARMUP, EPOCHS, LR, RATIO = 5, 8, 0.05, 0.3
SETTING: dict[str, Any] = {"warmup_epochs": WARMUP, "memory": 3, "threshold": RATIO, "warmup_penalty": 0.5, "lr": LR}
NETWORK: dict[str, Any] = {"backbone": "digits_cnn", "num_classes": 10, "in_channels": 1, "image_size": 8}


def batch_loss(logits: Tensor, labels: Tensor, warmup: bool) -> Tensor:
    """Cross-entropy and the penalty, sample by sample."""
    total = torch.zeros((), dtype=torch.float64)
    for z, y in zip(logits, labels.tolist(), strict=True):
        p = z.softmax(0)
        total = total - p[y].log()
        if warmup:
            first, second = sorted(range(10), key=p.detach().tolist().__getitem__, reverse=True)[:2]
            total = total - 0.5 * torch.clamp(RATIO - p[second] / p[first], min=0) * p[second].log()
        else:
            for c in range(10):
                total = total - 0.1 * torch.clamp(RATIO - p[c] / p[y], min=0) * p[c].log() / 9
    return total / len(labels)


def noted(network: nn.Module, images: Tensor, labels: Tensor, of_logits: bool) -> list[float]:
    with torch.no_grad():
        values = network(images) if of_logits else network(images).softmax(1)
    return [float(v.max()) if int(v.argmax()) == int(y) else 0.0 for v, y in zip(values, labels, strict=True)]


@pytest.mark.parametrize("legacy", [False, True], ids=["", "logits"])
def test_a_fit_is_the_loop_of_the_authors(legacy: bool) -> None:
    watch, served, data = Watch(), Served(), digits(num_train=250)
    args: dict[str, Any] = {"epochs": EPOCHS, "precision": "64-true", "callbacks": [watch, served]}
    run(case := Case(SelfFiltering, {**SETTING, "legacy_logits": legacy}), data, {"backbone": plain}, **args)
    network = plain().double()
    network.load_state_dict(watch.first)
    sgd = torch.optim.SGD(network.parameters(), lr=LR, momentum=0.9, weight_decay=5e-4)
    images = next(iter(data._loader("train", data.noisy_targets, torch.arange(250), train=False))).input.double()
    bank: list[list[float]] = []
    for epoch in range(EPOCHS):
        last = bank[-1] if bank else []
        now = noted(network, images, data.noisy_targets, legacy)
        bank = [*bank, now][-case.args["memory"] :]
        if epoch >= WARMUP:
            steady = [0 if before > 0 == after else 1 for before, after in zip(last, now, strict=True)]
            scores = [(sum(kept) + s) / 4 for *kept, s in zip(*bank, steady, strict=True)]
            selected = [i for i, score in enumerate(scores) if score > 0.5]
            assert sorted(served.rows[epoch]) == selected
            assert 20 < len(selected) < 250
        for x, y, _ in watch.batches[epoch]:
            sgd.zero_grad()
            batch_loss(network(x), y, epoch < WARMUP).backward()
            sgd.step()


def test_logits_select_samples_that_fluctuate() -> None:
    """What the switch is about: one large logit is more than a half, whatever came after."""
    memory = torch.tensor([[4.0, 0.0]])
    assert float(self_filtering_score(memory)) > 0.5
    assert float(self_filtering_score(memory.clamp(max=1))) < 0.5


def test_resume_while_it_selects_is_exact(tmp_path: Path) -> None:
    case = Case(SelfFiltering, SETTING)
    whole = run(case, epochs=EPOCHS, callbacks=savers(tmp_path, 1))
    steps = [step for step, epoch in enumerate(whole.rates.epochs, start=1) if epoch == EPOCHS - 1]
    assert 1 < len(steps) < 8  # of 8 that all samples would make
    for stop in (f"epoch-{WARMUP}", f"step-{steps[0]}"):
        with pytest.warns(UserWarning, match="is not empty"):
            resumed = run(case, epochs=EPOCHS, callbacks=savers(tmp_path, 1), resume=tmp_path / f"{stop}.ckpt")
        assert differences(whole.state(), resumed.state()) == []


def test_rows_that_are_not_trained_on_are_not_selected() -> None:
    data = digits(val_fraction=0.25)
    method = run(Case(SelfFiltering, SETTING), data, {"backbone": plain, "lr": 0.1}, epochs=WARMUP + 1).method
    weights = method.tables["chosen"].views()["weight"]
    assert 0 < int((weights[data.train_rows] > 0).sum()) < len(data.train_rows)
    assert not weights[data.val_rows].any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"memory": 0}, "`memory` must be at least 1, got 0: the epochs that are remembered"),
        ({"memory": 1}, "`memory` must be at least 2, got 1: one epoch shows no fluctuation"),
        ({"memory": 4, "warmup_epochs": 2}, "`warmup_epochs` must be at least 3 with a memory of 4, got 2"),
        ({"threshold": 1.5}, r"`threshold` must be in \[0, 1\], got 1.5: the ratio that is too small"),
        ({"warmup_penalty": -1.0}, "`warmup_penalty` must be finite and at least 0, got -1.0: its weight"),
        ({"penalty": -1.0}, "`penalty` must be finite and at least 0, got -1.0: its weight"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SelfFiltering(**arguments, **NETWORK)
