"""`Susceptibility`: how readily the network takes up random labels, without training it on them."""

from __future__ import annotations

from typing import Any

import torch

from noisylearn.callbacks.logits_finder import Key
from noisylearn.callbacks.one_logit import TwoLogits, has_one_logit, two_logits
from noisylearn.callbacks.sweeping_meter import SweepingMeter, held_out_loader
from noisylearn.metrics import susceptibility
from noisylearn.sweeping import evaluating


class Susceptibility(SweepingMeter):
    """Logs, every so many epochs, how far one step on randomly labelled samples would lower their loss.

    ``susceptibility`` is the running mean over epochs, ``susceptibility_now`` the epoch's own. High means prone to
    memorize: among runs that fit the training set well, the authors prefer those where it is low. No label is read.
    The step is made on copies and taken back (`noisylearn.metrics.susceptibility`). On several processes each looks at
    its own batch and the mean is logged.

    Source: Forouzesh, Sedghi, Thiran, "Leveraging Unlabeled Data to Track Memorization", ICLR 2023.

    Args:
        every_n_epochs: Measure at the end of every so many epochs.
        batch: A batch of held-out samples; by default the first of the first validation loader.
        seed: Seed of the random labels.
        logits: The submodule that maps inputs to logits; by default as in `SweepTracker`.
        input: As in `SweepTracker`.

    Raises:
        ValueError: ``every_n_epochs`` is below 1.

    Example:
        >>> Susceptibility(every_n_epochs=2).state_key
        'Susceptibility'
    """

    def __init__(
        self,
        every_n_epochs: int = 1,
        batch: Any = None,
        seed: int = 0,
        logits: str | None = None,
        input: Key | None = None,
    ) -> None:
        super().__init__(every_n_epochs, logits, input)
        self._batch, self._seed = batch, seed
        self._total, self._count = 0.0, 0

    def measure(self, trainer: Any, pl_module: Any) -> dict[str, Any]:
        """Return the running mean and the epoch's own value.

        Raises:
            ValueError: There is no batch to look at, or no network.
        """
        network = self._reader.network(pl_module)
        assert network is not None  # `logits` is no function here
        with evaluating(trainer, pl_module):
            batch = self._batch if self._batch is not None else next(iter(held_out_loader(trainer, "batch")))
            inputs = self._reader.input_of(trainer.strategy.batch_to_device(batch))
            logits = network(inputs)
            if has_one_logit(logits):
                network, logits = TwoLogits(network), two_logits(logits)
        generator = torch.Generator().manual_seed(self._seed + 1_000_003 * trainer.current_epoch)
        labels = torch.randint(logits.shape[-1], (len(inputs),), generator=generator).to(pl_module.device)
        # The mean over processes, so that all have the same running mean: a checkpoint holds one of them.
        now = trainer.strategy.reduce(susceptibility(network, trainer.optimizers[0], inputs, labels), reduce_op="mean")
        self._total, self._count = self._total + float(now), self._count + 1
        mean = torch.tensor(self._total / self._count, device=now.device)
        return {"susceptibility": mean, "susceptibility_now": now}

    def state_dict(self) -> dict[str, Any]:
        """Return the running mean."""
        return {"total": self._total, "count": self._count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._total, self._count = state_dict["total"], state_dict["count"]
