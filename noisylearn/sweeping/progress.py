"""A sweep's progress, beside the Trainer's own bar and only where it shows one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def with_progress(passes: Any, trainer: Any, description: str) -> Iterator[Any]:
    """Yield what ``passes`` yields, counted on the Trainer's progress bar.

    Args:
        passes: Something of known length.
        trainer: The Trainer; without a progress bar (or on another process than the first) nothing is shown.
        description: What goes on.

    Example:
        >>> from types import SimpleNamespace
        >>> list(with_progress([1, 2], SimpleNamespace(progress_bar_callback=None), "sweep"))
        [1, 2]
    """
    bar = trainer.progress_bar_callback
    if bar is None or not bar.is_enabled:
        yield from passes
        return
    rich = getattr(bar, "progress", None)
    if rich is None:
        from tqdm.auto import tqdm  # what Lightning's other bar is made of

        yield from tqdm(passes, desc=description, leave=False, dynamic_ncols=True)
        return
    task = rich.add_task(f"[white]{description}", total=len(passes))
    try:
        for item in passes:
            yield item
            rich.advance(task)
    finally:
        rich.remove_task(task)
