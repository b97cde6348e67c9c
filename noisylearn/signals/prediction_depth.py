"""Prediction depth: after which layer the prediction is settled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from noisylearn._checks import check_positive_int
from noisylearn._nearest import nearest, votes
from noisylearn.signals.base import Score, Signal
from noisylearn.signals.observation import Observation
from noisylearn.tables import Column, Views


def prediction_depth(
    layers: Sequence[Tensor], targets: Tensor, predictions: Tensor, k: int = 30, chunk: int = 2048
) -> Tensor:
    """Return the first layer from which on all nearest-neighbour probes say what the network predicts.

    A probe classifies a sample by a majority of the given labels of its ``k`` nearest other samples (Euclidean; of a
    tie, the smallest label) in the outputs of one layer. As probes vote with given labels, wrong ones vote too.

    Args:
        layers: ``(N, d_l)`` outputs of each layer, from first to last.
        targets: ``(N,)`` int64 given labels.
        predictions: ``(N,)`` int64 classes predicted by the network.
        k: Neighbours that vote, below N. The sample itself has no vote.
        chunk: Side of the tiles in which distances are made; there is never an N x N matrix.

    Returns:
        ``(N,)`` int64 in ``[0, len(layers)]``: 0 where every probe agrees, ``len(layers)`` where the last one does not.

    Raises:
        ValueError: There is no layer, or there are not more than ``k`` samples.

    Source: Baldock, Maennel, Neyshabur, "Deep Learning Through the Lens of Example Difficulty", NeurIPS 2021.

    Example:
        >>> first, last = torch.tensor([[0.0], [3.0], [1.0], [4.0]]), torch.tensor([[0.0], [1.0], [5.0], [6.0]])
        >>> labels = torch.tensor([0, 0, 1, 1])
        >>> prediction_depth([first, last], labels, predictions=labels, k=1).tolist()
        [1, 1, 1, 1]
    """
    if not len(layers):
        raise ValueError("`layers` must hold the outputs of at least one layer, got none")
    num_classes = int(torch.maximum(targets, predictions).max()) + 1
    depth = torch.full_like(targets, len(layers))
    settled = torch.ones_like(targets, dtype=torch.bool)
    for layer in reversed(layers):
        for rows, squared, index in nearest(layer, k, chunk):
            probe = votes(targets[index], torch.ones_like(squared), num_classes).argmax(1)
            settled[rows] &= probe == predictions[rows]
        depth -= settled.long()
    return depth


class PredictionDepth(Signal):
    """How many layers a prediction takes to settle. High means hard; once labels are memorized, suspicious.

    Meant for one sweep of a network trained to the end: it is the depth of what the network predicts, and while that
    is not yet the wrong label it was given, the sample looks easy. Each layer's output is averaged over its positions
    (pixels, tokens), channels first where both readings fit. NaN while not more than ``k`` samples were seen.

    Source: Baldock, Maennel, Neyshabur, "Deep Learning Through the Lens of Example Difficulty", NeurIPS 2021; the
    average over positions is ours, to keep the state small.

    Args:
        widths: Channels of each layer, from first to last; the state is as many float32 per sample, and two labels.
        k: Neighbours that vote in a probe.

    Raises:
        ValueError: There is no layer, or a number is below 1.

    Example:
        >>> from noisylearn.signals import SignalSet
        >>> signals = SignalSet([PredictionDepth(widths=[1], k=1)], num_samples=4)
        >>> targets = torch.tensor([0, 0, 1, 1])
        >>> layers = [torch.tensor([[0.0], [1.0], [5.0], [6.0]])]
        >>> logits = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
        >>> signals.observe(Observation(torch.arange(4), logits, targets, layers=layers))
        >>> _ = signals.commit(epoch=0)
        >>> signals.compute()["prediction_depth"].tolist()
        [0.0, 1.0, 0.0, 0.0]
    """

    paper = "Baldock et al., Prediction Depth, 2021"
    view = "sweep"
    formula = "the smallest layer from which all k-nearest-neighbour probes agree with the network's prediction"
    cost = "a pass over the training set; N^2 multiplications per channel when read"
    state = "4 (sum of widths) + 4 bytes"
    needs = ("layers",)
    scores = (Score("prediction_depth", "layer from which on all probes agree", higher_is_noisier=True),)

    def __init__(self, widths: Sequence[int], k: int = 30) -> None:
        if not len(widths):
            raise ValueError("`widths` must hold the channels of at least one layer, got none")
        self.widths = [check_positive_int("widths", width, "the channels of each layer") for width in widths]
        self.k = check_positive_int("k", k, "the number of neighbours that vote, e.g. 30")
        self.columns = (
            Column("layers", width=sum(widths), merge="last"),
            Column("given", torch.int16, merge="last", initial=-1),
            Column("last_prediction", torch.int16, merge="last", initial=-1),
        )

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        """Stage the pooled layers, the label and the prediction."""
        assert obs.layers is not None
        if len(obs.layers) != len(self.widths):
            raise ValueError(f"`layers` must be {len(self.widths)}, one for each width, got {len(obs.layers)}")
        pooled = torch.cat([_pool(x, width) for x, width in zip(obs.layers, self.widths, strict=True)], 1)
        # A column of width 1 is (N,).
        layers = pooled if pooled.shape[1] > 1 else pooled[:, 0]
        return {"layers": layers, "given": obs.targets, "last_prediction": obs.prediction}

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        """Probe every layer, among the samples seen."""
        seen = state["n_seen"] > 0
        layers = torch.split(state["layers"][seen].reshape(-1, sum(self.widths)), self.widths, 1)
        depth = torch.full_like(seen, torch.nan, dtype=torch.float32)
        if len(layers[0]) > self.k:
            targets, predictions = state["given"][seen].long(), state["last_prediction"][seen].long()
            depth[seen] = prediction_depth(layers, targets, predictions, self.k).float()
        return {"prediction_depth": depth}


def _pool(x: Tensor, width: int) -> Tensor:
    """``(B, width)``: the mean over positions of ``(B, width, ...)`` maps or ``(B, ..., width)`` tokens."""
    x = x.detach().float()
    if x.ndim > 1 and x.shape[1] == width:
        return x.flatten(2).mean(2) if x.ndim > 2 else x
    if x.ndim > 2 and x.shape[-1] == width:
        return x.flatten(1, -2).mean(1)
    raise ValueError(
        f"`layers` must be (B, {width}, ...) or (B, ..., {width}) here, got {tuple(x.shape)}: "
        "build PredictionDepth with the layers' channels as `widths`"
    )
