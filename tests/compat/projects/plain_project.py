"""A Lightning project as people write them: a training step that returns its loss."""

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

NUM_SAMPLES, NUM_CLASSES = 53, 4


class Measurements(Dataset):
    def __init__(self):
        generator = torch.Generator().manual_seed(7)
        self.x = torch.randn(NUM_SAMPLES, 6, generator=generator)
        self.x[:, 0] = torch.arange(NUM_SAMPLES)
        self.y = torch.randint(0, NUM_CLASSES, (NUM_SAMPLES,), generator=generator)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], int(self.y[i])


class Classifier(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.BatchNorm1d(6), nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, NUM_CLASSES)
        )

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.02)


def make_loader(**options):
    return DataLoader(Measurements(), batch_size=8, shuffle=True, **options)


def make_trainer(callbacks, **options):
    return pl.Trainer(
        max_epochs=3,
        callbacks=callbacks,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def main():
    trainer = make_trainer([])
    trainer.fit(Classifier(), make_loader())


if __name__ == "__main__":
    main()
