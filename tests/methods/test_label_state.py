"""SELC and SOP: what their rows say of the labels after a fit, and arguments that cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from noisylearn.methods import SELC, SOP
from tests.methods.harness import Case, digits, plain, run

NETWORK: dict[str, Any] = {"backbone": "mlp", "num_classes": 10, "in_channels": 1, "image_size": 8}


def test_selc_keeps_the_given_labels_in_the_warm_up_and_mends_them_after() -> None:
    data = digits(num_train=512)
    case = Case(SELC, {"warmup_epochs": 4, "momentum": 0.5, "lr": 0.02})
    waiting = run(case, data, {"backbone": "digits_cnn"}, epochs=4).method.tables["targets"].views()["target"]
    assert torch.equal(waiting, F.one_hot(data.noisy_targets, 10).float())
    mended = run(case, digits(num_train=512), {"backbone": "digits_cnn"}, epochs=10).method.tables["targets"].views()
    right = (mended["target"].argmax(1) == data.clean_targets).float().mean()
    assert float(right) > 0.6 + 0.15  # of which 0.6 were right
    torch.testing.assert_close(mended["target"].sum(1), torch.ones(512))


def test_sop_finds_noise_at_wrong_labels() -> None:
    data = digits(num_train=512)
    case = Case(SOP, {"lr_u": 10.0, "lr_v": 100.0, "init_std": 1e-3, "lr": 0.02})
    rows = run(case, data, {"backbone": "digits_cnn"}, epochs=12).method.tables["noise"].views()
    wrong = data.noisy_targets != data.clean_targets
    too_much = rows["u"].square()
    assert float(too_much[wrong].mean()) > 3 * float(too_much[~wrong].mean())
    # What the given label has too much, the right one has too little.
    others = rows["v"].square().masked_fill(F.one_hot(data.noisy_targets, 10).bool(), 0)
    found = others[wrong].argmax(1) == data.clean_targets[wrong]
    assert float(found.float().mean()) > 0.6


def test_the_first_values_of_sop_do_not_depend_on_the_seed() -> None:
    tables = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        tables.append(SOP(init_std=1e-8, **NETWORK).build_tables(1000)["noise"].views())
    assert torch.equal(tables[0]["u"], tables[1]["u"])
    assert torch.equal(tables[0]["v"], tables[1]["v"])
    assert float(tables[0]["v"].std()) == pytest.approx(1e-8, rel=0.05)
    assert float(tables[0]["u"].std()) == pytest.approx(1e-8, rel=0.1)


def test_rates_of_zero_leave_the_rows_alone() -> None:
    fitted = run(Case(SOP, {"lr_u": 0.0, "lr_v": 0.0}), digits(), {"backbone": plain})
    first = fitted.method.build_tables(256)["noise"].views()
    last = fitted.method.tables["noise"].views()
    assert torch.equal(first["u"], last["u"])
    assert torch.equal(first["v"], last["v"])


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="`warmup_epochs` must be finite and at least 0, got -1: the epochs of cross"):
        SELC(warmup_epochs=-1, **NETWORK)
    with pytest.raises(ValueError, match=r"`momentum` must be in \[0, 1\], got 9: the weight of the past"):
        SELC(momentum=9, **NETWORK)
    for name in ("lr_u", "lr_v", "init_std"):
        with pytest.raises(ValueError, match=f"`{name}` must be finite and at least 0, got -1.0"):
            SOP(**{name: -1.0}, **NETWORK)
