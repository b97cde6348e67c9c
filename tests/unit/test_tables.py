"""`SampleTable` against a loop over single presentations, and what it refuses."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from noisylearn import tables
from noisylearn.tables import Column, SampleTable, Views

INT16_MAX = 32767

COLUMNS = [
    Column("total"),
    Column("newest", merge="last"),
    Column("oldest", merge="first"),
    Column("wide_total", width=3),
    Column("wide_newest", width=2, merge="last", initial=0.5),
    Column("count", torch.int16),
    Column("label", torch.int16, merge="last", initial=-1),
    Column("first_label", torch.int16, merge="first", initial=-1),
    # `before` is the value that `now` had at the commit before; declared on both sides of it on purpose.
    Column("before", merge="ordered", initial=-7.0),
    Column("now", merge="ordered", initial=-3.0),
    Column("before_too", merge="ordered", initial=-7.0),
    Column("commits", torch.int16, merge="ordered"),
]
OBSERVED = [Column("extra"), Column("extra_first", torch.int16, merge="first")]
GOOD, NAN_VALUE, INFINITE, NAN_IN_WIDE, MASKED = range(5)

Record = tuple[int, int, int]
"""Row, an integer from which all values are made, and whether and how it is not finite."""


def advance(state: Views, staged: Views) -> dict[str, Tensor]:
    return {
        "before": state["now"],
        "now": staged["extra"] + staged["extra_first"],
        "before_too": state["now"],
        "commits": state["commits"] + 1,
    }


def values_of(
    records: Iterable[Record], dtype: torch.dtype = torch.float32
) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """The batch that these records make: index, values (small binary fractions: sums are exact), finite."""
    rows, v, kind = torch.tensor(list(records)).T
    half, bad = v.to(dtype) / 2, kind[:, None] == torch.tensor([NAN_VALUE, INFINITE, NAN_IN_WIDE])
    wide = torch.stack([half, half + 1, -half], 1)
    wide[bad[:, 2], 1] = math.nan
    values = {
        "total": half.where(~bad[:, 0], math.nan),
        "newest": half.where(~bad[:, 1], -math.inf),
        "oldest": half,
        "wide_total": wide,
        "wide_newest": wide[:, 1:].nan_to_num(0.0),
        "count": v.abs() % 4,
        "label": v,
        "first_label": v,
        "extra": half + 3,
        "extra_first": v,
    }
    return rows, values, kind != MASKED


def slow_table(num_samples: int, commits: list[tuple[int, list[list[Record]]]]) -> tuple[list[dict[str, Any]], int]:
    """Rows and the number left out, one presentation at a time."""
    state: list[dict[str, Any]] = [
        {c.name: [c.initial] * c.width if c.width > 1 else c.initial for c in COLUMNS} | {"n_seen": 0, "last_epoch": -1}
        for _ in range(num_samples)
    ]
    left_out = 0
    for epoch, batches in commits:
        staged: list[list[int]] = [[] for _ in range(num_samples)]
        for row, v, kind in (record for batch in batches for record in batch):
            if kind == GOOD:
                staged[row].append(v)
            else:
                left_out += 1
        for row, seen in zip(state, staged, strict=True):
            if not seen or row["last_epoch"] == epoch:
                continue
            row["last_epoch"] = epoch
            row["commits"] += 1
            row["before"] = row["before_too"] = row["now"]
            row["now"] = sum(v / 2 + 3 for v in seen) + seen[0]
            row["oldest"], row["newest"] = seen[0] / 2, seen[-1] / 2
            row["first_label"], row["label"] = seen[0], seen[-1]
            row["wide_newest"] = [seen[-1] / 2 + 1, -seen[-1] / 2]
            for v in seen:
                row["n_seen"] += 1
                row["count"] += abs(v) % 4
                row["total"] += v / 2
                row["wide_total"] = [a + b for a, b in zip(row["wide_total"], (v / 2, v / 2 + 1, -v / 2), strict=True)]
    return state, left_out


def run(table: SampleTable, commits: list[tuple[int, list[list[Record]]]], **kwargs: Any) -> int:
    left_out = 0
    for epoch, batches in commits:
        for batch in batches:
            table.observe(*values_of(batch, **kwargs))
        left_out += table.commit(epoch, advance)
    return left_out


def assert_rows(table: SampleTable, expected: list[dict[str, Any]]) -> None:
    views = table.views()
    assert views.keys() == expected[0].keys()
    for name, view in views.items():
        assert view.tolist() == [row[name] for row in expected], name


def build(num_samples: int) -> SampleTable:
    return SampleTable(num_samples, COLUMNS, observed=OBSERVED)


@st.composite
def streams(draw: st.DrawFn) -> tuple[int, list[tuple[int, list[list[Record]]]]]:
    """A table's size and commits of batches: repeats in a batch, in an epoch, between commits of one epoch."""
    num_samples = draw(st.integers(1, 6))
    kinds = st.sampled_from([GOOD] * 6 + [NAN_VALUE, INFINITE, NAN_IN_WIDE, MASKED])
    record = st.tuples(st.integers(0, num_samples - 1), st.integers(-20, 20), kinds)
    batch = st.lists(record, min_size=1, max_size=6)
    steps = draw(st.lists(st.tuples(st.integers(0, 1), st.lists(batch, max_size=3)), min_size=1, max_size=5))
    epoch, commits = 0, []
    for later, batches in steps:
        epoch += later
        commits.append((epoch, batches))
    return num_samples, commits


