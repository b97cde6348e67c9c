"""The DataModule all data sets share: one draw of noise, an optional split, and loaders that carry the index."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from noisylearn._checks import check_choice, check_labels, check_positive_int, check_probability
from noisylearn._compat import LightningDataModule, steps_in_hand
from noisylearn.data.arrays import Arrays
from noisylearn.data.augment import Augment, Augmentation
from noisylearn.data.batch import Batch
from noisylearn.data.dataloader import image_loader, image_transform
from noisylearn.data.root import data_root
from noisylearn.data.split import stratified_split
from noisylearn.data.strong_augment import StrongAugment
from noisylearn.data.tensor_loader import TensorLoader, epoch_generator
from noisylearn.noise import NOISE_KINDS, NoisyLabels, expected_wrong_rate, make_noise

_log = logging.getLogger(__name__)
_AFTER_SETUP = {"clean_targets", "noisy_targets", "train_images", "train_rows", "val_rows", "test_images"}

Loader = TensorLoader | DataLoader[Batch]


class NoisyDataModule(LightningDataModule):
    """Base of the data sets; a subclass names its facts and implements `load`.

    The noise is drawn once, in `setup`, from (kind, rate, ``noise_seed``) on the whole training set, before any
    split; every loader, network and resume uses that draw. The clean labels stay in `clean_targets`, for meters
    and metrics, and never enter a batch. Rows are positions in the full training set whatever the split:
    `Batch.index` of the training, validation and prediction batches, and `num_samples`. Test batches count in
    the test set. It works without a trainer too; with one it takes device, rank and number of processes from it.

    A method that names ``views``, e.g. ``("weak", "strong")``, is given the training inputs as a tuple of those:
    ``"weak"`` is `augmentation`, ``"strong"`` is `strong_augmentation`, ``"none"`` the image as it is, and with
    ``augment=False`` so are they all. One view, and a module that names none, gives a plain tensor.

    Args:
        root: Folder of the data sets; None takes ``NOISYLEARN_DATA``, else ``data/``.
        noise: A kind of `noisylearn.noise.make_noise`, e.g. ``"symmetric"``, or ``"none"``.
        noise_rate: The fraction asked of the generator, in ``[0, 1]``; `wrong_rate` is what comes out.
        noise_seed: Seed of the noise and of the validation split.
        batch_size: Training samples per batch and process.
        eval_batch_size: The same for validation, test and prediction.
        val_fraction: Part of the training set held out, in the class proportions of the given labels; in ``[0, 1)``.
        noisy_val: Whether the validation labels are the given ones; else they are clean.
        augment: Whether to augment training images; None does what is usual for the data set.
        normalize: Whether to subtract the mean and divide by the standard deviation; else inputs are in 0..1.
        seed: Seed of the training order and augmentation; None takes 0, in the command line ``seed_everything``.
        loader: ``"tensor"``, images on the training device (exact resume); ``"dataloader"``, PyTorch's on the CPU.
        num_workers: Worker processes of ``"dataloader"``.
        num_train: Only the first so many training samples; None takes all.

    Attributes:
        clean_targets: ``(N,)`` int64, -1 where unknown.
        noisy_targets: ``(N,)`` int64, the labels given.
        train_images: ``(N, C, H, W)`` uint8, on the CPU. `test_images` likewise.
        train_rows: Rows trained on, int64, sorted. `val_rows` are those held out.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range.
        MissingDataError: From `setup`, when the data is not there.

    Example:
        >>> from noisylearn.data import Digits
        >>> data = Digits(noise="symmetric", noise_rate=0.4, batch_size=64, val_fraction=0.1)
        >>> data.setup()
        >>> data.num_samples, data.num_classes, data.eval_names
        (1437, 10, ['val', 'test'])
        >>> batch = next(iter(data.train_dataloader()))
        >>> batch.input.shape, bool((batch.target == data.noisy_targets[batch.index]).all())
        (torch.Size([64, 1, 8, 8]), True)
    """

    name: str = ""
    num_classes: int = 0
    in_channels: int = 3
    image_size: int = 32
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    class_names: tuple[str, ...] = ()
    paper: ClassVar[str] = ""
    licence: ClassVar[str] = ""
    train_size: ClassVar[int | None] = None
    """Size of the training set where it is known without reading it."""
    noise_kinds: ClassVar[tuple[str, ...]] = NOISE_KINDS
    """What ``noise`` may be; a data set that comes with its own noisy labels names those."""
    augmentation: ClassVar[Augmentation] = Augment()
    strong_augmentation: ClassVar[Augmentation] = StrongAugment()
    augment_by_default: ClassVar[bool] = True

    clean_targets: Tensor
    noisy_targets: Tensor
    train_images: Tensor
    test_images: Tensor
    train_rows: Tensor
    val_rows: Tensor

    def __init__(
        self,
        root: str | None = None,
        noise: str = "symmetric",
        noise_rate: float = 0.4,
        noise_seed: int = 0,
        batch_size: int = 128,
        eval_batch_size: int = 512,
        val_fraction: float = 0.0,
        noisy_val: bool = True,
        augment: bool | None = None,
        normalize: bool = True,
        seed: int | None = None,
        loader: str = "tensor",
        num_workers: int = 0,
        num_train: int | None = None,
    ) -> None:
        super().__init__()
        check_positive_int("batch_size", batch_size)
        check_positive_int("eval_batch_size", eval_batch_size)
        check_choice("loader", loader, ["tensor", "dataloader"])
        check_choice("noise", noise, self.noise_kinds)
        check_probability("val_fraction", val_fraction, "pass the part to hold out, e.g. 0.1")
        if num_train is not None:
            check_positive_int("num_train", num_train)
        # Not to the logger: Lightning refuses a module and a DataModule that log different values of one name.
        # `_instantiator` is what the CLI adds; it would tie the checkpoint to one copy of Lightning.
        self.save_hyperparameters(ignore=["_instantiator"], logger=False)
        self.root = data_root(root)
        self.noise_kind = noise
        self.noise_rate = 0.0 if noise == "none" else check_probability("noise_rate", noise_rate)
        self.noise_seed, self.seed = noise_seed, 0 if seed is None else seed
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.val_fraction, self.noisy_val = val_fraction, noisy_val
        self.augment = self.augment_by_default if augment is None else augment
        self.normalize, self.loader_kind, self.num_workers = normalize, loader, num_workers
        self.num_train = num_train
        self._arrays: Arrays | None = None
        self._noise: NoisyLabels | None = None
        self._placed: dict[str, Tensor] = {}
        self._train_loader: Loader | None = None
        self._resume: dict[str, Any] | None = None

    def load(self) -> Arrays:
        """Read the data set from `root`; never downloads. Subclasses implement it."""
        raise NotImplementedError(f"{type(self).__name__} must implement `load() -> Arrays`")

    # ---- what is known before `setup`

    @property
    def num_samples(self) -> int:
        """Number of training samples, the validation part included: the number of rows of a table."""
        if self._arrays is None and self.train_size is not None:
            return min(self.train_size, self.num_train or self.train_size)
        return len(self._load().train_targets)

    @property
    def eval_names(self) -> list[str]:
        """Names of the loaders that `val_dataloader` returns, in order."""
        return ["val", "test"] if self.val_fraction else ["test"]

    @property
    def wrong_rate(self) -> float:
        """Fraction of the given labels that is expected to be wrong: what methods that leave some out are told."""
        if self.noise_kind not in NOISE_KINDS:  # human labels, whose rate is that of the wrong ones
            return self.noise_rate
        return expected_wrong_rate(self.noise_kind, self.noise_rate, self.num_classes)

    @property
    def noise(self) -> NoisyLabels:
        """The labels as drawn: generator, seed, asked and realised rate, SHA-1. Sets the data up if need be."""
        self.setup()
        assert self._noise is not None
        return self._noise

    def __getattr__(self, name: str) -> Any:
        """Explain an attribute that `setup` makes."""
        if name in _AFTER_SETUP:
            raise AttributeError(f"`{name}` is there after setup: call `{type(self).__name__}.setup()` first")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # ---- setup

    def _load(self) -> Arrays:
        if self._arrays is None:
            self._arrays = self.load().first(self.num_train)
        return self._arrays

    def _draw(self, arrays: Arrays) -> NoisyLabels:
        kind, rate, seed = self.noise_kind, self.noise_rate, self.noise_seed
        clean = arrays.train_targets.numpy()
        if arrays.noisy_targets is not None:
            labels = check_labels("noisy_targets", arrays.noisy_targets, self.num_classes)
            # The record has no "unknown": an unknown clean label counts as right, so its rate is a lower bound.
            known = check_labels("train_targets", np.where(clean < 0, labels, clean), self.num_classes)
            return NoisyLabels(labels, known, kind, rate, seed)
        check_labels("train_targets", clean, self.num_classes)
        # Channels last, as PES flattens them: instance-dependent noise depends on the order of the pixels.
        images = arrays.train_images.permute(0, 2, 3, 1).numpy()
        return make_noise(kind, clean, self.num_classes, rate, seed, images=images)

    def setup(self, stage: str | None = None) -> None:
        """Read the data, draw the noise, split. The second call does nothing, whatever the stage."""
        if self._noise is not None:
            return
        arrays = self._load()
        check_labels("test_targets", arrays.test_targets, self.num_classes)
        drawn = self._draw(arrays)
        kept, held_out = stratified_split(drawn.labels, self.val_fraction, self.noise_seed)
        self.train_rows, self.val_rows = torch.from_numpy(kept), torch.from_numpy(held_out)
        self.train_images, self.test_images = arrays.train_images, arrays.test_images
        self.noisy_targets = torch.from_numpy(drawn.labels.copy())
        # A copy: the meters' clean labels are nobody's input, so that spoiling them cannot change a training.
        self.clean_targets = arrays.train_targets.clone()
        self._noise = drawn
        _log.info(
            "%s: noise %s, asked %.4f, realised %.4f, seed %d, sha1 %s",
            *(self.name, drawn.generator, drawn.rate, drawn.realised_rate, drawn.seed, drawn.sha1),
        )

    # ---- loaders

    def train_dataloader(self) -> Loader:
        """Return the shuffled loader of the rows trained on, at the position of a resumed run."""
        self.setup()
        loader = self._loader("train", self.noisy_targets, self.train_rows, train=True, plan=self._plan())
        if self._resume is not None:
            self._check_same_noise(self._resume)
            if isinstance(loader, TensorLoader) and "train_loader" in self._resume:
                loader.load_state_dict(self._resume["train_loader"])
            self._resume = None
        if isinstance(loader, TensorLoader):
            loader.in_hand = self._steps_in_hand
        self._train_loader = loader
        return loader

    def _plan(self) -> Tensor | None:
        """The rows of the coming epoch as the method wants them served; None where it leaves that to the loader."""
        trainer = self.trainer
        planned_rows = getattr(getattr(trainer, "lightning_module", None), "planned_rows", None)
        if trainer is None or planned_rows is None or self.loader_kind != "tensor":
            return None
        rank, ranks = trainer.global_rank, trainer.world_size
        generator = epoch_generator(self.seed, trainer.current_epoch, rank)
        plan: Tensor | None = planned_rows(self.train_rows[self.train_rows % ranks == rank], self.batch_size, generator)
        if plan is None:
            return None
        longest = torch.tensor(len(plan), device=trainer.strategy.root_device)
        length = int(trainer.strategy.reduce(longest, reduce_op="max"))
        return plan.repeat(-(-length // len(plan)))[:length]

    def _steps_in_hand(self) -> int:
        return 0 if self.trainer is None else steps_in_hand(self.trainer)

    def val_dataloader(self) -> list[Loader]:
        """Return the loaders named in `eval_names`: the held-out part, if there is one, and the test set."""
        loaders = [self.test_dataloader()]
        if len(self.val_rows):
            targets = self.noisy_targets if self.noisy_val else self._load().train_targets
            loaders.insert(0, self._loader("train", targets, self.val_rows, train=False))
        return loaders

    def test_dataloader(self) -> Loader:
        """Return the test set in order; its `Batch.index` counts in the test set."""
        targets = self._load().test_targets
        return self._loader("test", targets, torch.arange(len(targets)), train=False)

    def predict_dataloader(self) -> Loader:
        """Return the rows trained on, in order, without augmentation."""
        return self._loader("train", self.noisy_targets, self.train_rows, train=False)

    def sweep_dataloader(self) -> Loader:
        """Return what a clean pass over the training data reads: this process's share of `predict_dataloader`."""
        if self.loader_kind == "tensor" or self.trainer is None:
            return self.predict_dataloader()  # a TensorLoader has its share only
        share = self.train_rows[self.trainer.global_rank :: self.trainer.world_size]
        return self._loader("train", self.noisy_targets, share, train=False)

    def _views(self) -> Augmentation | list[Augmentation | None] | None:
        """Return how training images are augmented: once, or once for each of the method's views."""
        names = getattr(getattr(self.trainer, "lightning_module", None), "views", ("weak",))
        if not isinstance(names, tuple | list) or not names:
            raise TypeError(f"`views` must be a tuple of names, got {names!r}: e.g. ('weak', 'strong')")
        known = {"weak": self.augmentation, "strong": self.strong_augmentation, "none": None}
        views = [known[check_choice("views", name, known)] if self.augment else None for name in names]
        return views if len(views) > 1 else views[0]

    def _loader(self, part: str, targets: Tensor, rows: Tensor, train: bool, plan: Tensor | None = None) -> Loader:
        self.setup()
        images = self.train_images if part == "train" else self.test_images
        augment = self._views() if train else None
        normalize = (self.mean, self.std) if self.normalize else None
        batch_size = self.batch_size if train else self.eval_batch_size
        trainer = self.trainer
        device = torch.device("cpu") if trainer is None else trainer.strategy.root_device
        # Overfitting on a few batches means the same few in every epoch. (Lightning sets the flag undeclared.)
        shuffle = train and not getattr(trainer, "overfit_batches", 0)
        if self.loader_kind == "dataloader":
            return image_loader(
                images,
                targets,
                image_transform(self.image_size, augment, normalize),
                batch_size=batch_size,
                shuffle=shuffle,
                rows=rows,
                num_workers=self.num_workers,
                pin_memory=device.type == "cuda",
            )
        if part not in self._placed or self._placed[part].device != device:
            self._placed[part] = images.to(device)  # one copy there, shared by all loaders
        return TensorLoader(
            self._placed[part],
            targets,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=self.seed,
            rank=0 if trainer is None else trainer.global_rank,
            world_size=1 if trainer is None else trainer.world_size,
            augment=augment,
            normalize=normalize,
            indices=rows,
            plan=plan,
        )

    # ---- exact resume

    def state_dict(self) -> dict[str, Any]:
        """Return the training loader's position and the hash of the labels trained on."""
        state: dict[str, Any] = {} if self._noise is None else {"noise_sha1": self._noise.sha1}
        if isinstance(self._train_loader, TensorLoader):
            state["train_loader"] = self._train_loader.state_dict()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the position for the next `train_dataloader`; evaluation from a checkpoint ignores it."""
        if self.trainer is None or self.trainer.state.fn == "fit":
            self._resume = dict(state_dict)

    def _check_same_noise(self, state: dict[str, Any]) -> None:
        saved, now = state.get("noise_sha1"), self.noise.sha1
        if saved is not None and saved != now:
            raise ValueError(
                f"`noise` must be the checkpoint's to resume: its labels have SHA-1 {saved}, these have {now}: "
                "use its noise, noise_rate, noise_seed and num_train, or load only its weights"
            )
