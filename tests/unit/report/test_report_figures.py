from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from noisylearn.report import load_run
from noisylearn.report.figures import NUM_COLOURS, colour, curves, dash, distribution, heatmap
from noisylearn.report.grouping import Group, group_runs
from noisylearn.report.samples import histogram
from tests.unit.report.synthetic import write_run

CSS = (Path(__file__).parents[3] / "noisylearn" / "report" / "page.css").read_text(encoding="utf-8")


def groups_of(tmp_path: Path) -> list[Group]:
    return group_runs(
        [load_run(write_run(tmp_path / f"{m}{s}", method=m, seed=s)) for m in ("CE", "ELR") for s in (0, 2)]
    )


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from strings(part)


def painted(value: Any) -> Any:
    """A specification with real colours in the place of custom properties, as plotly's validators want them."""
    if isinstance(value, str):
        return "#123456" if value.startswith("--") else value
    if isinstance(value, dict):
        return {key: painted(part) for key, part in value.items()}
    return [painted(part) for part in value] if isinstance(value, list) else value


def test_curves_are_mean_and_sample_deviation_over_seeds(tmp_path: Path) -> None:
    spec = curves(groups_of(tmp_path), "test_accuracy", whole_range=False)
    assert spec is not None
    bands, lines = spec["data"][:2], spec["data"][2:]
    assert [line["name"] for line in lines] == ["CE", "ELR"]
    expected = [0.3 + 0.1 * e + 0.01 for e in range(6)]
    assert lines[0]["x"] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(lines[0]["y"], expected, rtol=1e-5)
    deviation = np.std([0.0, 0.02], ddof=1)
    upper_then_lower = [m + deviation for m in expected] + [m - deviation for m in expected][::-1]
    np.testing.assert_allclose(bands[0]["y"], upper_then_lower, rtol=1e-5)
    assert curves(groups_of(tmp_path), "never_logged", whole_range=True) is None


def test_method_has_the_same_colour_in_every_figure(tmp_path: Path) -> None:
    for key in ("test_accuracy", "memorized", "correct_on_wrong"):
        spec = curves(groups_of(tmp_path), key, whole_range=True)
        assert spec is not None
        assert [line["line"]["color"] for line in spec["data"][2:]] == [colour(0), colour(1)]
    looks = [(colour(k), dash(k)) for k in range(3 * NUM_COLOURS)]
    assert len(set(looks)) == len(looks)


def test_plotly_accepts_every_figure_and_the_style_knows_every_colour(tmp_path: Path) -> None:
    shown = histogram(
        np.array([0.1, 0.4, 2.0, np.nan]),
        {"right": np.array([1, 1, 0, 0], bool), "wrong": np.array([0, 0, 1, 1], bool)},
    )
    assert shown is not None
    specs = [curves(groups_of(tmp_path), "memorized", whole_range=True), distribution(shown)]
    specs += [heatmap(np.array([[3, 1], [0, 4]]), ["a", "b" * 40], "true")]
    for spec in specs:
        go.Figure(painted(spec))
        names = {text.split("/")[0] for text in strings(spec) if text.startswith("--")}
        assert names
        for name in names:
            assert CSS.count(f"{name}: #") == 2, f"{name} needs a hexadecimal colour for light and for dark"


def test_distribution_is_the_share_of_each_part() -> None:
    scores = np.array([0.0, 0, 1, 1, 1, 1])
    shown = histogram(
        scores, {"right": np.array([1, 1, 1, 1, 0, 0], bool), "wrong": np.array([0, 0, 0, 0, 1, 1], bool)}
    )
    assert shown is not None
    right, wrong = distribution(shown)["data"]
    assert (right["x"], right["y"], right["customdata"]) == ([0.0, 1.0], [0.5, 0.5], [2, 2])
    assert (wrong["y"], wrong["customdata"]) == ([0.0, 1.0], [0, 2])


def test_heatmap_rows_add_up_and_an_empty_row_is_zero() -> None:
    trace = heatmap(np.array([[3, 1], [0, 0]]), ["<b>cat</b>", "dog"], "true")
    assert trace["data"][0]["z"] == [[0.75, 0.25], [0.0, 0.0]]
    assert trace["data"][0]["text"] == [["75", "25"], ["", ""]]
    assert trace["layout"]["xaxis"]["ticktext"] == ["&lt;b&gt;cat&lt;/b&gt;", "dog"]


@pytest.mark.parametrize("classes", [1, 2, 26, 100])
def test_heatmap_names_at_most_25_classes_on_an_axis(classes: int) -> None:
    axis = heatmap(np.eye(classes, dtype=np.int64), [f"c{k}" for k in range(classes)], "true")["layout"]["xaxis"]
    assert 1 <= len(axis["ticktext"]) == len(axis["tickvals"]) <= 25
