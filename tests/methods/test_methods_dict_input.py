"""Inputs that are dicts, as text and tabular data have them: a network that takes them is all that a method needs."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from noisylearn._compat import Trainer
from noisylearn.callbacks import SignalTracker
from noisylearn.data import Batch, Digits, IndexedDataset
from noisylearn.methods import CoTeaching, CrossEntropy, NoisyLearner
from tests.methods.harness import Case, differences, digits, each_method, run, tiny


def as_dict(x: Any) -> Any:
    """Pixels in a dict, beside what no network reads; of several views each."""
    if isinstance(x, tuple):
        return tuple(as_dict(view) for view in x)
    return {"pixels": x, "name": [f"row {i}" for i in range(len(x))]}


class Records(Digits):
    """Digits whose batches have dicts, in training, evaluation and sweeps."""

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch._replace(input=as_dict(batch.input))


class OfRecords(nn.Sequential):
    """The harness's network, for dicts; its weights have the same names."""

    def forward(self, x: Any) -> Tensor:
        logits: Tensor = super().forward(x["pixels"])
        return logits


def of_records() -> nn.Module:
    return OfRecords(OrderedDict(tiny().named_children()))


@each_method
def test_a_dict_is_learned_from_as_its_tensor_is_or_refused(case: Case) -> None:
    args: dict[str, Any] = {"noise_rate": 0.4, "num_train": 256, "batch_size": 32}
    fit_args: dict[str, Any] = {"epochs": 3, "limit_val_batches": 1.0}
    if case.refuses_dicts:
        with pytest.raises((TypeError, ValueError), match=case.refuses_dicts) as refused:
            run(case, Records(**args), {"backbone": of_records}, **fit_args)
        assert "got a dict" in str(refused.value)
        return
    plain = run(case, digits(**args), callbacks=[SignalTracker()], **fit_args)
    records = run(case, Records(**args), {"backbone": of_records}, callbacks=[SignalTracker()], **fit_args)
    assert differences(plain.state(), records.state()) == []
    for name in ("train_loss", "test_accuracy"):
        assert plain.trainer.callback_metrics[name] == records.trainer.callback_metrics[name]
    pages: list[Tensor] = records.trainer.predict(records.method, datamodule=records.data)
    assert torch.cat(pages).shape == (256, 10)


class Text(nn.Module):
    """A classifier of token sequences: the mean of the embeddings of what the mask does not hide."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(50, 16), nn.Linear(16, 4)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        mask = batch["attention_mask"].unsqueeze(-1)
        words = (self.embed(batch["input_ids"]) * mask).sum(1) / mask.sum(1)
        logits: Tensor = self.head(words)
        return logits


def sentences() -> IndexedDataset:
    """64 sequences of a tokenizer's kind; the first word tells the class, every fifth label is wrong."""
    generator = torch.Generator().manual_seed(0)
    items = []
    for i in range(64):
        ids = torch.randint(4, 50, (8,), generator=generator)
        ids[0] = i % 4
        mask = (torch.arange(8) < 3 + i % 5).float()
        items.append(({"input_ids": ids, "attention_mask": mask}, (i + (i % 5 == 0)) % 4))
    return IndexedDataset(items)


@pytest.mark.parametrize(("method", "args"), [(CrossEntropy, {}), (CoTeaching, {"noise_rate": 0.2})])
def test_text_from_a_loader_of_torchs(method: type[NoisyLearner], args: dict[str, Any]) -> None:
    loader = DataLoader(sentences(), batch_size=16, shuffle=True)
    batch = next(iter(loader))
    assert isinstance(batch, Batch)
    assert {name: tuple(part.shape) for name, part in batch.input.items()} == {
        "input_ids": (16, 8),
        "attention_mask": (16, 8),
    }
    torch.manual_seed(0)
    learner = method(backbone=Text(), num_classes=4, num_samples=64, lr=0.5, **args)
    trainer = Trainer(
        max_epochs=30,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(learner, loader, DataLoader(sentences(), batch_size=16))
    assert float(trainer.callback_metrics["val_accuracy"]) > 0.75
    words = {"input_ids": torch.arange(4).unsqueeze(1), "attention_mask": torch.ones(4, 1)}
    assert learner(words).argmax(-1).tolist() == [0, 1, 2, 3]
