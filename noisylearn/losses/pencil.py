"""The loss of PENCIL (Yi & Wu, CVPR 2019): labels are distributions that are learned with the network."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from noisylearn.losses._arguments import check_weight
from noisylearn.losses._inputs import at_least_float32, check_class_ids, check_rows
from noisylearn.losses._log_probs import nll


def pencil(
    logits: Tensor,
    targets: Tensor,
    label_logits: Tensor,
    alpha: float = 0.4,
    beta: float = 0.1,
    legacy_undivided_alpha: bool = False,
    legacy_double_softmax: bool = False,
) -> Tensor:
    """Return ``(KL(p || y) + alpha * -log y_given + beta * entropy(p)) / C``, one value per sample.

    ``y`` is the softmax of ``label_logits``. The first term brings network and label distribution together, from both
    sides; the second holds the distribution to the given label; the third keeps the network from being content with a
    distribution as flat as its own. The gradient reaches ``logits`` and ``label_logits``.

    Source: Yi & Wu, "Probabilistic End-to-end Noise Correction for Learning with Noisy Labels", CVPR 2019. The defaults
    of ``alpha`` and ``beta`` are those of the authors' code, which computes the loss with both ``legacy_`` switches.
    Divided by ``C`` it has the size that the learning rates of network and labels published with it are for.

    Args:
        logits: ``(B, C)`` floating point, raw outputs.
        targets: ``(B,)`` integers in ``[0, C)``, the given labels.
        label_logits: ``(B, C)`` floating point, the rows of the batch's samples.
        alpha: Weight of the second term.
        beta: Weight of the third.
        legacy_undivided_alpha: Leave the second term undivided, as the authors' code does: it takes the mean over
            samples and classes of the other two, and of samples alone here.
        legacy_double_softmax: Take ``y`` for logits in the second term, as the authors' code does: a distribution sure
            of a wrong given label is then hardly held to it.

    Returns:
        ``(B,)`` losses, float32, or float64 where an argument is float64.

    Raises:
        TypeError: A dtype does not fit, or a weight is not a number.
        ValueError: A shape does not fit, or a weight is negative or not finite.

    Example:
        >>> import torch
        >>> logits, label_logits = torch.tensor([[4.0, 0.0]]), torch.tensor([[0.0, 10.0]])
        >>> pencil(logits, torch.tensor([1]), label_logits)
        tensor([4.8696])
        >>> pencil(logits, torch.tensor([1]), logits)  # the label distribution has gone over to the network's
        tensor([0.8081])
    """
    alpha, beta = check_weight("alpha", alpha), check_weight("beta", beta)
    check_class_ids(logits, targets)
    check_rows("label_logits", logits, label_logits)
    log_p = F.log_softmax(at_least_float32(logits), dim=-1)
    log_y = F.log_softmax(at_least_float32(label_logits), dim=-1)
    p = log_p.exp()
    divergence, entropy = (p * (log_p - log_y)).sum(dim=-1), -(p * log_p).sum(dim=-1)
    given = nll(F.log_softmax(log_y.exp(), dim=-1) if legacy_double_softmax else log_y, targets)
    if legacy_undivided_alpha:
        given = given * logits.shape[1]
    return (divergence + alpha * given + beta * entropy) / logits.shape[1]
