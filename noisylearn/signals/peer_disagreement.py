"""Disagreement of networks that are trained together."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from noisylearn.signals.base import Score, Signal, per_seen
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views


def js_divergence(logits: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence of several networks' predictions, ``H(mean p) - mean H(p)``, in nats.

    Args:
        logits: ``(networks, B, C)`` raw logits; computed in float32 (float64 stays).

    Returns:
        ``(B,)`` values in ``[0, log(networks)]``; two networks reach log 2 where they are sure of different classes.

    Source: Lin, "Divergence Measures Based on the Shannon Entropy", 1991.

    Example:
        >>> logits = torch.tensor([[[0.0, 0.0], [99.0, 0.0]], [[0.0, 0.0], [0.0, 99.0]]])
        >>> [round(v, 4) for v in js_divergence(logits).tolist()]
        [0.0, 0.6931]
    """
    probs = logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(-1)
    mean_entropy: Tensor = torch.special.entr(probs).sum(-1).mean(0)
    entropy_of_mean: Tensor = torch.special.entr(probs.mean(0)).sum(-1)
    return (entropy_of_mean - mean_entropy).clamp(min=0)


class PeerDisagreement(Signal):
    """How far two networks trained together disagree about a sample, over the run. High means suspicious.

    Networks that started apart agree on what the data teaches and differ in what they memorize. Online, with methods
    of two networks.

    - ``peer_divergence``: mean Jensen-Shannon divergence of their predictions, in nats.
    - ``peer_disagreement``: share of presentations for which they predict different classes.

    Source: disagreement: Yu et al., "How does Disagreement Help Generalization against Label Corruption?"
    (Co-teaching+), ICML 2019; divergence as in Wei et al., "Combating Noisy Labels by Agreement" (JoCoR), CVPR 2020,
    which sums the two Kullback-Leibler divergences instead.

    Example:
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([PeerDisagreement()], num_samples=1)
        >>> peers = torch.tensor([[[99.0, 0.0]], [[0.0, 99.0]]])
        >>> signals.observe(Observation(torch.tensor([0]), peers.mean(0), torch.tensor([0]), peer_logits=peers))
        >>> _ = signals.commit(epoch=0)
        >>> {name: round(value.item(), 4) for name, value in signals.compute().items()}
        {'peer_divergence': 0.6931, 'peer_disagreement': 1.0}
    """

    paper = "Yu et al., Co-teaching+, 2019; Wei et al., JoCoR, 2020"
    view = "online"
    formula = "`mean_t JS(p1, p2)`; `mean_t [prediction1 != prediction2]`"
    state = "6 bytes"
    needs = ("peer_logits",)
    scores = (
        Score("peer_divergence", "mean Jensen-Shannon divergence of the networks", higher_is_noisier=True),
        Score("peer_disagreement", "share of presentations predicted differently", higher_is_noisier=True),
    )
    columns = (Column("peer_divergence_sum"), Column("peer_disagreements", torch.int16))

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage the divergence and whether the predictions differ."""
        assert obs.peer_logits is not None
        peers = obs.peer_logits
        if peers.ndim != 3 or len(peers) < 2 or peers.shape[1] != len(obs.targets):
            raise ValueError(
                f"`peer_logits` must be (networks, {len(obs.targets)}, C) of at least two networks, "
                f"got {tuple(peers.shape)}: stack the networks' logits"
            )
        predictions = peers.argmax(-1)
        differ = (predictions != predictions[0]).any(0)
        return {"peer_divergence_sum": js_divergence(peers), "peer_disagreements": differ}

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Return the mean divergence and the share."""
        return {
            "peer_divergence": per_seen(state["peer_divergence_sum"], state["n_seen"]),
            "peer_disagreement": per_seen(state["peer_disagreements"], state["n_seen"]),
        }
