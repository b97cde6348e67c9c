"""Data sets with noisy labels: batches that carry the index, loaders that live on the device, DataModules."""

from noisylearn.data.arrays import Arrays
from noisylearn.data.augment import Augment, Augmentation, crop_flip
from noisylearn.data.auto_augment import AutoAugment
from noisylearn.data.batch import Batch
from noisylearn.data.cifar import CIFAR10, CIFAR100
from noisylearn.data.cifar_n import CIFAR10N, CIFAR100N
from noisylearn.data.color_jitter import ColorJitter
from noisylearn.data.cutout import Cutout, cutout
from noisylearn.data.digits import Digits
from noisylearn.data.fashion_mnist import FashionMNIST
from noisylearn.data.human_labels import read_human_labels
from noisylearn.data.indexed import IndexedDataset
from noisylearn.data.module import NoisyDataModule
from noisylearn.data.rand_augment import RandAugment
from noisylearn.data.root import MissingDataError, data_root
from noisylearn.data.split import stratified_split
from noisylearn.data.strong_augment import StrongAugment
from noisylearn.data.tensor_loader import TensorLoader

__all__ = [
    "CIFAR10",
    "CIFAR10N",
    "CIFAR100",
    "CIFAR100N",
    "Arrays",
    "Augment",
    "Augmentation",
    "AutoAugment",
    "Batch",
    "ColorJitter",
    "Cutout",
    "Digits",
    "FashionMNIST",
    "IndexedDataset",
    "MissingDataError",
    "NoisyDataModule",
    "RandAugment",
    "StrongAugment",
    "TensorLoader",
    "crop_flip",
    "cutout",
    "data_root",
    "read_human_labels",
    "stratified_split",
]
