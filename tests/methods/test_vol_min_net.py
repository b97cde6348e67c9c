"""VolMinNet: what its matrix is made of, that it is learned and by which optimizer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from noisylearn.methods import VolMinNet
from noisylearn.noise import pair_flip_matrix
from tests.methods.harness import Case, digits, plain, run

NETWORK: dict[str, Any] = {"backbone": "mlp", "in_channels": 1, "image_size": 8}


def test_the_matrix_is_the_identity_and_sigmoids_with_rows_divided_by_their_sum() -> None:
    method = VolMinNet(num_classes=4, **NETWORK)
    weights = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        method.transition_logits.copy_(weights)
    for i, row in enumerate(method.transition.tolist()):
        plain_row = [1.0 if i == j else 1 / (1 + math.exp(-float(weights[i, j]))) for j in range(4)]
        assert row == pytest.approx([x / sum(plain_row) for x in plain_row], rel=1e-6)


@pytest.mark.parametrize(("num_classes", "init", "diagonal"), [(10, -2.0, 0.482), (100, -4.5, 0.479)])
def test_where_the_published_matrices_begin(num_classes: int, init: float, diagonal: float) -> None:
    found = VolMinNet(num_classes=num_classes, init=init, **NETWORK).transition.diagonal()
    assert found.tolist() == pytest.approx([diagonal] * num_classes, abs=1e-3)


def test_the_matrix_comes_near_the_noise_that_made_the_labels() -> None:
    true = pair_flip_matrix(10, 0.3)
    case = Case(VolMinNet, {"lr": 0.02, "transition_lr": 0.1})
    data = digits(num_train=1024, noise="pair_flip", noise_rate=0.3)

    def error(matrix: torch.Tensor) -> float:
        return float(np.abs(matrix.detach().double().numpy() - true).sum(axis=1).mean())

    first: Any = case.build()
    last: Any = run(case, data, {"backbone": "digits_cnn"}, epochs=12).method
    begins, ends = error(first.transition), error(last.transition)
    assert begins > 0.7
    assert ends < 0.5 * begins


def test_a_larger_weight_makes_a_smaller_volume() -> None:
    volumes = []
    for lam in (0.0, 0.3):
        case = Case(VolMinNet, {"lam": lam, "transition_lr": 0.5})
        method: Any = run(case, method={"backbone": plain}, epochs=4).method
        volumes.append(float(torch.linalg.slogdet(method.transition.detach()).logabsdet))
    assert volumes[1] < volumes[0]


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_the_matrix_has_an_optimizer_of_its_own(kind: str) -> None:
    """Without weight decay, under the network's schedule, and of the kind that is asked for."""
    schedule = {"scheduler": "MultiStepLR", "scheduler_args": {"milestones": [1]}, "lr": 0.05}
    case = Case(VolMinNet, {"transition_optimizer": kind, "transition_lr": 0.3, **schedule})
    fitted = run(case, method={"backbone": plain}, epochs=2)
    network, matrix = fitted.trainer.optimizers[0].param_groups
    assert matrix["params"] == [fitted.method.transition_logits]
    assert len(network["params"]) == len(list(fitted.method.network.parameters()))
    assert (network["lr"], matrix["lr"]) == pytest.approx((0.005, 0.03))
    assert (network["weight_decay"], matrix["weight_decay"]) == (5e-4, 0)
    state = fitted.trainer.optimizers[0].state[fitted.method.transition_logits]
    assert ("exp_avg" in state) == (kind == "Adam")
    assert kind == "Adam" or matrix["momentum"] == 0.9


def test_wrong_arguments() -> None:
    arguments: list[tuple[dict[str, Any], str]] = [
        ({"lam": -1.0}, "`lam` must be finite and at least 0, got -1.0: the weight of the volume"),
        ({"transition_optimizer": "Adm"}, "no optimizer `Adm`; did you mean `Adam`"),
        ({"transition_lr": 0.0}, "`lr` must be above 0, got 0.0"),
    ]
    for wrong, message in arguments:
        with pytest.raises(ValueError, match=message):
            VolMinNet(num_classes=10, **wrong, **NETWORK)
