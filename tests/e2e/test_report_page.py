"""The report page in a real browser, as a person meets it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from noisylearn.report import build_report, gallery_from_data, gallery_indices
from tests.unit.report.synthetic import write_run

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH: install the system's package `chromium`"),
]

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TRACES = ".scatterlayer .trace path.js-line, .barlayer .point path, .heatmaplayer image"
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    names = ["airplane", "<b>automobile</b>", "bird & bee", "a very long name of a class"]
    runs = [
        write_run(folder / method / str(seed), method=method, seed=seed, class_names=names, num_samples=400)
        for method in ("CrossEntropy", "ELR", "CoTeaching")
        for seed in (0, 1)
    ]
    # The last method tracked one signal fewer, which a reader may choose all the same.
    write_run(runs[4], method="CoTeaching", seed=0, class_names=names, num_samples=400, drop_columns=("el2n",))
    images = np.random.default_rng(0).integers(0, 256, (400, 1, 8, 8), dtype=np.uint8)
    gallery = gallery_from_data(images, gallery_indices(runs))
    return build_report(runs, folder / "report.html", title="A synthetic report", gallery=gallery)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


class Visit:
    """An open page, with what its console said and what it asked of the network."""

    def __init__(self, browser: Any, report: Path, size: tuple[int, int], scheme: str = "light") -> None:
        width, height = size
        self.context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(report.as_uri())
        self.settle()

    def settle(self) -> None:
        """Wait until every visible plot holds a drawn trace; a plot that never does fails here."""
        self.page.wait_for_function(
            """(traces) => [...document.querySelectorAll(".plot")].every(
                (plot) => plot.hidden || plot.closest("[hidden]")
                    || (plot.querySelector("svg.main-svg") && plot.querySelector(traces)))""",
            arg=TRACES,
            timeout=20_000,
        )

    def count(self, selector: str) -> int:
        return int(self.page.locator(selector).count())

    def choose_run(self, number: int) -> None:
        self.page.locator(f'label:has(input[name="run"][value="{number}"])').click()
        self.settle()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", SIZES)
def test_page_draws_everything_quietly(browser: Any, report: Path, tmp_path: Path, device: str, scheme: str) -> None:
    visit = Visit(browser, report, SIZES[device], scheme)
    plots = visit.page.locator(".js-plotly-plot")
    assert plots.count() == visit.count(".plot") == 6
    for k in range(plots.count()):
        plot = plots.nth(k)
        assert plot.locator("svg.main-svg").count() > 0
        assert plot.locator(TRACES).count() > 0
        box = plot.locator("svg.main-svg").first.bounding_box()
        assert box["width"] > 250
        assert box["height"] > 200
    width = SIZES[device][0]
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visit.page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth === 8)")
    picture = tmp_path / f"{device}-{scheme}.png"
    visit.page.screenshot(path=str(picture), full_page=True)
    assert picture.stat().st_size > 50_000
    assert visit.said == []
    assert [url for url in visit.asked if not url.startswith(("file:", "data:"))] == []
    assert [url for url in visit.asked if url.startswith("file:")] == [report.as_uri()]
    visit.context.close()


def test_choosing_a_run_and_a_signal_changes_what_is_shown(browser: Any, report: Path) -> None:
    visit = Visit(browser, report, SIZES["desktop"])
    histogram = visit.page.locator('.plot[data-figure^="score"]')
    read = "(plot) => JSON.stringify(plot.data.map((trace) => trace.y))"
    seen = {histogram.evaluate(read)}
    visit.choose_run(1)
    seen.add(histogram.evaluate(read))
    visit.page.select_option("#score", "el2n")
    visit.settle()
    seen.add(histogram.evaluate(read))
    assert len(seen) == 3
    assert visit.page.locator("tr.chosen:visible").inner_text().startswith("EL2N")
    assert visit.page.locator(".tiles:visible").count() == 1
    visit.choose_run(2)
    assert not histogram.is_visible()
    assert visit.page.get_by_text("EL2N was not tracked in this run.").is_visible()
    visit.page.select_option("#score", "aum")
    visit.settle()
    assert histogram.is_visible()
    assert visit.said == []
    visit.context.close()


def test_class_names_read_as_they_are(browser: Any, report: Path) -> None:
    visit = Visit(browser, report, SIZES["desktop"])
    labels = visit.page.locator('.plot[data-figure^="confusion-true"] .xtick text').all_text_contents()
    assert labels == ["airplane", "<b>automobile</…", "bird & bee", "a very long nam…"]
    visit.context.close()


def test_figures_follow_a_narrower_window(browser: Any, report: Path) -> None:
    visit = Visit(browser, report, SIZES["desktop"])
    visit.page.set_viewport_size({"width": 390, "height": 844})
    visit.page.wait_for_function(
        "[...document.querySelectorAll('.plot svg.main-svg')].every((s) => s.getBoundingClientRect().right <= 391)"
    )
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    visit.context.close()
