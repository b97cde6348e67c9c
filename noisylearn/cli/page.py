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

    Raises:
        OSError: A run folder or its result is not there, or the page cannot be written.
    """
    indices = gallery_indices(runs)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"the page {str(out)!r} cannot be written ({error.strerror}): choose another `--out`") from error
    images = _train_images(runs[0]) if len(indices) else None
    gallery = None if images is None else gallery_from_data(images, indices)
    return build_report(runs, out, title=title, gallery=gallery)


def _train_images(run: Path) -> Any:
    """The training images that a run was made on, or None where its data has none or is not at hand."""
    import noisylearn.data as known  # here, since it imports torch: a page without images does not need it

    file = run / "config.yaml"
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))["data"]
        package, _, name = config["class_path"].rpartition(".")
        arguments = config["init_args"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return _without_images(f"{file} does not say on what data the run was made")
    if package.partition(".")[0] != "noisylearn" or not hasattr(known, name):
        return None
    data = getattr(known, name)(**arguments)
    try:
        data.setup("fit")
    except known.MissingDataError as error:
        return _without_images(str(error))
    return data.train_images.numpy()


def _without_images(why: str) -> None:
    Console(stderr=True, markup=False, soft_wrap=True).print(f"the page has no images: {why}")
