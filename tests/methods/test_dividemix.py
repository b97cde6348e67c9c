"""DivideMix against a loop written out by hand, and the edges of its division, its plan and its two networks."""

from __future__ import annotations

import copy
import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from noisylearn._compat import Callback, Trainer
from noisylearn.data import Batch
from noisylearn.methods import DivideMix
from noisylearn.methods.presets import find_preset
from noisylearn.methods.semi_supervised import HalfLabelled
from noisylearn.selection import fit_gmm
from tests.methods.harness import Case, digits, fit, plain, run
from tests.methods.recorded import Fed, Recorder

DIVIDEMIX = Case(DivideMix, {"warmup_epochs": 1})
NETWORK: dict[str, Any] = {"backbone": "mlp", "num_classes": 10, "in_channels": 1, "image_size": 8}
LR, HALF = 0.05, 16

# -- the method, written out -------------------------------------------------------------------------------------------


def posterior(losses: list[list[float]], history: int) -> list[float]:
    """The probability that each label is right, from one network's losses of every division so far."""
    scaled = [[(x - min(each)) / (max(each) - min(each)) for x in each] for each in losses[-history:]]
    mean = torch.tensor([math.fsum(x) / len(scaled) for x in zip(*scaled, strict=True)])
    return fit_gmm(mean, clip=0.0, tol=1e-2, max_iter=10).posterior(mean).tolist()


def sharpened(row: Tensor) -> Tensor:
    return row**2 / (row**2).sum()


def step_by_hand(own: nn.Module, peer: nn.Module, fed: Fed, clean: list[float], lambda_u: float) -> Tensor:
    """The loss of one half-labelled batch, sample by sample."""
    one, two = fed.x
    with torch.no_grad():
        targets = []
        for i, y in enumerate(fed.target.tolist()):
            views = [one[i : i + 1], two[i : i + 1]]
            mine = [own(view)[0].softmax(0) for view in views]
            if i < HALF:
                w, p = clean[int(fed.index[i])], (mine[0] + mine[1]) / 2
                targets.append(sharpened(w * torch.eye(10, dtype=torch.float64)[y] + (1 - w) * p))
            else:
                theirs = [peer(view)[0].softmax(0) for view in views]
                targets.append(sharpened((mine[0] + mine[1] + theirs[0] + theirs[1]) / 4))
    x = [*one[:HALF], *two[:HALF], *one[HALF:], *two[HALF:]]
    t = targets[:HALF] * 2 + targets[HALF:] * 2
    torch.set_rng_state(fed.rng)
    lam = torch.distributions.Beta(4.0, 4.0).sample().item()
    lam = max(lam, 1 - lam)
    order = torch.randperm(len(x)).tolist()
    logits = own(torch.stack([lam * x[i] + (1 - lam) * x[j] for i, j in enumerate(order)]))
    with_label, without = torch.zeros(2, dtype=torch.float64).unbind()
    for i, j in enumerate(order):
        target = lam * t[i] + (1 - lam) * t[j]
        if i < 2 * HALF:
            with_label = with_label - (target * logits[i].log_softmax(0)).sum() / (2 * HALF)
        else:
            without = without + (logits[i].softmax(0) - target).square().sum() / (10 * 2 * HALF)
    penalty = sum(0.1 * torch.log(0.1 / p) for p in logits.softmax(1).mean(0))
    return with_label + lambda_u * without + penalty


