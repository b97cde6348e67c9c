"""`SampleTable` and `SignalSet` on several processes: the rows of one process on the same records."""

from __future__ import annotations

import random
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, distributed
from torch.utils.data import DistributedSampler

from noisylearn.signals import Observation, SignalSet, core_signals
from noisylearn.tables import Column, SampleTable
from tests.ddp.ranks import Ranks
from tests.unit.test_tables import (
    GOOD,
    INFINITE,
    MASKED,
    NAN_IN_WIDE,
    NAN_VALUE,
    Record,
    advance,
    assert_rows,
    build,
    slow_table,
    values_of,
)

each_world = pytest.mark.parametrize("world", [2, 3])
KINDS = [GOOD] * 6 + [NAN_VALUE, INFINITE, NAN_IN_WIDE, MASKED]
Commit = tuple[int, list[list[list[Record]]]]
"""Its epoch, and for each rank the batches that the rank saw since the commit before."""


def random_stream(seed: int, world: int) -> tuple[int, list[Commit]]:
    """Repeats in a batch, on a rank and across ranks, ranks that saw nothing, several commits of one epoch."""
    rng = random.Random(seed)
    num_samples, epoch, commits = rng.randint(1, 9), 0, []

    def batch() -> list[Record]:
        return [(rng.randrange(num_samples), rng.randint(-20, 20), rng.choice(KINDS)) for _ in range(rng.randint(1, 5))]

    for _ in range(rng.randint(1, 5)):
        commits.append((epoch, [[batch() for _ in range(rng.randint(0, 3))] for _ in range(world)]))
        epoch += rng.randint(0, 1)
    return num_samples, commits


def owned(parts: list[list[list[Record]]]) -> list[list[Record]]:
    """The records that count: a row's are those of the lowest rank that has a good one of it, in its order."""
    owner: dict[int, int] = {}
    for rank, batches in enumerate(parts):
        for row, _, kind in (record for batch in batches for record in batch):
            if kind == GOOD:
                owner.setdefault(row, rank)
    return [
        [(row, v, kind) for row, v, kind in batch if kind == GOOD and owner[row] == rank]
        for rank, batches in enumerate(parts)
        for batch in batches
    ]


def play(streams: list[tuple[int, list[Commit]]]) -> list[tuple[dict[str, Any], int]]:
    """On each rank: the table's rows and how many observations this rank left out."""
    out = []
    for num_samples, commits in streams:
        table, left_out = build(num_samples), 0
        for epoch, parts in commits:
            for batch in parts[distributed.get_rank()]:
                table.observe(*values_of(batch))
            left_out += table.commit(epoch, advance)
        out.append(({name: view.tolist() for name, view in table.views().items()}, left_out))
    return out


@each_world
def test_every_merge_across_ranks_equals_one_process_on_the_owners_records(ranks: Ranks, world: int) -> None:
    streams = [random_stream(seed, world) for seed in range(60)]
    played = ranks.run(world, play, streams)
    for at, (num_samples, commits) in enumerate(streams):
        merged = [(epoch, owned(parts)) for epoch, parts in commits]
        expected, _ = slow_table(num_samples, merged)
        one = build(num_samples)
        for epoch, batches in merged:
            for batch in filter(None, batches):
                one.observe(*values_of(batch))
            one.commit(epoch, advance)
        assert_rows(one, expected)
        for rank in range(world):
            rows, left_out = played[rank][at]
            for name, values in rows.items():
                assert values == [row[name] for row in expected], (at, rank, name)
            bad = [kind for _, parts in commits for batch in parts[rank] for _, _, kind in batch if kind != GOOD]
            assert left_out == len(bad)


# -- a sampler's padding -----------------------------------------------------------------------------------------------

EPOCHS, CLASSES, BATCH = 4, 5, 8


def logits_of(num_samples: int, epoch: int) -> Tensor:
    return torch.randn(num_samples, CLASSES, generator=torch.Generator().manual_seed(epoch)) * 3


def padded_epochs(num_samples: int) -> dict[str, Tensor]:
    """On each rank, what it has after epochs in the order of torch's own sampler.

    What the sampler repeats to fill up the last ranks shows other logits there, so that counting it would be seen.
    """
    world, rank = distributed.get_world_size(), distributed.get_rank()
    signals = SignalSet(core_signals(), num_samples)
    targets = torch.arange(num_samples) % CLASSES
    sampler = DistributedSampler(range(num_samples), world, rank, seed=3)
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        index = torch.tensor(list(sampler))
        logits = logits_of(num_samples, epoch)[index]
        padding = torch.arange(len(index)) * world + rank >= num_samples
        logits[padding] = -logits[padding]
        for part in torch.arange(len(index)).split(BATCH):
            signals.observe(Observation(index[part], logits[part], targets[index[part]]))
        signals.commit(epoch)
    return dict(signals.table.views()) | signals.compute()


@each_world
@pytest.mark.parametrize("num_samples", [30, 31, 32])
def test_padding_vanishes_and_integers_stay_exact(ranks: Ranks, world: int, num_samples: int) -> None:
    one = SignalSet(core_signals(), num_samples)
    for epoch in range(EPOCHS):
        index = torch.randperm(num_samples)
        for part in index.split(BATCH):
            one.observe(Observation(part, logits_of(num_samples, epoch)[part], part % CLASSES))
        one.commit(epoch)
    expected = dict(one.table.views()) | one.compute()
    assert expected["n_seen"].tolist() == [EPOCHS] * num_samples
    for values in ranks.run(world, padded_epochs, num_samples):
        assert values.keys() == expected.keys()
        for name, value in values.items():
            assert value.dtype == expected[name].dtype
            # Kernels may round a row's logarithm by where it stands in its batch; counts and classes are exact.
            tolerance = 0.0 if value.dtype == torch.int16 else 1e-6
            torch.testing.assert_close(value, expected[name], rtol=tolerance, atol=tolerance, equal_nan=True, msg=name)


