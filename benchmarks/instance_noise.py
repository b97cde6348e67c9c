"""Instance-dependent noise: the vectorised generator against the per-sample loop of the reference implementations.

Both make the labels of one seed from the same images in this process; printed are both times, their ratio and whether
the labels are equal. The loop is written as the references have it (one product, one softmax and one
``numpy.random.choice`` per sample, float32 in torch), on the CPU, its images cast to float before the clock starts.

    python benchmarks/instance_noise.py

Images are CIFAR-10's where ``--root`` (default: the environment variable NOISYLEARN_DATA) has them, else random bytes
of the same shape.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import truncnorm
from threadpoolctl import threadpool_limits
from torch.nn import functional as F
from torchvision.datasets import CIFAR10

from noisylearn.noise import instance_dependent

NUM_CLASSES = 10
STD = 0.1


def per_sample_loop(labels: list[int], images: torch.Tensor, rate: float, seed: int) -> npt.NDArray[np.int64]:
    """Return the noisy labels as the references make them, one sample after another."""
    np.random.seed(seed)
    flip = truncnorm((0 - rate) / STD, (1 - rate) / STD, loc=rate, scale=STD).rvs(len(labels))
    weights = torch.from_numpy(np.random.randn(NUM_CLASSES, images.shape[1], NUM_CLASSES)).float()
    rows = []
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        scores = image.view(1, -1).mm(weights[label]).squeeze(0)
        scores[label] = -torch.inf
        chances = flip[i] * F.softmax(scores, dim=0)
        chances[label] += 1 - flip[i]
        rows.append(chances)
    chances_of = torch.stack(rows).numpy()
    classes = list(range(NUM_CLASSES))
    return np.array([np.random.choice(classes, p=chances_of[i]) for i in range(len(labels))])


def load(root: str | None, count: int) -> tuple[str, npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Return what the images are, the labels (N,) and the images (N, 3072) uint8."""
    if root:
        data = CIFAR10(root, train=True)
        return "CIFAR-10", np.array(data.targets[:count]), data.data[:count].reshape(-1, 3072)
    rng = np.random.RandomState(0)
    images = rng.randint(256, size=(count, 3072), dtype=np.uint8)
    return "random bytes", rng.randint(NUM_CLASSES, size=count), images


def timed(call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Return the median seconds of ``repeats`` calls, and the last result."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


def main() -> None:
    """Time both and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--num-images", type=int, default=50_000)
    parser.add_argument("--rate", type=float, default=0.4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of both sides; more than idle cores slow them down")
    parser.add_argument("--root", default=os.environ.get("NOISYLEARN_DATA"))
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    threadpool_limits(args.threads)
    source, labels, images = load(args.root, args.num_images)
    instance_dependent(labels[:100], images[:100], NUM_CLASSES, args.rate)  # imports SciPy's part before the clock
    floats, as_list = torch.from_numpy(images).float(), labels.tolist()
    ours_s, ours = timed(
        lambda: instance_dependent(labels, images, NUM_CLASSES, args.rate, args.seed, STD), args.repeats
    )
    loop_s, loop = timed(lambda: per_sample_loop(as_list, floats, args.rate, args.seed), args.repeats)
    different = int((ours.labels != loop).sum())
    print(f"images      {len(labels)} of {source}, rate {args.rate}, seed {args.seed}, median of {args.repeats}")
    print(f"threads     {args.threads} of {os.cpu_count()} cores, {platform.machine()}")
    print(f"loop        {loop_s:.3f} s")
    print(f"vectorised  {ours_s:.3f} s")
    print(f"ratio       {loop_s / ours_s:.1f}")
    print(f"equal       {different == 0} ({different} labels differ); realised rate {ours.realised_rate:.4f}")


if __name__ == "__main__":
    main()
