from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plotly.offline import get_plotlyjs

from noisylearn.report import build_report, gallery_from_data, gallery_indices, load_run, most_suspicious
from tests.unit.report.synthetic import write_run

MEGABYTE = 1_000_000


class Page(HTMLParser):
    """A page as a reader has it: its text without scripts and styles, its tables' rows, its elements' attributes."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.scripts: list[str] = []
        self._inside = ""
        self._in_cell = False
        self.feed(self.source)
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True
        elif tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._inside = ""
        if tag in ("td", "th"):
            self.rows[-1][-1] = re.sub(r"\s+", " ", self.rows[-1][-1]).strip()
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += data
            if self._in_cell:
                self.rows[-1][-1] += data

    @property
    def figures(self) -> dict[str, Any]:
        return dict(json.loads(self.scripts[0]))

    def row(self, start: str) -> list[str]:
        return next(row for row in self.rows if row and row[0].startswith(start))


def build(runs: Sequence[Path], out: Path, **options: Any) -> Page:
    return Page(build_report(runs, out, title=options.pop("title", "A title"), **options))


def three_by_three(tmp_path: Path, **options: Any) -> list[Path]:
    figures = {"CrossEntropy": (0.65, 0.93, 1.0), "ELR": (0.93, 0.95, 0.21), "CoTeaching": (0.92, 0.94, 0.23)}
    return [
        write_run(
            tmp_path / method / str(seed),
            method=method,
            seed=seed,
            test_last=last - 0.01 * seed**2,
            test_best=best - 0.003 * seed,
            memorized=memorized - 0.02 * seed,
            **options,
        )
        for method, (last, best, memorized) in figures.items()
        for seed in range(3)
    ]


def test_summary_equals_figures_worked_out_by_hand(tmp_path: Path) -> None:
    runs = three_by_three(tmp_path)
    page = build(runs, tmp_path / "report.html")
    for first, method in enumerate(("CrossEntropy", "ELR", "CoTeaching")):
        results = [json.loads((run / "result.json").read_text(encoding="utf-8")) for run in runs[3 * first :][:3]]

        def cell(values: list[float], digits: int) -> str:
            return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"

        expected = [cell([100 * r[key] for r in results], 1) for key in ("test_last", "test_best", "memorized_last")]
        for score in ("aum", "wrong_events", "el2n"):
            expected += [cell([r["detection"][score][k] for r in results], 3) for k in ("auroc", "average_precision")]
        expected.append(cell([r["train_seconds"] for r in results], 1))
        found = page.row(method)
        assert found[0] == f"{method} n = 3, seeds 0, 1, 2"
        assert found[1:] == expected


def test_paragraph_says_what_was_run(tmp_path: Path) -> None:
    text = build(three_by_three(tmp_path), tmp_path / "report.html").text.replace("\u202f", " ")
    assert (
        "Three methods were trained on the 200 training samples of synthetic, with 39.5 % of the labels made wrong"
        in text
    )
    assert "for six epochs, three times each (seeds 0, 1, 2)" in text
    # 0.93, 0.92, 0.89 and 0.65, 0.64, 0.61; memorized 0.21, 0.19, 0.17 and 1.00, 0.98, 0.96
    assert "ELR is right on 91.3 % of the test samples and CrossEntropy on 63.3 %" in text
    assert "they have memorized 19.0 % and 98.0 % of the wrong labels" in text


def test_one_seed_has_no_deviation_and_absent_figures_are_dashes(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", test_last=0.876, memorized=None, result={"detection": {}})
    row = build([run], tmp_path / "report.html").row("ELR")
    assert row == ["ELR n = 1, seed 0", "87.6", "95.0", "–", *["–"] * 6, "60.0"]


def test_figure_that_some_seeds_lack_says_on_how_many_it_stands(tmp_path: Path) -> None:
    values = (0.5, 0.7, None)
    runs = [write_run(tmp_path / str(seed), seed=seed, test_best=value) for seed, value in enumerate(values)]
    assert build(runs, tmp_path / "report.html").row("ELR")[2] == "60.0 ± 14.1 (2 of 3)"


def test_nan_in_a_result_is_no_figure(tmp_path: Path) -> None:
    row = build([write_run(tmp_path, test_last=float("nan"))], tmp_path / "report.html").row("ELR")
    assert row[1] == "–"


def test_reduced_schedule_is_marked(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / "a", method="A", result={"reduced": "reduced (6 epochs)"}),
        write_run(tmp_path / "b", method="B"),
    ]
    page = build(runs, tmp_path / "report.html")
    assert page.row("A n")[0].endswith("reduced (6 epochs)")
    assert "reduced" not in page.row("B n")[0]
    assert "on a reduced schedule" in page.text


def test_runs_of_different_settings_are_not_averaged(tmp_path: Path) -> None:
    noise = {"generator": "human", "rate": None, "realised_rate": 0.4}
    runs = [write_run(tmp_path / "a"), write_run(tmp_path / "b", seed=1, result={"noise": noise, "data": "other"})]
    page = build(runs, tmp_path / "report.html")
    assert page.row("ELR · synthetic · symmetric 40")[0].endswith("n = 1, seed 0")
    assert page.row("ELR · other · human")[0].endswith("n = 1, seed 1")
    assert "Two runs in two settings stand here, on other and synthetic" in page.text


def test_demo_sized_page_is_one_small_file_without_a_foreign_address(tmp_path: Path) -> None:
    runs = three_by_three(tmp_path, num_samples=1437, num_classes=10, epochs=60)
    images = np.random.default_rng(0).integers(0, 256, (1437, 3, 32, 32), dtype=np.uint8)
    out = tmp_path / "report.html"
    page = build(runs, out, gallery=gallery_from_data(images, gallery_indices(runs)))
    assert out.stat().st_size <= 8 * MEGABYTE
    assert page.source.count(get_plotlyjs()) == 1
    own = page.source.replace(get_plotlyjs(), "")
    assert not re.findall(r"""https?:|["'(=]//|@import|url\(""", own, flags=re.IGNORECASE)
    addresses = [a[k] for _, a in page.elements for k in ("src", "href", "srcset", "action", "data") if k in a]
    assert all(a is not None and a.startswith(("#", "data:")) for a in addresses)
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert sum(tag == "script" for tag, _ in page.elements) == 3
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in [a for _, a in page.elements]
    assert sum(tag == "img" for tag, _ in page.elements) == 3 * 48


