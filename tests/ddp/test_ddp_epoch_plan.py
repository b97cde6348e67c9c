"""Two processes plan their epochs from one choice and serve as many batches."""

from __future__ import annotations

from typing import Any

import torch

from tests.ddp.ranks import Ranks
from tests.methods.harness import differences, digits, run
from tests.methods.planned import PLANNED, Served


def planned_on_two(name: str) -> dict[str, Any]:
    served = Served()
    fitted = run(PLANNED, digits(num_train=251), epochs=3, callbacks=[served], devices=2, strategy="ddp")
    losses = fitted.method.tables["chosen"].views()["loss"]
    return {"weights": fitted.method.state_dict(), "losses": losses, "rows": served.rows, "begun": fitted.method.begun}


def test_two_processes_serve_as_many_batches_from_one_choice(ranks: Ranks) -> None:
    one, other = ranks.run(2, planned_on_two, "")
    assert differences(one["weights"], other["weights"]) == []
    assert torch.equal(one["losses"], other["losses"])
    assert one["begun"] == other["begun"] == [0, 1, 2]
    for epoch in (1, 2):
        assert len(one["rows"][epoch]) == len(other["rows"][epoch])
        assert {row % 2 for row in one["rows"][epoch]} == {0}
        assert {row % 2 for row in other["rows"][epoch]} == {1}
