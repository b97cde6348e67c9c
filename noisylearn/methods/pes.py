"""PES: the early stopping of a network's parts, one after another."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from noisylearn._checks import check_non_negative, unknown_name
from noisylearn.losses import cross_entropy
from noisylearn.methods.chosen import ChosenSamples
from noisylearn.methods.optimizers import Relay
from noisylearn.methods.presets import Preset
from noisylearn.methods.renewal import check_renewable, draw_anew
from noisylearn.methods.sweep import sweeping
from noisylearn.selection import confident_weights
from noisylearn.tables import Column


class PES(ChosenSamples):
    """Progressive early stopping: the later a part of the network, the fewer epochs it learns from wrong labels.

    Epochs of cross-entropy train the whole network. Then its last stage and classifier are drawn anew and trained by
    Adam, with all before them held still, and after that the classifier alone. From then on each epoch begins with a
    pass over the training set and trains on the samples whose prediction is their label, weighted so that each class
    has the same share; the whole network learns again, by the optimizer of the first epochs.

    Source: Bai et al., "Understanding and Improving Early Stopping for Learning with Noisy Labels", NeurIPS 2021, the
    form without semi-supervised learning. In the authors' code the parts drawn anew are parameters that its optimizer
    does not know: after Adam's epochs they are never trained again, and the published numbers come from that. Here they
    are; ``legacy_frozen_tail`` leaves them out too. The code counts all of Adam's epochs as one: a milestone at its
    epoch 100 is one at 111 here, and its 200 epochs are 211. It takes the mean prediction for two augmented inputs, we
    one that is not augmented; it drops the last, smaller batch.

    Args:
        warmup_epochs: Epochs in which the whole network learns from all samples.
        tail: Names of the network's modules at which a part begins that is drawn anew; what stands after them in the
            network belongs to the part. The default is the last stage and the classifier of our ResNets.
        refine_epochs: How many epochs each of these parts is then trained for; 0 leaves it as it is.
        refine_lr: Adam's learning rate.
        legacy_frozen_tail: Do not train the parts drawn anew after that, as the reference code does.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        ValueError: A number is negative, ``tail`` and ``refine_epochs`` differ in length, or the network has no such
            module, or one that cannot be drawn anew.

    Example:
        >>> method = PES(tail=("features.4", "classifier"), backbone="digits_cnn", num_classes=10, in_channels=1)
        >>> [method.part_at(epoch) for epoch in (24, 25, 32, 37)]
        [-1, 0, 1, 2]
    """

    paper = "Bai et al., Progressive early stopping (PES), 2021"
    cost = "1 network, up to 1 pass and 1 forward pass; an epoch trains on the confident samples"
    state = "12 bytes"
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(("cifar10",), (), {"warmup_epochs": 25}, "PES_cs.py"),
        Preset(("cifar100",), (), {"warmup_epochs": 30}, "PES_cs.py"),
    )

    def __init__(
        self,
        warmup_epochs: int = 25,
        tail: Sequence[str] = ("stages.3", "classifier"),
        refine_epochs: Sequence[int] = (7, 5),
        refine_lr: float = 1e-4,
        legacy_frozen_tail: bool = False,
        **learner: Any,
    ) -> None:
        super().__init__(**learner)
        self.save_hyperparameters("warmup_epochs", "tail", "refine_epochs", "refine_lr", "legacy_frozen_tail")
        if not tail or len(tail) != len(refine_epochs):
            raise ValueError(
                f"`tail` and `refine_epochs` must say as much, one part and its epochs, got {len(tail)} and "
                f"{len(refine_epochs)}: e.g. tail=('stages.3', 'classifier'), refine_epochs=(7, 5)"
            )
        for name, epochs in [("warmup_epochs", warmup_epochs), *(("refine_epochs", n) for n in refine_epochs)]:
            check_non_negative(name, epochs, "a number of epochs, e.g. 25 and (7, 5)")
        self.tail, self.begins = tuple(tail), list(accumulate(refine_epochs, initial=warmup_epochs))
        self.refine_lr = check_non_negative("refine_lr", refine_lr, "Adam's learning rate, e.g. 1e-4")
        self.legacy_frozen_tail = legacy_frozen_tail
        check_tail(self.network, self.tail)

    def part_at(self, epoch: int) -> int:
        """Return which part of ``tail`` an epoch refines: -1 before them, ``len(tail)`` from the first choice on."""
        return bisect(self.begins, epoch) - 1

    @property
    def part(self) -> int:
        """Which part the current epoch refines."""
        return self.part_at(self.current_epoch)

    @property
    def refines(self) -> bool:
        """Whether the current epoch is one of Adam's."""
        return 0 <= self.part < len(self.tail)

    def evidence(self) -> Sequence[Column]:
        """Keep each sample's prediction and label."""
        return [Column("prediction", torch.int16, merge="last", initial=-1), Column("label", torch.int16, merge="last")]

    # -- an epoch ----------------------------------------------------------------------------------------------------

    def begin_epoch(self) -> None:
        """Draw a part anew as its epochs begin, or choose the confident samples."""
        if self.part == len(self.tail):
            self.choose_confident()
        elif self.refines and self.current_epoch == self.begins[self.part]:
            self.renew(self.tail[self.part])

    def choose_confident(self) -> None:
        """Go through the training set and choose the samples whose prediction is their label."""
        table = self.tables["chosen"]
        with sweeping(self, "choose the confident samples") as batches:
            for x, target, index in batches:
                table.observe(index, {"prediction": self(x).argmax(-1), "label": target})
        table.commit(self.current_epoch)
        seen = table.views()
        self.choose(confident_weights(seen["prediction"], seen["label"], self.num_classes))

    def renew(self, name: str) -> None:
        """Draw the weights of a part anew, alike on every process; what the optimizers knew of it is no longer true."""
        draw_anew(self, modules_from(self.network, name))
        optimizer: Any = self.optimizers(use_pl_optimizer=False)
        optimizer.forget(parameters_from(self.network, name))

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Return ``-log p`` of the given label, ``(B,)``."""
        return cross_entropy(logits, target)

    # -- who is trained ----------------------------------------------------------------------------------------------

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Return the optimizer of the whole network, with Adam for the epochs that refine a part."""
        adam = torch.optim.Adam(parameters_from(self.network, self.tail[0]), lr=self.refine_lr)
        return Relay(super().make_optimizer(), adam, lambda: self.refines)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Hold still what the epoch does not train: without a gradient there is no momentum and no decay either."""
        for parameter in self.idle_parameters():
            parameter.grad = None

    def idle_parameters(self) -> list[nn.Parameter]:
        """Return what the current epoch does not train."""
        if self.refines:
            trained = set(parameters_from(self.network, self.tail[self.part]))
            return [p for p in self.parameters() if p not in trained]
        frozen = self.legacy_frozen_tail and self.part == len(self.tail)
        return parameters_from(self.network, self.tail[0]) if frozen else []


def modules_from(network: nn.Module, name: str) -> list[nn.Module]:
    """Return the module of that name and all that stand after it in the network.

    Args:
        network: The network.
        name: A name of its ``named_modules()``.

    Example:
        >>> modules_from(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), "1")
        [ReLU(), Linear(in_features=3, out_features=2, bias=True)]
    """
    names = [known for known, _ in network.named_modules()]
    return [module for _, module in network.named_modules()][names.index(name) :]


def parameters_from(network: nn.Module, name: str) -> list[nn.Parameter]:
    """Return the parameters of `modules_from`."""
    return [p for module in modules_from(network, name) for p in module.parameters(recurse=False)]


def check_tail(network: nn.Module, tail: Sequence[str]) -> None:
    """Refuse names that the network does not have, that stand in another order, or that cannot be drawn anew.

    Raises:
        ValueError: See above.
    """
    names = [name for name, _ in network.named_modules() if name]
    for name in tail:
        if name not in names:
            near_the_top = [known for known in names if known.count(".") < 2]
            raise ValueError(f"`tail`: {unknown_name('module', name, near_the_top)}")
    if sorted(tail, key=names.index) != list(tail):
        raise ValueError(f"`tail` must go from the input to the output, got {tuple(tail)}: turn it round")
    check_renewable("tail", modules_from(network, tail[0]), "begin after it")
