"""The trainings of the detection study: the data of a cell, the network and its schedule."""

from __future__ import annotations

import time

import torch
from lightning.pytorch import Callback, Trainer

from noisylearn.data import CIFAR10, CIFAR10N, FashionMNIST, NoisyDataModule, TensorLoader
from noisylearn.methods import CrossEntropy

NOISE_RATE = 0.4
EPOCHS, EARLY = 18, 6
"""Length of a training, and of its early window, after which scores are read for the first time."""


def make_data(data: str, noise: str, seed: int, num_train: int) -> NoisyDataModule:
    """Return the data of a cell, set up; the seed draws the noise, where people did not make it."""
    if data == "cifar10n":
        module: NoisyDataModule = CIFAR10N(labels=noise, num_train=num_train)
    else:
        cls = {"cifar10": CIFAR10, "fashion_mnist": FashionMNIST}[data]
        module = cls(noise=noise, noise_rate=NOISE_RATE, noise_seed=seed, num_train=num_train)
    module.setup()
    return module


def loader(data: NoisyDataModule, rows: torch.Tensor | None, seed: int, train: bool = True) -> TensorLoader:
    """Return batches of some rows with their given labels, without augmentation."""
    return TensorLoader(
        data.train_images,
        data.noisy_targets,
        batch_size=64 if train else 512,
        shuffle=train,
        seed=seed,
        normalize=(data.mean, data.std),
        indices=rows,
    )


def fit(
    data: NoisyDataModule, rows: torch.Tensor | None, seed: int, callbacks: list[Callback]
) -> tuple[CrossEntropy, float]:
    """Train the network on some rows and return it and the seconds, all callbacks included."""
    torch.manual_seed(seed)
    module = CrossEntropy(
        "digits_cnn",
        num_classes=10,
        in_channels=data.in_channels,
        image_size=data.image_size,
        lr=0.02,
        scheduler="CosineAnnealingLR",
    )
    trainer = Trainer(
        accelerator="cpu",
        precision="bf16-mixed",
        max_epochs=EPOCHS,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    start = time.process_time()
    trainer.fit(module, loader(data, rows, seed))
    return module, time.process_time() - start


@torch.no_grad()
def probabilities(module: CrossEntropy, data: NoisyDataModule, rows: torch.Tensor | None = None) -> torch.Tensor:
    """Return ``(N, 10)`` float64 probabilities in evaluation mode."""
    module.eval()
    return torch.cat([module(batch.input).double().softmax(1) for batch in loader(data, rows, 0, train=False)])
