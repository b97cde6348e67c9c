"""Every signal on several processes: the tables and scores of one process on the same records, unseen rows NaN."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.utils.data import DistributedSampler

from noisylearn.callbacks.named_signals import BY_NAME
from noisylearn.signals import Observation, Signal, SignalSet
from tests.ddp.ranks import Ranks
from tests.ddp.test_ddp_tracking import assert_same

ROWS, EPOCHS, CLASSES, WIDTH, BATCH = 100, 3, 4, 6, 16
UNSEEN = torch.arange(0, ROWS, 9)
SEEN = torch.tensor([row for row in range(ROWS) if row % 9])
"""88 rows: one of three ranks has a row fewer, and two ranks have 44 each."""
ARGUMENTS: dict[str, dict[str, Any]] = {
    "ConfidentLearning": {"num_classes": CLASSES},
    "IntrinsicDimension": {"k": 3, "batch_size": BATCH},
    "MeanProbability": {"num_classes": CLASSES},
    "NeighborDisagreement": {"width": WIDTH, "num_classes": CLASSES, "k": 5},
    "PredictionDepth": {"widths": [8, WIDTH], "k": 5},
}
"""What must be said, or made smaller; a new signal that needs an argument fails here until it has one."""
AMONG_THE_BATCH = "intrinsic_dimension", "dimension_sum", "dimension_count"
"""Measured among the samples of a batch, and other ranks have other batches: no two numbers of processes agree."""


def every_signal() -> list[Signal]:
    return [cls(**ARGUMENTS.get(name, {})) for name, cls in BY_NAME.items()]


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = [nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, WIDTH), nn.Tanh(), nn.Linear(WIDTH, CLASSES)]
    return nn.Sequential(*layers).eval()


def records(rows: Tensor, epoch: int, spoilt: Tensor | None = None) -> list[Observation]:
    """What an epoch's network shows of some rows, with all that any signal needs, in batches.

    Args:
        rows: Their numbers.
        epoch: Another epoch, another network.
        spoilt: Which of them look different, as a sampler's padding would under augmentation.
    """
    generator = torch.Generator().manual_seed(7)
    images = torch.randn(ROWS, 1, 8, 8, generator=generator)
    targets = torch.randint(CLASSES, (ROWS,), generator=generator)
    selected = torch.rand(ROWS, generator=torch.Generator().manual_seed(epoch)) < 0.6
    net, peer = network(epoch), network(100 + epoch)
    observations = []
    for part in torch.arange(len(rows)).split(BATCH):
        index = rows[part]
        inputs = images[index] if spoilt is None else torch.where(spoilt[part, None, None, None], 3.0, images[index])
        with torch.no_grad():
            outer = net[:3](inputs)
            inner = net[3:5](outer)
            logits = net[5:](inner)
            both = torch.stack([logits, peer(inputs)])
        extras: dict[str, Any] = {"features": inner, "layers": [outer, inner], "inputs": inputs, "network": net}
        extras |= {"peer_logits": both, "selected": selected[index], "learning_rate": 0.1 / (epoch + 1)}
        observations.append(Observation(index, logits, targets[index], **extras))
    return observations


def measured(signals: SignalSet) -> dict[str, Tensor]:
    return dict(signals.table.views()) | signals.compute()


def on_this_rank() -> tuple[dict[str, Tensor], int]:
    """Epochs in the order of torch's own sampler, and how many of the rank's records were padding."""
    world, rank = (distributed.get_world_size(), distributed.get_rank()) if distributed.is_initialized() else (1, 0)
    signals, padded = SignalSet(every_signal(), ROWS), 0
    sampler = DistributedSampler(range(len(SEEN)), world, rank, seed=3)
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        order = torch.tensor(list(sampler))
        spoilt = torch.arange(len(order)) * world + rank >= len(SEEN)
        padded += int(spoilt.sum())
        for obs in records(SEEN[order], epoch, spoilt):
            signals.observe(obs)
        signals.commit(epoch)
    return measured(signals), padded


@pytest.fixture(scope="module")
def one() -> dict[str, Tensor]:
    signals = SignalSet(every_signal(), ROWS)
    for epoch in range(EPOCHS):
        for obs in records(SEEN, epoch):
            signals.observe(obs)
        signals.commit(epoch)
    return measured(signals)


def test_the_records_tell_samples_apart(one: dict[str, Tensor]) -> None:
    """Else equal tables would show nothing."""
    scores = [score for signal in every_signal() for score in signal.scores]
    for score in scores:
        values = one[score.name][SEEN]
        assert values.isfinite().any(), score.name
        assert len(values[values.isfinite()].unique()) > 1 or score.name == "never_learned", score.name


@pytest.mark.parametrize("world", [2, 3])
def test_tables_are_those_of_one_process(ranks: Ranks, world: int, one: dict[str, Tensor]) -> None:
    played = ranks.run(world, on_this_rank)
    assert sum(padded for _, padded in played) == EPOCHS * (-len(SEEN) % world)
    for found, _ in played:
        assert_same(played[0][0], found)
        comparable = [{n: v for n, v in part.items() if n not in AMONG_THE_BATCH} for part in (one, found)]
        assert_same(*comparable)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_score_of_an_unseen_row_is_nan(ranks: Ranks, world: int) -> None:
    for found, _ in ranks.run(world, on_this_rank):
        assert found["n_seen"][UNSEEN].tolist() == [0] * len(UNSEEN)
        for score in (score for signal in every_signal() for score in signal.scores):
            assert found[score.name][UNSEEN].isnan().all(), score.name
            assert found[score.name].shape == (ROWS,)
