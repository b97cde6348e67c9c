"""A fit gives the weights of a training loop written out by hand from the papers, over the same batches."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisylearn.methods import NoisyLearner
from tests.methods.harness import CASES, Case, digits, each_method, fit, plain

EPOCHS, LR, NUM_TRAIN = 4, 0.05, 250  # the last batch is a short one
HandLoss = Callable[[list[Tensor], Tensor, Tensor, int], Tensor]


def cross_entropy(logits: list[Tensor], target: Tensor, index: Tensor, epoch: int) -> Tensor:
    return F.cross_entropy(logits[0], target)


def elr() -> HandLoss:
    running = np.zeros((NUM_TRAIN, 10))

    def loss(logits: list[Tensor], target: Tensor, index: Tensor, epoch: int) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for row, (z, y, i) in enumerate(zip(logits[0], target.tolist(), index.tolist(), strict=True)):
            p = z.softmax(0).clamp(1e-4, 1 - 1e-4)
            shown = p.detach().numpy()
            running[i] = 0.7 * running[i] + 0.3 * shown / shown.sum()
            agreement = (p * torch.tensor(running[i])).sum()
            total = total + F.cross_entropy(logits[0][row : row + 1], torch.tensor([y])) + 3 * torch.log(1 - agreement)
        return total / len(target)

    return loss


def keep(epoch: int, size: int) -> int:
    """Both cases forget 0.4 from the second epoch on: ``linspace(0, 0.4, 2)``, then 0.4."""
    return int((1 - [0.0, 0.4, 0.4, 0.4][epoch]) * size)


def smallest(losses: Tensor, count: int) -> Tensor:
    values = losses.tolist()
    return torch.tensor(sorted(range(len(values)), key=values.__getitem__)[:count])


def small_loss(logits: list[Tensor], target: Tensor, index: Tensor, epoch: int) -> Tensor:
    losses = F.cross_entropy(logits[0], target, reduction="none")
    return losses[smallest(losses, keep(epoch, len(target)))].mean()


def co_teaching(logits: list[Tensor], target: Tensor, index: Tensor, epoch: int) -> Tensor:
    one, two = (F.cross_entropy(z, target, reduction="none") for z in logits)
    count = keep(epoch, len(target))
    return one[smallest(two, count)].mean() + two[smallest(one, count)].mean()


BY_HAND: dict[str, Callable[[], HandLoss]] = {
    "CrossEntropy": lambda: cross_entropy,
    "ELR": elr,
    "SmallLoss": lambda: small_loss,
    "CoTeaching": lambda: co_teaching,
}


def train_by_hand(networks: list[nn.Module], loss_of: HandLoss) -> None:
    """One optimizer per network, as the reference code has it, in float64."""
    data = digits(num_train=NUM_TRAIN)
    data.setup("fit")
    loader = data.train_dataloader()
    optimizers = [torch.optim.SGD(n.parameters(), lr=LR, momentum=0.9, weight_decay=5e-4) for n in networks]
    for epoch in range(EPOCHS):
        loader.set_epoch(epoch)
        for image, target, index in loader:
            loss = loss_of([n(image.double()) for n in networks], target, index, epoch)
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()


def both(method: NoisyLearner) -> list[nn.Module]:
    return list(getattr(method, "networks", None) or [method.network])  # type: ignore[list-item]


@each_method
def test_a_fit_is_the_loop_of_the_paper(case: Case) -> None:
    torch.manual_seed(1)
    method = case.build(backbone=plain, lr=LR).double()
    by_hand = copy.deepcopy(both(method))
    before = copy.deepcopy(by_hand)
    train_by_hand(by_hand, BY_HAND[case.name]())
    fit(method, digits(num_train=NUM_TRAIN), epochs=EPOCHS, precision="64-true")
    for ours, hand, start in zip(both(method), by_hand, before, strict=True):
        for one, other, first in zip(ours.parameters(), hand.parameters(), start.parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
            assert not torch.allclose(other, first, rtol=1e-3, atol=1e-3)


def test_every_method_has_a_loop() -> None:
    assert BY_HAND.keys() == {case.name for case in CASES}