# -- rows that nobody saw, ranks that saw nothing ----------------------------------------------------------------------

SIMPLE = [Column("total"), Column("label", torch.int16, merge="last", initial=-1)]


def look(table: SampleTable, rows: list[int], value: float = 1.0) -> None:
    index = torch.tensor(rows)
    table.observe(index, {"total": torch.full((len(rows),), value), "label": index})


def shown(table: SampleTable) -> dict[str, list[float]]:
    return {name: view.tolist() for name, view in table.views().items()}


def only_the_last_rank_sees_something() -> dict[str, list[float]]:
    table = SampleTable(4, SIMPLE)
    if distributed.get_rank() == distributed.get_world_size() - 1:
        look(table, [2, 2], 1.5)
    table.commit(0)
    table.commit(1)  # nobody staged anything
    return shown(table)


@each_world
def test_rows_that_no_rank_saw_stay_as_they_were(ranks: Ranks, world: int) -> None:
    expected = {"n_seen": [0, 0, 2, 0], "last_epoch": [-1, -1, 0, -1], "total": [0, 0, 3, 0], "label": [-1, -1, 2, -1]}
    assert ranks.run(world, only_the_last_rank_sees_something) == [expected] * world


# -- checkpoint --------------------------------------------------------------------------------------------------------


def save_on_rank_0_alone() -> dict[str, list[float]]:
    table, rank = SampleTable(4, SIMPLE), distributed.get_rank()
    look(table, [rank])
    saved = table.state_dict() if rank == 0 else None  # a collective call would wait for the others here
    look(table, [3 - rank])
    table.commit(0)
    assert saved is None or saved["staged_float"].tolist() == [[1.0], [0.0], [0.0], [0.0]]
    return shown(table)


def test_saving_runs_no_collective(ranks: Ranks) -> None:
    one, other = ranks.run(2, save_on_rank_0_alone)
    assert one == other
    assert one["n_seen"] == [1, 1, 1, 1]


def save_in_mid_epoch() -> dict[str, Any]:
    """Ten rows: 0 to 5 in a complete epoch; in the next, rank r saw 2r and 2r + 1 before the checkpoint is made."""
    table, rank = SampleTable(10, SIMPLE), distributed.get_rank()
    look(table, [2 * rank, 2 * rank + 1])
    table.commit(0)
    look(table, [2 * rank, 2 * rank + 1], 2.0)
    return table.state_dict()


def load(saved: dict[str, Any]) -> tuple[dict[str, list[float]], list[str]]:
    """Go on from a checkpoint: each rank looks at row 6 + r; what was said meanwhile."""
    table, rank = SampleTable(10, SIMPLE), distributed.get_rank() if distributed.is_initialized() else 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table.load_state_dict(saved)
        look(table, [6 + rank], 2.0)
        table.commit(1)
    return shown(table), [str(w.message) for w in caught]


@pytest.mark.parametrize("to", [1, 2, 3])
def test_other_ranks_uncommitted_rows_are_dropped_counted_and_told_once(ranks: Ranks, to: int) -> None:
    saved = ranks.run(2, save_in_mid_epoch)[0]  # Lightning writes rank 0's
    loaded = ranks.run(to, load, saved)
    for rows, _ in loaded:
        assert rows["n_seen"] == [2, 2, 1, 1, 0, 0] + [1] * to + [0] * (4 - to)
        assert rows["total"] == [3, 3, 1, 1, 0, 0] + [2] * to + [0] * (4 - to)
    said = [message for _, messages in loaded for message in messages]
    assert len(said) == 1
    assert (
        "in mid-epoch on 2 processes: rank 0's 2 uncommitted rows are restored, about 2 of the other ranks" in said[0]
    )


def test_what_one_process_staged_is_restored_once_on_two(ranks: Ranks) -> None:
    table = SampleTable(10, SIMPLE)
    look(table, [0, 9])
    for rows, messages in ranks.run(2, load, table.state_dict()):
        assert rows["n_seen"] == [1, 0, 0, 0, 0, 0, 1, 1, 0, 1]
        assert not messages


def test_at_an_epochs_end_nothing_is_lost_and_nothing_said(ranks: Ranks) -> None:
    table = SampleTable(10, SIMPLE)
    look(table, [0, 9])
    table.commit(0)
    for rows, messages in ranks.run(3, load, table.state_dict()):
        assert rows["n_seen"] == [1, 0, 0, 0, 0, 0, 1, 1, 1, 1]
        assert not messages


# -- the pool itself ---------------------------------------------------------------------------------------------------


def fail_on_rank_1() -> None:
    if distributed.get_rank() == 1:
        raise ValueError("one of two")


def test_an_error_of_one_rank_fails_the_test_and_the_ranks_go_on(ranks: Ranks) -> None:
    with pytest.raises(AssertionError, match=r"rank 1 of 2:(.|\n)*ValueError: one of two"):
        ranks.run(2, fail_on_rank_1)
    assert len(ranks.run(2, only_the_last_rank_sees_something)) == 2
