"""Label issues: `label_issues` against cleanlab's ``find_label_issues``, in the same run.

Both get the same float64 probabilities and labels; that their masks are equal is asserted. Printed are the median times
and their ratios, cleanlab in one process and in its default of one process per core. Probabilities are a softmax of
random logits that favour the right class; a fifth of the labels is drawn anew.

    pip install noisylearn[cleanlab]
    python benchmarks/confident_learning.py [--save]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import cleanlab
import numpy as np
import torch
from _machine import add_save, machine, save
from cleanlab.filter import find_label_issues

from noisylearn.signals.label_issues import label_issues


def make(num_samples: int, num_classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return probabilities (N, C) float64 and given labels (N,)."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.randint(0, num_classes, (num_samples,), generator=generator)
    logits = torch.randn(num_samples, num_classes, generator=generator, dtype=torch.float64)
    logits[torch.arange(num_samples), clean] += 6 * torch.rand(num_samples, generator=generator, dtype=torch.float64)
    redrawn = torch.rand(num_samples, generator=generator) < 0.2
    given = torch.where(redrawn, torch.randint(0, num_classes, (num_samples,), generator=generator), clean)
    return logits.softmax(1), given


def timed(call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Return the median milliseconds of ``repeats`` calls, and the last result."""
    milliseconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        milliseconds.append(1000 * (time.perf_counter() - start))
    return statistics.median(milliseconds), result


def main() -> None:
    """Time both and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--num-samples", type=int, default=50_000)
    parser.add_argument("--num-classes", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    add_save(parser)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    print(f"{', '.join(machine().values())}, numpy {np.__version__}, cleanlab {cleanlab.__version__}")
    results: list[dict[str, object]] = []
    for num_classes in args.num_classes:
        probs, given = make(args.num_samples, num_classes)
        for filter_by in ("prune_by_noise_rate", "confident_learning"):
            ours_ms, ours = timed(lambda p=probs, g=given, f=filter_by: label_issues(p, g, f), args.repeats)
            print(f"\n{args.num_samples} x {num_classes}, {filter_by}: {int(ours.sum())} issues")
            print(f"  noisylearn               {ours_ms:9.1f} ms")
            for n_jobs in (1, None):
                arrays = {"labels": given.numpy(), "pred_probs": probs.numpy(), "filter_by": filter_by}
                theirs_ms, theirs = timed(lambda a=arrays, n=n_jobs: find_label_issues(**a, n_jobs=n), args.repeats)
                assert np.array_equal(ours.numpy(), theirs), "the masks differ"
                name = f"cleanlab, n_jobs={n_jobs}"
                print(f"  {name:<24} {theirs_ms:9.1f} ms, ratio {theirs_ms / ours_ms:.1f}, same mask")
                row = {"samples": args.num_samples, "classes": num_classes, "filter_by": filter_by, "peer": name}
                row |= {"cleanlab": cleanlab.__version__, "peer_ms": f"{theirs_ms:.1f}", "our_ms": f"{ours_ms:.1f}"}
                results.append(row | {"ratio": f"{theirs_ms / ours_ms:.1f}"})
    if args.save:
        save(__file__, results)


if __name__ == "__main__":
    main()
