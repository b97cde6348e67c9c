"""The page's figures as plain plotly.js specifications.

A colour is the name of a CSS custom property, e.g. ``"--m0"``, or that name and an opacity, ``"--m0/0.16"``: the page's
script replaces them, so that light and dark share one specification.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from noisylearn.report.grouping import Group
from noisylearn.report.samples import Histogram

Spec = dict[str, Any]

NUM_COLOURS = 6
DASHES = ("solid", "dash", "dot", "dashdot")
MAX_CLASSES_DRAWN = 100
MAX_CLASSES_WITH_TEXT = 12
MAX_NAME = 16

MARGIN = {"l": 44, "r": 14, "t": 10, "b": 46}
"""Room for the axes' texts, in pixels: fixed, because plotly.js may find no end in adapting it to the texts."""

PART_COLOURS = {"right": "--right", "wrong": "--wrong", "all": "--right"}
PART_NAMES = {"right": "right label", "wrong": "wrong label", "all": "all samples"}


def literal(text: str) -> str:
    """Return text as plotly.js shows it unchanged: it would read ``<b>`` as a tag.

    Example:
        >>> literal("<b>&")
        '&lt;b&gt;&amp;'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def colour(number: int) -> str:
    """Return the colour of the method at this position on the page."""
    return f"--m{number % NUM_COLOURS}"


def dash(number: int) -> str:
    """Return the line style of the method at this position: a new one each time the colours begin again."""
    return DASHES[(number // NUM_COLOURS) % len(DASHES)]


def curves(groups: Sequence[Group], key: str, *, whole_range: bool) -> Spec | None:
    """Return a metric per epoch: each method's mean over seeds, with a band of one standard deviation either way.

    Args:
        groups: The methods.
        key: A column of ``metrics.csv`` that holds fractions.
        whole_range: Show 0 to 100 % whatever the values.

    Returns:
        The figure, or ``None`` if no run has the metric.
    """
    bands: list[Spec] = []
    lines: list[Spec] = []
    for group in groups:
        epochs, mean, std = group.curve(key)
        if not epochs:
            continue
        known = [(e, m, s) for e, m, s in zip(epochs, mean, std, strict=True) if s is not None]
        if known:
            bands.append(_band(known, group.number))
        lines.append(
            {
                "type": "scatter",
                "mode": "lines" if len(epochs) > 1 else "markers",
                "name": literal(group.label),
                "x": epochs,
                "y": _rounded(mean),
                "customdata": [f" ± {100 * s:.1f}" if s is not None else "" for s in std],
                "line": {"color": colour(group.number), "dash": dash(group.number), "width": 2.2},
                "marker": {"color": colour(group.number)},
                "hovertemplate": "%{y:.1%}%{customdata}",
            }
        )
    if not lines:
        return None
    layout = {
        "xaxis": {"title": {"text": "epoch"}, "rangemode": "tozero", "hoverformat": "d"},
        "margin": MARGIN,
        "yaxis": {"tickformat": ".0%", "range": [-0.015, 1.025] if whole_range else None, "nticks": 6},
        "hovermode": "x unified",
    }
    return {"data": bands + lines, "layout": layout}


def _band(points: Sequence[tuple[int, float, float]], number: int) -> Spec:
    epochs = [e for e, _, _ in points]
    upper, lower = [m + s for _, m, s in points], [m - s for _, m, s in points]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": epochs + epochs[::-1],
        "y": _rounded(upper + lower[::-1]),
        "fill": "toself",
        "fillcolor": f"{colour(number)}/0.17",
        "line": {"width": 0},
        "hoverinfo": "skip",
    }


def distribution(shown: Histogram) -> Spec:
    """Return a score's distribution: bars of each part, as the share of that part's samples with a value.

    Args:
        shown: The histogram.
    """
    centres = _rounded((shown.edges[:-1] + shown.edges[1:]) / 2)
    width = float(shown.edges[1] - shown.edges[0])
    bars = []
    for part, counts in shown.counts.items():
        share = counts / max(1, int(counts.sum()))
        bars.append(
            {
                "type": "bar",
                "name": PART_NAMES[part],
                "x": centres,
                "y": _rounded(share),
                "width": width,
                "customdata": counts.tolist(),
                "marker": {"color": f"{PART_COLOURS[part]}/0.62", "line": {"width": 0}},
                "hovertemplate": "%{y:.1%} (%{customdata})",
            }
        )
    layout = {
        "barmode": "overlay",
        "margin": MARGIN | {"l": 58, "b": 30},
        "bargap": 0,
        "xaxis": {"hoverformat": ".4~g", "zeroline": False},
        "yaxis": {"tickformat": ".0~%", "title": {"text": "share of each part"}, "nticks": 6, "rangemode": "tozero"},
        "hovermode": "x unified",
    }
    return {"data": bars, "layout": layout}


def heatmap(counts: npt.NDArray[np.int64], names: Sequence[str], column_title: str) -> Spec:
    """Return a confusion matrix: the row is the given label, and each row's shares add up to 100 %.

    Args:
        counts: ``(C, C)``.
        names: The classes' names.
        column_title: What a column is.
    """
    totals = counts.sum(axis=1, keepdims=True)
    share = counts / np.maximum(totals, 1)
    positions = list(range(len(names)))
    texts = [[f"{100 * v:.0f}" if v >= 0.005 else "" for v in row] for row in share]
    stops = ((0.0, "--heat0"), (0.03, "--heat1"), (0.15, "--heat2"), (0.5, "--heat3"), (1.0, "--heat4"))
    trace: Spec = {
        "type": "heatmap",
        "z": [_rounded(row) for row in share],
        "x": positions,
        "y": positions,
        "customdata": counts.tolist(),
        "zmin": 0,
        "zmax": 1,
        "colorscale": [list(stop) for stop in stops],
        "showscale": False,
        "hovertemplate": f"given %{{y}}, {column_title} %{{x}}<br>"
        "%{z:.1%} of the row (%{customdata})<extra></extra>",
    }
    if len(names) <= MAX_CLASSES_WITH_TEXT:
        trace |= {"text": texts, "texttemplate": "%{text}", "xgap": 2, "ygap": 2}
    step = math.ceil(len(names) / 25)
    shown = [_shortened(name) for name in names[::step]]
    longest = max(map(len, shown), default=1)
    room = 10 + 7 * longest
    shared = {
        "tickmode": "array",
        "tickvals": positions[::step],
        "ticktext": [literal(name) for name in shown],
        "showgrid": False,
        "zeroline": False,
        "ticks": "",
    }
    layout = {
        "xaxis": {**shared, "side": "top", "tickangle": 0 if longest <= 2 else -90},
        "yaxis": {**shared, "autorange": "reversed"},
        "margin": {"l": room, "t": 20 if longest <= 2 else room, "r": 4, "b": 4},
    }
    return {"data": [trace], "layout": layout}


def _shortened(name: str) -> str:
    return name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…"


def _rounded(values: npt.ArrayLike) -> list[float]:
    """Return numbers with six significant digits: more would only make the page larger."""
    return [float(f"{v:.6g}") for v in np.asarray(values, dtype=np.float64)]
