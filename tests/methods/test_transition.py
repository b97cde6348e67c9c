"""The transition matrix of a method: given, estimated once, kept in the weights, and near what made the labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from noisylearn._compat import Callback, seed_everything
from noisylearn.data import Digits
from noisylearn.methods import BackwardCorrection, ForwardCorrection
from noisylearn.methods.features import classifier_inputs
from noisylearn.noise import (
    anchor_transition_matrix,
    dual_t_transition_matrix,
    hoc_transition_matrix,
    pair_flip_matrix,
    symmetric_matrix,
)
from tests.methods.harness import Case, differences, digits, fit, plain, run, savers, tiny

NETWORK: dict[str, Any] = {"backbone": "mlp", "num_classes": 10, "in_channels": 1, "image_size": 8}


def error(matrix: Any, true: Any) -> float:
    """Mean over rows of the sum of absolute differences, in [0, 2]."""
    return float(np.abs(np.asarray(matrix) - true).sum(axis=1).mean())


def images_of(data: Digits) -> Tensor:
    return (data.train_images.float() / 255 - data.mean[0]) / data.std[0]


@pytest.mark.parametrize(("estimator", "restart"), [("anchor", True), ("dual_t", False), ("hoc", True)])
def test_the_matrix_is_estimated_once_in_evaluation_mode(estimator: str, restart: bool) -> None:
    """From what the network says of all samples at the end of the warm-up, unaugmented and without dropout."""
    data = digits(augment=True)
    args = {"warmup_epochs": 2, "estimator": estimator, "restart": restart}
    case = Case(ForwardCorrection, args)
    waiting: Any = run(case, data, {"backbone": tiny}, epochs=2).method
    assert torch.equal(waiting.transition, torch.eye(10))
    network = waiting.network.eval()
    with torch.no_grad():
        features = network[:-1](images_of(data))
        probs = network[-1](features).softmax(1).numpy()
    expected = {
        "anchor": lambda: anchor_transition_matrix(probs),
        "dual_t": lambda: dual_t_transition_matrix(probs, data.noisy_targets),
        "hoc": lambda: hoc_transition_matrix(features, data.noisy_targets, 10),
    }[estimator]()
    for epochs in (3, 4):
        method: Any = run(case, digits(augment=True), {"backbone": tiny}, epochs=epochs).method
        np.testing.assert_allclose(method.transition.numpy(), expected, rtol=1e-3, atol=1e-5)


class FirstStep(Callback):  # type: ignore[misc]
    """Keeps the weights before the first step of every epoch, and whether the optimizer has momentum."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[dict[str, Tensor]] = []
        self.momentum: list[bool] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        if trainer.global_step % trainer.num_training_batches == 0:
            parameters = pl_module.network.named_parameters()
            self.weights.append({name: value.detach().clone() for name, value in parameters})
            self.momentum.append(bool(optimizer.state))


@pytest.mark.parametrize("method", [ForwardCorrection, BackwardCorrection])
def test_a_restart_goes_back_to_the_first_weights(method: type[Any]) -> None:
    kept = []
    for restart in (True, False):
        first = FirstStep()
        args = {"warmup_epochs": 2, "restart": restart, "percentile": None}
        run(Case(method, args), digits(), {"backbone": "digits_cnn"}, epochs=4, callbacks=[first])
        kept.append(first)
    anew, on = kept
    assert differences(anew.weights[2], anew.weights[0]) == []
    assert anew.momentum == [False, True, False, True]
    assert len(differences(anew.weights[3], anew.weights[0])) == len(anew.weights[0])
    assert len(differences(on.weights[2], on.weights[0])) == len(on.weights[0])
    assert on.momentum == [False, True, True, True]


def test_a_restart_after_a_resume_goes_back_to_the_first_weights_too(tmp_path: Path) -> None:
    case = Case(ForwardCorrection, {"warmup_epochs": 2})
    first = FirstStep()
    whole = run(case, callbacks=[first, *savers(tmp_path, 100)], epochs=3)
    for name, kept in (("epoch-0", True), ("epoch-1", True), ("epoch-2", False)):
        saved = torch.load(tmp_path / f"{name}.ckpt", weights_only=True).get("noisylearn_kept_weights")
        assert (saved is not None) == kept
    seed_everything(5, verbose=False)  # other first weights, had they not been saved
    again = FirstStep()
    with pytest.warns(UserWarning, match="is not empty"):
        resumed = fit(
            case.build(), epochs=3, callbacks=[again, *savers(tmp_path, 100)], resume=tmp_path / "epoch-0.ckpt"
        )
    assert differences(again.weights[-1], first.weights[0]) == []
    assert differences(whole.state(), resumed.state()) == []


