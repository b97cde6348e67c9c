"""Jensen-Shannon losses (Englesson & Azizpour, NeurIPS 2021): the given label against one or several predictions.

With several views of a sample the loss also asks their predictions to agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from noisylearn.losses._arguments import check_number
from noisylearn.losses._inputs import at_least_float32, check_class_ids
from noisylearn.losses._log_probs import nll


def generalized_jensen_shannon(views: Sequence[Tensor], targets: Tensor, pi: float) -> Tensor:
    """Return the scaled Jensen-Shannon divergence of the label and the predictions of each view, per sample.

    ``JS = pi * KL(e_y || m) + (1 - pi) / V * sum_v KL(p_v || m)``, where ``m = pi * e_y + (1 - pi) / V * sum_v p_v``,
    divided by ``-(1 - pi) * log(1 - pi)``. That is the label against the mean of the views, which goes to cross-entropy
    for ``pi`` to 0 and to `mean_absolute_error` for ``pi`` to 1, plus the views' divergence from their mean.

    Source: Englesson & Azizpour, "Generalized Jensen-Shannon Divergence Loss for Learning with Noisy Labels", NeurIPS
    2021. ``pi`` of the authors' configuration, two views: CIFAR-10 0.5 clean, symmetric 0.3 (20 %), 0.9 (40 %), 0.1
    (60 % and 80 %), asymmetric 0.3 (20 % and 40 %); CIFAR-100 symmetric 0.3 (20 %), 0.5 (40 %), 0.9 (60 %), 0.1 (80
    %), asymmetric 0.1 (40 %); WebVision 0.1 without the scale. They differ too much for a default. Computed from
    log-probabilities; the authors' code clamps ``m`` at 1e-7 instead.

    Args:
        views: One ``(B, C)`` floating point tensor of raw outputs per view, all of the same shape.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        pi: Weight of the label, in ``(0, 1)``; the views share the rest equally.

    Returns:
        ``(B,)`` losses, at least 0 up to rounding, float32, or float64 where a view is float64.

    Raises:
        TypeError: ``views`` is one tensor, a dtype does not fit, or ``pi`` is not a number.
        ValueError: There is no view, a shape does not fit, or ``pi`` is outside ``(0, 1)``.

    Example:
        >>> targets, view, other = torch.tensor([0]), torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]])
        >>> generalized_jensen_shannon((view, view), targets, pi=0.3)
        tensor([0.1256])
        >>> generalized_jensen_shannon((view, other), targets, pi=0.3)
        tensor([1.1101])
    """
    if isinstance(views, Tensor):
        raise TypeError("`views` must be a sequence of (B, C) tensors, got one tensor: pass (logits,) for one view")
    if not views:
        raise ValueError("`views` must hold at least one (B, C) tensor, got none: pass the logits of each view")
    pi = check_number("pi", pi, "in (0, 1)", lambda v: 0 < v < 1, "pass the weight of the label, e.g. 0.3")
    for view in views:
        check_class_ids(view, targets)
        if view.shape != views[0].shape:
            found = f"got {tuple(view.shape)} beside {tuple(views[0].shape)}"
            raise ValueError(f"`views` must have one shape, {found}: pass the same batch's logits")
    log_p = torch.stack([F.log_softmax(at_least_float32(view), dim=-1) for view in views])
    # All in logs: a probability that rounds to 0 would make 0 * log(0).
    log_mean = log_p.logsumexp(dim=0) - math.log(len(views))
    apart = (log_p.exp() * (log_p - log_mean)).sum(dim=-1).mean(dim=0)
    log_y = -nll(log_mean, targets)
    # The mixture differs from (1 - pi) * mean in the given class only; elsewhere the label's part is the scale itself.
    log_m = log_y + math.log1p(-pi)
    log_m = log_m.logaddexp(log_m.new_full((), math.log(pi)))
    y = log_y.exp()
    given = ((1 - pi) * y * (log_y - log_m) - pi * log_m) / (-(1 - pi) * math.log1p(-pi))
    return 1 - y + given + apart / -math.log1p(-pi)


def jensen_shannon(logits: Tensor, targets: Tensor, pi: float) -> Tensor:
    """Return the scaled Jensen-Shannon divergence of the label and the prediction, one value per sample.

    `generalized_jensen_shannon` with one view. It goes to cross-entropy for ``pi`` to 0 and to `mean_absolute_error`
    for ``pi`` to 1.

    Source: Englesson & Azizpour, "Generalized Jensen-Shannon Divergence Loss for Learning with Noisy Labels", NeurIPS
    2021; ``pi`` of the authors' configuration on CIFAR-10: 0.7 (20 % and 40 % symmetric).

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        pi: Weight of the label, in ``(0, 1)``.

    Returns:
        ``(B,)`` losses, at least 0 up to rounding, float32, or float64 for float64 logits.

    Raises:
        TypeError: A dtype does not fit, or ``pi`` is not a number.
        ValueError: A shape does not fit, or ``pi`` is outside ``(0, 1)``.

    Example:
        >>> jensen_shannon(torch.tensor([[0.0, 0.0], [0.0, 50.0]]), torch.tensor([0, 0]), pi=0.7)
        tensor([0.5946, 1.6912])
    """
    return generalized_jensen_shannon((logits,), targets, pi)