@pytest.mark.parametrize("history", [1, 2])
def test_a_fit_is_the_loop_of_the_paper(history: int) -> None:
    args = {"backbone": plain, "loss_history": history, "ramp_epochs": 2.0, "confidence_penalty": 0.5}
    torch.manual_seed(1)
    method = DIVIDEMIX.build(**args).double()
    networks = copy.deepcopy(list(method.networks))  # type: ignore[arg-type]
    start = copy.deepcopy(networks)
    recorder = Recorder()
    data = digits(num_train=250, augment=True)
    fit(method, data, epochs=4, callbacks=[recorder], precision="64-true")  # type: ignore[arg-type]

    optimizers = [torch.optim.SGD(n.parameters(), lr=LR, momentum=0.9, weight_decay=5e-4) for n in networks]
    losses: list[list[list[float]]] = [[], []]
    for fed in (f for f in recorder.fed if f.epoch == 0):
        for network, optimizer in zip(networks, optimizers, strict=True):
            log_p = network(fed.x[0]).log_softmax(1)
            given = -log_p[torch.arange(len(fed.target)), fed.target].mean()
            loss = given + 0.5 * (log_p.exp() * log_p).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    still = (data.train_images.double() / 255 - data.mean[0]) / data.std[0]
    for epoch in (1, 2, 3):
        for network, seen in zip(networks, losses, strict=True):
            with torch.no_grad():
                each = network(still).log_softmax(1)
            seen.append([-float(each[i, y]) for i, y in enumerate(data.noisy_targets.tolist())])
        clean = [posterior(seen, history) for seen in losses]
        batches = [f for f in recorder.fed if f.epoch == epoch]
        for mine, own in enumerate(networks):
            other = clean[1 - mine]
            kept = {i for i, w in enumerate(other) if w > 0.5}
            assert 0 < len(kept) < 250
            steps = math.ceil(len(kept) / HALF)
            turn, batches = batches[:steps], batches[steps:]
            assert {int(i) for f in turn for i in f.index[:HALF]} == kept
            assert not {int(i) for f in turn for i in f.index[HALF:]} & kept
            for number, fed in enumerate(turn):
                share = min((epoch + number / steps - 1) / 2, 1)
                optimizers[mine].zero_grad()
                step_by_hand(own, networks[1 - mine], fed, other, 25 * share).backward()
                optimizers[mine].step()
        assert not batches
    for ours, hand, first in zip(method.networks, networks, start, strict=True):  # type: ignore[arg-type]
        for one, two, three in zip(ours.parameters(), hand.parameters(), first.parameters(), strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)
            assert not torch.allclose(two, three, rtol=1e-3, atol=1e-3)


# -- the plan ----------------------------------------------------------------------------------------------------------


class Chosen(DivideMix):
    """Keeps the labels of the rows it is told to, the same for both networks."""

    kept: Tensor

    def choose(self, network: int, rows: Tensor) -> Tensor:
        return self.kept[rows]


def chosen(kept: Tensor, epochs: int = 2, callbacks: Any = (), **args: Any) -> tuple[Recorder, Any]:
    class Told(Chosen):
        pass

    Told.kept = kept
    recorder = Recorder()
    case = Case(Told, {"warmup_epochs": 1})
    fitted = run(case, method={"backbone": plain, **args}, epochs=epochs, callbacks=[recorder, *callbacks])
    return recorder, fitted


def test_each_batch_is_half_labelled_and_each_half_goes_round() -> None:
    kept = torch.arange(256) < 40
    recorder, _ = chosen(kept)
    batches = recorder.rows(1)
    assert len(batches) == 2 * 3  # 40 in halves of 16, for each network
    for mine in (batches[:3], batches[3:]):
        labelled = Counter(i for rows in mine for i in rows[:HALF])
        others = Counter(i for rows in mine for i in rows[HALF:])
        assert set(labelled) == set(range(40))
        assert sorted(labelled.values()) == [1] * 32 + [2] * 8
        assert set(others) <= set(range(40, 256))
        assert set(others.values()) == {1}
    assert sorted(batches[0][:HALF]) != sorted(batches[3][:HALF])  # shuffled anew for the second network


def test_the_unlabelled_are_begun_again_in_a_new_order() -> None:
    recorder, _ = chosen(torch.arange(256) >= 10)
    mine = recorder.rows(1)[:16]  # 246 labelled
    others = [i for rows in mine for i in rows[HALF:]]
    rounds = [others[k : k + 10] for k in range(0, 250, 10)]
    assert all(sorted(r) == list(range(10)) for r in rounds)
    assert len({tuple(r) for r in rounds}) > 20


def test_where_all_labels_are_kept_the_samples_serve_without_it_too() -> None:
    recorder, fitted = chosen(torch.ones(256, dtype=torch.bool))
    for mine in (recorder.rows(1)[:16], recorder.rows(1)[16:]):
        for part in (slice(0, HALF), slice(HALF, None)):
            assert sorted(i for rows in mine for i in rows[part]) == list(range(256))
    assert math.isfinite(fitted.rates.losses[-1])


def test_where_no_label_passes_the_likeliest_tenth_is_kept() -> None:
    recorder = Recorder()
    fitted = run(DIVIDEMIX, method={"backbone": plain, "threshold": 1.0}, callbacks=[recorder])
    clean = fitted.method.tables["division"].views()["clean"]
    batches = recorder.rows(1)
    assert len(batches) == 2 * 2
    for network, mine in enumerate((batches[:2], batches[2:])):
        likeliest = clean[:, 1 - network].argsort(descending=True, stable=True)[:25].tolist()
        assert {i for rows in mine for i in rows[:HALF]} == set(likeliest)


