"""ELR+: early-learning regularization with two networks, averages of their weights, and mixup."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from noisylearn._checks import check_non_negative, check_probability
from noisylearn.losses import elr_plus, mixup, selc_target_update
from noisylearn.losses._arguments import check_positive
from noisylearn.methods._step_checks import check_mixable
from noisylearn.methods.mixing import draw_lam
from noisylearn.methods.presets import Preset
from noisylearn.methods.two_networks import TwoNetworks
from noisylearn.selection import sigmoid_ramp
from noisylearn.tables import Column, SampleTable


class ELRPlus(TwoNetworks):
    """ELR+: each network is regularized toward what a moving average of the *other's* weights predicts.

    In every step, for each network: ``t <- beta t + (1 - beta) p``, with the prediction ``p`` of the other's average
    for the sample as it is; the inputs, the labels and ``t`` are mixed alike (mixup); the loss is cross-entropy plus
    ``lam log(1 - <t, p>)``. With ``reweight`` the mixed label is first multiplied by the mixed ``t`` and normalised.
    The averages move after each step of the optimizer, by ``1 - ema_decay sigmoid_ramp(step)``; batch-norm statistics
    are not averaged, but come from the averages' own forward passes.

    Source: Liu et al., "Early-Learning Regularization Prevents Memorization of Noisy Labels", NeurIPS 2020, section
    4.3, and the authors' code, whose defaults for CIFAR-10 with symmetric noise these are. Departures: both networks
    learn from the same batches at the same time, each mixed in its own way (theirs go through the data one after the
    other, in orders, splits and even noise of their own); the averages start as copies of their networks (theirs as
    networks of their own, which the ramp forgets within a few steps). Batch size 128; steps are the optimizer's.

    Args:
        lam: Weight of the regularizer.
        beta: Weight of the past in the targets, in [0, 1].
        alpha: Of mixup's Beta distribution: 1 on CIFAR.
        ema_decay: Weight of the past in the averages, in the end.
        ema_ramp_steps: Steps over which it gets there; 0 is from the start.
        lam_ramp_steps: Steps over which ``lam`` gets to its full weight: 40,000 for CIFAR-100, else 0.
        reweight: Weight the labels by the targets: for CIFAR-100, in the code only.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        ValueError: An argument does not fit.

    Example:
        >>> method = ELRPlus(lam=3.0, beta=0.7, backbone="digits_cnn", num_classes=10, in_channels=1)
        >>> len(method.networks), len(method.averages)
        (2, 2)
    """

    paper = "Liu et al., Early-Learning Regularization (ELR+), 2020"
    cost = "2 networks, 1 pass and 1 forward pass each; and an average of each one's weights"
    state = "16 C bytes"
    ensembled = True
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(("cifar10",), ("symmetric",), {"lam": 3.0, "beta": 0.7}, "ELR_plus/config_cifar10.json"),
        Preset(("cifar10",), ("asymmetric",), {"lam": 1.0, "beta": 0.9}, "ELR_plus/config_cifar10_asym.json"),
        Preset(
            ("cifar100",),
            ("symmetric", "asymmetric"),
            {"lam": 7.0, "beta": 0.9, "lam_ramp_steps": 40_000, "reweight": True},
            "ELR_plus/config_cifar100.json, model/loss.py",
        ),
    )

    def __init__(
        self,
        lam: float = 3.0,
        beta: float = 0.7,
        alpha: float = 1.0,
        ema_decay: float = 0.997,
        ema_ramp_steps: int = 40_000,
        lam_ramp_steps: int = 0,
        reweight: bool = False,
        **learner: Any,
    ) -> None:
        super().__init__(**learner)
        self.save_hyperparameters("lam", "beta", "alpha", "ema_decay", "ema_ramp_steps", "lam_ramp_steps", "reweight")
        self.lam = check_non_negative("lam", lam, "the weight of the regularizer, e.g. 3")
        self.beta = check_probability("beta", beta, "the weight of the past, e.g. 0.7")
        self.alpha = check_positive("alpha", alpha, "of the Beta distribution, e.g. 1")
        self.ema_decay = check_probability("ema_decay", ema_decay, "the weight of the past, e.g. 0.997")
        self.ema_ramp_steps = check_non_negative("ema_ramp_steps", ema_ramp_steps, "the steps of the rise")
        self.lam_ramp_steps = check_non_negative("lam_ramp_steps", lam_ramp_steps, "the steps of the rise")
        self.reweight = reweight

    def build_networks(self, backbone: str | nn.Module) -> None:
        """Make two networks and a copy of each, whose weights will be the running averages."""
        super().build_networks(backbone)
        self.averages = nn.ModuleList(copy.deepcopy(network) for network in self.networks).requires_grad_(False)

    def build_tables(self, num_samples: int) -> Mapping[str, SampleTable]:
        """Keep a target distribution per sample for each network; they start at zero, as in the reference."""
        return {"targets": SampleTable(num_samples, [Column("target", width=2 * self.num_classes, merge="last")])}

    def learn(self, x: Any, target: Tensor, index: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Update both networks' targets, mix, and return the regularized losses; the averages' logits are shown."""
        if not self._checked:
            check_mixable(x)
        with torch.no_grad():
            averaged = torch.stack([average(x) for average in self.averages])
        table, step = self.tables["targets"], self.trainer.global_step + 1
        given = (target.unsqueeze(-1) == torch.arange(self.num_classes, device=target.device)).float()
        lam = self.lam * sigmoid_ramp(step, self.lam_ramp_steps)
        losses, new = [], []
        old = table.read(index)["target"].chunk(2, dim=1)
        for network, peer, ema_targets in zip(self.networks, averaged.flip(0), old, strict=True):
            new.append(selc_target_update(ema_targets, peer, self.beta))  # unlike ELR's, of the prediction as it is
            share, order = draw_lam(self.alpha), torch.randperm(len(x), device=x.device)
            mixed, labels, ema_targets = (mixup(part, order, share) for part in (x, given, new[-1]))
            losses.append(elr_plus(network(mixed), labels, ema_targets, lam, self.reweight))
        table.observe(index, {"target": torch.cat(new, dim=1)})
        both = torch.stack(losses)
        self.watch(both)
        return self.reduce(both, index, None), self.outputs(averaged)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, then move the averages: their weights, not their buffers."""
        step = self.trainer.global_step + 1
        super().optimizer_step(*args, **kwargs)
        decay = self.ema_decay * sigmoid_ramp(step + 1, self.ema_ramp_steps)
        move = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        for average, network in zip(self.averages, self.networks, strict=True):
            move(list(average.parameters()), list(network.parameters()), 0)
