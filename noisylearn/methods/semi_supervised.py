"""`SemiSupervised`: two networks that learn from batches half of which keep their labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from noisylearn._checks import check_choice, check_non_negative, check_positive_int
from noisylearn.losses import class_prior_penalty, cross_entropy, entropy, mixup, soft_cross_entropy, squared_error
from noisylearn.losses._arguments import check_positive
from noisylearn.methods._step_checks import check_mixable
from noisylearn.methods.mixing import draw_lam
from noisylearn.methods.two_networks import TwoNetworks
from noisylearn.selection import co_guess, co_refine, linear_ramp


class SemiSupervised(TwoNetworks):
    """Base of the methods that, after a warm-up, keep the labels of a part of the samples only.

    In the warm-up both networks learn cross-entropy of every batch, less ``confidence_penalty`` times the entropy. From
    then on a batch trains one of them. Its first samples, half of it (the larger, of an odd number), keep their label;
    the label of the others is not read. A network's epoch goes once through the samples that keep their label, and
    through the others as often as it takes; the last batch is filled up from the next round. Where all samples keep
    their label, the same ones serve in the second part, where it is not read.

    ``alternation`` says in which order: ``"epoch"``, the reference codes', trains the first network for its whole epoch
    and then the second against it; with ``"step"`` they take turns from batch to batch, and with two batches
    accumulated to a step both move at once. A network that no batch of a step has trained is not moved by it, by
    momentum and weight decay neither.

    What is made of a batch is DivideMix's `semi_supervised_loss`. A method says in `choose` which samples keep their
    label, and in `clean` how much.

    Args:
        warmup_epochs: Epochs of the warm-up, at least 1.
        lambda_u: Weight of the samples without label.
        temperature: Of the sharpening.
        alpha: Of the Beta distribution that says how much is mixed.
        ramp_epochs: Epochs after the warm-up over which ``lambda_u`` grows from 0.
        confidence_penalty: Weight of the entropy in the warm-up.
        alternation: ``"epoch"`` or ``"step"``.
        **learner: Arguments of `NoisyLearner`.

    Raises:
        ValueError: An argument does not fit.
    """

    views: ClassVar[tuple[str, ...]] = ("weak", "weak")
    ensembled = True

    def __init__(
        self,
        warmup_epochs: int = 10,
        lambda_u: float = 25.0,
        temperature: float = 0.5,
        alpha: float = 4.0,
        ramp_epochs: float = 16.0,
        confidence_penalty: float = 0.0,
        alternation: str = "epoch",
        **learner: Any,
    ) -> None:
        super().__init__(**learner)
        self.save_hyperparameters(
            "warmup_epochs", "lambda_u", "temperature", "alpha", "ramp_epochs", "confidence_penalty", "alternation"
        )
        self.warmup_epochs = check_positive_int("warmup_epochs", warmup_epochs)
        self.lambda_u = check_non_negative("lambda_u", lambda_u, "the weight of the samples without label, e.g. 25")
        self.temperature = check_positive("temperature", temperature, "of the sharpening, e.g. 0.5")
        self.alpha = check_positive("alpha", alpha, "of the Beta distribution, e.g. 4")
        self.ramp_epochs = check_non_negative("ramp_epochs", ramp_epochs, "the epochs of the rise, e.g. 16")
        self.confidence_penalty = check_non_negative("confidence_penalty", confidence_penalty, "e.g. 1")
        self.alternation = check_choice("alternation", alternation, ("epoch", "step"))
        self._turns: list[tuple[float, int]] = []  # of each batch: the part of the network's epoch, and which network
        self._turn = (0.0, 0)
        self._cut = 0  # how many of a batch keep their label
        self._trained: set[nn.Parameter] = set()

    def choose(self, network: int, rows: Tensor) -> Tensor:
        """Return the mask of the rows whose label is kept for a network's coming epoch: one at least.

        Args:
            network: 0 or 1.
            rows: ``(M,)`` int64 on the CPU, this process's rows.
        """
        raise NotImplementedError(f"{type(self).__name__} must define choose(network, rows)")

    def clean(self, network: int, index: Tensor) -> Tensor:
        """Return how far a network takes labels that are kept for right, ``(B,)`` in [0, 1].

        Args:
            network: 0 or 1.
            index: ``(B,)`` int64 row numbers.
        """
        raise NotImplementedError(f"{type(self).__name__} must define clean(network, index)")

    def labelled_part(self, batch_size: int) -> int:
        """Return how many samples of a batch keep their label, in the current epoch."""
        return -(-batch_size // 2)

    # -- the losses --------------------------------------------------------------------------------------------------

    def losses_of(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return both networks' cross-entropy, ``(2, B)``."""
        return torch.stack([cross_entropy(each, target) for each in logits])

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Return the losses of the warm-up, ``(2, B)``."""
        losses = self.losses_of(logits, target)
        if self.confidence_penalty:
            losses = losses - self.confidence_penalty * torch.stack([entropy(each) for each in logits])
        return losses

    def semi_supervised_loss(self, network: int, batch: HalfLabelled, epoch: float) -> tuple[Tensor, Tensor]:
        """Co-refine and co-guess labels, mix, and return the three terms together.

        Labels are made from the first two views and learned for the last two; DivideMix has only two.

        Args:
            network: 0 or 1, the one to train.
            batch: The batch.
            epoch: The epoch, with the part of the network's epoch that is over.

        Returns:
            The loss, a scalar, and the network's logits of the first view, ``(B, C)``.
        """
        own, peer = self.networks[network], self.networks[1 - network]
        with torch.no_grad():
            mine = [own(part) for part in (*batch.labelled[:2], *batch.unlabelled[:2])]
            with in_evaluation(peer):
                theirs = [peer(part) for part in batch.unlabelled[:2]]
            trust = self.clean(network, batch.index[: len(batch.target)])
            refined = co_refine(batch.target, trust, torch.stack(mine[:2]), self.temperature)
            guessed = co_guess(torch.stack([*mine[2:], *theirs]), self.temperature)

        inputs, lam = torch.cat([*batch.labelled[-2:], *batch.unlabelled[-2:]]), draw_lam(self.alpha)
        order = torch.randperm(len(inputs), device=inputs.device)
        logits = own(mixup(inputs, order, lam))
        targets = mixup(torch.cat([refined, refined, guessed, guessed]), order, lam)
        size, cut = len(batch.target), 2 * len(batch.target)
        kept = soft_cross_entropy(logits[:cut], targets[:cut])
        others = squared_error(logits[cut:], targets[cut:])
        self.watch(torch.cat([kept, others]))
        lambda_u = self.lambda_u * linear_ramp(epoch, self.warmup_epochs, self.ramp_epochs)
        loss = self.reduce(kept, batch.index[:size].repeat(2), None) + class_prior_penalty(logits)
        return loss + lambda_u * self.reduce(others, batch.index[size:].repeat(2), None), torch.cat([mine[0], mine[2]])

    # -- whose turn it is --------------------------------------------------------------------------------------------

    def plan_epoch(self, rows: Tensor, batch_size: int, generator: torch.Generator) -> Tensor | None:
        """Return both networks' half-labelled batches; None in the warm-up.

        Raises:
            ValueError: A batch has no halves.
        """
        check_halves(batch_size)
        self._turns = []
        if self.current_epoch < self.warmup_epochs:
            return None
        weights = self.sample_weights(rows)
        if weights is not None:  # a sample left out is not mixed with others either
            rows = rows[weights.cpu() > 0]
        self._cut = self.labelled_part(batch_size)
        batches = []
        for network in range(2):
            kept = self.choose(network, rows).cpu()
            steps = self._most(-(-int(kept.sum()) // self._cut))
            others = rows if kept.all() else rows[~kept]
            parts = ((rows[kept], self._cut), (others, batch_size - self._cut))
            batches.append(torch.cat([rounds(r, steps * n, generator).view(steps, n) for r, n in parts], dim=1))
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
            loss, shown = super().learn(x[0], target, index)
            return self._with_idle(loss, None), shown
        part, network = self._turn
        loss, logits = self.semi_supervised_loss(
            network, HalfLabelled.of(x, target, index, self._cut), self.current_epoch + part
        )
        return self._with_idle(loss, network), {"logits": logits.detach()}

    def trained_by(self, network: int | None) -> list[nn.Parameter]:
        """Return the parameters that a batch trains: those of a network, or both networks' in the warm-up (None)."""
        return list(self.parameters() if network is None else self.networks[network].parameters())

    def _with_idle(self, loss: Tensor, network: int | None) -> Tensor:
        """Note what a batch trains, and on several processes give what it does not a gradient of zero: DDP waits."""
        trained = set(self.trained_by(network))
        self._trained |= trained
        if self.trainer.world_size == 1:
            return loss
        idle = [parameter.sum() for parameter in self.parameters() if parameter not in trained]
        return loss + 0.0 * torch.stack(idle).sum() if idle else loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Take the gradients, zeros too, from what no batch has trained: momentum and decay would still move it."""
        for parameter in self.parameters():
            if parameter not in self._trained:
                parameter.grad = None
        self._trained.clear()


class HalfLabelled(NamedTuple):
    """A batch whose first samples keep their label.

    Attributes:
        labelled: Their views, ``(L, ...)`` each.
        unlabelled: The views of the others, ``(B - L, ...)`` each.
        target: ``(L,)`` int64, the labels kept.
        index: ``(B,)`` int64 row numbers of all.
    """

    labelled: Sequence[Tensor]
    unlabelled: Sequence[Tensor]
    target: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which no batch needs

    @classmethod
    def of(cls, x: Sequence[Tensor], target: Tensor, index: Tensor, cut: int) -> HalfLabelled:
        """Return a batch cut in two.

        Args:
            x: Its views.
            target: ``(B,)`` int64 given labels.
            index: ``(B,)`` int64 row numbers.
            cut: How many samples keep their label.

        Example:
            >>> batch = HalfLabelled.of([torch.zeros(5, 1)], torch.arange(5), torch.arange(5), cut=3)
            >>> batch.target.tolist(), len(batch.unlabelled[0])
            ([0, 1, 2], 2)
        """
        return cls([view[:cut] for view in x], [view[cut:] for view in x], target[:cut], index)


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


def check_halves(batch_size: int) -> None:
    """Refuse a batch that cannot be half labelled.

    Raises:
        ValueError: It has one sample.
    """
    if batch_size < 2:
        raise ValueError(f"`batch_size` must be at least 2, got {batch_size}: a batch is half labelled")


def rounds(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return ``count`` of the rows: all of them shuffled, all of them shuffled anew, and so on.

    Args:
        rows: ``(M,)`` int64, one at least.
        count: How many.
        generator: For the orders.

    Example:
        >>> twice = rounds(torch.tensor([3, 5]), 4, torch.Generator())
        >>> sorted(twice[:2].tolist()), sorted(twice[2:].tolist())
        ([3, 5], [3, 5])
    """
    times = -(-count // len(rows))
    return torch.cat([rows[torch.randperm(len(rows), generator=generator)] for _ in range(times)])[:count]
