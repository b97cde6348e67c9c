"""Loading with augmentation: `TensorLoader` against a ``DataLoader`` with workers that does the same with torchvision.

Both give normalised batches of 128 made-up images of CIFAR's size, in a fresh order every pass; nothing is trained. The
``DataLoader`` is the package's own (`image_loader`): torchvision's v2 transforms, one image at a time, on uint8 tensors
or, as most reference code has it, on PIL images. The loaders take turns, so that a change of the machine's speed meets
them all; printed are the median images a second of the passes after the first, in which workers start. The load of the
machine stands in the results: processes waiting for a core, this script's own among them.

    python benchmarks/augmentation.py [--workers 2] [--threads 1] [--device cpu] [--save]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
from _machine import add_save, machine, save
from torch import Tensor
from torchvision.transforms import v2

from noisylearn.data import Augment, Batch, StrongAugment, TensorLoader
from noisylearn.data.augment import Augmentation
from noisylearn.data.dataloader import OneByOne, image_loader, image_transform

BATCH, SIDE, NORMALIZE = 128, 32, ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
WEAK, STRONG = Augment(), StrongAugment(fill=(125, 123, 114))
VIEWS: dict[str, Augmentation | list[Augmentation | None] | None] = {
    "none": None,
    "weak": WEAK,
    "strong (AutoAugment)": STRONG,
    "strong (RandAugment)": StrongAugment(policy="randaugment", fill=(125, 123, 114)),
    "weak and strong": [WEAK, STRONG],
}


def through_pil(transform: Any) -> Callable[[Tensor], Any]:
    """Return the same transform with everything but holes and normalisation on a PIL image."""
    if not isinstance(transform, v2.Compose):
        transform.transforms = [through_pil(view) for view in transform.transforms]
        return transform  # type: ignore[no-any-return]
    first = next(i for i, step in enumerate(transform.transforms) if isinstance(step, OneByOne | v2.ToDtype))
    steps = [*transform.transforms[:first], v2.PILToTensor(), *transform.transforms[first:]]
    return v2.Compose([v2.ToPILImage(), *steps])  # type: ignore[no-any-return]


def one_pass(loader: Iterable[Batch], device: torch.device) -> float:
    """Return the seconds of a pass, the mean of as many as take a second."""
    passes, start = 0, time.perf_counter()
    while passes == 0 or time.perf_counter() - start < 1:
        for batch in loader:
            views = batch.input if isinstance(batch.input, tuple) else (batch.input,)
        passes += 1
    assert all(view.dtype == torch.float32 for view in views)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - start) / passes


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--num-images", type=int, default=10_240)
    parser.add_argument(
        "--passes", type=int, default=3, help="of each loader, after the first; short ones are repeated"
    )
    parser.add_argument("--workers", type=int, default=2, help="of the DataLoader")
    parser.add_argument("--threads", type=int, default=1, help="of this process; each worker has one")
    parser.add_argument("--device", default="cpu", help="of the TensorLoader; a DataLoader's batches stay on the CPU")
    add_save(parser)
    args = parser.parse_args()
    device = torch.device(args.device)
    torch.set_num_threads(args.threads)
    print(", ".join(machine(device).values()))

    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (args.num_images, 3, SIDE, SIDE), generator=generator).to(torch.uint8)
    targets = torch.arange(args.num_images) % 10
    options: dict[str, Any] = {"batch_size": BATCH, "shuffle": True}
    results: list[dict[str, object]] = []
    for name, augment in VIEWS.items():
        transforms = {
            "tensors": image_transform(SIDE, augment, NORMALIZE),
            "PIL": through_pil(image_transform(SIDE, augment, NORMALIZE)),
        }
        loaders: dict[str, Any] = {
            "ours": TensorLoader(images, targets, augment=augment, normalize=NORMALIZE, device=device, **options)
        }
        for kind, transform in transforms.items():
            loaders[kind] = image_loader(images, targets, transform, num_workers=args.workers, **options)
        times: dict[str, list[float]] = {kind: [] for kind in loaders}
        for _ in range(1 + args.passes):
            for kind, loader in loaders.items():
                times[kind].append(one_pass(loader, device))
        rate = {kind: args.num_images / statistics.median(seconds[1:]) for kind, seconds in times.items()}
        print(f"{name:21} TensorLoader {rate['ours']:9,.0f} images/s", end="")
        for kind in transforms:
            ratio = rate["ours"] / rate[kind]
            print(f"   DataLoader on {kind} {rate[kind]:7,.0f}: ratio {ratio:5.1f}", end="")
            row = {
                "views": name,
                "peer": f"DataLoader on {kind}",
                "workers": args.workers,
                "load": f"{os.getloadavg()[0]:.1f}",
            }
            row |= {"images_per_s": f"{rate['ours']:.0f}", "peer_images_per_s": f"{rate[kind]:.0f}"}
            results.append(row | {"ratio": f"{ratio:.2f}"})
        print()
    if args.save:
        save(__file__, results, device)


if __name__ == "__main__":
    main()
