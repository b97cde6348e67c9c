"""What was run, in words and in one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from noisylearn.report.grouping import FigureText, Group, noise_of, setting_of
from noisylearn.report.reading import Run
from noisylearn.report.wording import count, counted, duration, listing, percent

DETECTORS = (("aum", "AUM"), ("wrong_events", "Wrong events"), ("el2n", "EL2N"))
"""The scores whose detection figures stand in the summary."""

NOISE_WORDS = {
    "symmetric": "a wrong class drawn evenly",
    "symmetric_exact": "a wrong class drawn evenly",
    "symmetric_inclusive": "a class drawn evenly, which may be the right one",
    "symmetric_inclusive_exact": "a class drawn evenly, which may be the right one",
    "pair_flip": "the next class",
}


@dataclass(frozen=True)
class Row:
    """One line of the summary table; all figures are text."""

    group: Group
    seeds: str
    marks: tuple[str, ...]
    last: FigureText
    best: FigureText
    memorized: FigureText
    detection: tuple[tuple[FigureText, FigureText], ...]
    seconds: FigureText


def summary_row(group: Group) -> Row:
    """Return a method's line: accuracies and memorized part in per cent, detection as fractions, mean ± std."""
    seconds = group.figure(lambda r: r.get("train_seconds"))
    unfinished = f"{group.num_unfinished} of {len(group.runs)} unfinished" if group.num_unfinished else None
    return Row(
        group=group,
        seeds=f"n = {len(group.runs)}, seed{'' if len(group.runs) == 1 else 's'} {group.seeds}",
        marks=tuple(mark for mark in (group.reduced, unfinished) if mark),
        last=group.figure(lambda r: r.get("test_last")).text(1, 100),
        best=group.figure(lambda r: r.get("test_best")).text(1, 100),
        memorized=group.figure(lambda r: r.get("memorized_last")).text(1, 100),
        detection=tuple(
            (group.detection(s, "auroc").text(3), group.detection(s, "average_precision").text(3)) for s, _ in DETECTORS
        ),
        seconds=seconds.text(1) if (seconds.mean or 0) < 1000 else seconds.text(0),
    )


def describe(groups: Sequence[Group]) -> str:
    """Return one plain paragraph on what was run; every figure in it is read from the results.

    Args:
        groups: The methods.
    """
    runs = [run for group in groups for run in group.runs]
    settings = [setting_of(run) for run in runs]
    data = sorted({setting["data"] for setting in settings})
    what = "One method was" if len(groups) == 1 else f"{counted(len(groups), 'method').capitalize()} were"
    if len({(setting["data"], setting["noise"]) for setting in settings}) == 1:
        subject = f"{what} trained on {_samples(runs[0])}{data[0]}{_noise_clause(runs)}"
    else:
        what = f"{counted(len(runs), 'run').capitalize()} in {counted(len(groups), 'setting')}"
        subject = f"{what} {'stands' if len(runs) == 1 else 'stand'} here, on {listing(data)}"
    return " ".join(s for s in (subject + _schedule(groups) + ".", _lesson(runs), _outcome(groups)) if s)


def _samples(run: Run) -> str:
    number = run.result.get("num_samples")
    return f"the {count(int(number))} training samples of " if number else ""


def _noise_clause(runs: Sequence[Run]) -> str:
    noise = noise_of(runs[0])
    generator = str(noise.get("generator") or "none")
    if generator == "none":
        return ", with the labels as they came and no noise added"
    realised = [r for r in (noise_of(run).get("realised_rate") for run in runs) if r is not None]
    share = percent(sum(realised) / len(realised) if realised else noise.get("rate"))
    if generator == "human":
        return f", with labels given by people, {share} of which differ from the clean ones"
    words = NOISE_WORDS.get(generator)
    means = f", each replaced by {words}" if words else ""
    return f", with {share} of the labels made wrong on purpose ({generator.replace('_', ' ')} noise{means})"