@settings(max_examples=150, deadline=None)
@given(streams())
def test_every_merge_equals_a_loop_over_presentations(stream: tuple[int, Any]) -> None:
    num_samples, commits = stream
    table = build(num_samples)
    left_out = run(table, commits)
    expected, expected_left_out = slow_table(num_samples, commits)
    assert_rows(table, expected)
    assert left_out == table.num_non_finite == expected_left_out


@settings(max_examples=30, deadline=None)
@given(streams(), st.integers(0, 14), st.booleans())
def test_saving_and_loading_anywhere_changes_nothing(stream: tuple[int, Any], when: int, staged: bool) -> None:
    num_samples, commits = stream
    table, done, left_out = build(num_samples), 0, 0
    for epoch, batches in commits:
        for batch in batches:
            table.observe(*values_of(batch))
            done += 1
            if done == when:
                table = reload(table)
        table.commit(epoch, advance)
    expected, left_out = slow_table(num_samples, commits)
    assert_rows(table, expected)
    assert table.num_non_finite == left_out


def reload(table: SampleTable) -> SampleTable:
    """Through a file, as a checkpoint goes, into a table that was used before."""
    file = io.BytesIO()
    torch.save(table.state_dict(), file)
    file.seek(0)
    other = build(table.num_samples)
    other.observe(*values_of([(0, 5, GOOD), (0, 5, NAN_VALUE)]))
    other.load_state_dict(torch.load(file, weights_only=True))
    return other


STREAM = [(0, [[(0, 3, GOOD), (2, -5, GOOD), (0, 7, GOOD)], [(2, 1, NAN_VALUE)]]), (1, [[(3, 4, GOOD), (0, 1, GOOD)]])]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_floating_dtypes_are_cast(dtype: torch.dtype) -> None:
    table = build(4)
    run(table, STREAM, dtype=dtype)
    assert_rows(table, slow_table(4, STREAM)[0])


def test_a_float64_value_that_float32_cannot_hold_is_left_out() -> None:
    table = SampleTable(2, [Column("x")])
    table.observe(torch.tensor([0, 1]), {"x": torch.tensor([1e300, 2.0], dtype=torch.float64)})
    assert table.commit(0) == 1
    assert table.views()["n_seen"].tolist() == [0, 1]


def test_rows_never_seen_keep_their_initial_values() -> None:
    table = build(5)
    run(table, STREAM)
    for name, values in table.read(torch.tensor([1, 4])).items():
        initial = {c.name: c.initial for c in COLUMNS} | {"n_seen": 0, "last_epoch": -1}
        assert (values == initial[name]).all(), name


