"""UNICON: a selection that is uniform over the classes, and contrastive learning of what it leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from noisylearn._checks import check_non_negative, check_positive_int
from noisylearn.losses import contrastive
from noisylearn.losses._arguments import check_positive
from noisylearn.methods.presets import Preset
from noisylearn.methods.projected import Projected
from noisylearn.methods.semi_supervised import HalfLabelled, SemiSupervised
from noisylearn.methods.sweep import sweeping
from noisylearn.selection import label_divergence, labelled, mean_probs, uniform_selection
from noisylearn.tables import Column, SampleTable, Views


class UNICON(SemiSupervised):
    """UNICON: both networks keep the labels that their mean prediction is nearest to, equally many of every class.

    After the warm-up each epoch begins with a pass over the training set: ``d``, the Jensen-Shannon divergence of the
    mean of both predictions from the label. `noisylearn.selection.uniform_selection` says which labels are kept. The
    rest is as in DivideMix, with ``w = 1`` where ``d < 0.5`` and ``1 - d`` elsewhere; labels are made from two weak
    views and learned for two strong ones. ``lambda_c`` times a contrastive loss of the strong views of samples without
    label is added, of a projection of what the classifier sees. It protects the features from wrong labels that were
    kept.

    Source: Karim et al., "UNICON: Combating Label Noise Through Uniform Selection and Contrastive Learning", CVPR 2022,
    and the authors' code. Departures: both networks learn from one selection per epoch, made in evaluation mode (theirs
    is made anew before the second network's turn, with the first in training mode); a batch has a constant size, of
    which the labelled and the unlabelled have shares in the ratio of the code (theirs is 64 with and ``32 / R`` without
    label, where ``R`` is the share kept); for what else differs see `DivideMix`.

    Args:
        warmup_epochs: Epochs of the warm-up: 10 for CIFAR-10, 30 for CIFAR-100.
        lambda_u: Weight of the samples without label.
        lambda_c: Weight of the contrastive loss.
        contrast_temperature: Of the contrastive loss.
        projection_width: Numbers in a projection.
        temperature: Of the sharpening.
        alpha: Of the Beta distribution that says how much is mixed.
        ramp_epochs: Epochs after the warm-up over which ``lambda_u`` grows from 0.
        confidence_penalty: Weight of the entropy in the warm-up: 1 for asymmetric noise, else 0.
        alternation: ``"epoch"``, one network after the other, or ``"step"``, in turns.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        ValueError: An argument does not fit, or the network has no linear classifier.

    Example:
        >>> UNICON(lambda_u=30, backbone="digits_cnn", num_classes=10, in_channels=1).views
        ('weak', 'weak', 'strong', 'strong')
    """

    paper = "Karim et al., UNICON, 2022"
    cost = "2 networks, up to 4 passes and up to 5 forward passes each; the more, the more labels are kept"
    state = "12 bytes"
    views = ("weak", "weak", "strong", "strong")
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(("cifar10",), ("asymmetric",), {"warmup_epochs": 10, "confidence_penalty": 1.0}, "Train_cifar.py"),
        Preset(("cifar100",), ("asymmetric",), {"warmup_epochs": 30, "confidence_penalty": 1.0}, "Train_cifar.py"),
        Preset(("cifar10",), ("symmetric", "pair"), {"warmup_epochs": 10}, "Train_cifar.py"),
        Preset(("cifar100",), ("symmetric", "pair"), {"warmup_epochs": 30}, "Train_cifar.py"),
    )

    def __init__(
        self,
        warmup_epochs: int = 10,
        lambda_u: float = 30.0,
        lambda_c: float = 0.025,
        contrast_temperature: float = 0.05,
        projection_width: int = 128,
        temperature: float = 0.5,
        alpha: float = 4.0,
        ramp_epochs: float = 16.0,
        confidence_penalty: float = 0.0,
        alternation: str = "epoch",
        **learner: Any,
    ) -> None:
        super().__init__(
            warmup_epochs, lambda_u, temperature, alpha, ramp_epochs, confidence_penalty, alternation, **learner
        )
        self.save_hyperparameters("lambda_c", "contrast_temperature", "projection_width")
        self.lambda_c = check_non_negative("lambda_c", lambda_c, "the weight of the contrastive loss, e.g. 0.025")
        self.contrast_temperature = check_positive("contrast_temperature", contrast_temperature, "e.g. 0.05")

        width = check_positive_int("projection_width", projection_width)
        self.networks = nn.ModuleList(Projected(network, width) for network in self.networks)

    def build_tables(self, num_samples: int) -> Mapping[str, SampleTable]:
        """Keep whether a label is kept, and how far it is taken for right."""
        columns = [Column("kept", torch.int16, merge="ordered"), Column("clean", merge="ordered", initial=1.0)]
        shown = [Column("divergence", merge="last"), Column("label", torch.int16, merge="last")]
        return {"selection": SampleTable(num_samples, columns, observed=shown)}

    def begin_epoch(self) -> None:
        """Go through the training set with both networks, and select."""
        if self.current_epoch < self.warmup_epochs:
            return
        table = self.tables["selection"]
        with sweeping(self, "select") as batches:
            for x, target, index in batches:
                divergence = label_divergence(mean_probs(self.training_logits(x)), target)
                table.observe(index, {"divergence": divergence, "label": target})
        table.commit(self.current_epoch, self._select)

    def _select(self, state: Views, staged: Views) -> Mapping[str, Tensor]:
        divergence = torch.where(staged["n_seen"] > 0, staged["divergence"], torch.nan)
        kept = uniform_selection(divergence, staged["label"].long(), self.num_classes)
        return {"kept": kept, "clean": 1 - torch.where(divergence < 0.5, 0.0, divergence)}

    def choose(self, network: int, rows: Tensor) -> Tensor:
        """Return the rows whose label is kept, the likeliest tenth where none is."""
        read = self.tables["selection"].read(rows)
        kept = read["kept"] > 0
        return kept if bool(kept.any()) else labelled(read["clean"], threshold=1.0)

    def clean(self, network: int, index: Tensor) -> Tensor:
        """Return 1 for labels that are near to the mean prediction, less for others."""
        return self.tables["selection"].read(index)["clean"]

    def labelled_part(self, batch_size: int) -> int:
        """Return ``2 R / (2 R + 1)`` of the batch, where ``R`` is the share of labels kept: half of it for one half."""
        rows = self.tables["selection"].views()
        share = float((rows["kept"] > 0).sum() / (rows["last_epoch"] >= 0).sum())
        return min(max(round(batch_size * 2 * share / (2 * share + 1)), 1), batch_size - 1)

    def semi_supervised_loss(self, network: int, batch: HalfLabelled, epoch: float) -> tuple[Tensor, Tensor]:
        """Add the contrastive loss of the strong views without label."""
        loss, logits = super().semi_supervised_loss(network, batch, epoch)
        projected: Any = self.networks[network]
        first, second = (projected.embed(view) for view in batch.unlabelled[-2:])
        losses = contrastive(first, second, self.contrast_temperature)
        self.watch(losses)
        return loss + self.lambda_c * self.reduce(losses, batch.index[len(batch.target) :], None), logits

    def trained_by(self, network: int | None) -> list[nn.Parameter]:
        """Return a network's parameters; in the warm-up, both networks' without their projections."""
        if network is None:
            projections = {p for each in self.networks for p in each.get_submodule("projection").parameters()}
            return [parameter for parameter in self.parameters() if parameter not in projections]
        return super().trained_by(network)
