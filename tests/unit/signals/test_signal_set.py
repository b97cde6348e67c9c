"""`SignalSet`: several signals over one table."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from noisylearn.signals import (
    EL2N,
    Forgetting,
    GivenLabel,
    LossStatistics,
    Margin,
    NeighborDisagreement,
    Observation,
    Score,
    Signal,
    SignalSet,
    core_signals,
)
from noisylearn.tables import Column, Views
from tests.unit.signals.test_signals import NUM_SAMPLES, all_signals, feed, make_steps


class Squared(Signal):
    """The sum of squared margins, and the plain sum, which it shares with `Margin`."""

    paper = "none"
    scores = (Score("margin_spread", "mean square less squared mean", higher_is_noisier=None),)
    columns = (Column("margin_sum"), Column("margin_square_sum"))

    def observe(self, obs: Observation) -> Mapping[str, Tensor]:
        return {"margin_sum": obs.margin, "margin_square_sum": obs.margin**2}

    def compute(self, state: Views) -> Mapping[str, Tensor]:
        n = state["n_seen"]
        return {"margin_spread": state["margin_square_sum"] / n - (state["margin_sum"] / n) ** 2}


def test_signals_share_a_column_of_the_same_name() -> None:
    alone, both = SignalSet([Margin()], NUM_SAMPLES), SignalSet([Margin(), Squared()], NUM_SAMPLES)
    assert [c.name for c in both.table.columns].count("margin_sum") == 1
    steps = make_steps(0)
    assert torch.equal(feed(both, steps).compute()["aum"][1:], feed(alone, steps).compute()["aum"][1:])
    assert (both.compute()["margin_spread"][1:] >= -1e-4).all()


def test_one_column_declared_in_two_ways() -> None:
    class Other(Squared):
        columns = (Column("margin_sum", merge="last"), Column("margin_square_sum"))

    with pytest.raises(ValueError, match="`signals` declare the column 'margin_sum' in two ways: rename one of them"):
        SignalSet([Margin(), Other()], 3)


def test_one_score_reported_twice() -> None:
    with pytest.raises(ValueError, match="`signals` must report distinct scores, got 'el2n' twice: drop one"):
        SignalSet([EL2N(), Margin(), EL2N()], 3)


def test_no_signals() -> None:
    with pytest.raises(ValueError, match=r"`signals` must hold at least one signal, got none: e.g. core_signals\(\)"):
        SignalSet([], 3)


def test_the_core_set_stays_inside_its_budget() -> None:
    state, staged = SignalSet(core_signals(), 1).table.bytes_per_sample
    assert state <= 56
    assert staged <= 28


def test_a_signal_knows_its_own_bytes() -> None:
    assert [(type(s).__name__, s.bytes_per_sample) for s in core_signals()] == [
        ("Margin", 4), ("DataMaps", 10), ("EL2N", 4), ("LossStatistics", 12), ("Forgetting", 10)
    ]  # fmt: skip
    assert all_signals()[-1].bytes_per_sample == 16


def test_every_score_is_described_and_computed() -> None:
    signals = SignalSet(all_signals(), NUM_SAMPLES)
    scores = feed(signals, make_steps(0)).compute()
    assert list(scores) == [info.name for info in signals.score_info]
    for info in signals.score_info:
        assert info.description
        assert scores[info.name].shape == (NUM_SAMPLES,)
        assert scores[info.name].dtype == torch.float32


def test_only_the_scores_wanted_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    signals = SignalSet([*core_signals(), NeighborDisagreement(width=2, num_classes=4)], NUM_SAMPLES)
    monkeypatch.setattr(NeighborDisagreement, "compute", lambda self, state: pytest.fail("computed, and not wanted"))
    scores = signals.compute(["aum", "wrong_events"])
    assert sorted(scores) == ["aum", "wrong_events"]  # not the other scores of their signals


def test_before_the_first_commit_all_is_nan() -> None:
    signals = SignalSet(all_signals(), 2)
    signals.observe(Observation(torch.tensor([0]), torch.zeros(1, 4), torch.tensor([1])))
    assert all(value.isnan().all() for value in signals.compute().values())


@pytest.mark.parametrize("when", [0, 4, 7, 18])
def test_four_epochs_at_once_equal_two_and_two_with_a_checkpoint_between(when: int) -> None:
    """In the middle of an epoch too."""
    steps = make_steps(3)
    whole = feed(SignalSet(all_signals(), NUM_SAMPLES), steps)
    parts = SignalSet(all_signals(), NUM_SAMPLES)
    for at, (epoch, index, logits, targets) in enumerate(steps):
        if at == when:
            parts = through_a_file(parts)
        parts.observe(Observation(index, logits, targets))
        if at + 1 == len(steps) or steps[at + 1][0] != epoch:
            parts.commit(epoch)
    for name, value in whole.compute().items():
        assert torch.equal(parts.compute()[name].nan_to_num(-9), value.nan_to_num(-9)), name


def test_what_waits_is_dropped_with_what_is_staged() -> None:
    signals = SignalSet([Margin()], 4)
    for rows in ([0, 1], [1, 2], [3]):
        signals.observe(Observation(torch.tensor(rows), torch.zeros(len(rows), 2), torch.zeros(len(rows)).long()))
    assert signals.discard() == 4
    signals.commit(0)
    assert signals.table.views()["n_seen"].tolist() == [0] * 4


def through_a_file(signals: SignalSet) -> SignalSet:
    file = io.BytesIO()
    torch.save(signals.state_dict(), file)
    file.seek(0)
    other = SignalSet(all_signals(), NUM_SAMPLES)
    other.load_state_dict(torch.load(file, weights_only=True))
    return other


def test_a_checkpoint_of_other_signals() -> None:
    saved = SignalSet([Margin(), Forgetting()], 3).state_dict()
    with pytest.raises(ValueError, match="resume with the same signals"):
        SignalSet([Margin(), LossStatistics()], 3).load_state_dict(saved)


def test_the_given_label_is_the_last_one_seen() -> None:
    signals = SignalSet([GivenLabel()], 2)
    for label in (3, 1):
        signals.observe(Observation(torch.tensor([1]), torch.zeros(1, 4), torch.tensor([label])))
    signals.commit(0)
    assert signals.compute()["given"].nan_to_num(-1).tolist() == [-1, 1]


def test_what_waits_is_a_copy_and_is_staged_when_it_is_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noisylearn.signals.signal_set.CHUNK_ROWS", 6)
    signals, at_once = (SignalSet(core_signals(), 8) for _ in range(2))
    staged = []
    for step in range(5):
        index, logits = torch.tensor([step, step + 1]), torch.randn(2, 3)
        obs = Observation(index, logits, torch.tensor([0, 2]))
        at_once.observe(obs)
        at_once.stage()
        signals.observe(obs)
        logits.fill_(torch.nan)  # as a network that writes its output in place would
        index.fill_(7)
        staged.append(int(signals.table._staged[torch.int16].views()["n_seen"].sum()))
    assert staged == [2, 2, 2, 8, 8]  # the first at once, to be checked; then six rows at a time
    saved = signals.state_dict()
    assert signals.commit(0) == at_once.commit(0) == 0
    restored = SignalSet(core_signals(), 8)
    restored.observe(Observation(torch.tensor([0]), torch.zeros(1, 3), torch.tensor([0])))
    restored.load_state_dict(saved)
    restored.commit(0)
    for name, value in at_once.compute().items():
        for other in (signals, restored):
            assert torch.equal(other.compute()[name].nan_to_num(-9), value.nan_to_num(-9)), name


def test_logits_of_another_width_do_not_wait_with_the_rest() -> None:
    signals = SignalSet(core_signals(), 4)
    for classes in (3, 3, 5, 3):
        signals.observe(Observation(torch.tensor([1]), torch.zeros(1, classes), torch.tensor([0])))
    signals.commit(0)
    assert signals.table.views()["n_seen"].tolist() == [0, 4, 0, 0]
