"""The base of the methods that train on the samples they have chosen."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from noisylearn.losses import cross_entropy
from noisylearn.methods.chosen import ChosenSamples
from tests.methods.harness import Case, digits, plain, run
from tests.methods.planned import Served


class Weighted(ChosenSamples):
    """From the second epoch on, trains on every third sample, whose weights differ; on none in the fourth."""

    def begin_epoch(self) -> None:
        if self.current_epoch == 1:
            rows = torch.arange(256)
            self.choose((rows % 3 == 0) * (1.0 + rows % 2))
        elif self.current_epoch == 3:
            self.choose(torch.zeros(256))

    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        return cross_entropy(logits, target)


CASE = Case(Weighted, {"backbone": plain}, planned=True)


def test_an_epoch_serves_the_chosen_and_all_where_none_is() -> None:
    served = Served()
    run(CASE, epochs=4, callbacks=[served])
    everyone, third = list(range(256)), list(range(0, 256, 3))
    assert [sorted(rows) for rows in served.rows.values()] == [everyone, third, third, everyone]
    assert served.rows[1] != served.rows[2]


def test_a_batch_is_a_weighted_mean_and_a_sample_that_was_not_chosen_weighs_nothing() -> None:
    method = run(CASE, epochs=2).method
    index, losses = torch.tensor([0, 1, 3, 6]), torch.tensor([1.0, 100.0, 2.0, 4.0])
    assert float(method.reduce(losses, index, None)) == (1 + 2 * 2 + 4) / 4
    method.set_sample_weights(torch.tensor([3]), torch.tensor([0.0]))
    assert float(method.reduce(losses, index, None)) == (1 + 4) / 2


def test_a_process_without_a_chosen_sample_keeps_step_at_no_weight() -> None:
    method = run(CASE, epochs=2).method
    share = torch.tensor([1, 4, 7])
    plan = method.plan_epoch(share, 3, torch.Generator().manual_seed(0))
    assert plan is not None
    assert sorted(plan.tolist()) == share.tolist()
    assert float(method.reduce(torch.ones(3), plan, None)) == 0.0


def test_rows_that_are_not_trained_on_do_not_become_chosen() -> None:
    """With a validation split the table has rows that no epoch may serve."""
    data = digits(val_fraction=0.25)
    served = Served()
    run(CASE, data, epochs=3, callbacks=[served])
    for rows in served.rows.values():
        assert set(rows) <= set(data.train_rows.tolist())


@pytest.mark.parametrize(("chosen", "served"), [(32, 32), (33, 32), (34, 34), (65, 64), (1, 1)])
def test_no_last_batch_is_of_one_sample_unless_it_is_the_only_one(chosen: int, served: int) -> None:
    method = run(CASE, epochs=1).method
    method.choose((torch.arange(256) < chosen).float())
    plan = method.plan_epoch(torch.arange(256), 32, torch.Generator().manual_seed(0))
    assert plan is not None
    assert len(plan) == len(set(plan.tolist())) == served
    assert int(plan.max()) < chosen
    singles = method.plan_epoch(torch.arange(256), 1, torch.Generator().manual_seed(0))
    assert singles is not None
    assert len(singles) == chosen
