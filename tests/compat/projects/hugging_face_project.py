"""Text classification with Hugging Face's transformers, after Lightning's own example for GLUE."""

import argparse
import csv
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset
from transformers import BertConfig, BertForSequenceClassification, get_linear_schedule_with_warmup

PAD, CLS = 0, 1


class Reviews(Dataset):
    def __init__(self, file):
        with Path(file).open(newline="") as lines:
            self.rows = [(row["text"].split(), int(row["label"])) for row in csv.DictReader(lines)]
        words = sorted({word for text, _ in self.rows for word in text})
        self.vocab = {word: number for number, word in enumerate(words, start=CLS + 1)}

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        text, label = self.rows[i]
        return {"input_ids": [CLS, *(self.vocab[word] for word in text)], "label": label}


def collate(items):
    ids = [torch.tensor(item["input_ids"]) for item in items]
    return {
        "input_ids": pad_sequence(ids, batch_first=True, padding_value=PAD),
        "attention_mask": pad_sequence([torch.ones_like(i) for i in ids], batch_first=True),
        "labels": torch.tensor([item["label"] for item in items]),
    }


class TextClassifier(pl.LightningModule):
    def __init__(self, vocab_size, num_labels, lr, warmup_steps=2):
        super().__init__()
        self.save_hyperparameters()
        config = BertConfig(
            vocab_size=vocab_size,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=32,
            num_labels=num_labels,
        )
        self.model = BertForSequenceClassification(config)

    def forward(self, **inputs):
        return self.model(**inputs)

    def training_step(self, batch, batch_idx):
        outputs = self(**batch)
        loss = outputs[0]
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        outputs = self(**batch)
        self.log("val_loss", outputs.loss, batch_size=len(batch["labels"]))

    def configure_optimizers(self):
        no_decay = ("bias", "LayerNorm.weight")
        named = list(self.model.named_parameters())
        groups = [
            {"params": [p for n, p in named if not n.endswith(no_decay)], "weight_decay": 0.01},
            {"params": [p for n, p in named if n.endswith(no_decay)], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.hparams.lr)
        scheduler = get_linear_schedule_with_warmup(
            optimizer,
            num_warmup_steps=self.hparams.warmup_steps,
            num_training_steps=self.trainer.estimated_stepping_batches,
        )
        return [optimizer], [{"scheduler": scheduler, "interval": "step", "frequency": 1}]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--learning_rate", type=float, default=2e-3)
    parser.add_argument("--accumulate", type=int, default=1)
    parser.add_argument("--num_workers", type=int, default=0)
    args = parser.parse_args()

    train = Reviews("data/reviews.csv")
    loading = {"batch_size": 8, "collate_fn": collate, "num_workers": args.num_workers}
    model = TextClassifier(vocab_size=len(train.vocab) + 2, num_labels=4, lr=args.learning_rate)
    trainer = pl.Trainer(max_epochs=3, gradient_clip_val=1.0, accumulate_grad_batches=args.accumulate)
    trainer.fit(model, DataLoader(train, shuffle=True, **loading), DataLoader(train, **loading))


if __name__ == "__main__":
    main()
