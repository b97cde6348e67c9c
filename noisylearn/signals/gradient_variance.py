"""Variance of gradients (VoG): how much the picture that a network sees in a sample changes over training."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noisylearn.signals._gradients import input_gradient, network_and_inputs
from noisylearn.signals.base import Score, Signal
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views

SIDE = 8
"""Gradient maps are pooled to so many rows and columns."""
ROUNDING = 1e-6
"""A class whose standard deviation is a smaller part of its mean than this has but float32 rounding to tell apart."""


def logit_gradient_map(network: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the gradient of the given label's logit with respect to the image, pooled to 8 x 8 in grey.

    Args:
        network: The module that maps inputs to ``(B, C)`` logits, in eval mode; it is left as it was found.
        inputs: ``(B, channels, height, width)`` floating point.
        targets: ``(B,)`` int64 labels in ``[0, C)``.

    Returns:
        ``(B, 64)`` gradients, the mean over channels and over the pixels of a cell, row by row; float32 (float64 where
        the inputs are), also under autocast.

    Raises:
        TypeError: The inputs are no floating point tensor.
        ValueError: They are no images, or the network is in train mode.

    Example:
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 10)).eval()
        >>> logit_gradient_map(network, torch.zeros(2, 3, 16, 16), torch.tensor([0, 1])).shape
        torch.Size([2, 64])
    """
    if isinstance(inputs, Tensor) and inputs.ndim != 4:
        raise ValueError(f"`inputs` must be images (B, C, H, W), got shape {tuple(inputs.shape)}: VoG pools pictures")
    gradient = input_gradient(network, inputs, targets, of=_given_logit)
    return F.adaptive_avg_pool2d(gradient.mean(1, keepdim=True), SIDE).flatten(1)


def _given_logit(logits: Tensor, targets: Tensor) -> Tensor:
    return logits.gather(1, targets[:, None])[:, 0]


def standardize_by_class(values: Tensor, classes: Tensor) -> Tensor:
    """Return ``(value - mean) / std`` with the mean and the population standard deviation of the value's class.

    A class of which all values are equal, or there is one, has 0.

    Args:
        values: ``(N,)`` floating point; those that are not finite stay NaN and count nowhere.
        classes: ``(N,)`` integers of at least 0; where the value is not finite, any integers.

    Returns:
        ``(N,)`` numbers of the dtype of ``values``.

    Example:
        >>> standardize_by_class(torch.tensor([1.0, 3.0, 7.0, torch.nan]), torch.tensor([0, 0, 1, 1]))
        tensor([-1.,  1.,  0., nan])
    """
    known = values.isfinite()
    value, label = values[known].double(), classes[known].long()
    count = label.bincount()
    mean = (value.new_zeros(len(count)).index_add(0, label, value) / count)[label]
    deviation = value - mean
    spread = (value.new_zeros(len(count)).index_add(0, label, deviation**2) / count).sqrt()[label]
    scores = torch.where(spread > ROUNDING * mean.abs(), deviation / spread, 0)
    return torch.full_like(values, torch.nan).masked_scatter(known, scores.to(values.dtype))


class VarianceOfGradients(Signal):
    """Variance over training of the gradient of the given label's logit in the input (VoG). High means hard.

    The standard deviation over sweeps of each cell of the gradient map, averaged over the cells, standardised inside
    the class of the given label. Hard is not wrong: before the network begins to fit a wrong label, that label's logit
    has little gradient to vary, so that wrong labels can stand below right ones in early sweeps. Early and late sweeps
    rank samples differently, and no direction is declared. NaN for a sample swept less than twice; one presentation
    between two commits counts, the first.

    Source: Agarwal et al., "Estimating Example Difficulty using Variance of Gradients", CVPR 2022. As in the authors'
    code the map is the mean over channels and the root is taken in each cell; that code keeps every pixel of every
    checkpoint, where here maps are pooled to 8 x 8 and their variance is accumulated by Welford's method.

    Example:
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([VarianceOfGradients()], num_samples=3)
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2), nn.Tanh()).eval()
        >>> images, targets = torch.rand(2, 1, 8, 8), torch.tensor([0, 0])
        >>> for epoch in range(2):
        ...     _ = network[1].weight.data.normal_()
        ...     signals.observe(
        ...         Observation(torch.tensor([0, 2]), network(images), targets, inputs=images, network=network)
        ...     )
        ...     _ = signals.commit(epoch)
        >>> signals.compute()["vog"]  # two samples of a class are one standard deviation from their mean
        tensor([..., nan, ...])
    """

    paper = "Agarwal et al., Variance of Gradients, 2022"
    view = "sweep"
    formula = "std over sweeps of `d z_g / d x`, averaged over pixels, standardised within the class"
    state = "516 bytes"
    cost = "1 extra forward and backward pass per sweep"
    needs = ("inputs", "network")
    scores = (Score("vog", "variance of the label's gradient, inside its class", higher_is_noisier=None),)
    columns = (
        Column("presentations", torch.int16, merge="ordered"),
        Column("given", torch.int16, merge="last", initial=-1),
        Column("gradient_mean", width=SIDE**2, merge="ordered"),
        Column("gradient_m2", width=SIDE**2, merge="ordered"),
    )
    observed = (Column("gradient_map", width=SIDE**2, merge="first"),)

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage the gradient map and the label."""
        return {"gradient_map": logit_gradient_map(*network_and_inputs(obs), obs.targets), "given": obs.targets}

    def advance(self, state: Views, staged: Views) -> Mapping[str, Tensor]:
        """Take one map into the running mean and spread (Welford, 1962)."""
        count = state["presentations"].int() + 1
        delta = staged["gradient_map"] - state["gradient_mean"]
        mean = state["gradient_mean"] + delta / count[:, None]
        return {
            "presentations": count,
            "gradient_mean": mean,
            "gradient_m2": state["gradient_m2"] + delta * (staged["gradient_map"] - mean),
        }

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Return the standardised variance."""
        count = state["presentations"]
        spread = (state["gradient_m2"] / count[:, None]).sqrt().mean(1)
        return {"vog": standardize_by_class(spread.where(count > 1, torch.nan), state["given"])}