def test_what_is_read_is_committed_and_a_copy() -> None:
    table = SampleTable(3, [Column("x"), Column("w", width=2, merge="last")])
    table.observe(torch.tensor([1]), {"x": torch.tensor([4.0]), "w": torch.tensor([[1.0, 2.0]])})
    assert table.read(torch.tensor([1, 1]))["x"].tolist() == [0.0, 0.0]
    table.commit(0)
    rows = table.read(torch.tensor([1, 1]))
    assert rows["x"].tolist() == [4.0, 4.0]
    assert rows["w"].tolist() == [[1.0, 2.0]] * 2
    rows["x"].zero_()
    assert table.read(torch.tensor([1]))["x"].tolist() == [4.0]


def test_observations_keep_no_graph() -> None:
    logits = torch.ones(1, requires_grad=True)
    table = SampleTable(1, [Column("x", merge="last")])
    table.observe(torch.tensor([0]), {"x": logits * 2})
    table.commit(0)
    assert not table.views()["x"].requires_grad


def test_write_sets_committed_values() -> None:
    table = SampleTable(3, [Column("weight", merge="ordered", initial=1.0)])
    table.write(torch.tensor([2, 0]), {"weight": torch.tensor([0.25, 0.5], dtype=torch.float64)})
    assert table.views()["weight"].tolist() == [0.5, 1.0, 0.25]
    with pytest.raises(KeyError, match=r"must be among the columns .*'weight'.*, got 'wieght'"):
        table.write(torch.tensor([0]), {"wieght": torch.ones(1)})


def test_an_empty_batch_is_nothing() -> None:
    table = build(2)
    table.observe(*values_of([(0, 1, GOOD)]))
    index, values, finite = values_of([(0, 1, GOOD)])
    table.observe(index[:0], {name: value[:0] for name, value in values.items()}, finite[:0])
    table.commit(0, advance)
    assert table.views()["n_seen"].tolist() == [1, 0]


# -- int16 ----------------------------------------------------------------------------------------------------------


def count_table(num_samples: int) -> SampleTable:
    return SampleTable(num_samples, [Column("right", torch.int16), Column("label", torch.int16, merge="last")])


def look(table: SampleTable, rows: list[int], right: int = 1, label: int = 0) -> None:
    n = len(rows)
    table.observe(torch.tensor(rows), {"right": torch.full((n,), right), "label": torch.full((n,), label)})


def test_sums_end_where_the_count_does() -> None:
    """So that what is divided by the count stays a mean; what is no sum goes on."""
    table = SampleTable(2, [Column("total"), Column("right", torch.int16), Column("label", torch.int16, merge="last")])
    for epoch in range(4):
        for count in (20_000, 5_000):
            rows = torch.tensor([0] * count + [1])
            values = {"total": torch.full((count + 1,), 0.5), "right": torch.ones_like(rows)}
            table.observe(rows, {**values, "label": torch.full_like(rows, epoch)})
        table.commit(epoch)
    views = table.views()
    assert views["n_seen"].tolist() == views["right"].tolist() == [25_000, 8]
    assert views["total"].tolist() == [12_500, 4]
    assert views["label"].tolist() == [3, 3]


def test_a_sum_of_more_than_1_each_saturates() -> None:
    table = count_table(1)
    for epoch in range(3):
        look(table, [0], right=20_000)
        table.commit(epoch)
    assert table.views()["n_seen"].tolist() == [3]
    assert table.views()["right"].tolist() == [INT16_MAX]


