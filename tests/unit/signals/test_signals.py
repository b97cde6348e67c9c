"""Each signal against a slow float64 loop over presentations, and the golden vectors of their definitions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noisylearn.signals import (
    DataMaps,
    Forgetting,
    GivenLabel,
    LossStatistics,
    MeanProbability,
    Observation,
    Signal,
    SignalSet,
    core_signals,
)
from tests.unit.signals.slow import NAN, Step, check_scores, slow_scores

NUM_SAMPLES, NUM_CLASSES = 9, 4


def all_signals() -> list[Signal]:
    return [GivenLabel(), *core_signals(), MeanProbability(NUM_CLASSES)]


def feed(signals: SignalSet, steps: Sequence[Step]) -> SignalSet:
    """Observe the steps and commit at the end of each epoch."""
    for epoch, of_epoch in itertools.groupby(steps, key=lambda step: step[0]):
        for _, index, logits, targets in of_epoch:
            signals.observe(Observation(index, logits, targets))
        signals.commit(epoch)
    return signals


def check(steps: Sequence[Step], signals: Sequence[Signal] | None = None) -> SignalSet:
    fast = feed(SignalSet(signals or all_signals(), NUM_SAMPLES), steps)
    check_scores(fast.compute(), fast.table.views()["n_seen"], slow_scores(NUM_SAMPLES, NUM_CLASSES, steps))
    return fast


def make_steps(seed: int, epochs: int = 6, batches: int = 3, batch: int = 4, repeats: bool = True) -> list[Step]:
    """Random batches in which sample 0 never comes; with ``repeats`` also inside a batch and an epoch."""
    g = torch.Generator().manual_seed(seed)
    steps: list[Step] = []
    for epoch in range(epochs):
        order = 1 + torch.randperm(NUM_SAMPLES - 1, generator=g)
        for b in range(batches):
            index = order[b * batch : (b + 1) * batch]
            if repeats:
                index = 1 + torch.randint(0, NUM_SAMPLES - 1, (batch,), generator=g)
            if len(index):
                logits = (3 * torch.randn(len(index), NUM_CLASSES, generator=g)).round(decimals=2)
                steps.append((epoch, index, logits, index % NUM_CLASSES))
    return steps


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_every_score_equals_the_slow_loop(seed: int, repeats: bool) -> None:
    scores = check(make_steps(seed, repeats=repeats)).compute()
    assert all(math.isnan(value[0]) for value in scores.values()), "sample 0 was never seen"


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_stream_equals_the_slow_loop(data: st.DataObject) -> None:
    """Few distinct logits, so that ties, repeats and lucky streaks come often."""
    steps: list[Step] = []
    for epoch in range(data.draw(st.integers(1, 6))):
        for _ in range(data.draw(st.integers(0, 2))):
            rows = data.draw(st.lists(st.integers(0, NUM_SAMPLES - 1), min_size=1, max_size=4))
            z = [data.draw(st.permutations([0.0, 1.0, 2.5, -20.0])) for _ in rows]
            steps.append((epoch, torch.tensor(rows), torch.tensor(z), torch.tensor(rows) % NUM_CLASSES))
    if steps:
        check(steps)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_dtypes_of_logits(dtype: torch.dtype) -> None:
    check([(e, i, z.to(dtype), y) for e, i, z, y in make_steps(5)])


@pytest.mark.parametrize("signal", [*core_signals(), GivenLabel()], ids=lambda s: type(s).__name__)
def test_not_finite_logits_are_left_out_of_each_signal_alone(signal: Signal) -> None:
    steps = make_steps(6)
    spoilt = [(e, i, z.clone(), y) for e, i, z, y in steps]
    spoilt[1][2][0, 3], spoilt[4][2][1, 0], spoilt[4][2][2, :] = math.nan, math.inf, math.nan
    fast = feed(SignalSet([signal], NUM_SAMPLES), spoilt)
    expected = slow_scores(NUM_SAMPLES, NUM_CLASSES, spoilt)
    assert fast.table.num_non_finite == 3
    assert fast.table.views()["n_seen"].tolist() == expected["n_seen"]
    for name, value in fast.compute().items():
        if name in expected:
            assert value.tolist() == pytest.approx(expected[name], rel=1e-4, abs=1e-5, nan_ok=True), name


def correctness_stream(pattern: str) -> list[Step]:
    """One sample, right where the pattern has a 1; right with logits (1, 0, 0, 0), wrong with (0, 1, 0, 0)."""
    right, wrong = torch.tensor([[1.0, 0, 0, 0]]), torch.tensor([[0, 1.0, 0, 0]])
    zero = torch.tensor([0])
    return [(t, zero, right if a == "1" else wrong, zero) for t, a in enumerate(pattern)]


@pytest.mark.parametrize(
    ("pattern", "events", "first", "for_good", "correct", "never"),
    [
        ("00110111", 1, 2, 5, 5, 0),
        ("111111", 0, 0, 0, 6, 0),
        ("000000", 0, NAN, NAN, 0, 1),
        ("101010", 3, 0, NAN, 3, 0),
    ],
)
def test_golden_learning_histories(
    pattern: str, events: int, first: float, for_good: float, correct: int, never: int
) -> None:
    fast = feed(SignalSet([Forgetting(), DataMaps()], 2), correctness_stream(pattern))
    scores = {name: value[0].item() for name, value in fast.compute().items()}
    assert scores["forgetting_events"] == events
    assert scores["first_learned"] == pytest.approx(first, nan_ok=True)
    assert scores["learned_for_good"] == pytest.approx(for_good, nan_ok=True)
    assert scores["correctness"] == correct
    assert scores["wrong_events"] == len(pattern) - correct
    assert scores["never_learned"] == never
    assert all(math.isnan(value[1]) for value in fast.compute().values())


def test_never_learned_is_a_category_and_not_a_count() -> None:
    """A sample never learned in a short history stands above every learned one, and has no time and no events."""
    patterns = ["000", "0" * 50 + "1", "01" * 25, "1" * 50, "0" * 30]
    steps = [(t, torch.tensor([i]), z, y) for i, p in enumerate(patterns) for t, _, z, y in correctness_stream(p)]
    scores = feed(SignalSet([Forgetting()], 6), sorted(steps, key=lambda step: step[0])).compute()
    assert scores["never_learned"].tolist() == pytest.approx([1, 0, 0, 0, 1, NAN], nan_ok=True)
    assert scores["forgetting_events"][[0, 4]].tolist() == [0, 0]
    assert scores["first_learned"][[0, 4]].isnan().all()
    assert scores["learning_order"][[0, 4]].tolist() == [1.0, 1.0]
    assert (scores["learning_order"][1:4] < 1).all()


def test_learning_order_ranks_by_never_learned_then_time_then_events() -> None:
    """All histories of length 7, in the order of the tuple that the score stands for."""
    patterns = ["".join(bits) for bits in itertools.product("01", repeat=7)]
    steps = [(t, torch.tensor([i]), z, y) for i, p in enumerate(patterns) for t, _, z, y in correctness_stream(p)]
    scores = feed(SignalSet([Forgetting()], len(patterns)), sorted(steps, key=lambda step: step[0])).compute()

    def key(pattern: str) -> tuple[bool, int, int]:
        return "1" not in pattern, pattern.rfind("0") + 1, pattern.count("10")

    order = scores["learning_order"].tolist()
    assert all(0 <= value <= 1 for value in order)
    ranked = sorted(range(len(patterns)), key=lambda i: key(patterns[i]))
    for a, b in itertools.pairwise(ranked):
        same = key(patterns[a]) == key(patterns[b])
        assert (order[a] == order[b]) if same else (order[a] < order[b]), (patterns[a], patterns[b])


def test_welford_merge_of_two_halves_equals_one_pass() -> None:
    """An epoch of many presentations, and the same ones an epoch each, have one mean and one spread."""
    g = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(40, 2, generator=g)
    zero = torch.zeros(40, dtype=torch.int64)
    spread = {}
    for name, halves in {"one": [40], "two": [20, 20], "uneven": [1, 36, 3], "single": [1] * 40}.items():
        signals = SignalSet([DataMaps()], 1)
        for epoch, part in enumerate(logits.split(halves)):
            signals.observe(Observation(zero[: len(part)], part, zero[: len(part)]))
            signals.commit(epoch)
        spread[name] = signals.compute()
    p = logits.double().softmax(1)[:, 0]
    for scores in spread.values():
        assert scores["confidence"].item() == pytest.approx(p.mean().item(), rel=1e-5)
        assert scores["variability"].item() == pytest.approx(p.std(correction=0).item(), rel=1e-4)


def test_repeats_between_two_commits() -> None:
    """Sums take all presentations, learning times the first, the last loss and its average their mean."""
    zero = torch.tensor([0])
    right, wrong = torch.tensor([[4.0, 0, 0, 0]]), torch.tensor([[0, 4.0, 0, 0]])
    steps = [(0, zero, wrong, zero), (0, zero, right, zero), (1, zero, right, zero), (1, zero, wrong, zero)]
    fast = check(steps)
    scores = {name: value[0].item() for name, value in fast.compute().items()}
    assert scores["forgetting_events"] == 0  # first looks: wrong, right
    assert (scores["first_learned"], scores["learned_for_good"]) == (1, 1)
    assert (scores["correctness"], scores["wrong_events"]) == (2, 2)
    assert scores["loss_last"] == pytest.approx((scores["loss_cumulative"]) / 4)


def test_one_enormous_loss_does_not_rule_the_sum() -> None:
    zero = torch.tensor([0])
    steps = [(0, zero, torch.tensor([[-1e4, 0.0, 0, 0]]), zero), (1, zero, torch.zeros(1, 4), zero)]
    scores = feed(SignalSet([LossStatistics(decay=0.5)], 1), steps).compute()
    assert scores["loss_cumulative"].item() == pytest.approx(13.8 + math.log(4))
    assert scores["loss_ema"].item() == pytest.approx((13.8 + math.log(4)) / 2)


def test_arguments_that_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`decay` must be in \[0, 1\], got 1.5: it is the weight of the past"):
        LossStatistics(decay=1.5)
    with pytest.raises(ValueError, match="`max_loss` must be positive, got 0"):
        LossStatistics(max_loss=0)
    with pytest.raises(ValueError, match="`num_classes` must be at least 2, got 1"):
        MeanProbability(1)
    signals = SignalSet([MeanProbability(3)], 1)
    with pytest.raises(
        ValueError, match="`logits` must have 3 columns, got 4: build MeanProbability with the network's"
    ):
        signals.observe(Observation(torch.tensor([0]), torch.zeros(1, 4), torch.tensor([0])))


def test_directions() -> None:
    """Noise scores point the way they say: a sample whose label is never learned against one learned at once."""
    steps = []
    for (t, _, right, _), (_, _, wrong, _) in zip(
        correctness_stream("1" * 12), correctness_stream("0" * 12), strict=True
    ):
        steps.append((t, torch.tensor([0, 1]), torch.cat([right, wrong]), torch.tensor([0, 0])))
    fast = feed(SignalSet(core_signals(), 2), steps)
    for info in fast.score_info:
        good, bad = fast.compute()[info.name].tolist()
        if info.higher_is_noisier is not None and not math.isnan(bad):
            assert (bad > good) == info.higher_is_noisier, info.name


def test_scores_are_copies() -> None:
    fast = check(make_steps(1))
    before = {name: value.clone() for name, value in fast.compute().items()}
    for value in fast.compute().values():
        value.fill_(1234.0)
    for name, value in fast.compute().items():
        assert torch.equal(value.nan_to_num(-5), before[name].nan_to_num(-5)), name