def test_a_sample_left_out_by_its_weight_is_mixed_with_none() -> None:
    class Prune(Callback):  # type: ignore[misc]
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            out = torch.arange(0, 256, 3)
            pl_module.set_sample_weights(out, torch.zeros(len(out)))

    recorder = Recorder()
    run(DIVIDEMIX, method={"backbone": plain}, callbacks=[recorder, Prune()])
    assert any(i % 3 == 0 for rows in recorder.rows(0) for i in rows)
    assert not any(i % 3 == 0 for rows in recorder.rows(1) for i in rows)


# -- two networks ------------------------------------------------------------------------------------------------------


class Moves(Callback):  # type: ignore[misc]
    """Which networks each optimizer step has moved."""

    def __init__(self) -> None:
        super().__init__()
        self.before: list[Any] = []
        self.moved: list[tuple[int, list[int]]] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if not self.before:
            self.before = [copy.deepcopy(list(n.parameters())) for n in pl_module.networks]
        self.steps = trainer.global_step

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.steps:
            return
        now = [list(n.parameters()) for n in pl_module.networks]
        pairs = zip(self.before, now, strict=True)
        moved = [k for k, (a, b) in enumerate(pairs) if not all(map(torch.equal, a, b))]
        self.moved.append((trainer.current_epoch, moved))
        self.before = []


@pytest.mark.parametrize(
    ("args", "trainer_args", "expected"),
    [
        ({"alternation": "epoch"}, {}, [[0]] * 3 + [[1]] * 3),
        ({"alternation": "step"}, {}, [[0], [1]] * 3),
        ({"alternation": "step"}, {"accumulate_grad_batches": 2}, [[0, 1]] * 3),
        ({"alternation": "epoch"}, {"accumulate_grad_batches": 2}, [[0], [0, 1], [1]]),
    ],
)
def test_whose_turn_it_is(args: dict[str, Any], trainer_args: dict[str, Any], expected: list[list[int]]) -> None:
    """A network that is idle does not move, by momentum and weight decay neither."""
    moves = Moves()

    class Told(Chosen):
        kept = torch.arange(256) < 40

    case = Case(Told, {"warmup_epochs": 1, **args})
    run(case, method={"backbone": plain}, callbacks=[moves], **trainer_args)
    assert {tuple(m) for epoch, m in moves.moved if epoch == 0} == {(0, 1)}
    assert [m for epoch, m in moves.moved if epoch == 1] == expected


def test_the_peer_guesses_in_evaluation_mode_and_the_own_network_in_training_mode() -> None:
    modes: list[tuple[int, bool, bool]] = []

    class Watched(nn.Module):
        def __init__(self, number: int) -> None:
            super().__init__()
            self.number, self.inside = number, nn.Sequential(plain(), nn.BatchNorm1d(10))

        def forward(self, x: Tensor) -> Tensor:
            if torch.is_grad_enabled() or not self.inside[1].training or len(x) == HALF:
                modes.append((self.number, self.training, self.inside[1].training))
            y: Tensor = self.inside(x)
            return y

    class Told(Chosen):
        kept = torch.arange(256) < 10

    pair = nn.ModuleList([Watched(0), Watched(1)])
    fitted = run(Case(Told, {"warmup_epochs": 1}), method={"backbone": pair}, epochs=2)
    one_step = [(0, True, True)] * 4 + [(1, False, False)] * 2 + [(0, True, True)]
    assert modes[-14:] == one_step + [(1 - number, one, two) for number, one, two in one_step]
    assert all(part.training for part in fitted.method.modules())


