"""Transition matrices from how often near neighbours carry the same labels: no anchor points, no predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from noisylearn._checks import check_labels, check_positive_int
from noisylearn._nearest import nearest
from noisylearn.noise.matrices import Matrix


def hoc_transition_matrix(
    features: Tensor | npt.NDArray[Any],
    targets: npt.ArrayLike,
    num_classes: int,
    steps: int = 1500,
    lr: float = 0.1,
    chunk: int = 2048,
) -> Matrix:
    """Return the transition matrix whose consensus of labels between neighbours is the one observed (HOC).

    A sample and its two nearest neighbours by cosine similarity are taken to be of one class ``a``, their labels to be
    drawn independently. Then the shares of the labels' triples are ``c[i, j, k] = sum_a p_a T[a, i] T[a, j] T[a, k]``,
    and its sums over ``k`` and over ``j`` are the consensus of pairs and the shares of single labels. ``T`` and the
    classes' shares ``p`` are what fits all three.

    It needs features that group samples by their right classes: an early or a self-supervised network's, not those of
    a network that has memorized its labels. Of each right class the right label must be the likeliest.

    Source: Zhu et al., "Clusterability as an Alternative to Anchor Points When Learning with Noisy Labels", ICML 2021;
    the objective (the sum of three Frobenius norms), the parameters (softmaxes, starting at a matrix with a diagonal
    of 0.94 for ten classes) and the optimizer are the authors'. Departs from their code, which returns its last iterate
    where it means the best, and averages the shares over 50 draws of 15,000 samples: here all samples are counted,
    once, so that neighbours are nearer. Classes start with equal shares, not random ones.

    Args:
        features: ``(N, ...)`` floats, flattened; a tensor on any device.
        targets: ``(N,)`` integers in ``[0, C)``, the given labels.
        num_classes: Number of classes ``C``. The shares of triples are ``C^3`` numbers.
        steps: Steps of Adam; the authors take 1,500 on CIFAR-10 and 300 on CIFAR-100.
        lr: Its learning rate.
        chunk: Side of the tiles in which similarities are made; there is never an N x N matrix.

    Returns:
        ``(C, C)`` float64, rows summing to 1.

    Raises:
        TypeError: ``features`` is not floating point, or ``targets`` not integers.
        ValueError: A shape or a value does not fit, or there are fewer than three samples.

    Example:
        >>> clean = torch.arange(2000) % 2
        >>> flipped = torch.rand(2000, generator=torch.Generator().manual_seed(0)) < torch.tensor([0.3, 0.1])[clean]
        >>> features = F.one_hot(clean) + 0.1 * torch.rand(2000, 2, generator=torch.Generator().manual_seed(1))
        >>> hoc_transition_matrix(features, torch.where(flipped, 1 - clean, clean), num_classes=2).round(1)
        array([[0.7, 0.3],
               [0.1, 0.9]])
    """
    points = torch.as_tensor(features)
    if not points.is_floating_point():
        raise TypeError(f"`features` must be floating point, got {points.dtype}: pass one row of features per sample")
    given = torch.from_numpy(check_labels("targets", torch.as_tensor(targets).cpu(), num_classes)).to(points.device)
    if points.ndim < 2 or len(points) != len(given) or len(points) < 3:
        found = f"got {tuple(points.shape)} for {len(given)} labels"
        raise ValueError(f"`features` must be (N, d), {found}: pass one row per sample, of three samples or more")
    if not bool(points.isfinite().all()):
        raise ValueError("`features` must be finite: leave out samples without features")
    check_positive_int("steps", steps, "the steps of the fit, e.g. 1500")
    return _fit(consensus(points, given, num_classes, chunk).cpu(), steps, lr)


def consensus(features: Tensor, targets: Tensor, num_classes: int, chunk: int = 2048) -> Tensor:
    """Return the shares of the labels of a sample, of its nearest neighbour and of the next, ``(C, C, C)`` float64.

    Args:
        features: ``(N, ...)`` floats.
        targets: ``(N,)`` int64 given labels.
        num_classes: Number of classes ``C``.
        chunk: Side of the tiles.

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.3]])
        >>> consensus(features, torch.tensor([0, 1, 1]), num_classes=2).nonzero().tolist()
        [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    """
    unit = F.normalize(features.flatten(1).to(torch.promote_types(features.dtype, torch.float32)), dim=1)
    counts = torch.zeros(num_classes**3, dtype=torch.int64, device=features.device)
    for rows, _, index in nearest(unit, k=2, chunk=chunk):
        first, second = targets[index].unbind(1)
        triples = (targets[rows] * num_classes + first) * num_classes + second
        counts += torch.bincount(triples, minlength=len(counts))
    return (counts.double() / len(features)).view(3 * (num_classes,))


def consensus_loss(transition: Tensor, prior: Tensor, observed: Tensor) -> Tensor:
    """Return how far the consensus that a matrix implies is from the one observed: the norms of orders 1, 2 and 3.

    Args:
        transition: ``(C, C)``, rows summing to 1.
        prior: ``(C,)`` shares of the right classes.
        observed: What `consensus` returned.

    Example:
        >>> observed = torch.zeros(2, 2, 2)
        >>> observed[0, 0, 0] = observed[1, 1, 1] = 0.5
        >>> float(consensus_loss(torch.eye(2), torch.tensor([0.5, 0.5]), observed))
        0.0
    """
    pairs = torch.einsum("a,ai,aj->aij", prior, transition, transition)
    misses = (
        prior @ transition - observed.sum((1, 2)),
        pairs.sum(0) - observed.sum(2),
        torch.einsum("aij,ak->ijk", pairs, transition) - observed,
    )
    return sum((torch.linalg.vector_norm(miss) for miss in misses), torch.zeros((), dtype=observed.dtype))


def _fit(observed: Tensor, steps: int, lr: float) -> Matrix:
    num_classes = len(observed)
    rows = (5 * torch.eye(num_classes, dtype=torch.float64) - 1).requires_grad_()
    shares = torch.zeros(num_classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([rows, shares], lr=lr)
    least, best = np.inf, rows.detach().clone()
    with torch.enable_grad():
        for _ in range(steps):
            loss = consensus_loss(rows.softmax(1), shares.softmax(0), observed)
            if loss.item() < least:
                least, best = loss.item(), rows.detach().clone()
            rows.grad, shares.grad = torch.autograd.grad(loss, (rows, shares))
            optimizer.step()
    matrix: Matrix = best.softmax(1).numpy()
    return matrix
