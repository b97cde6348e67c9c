"""Build the page: read the runs, fill the template, write one file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from noisylearn.report.figures import NUM_COLOURS, Spec, colour, curves, dash
from noisylearn.report.gallery import Gallery
from noisylearn.report.grouping import Group, group_runs, run_names
from noisylearn.report.perrun import GALLERY_SIZE, Shown, first_with_signals, shown_runs
from noisylearn.report.reading import Run, load_run
from noisylearn.report.samples import most_suspicious
from noisylearn.report.summary import DETECTORS, describe, provenance, summary_row
from noisylearn.report.wording import counted

HERE = Path(__file__).parent

CURVES = (
    ("test_accuracy", "Test accuracy", "on samples never trained on, whose labels are right", False),
    ("memorized", "Memorized", "wrongly labelled training samples, predicted as that label", True),
    (
        "correct_on_wrong",
        "Correct all the same",
        "wrongly labelled training samples, predicted as their true class",
        True,
    ),
)


def build_report(runs: Sequence[Path], out: Path, *, title: str, gallery: Gallery | None = None) -> Path:
    """Write one self-contained HTML page on one or several runs.

    The page asks nothing of the network: scripts, styles and images are inside. It is written to a temporary file and
    then moved into place, so that a page at ``out`` is always whole.

    Args:
        runs: Run folders; runs of one method with several seeds are shown as mean and deviation.
        out: The HTML file to write; folders above it are made.
        title: The page's title.
        gallery: Images of suspicious samples (`gallery_indices` says which are shown); without it the samples are
            listed by index.

    Returns:
        ``out``.

    Raises:
        ValueError: ``runs`` is empty, or a file in a run folder cannot be read.
        FileNotFoundError: A run folder has no ``result.json``.

    Example:
        >>> import json
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "result.json").write_text(json.dumps({"method": "ELR", "seed": 0, "test_last": 0.93}))
        >>> page = build_report([folder], folder / "report.html", title="One run")
        >>> "93.0" in page.read_text(encoding="utf-8")
        True
    """
    loaded = _load(runs)
    groups = group_runs(loaded)
    shown = shown_runs(groups, gallery)
    figures = _figures(groups, shown)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("page.html.jinja").render(
        title=title,
        paragraph=describe(groups),
        groups=groups,
        rows=[summary_row(group) for group in groups],
        detectors=DETECTORS,
        curves=[c for c in CURVES if c[0] in figures],
        num_seeds=max(len(group.runs) for group in groups),
        shown=shown,
        score_titles={s.name: s.title for panel in shown for s in panel.scores},
        first_score=_first_score(shown),
        has_images=gallery is not None,
        gallery_size=GALLERY_SIZE,
        provenance=[(name, run, provenance(run)) for name, run in zip(run_names(loaded), loaded, strict=True)],
        folders=counted(len(loaded), "run folder").capitalize(),
        figures=figures,
        colour=colour,
        dash=dash,
        num_colours=NUM_COLOURS,
        style=_verbatim("page.css"),
        script=_verbatim("page.js"),
        plotly=Markup(get_plotlyjs()),  # our own dependency's code, not data
    )
    return _write(Path(out), text)


def gallery_indices(runs: Sequence[Path]) -> npt.NDArray[np.int64]:
    """Return the training-set positions of all samples whose images the page can show, for `gallery_from_data`.

    Args:
        runs: The run folders that the page will be built from.

    Returns:
        ``(k,)`` sorted positions, each once: the 48 most suspicious of the first run of each method.

    Raises:
        ValueError: ``runs`` is empty, or a file in a run folder cannot be read.
        FileNotFoundError: A run folder has no ``result.json``.
    """
    firsts = (first_with_signals(group) for group in group_runs(_load(runs)))
    found = [most_suspicious(run, GALLERY_SIZE) for run in firsts if run is not None]
    return np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)


def _load(runs: Sequence[Path]) -> list[Run]:
    if not runs:
        raise ValueError("`runs` must hold at least one run folder, got none: pass e.g. [Path('runs/demo/elr/0')]")
    return [load_run(Path(run)) for run in runs]


def _figures(groups: Sequence[Group], shown: Sequence[Shown]) -> dict[str, Spec]:
    drawn: dict[str, Spec | None] = {key: curves(groups, key, whole_range=whole) for key, _, _, whole in CURVES}
    for number, panel in enumerate(shown):
        drawn |= {f"score:{number}:{score.name}": score.spec for score in panel.scores}
        drawn |= {f"confusion-{c.other}:{number}": c.spec for c in panel.confusions}
    return {key: spec for key, spec in drawn.items() if spec is not None}


def _first_score(shown: Sequence[Shown]) -> str:
    names = [s.name for panel in shown for s in panel.scores]
    ranked = next((panel.ranked_by for panel in shown if panel.ranked_by), None)
    return ranked or (names[0] if names else "")


def _verbatim(name: str) -> Any:
    return Markup((HERE / name).read_text(encoding="utf-8"))  # a file of this package, not data


def _write(out: Path, text: str) -> Path:
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o644)  # mkstemp makes files that only their owner may read
        Path(name).replace(out)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return out
