"""No method's step reads a value back from the device: on a GPU that would be a wait in every step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from noisylearn._compat import Trainer
from noisylearn.methods import NoisyLearner
from tests.methods.harness import Case, each_method

B, N = 8, 20


def one_step(method: NoisyLearner, epoch: int, device: str) -> Tensor:
    """A step without Lightning's part, on a device of choice."""
    method.trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, barebones=True)
    method.trainer.fit_loop.epoch_progress.current.processed = epoch
    method.tables = dict(method.build_tables(N))
    for table in method.tables.values():
        table.to(device)
    method.to(device)
    views = tuple(torch.zeros(B, 1, 8, 8, device=device) for _ in method.views)
    target, index = (torch.zeros(B, dtype=torch.int64, device=device) for _ in range(2))
    loss, _ = method.learn(views if len(views) > 1 else views[0], target, index)
    loss.backward()
    return loss


@pytest.mark.filterwarnings("ignore:.*barebones.*")
@pytest.mark.parametrize("epoch", [0, 5])
@each_method
def test_a_step_waits_for_nothing(case: Case, epoch: int) -> None:
    """A tensor of the meta device has no value to read."""
    loss = one_step(case.build(), epoch, "meta")
    assert loss.device.type == "meta"
    assert loss.shape == ()


class Waits(NoisyLearner):
    """Reads a value in its step."""

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        return logits.sum(-1) * float(logits.detach().max())


@pytest.mark.filterwarnings("ignore:.*barebones.*")
def test_a_wait_is_seen() -> None:
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        one_step(Case(Waits).build(), 0, "meta")
