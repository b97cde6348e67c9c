"""SOP: the noise of each label is learned as two small quantities of its sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from noisylearn._checks import check_non_negative
from noisylearn.losses import sop
from noisylearn.methods.learner import NoisyLearner
from noisylearn.methods.presets import Preset
from noisylearn.tables import Column, SampleTable


class SOP(NoisyLearner):
    """Sparse over-parameterization: ``u`` and ``v`` of each sample learn what is wrong with its label.

    The loss is `noisylearn.losses.sop`. ``u`` and ``v`` take a plain gradient step in every step of the network, of the
    same mean over the batch, over accumulated batches and over processes; their rates are constant.

    Source: Liu et al., "Robust Training under Label Noise by Over-parameterization", ICML 2022, without the two
    regularizers of SOP+. The default rates are the reference's for CIFAR-100 with symmetric noise; it has ``lr_u=0.1,
    lr_v=100`` for asymmetric noise. Rates belong to the batch size: the reference's is 128. Unlike the reference's,
    ``u`` and ``v`` are in the checkpoint and right on several processes; their first values are drawn from a generator
    of their own. A sample drawn twice in an epoch takes one step, its last.

    Args:
        lr_u: Learning rate of ``u``.
        lr_v: Learning rate of ``v``.
        init_std: Standard deviation of their first values.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        ValueError: An argument is negative or not finite.

    Example:
        >>> SOP(lr_u=1.0, lr_v=10.0, backbone="digits_cnn", num_classes=10, in_channels=1).state
        '8 C + 8 bytes'
    """

    paper = "Liu et al., SOP, 2022"
    state = "8 C + 8 bytes"
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(("cifar100",), ("symmetric",), {"lr_u": 1.0, "lr_v": 10.0}, "SOP/README.md"),
        Preset(("cifar100",), ("asymmetric",), {"lr_u": 0.1, "lr_v": 100.0}, "SOP/README.md"),
        Preset(
            ("cifar10",),
            ("symmetric",),
            {"lr_u": 10.0, "lr_v": 10.0},
            "the paper's table A.1, from memory",
            guessed=True,
        ),
        Preset(
            ("cifar10",),
            ("asymmetric",),
            {"lr_u": 10.0, "lr_v": 100.0},
            "the paper's table A.1, from memory",
            guessed=True,
        ),
    )

    def __init__(self, lr_u: float = 1.0, lr_v: float = 10.0, init_std: float = 1e-8, **learner: Any) -> None:
        super().__init__(**learner)
        self.save_hyperparameters("lr_u", "lr_v", "init_std")
        self.lr_u = check_non_negative("lr_u", lr_u, "the learning rate of u, e.g. 1")
        self.lr_v = check_non_negative("lr_v", lr_v, "the learning rate of v, e.g. 10")
        self.init_std = check_non_negative("init_std", init_std, "the spread of the first values, e.g. 1e-8")

    def build_tables(self, num_samples: int) -> Mapping[str, SampleTable]:
        """Keep ``u`` and ``v`` of each sample, next to zero at first (at zero they would have no gradient)."""
        columns = [Column("u", merge="last"), Column("v", width=self.num_classes, merge="last")]
        table = SampleTable(num_samples, columns)
        # The same rows on every process, whatever else has drawn random numbers.
        first = self.init_std * torch.randn(
            num_samples, 1 + self.num_classes, generator=torch.Generator().manual_seed(0)
        )
        table.write(torch.arange(num_samples), {"u": first[:, 0], "v": first[:, 1:]})
        return {"noise": table}

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Step ``u`` and ``v``, and return the losses before that step, ``(B,)``."""
        u, v = self.read_noise(index)
        losses = sop(logits, target, u, v)
        self.step_noise(index, u, v, losses.mean())
        return losses

    def read_noise(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``u``, ``(B,)``, and ``v``, ``(B, C)``, of these samples, to be differentiated."""
        rows = self.tables["noise"].read(index)
        return rows["u"].requires_grad_(), rows["v"].requires_grad_()

    def step_noise(self, index: Tensor, u: Tensor, v: Tensor, loss: Tensor) -> None:
        """Take their step down the batch's loss, a mean that accumulated batches and processes share in."""
        grad_u, grad_v = torch.autograd.grad(loss, (u, v), retain_graph=True)  # stops short of the network
        parts = self.trainer.accumulate_grad_batches * self.trainer.world_size
        step = {"u": u - self.lr_u / parts * grad_u, "v": v - self.lr_v / parts * grad_v}
        self.tables["noise"].observe(index, {name: value.detach() for name, value in step.items()})
