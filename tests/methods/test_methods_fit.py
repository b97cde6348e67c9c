"""Every method fits, under everything that a Lightning Trainer offers."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from noisylearn._compat import Callback, seed_everything
from noisylearn.callbacks import MemorizationMeter, SignalTracker
from noisylearn.data import Digits
from noisylearn.methods import ELR, CoTeaching, CrossEntropy, NoisyLearner
from tests.methods.harness import Case, differences, digits, each_method, fit, means_by_epoch, plain, run, savers


class TrueLoss(Callback):  # type: ignore[misc]
    """Cross-entropy of the true labels, step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []
        self.epochs: list[int] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.epochs.append(trainer.current_epoch)
        true = trainer.datamodule.clean_targets[batch[2]]
        self.losses.append(float(nn.functional.cross_entropy(outputs["logits"], true)))


@each_method
def test_the_loss_falls(case: Case) -> None:
    truth = TrueLoss()
    args = {"backbone": "digits_cnn", **case.slowly}
    fitted = run(case, method=args, epochs=4, limit_val_batches=1.0, callbacks=[truth])
    losses, true = fitted.epoch_losses[case.begins :], means_by_epoch(truth.losses, truth.epochs)
    assert losses[0] > losses[1] > losses[-1] if case.steady else true[0] > true[-1]
    if not case.planned:  # else the last batch may be a short one, which weighs less in the mean over samples
        assert float(fitted.trainer.callback_metrics["train_loss"]) == pytest.approx(losses[-1], rel=1e-5)
    assert float(fitted.trainer.callback_metrics["test_accuracy"]) > 0.2
    assert set(fitted.method.tables) == set(case.tables)


@each_method
def test_all_labels_right_costs_little(case: Case) -> None:
    def accuracy(row: Case, **args: Any) -> float:
        schedule = {"backbone": "digits_cnn", "lr": 0.02, **row.first_taken("CosineAnnealingLR")}
        data = digits(noise="none", num_train=512)
        fitted = run(row, data, {**schedule, **args}, epochs=12, limit_val_batches=1.0)
        return float(fitted.trainer.callback_metrics["test_accuracy"])

    reference = accuracy(Case(CrossEntropy))
    assert reference > 0.95
    assert accuracy(case, **case.clean) > reference - 0.02


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
@each_method
def test_precision(case: Case, precision: str) -> None:
    fitted = run(case, method={"backbone": "digits_cnn"}, epochs=3, precision=precision, callbacks=[SignalTracker()])
    losses = fitted.epoch_losses[case.begins :]
    assert torch.tensor(losses).isfinite().all()
    assert losses[-1] < losses[0] or not case.steady
    expected = torch.float64 if precision == "64-true" else torch.float32
    assert {p.dtype for p in fitted.method.parameters()} == {expected}
    for table in fitted.method.tables.values():
        assert table.num_non_finite == 0
        assert bool((table.views()["n_seen"] == case.seen(3)).all())


