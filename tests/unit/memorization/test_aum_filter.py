"""AUM filtering: the third training is one on the samples that the first two have not flagged."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from noisylearn.memorization import AUMFilterResult, DatasetView, aum_filter, fake_class_protocol
from tests.unit.memorization.small import CLASSES, Yours, digits, loaders, trainers


def make(classes: int) -> Yours:
    return Yours(classes, lr=0.05)


def filtered(data: Any = None, **options: Any) -> AUMFilterResult:
    arguments: dict[str, Any] = {
        "make_module": make,
        "dataset": digits()[0] if data is None else data,
        "num_classes": CLASSES,
        "make_trainer": trainers(10),
        "make_loader": loaders(32),
        "progress": False,
    }
    return aum_filter(**{**arguments, **options})


def by_hand(data: TensorDataset, kept: Tensor, epochs: int, batch_size: int) -> nn.Module:
    """Training on those rows with no Lightning."""
    x, given = data.tensors
    torch.manual_seed(0)
    module = make(CLASSES)
    optimizer = module.configure_optimizers()
    loader = DataLoader(TensorDataset(x[kept], given[kept]), batch_size=batch_size, shuffle=True)
    for _ in range(epochs):
        for inputs, labels in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(module.net(inputs), labels).backward()
            optimizer.step()
    return module


def test_equals_the_protocol_and_a_training_by_hand_on_what_it_has_not_flagged() -> None:
    data, given, wrong = digits()
    labels, before = given.clone(), torch.get_rng_state()
    result = filtered(make_final_trainer=trainers(4), make_final_loader=loaders(48))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(data.tensors[1], labels)
    found = fake_class_protocol(make, data, CLASSES, trainers(10), loaders(32), progress=False)
    assert torch.equal(result.found.flagged, found.flagged)
    assert 60 < found.num_flagged < 300  # of 600, a fifth of them wrong
    assert float(wrong[~found.flagged].float().mean()) < 0.08
    hand = by_hand(data, (~found.flagged).nonzero()[:, 0], 4, 48)
    torch.testing.assert_close(dict(result.module.state_dict()), dict(hand.state_dict()), rtol=1e-4, atol=1e-5)
    assert str(result) == f"trained on {600 - found.num_flagged} of 600 samples; {found}"


def test_without_trainer_and_loader_of_its_own_the_last_training_is_like_the_first() -> None:
    made: list[tuple[int, int]] = []

    def make_loader(view: DatasetView) -> Any:
        made.append((len(view), 0 if view.targets is None else int((view.targets == CLASSES).sum())))
        return loaders(32)(view)

    result = filtered(digits(200)[0], make_trainer=trainers(3), make_loader=make_loader, num_probes=20)
    assert made == [(200, 20), (200, 20), (200 - result.found.num_flagged, 0)]


def test_labels_replace_the_items_own_in_the_last_training_too() -> None:
    data, given, _ = digits(200)
    blank = TensorDataset(data.tensors[0], torch.zeros(200, dtype=torch.int64))
    one = filtered(data, make_trainer=trainers(3))
    other = filtered(blank, make_trainer=trainers(3), labels=given)
    assert torch.equal(one.found.flagged, other.found.flagged)
    assert one.found.num_flagged > 0
    torch.testing.assert_close(dict(one.module.state_dict()), dict(other.module.state_dict()), rtol=0, atol=0)


def test_where_all_are_flagged_nothing_is_left_to_train_on() -> None:
    class Backwards(Yours):
        """Learns to have its regular labels below all others."""

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            x, y = batch
            logits = self.net(x)
            if logits.shape[1] == CLASSES:
                raise AssertionError("there is nothing to train on")
            return nn.functional.cross_entropy(logits, torch.full_like(y, CLASSES))

    with pytest.raises(
        ValueError,
        match=r"all 100 samples are flagged, none is left to train on: the networks have not learned yet, train longer",
    ):
        filtered(digits(100)[0], make_module=lambda classes: Backwards(classes, lr=0.05))
