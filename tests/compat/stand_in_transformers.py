"""The names of Hugging Face's transformers that the project imports, for where the package is not installed.

Calls, submodule names and outputs are the package's; the network is torch's own encoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class SequenceClassifierOutput:
    """Its parts are had by name, or by number where they are not None."""

    loss: Tensor | None
    logits: Tensor

    def __getitem__(self, number: int) -> Tensor:
        return [part for part in (self.loss, self.logits) if part is not None][number]


class BertConfig(SimpleNamespace):
    """Takes every setting as a keyword."""


class Encoder(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.words = nn.Embedding(config.vocab_size, config.hidden_size)
        self.places = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        layer = nn.TransformerEncoderLayer(
            config.hidden_size, config.num_attention_heads, config.intermediate_size, batch_first=True
        )
        self.layers = nn.TransformerEncoder(layer, config.num_hidden_layers, enable_nested_tensor=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        x = self.words(input_ids) + self.places(torch.arange(input_ids.shape[1], device=input_ids.device))
        out: Tensor = self.layers(x, src_key_padding_mask=attention_mask == 0)
        return out[:, 0]


class BertForSequenceClassification(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.bert = Encoder(config)
        self.dropout = nn.Dropout(0.1)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor | None = None
    ) -> SequenceClassifierOutput:
        logits = self.classifier(self.dropout(self.bert(input_ids, attention_mask)))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss, logits)


def get_linear_schedule_with_warmup(optimizer: Any, num_warmup_steps: int, num_training_steps: int) -> Any:
    def rate(step: int) -> float:
        if step < num_warmup_steps:
            return step / num_warmup_steps
        return max(0.0, (num_training_steps - step) / (num_training_steps - num_warmup_steps))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
