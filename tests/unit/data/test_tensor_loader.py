"""Order, sharding, padding, normalisation, position and refusals of the TensorLoader."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from noisylearn.data import Augment, Batch, TensorLoader


def make(count: int = 20, batch_size: int = 4, shuffle: bool = True, **options: Any) -> TensorLoader:
    images = (torch.arange(count * 3 * 4 * 4) % 251).to(torch.uint8).view(count, 3, 4, 4)
    return TensorLoader(images, torch.arange(count) % 7, batch_size=batch_size, shuffle=shuffle, **options)


def order(loader: TensorLoader, epoch: int) -> list[int]:
    loader.set_epoch(epoch)
    return torch.cat([batch.index for batch in loader]).tolist()


def same(a: list[Batch], b: list[Batch]) -> bool:
    return len(a) == len(b) and all(
        torch.equal(x.input, y.input) and torch.equal(x.target, y.target) and torch.equal(x.index, y.index)
        for x, y in zip(a, b, strict=True)
    )


# ---- order, shards, padding


@given(
    count=st.integers(1, 60),
    world_size=st.integers(1, 5),
    batch_size=st.integers(1, 9),
    epoch=st.integers(0, 3),
    shuffle=st.booleans(),
    seed=st.integers(0, 2**40),
)
def test_ranks_share_the_samples(
    count: int, world_size: int, batch_size: int, epoch: int, shuffle: bool, seed: int
) -> None:
    world_size = min(world_size, count)
    options = {"batch_size": batch_size, "shuffle": shuffle, "seed": seed, "world_size": world_size}
    loaders = [make(count, rank=rank, **options) for rank in range(world_size)]
    orders = [order(loader, epoch) for loader in loaders]
    assert {len(loader) for loader in loaders} == {-(-len(orders[0]) // batch_size)}
    assert {len(rows) for rows in orders} == {-(-count // world_size)}
    seen = Counter(row for rows in orders for row in rows)
    assert sorted(seen) == list(range(count))
    whole = order(make(count, **{**options, "world_size": 1}), epoch)
    for rank, rows in enumerate(orders):
        # Only a short rank repeats, and what others have: a table would count its own twice.
        mine = [row for row in whole if row % world_size == rank]
        others = [row for row in whole if row % world_size != rank]
        assert rows == (mine + others)[: len(rows)]


def test_order_depends_on_seed_and_epoch() -> None:
    loader = make(50)
    first, second = order(loader, 0), order(loader, 1)
    assert first != second
    assert sorted(first) == sorted(second) == list(range(50))
    assert order(loader, 0) == first
    assert order(make(50), 0) == first
    assert order(make(50, seed=1), 0) != first
    assert order(make(50, shuffle=False), 3) == list(range(50))


def test_a_pinned_order() -> None:
    # The order is part of what a seed means: a change would silently change every published run.
    assert order(make(8), 0) == [1, 0, 5, 2, 6, 4, 7, 3]
    assert order(make(8), 1) == [0, 7, 1, 2, 4, 5, 3, 6]


def test_passes_without_set_epoch_go_on_to_the_next_epoch() -> None:
    loader, reference = make(), make()
    passes = [torch.cat([batch.index for batch in loader]).tolist() for _ in range(3)]
    assert passes == [order(reference, epoch) for epoch in range(3)]


def test_the_epoch_is_read_at_the_first_next() -> None:
    loader = make()
    iterator = iter(loader)  # as Lightning does: `iter` first, `set_epoch` after
    loader.sampler.set_epoch(5)
    assert next(iterator).index.tolist() == order(make(), 5)[:4]


def test_a_broken_off_pass_starts_afresh() -> None:
    loader = make()
    peeked = next(iter(loader)).index
    assert torch.equal(next(iter(loader)).index, peeked)


def test_uneven_indices_make_even_ranks() -> None:
    rows = torch.tensor([0, 2, 4, 6, 8, 10, 3])  # six even rows, one odd
    loaders = [make(indices=rows, world_size=2, rank=rank) for rank in range(2)]
    assert [len(loader) for loader in loaders] == [2, 2]
    assert sorted(order(loaders[0], 0)) == [0, 2, 4, 6, 8, 10]
    assert order(loaders[1], 0) == [3, *order(loaders[0], 0)[:5]]


def test_drop_last_drops_the_smaller_batch() -> None:
    loader = make(22, batch_size=4, drop_last=True)
    assert [len(batch.index) for batch in loader] == [4] * len(loader) == [4] * 5
    assert len(make(22, batch_size=4)) == 6


# ---- content


def test_content_by_index() -> None:
    loader = make(20, indices=torch.tensor([3, 1, 19, 7, 8]), batch_size=2)
    for batch in loader:
        assert batch.input.dtype == torch.float32
        assert batch.index.dtype == batch.target.dtype == torch.int64
        torch.testing.assert_close(batch.input, loader.images[batch.index] / 255, rtol=1e-6, atol=0)
        assert torch.equal(batch.target, batch.index % 7)


def test_normalisation() -> None:
    mean, std = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    batch = next(iter(make(normalize=(mean, std))))
    images = make().images[batch.index].double() / 255
    expected = (images - torch.tensor(mean).double().view(3, 1, 1)) / torch.tensor(std).double().view(3, 1, 1)
    torch.testing.assert_close(batch.input.double(), expected, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_float_features_pass_unchanged(dtype: torch.dtype) -> None:
    features = torch.randn(9, 5).to(dtype)
    loader = TensorLoader(features, torch.zeros(9, dtype=torch.int32), batch_size=4, shuffle=True)
    for batch in loader:
        assert batch.input.dtype == dtype
        assert torch.equal(batch.input, features[batch.index])


def test_channels_last() -> None:
    assert next(iter(make())).input.is_contiguous(memory_format=torch.channels_last)
    assert next(iter(make(channels_last=False))).input.is_contiguous()
    augmented = next(iter(make(augment=Augment(1)))).input
    assert augmented.is_contiguous(memory_format=torch.channels_last)


def test_the_data_is_left_alone() -> None:
    loader = make(augment=Augment(1), normalize=([0.5] * 3, [0.5] * 3))
    before = loader.images.clone()
    for batch in loader:
        batch.input.zero_()
    assert torch.equal(loader.images, before)


def test_augmentation_is_drawn_per_sample_and_epoch() -> None:
    image = torch.arange(1, 65, dtype=torch.uint8).view(1, 1, 8, 8)
    loader = TensorLoader(
        image.repeat(64, 1, 1, 1), torch.zeros(64).long(), batch_size=64, shuffle=False, augment=Augment(2)
    )
    first, second = next(iter(loader)).input, next(iter(loader)).input
    assert len(first.unique(dim=0)) > 25  # of the 50 that 5 x 5 shifts and a flip make
    assert not torch.equal(first, second)


def test_batches_draw_different_augmentation() -> None:
    image = torch.arange(1, 65, dtype=torch.uint8).view(1, 1, 8, 8).repeat(64, 1, 1, 1)
    loader = TensorLoader(image, torch.zeros(64).long(), batch_size=8, shuffle=False, augment=Augment(2))
    assert len({tuple(batch.input.flatten().tolist()) for batch in loader}) == 8


def test_ranks_draw_different_augmentation() -> None:
    def shifts(rank: int) -> Tensor:
        image = torch.arange(1, 65, dtype=torch.uint8).view(1, 1, 8, 8).repeat(64, 1, 1, 1)
        options = {"batch_size": 32, "shuffle": False, "augment": Augment(2), "rank": rank, "world_size": 2}
        return next(iter(TensorLoader(image, torch.zeros(64).long(), **options))).input

    assert not torch.equal(shifts(0), shifts(1))


# ---- views


def test_views_are_drawn_apart_and_the_first_as_if_alone() -> None:
    alone = list(make(augment=Augment(1)))
    several = list(make(augment=[Augment(1), None, Augment(1)]))
    plain = list(make())
    for one, batch, bare in zip(alone, several, plain, strict=True):
        assert isinstance(batch.input, tuple)
        first, second, third = batch.input
        assert torch.equal(first, one.input)
        assert torch.equal(second, bare.input)
        assert not torch.equal(third, first)
        assert torch.equal(batch.index, one.index)
        assert torch.equal(batch.target, one.target)
        assert all(view.is_contiguous(memory_format=torch.channels_last) for view in batch.input)


def test_a_sequence_of_one_is_a_tuple_of_one() -> None:
    batch = next(iter(make(augment=[None])))
    assert len(batch.input) == 1
    assert torch.equal(batch.input[0], next(iter(make())).input)


def test_views_of_features_share_nothing() -> None:
    features = torch.arange(8.0).view(4, 2)
    loader = TensorLoader(features, torch.zeros(4).long(), batch_size=4, shuffle=False, augment=[None, None])
    first, second = next(iter(loader)).input
    first.zero_()
    assert torch.equal(second, features)


def test_views_resume() -> None:
    options: dict[str, Any] = {"augment": [Augment(1), Augment(2, flip=False)], "seed": 3}
    whole, interrupted, resumed = list(make(**options)), make(**options), make(**options)
    iterator = iter(interrupted)
    next(iterator), next(iterator)
    resumed.load_state_dict(interrupted.state_dict())
    for a, b in zip(whole[2:], resumed, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a.input, b.input, strict=True))


def test_a_sweep_has_one_plain_view() -> None:
    assert torch.equal(next(iter(make(augment=[Augment(1)] * 2).sweep())).input, next(iter(make(shuffle=False))).input)


# ---- position


@given(
    count=st.integers(1, 30),
    batch_size=st.integers(1, 8),
    stop=st.integers(0, 100),
    drop_last=st.booleans(),
    world_size=st.integers(1, 3),
)
def test_resume_equals_uninterrupted(count: int, batch_size: int, stop: int, drop_last: bool, world_size: int) -> None:
    world_size = min(world_size, count)
    drop_last = drop_last and batch_size <= count // world_size
    options: dict[str, Any] = {"drop_last": drop_last, "world_size": world_size, "rank": world_size - 1}
    options |= {"batch_size": batch_size, "augment": Augment(1), "seed": 7}
    loader = make(count, **options)
    whole = [batch for _ in range(3) for batch in loader]
    stop %= len(whole) + 1

    interrupted, taken = make(count, **options), []
    while len(taken) < stop:
        for batch in interrupted:
            taken.append(batch)
            if len(taken) == stop:
                break
    state = interrupted.state_dict()

    resumed = make(count, **options)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    while len(taken) < len(whole):
        taken.extend(resumed)
    assert same(taken, whole)


def test_set_epoch_of_the_loaded_epoch_keeps_the_position() -> None:
    loader = make()
    loader.load_state_dict({"epoch": 2, "position": 3})
    loader.set_epoch(2)
    assert torch.cat([batch.index for batch in loader]).tolist() == order(make(), 2)[12:]
    assert order(loader, 2) == order(make(), 2)  # only the first pass is a part


def test_set_epoch_of_another_epoch_starts_it_whole() -> None:
    loader = make()
    loader.load_state_dict({"epoch": 2, "position": 3})
    assert order(loader, 3) == order(make(), 3)


def test_a_complete_epoch_leads_to_the_next() -> None:
    loader = make()
    loader.load_state_dict({"epoch": 2, "position": len(loader)})
    loader.set_epoch(2)
    assert torch.cat([batch.index for batch in loader]).tolist() == order(make(), 3)


def test_another_batch_size_resumes_at_an_epochs_end_only() -> None:
    saved = make(batch_size=4)
    list(saved)
    loader = make(batch_size=5)
    loader.load_state_dict(saved.state_dict())
    assert torch.cat([batch.index for batch in loader]).tolist() == order(make(), 1)

    next(iter(saved))
    loader.load_state_dict(saved.state_dict())
    with pytest.raises(ValueError, match=r"changed in mid-epoch: epoch 1 had 5 batches when it was saved and has 4"):
        next(iter(loader))


# ---- refusals


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"images": torch.zeros(0, 3, 4, 4, dtype=torch.uint8)}, ValueError, r"`images` must hold at least one sample"),
        ({"images": torch.zeros(4, 3, 4, 4, dtype=torch.int64)}, TypeError, r"`images` must be uint8 or floating"),
        ({"images": torch.zeros(4, 4, 4, dtype=torch.uint8)}, ValueError, r"must be \(N, C, H, W\), got .*\(4, 4, 4\)"),
        ({"targets": torch.zeros(3).long()}, ValueError, r"`targets` must have shape \(4,\).* got \(3,\)"),
        ({"targets": torch.zeros(4, 1).long()}, ValueError, r"`targets` must have shape \(4,\).* got \(4, 1\)"),
        ({"targets": torch.zeros(4)}, TypeError, r"`targets` must be integer class ids, got torch.float32"),
        ({"targets": torch.tensor([0, 1, -1, 2])}, ValueError, r"`targets` must be at least 0, got -1 at position 2"),
        ({"batch_size": 0}, ValueError, r"`batch_size` must be at least 1, got 0"),
        ({"batch_size": 5, "drop_last": True}, ValueError, r"`batch_size` must be at most 4 with `drop_last`, got 5"),
        ({"rank": 2, "world_size": 2}, ValueError, r"`rank` must be in \[0, 2\), got 2"),
        ({"world_size": 5}, ValueError, r"`world_size` must leave every rank a sample, got 5 ranks for 4 samples"),
        ({"seed": -1}, ValueError, r"`seed` must be at least 0, got -1"),
        ({"indices": torch.tensor([0, 4])}, IndexError, r"`indices` must be in \[0, 4\), got 4"),
        ({"indices": torch.tensor([-1])}, IndexError, r"`indices` must be in \[0, 4\), got -1"),
        ({"indices": torch.tensor([1, 1, 0])}, ValueError, r"`indices` must not repeat a row, got 1 repetitions"),
        ({"indices": torch.tensor([], dtype=torch.int64)}, ValueError, r"`indices` must hold at least one row"),
        ({"indices": torch.tensor([0.0])}, TypeError, r"`indices` must be integers, got dtype float32"),
        ({"normalize": ([0.5], [0.5])}, ValueError, r"`normalize` must be \(mean, std\) with 3 channels"),
        ({"normalize": ([0.5] * 3, [0.5, 0.0, 0.5])}, ValueError, r"positive std"),
    ],
)
def test_refusals(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments: dict[str, Any] = {
        "images": torch.zeros(4, 3, 4, 4, dtype=torch.uint8),
        "targets": torch.tensor([0, 1, 0, 1]),
        "batch_size": 2,
        "shuffle": True,
    }
    TensorLoader(**arguments)
    with pytest.raises(error, match=message):
        TensorLoader(**(arguments | change))


@pytest.mark.gpu
def test_gpu_gives_the_cpus_batches() -> None:
    options = {"augment": Augment(1), "normalize": ([0.4] * 3, [0.2] * 3)}
    on_cpu, on_gpu = list(make(**options)), list(make(device="cuda", **options))
    for a, b in zip(on_cpu, on_gpu, strict=True):
        assert b.input.is_cuda
        assert b.target.is_cuda
        assert b.index.is_cuda
        assert torch.equal(a.index, b.index.cpu())
        assert torch.equal(a.target, b.target.cpu())
        torch.testing.assert_close(a.input, b.input.cpu(), rtol=1e-6, atol=1e-6)
