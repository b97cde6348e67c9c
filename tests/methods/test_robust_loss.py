"""`RobustLoss` takes every loss of logits and labels by name, and says what is wrong with a name or an argument."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from noisylearn import losses
from noisylearn.methods import RobustLoss

NETWORK: dict[str, Any] = {"backbone": "mlp", "num_classes": 10, "in_channels": 1, "image_size": 8}
REQUIRED: dict[str, dict[str, Any]] = {"jensen_shannon": {"pi": 0.7}}
NEED_MORE = {
    "backward_correction",
    "class_prior_penalty",
    "consistency",
    "contrastive",
    "cores",
    "cores_beta",
    "cores_sieve",
    "elr",
    "elr_plus",
    "elr_regularizer",
    "elr_target_update",
    "entropy",
    "forward_correction",
    "generalized_jensen_shannon",
    "importance_weights",
    "jocor",
    "joint_optimization",
    "mixup",
    "mixup_cross_entropy",
    "other_classes_penalty",
    "peer_loss",
    "pencil",
    "runner_up_penalty",
    "selc_target_update",
    "soft_cross_entropy",
    "sop",
    "sop_balance",
    "squared_error",
    "symmetric_kl",
    "truncated_generalized_cross_entropy",
    "truncation_mask",
    "volume_minimization",
}


@pytest.mark.parametrize("name", sorted(set(losses.__all__) - NEED_MORE))
def test_a_loss_by_name_is_that_loss(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    logits, target = torch.randn(6, 10, generator=generator), torch.randint(0, 10, (6,), generator=generator)
    method = RobustLoss(name, REQUIRED.get(name), **NETWORK)
    found = method.compute_loss(logits, target, index=torch.arange(6))
    assert torch.equal(found, getattr(losses, name)(logits, target, **REQUIRED.get(name, {})))


@pytest.mark.parametrize("name", sorted(NEED_MORE))
def test_what_needs_more_is_refused_with_what_it_takes(name: str) -> None:
    takes = ", ".join(inspect.signature(getattr(losses, name)).parameters)
    with pytest.raises(ValueError, match=r"`loss` must be a loss of logits and targets alone, got (.*)\n") as error:
        RobustLoss(name, **NETWORK)
    assert f"got {name}({takes}): what needs more is a method of its own" in str(error.value)


@pytest.mark.parametrize(
    ("loss", "arguments", "message"),
    [
        ("generalised_cross_entropy", {}, "no loss `generalised_cross_entropy`; did you mean `generalized_cross_entro"),
        ("nce_rce", {"aplha": 1.0}, "no argument of nce_rce `aplha`; did you mean `alpha`"),
        ("nce_rce", {"targets": 1.0}, "no argument of nce_rce `targets`\nknown: alpha, beta, log_zero"),
        ("jensen_shannon", None, "`loss_args` must have 'pi' for jensen_shannon, got {}: it has no default"),
        ("generalized_cross_entropy", {"q": 0.0}, r"`q` must be in \(0, 1\], got 0.0: pass 0.7, the paper's"),
    ],
)
def test_wrong_arguments_are_told_when_the_method_is_made(loss: str, arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RobustLoss(loss, arguments, **NETWORK)


def test_an_argument_of_another_type() -> None:
    with pytest.raises(TypeError, match="`q` must be a number, got 'high'"):
        RobustLoss("generalized_cross_entropy", {"q": "high"}, **NETWORK)


def test_the_arguments_reach_the_loss_and_the_caller_keeps_his_dict() -> None:
    arguments = {"q": 0.5}
    method = RobustLoss("generalized_cross_entropy", arguments, **NETWORK)
    arguments["q"] = 1.0
    logits, target = torch.tensor([[3.0] + [0.0] * 9]), torch.tensor([1])
    expected = losses.generalized_cross_entropy(logits, target, q=0.5)
    assert torch.equal(method.compute_loss(logits, target, index=target), expected)
