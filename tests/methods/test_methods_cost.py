"""What a method says that it costs and keeps is what is counted."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from noisylearn._compat import Callback
from noisylearn.methods import ELR, CrossEntropy, NoisyLearner
from noisylearn.tables import Column, SampleTable
from tests.methods.harness import Case, digits, each_method, run, tiny

_NUMBER = r"(about |up to |)([\d.]+)"
COST = re.compile(rf"(\d+) networks?, {_NUMBER} pass(?:es)?(?: and {_NUMBER} forward pass(?:es)?)?( each)?(?:; .+)?")
STATE = re.compile(r"none|([\w +]+) bytes(?:; .+)?")
COUNTERS = 6  # bytes of a table's own n_seen, committed and staged, and last_epoch
EPOCHS = 5


class Counted(nn.Linear):
    """A network's first layer: what goes through the network goes through it, once."""

    calls: ClassVar[list[tuple[nn.Module, bool, int]]] = []

    def forward(self, x: Tensor) -> Tensor:
        learns = torch.is_grad_enabled() and self.weight.requires_grad
        self.calls.append((self, learns, len(x)))
        return super().forward(x)


def counting() -> nn.Module:
    """The harness's network, its rows counted."""
    network: Any = tiny()
    first = network.features[1]
    network.features[1] = Counted(first.in_features, first.out_features)
    return network  # type: ignore[no-any-return]


