"""`ChosenSamples`: the base of the methods that train on the samples they have chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from noisylearn.methods.learner import NoisyLearner
from noisylearn.tables import Column, SampleTable


class ChosenSamples(NoisyLearner):
    """Base of the methods that choose samples as an epoch begins, and serve no others in it.

    An epoch is as much shorter as fewer samples are chosen; a last batch of one sample is left out. Each sample has a
    weight in the mean over its batch. Until the first choice all are served, with a weight of 1. The choice is in the
    table ``"chosen"``: every process has the same, and an epoch that was broken off goes on with the one it began with.
    """

    def evidence(self) -> Sequence[Column]:
        """Return the columns of the table ``"chosen"`` that the choice is made from."""
        return ()

    def build_tables(self, num_samples: int) -> Mapping[str, SampleTable]:
        """Keep each sample's weight, and the evidence."""
        weight = Column("weight", merge="ordered", initial=1.0)
        return {"chosen": SampleTable(num_samples, [weight, *self.evidence()])}

    def choose(self, weights: Tensor) -> None:
        """Train on the samples whose weight is not 0, from the coming epoch on; on all of them where all are 0.

        Args:
            weights: ``(N,)`` non-negative, the same on every process.
        """
        table = self.tables["chosen"]
        rows = torch.arange(len(weights), device=weights.device)
        table.write(rows, {"weight": torch.where(weights.gt(0).any(), weights, 1.0)})

    def plan_epoch(self, rows: Tensor, batch_size: int, generator: torch.Generator) -> Tensor | None:
        """Return the chosen ones of these rows, shuffled; None while all are."""
        kept = self.tables["chosen"].views()["weight"].cpu() > 0
        if bool(kept.all()):
            return None
        chosen = rows[kept[rows]]
        # A process whose share has none keeps step with the others, at a loss of 0.
        served = chosen if len(chosen) else rows
        order = torch.randperm(len(served), generator=generator)
        # A last batch of one would fail wherever batch norm has nothing but the batch to average over.
        return served[order[:-1] if len(served) % batch_size == 1 < len(served) else order]

    def sample_weights(self, index: Tensor) -> Tensor | None:
        """Return the weights of these samples, ``(B,)``, times those that callbacks have set."""
        chosen = self.tables["chosen"].read(index)["weight"]
        given = super().sample_weights(index)
        return chosen if given is None else chosen * given
