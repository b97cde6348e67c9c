"""timm's training script (train.py), moved to Lightning."""

import argparse

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LearningRateMonitor
from timm.data import create_dataset, create_loader
from timm.loss import LabelSmoothingCrossEntropy
from timm.models import create_model
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import AverageMeter, ParseKwargs, accuracy


class TimmModule(pl.LightningModule):
    def __init__(self, args):
        super().__init__()
        self.args = args
        self.model = create_model(
            args.model,
            pretrained=args.pretrained,
            num_classes=args.num_classes,
            drop_rate=args.drop,
            drop_path_rate=args.drop_path,
            img_size=args.img_size,
            **args.model_kwargs,
        )
        self.train_loss_fn = LabelSmoothingCrossEntropy(smoothing=args.smoothing)
        self.top1 = AverageMeter()

    def forward(self, x):
        return self.model(x)

    def on_train_epoch_start(self):
        self.top1.reset()

    def training_step(self, batch, batch_idx):
        x, target = batch
        output = self(x)
        loss = self.train_loss_fn(output, target)
        (acc1,) = accuracy(output.detach(), target)
        self.top1.update(acc1.item(), x.size(0))
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def on_train_epoch_end(self):
        self.log("train_top1", self.top1.avg)

    def configure_optimizers(self):
        args = self.args
        optimizer = create_optimizer_v2(self.model, opt=args.opt, lr=args.lr, weight_decay=args.weight_decay)
        scheduler, _ = create_scheduler_v2(optimizer, sched=args.sched, num_epochs=args.epochs, warmup_epochs=1)
        return [optimizer], [{"scheduler": scheduler, "interval": "epoch"}]

    def lr_scheduler_step(self, scheduler, metric):
        scheduler.step(epoch=self.current_epoch + 1)  # timm's schedulers are told the epoch


parser = argparse.ArgumentParser(description="PyTorch ImageNet Training")
parser.add_argument("--data-dir", default="data")
parser.add_argument("--model", default="vit_tiny_patch16_224")
parser.add_argument("--model-kwargs", nargs="*", default={}, action=ParseKwargs)
parser.add_argument("--pretrained", action="store_true")
parser.add_argument("--num-classes", type=int, default=4)
parser.add_argument("--img-size", type=int, default=32)
parser.add_argument("-b", "--batch-size", type=int, default=8)
parser.add_argument("--opt", default="adamw")
parser.add_argument("--lr", type=float, default=3e-3)
parser.add_argument("--weight-decay", type=float, default=0.05)
parser.add_argument("--sched", default="cosine")
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--smoothing", type=float, default=0.1)
parser.add_argument("--drop", type=float, default=0.0)
parser.add_argument("--drop-path", type=float, default=0.1)
parser.add_argument("--color-jitter", type=float, default=0.4)
parser.add_argument("-j", "--workers", type=int, default=0)
parser.add_argument("--no-prefetcher", action="store_true")
parser.add_argument("--device", default="cuda")


def main():
    args = parser.parse_args()
    dataset_train = create_dataset("", root=args.data_dir, split="train", is_training=True)
    loader_train = create_loader(
        dataset_train,
        input_size=(3, args.img_size, args.img_size),
        batch_size=args.batch_size,
        is_training=True,
        use_prefetcher=not args.no_prefetcher,
        color_jitter=args.color_jitter,
        interpolation="random",
        num_workers=args.workers,
        persistent_workers=args.workers > 0,
        device=torch.device(args.device),
    )
    model = TimmModule(args)
    trainer = pl.Trainer(max_epochs=args.epochs, callbacks=[LearningRateMonitor()])
    trainer.fit(model, loader_train)


if __name__ == "__main__":
    main()
