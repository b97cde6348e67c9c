"""DISC: each sample has thresholds of its own, which say whether to trust, hedge or correct its label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from noisylearn._checks import check_non_negative, check_positive_int, check_probability
from noisylearn.losses import cross_entropy, generalized_cross_entropy, mixup, soft_cross_entropy
from noisylearn.losses._arguments import check_exponent, check_positive
from noisylearn.methods._step_checks import check_mixable
from noisylearn.methods.learner import NoisyLearner
from noisylearn.methods.mixing import draw_lam
from noisylearn.methods.presets import Preset
from noisylearn.methods.views import join_views
from noisylearn.selection import disc_groups
from noisylearn.selection.disc import CLEAN, HARD
from noisylearn.tables import Column, SampleTable, Views


class DISC(NoisyLearner):
    """DISC: cross-entropy where both views are for the label, a robust loss where one is, a new label where none is.

    The network sees a weak and a strong view of each sample. For either view the sample has a threshold, a running
    average of the largest probability it was predicted with. After every epoch `noisylearn.selection.disc_groups`
    compares that epoch's predictions with the thresholds, which then move. In the next epoch

    - clean samples learn cross-entropy of both views, hard ones ``hard_weight`` times generalized cross-entropy;
    - clean, hard and purified samples together learn mixtures among themselves (mixup), once of each view.

    Until the warm-up ends, all learn cross-entropy of both views.

    Source: Li et al., "DISC: Learning from Noisy Labels via Dynamic Instance-Specific Selection and Correction", CVPR
    2023, and the authors' code, with SGD without momentum (Adam above 60 % noise). Departures: where few samples of a
    batch are in a group, they stand in the mixed batch repeatedly, so that its size does not depend on the data; only
    one of each counts for the loss. Thresholds and groups are in the checkpoint.

    Args:
        warmup_epochs: Epochs of the warm-up: 20, with instance-dependent noise 15.
        threshold_momentum: Weight of the past in the thresholds: 0.99; 0.95 for asymmetric noise and from 60 % on.
        sigma: How much surer than its thresholds a prediction must be to be a label.
        ceiling: The sureness that is enough in any case; 0.9 in earlier states of the code.
        hard_weight: Weight of the hard samples: 1, from 60 % noise on 0.2.
        q: Of generalized cross-entropy.
        alpha: Of mixup's Beta distribution.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        ValueError: An argument does not fit.

    Example:
        >>> DISC(threshold_momentum=0.95, backbone="digits_cnn", num_classes=10, in_channels=1).views
        ('weak', 'strong')
    """

    paper = "Li et al., DISC, 2023"
    cost = "1 network, 4 passes"
    state = "8 C + 14 bytes"
    views = ("weak", "strong")
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(
            ("cifar10", "cifar100"),
            ("instance",),
            {"warmup_epochs": 15, "threshold_momentum": 0.95, "hard_weight": 0.2},
            "algorithms/DISC.py",
            rates=(0.6, 1.0),
        ),
        Preset(
            ("cifar10", "cifar100"),
            ("symmetric", "asymmetric"),
            {"warmup_epochs": 20, "threshold_momentum": 0.95, "hard_weight": 0.2},
            "algorithms/DISC.py",
            rates=(0.6, 1.0),
        ),
        Preset(
            ("cifar10", "cifar100"),
            ("instance",),
            {"warmup_epochs": 15, "threshold_momentum": 0.99, "hard_weight": 1.0},
            "algorithms/DISC.py",
        ),
        Preset(
            ("cifar10", "cifar100"),
            ("asymmetric",),
            {"warmup_epochs": 20, "threshold_momentum": 0.95, "hard_weight": 1.0},
            "algorithms/DISC.py",
        ),
        Preset(
            ("cifar10", "cifar100"),
            ("symmetric",),
            {"warmup_epochs": 20, "threshold_momentum": 0.99, "hard_weight": 1.0},
            "algorithms/DISC.py",
        ),
    )

    def __init__(
        self,
        warmup_epochs: int = 20,
        threshold_momentum: float = 0.99,
        sigma: float = 0.5,
        ceiling: float = 0.99,
        hard_weight: float = 1.0,
        q: float = 0.7,
        alpha: float = 5.0,
        **learner: Any,
    ) -> None:
        super().__init__(**learner)
        self.save_hyperparameters(
            "warmup_epochs", "threshold_momentum", "sigma", "ceiling", "hard_weight", "q", "alpha"
        )
        self.warmup_epochs = check_positive_int("warmup_epochs", warmup_epochs)
        self.momentum = check_probability("threshold_momentum", threshold_momentum, "the weight of the past, e.g. 0.99")
        self.sigma = check_non_negative("sigma", sigma, "how much surer a new label must be, e.g. 0.5")
        self.ceiling = check_probability("ceiling", ceiling, "the sureness that is enough, e.g. 0.99")
        self.hard_weight = check_non_negative("hard_weight", hard_weight, "the weight of the hard samples, e.g. 1")
        self.q = check_exponent("q", q)
        self.alpha = check_positive("alpha", alpha, "of the Beta distribution, e.g. 5")

    def build_tables(self, num_samples: int) -> Mapping[str, SampleTable]:
        """Keep both thresholds, the group and the label to mix with; an epoch's predictions are staged only."""
        columns = [
            Column("threshold", width=2, merge="ordered", initial=1 / num_samples),
            Column("group", torch.int16, merge="ordered"),
            Column("label", torch.int16, merge="ordered"),
        ]
        shown = [Column("probs", width=2 * self.num_classes, merge="last"), Column("given", torch.int16, merge="last")]
        return {"groups": SampleTable(num_samples, columns, observed=shown)}

    def advance(self, name: str, state: Views, staged: Views) -> Mapping[str, Tensor]:
        """Group the samples by the epoch's predictions, then move their thresholds."""
        weak, strong = staged["probs"].chunk(2, dim=1)
        groups, labels = disc_groups(weak, strong, staged["given"], state["threshold"], self.sigma, self.ceiling)
        surest = torch.stack([weak.amax(dim=1), strong.amax(dim=1)], dim=1)
        threshold = self.momentum * state["threshold"] + (1 - self.momentum) * surest
        return {"threshold": threshold, "group": groups, "label": labels}

    def learn(self, x: Any, target: Tensor, index: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Show the epoch's predictions to the table, and return the loss of the groups that the last one made."""
        if not self._checked:
            check_mixable(x)
        table = self.tables["groups"]
        logits = self(join_views(x)).chunk(2)
        probs = torch.cat([each.detach().float().softmax(dim=1) for each in logits], dim=1)
        table.observe(index, {"probs": probs, "given": target})
        shown = self.outputs(logits[0].detach())
        trusting = torch.stack([cross_entropy(each, target) for each in logits]).sum(dim=0)
        if self.current_epoch < self.warmup_epochs:
            self.watch(trusting)
            return self.reduce(trusting, index, None), shown

        rows = table.read(index)
        hedging = torch.stack([generalized_cross_entropy(each, target, self.q) for each in logits]).sum(dim=0)
        clean, hard = rows["group"] == CLEAN, rows["group"] == HARD
        losses = torch.where(clean, trusting, torch.where(hard, self.hard_weight * hedging, 0.0))
        self.watch(losses)
        loss = self.reduce(losses, index, None)
        for view in x:
            loss = loss + self.mixed_loss(view, rows["label"], rows["group"] > 0, index)
        return loss, shown

    def mixed_loss(self, x: Tensor, labels: Tensor, chosen: Tensor, index: Tensor) -> Tensor:
        """Return the mean loss of the chosen samples, each mixed with another of them; 0 where there is none."""
        count, places = chosen.sum(), torch.arange(len(x), device=x.device)
        # The chosen come first, and the places after them repeat them: nobody waits to know how many there are.
        again = places % count.clamp(min=1)
        rows = (~chosen).int().argsort(stable=True)[again]
        order = torch.rand(len(x), device=x.device).add(places >= count).argsort()[again]
        lam, classes = draw_lam(self.alpha), torch.arange(self.num_classes, device=x.device)
        mixed_labels = mixup((labels[rows].unsqueeze(1) == classes).float(), order, lam)
        losses = soft_cross_entropy(self(mixup(x[rows], order, lam)), mixed_labels)
        self.watch(losses)
        return self.reduce(losses, index[rows], places < count)
