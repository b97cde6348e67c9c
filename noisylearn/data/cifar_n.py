"""CIFAR-10N and CIFAR-100N: the CIFAR sets with labels that people gave (Wei et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import torch

from noisylearn._checks import check_choice
from noisylearn.data.arrays import Arrays
from noisylearn.data.cifar import CIFAR10, CIFAR100
from noisylearn.data.cifar_names import CIFAR100_COARSE_NAMES
from noisylearn.data.human_labels import find_label_file, pick_labels, read_human_labels
from noisylearn.noise import CIFAR100_FINE_TO_COARSE

_LICENCE = "labels CC BY-NC 4.0; images: none stated by the distributor"


class CIFAR10N(CIFAR10):
    """CIFAR-10 with human labels: three annotators per image, 9 % to 40 % of the labels wrong.

    ``labels`` is ``"worse"`` (a wrong label where any annotator gave one; also called ``"worst"``), ``"aggre"``
    (majority), or ``"random1"`` to ``"random3"`` (one annotator each). The labels lie in ``ROOT/cifar-n`` as
    ``cifar10n.npz`` or the distributor's ``CIFAR-10_human.pt``; they are not downloaded.

    Args:
        root: As for `NoisyDataModule`, and so are the other arguments.
        labels: Which label set.
        batch_size: Training samples per batch and process.
        eval_batch_size: The same for validation, test and prediction.
        val_fraction: Part of the training set held out.
        noisy_val: Whether the validation labels are the human ones; else they are clean.
        augment: Whether to augment training images; None does.
        normalize: Whether to normalise inputs.
        split_seed: Seed of the validation split.
        seed: Seed of the training order and augmentation; None takes 0, in the command line ``seed_everything``.
        loader: ``"tensor"`` or ``"dataloader"``.
        num_workers: Worker processes of ``"dataloader"``.
        num_train: Only the first so many training samples; None takes all.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range.

    Example:
        >>> data = CIFAR10N(labels="worst")
        >>> data.noise_kind, data.noise_rate
        ('human_worse', 0.40208)
    """

    name = "cifar10n"
    paper = "Wei et al. 2022, Learning with Noisy Labels Revisited, arXiv:2110.12088"
    licence = _LICENCE
    label_sets: ClassVar[Mapping[str, tuple[str, float]]] = MappingProxyType(
        {
            "worse": ("worse_label", 0.40208),
            "aggre": ("aggre_label", 0.09010),
            "random1": ("random_label1", 0.17234),
            "random2": ("random_label2", 0.18122),
            "random3": ("random_label3", 0.17640),
        }
    )
    """Name -> (name in the file, fraction of wrong labels on all 50,000)."""
    noise_kinds = tuple(f"human_{name}" for name in ("worse", "aggre", "random1", "random2", "random3"))

    def __init__(
        self,
        root: str | None = None,
        labels: str = "worse",
        batch_size: int = 128,
        eval_batch_size: int = 512,
        val_fraction: float = 0.0,
        noisy_val: bool = True,
        augment: bool | None = None,
        normalize: bool = True,
        split_seed: int = 0,
        seed: int | None = None,
        loader: str = "tensor",
        num_workers: int = 0,
        num_train: int | None = None,
    ) -> None:
        self.labels = check_choice("labels", "worse" if labels == "worst" else labels, self.label_sets)
        super().__init__(
            root=root,
            noise=f"human_{self.labels}",
            noise_rate=self.label_sets[self.labels][1],
            noise_seed=split_seed,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            val_fraction=val_fraction,
            noisy_val=noisy_val,
            augment=augment,
            normalize=normalize,
            seed=seed,
            loader=loader,
            num_workers=num_workers,
            num_train=num_train,
        )

    def _label_file(self) -> Path:
        return find_label_file(self.root, "CIFAR-10N", ("cifar10n.npz", "CIFAR-10_human.pt"))

    def prepare_data(self) -> None:
        """Download the images if they are missing, and look for the labels.

        Raises:
            MissingDataError: The labels are not there, or the images cannot be downloaded.
        """
        self._label_file()
        super().prepare_data()

    def load(self) -> Arrays:
        """Read images and human labels, and check that they belong together."""
        arrays, path = super().load(), self._label_file()
        noisy_set = self.label_sets[self.labels][0]
        noisy = pick_labels(read_human_labels(path), path, "clean_label", noisy_set, arrays.train_targets)
        return replace(arrays, noisy_targets=noisy)


class CIFAR100N(CIFAR100):
    """CIFAR-100 with human labels, one annotator per image: 100 classes, or their 20 superclasses.

    ``labels`` is ``"fine"`` (40 % wrong) or ``"coarse"`` (26 % wrong; then ``num_classes`` is 20, in training and
    test). The labels lie in ``ROOT/cifar-n`` as ``cifar100n.npz`` or the distributor's ``CIFAR-100_human.pt``; they
    are not downloaded.

    Args:
        root: As for `NoisyDataModule`, and so are the other arguments.
        labels: Which label set.
        batch_size: Training samples per batch and process.
        eval_batch_size: The same for validation, test and prediction.
        val_fraction: Part of the training set held out.
        noisy_val: Whether the validation labels are the human ones; else they are clean.
        augment: Whether to augment training images; None does.
        normalize: Whether to normalise inputs.
        split_seed: Seed of the validation split.
        seed: Seed of the training order and augmentation; None takes 0, in the command line ``seed_everything``.
        loader: ``"tensor"`` or ``"dataloader"``.
        num_workers: Worker processes of ``"dataloader"``.
        num_train: Only the first so many training samples; None takes all.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range.

    Example:
        >>> data = CIFAR100N(labels="coarse")
        >>> data.num_classes, data.noise_rate, data.class_names[1]
        (20, 0.26404, 'fish')
    """

    name = "cifar100n"
    paper = "Wei et al. 2022, Learning with Noisy Labels Revisited, arXiv:2110.12088"
    licence = _LICENCE
    label_sets: ClassVar[Mapping[str, tuple[str, str, float]]] = MappingProxyType(
        {
            "fine": ("clean_label", "noisy_label", 0.40200),
            "coarse": ("clean_coarse_label", "noisy_coarse_label", 0.26404),
        }
    )
    """Name -> (clean and noisy name in the file, fraction of wrong labels on all 50,000)."""
    noise_kinds = ("human_fine", "human_coarse")

    def __init__(
        self,
        root: str | None = None,
        labels: str = "fine",
        batch_size: int = 128,
        eval_batch_size: int = 512,
        val_fraction: float = 0.0,
        noisy_val: bool = True,
        augment: bool | None = None,
        normalize: bool = True,
        split_seed: int = 0,
        seed: int | None = None,
        loader: str = "tensor",
        num_workers: int = 0,
        num_train: int | None = None,
    ) -> None:
        self.labels = check_choice("labels", labels, self.label_sets)
        super().__init__(
            root=root,
            noise=f"human_{self.labels}",
            noise_rate=self.label_sets[self.labels][2],
            noise_seed=split_seed,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            val_fraction=val_fraction,
            noisy_val=noisy_val,
            augment=augment,
            normalize=normalize,
            seed=seed,
            loader=loader,
            num_workers=num_workers,
            num_train=num_train,
        )
        if self.labels == "coarse":
            self.num_classes, self.class_names = 20, CIFAR100_COARSE_NAMES

    def _label_file(self) -> Path:
        return find_label_file(self.root, "CIFAR-100N", ("cifar100n.npz", "CIFAR-100_human.pt"))

    def prepare_data(self) -> None:
        """Download the images if they are missing, and look for the labels.

        Raises:
            MissingDataError: The labels are not there, or the images cannot be downloaded.
        """
        self._label_file()
        super().prepare_data()

    def load(self) -> Arrays:
        """Read images and human labels, and check that they belong together."""
        arrays, path = super().load(), self._label_file()
        if self.labels == "coarse":
            coarse = torch.tensor(CIFAR100_FINE_TO_COARSE)
            arrays = replace(
                arrays, train_targets=coarse[arrays.train_targets], test_targets=coarse[arrays.test_targets]
            )
        clean_set, noisy_set, _ = self.label_sets[self.labels]
        noisy = pick_labels(read_human_labels(path), path, clean_set, noisy_set, arrays.train_targets)
        return replace(arrays, noisy_targets=noisy)
