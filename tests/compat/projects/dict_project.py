"""A Lightning project with dicts throughout: the dataset's items, the batches, and what a training step returns."""

import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchmetrics.classification import MulticlassAccuracy


class Spectra(Dataset):
    def __init__(self, file):
        arrays = np.load(file)
        self.spectra, self.species = arrays["x"], arrays["y"]

    def __len__(self):
        return len(self.spectra)

    def __getitem__(self, i):
        return {"spectrum": self.spectra[i], "label": self.species[i], "instrument": "A"}


class SpeciesClassifier(pl.LightningModule):
    def __init__(self, num_bands=6, num_species=4):
        super().__init__()
        self.encoder = nn.Sequential(nn.BatchNorm1d(num_bands), nn.Linear(num_bands, 16), nn.GELU(), nn.Dropout(0.1))
        self.classifier = nn.Linear(16, num_species)
        self.train_acc = MulticlassAccuracy(num_species)

    def training_step(self, batch, batch_idx):
        logits = self.classifier(self.encoder(batch["spectrum"]))
        loss = F.cross_entropy(logits, batch["label"])
        return {"loss": loss, "logits": logits}

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.train_acc(outputs["logits"], batch["label"])
        self.log_dict({"train_loss": outputs["loss"], "train_acc": self.train_acc}, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.01)


if __name__ == "__main__":
    loader = DataLoader(Spectra("data/train.npz"), batch_size=8, shuffle=True)
    trainer = pl.Trainer(max_epochs=3)
    trainer.fit(SpeciesClassifier(), loader)
