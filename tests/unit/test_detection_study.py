"""The detection study: its results are whole, and its page says nothing that they do not."""

from __future__ import annotations

import csv
import re
from collections import Counter
from itertools import pairwise
from statistics import fmean

import pytest
import torch

from benchmarks.detection import evaluate, summarise
from benchmarks.detection.summarise import CELLS, FASHION, HELD_OUT, METRICS, Results
from noisylearn.signals import average_rank, suspicion

ROWS = summarise.read("results.csv")
RESULTS = Results(ROWS)
README = (summarise.HERE / "README.md").read_text(encoding="utf-8")
TABLES = (summarise.HERE / "tables.md").read_text(encoding="utf-8")


def mean(when: str, signal: str, metric: str = "auroc", cells: list[tuple[str, str]] | None = None) -> float:
    """An average by a loop over the rows of the file."""
    wanted = list(CELLS) if cells is None else cells
    return fmean(
        fmean(
            float(row[metric])
            for row in ROWS
            if (row["when"], row["signal"], row["data"], row["noise"]) == (when, signal, *cell)
        )
        for cell in wanted
    )


def test_every_signal_was_measured_in_every_cell_and_seed() -> None:
    per_signal = Counter((row["when"], row["signal"]) for row in ROWS)
    first_seed_only = {"grand", "curvature"}
    assert all(count == (1 if s in first_seed_only else 3) * len(CELLS) for (_, s), count in per_signal.items())
    cells = {(row["data"], row["noise"], row["seed"]) for row in ROWS}
    assert cells == {(*cell, seed) for cell in CELLS for seed in "012"}
    assert all(0 <= float(row[metric]) <= 1 for row in ROWS for metric in METRICS)


def test_every_run_has_its_facts() -> None:
    runs = summarise.read("runs.csv")
    assert Counter((run["data"], run["noise"]) for run in runs) == dict.fromkeys(CELLS, 3)
    assert all(run["seconds_folds"] for run in runs), "cleanlab's part is missing"


def test_averages_are_those_of_a_slow_loop() -> None:
    for signal in ("aum", "suspicion", "self_confidence (cleanlab)"):
        for metric in METRICS:
            assert RESULTS.mean("whole", signal, metric) == pytest.approx(mean("whole", signal, metric))
            assert RESULTS.mean("early", signal, metric, FASHION) == pytest.approx(
                mean("early", signal, metric, FASHION)
            )


def test_tables_are_what_the_results_give() -> None:
    parts = summarise.tables()
    assert all(part in TABLES for part in parts.values())
    assert summarise.filled(README, parts) == README
    assert len(re.findall("<!-- table: ", README)) == len(re.findall("<!-- end -->", README)) > 3


def test_numbers_in_the_text_are_cells_of_the_tables() -> None:
    prose = re.sub(r"<!-- table: .+?<!-- end -->", "", README, flags=re.DOTALL)
    for number in re.findall(r"\d+\.\d+", prose):
        assert re.search(rf"(?<![\d.]){re.escape(number)}(?!\d)", TABLES), f"{number} stands in no table"


def test_verdict_is_that_of_a_slow_loop() -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in summarise.verdict(RESULTS).splitlines()[2:]]
    parts = {"all": list(CELLS), "Fashion-MNIST": FASHION, "held out": HELD_OUT}
    assert [row[:2] for row in rows] == [[when, where] for when in ("early", "whole") for where in parts]
    for when, where, best, figure, ahead, core_ahead in rows:
        singles = {s: mean(when, s, cells=parts[where]) for s in RESULTS.signals(when) if summarise.is_single(s)}
        assert best == max(singles, key=lambda s: singles[s])
        assert float(figure.split()[0]) == pytest.approx(singles[best], abs=6e-4)
        for signal, difference in (("suspicion", ahead), ("suspicion (core set)", core_ahead)):
            expected = mean(when, signal, cells=parts[where]) - singles[best]
            assert float(difference.split()[0]) == pytest.approx(expected, abs=6e-4)


def test_what_the_text_says_of_suspicion_is_so() -> None:
    core = ("aum", "el2n", "wrong_events", "confidence", "loss_mean", "loss_ema", "loss_last", "learning_order")
    for when in ("early", "whole"):
        singles = [s for s in RESULTS.signals(when) if summarise.is_single(s)]
        for cells in (list(CELLS), HELD_OUT):
            assert mean(when, "suspicion", cells=cells) >= max(mean(when, s, cells=cells) for s in singles)
        assert mean(when, "suspicion (core set)") > max(mean(when, s) for s in core)
        for parts in evaluate.CANDIDATES:
            names = (f"mean rank: {', '.join(parts)}", f"mean rank, also in class: {', '.join(parts)}")
            plain, inside = (mean(when, name, cells=HELD_OUT) for name in names)
            assert inside > plain
        assert mean(when, "suspicion", cells=FASHION) < max(mean(when, s, cells=FASHION) for s in singles)
    assert mean("whole", "suspicion (core set)") < mean("whole", "self_influence_normalized")
    several = [s for s in RESULTS.signals("whole") if s.startswith("mean rank") and ", " in s.split(": ")[1]]
    assert max(mean("whole", s) for s in several) <= mean("whole", "suspicion")


