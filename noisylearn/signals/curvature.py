"""Curvature of the loss in the input."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from noisylearn._checks import check_positive_int
from noisylearn.signals._gradients import input_gradient, network_and_inputs, row_norms
from noisylearn.signals.base import Score, Signal, per_seen
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views


def input_curvature(
    network: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    num_directions: int = 10,
    step: float = 1e-3,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return ``mean_v ||grad_x l(x + step v) - grad_x l(x)||`` over random directions ``v`` of entries -1 and 1.

    For small steps it is ``step * mean_v ||H v||``, with ``H`` the Hessian of the loss in the input. All samples of a
    call share the directions: the value of a sample depends on neither its batch nor its place there, and samples
    compare under equal conditions.

    Args:
        network: The module that maps inputs to ``(B, C)`` logits, in eval mode; it is left as it was found.
        inputs: ``(B, ...)`` floating point. ``step`` is in their units: 1e-3 was meant for pixels of about unit range.
        targets: ``(B,)`` int64 labels in ``[0, C)``.
        num_directions: Number of directions.
        step: How far along a direction, per entry.
        generator: Draws the directions; a new one of seed 0 by default, so torch's own state does not move.

    Returns:
        ``(B,)`` curvatures, at least 0, float32 (float64 where the inputs are), also under autocast.

    Raises:
        TypeError: The inputs are no floating point tensor.
        ValueError: The network is in train mode, ``num_directions`` is below 1 or ``step`` not positive.

    Source: Garg et al., "Memorization Through the Lens of Curvature of Loss Function Around Samples", ICML 2024. As
    in the authors' code the norm is neither squared nor divided by the step. That code differentiates the batch's mean
    loss, so that its values are smaller by the batch size, and draws directions for each sample.

    Example:
        >>> network = nn.Linear(2, 2, bias=False).eval()
        >>> _ = network.weight.data.copy_(torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
        >>> curvature = input_curvature(network, torch.zeros(1, 2), torch.tensor([0]), step=1e-2)
        >>> round(curvature.item() / 1e-2, 4)  # p (1 - p) |w . v| ||w||, with w the difference of the weights
        0.25
    """
    check_positive_int("num_directions", num_directions)
    if not step > 0:
        raise ValueError(f"`step` must be positive, got {step}: it is in the inputs' units, e.g. 1e-3")
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    here = input_gradient(network, inputs, targets)
    total = here.new_zeros(len(here))
    for _ in range(num_directions):  # one at a time: memory stays that of a training step
        bits = torch.randint(2, here.shape[1:], generator=generator, device=generator.device)
        moved = inputs + step * (2 * bits - 1).to(here)
        total += row_norms(input_gradient(network, moved, targets) - here)
    return total / num_directions


class InputCurvature(Signal):
    """Curvature of the loss around the sample's input, averaged over sweeps. High means suspicious.

    The curvature of one late epoch says little, since it falls once the sample is fitted: the average over training
    is the score. All samples and sweeps use the same directions, drawn from ``seed``, so that scores depend on
    neither batches nor processes, and a resumed run measures what an uninterrupted one does.

    Source: Garg et al., "Memorization Through the Lens of Curvature of Loss Function Around Samples", ICML 2024; see
    `input_curvature` for what differs.

    Args:
        num_directions: Random directions per sample.
        step: How far along a direction, in the inputs' units.
        seed: Draws the directions.

    Raises:
        ValueError: ``num_directions`` is below 1 or ``step`` not positive.

    Example:
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([InputCurvature()], num_samples=2)
        >>> network, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).eval(), torch.ones(1, 3)
        >>> index, targets = torch.tensor([1]), torch.tensor([0])
        >>> signals.observe(Observation(index, network(x), targets, inputs=x, network=network))
        >>> _ = signals.commit(epoch=0)
        >>> (signals.compute()["curvature"] > 0).tolist()
        [False, True]
    """

    paper = "Garg et al., Input Loss Curvature, 2024"
    view = "sweep"
    formula = "mean over directions `v = ±1` of `|| grad_x l(x + h v) - grad_x l(x) ||`, averaged over sweeps"
    state = "4 bytes"
    cost = "1 extra forward and backward pass per direction (10), and 1 more, per sweep"
    needs = ("inputs", "network")
    scores = (Score("curvature", "mean curvature of the loss in the input", higher_is_noisier=True),)
    columns = (Column("curvature_sum"),)

    def __init__(self, num_directions: int = 10, step: float = 1e-3, seed: int = 0) -> None:
        self.num_directions = check_positive_int("num_directions", num_directions)
        if not step > 0:
            raise ValueError(f"`step` must be positive, got {step}: it is in the inputs' units, e.g. 1e-3")
        self.step, self.seed = step, seed

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage the curvature."""
        generator = torch.Generator().manual_seed(self.seed)
        value = input_curvature(*network_and_inputs(obs), obs.targets, self.num_directions, self.step, generator)
        return {"curvature_sum": value}

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Return the mean curvature."""
        return {"curvature": per_seen(state["curvature_sum"], state["n_seen"])}
