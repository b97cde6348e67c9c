"""The transition matrix of a method: given, estimated once, kept in the weights, and near what made the labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from noisylearn.methods import BackwardCorrection, ForwardCorrection
from noisylearn.noise import anchor_transition_matrix, dual_t_transition_matrix, symmetric_matrix
from tests.methods.harness import Case, digits, plain, run, savers

NETWORK: dict[str, Any] = {"backbone": "mlp", "num_classes": 10, "in_channels": 1, "image_size": 8}


@pytest.mark.parametrize("estimator", ["anchor", "dual_t"])
@pytest.mark.parametrize("method", [ForwardCorrection, BackwardCorrection])
def test_the_matrix_is_estimated_once_from_the_last_predictions(method: type[Any], estimator: str) -> None:
    case = Case(method, {"warmup_epochs": 2, "estimator": estimator})
    data = digits()
    waiting = run(case, data, {"backbone": plain}, epochs=2).method
    assert torch.equal(waiting.transition, torch.eye(10))
    rows = waiting.tables["predictions"].views()
    probs, labels = rows["probs"].numpy(), rows["label"].long().numpy()
    assert labels.tolist() == data.noisy_targets.tolist()
    expected = anchor_transition_matrix(probs) if estimator == "anchor" else dual_t_transition_matrix(probs, labels)
    for epochs in (3, 5):
        found = run(case, digits(), {"backbone": plain}, epochs=epochs).method.transition
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_the_estimate_is_near_the_noise_that_made_the_labels() -> None:
    """Nearer than no correction, which the warm-up is; the sum of absolute differences of a row is at most 2."""
    case = Case(ForwardCorrection, {"warmup_epochs": 8, "lr": 0.02})
    data = digits(num_train=1024)
    found = run(case, data, {"backbone": "digits_cnn"}, epochs=9).method.transition.double().numpy()
    true = symmetric_matrix(10, 0.4)

    def error(matrix: Any) -> float:
        return float(np.abs(matrix - true).sum(axis=1).mean())

    assert error(np.eye(10)) == pytest.approx(0.8)
    assert error(found) < 0.4


def test_a_given_matrix_needs_no_table_and_is_in_the_arguments(tmp_path: Path) -> None:
    known = symmetric_matrix(10, 0.4).tolist()
    case = Case(ForwardCorrection, {"transition": known})
    fitted = run(case, method={"backbone": "digits_cnn"}, epochs=1, callbacks=savers(tmp_path, 100))
    assert fitted.method.tables == {}
    assert "transition" not in fitted.method.state_dict()
    loaded = ForwardCorrection.load_from_checkpoint(tmp_path / "epoch-0.ckpt", weights_only=True)
    torch.testing.assert_close(loaded.transition.double(), torch.tensor(known, dtype=torch.float64))


def test_an_estimated_matrix_is_in_the_weights(tmp_path: Path) -> None:
    case = Case(ForwardCorrection, {"warmup_epochs": 1})
    fitted = run(case, method={"backbone": "digits_cnn"}, epochs=2, callbacks=savers(tmp_path, 100))
    loaded = ForwardCorrection.load_from_checkpoint(tmp_path / "epoch-1.ckpt", weights_only=True)
    assert torch.equal(loaded.transition, fitted.method.transition)
    assert not torch.equal(loaded.transition, torch.eye(10))


def test_wrong_arguments() -> None:
    known = symmetric_matrix(10, 0.4)
    with pytest.raises(
        ValueError, match=r"`transition` must have 10 rows of 10, got shape \(9, 9\): one row per class"
    ):
        ForwardCorrection(symmetric_matrix(9, 0.4).tolist(), **NETWORK)
    for broken in (2 * known, known - 0.1):
        with pytest.raises(ValueError, match="`transition` must have rows of chances that sum to 1: row i is of the"):
            ForwardCorrection(broken.tolist(), **NETWORK)
    with pytest.raises(ValueError, match="`transition` must be invertible: the noise mixes classes up; try Forward"):
        BackwardCorrection(symmetric_matrix(10, 0.9).tolist(), **NETWORK)
    ForwardCorrection(symmetric_matrix(10, 0.9).tolist(), **NETWORK)
    with pytest.raises(ValueError, match=r"`estimator` must be one of 'anchor', 'dual_t', got 'dual-t' \(did you"):
        ForwardCorrection(estimator="dual-t", **NETWORK)
    with pytest.raises(ValueError, match="`warmup_epochs` must be at least 1, got 0"):
        BackwardCorrection(warmup_epochs=0, **NETWORK)
