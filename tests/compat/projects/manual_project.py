"""Manual optimization: a classifier with center loss, whose centers have an optimizer of their own."""

import argparse

import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


class CenterLossClassifier(pl.LightningModule):
    def __init__(self, num_features=6, num_classes=4, dim=16, weight=0.01):
        super().__init__()
        self.automatic_optimization = False
        self.backbone = nn.Sequential(nn.BatchNorm1d(num_features), nn.Linear(num_features, dim), nn.PReLU())
        self.head = nn.Linear(dim, num_classes)
        self.centers = nn.Embedding(num_classes, dim)
        self.weight = weight

    def training_step(self, batch, batch_idx):
        opt_net, opt_centers = self.optimizers()
        x, y = batch
        features = self.backbone(x)
        center_loss = (features - self.centers(y)).pow(2).sum(1).mean()
        loss = F.cross_entropy(self.head(features), y) + self.weight * center_loss

        opt_net.zero_grad()
        opt_centers.zero_grad()
        self.manual_backward(loss)
        opt_net.step()
        opt_centers.step()
        self.log_dict({"loss": loss, "center_loss": center_loss}, prog_bar=True)

    def on_train_epoch_end(self):
        self.lr_schedulers().step()

    def configure_optimizers(self):
        net = torch.optim.SGD([*self.backbone.parameters(), *self.head.parameters()], lr=0.05, momentum=0.9)
        centers = torch.optim.SGD(self.centers.parameters(), lr=0.5)
        return [net, centers], [torch.optim.lr_scheduler.StepLR(net, step_size=2)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--num-workers", type=int, default=0)
    args = parser.parse_args()

    arrays = np.load("data/train.npz")
    dataset = TensorDataset(torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"]))
    loader = DataLoader(dataset, batch_size=8, shuffle=True, drop_last=True, num_workers=args.num_workers)
    model = CenterLossClassifier()
    trainer = pl.Trainer(max_epochs=3)
    trainer.fit(model, loader)


if __name__ == "__main__":
    main()