def test_a_new_trainer_estimates_anew() -> None:
    case = Case(ForwardCorrection, {"warmup_epochs": 1, "restart": False})
    method: Any = run(case, epochs=2).method
    before = method.transition.clone()
    fit(method, digits(), epochs=1)
    assert torch.equal(method.transition, torch.eye(10))
    fit(method, digits(), epochs=2)
    assert not torch.equal(method.transition, before)


@pytest.mark.parametrize("estimator", ["anchor", "hoc"])
@pytest.mark.parametrize("noise", ["symmetric", "pair_flip"])
def test_the_estimate_is_near_the_noise_that_made_the_labels(estimator: str, noise: str) -> None:
    """Nearer than no correction, which the warm-up is; the sum of absolute differences of a row is at most 2."""
    case = Case(ForwardCorrection, {"warmup_epochs": 8, "lr": 0.02, "estimator": estimator})
    data = digits(num_train=1024, noise=noise)
    method: Any = run(case, data, {"backbone": "digits_cnn"}, epochs=9).method
    found = method.transition.double().numpy()
    true = symmetric_matrix(10, 0.4) if noise == "symmetric" else pair_flip_matrix(10, 0.4)
    assert error(np.eye(10), true) == pytest.approx(0.8)
    assert error(found, true) < 0.6


def test_a_given_matrix_is_in_the_arguments_and_the_training_set_is_not_swept(tmp_path: Path) -> None:
    known = symmetric_matrix(10, 0.4).tolist()
    case = Case(ForwardCorrection, {"transition": known})
    fitted = run(case, method={"backbone": "digits_cnn"}, epochs=1, callbacks=savers(tmp_path, 100))
    assert fitted.method.tables == {}
    assert "transition" not in fitted.method.state_dict()
    assert "noisylearn_kept_weights" not in torch.load(tmp_path / "epoch-0.ckpt", weights_only=True)
    loaded = ForwardCorrection.load_from_checkpoint(tmp_path / "epoch-0.ckpt", weights_only=True)
    torch.testing.assert_close(loaded.transition.double(), torch.tensor(known, dtype=torch.float64))


def test_an_estimated_matrix_is_in_the_weights(tmp_path: Path) -> None:
    case = Case(ForwardCorrection, {"warmup_epochs": 1})
    method: Any = run(case, method={"backbone": "digits_cnn"}, epochs=2, callbacks=savers(tmp_path, 100)).method
    loaded = ForwardCorrection.load_from_checkpoint(tmp_path / "epoch-1.ckpt", weights_only=True)
    assert torch.equal(loaded.transition, method.transition)
    assert not torch.equal(loaded.transition, torch.eye(10))


def test_an_estimate_that_cannot_be_inverted_is_an_error() -> None:
    class Undecided(nn.Module):
        """Says the same of every image."""

        def __init__(self) -> None:
            super().__init__()
            self.scores = nn.Parameter(torch.zeros(10))

        def forward(self, x: Tensor) -> Tensor:
            return self.scores.expand(len(x), 10)

    case = Case(BackwardCorrection, {"warmup_epochs": 1, "backbone": Undecided()})
    with pytest.raises(RuntimeError, match="matrix estimated after 1 epochs cannot be inverted: the network does not"):
        run(case, epochs=2)
    with pytest.raises(ValueError, match="`backbone` must end in a linear layer, and none has run"):
        run(replace(case, method=ForwardCorrection, args={**case.args, "estimator": "hoc"}), epochs=2)


def test_the_classifier_reads_features_of_a_compiled_network_too() -> None:
    network: Any = plain()
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch._dynamo.reset()
    network.compile(backend="eager")
    before = network(x)
    with classifier_inputs(network) as features:
        torch.testing.assert_close(network(x), before)
        assert torch.equal(features(), network[:-1](x))
    assert not any(part._forward_hooks for part in network.modules())


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
    with pytest.raises(ValueError, match=r"`estimator` must be one of 'anchor', 'dual_t', 'hoc', got 'dual-t' \(did"):
        ForwardCorrection(estimator="dual-t", **NETWORK)
    with pytest.raises(ValueError, match="`warmup_epochs` must be at least 1, got 0"):
        BackwardCorrection(warmup_epochs=0, **NETWORK)
    with pytest.raises(ValueError, match=r"`percentile` must be in \(0, 100\), got 100: pass 97, or None for the max"):
        ForwardCorrection(percentile=100, **NETWORK)
