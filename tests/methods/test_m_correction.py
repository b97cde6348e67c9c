"""M-correction against a loop in the order of the authors' code, its edge cases, and arguments."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisylearn._compat import Callback
from noisylearn.methods import MCorrection
from noisylearn.selection import fit_bmm
from tests.methods.harness import Case, digits, plain, run

WARMUP, EPOCHS, LR, ALPHA, REG = 2, 4, 0.05, 0.4, 0.7
SETTING: dict[str, Any] = {"warmup_epochs": WARMUP, "alpha": ALPHA, "reg": REG, "lr": LR}
NETWORK: dict[str, Any] = {"backbone": "digits_cnn", "num_classes": 10, "in_channels": 1, "image_size": 8}


def normed() -> nn.Module:
    """A network with batch norm and without dropout: which mode it is in matters, and it draws no numbers."""
    features = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU())
    return nn.Sequential(OrderedDict(features=features, classifier=nn.Linear(32, 10)))


class Watch(Callback):  # type: ignore[misc]
    """Keeps the batches and the first weights, and makes the random numbers begin at 7."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: dict[int, list[Any]] = {}

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.first = {name: value.clone() for name, value in pl_module.network.state_dict().items()}
        torch.manual_seed(7)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.batches.setdefault(trainer.current_epoch, []).append(batch)


def step_loss(network: nn.Module, x: Tensor, y: Tensor, mixture: Any) -> Tensor:
    """One step as in the authors' code: the prediction, the mixture, the losses in evaluation mode."""
    count = len(y)
    predicted = network(x).detach().argmax(1) if mixture is not None else y
    lam = float(torch.distributions.Beta(ALPHA, ALPHA).sample())
    order = torch.randperm(count)
    log_p = network(lam * x + (1 - lam) * x[order]).log_softmax(1)
    wrong = torch.zeros(count, dtype=torch.float64)
    if mixture is not None:
        network.eval()
        wrong = (1 - mixture.posterior(F.cross_entropy(network(x), y, reduction="none").detach())).clamp(1e-4, 1 - 1e-4)
        network.train()
    total = torch.zeros((), dtype=torch.float64)
    for i in range(count):
        j = int(order[i])
        one = -(1 - wrong[i]) * log_p[i, y[i]] - wrong[i] * log_p[i, predicted[i]]
        two = -(1 - wrong[j]) * log_p[i, y[j]] - wrong[j] * log_p[i, predicted[j]]
        total = total + (lam * one + (1 - lam) * two) / count
    if mixture is None:
        return total
    mean = log_p.exp().mean(0)
    return total + REG * sum(0.1 * torch.log(0.1 / mean[c]) for c in range(10))


def test_a_fit_is_the_loop_of_the_authors() -> None:
    watch, data = Watch(), digits(num_train=250)
    args: dict[str, Any] = {"epochs": EPOCHS, "precision": "64-true", "callbacks": [watch]}
    fitted = run(Case(MCorrection, SETTING), data, {"backbone": normed}, **args)
    network = normed().double()
    network.load_state_dict(watch.first)
    sgd = torch.optim.SGD(network.parameters(), lr=LR, momentum=0.9, weight_decay=5e-4)
    images = next(iter(data._loader("train", data.noisy_targets, torch.arange(250), train=False))).input.double()
    torch.manual_seed(7)
    for epoch in range(EPOCHS):
        mixture = None
        if epoch >= WARMUP:
            network.eval()
            mixture = fit_bmm(F.cross_entropy(network(images), data.noisy_targets, reduction="none").detach().float())
            assert mixture.split
            network.train()
        for x, y, _ in watch.batches[epoch]:
            sgd.zero_grad()
            step_loss(network, x, y, mixture).backward()
            sgd.step()
    torch.testing.assert_close(
        dict(fitted.method.network.state_dict()), dict(network.state_dict()), rtol=1e-4, atol=1e-6
    )


def test_losses_that_do_not_fall_into_two_groups_correct_nothing() -> None:
    method = MCorrection(**NETWORK)
    assert not method.mixture.split
    assert method.wrong_probability(torch.tensor([0.1, 9.0])).tolist() == pytest.approx([1e-4, 1e-4])


def test_a_large_loss_is_corrected_and_never_wholly() -> None:
    method = MCorrection(**NETWORK)
    small, large = torch.rand(200) * 0.2, 3 + torch.rand(100)
    method.mixture = fit_bmm(torch.cat([small, large]))
    wrong = method.wrong_probability(torch.tensor([0.0, 0.1, 3.5, 99.0]))
    assert wrong.tolist() == pytest.approx([1e-4, 1e-4, 1 - 1e-4, 1 - 1e-4], abs=0.1)
    assert float(wrong.min()) >= 1e-4 - 1e-9
    assert float(wrong.max()) <= 1 - 1e-4 + 1e-6


def test_the_mixture_is_fitted_to_trained_samples_alone() -> None:
    """With a validation split the table has rows that no sweep sees: their zeros are no losses."""
    data = digits(val_fraction=0.5)
    fitted = run(Case(MCorrection, {**SETTING, "warmup_epochs": 0}), data, {"backbone": plain}, epochs=1)
    losses = fitted.method.tables["losses"].views()["loss"][data.train_rows]
    assert fitted.method.mixture == fit_bmm(losses)
    assert fitted.method.mixture.low > 0


def test_a_sample_that_is_left_out_is_not_learned_from_as_another_samples_partner() -> None:
    """Without its weight, only its image is left of it: whatever its label, the weights are the same."""

    class Prune(Callback):  # type: ignore[misc]
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            pl_module.set_sample_weights(torch.arange(0, 256, 2), torch.zeros(128))

    def weights(shift: int) -> dict[str, Tensor]:
        data = digits()
        data.setup()
        data.noisy_targets[::2] = (data.noisy_targets[::2] + shift) % 10
        setting = {**SETTING, "warmup_epochs": 9}
        return dict(run(Case(MCorrection, setting), data, {"backbone": plain}, callbacks=[Prune()]).method.state_dict())

    torch.testing.assert_close(weights(0), weights(3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"warmup_epochs": -1}, "`warmup_epochs` must be finite and at least 0, got -1: the epochs of plain mixup"),
        ({"alpha": 0.0}, "`alpha` must be above 0, got 0.0"),
        ({"alpha": -2.0}, "`alpha` must be finite and at least 0, got -2.0"),
        ({"reg": float("nan")}, "`reg` must be finite and at least 0, got nan: the weight of the divergence"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MCorrection(**arguments, **NETWORK)
