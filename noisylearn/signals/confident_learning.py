"""Confident-learning scores of a label's quality."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from noisylearn._checks import check_positive_int
from noisylearn.signals.base import Score, Signal
from noisylearn.signals.label_issues import label_issues
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views


def self_confidence(probs: Tensor, targets: Tensor) -> Tensor:
    """Return ``p_g``, the probability of the given label; low means suspicious.

    Args:
        probs: ``(N, C)`` probabilities.
        targets: ``(N,)`` int64 given labels.

    Returns:
        ``(N,)`` values in [0, 1].

    Source: Northcutt, Jiang, Chuang, "Confident Learning", JAIR 2021.

    Example:
        >>> self_confidence(torch.tensor([[0.7, 0.2, 0.1]]), torch.tensor([1]))
        tensor([0.2000])
    """
    return probs.gather(1, targets[:, None])[:, 0]


def normalized_margin(probs: Tensor, targets: Tensor) -> Tensor:
    """Return ``(p_g - max_{k != g} p_k + 1) / 2``; low means suspicious.

    Args:
        probs: ``(N, C)`` probabilities.
        targets: ``(N,)`` int64 given labels.

    Returns:
        ``(N,)`` values in [0, 1], above 0.5 where the given label is the most probable.

    Source: Northcutt, Jiang, Chuang, "Confident Learning", JAIR 2021.

    Example:
        >>> normalized_margin(torch.tensor([[0.7, 0.2, 0.1]]), torch.tensor([1]))
        tensor([0.2500])
    """
    others = probs.scatter(1, targets[:, None], -torch.inf)
    return (self_confidence(probs, targets) - others.amax(1) + 1) / 2


def confidence_weighted_entropy(probs: Tensor, targets: Tensor) -> Tensor:
    """Return ``log(1 + x) / x`` of ``x = H(p) / (log(C) p_g)``; low means suspicious.

    Args:
        probs: ``(N, C)`` probabilities, C at least 2.
        targets: ``(N,)`` int64 given labels.

    Returns:
        ``(N,)`` values in [0, 1]: 1 where the network is sure of the given label, 0 where it excludes it.

    Source: Northcutt, Jiang, Chuang, "Confident Learning", JAIR 2021. cleanlab clips ``p_g`` and ``x`` at 1e-6, so
    that from there on a network sure of the given label gets 0 and one sure of another up to 1; here both have their
    limits. Above the clip they are equal.

    Example:
        >>> probs = torch.tensor([[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]])
        >>> [round(v, 4) for v in confidence_weighted_entropy(probs, torch.tensor([0, 0, 0])).tolist()]
        [0.5493, 1.0, 0.0]
    """
    own = self_confidence(probs, targets)
    entropy = torch.special.entr(probs).sum(1) / math.log(probs.shape[1])
    ratio = entropy / own.clamp(min=torch.finfo(own.dtype).tiny)
    return torch.where(ratio > 0, ratio.log1p() / ratio, (own > 0).to(own.dtype))


class ConfidentLearning(Signal):
    """Quality of the given labels by averaged probabilities, as cleanlab reports it. Low scores mean suspicious.

    Meant for sweeps, and for probabilities of networks that did not learn from the sample (folds); several sweeps are
    averaged, probabilities and not scores. It runs online too: what the network believed on average over the epochs
    then stands in for a prediction out of sample. A network that has memorized the labels hides the errors.

    Source: Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021;
    `confidence_weighted_entropy` and `label_issues` say how they stand to cleanlab.

    Args:
        num_classes: Number of classes, at least 2; the state is this many float32 per sample (shared with
            `MeanProbability`), and the given label.

    Raises:
        ValueError: ``num_classes`` is below 2.

    Example:
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([ConfidentLearning(num_classes=2)], num_samples=5)
        >>> logits = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 2.0], [0.0, 1.0], [0.0, 1.5]])
        >>> signals.observe(Observation(torch.arange(5), logits, torch.tensor([0, 0, 0, 1, 1])))
        >>> _ = signals.commit(epoch=0)
        >>> signals.compute()["label_issue"].tolist()
        [0.0, 0.0, 1.0, 0.0, 0.0]
    """

    paper = "Northcutt et al., Confident Learning, 2021"
    view = "sweep"
    formula = (
        "self-confidence `p_g`; normalised margin `(p_g - max_{k != g} p_k + 1) / 2`; "
        "label issues by the class thresholds `t_k = mean of p_k over the samples given k`"
    )
    state = "4 C + 2 bytes"
    scores = (
        Score("self_confidence", "probability of the given label", higher_is_noisier=False),
        Score("normalized_margin", "its lead over the best other label, in [0, 1]", higher_is_noisier=False),
        Score("confidence_weighted_entropy", "falls with entropy over self-confidence", higher_is_noisier=False),
        Score("label_issue", "1 where confident learning takes the label to be wrong", higher_is_noisier=True),
    )

    def __init__(self, num_classes: int) -> None:
        self.num_classes = check_positive_int("num_classes", num_classes)
        if num_classes < 2:
            raise ValueError(f"`num_classes` must be at least 2, got {num_classes}: one class has no wrong label")
        self.columns = (
            Column("probability_sum", width=num_classes),
            Column("given", torch.int16, merge="last", initial=-1),
        )

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage the probabilities and the label."""
        if obs.logits.shape[1] != self.num_classes:
            raise ValueError(
                f"`logits` must have {self.num_classes} columns, got {obs.logits.shape[1]}: "
                "build ConfidentLearning with the network's number of classes"
            )
        return {"probability_sum": obs.probs, "given": obs.targets}

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Judge the labels of all samples seen."""
        seen = state["n_seen"] > 0
        probs = state["probability_sum"][seen] / state["n_seen"][seen, None]
        targets = state["given"][seen].long()
        judges = (self_confidence, normalized_margin, confidence_weighted_entropy, label_issues)
        scores = {score.name: torch.full_like(seen, torch.nan, dtype=torch.float32) for score in self.scores}
        if len(targets):
            for score, judge in zip(self.scores, judges, strict=True):
                scores[score.name][seen] = judge(probs, targets).float()
        return scores
