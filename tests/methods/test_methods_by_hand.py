"""A fit gives the weights of a training loop written out by hand from the papers, over the same batches."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisylearn.data import Digits
from noisylearn.methods import NoisyLearner
from tests.methods.harness import CASES, Case, digits, fit, plain

EPOCHS, LR, NUM_TRAIN = 4, 0.05, 250  # the last batch is a short one
HandLoss = Callable[[list[Tensor], Tensor, Tensor, int], Tensor]


@dataclass
class Hand:
    """What a loss may look at, or change: as an epoch begins, in ``begin(epoch, hand)``, and in
    ``after_backward(hand)``."""

    networks: list[nn.Module]
    optimizers: list[torch.optim.Optimizer]
    data: Digits

    def predictions(self) -> np.ndarray:
        """The first network's probabilities for every training image, as a table keeps them."""
        images = (self.data.train_images.float() / 255 - self.data.mean[0]) / self.data.std[0]
        with torch.no_grad():
            return self.networks[0](images.double()).float().softmax(1).numpy()  # type: ignore[no-any-return]


def sgd(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(network.parameters(), lr=LR, momentum=0.9, weight_decay=5e-4)


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


def symmetric_cross_entropy(logits: list[Tensor], target: Tensor, index: Tensor, epoch: int) -> Tensor:
    p = logits[0].softmax(1)
    given = torch.eye(10, dtype=torch.float64)[target]
    reverse = -(p * given.clamp(min=1e-4).log()).sum(1)
    return (-(given * p.log()).sum(1) + reverse).mean()


def anchors(shown: np.ndarray) -> Tensor:
    """The matrix at the anchor points of predictions: of each class, the sample that is likeliest of it."""
    rows = [shown[max(range(NUM_TRAIN), key=lambda i: shown[i, c])].astype(float) for c in range(10)]
    return torch.tensor(np.array([row / row.sum() for row in rows]), dtype=torch.float32).double()


class ForwardCorrectionByHand:
    """An epoch of cross-entropy; then the matrix of what the network says of each sample, and all begins anew."""

    def __init__(self) -> None:
        self.matrix = torch.eye(10, dtype=torch.float64)

    def begin(self, epoch: int, hand: Hand) -> None:
        if epoch == 0:
            self.first = copy.deepcopy(hand.networks[0].state_dict())
        if epoch == 1:
            self.matrix = anchors(hand.predictions())
            hand.networks[0].load_state_dict(self.first)
            hand.optimizers[0] = sgd(hand.networks[0])

    def __call__(self, logits: list[Tensor], target: Tensor, index: Tensor, epoch: int) -> Tensor:
        noisy = logits[0].softmax(1) @ self.matrix
        return -noisy[torch.arange(len(target)), target].log().mean()


class TRevisionByHand:
    """An epoch of cross-entropy, one of reweighting; then Adam steps network and slack."""

    def begin(self, epoch: int, hand: Hand) -> None:
        if epoch == 1:
            self.matrix = anchors(hand.predictions())
        if epoch == 2:
            self.slack = torch.zeros(10, 10, dtype=torch.float64, requires_grad=True)
            both = [*hand.networks[0].parameters(), self.slack]
            hand.optimizers[0] = torch.optim.Adam(both, lr=1e-4, weight_decay=5e-4)

    def __call__(self, logits: list[Tensor], target: Tensor, index: Tensor, epoch: int) -> Tensor:
        if epoch == 0:
            return F.cross_entropy(logits[0], target)
        matrix = self.matrix if epoch < 2 else self.matrix + self.slack
        total = torch.zeros((), dtype=torch.float64)
        for z, y in zip(logits[0], target.tolist(), strict=True):
            p = z.detach().softmax(0)
            total = total - p[y] / (p @ matrix)[y] * z.log_softmax(0)[y]
        return total / len(target)


def vol_min_net() -> HandLoss:
    """The matrix's logits have an optimizer of their own."""
    weights = torch.full((10, 10), -2.0, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([weights], lr=0.5, momentum=0.9)

    def loss(logits: list[Tensor], target: Tensor, index: Tensor, epoch: int) -> Tensor:
        optimizer.step()  # by the gradients of the step before
        optimizer.zero_grad()
        rows = [[torch.ones(()) if i == j else weights[i, j].sigmoid() for j in range(10)] for i in range(10)]
        matrix = torch.stack([torch.stack([x / sum(row) for x in row]) for row in rows])
        noisy = logits[0].softmax(1) @ matrix
        return F.nll_loss(noisy.log(), target) + 1e-2 * matrix.det().abs().log()

    return loss


def backward_correction(logits: list[Tensor], target: Tensor, index: Tensor, epoch: int) -> Tensor:
    inverse = np.linalg.inv(np.full((10, 10), 0.4 / 9) + (0.6 - 0.4 / 9) * np.eye(10))
    each = -logits[0].softmax(1).clamp(min=1e-7).log()
    losses = [sum(inverse[y, c] * row[c] for c in range(10)) for y, row in zip(target, each, strict=True)]
    return torch.stack(losses).mean()


def selc() -> HandLoss:
    """One epoch of cross-entropy, then the targets move."""
    soft: dict[int, np.ndarray] = {}

    def loss(logits: list[Tensor], target: Tensor, index: Tensor, epoch: int) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for z, y, i in zip(logits[0], target.tolist(), index.tolist(), strict=True):
            t = soft.get(i, np.eye(10)[y])
            if epoch >= 1:
                t = soft[i] = 0.9 * t + 0.1 * z.detach().softmax(0).numpy()
            total = total - (torch.tensor(t) * z.log_softmax(0)).sum()
        return total / len(target)

    return loss


def sop() -> HandLoss:
    """``u`` and ``v`` have an optimizer of their own, over all rows."""
    first = 0.3 * torch.randn(NUM_TRAIN, 11, generator=torch.Generator().manual_seed(0)).double()
    u, v = first[:, :1].clone().requires_grad_(), first[:, 1:].clone().requires_grad_()
    optimizer = torch.optim.SGD([{"params": [u], "lr": 5.0}, {"params": [v], "lr": 10.0}])

    def loss(logits: list[Tensor], target: Tensor, index: Tensor, epoch: int) -> Tensor:
        optimizer.step()  # by the gradients of the step before
        optimizer.zero_grad()
        label = torch.eye(10, dtype=torch.float64)[target]
        much = torch.clamp(u[index] ** 2 * label, 0, 1)
        little = torch.clamp(v[index] ** 2 * (1 - label), 0, 1)
        p = torch.clamp(logits[0].softmax(1) + much - little.detach(), min=1e-4)
        p = torch.clamp(F.normalize(p, p=1, eps=1e-4), min=1e-4, max=1.0)
        hard = torch.eye(10, dtype=torch.float64)[logits[0].detach().argmax(1)]
        squares = F.mse_loss(hard + much - little, label, reduction="sum") / len(label)
        return -(label * p.log()).sum(1).mean() + squares

    return loss


def keep(epoch: int, size: int) -> int:
    """These cases forget 0.4 from the second epoch on: ``linspace(0, 0.4, 2)``, then 0.4."""
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


def co_teaching_plus(logits: list[Tensor], target: Tensor, index: Tensor, epoch: int) -> Tensor:
    if epoch < 1:
        return co_teaching(logits, target, index, epoch)
    one, two = (F.cross_entropy(z, target, reduction="none") for z in logits)
    differ = [i for i, (a, b) in enumerate(zip(*logits, strict=True)) if int(a.argmax()) != int(b.argmax())]
    if not differ:
        return one.mean() + two.mean()
    one, two = one[differ], two[differ]
    count = keep(epoch, len(differ)) or len(differ)
    return one[smallest(two, count)].mean() + two[smallest(one, count)].mean()


def decoupling(logits: list[Tensor], target: Tensor, index: Tensor, epoch: int) -> Tensor:
    """Eight steps with all samples are the first epoch; a share below a tenth counts as a tenth."""
    if epoch < 1:
        return F.cross_entropy(logits[0], target) + F.cross_entropy(logits[1], target)
    one, two = (F.cross_entropy(z, target, reduction="none") for z in logits)
    differ = [i for i, (a, b) in enumerate(zip(*logits, strict=True)) if int(a.argmax()) != int(b.argmax())]
    return (one[differ].sum() + two[differ].sum()) / max(len(differ), 0.1 * len(target))


def jocor(logits: list[Tensor], target: Tensor, index: Tensor, epoch: int) -> Tensor:
    one, two = (z.log_softmax(1) for z in logits)
    given = F.nll_loss(one, target, reduction="none") + F.nll_loss(two, target, reduction="none")
    agree = F.kl_div(one, two.exp(), reduction="none").sum(1) + F.kl_div(two, one.exp(), reduction="none").sum(1)
    losses = 0.5 * given + 0.5 * agree
    return losses[smallest(losses, keep(epoch, len(target)))].mean()


def cores() -> HandLoss:
    """Samples are sieved from the second epoch on; ``beta`` is ``0, linspace(0, 2, 4)``."""
    kept: list[dict[int, int]] = [{} for _ in range(EPOCHS)]  # each epoch's kept samples and their labels

    def loss(logits: list[Tensor], target: Tensor, index: Tensor, epoch: int) -> Tensor:
        if epoch < 1:
            kept[0] |= dict(zip(index.tolist(), target.tolist(), strict=True))
            return F.cross_entropy(logits[0], target)
        beta = [0, 0, 2 / 3, 4 / 3][epoch]
        labels = list(kept[epoch - 1].values())
        prior = [labels.count(c) / len(labels) for c in range(10)]
        total, count = torch.zeros((), dtype=torch.float64), 0
        for z, y, i in zip(logits[0], target.tolist(), index.tolist(), strict=True):
            each = -(z.softmax(0) + 1e-8).log()
            entropy = F.cross_entropy(z[None], torch.tensor([y]))
            if entropy - each.mean() <= 0:
                kept[epoch][i] = y
                count += 1
                total = total + entropy - beta * sum(prior[c] * each[c] for c in range(10))
        return total / max(count, 1) / (1 + beta)

    return loss


def pencil() -> HandLoss:
    """One epoch of cross-entropy, two in which labels move against their own gradients, one in which they rest."""
    labels: dict[int, Tensor] = {}
    moving: list[tuple[int, Tensor]] = []

    def loss(logits: list[Tensor], target: Tensor, index: Tensor, epoch: int) -> Tensor:
        for i, row in moving:  # by the gradients of the step before
            labels[i] = (row - 600 * row.grad).detach()
        moving.clear()
        if epoch < 1:
            return F.cross_entropy(logits[0], target)
        total = torch.zeros((), dtype=torch.float64)
        for z, y, i in zip(logits[0], target.tolist(), index.tolist(), strict=True):
            row = labels.get(i, 10 * torch.eye(10, dtype=torch.float64)[y]).clone().requires_grad_(epoch < 3)
            p, label = z.softmax(0), row.softmax(0)
            total = total + (p * (p.log() - label.log())).sum()
            if epoch < 3:
                moving.append((i, row))
                total = total - 0.4 * label[y].log() - 0.1 * (p * p.log()).sum()
        return total / len(target) / 10

    return loss


class JointOptimizationByHand:
    """Targets are given, then the last epoch's predictions; then, for a new network, the mean of two epochs'."""

    def __init__(self) -> None:
        self.shown: list[dict[int, np.ndarray]] = [{} for _ in range(EPOCHS)]

    def begin(self, epoch: int, hand: Hand) -> None:
        (network,) = hand.networks
        if epoch == 0:
            self.first = copy.deepcopy(network.state_dict())
        if epoch == 2:
            network.load_state_dict(self.first)
            hand.optimizers = [sgd(network)]

    def __call__(self, logits: list[Tensor], target: Tensor, index: Tensor, epoch: int) -> Tensor:
        p = logits[0].softmax(1)
        shown = p.detach().float().numpy()  # tables are float32
        self.shown[epoch] |= dict(zip(index.tolist(), shown, strict=True))
        total = torch.zeros((), dtype=torch.float64)
        for row, y, i in zip(p, target.tolist(), index.tolist(), strict=True):
            past = [self.shown[e][i] for e in range(min(epoch, 2))]
            label = torch.tensor(np.mean(past, 0) if past else np.eye(10)[y])
            total = total - (label * row.log()).sum()
            if epoch < 2:
                total = total - 0.8 * (row * row.log()).sum()
        prior = (0.1 * (0.1 / p.mean(0)).log()).sum() if epoch < 2 else 0
        return total / len(target) + 1.2 * prior


class TruncatedGCEByHand:
    """The third epoch chooses the samples with a label likelier than 0.12."""

    def __init__(self) -> None:
        self.kept = np.full(NUM_TRAIN, True)

    def begin(self, epoch: int, hand: Hand) -> None:
        if epoch == 2:
            likely = hand.predictions()[range(NUM_TRAIN), hand.data.noisy_targets]
            self.kept = likely > 0.12

    def __call__(self, logits: list[Tensor], target: Tensor, index: Tensor, epoch: int) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for z, y, i in zip(logits[0], target.tolist(), index.tolist(), strict=True):
            if self.kept[i]:
                total = total + (1 - z.softmax(0)[y] ** 0.3) / 0.3 - (1 - 0.12**0.3) / 0.3
        return total / len(target)


def self_paced() -> HandLoss:
    """The threshold follows the loss at 70 % of each batch, half way."""
    threshold: list[float] = []

    def loss(logits: list[Tensor], target: Tensor, index: Tensor, epoch: int) -> Tensor:
        losses = F.cross_entropy(logits[0], target, reduction="none")
        ranked = sorted(losses.tolist(), reverse=True)
        latest = ranked[round(0.3 * (len(ranked) - 1))]
        threshold.append(0.5 * threshold[-1] + 0.5 * latest if threshold else latest)
        return losses[losses <= threshold[-1]].sum() / len(losses)

    return loss


class CDRByHand:
    """Cross-entropy, with the matrices' gradients cut to the 60 % of weights that matter most."""

    def __call__(self, logits: list[Tensor], target: Tensor, index: Tensor, epoch: int) -> Tensor:
        return F.cross_entropy(logits[0], target)

    def after_backward(self, hand: Hand) -> None:
        matrices = [w for w in hand.networks[0].parameters() if w.dim() in (2, 4)]
        grads = [w.grad.numpy() for w in matrices if w.grad is not None]
        matter = [abs(g * w.detach().numpy()) for w, g in zip(matrices, grads, strict=True)]
        ranked = sorted(np.concatenate([m.ravel() for m in matter]), reverse=True)
        least = ranked[int(0.6 * len(ranked)) - 1]
        for w, g, m in zip(matrices, grads, matter, strict=True):
            w.grad = torch.tensor(np.where(m >= least, 0.6 * g, 0))


BY_HAND: dict[str, Callable[[], HandLoss]] = {
    "CrossEntropy": lambda: cross_entropy,
    "ELR": elr,
    "RobustLoss": lambda: symmetric_cross_entropy,
    "ForwardCorrection": ForwardCorrectionByHand,
    "BackwardCorrection": lambda: backward_correction,
    "SELC": selc,
    "SOP": sop,
    "TRevision": TRevisionByHand,
    "VolMinNet": vol_min_net,
    "SmallLoss": lambda: small_loss,
    "CoTeaching": lambda: co_teaching,
    "CoTeachingPlus": lambda: co_teaching_plus,
    "Decoupling": lambda: decoupling,
    "JoCoR": lambda: jocor,
    "CDR": CDRByHand,
    "CORES": cores,
    "PENCIL": pencil,
    "JointOptimization": JointOptimizationByHand,
    "SelfPaced": self_paced,
    "TruncatedGCE": TruncatedGCEByHand,
}


def train_by_hand(networks: list[nn.Module], loss_of: HandLoss) -> None:
    """One optimizer per network, as the reference code has it, in float64."""
    data = digits(num_train=NUM_TRAIN)
    data.setup("fit")
    loader = data.train_dataloader()
    hand = Hand(networks, [sgd(network) for network in networks], data)
    for epoch in range(EPOCHS):
        loader.set_epoch(epoch)
        if hasattr(loss_of, "begin"):
            loss_of.begin(epoch, hand)
        for image, target, index in loader:
            loss = loss_of([n(image.double()) for n in networks], target, index, epoch)
            for optimizer in hand.optimizers:
                optimizer.zero_grad()
            loss.backward()
            if hasattr(loss_of, "after_backward"):
                loss_of.after_backward(hand)
            for optimizer in hand.optimizers:
                optimizer.step()


def both(method: NoisyLearner) -> list[nn.Module]:
    return list(getattr(method, "networks", None) or [method.network])  # type: ignore[list-item]


@pytest.mark.parametrize("case", [c for c in CASES if c.by_hand], ids=lambda case: case.name)
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
    assert BY_HAND.keys() == {case.name for case in CASES if case.by_hand}