def _schedule(groups: Sequence[Group]) -> str:
    runs = [run for group in groups for run in group.runs]
    epochs = {run.result.get("epochs") for run in runs}
    known = epochs.pop() if len(epochs) == 1 else None
    length = f", for {counted(int(known), 'epoch')}" if known else ""
    reduced = ", on a reduced schedule" if any(g.reduced for g in groups) else ""
    seeds = {g.seeds for g in groups}
    if len(seeds) > 1:
        return f"{length}{reduced}, with the seeds named below"
    number = len(groups[0].runs)
    named = f"seed{'' if number == 1 else 's'} {seeds.pop()}"
    each = " each" if len(groups) > 1 else ""
    times = {1: "once", 2: f"twice{each}"}.get(number, counted(number, "time") + each)
    return f"{length}{reduced}, {times} ({named})"


def _lesson(runs: Sequence[Run]) -> str:
    if not any(r.result.get("memorized_last") is not None for r in runs):
        return ""
    return (
        "A network first learns what the right labels have in common and only later memorizes the wrong ones; "
        "a robust method keeps it from doing so."
    )


def _outcome(groups: Sequence[Group]) -> str:
    last = [(g.figure(lambda r: r.get("test_last")), g) for g in groups]
    known = [(f.mean, g) for f, g in last if f.mean is not None]
    if len(known) < 2:
        return ""
    (low, worst), (high, best) = min(known, key=_mean), max(known, key=_mean)
    if low == high:
        return ""
    sentence = f"After the last epoch, {best.label} is right on {percent(high)} of the test samples"
    sentence += f" and {worst.label} on {percent(low)}"
    kept = [g.figure(lambda r: r.get("memorized_last")).mean for g in (best, worst)]
    if None in kept:
        return sentence + "."
    return f"{sentence}; they have memorized {percent(kept[0])} and {percent(kept[1])} of the wrong labels."


def _mean(pair: tuple[float, Group]) -> float:
    return pair[0]


def provenance(run: Run) -> list[tuple[str, str]]:
    """Return what must be known to repeat a run, as (name, text); what the result does not say is left out.

    Args:
        run: The run.
    """
    result, noise = run.result, noise_of(run)
    rates = [
        f"asked {noise['rate']:g}" if noise.get("rate") is not None else "",
        f"realised {noise['realised_rate']:.4f}" if noise.get("realised_rate") is not None else "",
    ]
    pairs: list[tuple[str, Any]] = [
        ("Cell", result.get("cell")),
        ("Data", result.get("data")),
        ("Noise generator", noise.get("generator")),
        ("Noise rate", ", ".join(r for r in rates if r)),
        ("Noise seed", noise.get("seed")),
        ("Hash of the labels (SHA-1)", noise.get("sha1")),
        ("Training samples", result.get("num_samples")),
        ("Classes", result.get("num_classes")),
        ("Epochs", _epochs(result)),
        ("Schedule", "reduced" if result.get("reduced") is True else result.get("reduced") or None),
        ("Seed", result.get("seed")),
        ("Commit", result.get("commit")),
        ("Versions", _flat(result.get("versions"))),
        ("Hardware", _flat(result.get("hardware"))),
        ("Time", _time(result)),
    ]
    return [(name, str(value)) for name, value in pairs if value is not None and str(value) != ""]


def _epochs(result: dict[str, Any]) -> str | None:
    asked, run = result.get("epochs"), result.get("epochs_run")
    return None if asked is None else f"{asked}" if run in (None, asked) else f"{run} of {asked}"


def _flat(record: Any) -> str | None:
    if not isinstance(record, dict):
        return None if record is None else str(record)
    return ", ".join(f"{str(k).replace('_', ' ')} {v}" for k, v in record.items())


def _time(result: dict[str, Any]) -> str | None:
    minutes, seconds = result.get("minutes"), result.get("train_seconds")
    whole = f"{duration(60 * minutes)} in all" if minutes is not None else ""
    training = f"{duration(seconds)} of training" if seconds is not None else ""
    return ", ".join(p for p in (whole, training) if p) or None