def test_text_from_the_data_is_escaped_everywhere(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}"
    result = {"commit": evil, "data": evil, "hardware": {evil: evil}, "cell": evil, "reduced": evil}
    run = write_run(tmp_path / "run", method=evil, class_names=[evil, "b", "c", "d"], result=result)
    (run / "config.yaml").write_text(evil, encoding="utf-8")
    table = pq.read_table(run / "signals.parquet")
    info = {"scores": {"aum": {"higher_is_noisier": False, "signal": evil, "description": evil}}}
    pq.write_table(table.replace_schema_metadata({b"noisylearn": json.dumps(info).encode()}), run / "signals.parquet")
    page = build([run], tmp_path / "report.html", title=evil)
    assert sum(tag == "script" for tag, _ in page.elements) == 3
    assert not any(tag == "img" or "onerror" in attributes for tag, attributes in page.elements)
    assert page.text.count(evil) >= 10
    assert page.scripts[1] == get_plotlyjs()
    axis = page.figures["confusion-true:0"]["layout"]["xaxis"]
    assert axis["ticktext"][0].startswith("&lt;/script&gt;")


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        ("metrics.csv", "there is no curve to draw"),
        ("signals.parquet", "No run has a signals.parquet"),
        ("config.yaml", "No config.yaml was recorded"),
    ],
)
def test_missing_piece_is_left_out_with_one_line(tmp_path: Path, missing: str, line: str) -> None:
    whole = build([write_run(tmp_path / "whole")], tmp_path / "whole.html")
    part = build([write_run(tmp_path / "part", leave_out=(missing,))], tmp_path / "part.html")
    assert line in part.text
    assert line not in whole.text
    assert part.row("ELR") == whole.row("ELR")


