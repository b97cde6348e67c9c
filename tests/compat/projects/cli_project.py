"""A project of LightningCLI: everything is said in a file, classes by their ``class_path``."""

from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import LightningCLI
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Readings(pl.LightningDataModule):
    def __init__(self, root: str = "data", batch_size: int = 8, num_workers: int = 0) -> None:
        super().__init__()
        self.save_hyperparameters()

    def setup(self, stage: str) -> None:
        arrays = np.load(Path(self.hparams.root, "train.npz"))
        self.true_labels = arrays["y"]  # kept for the evaluation; training sees the crowd's
        self.train = TensorDataset(torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y_crowd"]))

    def train_dataloader(self) -> DataLoader:
        options = {"batch_size": self.hparams.batch_size, "num_workers": self.hparams.num_workers}
        return DataLoader(self.train, shuffle=True, **options)


class ReadingClassifier(pl.LightningModule):
    def __init__(self, hidden: int = 16, num_classes: int = 4) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, hidden), nn.ReLU(), nn.Linear(hidden, num_classes))
        self.loss = nn.CrossEntropyLoss()

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        x, y = batch
        loss = self.loss(self.net(x), y)
        self.log("train_loss", loss)
        return loss


if __name__ == "__main__":
    LightningCLI(subclass_mode_model=True, subclass_mode_data=True)