def test_every_parameter_gets_a_gradient_in_mixed_precision() -> None:
    """The weights that autocast has cast for the guesses are not those that are trained."""

    class Gradients(Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.counts: list[list[int]] = []

        def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
            each = [[p.grad for p in n.parameters()] for n in pl_module.networks]
            self.counts.append([sum(g is not None and bool(g.any()) for g in gs) for gs in each])

    gradients = Gradients()
    fitted = run(DIVIDEMIX, method={"backbone": plain}, callbacks=[gradients], precision="bf16-mixed")
    parts = fitted.rates.epochs.count(1)
    assert parts > 4
    assert {tuple(sorted(c)) for c in gradients.counts[-parts:]} == {(0, 4)}


def test_gradients_are_clipped_where_one_network_is_idle() -> None:
    class Norm(Callback):  # type: ignore[misc]
        last = 0.0

        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            grads = [p.grad.norm() for p in pl_module.parameters() if p.grad is not None]
            self.last = float(torch.stack(grads).norm())

    norm = Norm()
    run(DIVIDEMIX, method={"backbone": plain}, callbacks=[norm], gradient_clip_val=0.1)
    assert norm.last == pytest.approx(0.1, rel=1e-3)


def test_the_headline_is_the_accuracy_of_both_networks_together() -> None:
    method = DivideMix(**NETWORK)
    x = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    target = torch.arange(64) % 10
    one, two = (network(x) for network in method.networks)
    together = ((one + two).argmax(1) == target).float().mean()
    found = method.accuracies(x, target)
    assert found[""] == found["_ensemble"] == together
    assert found["_network1"] == (one.argmax(1) == target).float().mean()


# -- what a step needs, and arguments ----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*barebones.*")
def test_a_half_labelled_step_waits_for_nothing() -> None:
    """A tensor of the meta device has no value to read."""
    method = DIVIDEMIX.build(backbone=plain)
    assert isinstance(method, DivideMix)
    method.trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, barebones=True)
    method.tables = dict(method.build_tables(20))
    method.tables["division"].to("meta")
    method.to("meta")
    x, rows = torch.zeros(8, 1, 8, 8, device="meta"), torch.zeros(8, dtype=torch.int64, device="meta")
    loss, logits = method.semi_supervised_loss(0, HalfLabelled.of([x, x], rows, rows, cut=4), epoch=1.5)
    assert loss.device.type == logits.device.type == "meta"
    assert (loss.shape, logits.shape) == ((), (8, 10))


def test_one_view_is_refused() -> None:
    method = DivideMix(**NETWORK)
    batch = Batch(torch.zeros(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64), torch.arange(4))
    with pytest.raises(TypeError, match=r"`views` are \('weak', 'weak'\), so an input must be a tuple of 2, got a Ten"):
        method.training_step(batch, 0)
    with pytest.raises(TypeError, match=r"must be a tuple of 2, got a tuple of 3"):
        method.training_step(batch._replace(input=(batch.input,) * 3), 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"warmup_epochs": 0}, "`warmup_epochs` must be at least 1, got 0"),
        ({"alternation": "steps"}, r"`alternation` must be one of 'epoch', 'step', got 'steps' \(did you mean 'step'"),
        ({"lambda_u": -1}, "`lambda_u` must be finite and at least 0, got -1: the weight of the samples without"),
        ({"threshold": 50}, r"`threshold` must be in \[0, 1\], got 50: a label is kept above it"),
        ({"temperature": 0}, "`temperature` must be positive and finite, got 0: of the sharpening"),
        ({"alpha": 0}, "`alpha` must be positive and finite, got 0: of the Beta"),
        ({"ramp_epochs": -2}, "`ramp_epochs` must be finite and at least 0, got -2"),
        ({"confidence_penalty": -1}, "`confidence_penalty` must be finite and at least 0, got -1"),
        ({"loss_history": 0}, "`loss_history` must be at least 1, got 0"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DivideMix(**arguments, **NETWORK)


@pytest.mark.parametrize(
    ("data", "noise", "rate", "lambda_u", "history"),
    [
        ("cifar10", "symmetric", 0.2, 0, 1),
        ("cifar10", "symmetric", 0.5, 25, 1),
        ("cifar10", "symmetric", 0.8, 25, 1),
        ("cifar10", "symmetric", 0.9, 50, 5),
        ("cifar10", "asymmetric_cifar10", 0.4, 0, 1),
        ("cifar100", "symmetric", 0.2, 25, 1),
        ("cifar100", "symmetric", 0.5, 150, 1),
        ("cifar100", "symmetric", 0.9, 150, 5),
    ],
)
def test_presets(data: str, noise: str, rate: float, lambda_u: float, history: int) -> None:
    preset = find_preset(DivideMix.presets, data, noise, rate)
    assert preset is not None
    assert preset.args["lambda_u"] == lambda_u
    assert preset.args.get("loss_history", 1) == history
    assert preset.args.get("threshold", 0.5) == (0.6 if rate == 0.9 else 0.5)
    assert preset.args.get("confidence_penalty", 0) == ("asymmetric" in noise)
    assert preset.args["warmup_epochs"] == (10 if data == "cifar10" else 30)
