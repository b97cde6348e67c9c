"""Cumulative sample gradient: how steep a sample's loss is in its input, summed over training."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from noisylearn.signals._gradients import input_gradient, network_and_inputs, row_norms
from noisylearn.signals.base import Score, Signal, per_seen
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views


def sample_gradient_norm(network: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return ``||grad_x l||_2``, the norm of the loss gradient with respect to the input.

    Args:
        network: The module that maps inputs to ``(B, C)`` logits, in eval mode; it is left as it was found.
        inputs: ``(B, ...)`` floating point; the norm is in the inverse of their units.
        targets: ``(B,)`` int64 labels in ``[0, C)``.

    Returns:
        ``(B,)`` norms, float32 (float64 where the inputs are), also under autocast.

    Raises:
        TypeError: The inputs are no floating point tensor.
        ValueError: The network is in train mode.

    Source: "Memorization Through the Lens of Sample Gradients", ICLR 2026.

    Example:
        >>> network = nn.Linear(2, 2, bias=False).eval()
        >>> _ = network.weight.data.copy_(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
        >>> sample_gradient_norm(network, torch.zeros(1, 2), torch.tensor([0]))  # p (1 - p) is 1/2 of the weights
        tensor([2.5000])
    """
    return row_norms(input_gradient(network, inputs, targets))


class CumulativeSampleGradient(Signal):
    """The norm of the loss gradient with respect to the input, summed over sweeps (CSG). High means suspicious.

    The sum is the paper's score; where some samples were swept more often than others, compare the mean.

    Source: "Memorization Through the Lens of Sample Gradients", ICLR 2026; here the sum runs over
    the sweeps made, each in eval mode.

    Example:
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([CumulativeSampleGradient()], num_samples=1)
        >>> network = nn.Linear(2, 2, bias=False).eval()
        >>> _ = network.weight.data.copy_(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
        >>> x, target, index = torch.zeros(1, 2), torch.tensor([0]), torch.tensor([0])
        >>> for epoch in range(2):
        ...     signals.observe(Observation(index, network(x), target, inputs=x, network=network))
        ...     _ = signals.commit(epoch)
        >>> {name: value.item() for name, value in signals.compute().items()}
        {'csg': 5.0, 'csg_mean': 2.5}
    """

    paper = "Memorization Through the Lens of Sample Gradients, 2026"
    view = "sweep"
    formula = "`sum over sweeps of || grad_x l ||_2`"
    state = "4 bytes"
    cost = "1 extra forward and backward pass per sweep"
    needs = ("inputs", "network")
    scores = (
        Score("csg", "input gradient norm of the loss, summed", higher_is_noisier=True),
        Score("csg_mean", "input gradient norm of the loss, mean", higher_is_noisier=True),
    )
    columns = (Column("input_gradient_sum"),)

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage the norm."""
        return {"input_gradient_sum": sample_gradient_norm(*network_and_inputs(obs), obs.targets)}

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Return the sum and the mean."""
        total, n_seen = state["input_gradient_sum"], state["n_seen"]
        return {"csg": total.where(n_seen > 0, torch.nan), "csg_mean": per_seen(total, n_seen)}