def test_staged_sums_end_where_the_staged_count_does() -> None:
    table = SampleTable(1, [Column("total")])
    for _ in range(INT16_MAX // 1057 + 4):  # 31 of them fill it
        table.observe(torch.zeros(1057, dtype=torch.int64), {"total": torch.full((1057,), 0.5)})
    table.commit(0)
    assert table.views()["n_seen"].tolist() == [INT16_MAX]
    assert table.views()["total"].tolist() == [INT16_MAX / 2]


def test_after_the_last_epoch_that_counts_a_table_stays_as_it_is() -> None:
    table = SampleTable(1, [Column("total")])
    for epoch in (INT16_MAX - 1, INT16_MAX):
        table.observe(torch.tensor([0]), {"total": torch.ones(1)})
        table.commit(epoch)
    table.observe(torch.tensor([0]), {"total": torch.ones(1)})
    with pytest.warns(UserWarning, match="a table counts 32,767 epochs: it stays as it is from here on"):
        table.commit(INT16_MAX + 1)
    table.observe(torch.tensor([0]), {"total": torch.ones(1)})
    table.commit(INT16_MAX + 2)  # told once
    assert table.views()["total"].tolist() == table.views()["n_seen"].tolist() == [2]


@pytest.mark.parametrize("batches", [2, 4, 7])
def test_staged_counts_saturate_however_often_they_would_wrap(batches: int) -> None:
    table = count_table(2)
    for _ in range(batches):
        look(table, [0] * 20_000 + [1])
    table.commit(0)
    assert table.views()["n_seen"].tolist() == [INT16_MAX, batches]
    assert table.views()["right"].tolist() == [INT16_MAX, batches]


def test_a_full_staged_count_survives_a_checkpoint() -> None:
    table = count_table(1)
    look(table, [0] * 20_000)
    look(table, [0] * 20_000)
    saved, table = table.state_dict(), count_table(1)
    table.load_state_dict(saved)
    look(table, [0])
    table.commit(0)
    assert table.views()["n_seen"].tolist() == [INT16_MAX]


def test_integers_outside_int16_saturate() -> None:
    table = count_table(2)
    table.observe(torch.tensor([0, 1]), {"right": torch.tensor([70_000, 1]), "label": torch.tensor([40_000, -40_000])})
    table.commit(0)
    assert table.views()["right"].tolist() == [INT16_MAX, 1]
    assert table.views()["label"].tolist() == [INT16_MAX, -INT16_MAX - 1]


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [-1, 3, 10**9])
def test_an_index_out_of_range(bad: int) -> None:
    table = SampleTable(3, [Column("x")])
    table.observe(torch.tensor([2]), {"x": torch.ones(1)})
    for call in (table.read, lambda i: table.observe(i, {"x": torch.ones(2)})):
        with pytest.raises(IndexError, match=rf"`index` must be in \[0, 3\), got {bad}: pass positions in the"):
            call(torch.tensor([0, bad]))
    table.commit(0)
    assert table.views()["x"].tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("index", [torch.tensor([0.0]), torch.tensor([0.0], dtype=torch.bfloat16), torch.tensor(0)])
def test_an_index_that_is_no_vector_of_integers(index: Tensor) -> None:
    table = SampleTable(3, [Column("x")])
    with pytest.raises(TypeError, match=r"`index` must be \(B,\) integers, got .*: pass positions in the training set"):
        table.observe(index, {"x": torch.ones(1)})


def test_a_mask_is_no_index() -> None:
    with pytest.raises(TypeError, match="`index` must be integers, got dtype bool"):
        SampleTable(3, [Column("x")]).read(torch.tensor([True, False, True]))


def test_missing_and_unknown_columns() -> None:
    table = SampleTable(3, [Column("x"), Column("y")])
    with pytest.raises(KeyError, match=r"missing \['y'\], unknown \['z'\]"):
        table.observe(torch.tensor([0]), {"x": torch.ones(1), "z": torch.ones(1)})


@pytest.mark.parametrize("shape", [(1,), (2, 1), (3, 2), (2, 2)])
def test_a_value_of_another_shape(shape: tuple[int, ...]) -> None:
    table = SampleTable(4, [Column("w", width=3)])
    with pytest.raises(ValueError, match=r"`values\['w'\]` must have shape \(2, 3\), one row per index, got"):
        table.observe(torch.tensor([0, 1]), {"w": torch.ones(shape)})


def test_a_float_for_an_integer_column() -> None:
    table = SampleTable(4, [Column("label", torch.int16, merge="last")])
    with pytest.raises(TypeError, match=r"`values\['label'\]` must be integers, got torch.float32"):
        table.observe(torch.tensor([0]), {"label": torch.tensor([math.nan])})


def test_an_epoch_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"`epoch` must be at least 0, got -1"):
        SampleTable(1, [Column("x")]).commit(-1)