def test_result_alone_makes_a_page(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text("{}", encoding="utf-8")
    page = build([tmp_path], tmp_path / "report.html")
    assert page.row(tmp_path.name)[1:] == ["–"] * 10
    assert page.figures == {}


def test_without_clean_labels_the_page_says_so_and_judges_nothing(tmp_path: Path) -> None:
    page = build([write_run(tmp_path, clean_known=False)], tmp_path / "report.html")
    assert "No clean labels are known for this data" in page.text
    assert "whether a label is wrong is yours to judge" in page.text
    assert "really wrong" not in page.text
    assert "confusion-suggested:0" in page.figures
    assert "confusion-true:0" not in page.figures
    assert [bar["name"] for bar in page.figures["score:0:aum"]["data"]] == ["all samples"]


def test_without_suggestions_only_true_labels_are_compared(tmp_path: Path) -> None:
    page = build([write_run(tmp_path, drop_columns=("suggested",))], tmp_path / "report.html")
    assert "suggestions were not tracked in this run" in page.text
    assert "confusion-true:0" in page.figures
    assert "confusion-suggested:0" not in page.figures


def test_missing_scores_are_counted_not_drawn(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    table = pq.read_table(run / "signals.parquet")
    clean, given = table["clean"].to_numpy(), table["given"].to_numpy()
    scores = table["first_learned"].to_numpy()
    right = int((np.isnan(scores) & (given == clean)).sum())
    wrong = int((np.isnan(scores) & (given != clean)).sum())
    assert (right, wrong > 0) == (0, True)
    position = table.column_names.index("el2n")
    nothing = pa.array(np.full(len(given), np.nan))
    pq.write_table(table.set_column(position, "el2n", nothing), run / "signals.parquet")
    page = build([run], tmp_path / "report.html")
    assert f"Without a finite value, and not drawn: {wrong} with a wrong label." in page.text
    assert "No sample has a finite value." in page.text
    assert "score:0:el2n" not in page.figures
    drawn = {bar["name"]: sum(bar["customdata"]) for bar in page.figures["score:0:first_learned"]["data"]}
    assert drawn == {"right label": int((given == clean).sum()), "wrong label": int((given != clean).sum()) - wrong}


def test_gallery_shows_the_most_suspicious_with_their_labels(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / m, method=m, seed=s) for s, m in enumerate(("CE", "ELR"))]
    chosen = [most_suspicious(load_run(run)) for run in runs]
    np.testing.assert_array_equal(gallery_indices(runs), np.unique(np.concatenate(chosen)))
    page = build(runs, tmp_path / "report.html")
    shown = [int(n) for n in re.findall(r"#(\d+)", page.text)]
    assert shown == [*chosen[0], *chosen[1]]
    table = load_run(runs[0])
    rows = [int(np.flatnonzero(table.column("index") == k)[0]) for k in chosen[0]]
    wrong = int((table.column("given")[rows] != table.column("clean")[rows]).sum())
    assert f"{wrong} of these 48 labels are really wrong" in page.text
    assert page.source.count('class="mark wrong" role="img"') >= wrong


def test_many_classes_are_listed_not_drawn(tmp_path: Path) -> None:
    run = write_run(tmp_path, num_classes=101, num_samples=500)
    page = build([run], tmp_path / "report.html")
    assert "too many classes to draw" in page.text
    assert not any(key.startswith("confusion") for key in page.figures)


def test_provenance_names_everything_recorded(tmp_path: Path) -> None:
    page = build([write_run(tmp_path / "cell" / "0")], tmp_path / "report.html")
    facts = {row[0]: row[1] for row in page.rows if len(row) == 2}
    assert facts["Commit"] == "c0ffee1"
    assert facts["Hash of the labels (SHA-1)"] == "ab" * 20
    assert facts["Noise rate"] == "asked 0.4, realised 0.3950"
    assert facts["Noise seed"] == "7"
    assert facts["Versions"] == "noisylearn 0.0.test, torch 9.9"
    assert facts["Hardware"] == "device abacus, cpu threads 1"
    assert facts["Time"] == "90 s in all, 60 s of training"


def test_same_runs_make_the_same_page(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    pages = [build_report([run], tmp_path / f"{k}.html", title="T").read_bytes() for k in range(2)]
    assert pages[0] == pages[1]


def test_failed_write_leaves_the_earlier_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "run")
    out = tmp_path / "pages" / "report.html"
    build_report([run], out, title="first")
    before = out.read_bytes()

    def refuse(self: Path, target: Path) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        build_report([run], out, title="second")
    assert out.read_bytes() == before
    assert [p.name for p in out.parent.iterdir()] == ["report.html"]


def test_no_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`runs` must hold at least one run folder, got none"):
        build_report([], tmp_path / "report.html", title="T")
    assert not (tmp_path / "report.html").exists()


def test_reading_and_drawing_need_neither_torch_nor_lightning() -> None:
    code = (
        "import sys, noisylearn.report; "
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'lightning', 'pytorch_lightning'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_seeds_with_their_own_draw_of_the_noise_are_one_setting(tmp_path: Path) -> None:
    runs = []
    for seed, rate in enumerate((0.39, 0.40, 0.44)):
        noise = {"generator": "symmetric", "rate": 0.4, "realised_rate": rate, "seed": seed, "sha1": f"{seed}" * 40}
        runs.append(write_run(tmp_path / str(seed), seed=seed, result={"noise": noise}))
    page = build(runs, tmp_path / "report.html")
    assert "with 41.0 % of the labels made wrong on purpose" in page.text.replace("\u202f", " ")
    assert page.row("ELR")[0] == "ELR n = 3, seeds 0, 1, 2"


def test_unfinished_run_is_marked(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "0"), write_run(tmp_path / "1", seed=1, result={"completed": False, "epochs_run": 4})]
    page = build(runs, tmp_path / "report.html")
    assert page.row("ELR")[0] == "ELR n = 2, seeds 0, 1 1 of 2 unfinished"
    assert [row[1] for row in page.rows if row[0] == "Epochs"] == ["6", "4 of 6"]
