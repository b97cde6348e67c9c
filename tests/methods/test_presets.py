"""Presets: which one is found, and that each one can be used as it stands."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from noisylearn import methods
from noisylearn.methods import ELR, NoisyLearner
from noisylearn.methods.presets import Preset, find_preset, noise_family
from noisylearn.noise import NOISE_KINDS
from tests.methods.harness import CASES

DATA = {"cifar10": 10, "cifar100": 100, "cifar10n": 10, "cifar100n": 100, "fashion_mnist": 10, "digits": 10}
FAMILIES = ("symmetric", "asymmetric", "pair", "instance", "human", "none")
FOUND = [
    (getattr(methods, name), number, preset)
    for name in methods.__all__
    for number, preset in enumerate(getattr(getattr(methods, name), "presets", ()))
]
each_preset = pytest.mark.parametrize(
    ("method", "preset"), [(m, p) for m, _, p in FOUND], ids=[f"{m.__name__}-{number}" for m, number, _ in FOUND]
)


def meant_for(preset: Preset) -> list[tuple[str, str, float]]:
    """The data sets, families of noise and rates that a preset names."""
    low, high = preset.rates
    return list(product(preset.data or ("digits",), preset.noise or FAMILIES, (low, (low + high) / 2, high)))


@each_preset
def test_a_preset_is_accepted_by_its_class(method: type[NoisyLearner], preset: Preset) -> None:
    (case,) = (case for case in CASES if case.method is method)
    case = replace(case, args={name: value for name, value in case.args.items() if name != "transition"})
    for data in preset.data or ("digits",):
        built = case.build(num_classes=DATA[data], **preset.where, **preset.args)
        for name, value in {**preset.where, **preset.args}.items():
            assert built.hparams[name] == value


@each_preset
def test_a_preset_says_what_it_is_for(method: type[NoisyLearner], preset: Preset) -> None:
    assert set(preset.data) <= DATA.keys()
    assert set(preset.noise) <= set(FAMILIES)
    assert 0 <= preset.rates[0] <= preset.rates[1] <= 1
    assert preset.args
    assert len(preset.source) > 3


@each_preset
def test_a_preset_leaves_the_protocol_alone(method: type[NoisyLearner], preset: Preset) -> None:
    """The network, the optimizer and what the data knows are no method's own."""
    assert not preset.args.keys() & {*NoisyLearner("mlp").hparams, "backbone", "noise_rate"}


@each_preset
def test_a_preset_is_found(method: type[NoisyLearner], preset: Preset) -> None:
    """None stands behind one that takes all of its cases."""
    assert preset in [find_preset(method.presets, *case, preset.where) for case in meant_for(preset)]


def test_every_kind_of_noise_has_a_family() -> None:
    human = ("human_worse", "human_aggre", "human_random1", "human_fine", "human_coarse")
    assert {noise_family(kind) for kind in (*NOISE_KINDS, *human)} == set(FAMILIES)


MIDDLE = Preset(("cifar10",), ("symmetric",), {"lam": 1.0}, "the middle", rates=(0.3, 0.6))
WIDE = Preset(("cifar10",), ("symmetric", "pair"), {"lam": 2.0}, "the rest")


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (("cifar10", "symmetric_exact", 0.3), MIDDLE),
        (("cifar10", "symmetric", 0.6), MIDDLE),
        (("cifar10", "symmetric", 0.29), WIDE),
        (("cifar10", "symmetric", 0.61), WIDE),
        (("cifar10", "pair_flip", 0.4), WIDE),
        (("cifar10", "asymmetric_cifar10", 0.4), None),
        (("cifar100", "symmetric", 0.4), None),
        (("", "symmetric", 0.4), None),
    ],
)
def test_the_first_that_fits_is_found(case: tuple[str, str, float], expected: Preset | None) -> None:
    assert find_preset((MIDDLE, WIDE), *case) is expected


def test_a_preset_may_belong_to_another_argument() -> None:
    first = Preset((), (), {"loss_args": {"alpha": 1.0}}, "a table", where={"loss": "first"})
    second = Preset((), (), {"loss_args": {"alpha": 2.0}}, "a table", where={"loss": "second"})
    assert find_preset((first, second), "digits", "none", 0.0, {"loss": "second"}) is second
    assert find_preset((first, second), "digits", "none", 0.0, {"loss": "third"}) is None
    assert find_preset((first, second), "digits", "none", 0.0) is None


class Guessing(ELR):
    presets = (Preset(("digits",), (), {"lam": 2.0, "beta": 0.8}, "nobody", guessed=True),)


def test_what_is_decided_lies_on_top_of_the_preset() -> None:
    assert ELR.preset("cifar10", "asymmetric_cifar10", 0.4) == {"lam": 1.0, "beta": 0.9}
    assert ELR.preset("cifar10", "asymmetric_cifar10", 0.4, lam=5.0, lr=0.1) == {"lam": 5.0, "beta": 0.9, "lr": 0.1}
    assert ELR.preset("digits", "symmetric", 0.4) == {}
    assert ELR.preset("digits", "symmetric", 0.4, lam=5.0) == {"lam": 5.0}


def test_a_guess_is_warned_of_where_it_is_used() -> None:
    with pytest.warns(UserWarning, match="lam=2.0, beta=0.8 is guessed \\(nobody\\)") as caught:
        assert Guessing.preset("digits", "symmetric", 0.4, lam=1.0) == {"lam": 1.0, "beta": 0.8}
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decided: dict[str, Any] = {"lam": 1.0, "beta": 0.5}
        assert Guessing.preset("digits", "symmetric", 0.4, **decided) == decided
        assert Guessing.preset("cifar10", "symmetric", 0.4) == {}
