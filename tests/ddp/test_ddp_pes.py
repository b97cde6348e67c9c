"""A part of the network is drawn anew alike on two processes whose random numbers have gone apart."""

from __future__ import annotations

from typing import Any

import torch

from noisylearn._compat import Callback
from noisylearn.methods import PES
from tests.ddp.ranks import Ranks
from tests.methods.harness import Case, differences, digits, plain, run


class Apart(Callback):  # type: ignore[misc]
    """Gives each rank random numbers of its own."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        torch.manual_seed(trainer.global_rank)


def drawn_apart(name: str) -> dict[str, Any]:
    setting = {"warmup_epochs": 1, "tail": ("classifier",), "refine_epochs": (2,), "backbone": plain}
    args: dict[str, Any] = {"devices": 2, "strategy": "ddp", "callbacks": [Apart()]}
    return dict(run(Case(PES, setting), digits(num_train=250), epochs=3, **args).method.state_dict())


def test_ranks_draw_the_same(ranks: Ranks) -> None:
    one, other = ranks.run(2, drawn_apart, "")
    assert differences(one, other) == []
