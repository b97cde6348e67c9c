"""Arguments that cannot be meant are refused when a method is made, not after the data is read."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from noisylearn.methods import ELR, CrossEntropy, SmallLoss

NETWORK: dict[str, Any] = {"backbone": "mlp", "num_classes": 10, "in_channels": 1, "image_size": 8}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr": -1.0}, "`lr` must be above 0, got -1.0"),
        ({"lr": float("nan")}, "`lr` must be above 0, got nan"),
        ({"lr": float("inf")}, "`lr` must be above 0, got inf"),
        ({"num_samples": 0}, "`num_samples` must be at least 1, got 0"),
        ({"num_classes": 1}, "`num_classes` must be at least 2, got 1"),
        ({"optimizer": "SDG"}, "no optimizer `SDG`; did you mean `SGD`"),
        ({"scheduler": "CosineAnealingLR"}, "no scheduler `CosineAnealingLR`; did you mean `CosineAnnealingLR`"),
        ({"scheduler_interval": "day"}, "`scheduler_interval` must be 'epoch' or 'step', got 'day'"),
    ],
)
def test_of_every_method(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CrossEntropy(**(NETWORK | arguments))


@pytest.mark.parametrize("lam", [-1.0, float("nan"), float("inf")])
def test_of_elr(lam: float) -> None:
    with pytest.raises(ValueError, match=f"`lam` must be finite and at least 0, got {lam}: the weight of the reg"):
        ELR(lam=lam, **NETWORK)


def test_of_small_loss() -> None:
    with pytest.raises(ValueError, match="`noise_rate` is needed to know how much to leave out"):
        SmallLoss(**NETWORK)
    with pytest.raises(ValueError, match=r"`forget_rate` must be in \[0, 1\], got 40"):
        SmallLoss(noise_rate=40, **NETWORK)


def test_of_sample_weights() -> None:
    method = CrossEntropy(num_samples=9, **NETWORK)
    with pytest.raises(ValueError, match="`index` must have each row once, got repeats"):
        method.set_sample_weights(torch.tensor([1, 1]), torch.tensor([0.5, 0.7]))
    with pytest.raises(ValueError, match="`weights` must be finite and at least 0"):
        method.set_sample_weights(torch.tensor([1]), torch.tensor([-0.5]))