class EpochEnds(Callback):  # type: ignore[misc]
    """Notes how many calls had been made when each epoch ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[int] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.ends.append(len(Counted.calls))


@dataclass
class Count:
    """Samples that went through each network in an epoch, as parts of the training set."""

    passes: list[float]
    forward_passes: float


def count(case: Case) -> Count:
    """Count the last of a few epochs, when warm-ups are over."""
    Counted.calls.clear()
    ends, num_train = EpochEnds(), 256
    run(case, digits(num_train=num_train), {"backbone": counting}, epochs=EPOCHS, callbacks=[ends])
    rows: dict[bool, Counter[nn.Module]] = {True: Counter(), False: Counter()}
    for network, learns, samples in Counted.calls[ends.ends[-2] : ends.ends[-1]]:
        rows[learns][network] += samples
    passes = [samples / num_train for samples in rows[True].values()]
    return Count(passes, rows[False].total() / num_train / max(len(passes), 1))


def fits(counted: float, bound: str, declared: float) -> bool:
    if bound == "up to ":
        return 0 < counted <= declared
    return abs(counted - declared) <= (declared / 3 if bound else 1e-9)


def check_cost(case: Case) -> None:
    said = COST.fullmatch(case.method.cost)
    assert said, f"{case.name}.cost is {case.method.cost!r}: see the attribute's docstring in NoisyLearner"
    networks, bound, passes, forward_bound, forward_passes, each = said.groups()
    counted = count(case)
    assert len(counted.passes) == int(networks) == case.networks
    assert (each is not None) == (case.networks > 1), "say `each` of several networks, and only of several"
    assert all(fits(number, bound, float(passes)) for number in counted.passes), counted
    assert fits(counted.forward_passes, forward_bound or "", float(forward_passes or 0)), counted


@each_method
def test_the_passes_that_are_declared_are_the_passes_that_are_made(case: Case) -> None:
    check_cost(case)


def bytes_in(state: str, **values: int) -> int:
    """The number of bytes that a ``state`` stands for."""
    said = STATE.fullmatch(state)
    assert said, f"`state` is {state!r}: see the attribute's docstring in NoisyLearner"
    terms = [term.split() for term in (said[1] or "0").split(" + ")]
    total = 0
    for term in terms:
        product = 1
        for factor in term:
            product *= values[factor] if factor in values else int(factor)
        total += product
    return total


def bytes_kept(tables: Any) -> int:
    return sum(sum(table.bytes_per_sample) - COUNTERS for table in tables.values())


@pytest.mark.parametrize("num_classes", [10, 7])
@each_method
def test_the_bytes_that_are_declared_are_the_bytes_that_are_kept(case: Case, num_classes: int) -> None:
    args = {name: value for name, value in case.args.items() if name != "transition"}  # one of ten classes, no state
    built = replace(case, args=args).build(backbone=tiny, num_classes=num_classes)
    numbers = {name: value for name, value in built.hparams.items() if type(value) is int}
    assert bytes_kept(built.build_tables(5)) == bytes_in(case.method.state, **numbers, C=num_classes)


@each_method
def test_what_is_kept_of_a_sample_is_in_tables(case: Case) -> None:
    """Another tensor with a row per sample would be in no checkpoint and no count."""
    num_train = 251
    method = run(case, digits(num_train=num_train), epochs=EPOCHS).method
    tensors = {**method.state_dict(), **vars(method)}
    assert [name for name, t in tensors.items() if isinstance(t, Tensor) and num_train in t.shape] == []


# -- what the counts would not let pass ------------------------------------------------------------------------------


class Twice(CrossEntropy):
    def training_logits(self, x: Any) -> Tensor:
        with torch.no_grad():
            self.network(x)
        logits: Tensor = super().training_logits(x)
        return logits


class Half(CrossEntropy):
    def compute_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        losses = super().compute_loss(logits, target, index)
        return losses + 0 * self.network(torch.zeros(len(index) // 2, 1, 8, 8)).sum()


def test_a_count_tells_passes_from_forward_passes() -> None:
    assert count(Case(CrossEntropy)) == Count([1.0], 0.0)
    assert count(Case(Twice)) == Count([1.0], 1.0)
    assert count(Case(Half)) == Count([1.5], 0.0)


@pytest.mark.parametrize(
    ("method", "cost", "right"),
    [
        (Twice, "1 network, 1 pass and 1 forward pass", True),
        (Twice, "1 network, 1 pass and up to 2 forward passes; looks twice", True),
        (Twice, "1 network, 1 pass", False),
        (Twice, "1 network, 2 passes", False),
        (Twice, "2 networks, 1 pass and 1 forward pass each", False),
        (Half, "1 network, 1.5 passes", True),
        (Half, "1 network, about 2 passes", True),
        (Half, "1 network, up to 1.5 passes", True),
        (Half, "1 network, up to 1 pass", False),
        (Half, "1 network, about 3 passes", False),
        (Half, "1 network, 1.5 passes each", False),
        (Half, "one network, 1.5 passes", False),
    ],
)
def test_a_wrong_cost_is_seen(method: type[NoisyLearner], cost: str, right: bool) -> None:
    case = Case(type("Said", (method,), {"cost": cost}))
    if right:
        check_cost(case)
    else:
        with pytest.raises(AssertionError):
            check_cost(case)


def test_a_state_is_read_as_it_is_written() -> None:
    assert bytes_in("none") == 0
    assert bytes_in("8 C + 4 bytes; none with a given matrix", C=7) == 60
    assert bytes_in("8 window C bytes", window=3, C=10) == 240
    with pytest.raises(AssertionError, match="see the attribute's docstring"):
        bytes_in("8 bytes per class", C=10)
    with pytest.raises(ValueError, match="window"):
        bytes_in("8 window bytes", C=10)


def test_a_row_per_sample_beside_the_tables_is_seen() -> None:
    class Beside(ELR):
        def on_train_start(self) -> None:
            super().on_train_start()
            self.register_buffer("kept", torch.zeros(self.tables["targets"].num_samples))

    with pytest.raises(AssertionError, match="kept"):
        test_what_is_kept_of_a_sample_is_in_tables(Case(Beside))


def test_a_tables_counters_take_six_bytes() -> None:
    assert sum(SampleTable(3, [Column("value", merge="last")]).bytes_per_sample) == 8 + COUNTERS
