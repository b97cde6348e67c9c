"""Self-influence through the last layer."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from noisylearn.signals.base import Score, Signal
from noisylearn.signals.el2n import el2n
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views


def last_layer_self_influence(probs: Tensor, targets: Tensor, features: Tensor) -> Tensor:
    """Return ``||p - onehot(g)||^2 (||h||^2 + 1)``: the squared gradient norm of the last layer, per sample.

    It is that of the cross-entropy with respect to weight and bias of a linear layer that reads ``h``, exactly and
    without a backward pass: the gradient of the weight is the outer product of ``p - onehot(g)`` and ``h``. The 1 is
    the bias's part.

    Args:
        probs: ``(B, C)`` softmax of the logits.
        targets: ``(B,)`` int64 given labels.
        features: ``(B, d)`` what the layer reads.

    Returns:
        ``(B,)`` values of at least 0.

    Source: Pruthi et al., "Estimating Training Data Influence by Tracing Gradient Descent" (TracIn), NeurIPS 2020.

    Example:
        >>> last_layer_self_influence(torch.tensor([[0.5, 0.5]]), torch.tensor([0]), torch.tensor([[3.0, 4.0]]))
        tensor([13.0000])
    """
    return el2n(probs, targets).square() * (features.square().sum(1) + 1)


class SelfInfluence(Signal):
    """How much a sample's own updates lowered its own loss, through the last layer (TracIn). High means suspicious.

    The sum over presentations of the learning rate times the squared gradient norm: online, with every step as a
    checkpoint; in a sweep, as in the paper, with one per sweep. The rate is that of the parameter group which holds the
    last layer. Samples that were shown more often have more.
    ``self_influence_normalized`` leaves the features' norm out, which differs by class and by layer width: the sum of
    the learning rate times EL2N squared.

    Source: Pruthi et al., "Estimating Training Data Influence by Tracing Gradient Descent" (TracIn), NeurIPS 2020,
    restricted to the last layer.

    Example:
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([SelfInfluence()], num_samples=1)
        >>> extras = {"features": torch.tensor([[3.0, 4.0]]), "learning_rate": 0.1}
        >>> signals.observe(Observation(torch.tensor([0]), torch.zeros(1, 2), torch.tensor([0]), **extras))
        >>> _ = signals.commit(epoch=0)
        >>> {name: round(value.item(), 4) for name, value in signals.compute().items()}
        {'self_influence': 1.3, 'self_influence_normalized': 0.05}
    """

    paper = "Pruthi et al., TracIn, 2020 (last layer)"
    view = "either"
    formula = "`sum_t lr_t || p - onehot(g) ||^2 (|| h ||^2 + 1)`, `h` the last linear layer's input"
    cost = "no extra pass; the last layer's input by a hook"
    state = "8 bytes"
    needs = ("features", "learning_rate")
    scores = (
        Score("self_influence", "learning rate times squared last-layer gradient, summed", higher_is_noisier=True),
        Score("self_influence_normalized", "the same without the features' norm", higher_is_noisier=True),
    )
    columns = (Column("self_influence"), Column("self_influence_normalized"))

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage both terms."""
        assert obs.features is not None
        assert obs.learning_rate is not None
        return {
            "self_influence": obs.learning_rate * last_layer_self_influence(obs.probs, obs.targets, obs.features),
            "self_influence_normalized": obs.learning_rate * el2n(obs.probs, obs.targets).square(),
        }

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Return both sums."""
        return {score.name: state[score.name].where(state["n_seen"] > 0, torch.nan) for score in self.scores}
