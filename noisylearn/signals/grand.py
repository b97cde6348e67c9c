"""GraNd: the norm of a sample's gradient in the network's parameters."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from noisylearn._checks import check_positive_int
from noisylearn.signals._gradients import differentiable, network_and_inputs, sample_loss
from noisylearn.signals.base import Score, Signal, per_seen
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views


def grand(network: nn.Module, inputs: Tensor, targets: Tensor, chunk_size: int = 16) -> Tensor:
    """Return ``||grad_theta l||_2`` over all parameters that are trained.

    Args:
        network: The module that maps inputs to ``(B, C)`` logits, in eval mode; it is left as it was found. Parameters
            that do not require a gradient are no part of ``theta``.
        inputs: ``(B, ...)`` floating point.
        targets: ``(B,)`` int64 labels in ``[0, C)``.
        chunk_size: Samples whose gradients are held at once: each takes as much memory as the parameters.

    Returns:
        ``(B,)`` norms, float32 (float64 where the inputs and the network are), also under autocast.

    Raises:
        TypeError: The inputs are no floating point tensor.
        ValueError: The network is in train mode or has nothing to train, or ``chunk_size`` is below 1.

    Source: Paul, Ganguli, Dziugaite, "Deep Learning on a Data Diet", NeurIPS 2021.

    Example:
        >>> network = nn.Linear(2, 2).eval()
        >>> _ = network.weight.data.zero_(), network.bias.data.zero_()
        >>> grand(network, torch.tensor([[2.0, 2.0]]), torch.tensor([0]))  # ||p - onehot|| sqrt(||x||^2 + 1)
        tensor([2.1213])
    """
    check_positive_int("chunk_size", chunk_size, "it is the number of samples whose gradients are held at once")
    trained = {name: p.detach() for name, p in network.named_parameters() if p.requires_grad}
    if not trained:
        raise ValueError("`network` must have parameters that require a gradient, got none: unfreeze some")

    def norm(x: Tensor, target: Tensor) -> Tensor:
        def loss(parameters: dict[str, Tensor]) -> Tensor:
            # A copy, for networks that work in place on what they are given.
            logits = functional_call(network, parameters, (x[None].clone(),))
            return sample_loss(logits, target[None])[0]

        squares = [g.square().sum() for g in grad(loss)(trained).values()]
        return torch.stack(squares).sum().sqrt()

    # Fused attention has no rule for vmap, which would go sample by sample and warn.
    with differentiable(network, inputs) as x, sdpa_kernel(SDPBackend.MATH):
        norms: Tensor = vmap(norm, chunk_size=chunk_size)(x, targets)
    return norms


class GraNd(Signal):
    """Norm of the loss gradient in the parameters, averaged over sweeps. High means suspicious.

    The paper scores one early epoch and averages over networks; this is the running mean over the sweeps of one run.
    EL2N is its cheap relative: it is the gradient's norm at the logits.

    Source: Paul, Ganguli, Dziugaite, "Deep Learning on a Data Diet", NeurIPS 2021.

    Args:
        chunk_size: Samples whose gradients are held at once: each takes as much memory as the parameters.

    Raises:
        ValueError: ``chunk_size`` is below 1.

    Example:
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([GraNd()], num_samples=2)
        >>> network, x = nn.Linear(3, 2).eval(), torch.ones(1, 3)
        >>> index, targets = torch.tensor([1]), torch.tensor([0])
        >>> signals.observe(Observation(index, network(x), targets, inputs=x, network=network))
        >>> _ = signals.commit(epoch=0)
        >>> (signals.compute()["grand"] > 0).tolist()
        [False, True]
    """

    paper = "Paul et al., Data Diet, 2021"
    view = "sweep"
    formula = "`|| grad_theta l ||_2` over all trained parameters, averaged over sweeps"
    state = "4 bytes"
    cost = "1 extra forward and backward pass per sweep, with a gradient for each sample"
    needs = ("inputs", "network")
    scores = (Score("grand", "mean norm of the gradient in the parameters", higher_is_noisier=True),)
    columns = (Column("grand_sum"),)

    def __init__(self, chunk_size: int = 16) -> None:
        self.chunk_size = check_positive_int("chunk_size", chunk_size)

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage the norm."""
        return {"grand_sum": grand(*network_and_inputs(obs), obs.targets, self.chunk_size)}

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Return the mean norm."""
        return {"grand": per_seen(state["grand_sum"], state["n_seen"])}
