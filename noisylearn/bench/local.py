"""Runs jobs in processes of this machine."""

from __future__ import annotations

import logging
import multiprocessing
import os
import queue
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from noisylearn._checks import check_positive_int
from noisylearn.bench.job import Job

Fit: TypeAlias = Callable[[Path, Callable[[], None]], None]

_epochs: Any = None  # in a worker: the queue that counts finished epochs


def _start_worker(threads: int, epochs: Any, stop: Any) -> None:
    """Prepare a worker: its share of the cores, no advice on the console, and an end if its parent ends."""
    global _epochs
    _epochs = epochs
    threading.Thread(target=_end_with_parent, args=(stop,), daemon=True).start()
    import torch

    torch.set_num_threads(threads)
    logging.disable(logging.INFO)  # for good: Lightning sets its loggers' levels when it is imported


def _end_with_parent(stop: Any) -> None:
    """End this process once its parent says so or is gone: a killed parent cannot tell its workers."""
    parent = multiprocessing.parent_process()
    while not stop.wait(0.5) and parent is not None and parent.is_alive():
        pass
    os._exit(1)


@contextmanager
def _interrupt_held() -> Iterator[None]:
    """Let Ctrl-C wait; processes started meanwhile never see it, so that none answers in its parent's place."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    asked: list[int] = []
    # The mask is what a new process inherits; it does not keep another thread of this one from taking the signal.
    handler = signal.signal(signal.SIGINT, lambda number, frame: asked.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
    if asked:
        raise KeyboardInterrupt


def _run(job: Job, fit: Fit) -> str:
    with warnings.catch_warnings():
        # A worker's console is the parent's progress bar; Lightning's advice on workers does not apply to our loaders.
        warnings.simplefilter("ignore")
        fit(job.write(), lambda: _epochs.put(1))
    return job.name


def run_jobs(
    jobs: Sequence[Job],
    fit: Fit,
    workers: int | None = None,
    console: Console | None = None,
    minutes: float | None = None,
) -> int:
    """Run the jobs that are not done, several at a time, with a progress bar; one that was interrupted goes on.

    Args:
        jobs: The jobs; each has its ``trainer.max_epochs``.
        fit: Called in a worker with a job's configuration file and a function to call after each epoch; a function of a
            module, so that it can be sent to a process.
        workers: Processes at a time; by default one per core, one in all where there is a GPU. The cores are shared
            out among them: on small networks one thread per process is fastest.
        console: Where the progress bar is drawn.
        minutes: Stop after so long; what is unfinished then goes on from its last checkpoint in the next call.

    Returns:
        How many jobs were run; the rest were done already, or are not done yet where time ran out.

    Raises:
        ValueError: ``workers`` is below 1, or ``minutes`` is not positive.
        FileExistsError: A job's folder holds the run of another configuration; nothing is run.
        RuntimeError: A job failed; the others are finished first and keep their results.
    """
    if workers is not None:
        check_positive_int("workers", workers)
    if minutes is not None and not minutes > 0:
        raise ValueError(f"`minutes` must be above 0, got {minutes}: e.g. 9, or None for as long as it takes")
    deadline = float("inf") if minutes is None else time.monotonic() + 60 * minutes
    todo = [job for job in jobs if not job.done]
    for job in todo:
        job.check_folder()
    if not todo:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = workers or _default_workers(cores)
    threads = max(cores // workers, 1)  # of the asked number: a run's last bits must not depend on what is left to do
    workers = min(workers, len(todo))
    context = multiprocessing.get_context("spawn")
    epochs, stop = context.Queue(), context.Event()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with (
        Progress(*columns, console=console, transient=True) as progress,
        ProcessPoolExecutor(workers, context, _start_worker, (threads, epochs, stop)) as pool,
    ):
        bar = progress.add_task("training", total=sum(int(job.config["trainer"]["max_epochs"]) for job in todo))
        try:
            with _interrupt_held():
                futures = {pool.submit(_run, job, fit): job for job in todo}
            while any(not future.done() for future in futures):
                progress.advance(bar, _drain(epochs))
                if time.monotonic() > deadline:
                    stop.set()
                    pool.shutdown(cancel_futures=True)
                    return sum(job.done for job in todo)
        except KeyboardInterrupt:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    _raise_failures(futures)
    return len(todo)


def _default_workers(cores: int) -> int:
    import torch

    return 1 if torch.cuda.is_available() else cores


def _drain(epochs: Any) -> int:
    try:
        return int(epochs.get(timeout=0.2))
    except queue.Empty:
        return 0


def _raise_failures(futures: dict[Future[str], Job]) -> None:
    failed = [(job, future.exception()) for future, job in futures.items() if future.exception() is not None]
    if failed:
        job, error = failed[0]
        others = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise RuntimeError(f"the run {str(job.run)!r} failed{others}: {error}") from error
