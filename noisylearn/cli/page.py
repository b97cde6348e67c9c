"""`noisylearn report`: the page of run folders, with the images of their data where it is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from noisylearn.report import build_report, gallery_from_data, gallery_indices


def write_page(runs: Sequence[Path], out: Path, title: str) -> Path:
    """Write the report page of run folders, with the images of suspicious samples where the data can be read.

    Args:
        runs: Run folders.
        out: The page.
        title: Its title.
    """
    indices = gallery_indices(runs)
    images = _train_images(runs[0]) if len(indices) else None
    gallery = None if images is None else gallery_from_data(images, indices)
    return build_report(runs, out, title=title, gallery=gallery)


def _train_images(run: Path) -> Any:
    """The training images that a run was made on, or None where its data has none or is not at hand."""
    import noisylearn.data as known  # here, since it imports torch: a page without images does not need it

    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))["data"]
    cls = getattr(known, config["class_path"].rsplit(".", 1)[-1], None)
    if cls is None:
        return None
    data = cls(**config["init_args"])
    try:
        data.setup("fit")
    except known.MissingDataError as error:
        Console(stderr=True).print(f"the page has no images: {error}")
        return None
    return data.train_images.numpy()