@pytest.mark.parametrize("name", ["x", "last_epoch", "typo"])
def test_advance_may_only_return_ordered_columns(name: str) -> None:
    table = SampleTable(1, [Column("x"), Column("o", merge="ordered")])
    with pytest.raises(KeyError, match=rf"must return some of the ordered columns \['o'\], got \['{name}'\]"):
        table.commit(0, lambda state, staged: {name: state["x"]})


@pytest.mark.parametrize(
    ("columns", "observed"),
    [
        ([Column("x"), Column("x", torch.int16)], []),
        ([Column("x")], [Column("x")]),
        ([Column("n_seen", torch.int16)], []),
        ([], [Column("y"), Column("y")]),
    ],
)
def test_two_columns_of_one_name(columns: list[Column], observed: list[Column]) -> None:
    with pytest.raises(ValueError, match=r"`columns` must have distinct names, got '(x|y|n_seen)' twice: rename one"):
        SampleTable(2, columns, observed=observed)


def test_a_column_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"`dtype` of column 'x' must be float32 or int16, got torch.float64"):
        Column("x", torch.float64)
    with pytest.raises(ValueError, match=r"`width of column 'x'` must be at least 1, got 0"):
        Column("x", width=0)
    with pytest.raises(ValueError, match=r"`merge of column 'x'` must be one of .*, got 'maen'"):
        Column("x", merge="maen")  # type: ignore[arg-type]  # the point of the test
    with pytest.raises(ValueError, match="`observed` column 'x' must merge by sum, first or last, got 'ordered'"):
        SampleTable(2, [], observed=[Column("x", merge="ordered")])


def test_no_samples() -> None:
    with pytest.raises(ValueError, match="`num_samples` must be at least 1, got 0: an empty training set"):
        SampleTable(0, [Column("x")])


# -- size ------------------------------------------------------------------------------------------------------------


def test_a_table_that_cannot_fit_is_refused_with_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "available_bytes", lambda device: 5_000_000)
    columns = [Column("x", width=10), Column("o", torch.int16, merge="ordered")]
    SampleTable(50_000, columns)  # 4.5 MB
    message = (
        r"a table of 60,000 samples needs 0.0 GB \(46 \+ 42 bytes a sample\), but cpu has 0.0 GB free: track fewer"
    )
    with pytest.raises(MemoryError, match=message):
        SampleTable(60_000, columns)


def test_a_table_that_cannot_fit_is_not_allocated_first() -> None:
    with pytest.raises(MemoryError, match=r"a table of 1,000,000,000,000 samples needs 12,000.0 GB"):
        SampleTable(10**12, [Column("x", merge="ordered"), Column("y", torch.int16, merge="ordered")])


def test_where_free_memory_is_unknown_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "available_bytes", lambda device: None)
    assert SampleTable(3, [Column("x")]).nbytes == 4 * 14


def test_bytes_are_what_torch_allocates() -> None:
    table = build(100)
    matrices = [m.data for m in (*table._state.values(), *table._staged.values())]
    assert table.nbytes == sum(m.numel() * m.element_size() for m in matrices)


# -- checkpoint ------------------------------------------------------------------------------------------------------


def test_a_checkpoint_is_independent_of_what_follows() -> None:
    table = build(4)
    run(table, STREAM[:1])
    saved = table.state_dict()
    before = {name: value.clone() for name, value in saved.items() if isinstance(value, Tensor)}
    run(table, STREAM[1:])
    assert all(torch.equal(saved[name], value) for name, value in before.items())


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (SampleTable(5, [Column("x")]), "the saved table has 5 samples, this one 4: resume with the training set"),
        (
            SampleTable(4, [Column("y")]),
            r"the saved table has the columns .*'y float32\[1\] sum'.*: resume with the same",
        ),
        (SampleTable(4, [Column("x", width=2)]), r"the saved table has the columns .*'x float32\[2\] sum'"),
        (SampleTable(4, [Column("x", torch.int16)]), r"the saved table has the columns .*'x int16\[1\] sum'"),
        (SampleTable(4, [Column("x", merge="last")]), r"the saved table has the columns .*'x float32\[1\] last'"),
        (SampleTable(4, [Column("x")], observed=[Column("z")]), r"the saved table has the staged_columns .*'z float32"),
    ],
)
def test_a_checkpoint_of_another_table(other: SampleTable, message: str) -> None:
    table = SampleTable(4, [Column("x")])
    table.observe(torch.tensor([1]), {"x": torch.ones(1)})
    table.commit(0)
    with pytest.raises(ValueError, match=message):
        table.load_state_dict(other.state_dict())
    assert table.views()["x"].tolist() == [0.0, 1.0, 0.0, 0.0]


