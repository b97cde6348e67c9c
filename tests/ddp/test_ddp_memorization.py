"""Protocols of several runs on two processes: every rank has the whole result, each sample its own row."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from noisylearn.memorization import fake_class_protocol, second_split
from noisylearn.metrics import detection_auroc
from tests.ddp.ranks import Ranks
from tests.unit.memorization.small import CLASSES, Yours, digits, loaders, trainers

SIZE = 401  # odd: halves and shares of ranks differ by one


def both(world: int) -> tuple[list[Tensor], list[Tensor]]:
    data, _, _ = digits(SIZE)
    options: dict[str, Any] = {"devices": world, "strategy": "ddp"}
    make_trainer = trainers(8, **options)
    fake = fake_class_protocol(
        lambda classes: Yours(classes, lr=0.05), data, CLASSES, make_trainer, loaders(32), progress=False
    )
    split = second_split(lambda: Yours(CLASSES), data, make_trainer, loaders(32), progress=False)
    return [fake.aum, fake.flagged, fake.probes], [split.times, split.learned]


def test_every_rank_has_the_whole_result(ranks: Ranks) -> None:
    (fake, split), other = ranks.run(2, both, 2)
    for ours, theirs in zip([*fake, *split], [*other[0], *other[1]], strict=True):
        assert torch.equal(ours, theirs)
        assert not ours.isnan().any()
    _, _, wrong = digits(SIZE)
    assert detection_auroc(fake[0].mean(0), wrong, higher_is_noisier=False) > 0.8
    assert detection_auroc(split[0][0], wrong, higher_is_noisier=False) > 0.8