@each_method
def test_accumulated_gradients(case: Case) -> None:
    # Later, of half-labelled batches, those half as large are no halves.
    epochs = 1 if case.halves else 2
    halves = run(case, digits(batch_size=16), {"backbone": plain}, accumulate_grad_batches=2, epochs=epochs)
    wholes = run(case, digits(batch_size=32), {"backbone": plain}, epochs=epochs)
    assert halves.trainer.global_step == wholes.trainer.global_step == 8 * epochs
    whole_only = case.selected is not None or case.mixes or case.of_the_batch
    if not whole_only:  # then two halves of a batch have the gradient of the whole
        for one, other in zip(halves.method.parameters(), wholes.method.parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
        for name in case.tables:
            one, other = (f.method.tables[name].views() for f in (halves, wholes))
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


class Norms(Callback):  # type: ignore[misc]
    """Gradient norm of each network before and after clipping."""

    def __init__(self) -> None:
        super().__init__()
        self.before: list[list[float]] = []
        self.after: list[list[float]] = []

    @staticmethod
    def _norms(method: nn.Module) -> list[float]:
        networks = getattr(method, "networks", [method])
        gradients = [[p.grad.norm() for p in n.parameters() if p.grad is not None] for n in networks]
        return [float(torch.stack(g).norm()) for g in gradients]

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.before.append(self._norms(pl_module))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.after.append(self._norms(pl_module))


@each_method
def test_gradients_are_clipped_by_norm_per_network(case: Case) -> None:
    norms = Norms()
    run(case, epochs=1, gradient_clip_val=0.4, callbacks=[norms])
    before, after = torch.tensor(norms.before), torch.tensor(norms.after)
    assert before.shape == (8, case.networks)
    assert bool((before > 0.4).any(0).all())  # there was something to clip
    if case.edits_gradients:  # what is clipped is not what the callback has seen
        assert float(after.max()) == pytest.approx(0.4, rel=1e-3)
    else:
        torch.testing.assert_close(after, before.clamp(max=0.4), rtol=1e-3, atol=1e-5)


@each_method
def test_gradients_are_clipped_by_value(case: Case) -> None:
    clipped = run(case, epochs=1, gradient_clip_val=0.001, gradient_clip_algorithm="value")
    largest = max(float(p.grad.abs().max()) for p in clipped.method.parameters() if p.grad is not None)
    assert largest == pytest.approx(0.001)


@each_method
def test_batches_of_one(case: Case) -> None:
    if case.halves:
        with pytest.raises(ValueError, match="`batch_size` must be at least 2, got 1: a batch is half labelled"):
            run(case, digits(num_train=9, batch_size=1), {"backbone": plain})
        return
    fitted = run(case, digits(num_train=9, batch_size=1), {"backbone": plain}, epochs=3)
    assert fitted.trainer.global_step <= 27 if case.planned else fitted.trainer.global_step == 27
    assert all(bool(p.isfinite().all()) for p in fitted.method.parameters())


@each_method
def test_a_smaller_last_batch(case: Case) -> None:
    """The mean of a step is over its own samples: the short batch is not scaled as a full one."""
    fitted = run(case, digits(num_train=70), {"backbone": plain, "lr": 1e-12}, epochs=1)
    assert len(fitted.rates.losses) == 3
    assert max(fitted.rates.losses) < 2 * min(fitted.rates.losses)
    for table in fitted.method.tables.values():
        assert bool((table.views()["n_seen"] == case.seen(1)).all())


def parts(batch: Any) -> list[Tensor]:
    """The tensors of a batch; of several views each."""
    return [tensor for part in batch for tensor in (part if isinstance(part, tuple) else (part,))]


class Unchanged(Callback):  # type: ignore[misc]
    """Checks that a step leaves its batch as it was."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.copies = [part.clone() for part in parts(batch)]

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        assert all(torch.equal(a, b) for a, b in zip(self.copies, parts(batch), strict=True))


@each_method
def test_nothing_given_is_changed(case: Case) -> None:
    data = digits()
    data.setup()
    before = [data.train_images.clone(), data.noisy_targets.clone(), data.clean_targets.clone()]
    run(case, data, callbacks=[Unchanged()])
    after = [data.train_images, data.noisy_targets, data.clean_targets]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@each_method
def test_what_a_step_shows(case: Case) -> None:
    class Shapes(Callback):  # type: ignore[misc]
        seen: Any = None

        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            self.seen = {name: tuple(value.shape) for name, value in outputs.items()}
            assert not any(v.requires_grad for v in outputs.values())

    shapes = Shapes()
    run(case, callbacks=[shapes], epochs=1)
    peers = {"peer_logits": (2, 32, 10)} if case.networks == 2 else {}
    chosen = {"selected": case.selected} if case.selected else {}
    assert shapes.seen == {"loss": (), "logits": (32, 10), **peers, **chosen}


@each_method
def test_compiled(case: Case) -> None:
    eager = run(case, method={"backbone": plain})
    torch._dynamo.reset()
    seed_everything(0, verbose=False)
    compiled = case.build(backbone=plain)
    for network in getattr(compiled, "networks", [getattr(compiled, "network", None)]):
        network.compile(backend="eager")
    fitted = fit(compiled, digits())
    assert differences(eager.state(), fitted.state()) == []


# Where dynamo breaks the graph, it reads `.grad` of the tensors that cross the break.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@each_method
def test_compiled_as_a_whole(case: Case) -> None:
    eager = run(case, method={"backbone": plain})
    torch._dynamo.reset()
    seed_everything(0, verbose=False)
    method = case.build(backbone=plain)
    fitted = fit(method, digits(), compiled=torch.compile(method, backend="eager"))
    assert differences(eager.state(), fitted.state()) == []


class Poisoned(Digits):
    """Its true labels are rubbish from the moment they exist."""

    def setup(self, stage: str | None = None) -> None:
        fresh = "clean_targets" not in vars(self)
        super().setup(stage)
        if fresh:
            self.clean_targets = (self.clean_targets + 3) % 10


@each_method
def test_no_method_sees_a_true_label(case: Case) -> None:
    args = {"noise_rate": 0.4, "num_train": 256, "batch_size": 32}
    honest, poisoned = digits(**args), Poisoned(**args)
    one = run(case, honest, callbacks=[SignalTracker(), MemorizationMeter()], limit_val_batches=1.0)
    other = run(case, poisoned, callbacks=[SignalTracker(), MemorizationMeter()], limit_val_batches=1.0)
    assert not torch.equal(honest.clean_targets, poisoned.clean_targets)
    assert differences(one.state(), other.state()) == []
    assert one.trainer.callback_metrics["memorized"] != other.trainer.callback_metrics["memorized"]


@each_method
def test_tracking_changes_nothing(case: Case) -> None:
    bare = run(case, limit_val_batches=1.0)
    tracked = run(case, callbacks=[SignalTracker(), MemorizationMeter()], limit_val_batches=1.0)
    parts = ("weights", "optimizer", "tables")
    one, other = bare.state(), tracked.state()
    assert differences({p: one[p] for p in parts}, {p: other[p] for p in parts}) == []
    for name in ("train_loss", "test_accuracy"):
        assert bare.trainer.callback_metrics[name] == tracked.trainer.callback_metrics[name]


@each_method
def test_load_from_checkpoint(case: Case, tmp_path: Path) -> None:
    args = {"backbone": "digits_cnn", "optimizer": "Adam", "lr": 0.003}
    fitted = run(case, method=args, epochs=1, callbacks=savers(tmp_path, 5))
    loaded = case.method.load_from_checkpoint(tmp_path / "epoch-0.ckpt", weights_only=True)
    assert differences(fitted.method.state_dict(), loaded.state_dict()) == []
    assert dict(loaded.hparams) == dict(fitted.method.hparams)
    assert loaded.hparams["optimizer"] == "Adam"
    for name, value in case.args.items():
        assert loaded.hparams[name] == value


@each_method
def test_evaluation_and_prediction(case: Case) -> None:
    data = digits(val_fraction=0.2)
    fitted = run(case, data, epochs=1, limit_val_batches=1.0)
    names = set(fitted.trainer.callback_metrics)
    assert {"val_accuracy", "test_accuracy", "train_loss"} <= names
    (tested,) = fitted.trainer.test(fitted.method, datamodule=data, verbose=False)
    assert tested["test_accuracy"] == pytest.approx(float(fitted.trainer.callback_metrics["test_accuracy"]))
    pages: list[Tensor] = fitted.trainer.predict(fitted.method, datamodule=data)
    probabilities = torch.cat(pages)
    assert probabilities.shape == (len(data.train_rows), 10)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(len(probabilities)))


@each_method
def test_a_second_fit_of_the_same_trainer_goes_on(case: Case) -> None:
    fitted = run(case)
    fitted.trainer.fit_loop.max_epochs = 3
    fitted.trainer.fit(fitted.method, datamodule=fitted.data)
    for table in fitted.method.tables.values():
        assert bool((table.views()["n_seen"] == case.seen(3)).all())


def test_a_new_trainer_begins_anew() -> None:
    fitted = run(Case(ELR))
    again = fit(fitted.method, digits(), epochs=1)
    assert bool((again.method.tables["targets"].views()["n_seen"] == 1).all())


def test_sample_weights_leave_samples_out() -> None:
    """Weight 0 for a sample is training without it."""

    class Prune(Callback):  # type: ignore[misc]
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            out = torch.arange(0, 256, 3)
            pl_module.set_sample_weights(out, torch.zeros(len(out)))

    class Without(NoisyLearner):
        def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
            losses = nn.functional.cross_entropy(logits, target, reduction="none")
            return losses * (index % 3 != 0) * (len(index) / (index % 3 != 0).sum())

    pruned = run(Case(CrossEntropy), method={"backbone": plain}, callbacks=[Prune()])
    without = run(Case(Without), method={"backbone": plain})
    for one, other in zip(pruned.method.parameters(), without.method.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_sample_weights_are_in_the_checkpoint_and_survive_setup(tmp_path: Path) -> None:
    method = Case(CrossEntropy).build(num_samples=256)
    method.set_sample_weights(torch.tensor([7]), torch.tensor([0.25]))
    fit(method, epochs=1, callbacks=savers(tmp_path, 5))
    fresh = Case(CrossEntropy).build()
    with pytest.warns(UserWarning, match="is not empty"):
        fit(fresh, epochs=2, callbacks=savers(tmp_path, 5), resume=tmp_path / "epoch-0.ckpt")
    assert fresh.sample_weights(torch.tensor([6, 7])).tolist() == [1.0, 0.25]  # type: ignore[union-attr]


def test_two_networks_from_one_module_differ_and_a_pair_is_kept() -> None:
    drawn = Case(CoTeaching, {"noise_rate": 0.4}).build()
    one, other = (next(iter(n.parameters())) for n in drawn.networks)  # type: ignore[union-attr]
    assert not torch.equal(one, other)
    pair = nn.ModuleList([plain(), plain()])
    weights = copy.deepcopy(pair.state_dict())
    kept = Case(CoTeaching, {"noise_rate": 0.4}).build(backbone=pair)
    assert differences(weights, kept.networks.state_dict()) == []  # type: ignore[union-attr]


@pytest.mark.parametrize("steps", [3, 8, 11])
def test_the_mean_loss_is_that_of_the_steps_also_where_they_end_in_mid_epoch(steps: int) -> None:
    fitted = run(Case(CrossEntropy), digits(num_train=250), max_steps=steps)
    last = fitted.rates.losses[8 * ((steps - 1) // 8) :]
    sizes = torch.tensor([26 if step % 8 == 7 else 32 for step in range(len(last))])  # 250 = 7 x 32 + 26
    mean = float((torch.tensor(last) * sizes).sum() / sizes.sum())
    assert float(fitted.trainer.callback_metrics["train_loss"]) == pytest.approx(mean, rel=1e-5)
