"""How far the estimates of a transition matrix are from the matrix that made the labels, on digits.

Each run draws noise, trains the digits network on the noisy labels for a few epochs of cross-entropy, as the methods'
warm-up does, and hands the estimators what it says of its training images in evaluation mode: probabilities, and for
HOC the penultimate features; HOC on raw pixels needs no network. The error is the sum of a row's absolute differences,
between 0 and 2, in the mean over rows: mean and standard deviation over seeds, which draw the noise and the weights.
`identity` is the error of correcting nothing.

    python benchmarks/transition_error.py [--save]
"""

from __future__ import annotations

import argparse
import logging
import statistics
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from _machine import add_save, machine, save

from noisylearn._compat import Trainer, seed_everything
from noisylearn.data import Digits
from noisylearn.methods import CrossEntropy
from noisylearn.noise import (
    anchor_transition_matrix,
    dual_t_transition_matrix,
    hoc_transition_matrix,
    pair_flip_matrix,
    symmetric_matrix,
)

Matrix = npt.NDArray[np.float64]
NOISE: dict[str, tuple[Callable[[int, float], Matrix], tuple[float, ...]]] = {
    "symmetric": (symmetric_matrix, (0.2, 0.4, 0.6)),
    "pair_flip": (pair_flip_matrix, (0.2, 0.4)),
}


def trained(data: Digits, epochs: int, seed: int) -> CrossEntropy:
    """Return the digits network after some epochs of cross-entropy on the noisy labels."""
    seed_everything(seed, verbose=False)
    args = {"optimizer_args": {"momentum": 0.9, "weight_decay": 0.001}, "lr": 0.02}
    method = CrossEntropy("digits_cnn", num_classes=10, in_channels=1, image_size=8, **args)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = Trainer(max_epochs=epochs, limit_val_batches=0, logger=False, accelerator="cpu", **quiet)
    trainer.fit(method, datamodule=data)
    return method.eval()


def estimates(data: Digits, network: torch.nn.Module) -> Iterator[tuple[str, Matrix]]:
    """Yield each estimator's name and its matrix."""
    images = (data.train_images.float() / 255 - data.mean[0]) / data.std[0]
    targets = data.noisy_targets
    with torch.no_grad():
        features = network.features(images)
        probs = network.classifier(features).softmax(-1).numpy()
    yield "identity", np.eye(10)
    yield "anchor, 97th percentile", anchor_transition_matrix(probs)
    yield "anchor, maximum", anchor_transition_matrix(probs, None)
    yield "dual-T, 97th percentile", dual_t_transition_matrix(probs, targets)
    yield "dual-T, maximum", dual_t_transition_matrix(probs, targets, None)
    yield "HOC, features", hoc_transition_matrix(features, targets, 10)
    yield "HOC, pixels", hoc_transition_matrix(images, targets, 10)


def main() -> None:
    """Estimate, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--epochs", type=int, nargs="+", default=[5, 20], help="of training before the estimate")
    parser.add_argument("--seeds", type=int, default=5)
    add_save(parser)
    args = parser.parse_args()

    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated", FutureWarning)  # Lightning #21326
    for name in ("pytorch_lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    print(f"{', '.join(machine().values())}; {args.seeds} seeds")
    rows: list[dict[str, object]] = []
    for kind, (matrix, rates) in NOISE.items():
        for rate in rates:
            true = matrix(10, rate)
            for epochs in args.epochs:
                errors: dict[str, list[float]] = {}
                for seed in range(args.seeds):
                    data = Digits(noise=kind, noise_rate=rate, noise_seed=seed, batch_size=64)
                    network = trained(data, epochs, seed).network
                    for name, found in estimates(data, network):
                        errors.setdefault(name, []).append(float(np.abs(found - true).sum(axis=1).mean()))
                print(f"\n{kind} {rate}, {epochs} epochs")
                for name, each in errors.items():
                    mean, std = statistics.mean(each), statistics.stdev(each)
                    print(f"  {name:24} {mean:.3f} ± {std:.3f}", flush=True)
                    row = {"noise": kind, "rate": rate, "epochs": epochs, "estimator": name, "seeds": args.seeds}
                    rows.append(row | {"error": f"{mean:.4f}", "std": f"{std:.4f}"})
    if args.save:
        save(__file__, rows)


if __name__ == "__main__":
    main()
