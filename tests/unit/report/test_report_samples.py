from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from noisylearn.report import Run, load_run, most_suspicious
from noisylearn.report.samples import confusion, frequent_pairs, histogram, parts
from tests.unit.report.synthetic import write_run


def run_of(**columns: object) -> Run:
    return Run(Path("run"), {}, {}, pa.table(columns), "")


def test_most_suspicious_equals_a_slow_sort(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path, num_samples=300))
    margins = dict(zip(run.column("index").tolist(), run.column("aum").tolist(), strict=True))
    assert most_suspicious(run, 48).tolist() == sorted(margins, key=margins.__getitem__)[:48]


def test_ties_keep_the_order_of_the_file_and_missing_scores_are_left_out() -> None:
    run = run_of(index=[7, 8, 9, 4, 5], aum=[1.0, np.nan, -1.0, 1.0, np.inf])
    assert most_suspicious(run).tolist() == [9, 7, 4]


def test_score_that_ranks_is_the_first_there_is_with_its_own_direction() -> None:
    assert most_suspicious(run_of(index=[0, 1], el2n=[0.1, 0.9], confidence=[0.1, 0.9]), 1).tolist() == [1]
    assert most_suspicious(run_of(index=[0, 1], confidence=[0.1, 0.9]), 1).tolist() == [0]
    assert most_suspicious(run_of(index=[0, 1], something=[0.1, 0.9]), 1).tolist() == []


def test_parts_follow_the_clean_labels_where_known() -> None:
    masks = parts(run_of(given=[0, 1, 2, 0], clean=[0, 0, -1, 1]))
    assert {k: v.tolist() for k, v in masks.items()} == {
        "right": [True, False, False, False],
        "wrong": [False, True, False, True],
    }
    assert list(parts(run_of(given=[0, 1], clean=[-1, -1]))) == ["all"]
    assert list(parts(run_of(given=[0, 1], clean=[0, 1]))) == ["right"]


@given(
    st.lists(
        st.one_of(st.floats(-1e6, 1e6), st.integers(-50, 50), st.just(float("nan")), st.just(float("inf"))), min_size=1
    ),
    st.integers(0, 2**32 - 1),
)
@example([0.0, 5e-324], 0)  # no float lies between them
@example([1e300, 1e300], 0)
def test_every_sample_of_a_part_is_in_one_bin_or_counted_as_missing(values: list[float], seed: int) -> None:
    scores = np.array(values, dtype=np.float64)
    wrong = np.random.default_rng(seed).random(len(scores)) < 0.5
    masks = {"right": ~wrong, "wrong": wrong}
    shown = histogram(scores, masks)
    if shown is None:
        assert not np.isfinite(scores).any()
        return
    assert np.all(np.diff(shown.edges) > 0)
    for name, mask in masks.items():
        assert shown.counts[name].sum() + shown.missing[name] == mask.sum()
        assert shown.missing[name] == sum(not np.isfinite(v) for v in scores[mask])


def test_whole_numbers_get_one_bin_each() -> None:
    shown = histogram(np.array([0.0, 1, 1, 3]), {"all": np.ones(4, bool)})
    assert shown is not None
    assert shown.edges.tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5]
    assert shown.counts["all"].tolist() == [1, 2, 0, 1]


def test_one_far_value_does_not_squeeze_the_rest() -> None:
    scores = np.append(np.random.default_rng(0).random(1000), 1e9)
    shown = histogram(scores, {"all": np.ones(1001, bool)})
    assert shown is not None
    assert shown.edges[-1] < 2
    outside = ((scores < shown.edges[0]) | (scores > shown.edges[-1])).sum()
    assert shown.beyond == outside >= 1
    assert shown.counts["all"].sum() == 1001


def test_confusion_equals_a_loop_and_leaves_unknown_labels_out() -> None:
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(-1, 5, 400), rng.integers(-1, 5, 400)
    expected = np.zeros((5, 5), int)
    for a, b in zip(rows, columns, strict=True):
        if a >= 0 and b >= 0:
            expected[a, b] += 1
    np.testing.assert_array_equal(confusion(rows, columns, 5), expected)
    pairs = frequent_pairs(expected, 3)
    off = sorted((int(expected[a, b]) for a in range(5) for b in range(5) if a != b), reverse=True)
    assert [n for _, _, n in pairs] == off[:3]
    assert all(a != b and expected[a, b] == n for a, b, n in pairs)


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_count_is_an_upper_limit(tmp_path: Path, count: int) -> None:
    run = load_run(write_run(tmp_path, num_samples=60))
    assert len(most_suspicious(run, count)) == min(count, 60)
