"""torchvision's reference script for classification (references/classification/train.py), moved to Lightning."""

import argparse
from pathlib import Path

import pytorch_lightning as pl
import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader, RandomSampler, SequentialSampler
from torchvision import transforms
from torchvision.transforms.functional import InterpolationMode

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ClassificationPresetTrain:
    def __init__(self, *, crop_size, hflip_prob=0.5):
        self.transforms = transforms.Compose(
            [
                transforms.RandomResizedCrop(crop_size, interpolation=InterpolationMode.BILINEAR, antialias=True),
                transforms.RandomHorizontalFlip(hflip_prob),
                transforms.PILToTensor(),
                transforms.ConvertImageDtype(torch.float),
                transforms.Normalize(mean=MEAN, std=STD),
            ]
        )

    def __call__(self, img):
        return self.transforms(img)


class ClassificationPresetEval:
    def __init__(self, *, crop_size, resize_size):
        self.transforms = transforms.Compose(
            [
                transforms.Resize(resize_size, interpolation=InterpolationMode.BILINEAR, antialias=True),
                transforms.CenterCrop(crop_size),
                transforms.PILToTensor(),
                transforms.ConvertImageDtype(torch.float),
                transforms.Normalize(mean=MEAN, std=STD),
            ]
        )

    def __call__(self, img):
        return self.transforms(img)


def accuracy(output, target, topk=(1,)):
    with torch.inference_mode():
        _, pred = output.topk(max(topk), 1)
        correct = pred.t().eq(target[None])
        return [correct[:k].flatten().sum() * (100.0 / len(target)) for k in topk]


class ImageClassifier(pl.LightningModule):
    def __init__(self, args, num_classes):
        super().__init__()
        self.args = args
        self.model = torchvision.models.get_model(args.model, weights=None, num_classes=num_classes)
        self.model_ema = torch.optim.swa_utils.AveragedModel(
            self.model, avg_fn=torch.optim.swa_utils.get_ema_avg_fn(args.model_ema_decay), use_buffers=True
        )
        self.criterion = nn.CrossEntropyLoss(label_smoothing=args.label_smoothing)

    def training_step(self, batch, batch_idx):
        image, target = batch
        output = self.model(image)
        loss = self.criterion(output, target)
        acc1, acc3 = accuracy(output, target, topk=(1, 3))
        self.log_dict({"loss": loss, "acc1": acc1, "acc3": acc3}, on_step=False, on_epoch=True, batch_size=len(image))
        return loss

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.model_ema.update_parameters(self.model)

    def validation_step(self, batch, batch_idx):
        image, target = batch
        (acc1,) = accuracy(self.model_ema(image), target)
        self.log("EMA acc1", acc1, batch_size=len(image))

    def configure_optimizers(self):
        args = self.args
        optimizer = torch.optim.SGD(self.model.parameters(), args.lr, momentum=0.9, weight_decay=1e-4, nesterov=True)
        warmup = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.01, total_iters=1)
        main = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.epochs - 1)
        return [optimizer], [torch.optim.lr_scheduler.SequentialLR(optimizer, [warmup, main], milestones=[1])]


def load_data(traindir, valdir, args):
    dataset = torchvision.datasets.ImageFolder(traindir, ClassificationPresetTrain(crop_size=args.train_crop_size))
    preset = ClassificationPresetEval(crop_size=args.val_crop_size, resize_size=args.val_resize_size)
    dataset_test = torchvision.datasets.ImageFolder(valdir, preset)
    return dataset, dataset_test, RandomSampler(dataset), SequentialSampler(dataset_test)


def main(args):
    train_dir, val_dir = Path(args.data_path, "train"), Path(args.data_path, "val")
    dataset, dataset_test, train_sampler, test_sampler = load_data(train_dir, val_dir, args)
    loading = {"batch_size": args.batch_size, "num_workers": args.workers}
    data_loader = DataLoader(dataset, sampler=train_sampler, **loading)
    data_loader_test = DataLoader(dataset_test, sampler=test_sampler, **loading)

    model = ImageClassifier(args, num_classes=len(dataset.classes))
    trainer = pl.Trainer(max_epochs=args.epochs, default_root_dir=args.output_dir)
    trainer.fit(model, data_loader, data_loader_test)


def get_args_parser():
    parser = argparse.ArgumentParser(description="PyTorch Classification Training")
    parser.add_argument("--data-path", default="data")
    parser.add_argument("--model", default="shufflenet_v2_x0_5")
    parser.add_argument("-b", "--batch-size", default=8, type=int)
    parser.add_argument("--epochs", default=3, type=int)
    parser.add_argument("-j", "--workers", default=0, type=int)
    parser.add_argument("--lr", default=0.05, type=float)
    parser.add_argument("--label-smoothing", default=0.1, type=float)
    parser.add_argument("--model-ema-decay", default=0.9, type=float)
    parser.add_argument("--train-crop-size", default=32, type=int)
    parser.add_argument("--val-resize-size", default=36, type=int)
    parser.add_argument("--val-crop-size", default=32, type=int)
    parser.add_argument("--output-dir", default=".")
    return parser


if __name__ == "__main__":
    main(get_args_parser().parse_args())