def test_a_table_grows_and_keeps_what_it_has() -> None:
    small, large = (SampleTable(n, COLUMNS, observed=OBSERVED) for n in (3, 7))
    index = torch.tensor([2, 0, 2])
    for table in (small, large):
        _, values, finite = values_of([(2, 4, GOOD), (0, 2, GOOD), (2, 6, GOOD)])
        table.observe(index, values, finite)
        table.commit(0, advance)
        table.observe(index[:1], {name: value[:1] for name, value in values.items()})
    small.grow(7)
    assert small.num_samples == 7
    for name, value in large.views().items():
        assert torch.equal(small.views()[name], value), name
    for table in (small, large):
        table.commit(1, advance)
    for name, value in large.views().items():
        assert torch.equal(small.views()[name], value), name
    with pytest.raises(ValueError, match="`num_samples` must be at least 7, got 6: rows are kept"):
        small.grow(6)


def test_samples_without_a_label_are_neither_staged_nor_counted() -> None:
    table = SampleTable(4, [Column("total")])
    values = {"total": torch.tensor([1.0, math.nan, 3.0, math.inf])}
    table.observe(torch.arange(4), values, labelled=torch.tensor([True, False, False, True]))
    assert table.commit(0) == 1
    assert table.views()["n_seen"].tolist() == [1, 0, 0, 0]
    assert table.views()["total"].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_discarding_what_is_staged() -> None:
    table = build(4)
    run(table, STREAM)
    table.observe(*values_of([(1, 2, GOOD), (1, 3, GOOD), (2, 3, GOOD), (3, 1, INFINITE)]))
    assert table.discard_staged() == 2
    table.commit(2, advance)
    assert_rows(table, slow_table(4, STREAM)[0])


def test_rows_of_other_ranks_lost_with_a_checkpoint_are_counted() -> None:
    table = build(6)
    table.observe(*values_of([(1, 2, GOOD), (4, 3, GOOD)]))
    saved = table.state_dict()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build(6).load_state_dict(saved)  # one process: nothing is lost
    with pytest.warns(UserWarning, match="3 processes: rank 0's 2 uncommitted rows are restored, about 4 of the other"):
        build(6).load_state_dict(saved | {"world_size": 3})


# -- on a GPU --------------------------------------------------------------------------------------------------------


@pytest.mark.gpu
def test_a_gpu_gives_the_same_rows_and_no_step_waits_for_it() -> None:
    table = build(4).to("cuda")
    batches = [[tuple(_to_gpu(part) for part in values_of(batch)) for batch in batches] for _, batches in STREAM]
    for (epoch, _), on_gpu in zip(STREAM, batches, strict=True):
        torch.cuda.set_sync_debug_mode("error")
        try:
            for batch in on_gpu:
                table.observe(*batch)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        table.commit(epoch, advance)
    assert_rows(table, slow_table(4, STREAM)[0])


@pytest.mark.gpu
def test_a_gpu_reports_a_bad_index_at_the_commit() -> None:
    table = SampleTable(3, [Column("x")], device="cuda")
    table.observe(torch.tensor([0, -1, 3], device="cuda"), {"x": torch.ones(3, device="cuda")})
    with pytest.raises(IndexError, match=r"`index` must be in \[0, 3\), but 2 observations since the last commit"):
        table.commit(0)
    assert table.views()["x"].tolist() == [1.0, 0.0, 0.0]


def _to_gpu(part: Any) -> Any:
    return {name: value.cuda() for name, value in part.items()} if isinstance(part, dict) else part.cuda()
