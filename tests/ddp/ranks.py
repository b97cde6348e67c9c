"""A pool of processes that stand for the ranks of one machine: started once, then fed with functions.

Importing torch and Lightning takes a process seconds, a gloo group between processes that have done it a few
milliseconds. So the processes stay, and every call gives its first ``world`` of them a group of their own, through a
file: no port and no host name is needed.
"""

from __future__ import annotations

import builtins
import multiprocessing
import os
import pickle
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

COLLECTIVE_SECONDS = 100
"""How long a rank waits for the others in a collective call before it fails."""
CALL_SECONDS = 150
"""How long a call may take, imports included, before its processes are ended."""


class Ranks:
    """Processes that run one function together, as rank 0, 1, ...; a hang fails.

    Args:
        filters: Warning filters as pytest writes them: ``action:message:category:module``.
    """

    def __init__(self, filters: Sequence[str] = ()) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._filters = list(filters)
        self._workers: list[tuple[Any, Any]] = []
        self._folder = tempfile.TemporaryDirectory()
        self._calls = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._folder.cleanup()

    def _start(self, world: int) -> None:
        for rank in range(len(self._workers), world):
            ours, theirs = self._context.Pipe()
            process = self._context.Process(target=_serve, args=(rank, theirs, self._filters), daemon=True)
            process.start()
            theirs.close()
            self._workers.append((process, ours))

    def _stop(self) -> None:
        for process, pipe in self._workers:
            process.kill()
            process.join()
            pipe.close()
        self._workers = []

    def run(self, world: int, function: Callable[..., Any], *args: Any) -> list[Any]:
        """Call ``function(*args)`` on ``world`` ranks at once and return what each returned.

        Args:
            world: Number of ranks; with one there is no process group, as in an ordinary run.
            function: A function of a module, which the processes import.
            *args: Its arguments, the same on every rank.

        Raises:
            AssertionError: A rank raised an error (each one's is told), or they hung.
        """
        self._start(world)
        self._calls += 1
        job = pickle.dumps((function, args, world, str(Path(self._folder.name, str(self._calls)))))
        pipes = [pipe for _, pipe in self._workers[:world]]
        for pipe in pipes:
            pipe.send_bytes(job)
        deadline = time.monotonic() + CALL_SECONDS
        results, errors = [], []
        for rank, pipe in enumerate(pipes):
            try:
                if not pipe.poll(max(deadline - time.monotonic(), 0)):
                    raise EOFError("no answer: it hangs")
                result, error = pickle.loads(pipe.recv_bytes())
            except EOFError as reason:
                self._stop()  # the others may wait for this rank: the next call begins with fresh processes
                raise AssertionError(f"rank {rank} of {world}: {reason or 'its process ended'}") from reason
            results.append(result)
            errors += [f"rank {rank} of {world}:\n{error}"] if error else []
        if errors:
            self._stop()  # a rank that another has left alone may be in any state
        assert not errors, "\n".join(errors)
        return results


def _serve(rank: int, pipe: Any, filters: Sequence[str]) -> None:
    """Run what comes through the pipe until it closes."""
    os.environ["LOCAL_RANK"] = str(rank)  # tells Lightning that the processes are there already
    if sys.platform == "linux":
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    import torch

    torch.set_num_threads(1)
    for line in filters:
        _filter(line)
    while True:
        try:
            function, args, world, store = pickle.loads(pipe.recv_bytes())
        except EOFError:  # the tests are over
            return
        pipe.send_bytes(pickle.dumps(_call(function, args, rank, world, store)))


def _call(function: Callable[..., Any], args: Sequence[Any], rank: int, world: int, store: str) -> tuple[Any, str]:
    from torch import distributed

    try:
        if world > 1:
            timeout = timedelta(seconds=COLLECTIVE_SECONDS)
            distributed.init_process_group(
                "gloo", init_method=f"file://{store}", rank=rank, world_size=world, timeout=timeout
            )
            distributed.barrier()  # else a rank could fail, and be gone, before the others have found it
        return function(*args), ""
    except BaseException:  # noqa: BLE001  # told to the test, which fails of it
        return None, traceback.format_exc()
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _filter(line: str) -> None:
    """Set one of pytest's filters; it reads message and module as regular expressions, as `warnings` does."""
    action, message, category, module = (*line.split(":"), "", "", "")[:4]
    kind: type[Warning] = getattr(builtins, category or "Warning")
    warnings.filterwarnings(action, message, kind, module)  # type: ignore[arg-type]