def test_what_the_text_says_of_time_is_so() -> None:
    early = {s: mean("early", s) for s in RESULTS.signals("early") if summarise.is_single(s)}
    assert set(sorted(early, key=lambda s: -early[s])[:2]) == {"aum", "el2n"}
    gain = {s: mean("whole", s) - early[s] for s in early}
    assert min(gain["self_influence_normalized"], gain["wrong_events"]) > 0
    fading = [gain[s] for s in ("aum", "el2n", "confidence")]
    assert max(fading) < 0
    assert max(gain[s] for s in ("loss_last", "clean_probability (gmm)", "clean_probability (bmm)")) < min(fading)
    for s in ("aum", "el2n", "loss_last"):
        cell = [("cifar10", "asymmetric_cifar10")]
        assert mean("whole", s, cells=cell) > mean("early", s, cells=cell)
    assert mean("early", "forgetting_events") < 0.48
    assert abs(mean("whole", "forgetting_events") - 0.5) < 0.02
    for when in ("early", "whole"):
        for data in ("fashion_mnist", "cifar10"):
            assert mean(when, "forgetting_events", cells=[(data, "symmetric")]) < 0.5
    assert early["variability"] < 0.5


def test_what_the_text_says_of_compute_is_so() -> None:
    for when in ("early", "whole"):
        theirs = [s for s in RESULTS.signals(when) if "cleanlab" in s]
        assert max(mean(when, s) for s in theirs) < mean(when, "suspicion")
        for s in {"grand", "curvature", "csg", "vog"} & set(RESULTS.signals(when)):
            assert mean(when, s) < mean(when, "el2n")
    aggre = [("cifar10n", "aggre")]
    ours, theirs_there = (mean("whole", s, cells=aggre) for s in ("suspicion", "self_confidence (cleanlab)"))
    assert abs(ours - theirs_there) < 0.005
    for s in ("neighbor_disagreement", "self_confidence", "normalized_margin", "confidence_weighted_entropy"):
        assert max(mean(when, s) for when in ("early", "whole")) < min(mean("early", "aum"), mean("early", "el2n"))


def test_lists_are_sorted() -> None:
    rows = summarise.by_cell(RESULTS, "whole", "auroc").splitlines()[2:]
    averages = [float(row.split("|")[-2].split("±")[0]) for row in rows]
    assert all(first >= second for first, second in pairwise(averages))


def test_suspicious_turns_scores_and_answers_for_all() -> None:
    nan = torch.nan
    assert evaluate.suspicious("aum", torch.tensor([2.0, -1.0])).tolist() == [-2.0, 1.0]
    assert evaluate.suspicious("el2n", torch.tensor([0.2, 1.0])).tolist() == pytest.approx([0.2, 1.0])
    assert evaluate.suspicious("first_learned", torch.tensor([3.0, nan])).tolist() == [3.0, torch.inf]
    assert evaluate.suspicious("clean_probability", torch.tensor([nan, nan])).tolist() == [0.0, 0.0]


def test_candidates_hold_the_default() -> None:
    names = sorted({part for parts in evaluate.CANDIDATES for part in parts})
    generator = torch.Generator().manual_seed(0)
    scores = {name: torch.randperm(20, generator=generator).float() for name in names}
    scores["given"] = torch.arange(20.0) % 4
    found = dict(evaluate.combinations(scores))
    assert torch.equal(found["suspicion"], suspicion(scores))
    assert torch.allclose(
        found["mean rank, also in class: self_influence_normalized"], suspicion(scores), atol=1e-6, rtol=0
    )
    core = suspicion({name: scores[name] for name in ("aum", "wrong_events", "given")})
    assert torch.equal(found["suspicion (core set)"], core)
    assert torch.allclose(found["mean rank, also in class: aum, wrong_events"], core, atol=1e-6, rtol=0)
    parts = [average_rank(-scores["aum"]), average_rank(scores["el2n"])]
    assert torch.allclose(found["mean rank: aum, el2n"], torch.stack(parts).mean(0))


def test_with_error_is_the_standard_error_of_the_mean() -> None:
    assert summarise.with_error([0.5, 0.6, 0.7]) == "0.600 ± 0.058"  # 0.1 / sqrt(3)


def test_results_have_one_row_a_score() -> None:
    with (summarise.HERE / "results.csv").open(encoding="utf-8") as stream:
        keys = [tuple(row[k] for k in ("data", "noise", "seed", "when", "signal")) for row in csv.DictReader(stream)]
    assert len(keys) == len(set(keys))


def test_held_out_cells_are_not_those_of_the_choice() -> None:
    assert not set(FASHION) & set(HELD_OUT)
    assert set(FASHION) | set(HELD_OUT) == set(CELLS)
