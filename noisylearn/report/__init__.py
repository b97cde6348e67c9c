"""One self-contained HTML page from one or several run folders: no network, no Lightning, no torch."""

from __future__ import annotations

from noisylearn.report.gallery import Gallery, gallery_from_data
from noisylearn.report.page import build_report, gallery_indices
from noisylearn.report.reading import Run, load_run
from noisylearn.report.samples import most_suspicious

__all__ = [
    "Gallery",
    "Run",
    "build_report",
    "gallery_from_data",
    "gallery_indices",
    "load_run",
    "most_suspicious",
]
