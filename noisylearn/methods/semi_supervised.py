"""`SemiSupervised`: two networks that learn from batches half of which keep their labels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from noisylearn._checks import check_choice, check_positive_int
from noisylearn.methods._step_checks import check_mixable
from noisylearn.methods.two_networks import TwoNetworks


class SemiSupervised(TwoNetworks):
    """Base of the methods that, after a warm-up, keep the labels of a part of the samples only.

    In the warm-up both networks learn from every batch what `compute_loss` says. From then on a batch trains one of
    them. Its first half (the larger, of an odd number) are samples whose label is kept, its second half samples whose
    label is not read. A network's epoch goes once through the samples that keep their label, and through the others as
    often as it takes; the last batch is filled up from the next round. Where all samples keep their label, the same
    ones serve in the second half, where it is not read.

    ``alternation`` says in which order: ``"epoch"``, the reference codes', trains the first network for its whole epoch
    and then the second against it; with ``"step"`` they take turns from batch to batch, and with two batches
    accumulated to a step both move at once. A network that no batch of a step has trained is not moved by it, by
    momentum and weight decay neither.

    A method says in `choose` which samples keep their label and in `semi_supervised_loss` what is made of a batch.

    Args:
        warmup_epochs: Epochs of the warm-up, at least 1.
        alternation: ``"epoch"`` or ``"step"``.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        ValueError: An argument does not fit.
    """

    views = ("weak", "weak")
    ensembled = True

    def __init__(self, warmup_epochs: int = 10, alternation: str = "epoch", **learner: Any) -> None:
        super().__init__(**learner)
        self.save_hyperparameters("warmup_epochs", "alternation")
        self.warmup_epochs = check_positive_int("warmup_epochs", warmup_epochs)
        self.alternation = check_choice("alternation", alternation, ("epoch", "step"))
        self._turns: list[tuple[float, int]] = []  # of each batch: the part of the network's epoch, and which network
        self._turn = (0.0, 0)
        self._trained: set[int] = set()

    def choose(self, network: int, rows: Tensor) -> Tensor:
        """Return the mask of the rows whose label is kept for a network's coming epoch: one at least.

        Args:
            network: 0 or 1.
            rows: ``(M,)`` int64 on the CPU, this process's rows.
        """
        raise NotImplementedError(f"{type(self).__name__} must define choose(network, rows)")

    def semi_supervised_loss(
        self, network: int, x: tuple[Tensor, ...], target: Tensor, index: Tensor, epoch: float
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of a half-labelled batch, and the network's logits of its samples as they are.

        Args:
            network: 0 or 1, the one to train.
            x: The views, ``(B, ...)`` each; the first ``ceil(B / 2)`` samples keep their label.
            target: ``(B,)`` int64 given labels.
            index: ``(B,)`` int64 row numbers.
            epoch: The epoch, with the part of the network's epoch that is over.

        Returns:
            A scalar and ``(B, C)``.
        """
        raise NotImplementedError(f"{type(self).__name__} must define semi_supervised_loss")

    # -- whose turn it is --------------------------------------------------------------------------------------------

    def plan_epoch(self, rows: Tensor, batch_size: int, generator: torch.Generator) -> Tensor | None:
        """Return both networks' half-labelled batches; None in the warm-up.

        Raises:
            ValueError: A batch has no halves.
        """
        if batch_size < 2:
            raise ValueError(f"`batch_size` must be at least 2, got {batch_size}: a batch is half labelled")
        self._turns = []
        if self.current_epoch < self.warmup_epochs:
            return None
        weights = self.sample_weights(rows)
        if weights is not None:  # a sample left out is not mixed with others either
            rows = rows[weights.cpu() > 0]
        half = -(-batch_size // 2)
        batches = []
        for network in range(2):
            kept = self.choose(network, rows).cpu()
            steps = self._most(-(-int(kept.sum()) // half))
            others = rows if kept.all() else rows[~kept]
            parts = ((rows[kept], half), (others, batch_size - half))
            batches.append(torch.cat([_rounds(r, steps * n, generator).view(steps, n) for r, n in parts], dim=1))
            self._turns += [(step / steps, network) for step in range(steps)]
        if self.alternation == "step":
            self._turns.sort()
        next_of = [iter(each) for each in batches]
        return torch.cat([next(next_of[network]) for _, network in self._turns])

    def _most(self, steps: int) -> int:
        """Return the most steps of any process, so that all train the same network at a time."""
        strategy = self.trainer.strategy
        return int(strategy.reduce(torch.tensor(steps, device=strategy.root_device), reduce_op="max"))

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Begin the epoch, if planning it has not, and say whose turn it is."""
        super().on_train_batch_start(batch, batch_idx)
        if self._turns:
            self._turn = self._turns[batch_idx]

    def learn(self, x: Any, target: Tensor, index: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Train both networks in the warm-up, then the one whose turn it is."""
        if not self._checked:
            check_mixable(x)
        if not self._turns:
            return super().learn(x[0], target, index)
        part, network = self._turn
        loss, logits = self.semi_supervised_loss(network, x, target, index, self.current_epoch + part)
        self._trained.add(network)
        if self.trainer.world_size > 1:  # DDP waits for a gradient of every parameter
            idle = self.networks[1 - network]
            loss = loss + 0.0 * torch.stack([p.sum() for p in idle.parameters()]).sum()
        return loss, {"logits": logits.detach()}

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Take the gradients, zeros too, from a network that no batch has trained: momentum would still move it."""
        for number, network in enumerate(self.networks):
            if self._turns and number not in self._trained:
                for parameter in network.parameters():
                    parameter.grad = None
        self._trained.clear()


@contextmanager
def in_evaluation(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode, and afterwards each of its parts in the mode it was in."""
    modes = [(part, part.training) for part in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _rounds(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return ``count`` of the rows: all of them shuffled, all of them shuffled anew, and so on."""
    rounds = -(-count // len(rows))
    return torch.cat([rows[torch.randperm(len(rows), generator=generator)] for _ in range(rounds)])[:count]
