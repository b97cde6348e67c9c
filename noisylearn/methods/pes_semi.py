"""PES with semi-supervised learning: the labels that the classifier agrees with are kept, the others are guessed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from noisylearn._checks import check_non_negative
from noisylearn.losses import mixup, soft_cross_entropy, squared_error
from noisylearn.losses._arguments import check_positive
from noisylearn.methods._step_checks import check_mixable
from noisylearn.methods.mixing import draw_lam
from noisylearn.methods.pes import PES
from noisylearn.methods.presets import Preset
from noisylearn.methods.sample_state import SampleState
from noisylearn.methods.semi_supervised import HalfLabelled, check_halves, rounds
from noisylearn.selection import co_guess, linear_ramp


class PESSemi(PES):
    """Progressive early stopping, then MixMatch: one network keeps the labels that are its own predictions.

    After the warm-up the classifier is drawn anew and trained alone for a few epochs, by Adam. From then on each epoch
    begins with a pass over the training set. The samples whose prediction is their label keep it; for the others the
    network guesses one, its mean prediction for two views, sharpened. All are mixed with each other. Cross-entropy is
    learned on the mixtures that are mostly labelled, in which each class weighs ``min(mean(n) / n_c, 3)`` for the
    ``n_c`` labels kept of it, and ``lambda_u`` times the squared error on the others.

    Source: Bai et al., "Understanding and Improving Early Stopping for Learning with Noisy Labels", NeurIPS 2021, and
    the authors' PES_semi.py, with 128 samples a batch. In their code the new classifier is never trained again after
    Adam's epochs, since its optimizer does not know it; here it is, and ``legacy_frozen_tail`` leaves it out too. Their
    epochs of Adam do not count, here they do. They take the mean prediction for two augmented inputs to choose by, we
    one that is not augmented. Where no prediction is its label, all labels are kept.

    Args:
        warmup_epochs: Epochs in which the whole network learns from all samples: 20 for CIFAR-10, 35 for CIFAR-100.
        tail: Names of the network's modules at which a part begins that is drawn anew.
        refine_epochs: How many epochs each of these parts is then trained for.
        refine_lr: Adam's learning rate.
        legacy_frozen_tail: Do not train the parts drawn anew after that, as the reference code does.
        lambda_u: Weight of the samples without label.
        temperature: Of the sharpening.
        alpha: Of the Beta distribution that says how much is mixed.
        late_alpha: The same in the second half of the run.
        ramp_epochs: Epochs over which ``lambda_u`` grows from 0.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        ValueError: An argument does not fit, or the network has no such module.

    Example:
        >>> method = PESSemi(lambda_u=15, backbone="digits_cnn", num_classes=10, in_channels=1)
        >>> [method.part_at(epoch) for epoch in (19, 20, 25)]
        [-1, 0, 1]
    """

    paper = "Bai et al., Progressive early stopping (PES, semi-supervised), 2021"
    cost = "1 network, 2 passes and up to 2 forward passes"
    views: ClassVar[tuple[str, ...]] = ("weak", "weak")
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(("cifar10",), ("instance",), {"warmup_epochs": 20, "lambda_u": 15.0}, "README.md", rates=(0.4, 0.4)),
        Preset(("cifar100",), ("pair",), {"warmup_epochs": 35, "lambda_u": 50.0}, "README.md"),
        Preset(("cifar10n",), ("human",), {"warmup_epochs": 20, "lambda_u": 5.0}, "PES_noisylabels.py"),
        Preset(("cifar100n",), ("human",), {"warmup_epochs": 35, "lambda_u": 75.0}, "PES_noisylabels.py"),
        Preset(("cifar10",), (), {"warmup_epochs": 20}, "PES_semi.py"),
        Preset(("cifar100",), (), {"warmup_epochs": 35}, "PES_semi.py"),
    )

    def __init__(
        self,
        warmup_epochs: int = 20,
        tail: Sequence[str] = ("classifier",),
        refine_epochs: Sequence[int] = (5,),
        refine_lr: float = 1e-4,
        legacy_frozen_tail: bool = False,
        lambda_u: float = 150.0,
        temperature: float = 0.5,
        alpha: float = 4.0,
        late_alpha: float = 0.75,
        ramp_epochs: float = 16.0,
        **learner: Any,
    ) -> None:
        super().__init__(warmup_epochs, tail, refine_epochs, refine_lr, legacy_frozen_tail, **learner)
        self.save_hyperparameters("lambda_u", "temperature", "alpha", "late_alpha", "ramp_epochs")
        self.lambda_u = check_non_negative("lambda_u", lambda_u, "the weight of the samples without label, e.g. 15")
        self.temperature = check_positive("temperature", temperature, "of the sharpening, e.g. 0.5")
        self.alphas = tuple(
            check_positive(name, value, "of the Beta distribution, e.g. 4")
            for name, value in (("alpha", alpha), ("late_alpha", late_alpha))
        )
        self.ramp_epochs = check_non_negative("ramp_epochs", ramp_epochs, "the epochs of the rise, e.g. 16")
        self._cut, self._steps, self._step = 0, 1, 0  # labels kept of a batch, 0 for all; steps in an epoch; which one

    def plan_epoch(self, rows: Tensor, batch_size: int, generator: torch.Generator) -> Tensor | None:
        """Return as many batches as fit into the training set, each of labels kept and of others; None before.

        Half of a batch keeps its label where fewer than half of all do, else as large a part of it as of all.

        Raises:
            ValueError: A batch has no halves.
        """
        check_halves(batch_size)
        self._cut = 0
        if self.part < len(self.tail):
            return None
        table = {name: column.cpu() for name, column in self.tables["chosen"].views().items()}
        kept, seen = table["weight"] > 0, table["n_seen"] > 0
        others = int((seen & ~kept).sum())
        small = others * batch_size // max(int(seen.sum()), 1)
        self._cut = batch_size - max(batch_size // 2 if 2 * others > int(seen.sum()) else small, 1)
        labels = table["label"].long()[kept & seen]
        counts = torch.bincount(labels, minlength=self.num_classes).float()
        weights = counts[counts > 0].mean() / counts
        self._class_weights = torch.where(counts > 0, weights.clamp(max=3), 0.0).to(self.device)

        left_out = SampleState.sample_weights(self, rows)
        rows = rows if left_out is None else rows[left_out.cpu() > 0]
        mine, other = rows[kept[rows]], rows[~kept[rows]]
        self._steps = max(len(rows) // batch_size, 1)
        parts = ((mine if len(mine) else rows, self._cut), (other if len(other) else rows, batch_size - self._cut))
        return torch.cat([rounds(r, self._steps * n, generator).view(-1, n) for r, n in parts], dim=1).flatten()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Begin the epoch, if planning it has not, and note how far it is."""
        super().on_train_batch_start(batch, batch_idx)
        self._step = batch_idx

    def sample_weights(self, index: Tensor) -> Tensor | None:
        """Return the weights that callbacks have set: what was chosen is in the plan."""
        return SampleState.sample_weights(self, index)

    def learn(self, x: Any, target: Tensor, index: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Learn the labels of all, or guess, mix and return both terms; of labels kept, mixtures' logits are shown."""
        if not self._checked:
            check_mixable(x)
        if not self._cut:
            return super().learn(x[0], target, index)
        batch = HalfLabelled.of(x, target, index, self._cut)
        with torch.no_grad():
            seen = torch.stack([self(view) for view in batch.unlabelled])
            guessed = co_guess(seen, self.temperature)
        given = (batch.target.unsqueeze(1) == torch.arange(self.num_classes, device=target.device)).to(guessed.dtype)
        late = 2 * self.current_epoch >= (self.trainer.max_epochs or 0) > 0
        inputs, lam = torch.cat([*batch.labelled, *batch.unlabelled]), draw_lam(self.alphas[late])
        order = torch.randperm(len(inputs), device=inputs.device)
        logits = self(mixup(inputs, order, lam))
        targets = mixup(torch.cat([given, given, guessed, guessed]), order, lam)
        size, cut = len(given), 2 * len(given)
        kept = soft_cross_entropy(logits[:cut], targets[:cut] * self._class_weights)
        others = squared_error(logits[cut:], targets[cut:])
        self.watch(torch.cat([kept, others]))
        epoch = self.current_epoch + self._step / self._steps
        lambda_u = self.lambda_u * linear_ramp(epoch, self.begins[-1], self.ramp_epochs)
        loss = self.reduce(kept, index[:size].repeat(2), None)
        loss = loss + lambda_u * self.reduce(others, index[size:].repeat(2), None)
        return loss, self.outputs(torch.cat([logits[:size].detach(), seen[0]]))
