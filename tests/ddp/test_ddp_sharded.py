"""Sharded tables: each rank keeps the rows of its own samples, and together they are one process's table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed
from torch.utils.data import DataLoader, TensorDataset

from noisylearn._compat import Trainer, lightning_module, seed_everything
from noisylearn.callbacks import SignalLogger, SignalTracker, SignalWriter
from noisylearn.data import Digits
from noisylearn.methods import CrossEntropy
from noisylearn.signals import MixturePosterior, Observation, SignalSet, core_signals
from noisylearn.tables import Column, SampleTable
from tests.ddp.ranks import Ranks
from tests.ddp.test_ddp_tracking import Fixed, Plain, assert_same

CLASSES, EPOCHS, BATCH, N = 5, 3, 4, 53
each_world = pytest.mark.parametrize("world", [1, 2, 3])


@contextmanager
def no_collectives() -> Iterator[None]:
    """Fail where processes exchange anything."""
    names = ("all_reduce", "all_gather", "all_gather_object", "broadcast", "barrier")
    before = {name: getattr(distributed, name) for name in names}

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a collective call")

    try:
        for name in names:
            setattr(distributed, name, refuse)
        yield
    finally:
        for name, function in before.items():
            setattr(distributed, name, function)


def logits_of(num_samples: int, epoch: int) -> Tensor:
    return torch.randn(num_samples, CLASSES, generator=torch.Generator().manual_seed(epoch)) * 3


def share(num_samples: int) -> tuple[int, int]:
    return (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)


def epochs_of_own_samples(num_samples: int) -> dict[str, Any]:
    """Each rank shows its own samples; nothing is exchanged until all rows are asked for."""
    rank, world = share(num_samples)
    signals = SignalSet([*core_signals(), MixturePosterior()], num_samples, sharded=True)
    own = torch.arange(rank, num_samples, world)
    with no_collectives():
        for epoch in range(EPOCHS):
            order = own[torch.randperm(len(own), generator=torch.Generator().manual_seed(epoch))]
            other = (rank + 1) % world if world > 1 else rank
            padded = (
                torch.cat([order, torch.tensor([other])]) if world > 1 and len(own) * world < num_samples + 1 else order
            )
            for part in padded.split(BATCH):
                signals.observe(Observation(part, logits_of(num_samples, epoch)[part], part % CLASSES))
            signals.commit(epoch)
        assert signals.table.placement.num_rows == len(own)
        assert len(signals.table.views()["n_seen"]) == len(own)
    state = signals.state_dict()
    again = SignalSet([*core_signals(), MixturePosterior()], num_samples, sharded=True)
    again.load_state_dict(state)
    return {"whole": signals.table.gather() | signals.compute(), "again": again.compute(), "state": state}


@each_world
@pytest.mark.parametrize("num_samples", [29, 30, 31])
def test_all_ranks_rows_together_are_one_process_s(ranks: Ranks, world: int, num_samples: int) -> None:
    one = SignalSet([*core_signals(), MixturePosterior()], num_samples)
    for epoch in range(EPOCHS):
        index = torch.arange(num_samples)
        one.observe(Observation(index, logits_of(num_samples, epoch), index % CLASSES))
        one.commit(epoch)
    expected = dict(one.table.views()) | one.compute()
    for found in ranks.run(world, epochs_of_own_samples, num_samples):
        assert_same(found["whole"], expected)
        assert_same(found["again"], one.compute())
        # What is saved is whole, and another number of processes, or one, can go on from it.
        replicated = SignalSet([*core_signals(), MixturePosterior()], num_samples)
        replicated.load_state_dict(found["state"])
        assert_same(dict(replicated.table.views()), dict(one.table.views()))


def reading_and_writing() -> dict[str, list[float]]:
    table = SampleTable(7, [Column("weight", merge="ordered", initial=1.0)], sharded=True)
    table.write(torch.tensor([1, 4, 5]), {"weight": torch.tensor([0.25, 0.5, 0.75])})
    rank, world = share(7)
    own = torch.arange(rank, 7, world)
    return {
        "own": table.read(own)["weight"].tolist(),
        "foreign": table.read(torch.tensor([i for i in range(7) if i % world != rank]).long())["weight"].tolist(),
        "all": table.gather()["weight"].tolist(),
    }


def test_own_rows_are_read_and_others_read_as_never_seen(ranks: Ranks) -> None:
    whole = [1.0, 0.25, 1.0, 1.0, 0.5, 0.75, 1.0]
    for world in (1, 2):
        for rank, found in enumerate(ranks.run(world, reading_and_writing)):
            assert found["all"] == whole
            assert found["own"] == whole[rank::world]
            assert all(
                value == 1.0 for i, value in enumerate(found["foreign"]) if (rank + i * world + 1) % 7 % world != rank
            )


def show_everybody_s_samples() -> str:
    signals = SignalSet(core_signals(), 12, sharded=True)
    index = torch.arange(12)
    signals.observe(Observation(index, logits_of(12, 0), index % CLASSES))
    try:
        signals.commit(0)
    except ValueError as error:
        return str(error)
    return ""


def test_a_loader_that_hands_samples_to_any_rank_is_told(ranks: Ranks) -> None:
    for rank, message in enumerate(ranks.run(3, show_everybody_s_samples)):
        assert message.startswith("`sharded` rows need a loader that gives sample i to rank i mod 3, but rank")
        assert f"rank {rank} saw 8 samples of other ranks" in message


def test_a_sharded_table_does_not_grow(ranks: Ranks) -> None:
    messages = ranks.run(2, grow)
    assert all(m == "`num_samples` of a sharded table cannot change: say how many samples there are" for m in messages)


def grow() -> str:
    with pytest.raises(ValueError, match="num_samples") as told:
        SampleTable(4, [Column("total")], sharded=True).grow(8)
    return str(told.value)


# -- a whole fit -------------------------------------------------------------------------------------------------------


def trainer_of(world: int, callbacks: list[Any], epochs: int = EPOCHS, logger: Any = False) -> Trainer:
    return Trainer(
        accelerator="cpu",
        devices=world,
        strategy="ddp" if world > 1 else "auto",
        max_epochs=epochs,
        callbacks=callbacks,
        logger=logger,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )


def fit_ours(
    world: int, folder: str, epochs: int, resume: str | None = None, steps: int | None = None
) -> dict[str, Any]:
    """Fit with fixed logits, so that one process and several see the same; write, save, and return the scores."""
    seed_everything(0, verbose=False)
    tracker = SignalTracker(sharded=True)
    trainer = trainer_of(world, [tracker, SignalWriter(str(Path(folder, f"{world}.parquet")))], epochs)
    module = CrossEntropy(Fixed(20, 10), num_classes=10, in_channels=1, image_size=8, lr=0.05)
    trainer.fit(module, datamodule=Digits(noise_rate=0.4, num_train=N, batch_size=8), ckpt_path=resume)
    trainer.save_checkpoint(Path(folder, f"{world}.ckpt"))
    assert tracker.sharded == (world > 1)
    return tracker.scores()


def test_a_fit_writes_and_saves_all_rows(ranks: Ranks, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    (one,) = ranks.run(1, fit_ours, 1, str(tmp_path), EPOCHS)
    for world in (2, 3):
        for scores in ranks.run(world, fit_ours, world, str(tmp_path), EPOCHS):
            assert_same(scores, one)
        expected, found = (pq.read_table(tmp_path / f"{w}.parquet").to_pydict() for w in (1, world))
        assert expected.keys() == found.keys()
        assert found["n_seen"] == expected["n_seen"] == [EPOCHS] * N
        assert found["given"] == expected["given"]
    torch.load(tmp_path / "3.ckpt", weights_only=True)


def test_a_run_goes_on_with_another_number_of_processes(ranks: Ranks, tmp_path: Path) -> None:
    (whole,) = ranks.run(1, fit_ours, 1, str(tmp_path), 4)
    ranks.run(2, fit_ours, 2, str(tmp_path), 2)
    for world in (1, 3):
        for scores in ranks.run(world, fit_ours, world, str(tmp_path), 4, str(tmp_path / "2.ckpt")):
            assert_same(scores, whole)


def fit_plain(world: int) -> str:
    """Somebody else's loader, which torch's sampler shares out in its own way."""
    x = torch.randn(N, 9)
    x[:, 0] = torch.arange(N)
    data = TensorDataset(x, torch.arange(N) % 4)
    try:
        trainer_of(world, [SignalTracker(sharded=True)]).fit(Plain(False), DataLoader(data, batch_size=8, shuffle=True))
    except ValueError as error:
        return str(error)
    return ""


def test_a_distributed_sampler_is_told(ranks: Ranks) -> None:
    assert all("use TensorLoader with `rank=` and `world_size=`" in message for message in ranks.run(2, fit_plain, 2))


class TensorBoardLogger(lightning_module("loggers").Logger):  # type: ignore[misc]  # its base is chosen at import time
    """Keeps the names and sizes of histograms; known by its class's name, as the real one is."""

    name, version = "records", 0

    def __init__(self) -> None:
        super().__init__()
        self.drawn: dict[str, int] = {}

    @property
    def experiment(self) -> Any:
        return self

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        pass

    def log_metrics(self, *args: Any, **kwargs: Any) -> None:
        pass

    def add_histogram(self, tag: str, values: Tensor, global_step: int) -> None:
        self.drawn[tag] = len(values)


def fit_and_draw(world: int, everywhere: bool) -> dict[str, int]:
    seed_everything(0, verbose=False)
    logger = TensorBoardLogger()
    rank = share(N)[0] if world > 1 else 0
    trainer = trainer_of(
        world,
        [SignalTracker(sharded=True), SignalLogger(every_n_epochs=1, num_images=0)],
        logger=logger if everywhere or rank == 0 else False,
    )
    module = CrossEntropy(Fixed(20, 10), num_classes=10, in_channels=1, image_size=8, lr=0.05)
    trainer.fit(module, datamodule=Digits(noise_rate=0.4, num_train=N, batch_size=8))
    return logger.drawn


@pytest.mark.parametrize("everywhere", [True, False])
def test_figures_of_a_sharded_table_are_of_all_samples(ranks: Ranks, everywhere: bool) -> None:
    (one,) = ranks.run(1, fit_and_draw, 1, everywhere)
    first, second = ranks.run(2, fit_and_draw, 2, everywhere)
    assert one["signals/aum/wrong"] + one["signals/aum/right"] == N
    assert first == one
    assert second == {}
