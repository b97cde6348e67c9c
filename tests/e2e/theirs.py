"""A method and a data set of a third party, which a command names by their import paths."""

from __future__ import annotations

from typing import Any

from noisylearn.data import Arrays, Digits
from noisylearn.methods import ELR, CoTeaching
from noisylearn.methods.presets import Preset


class Method(CoTeaching):
    """Co-teaching with an argument of its own."""

    def __init__(self, mine: int = 1, **learner: Any) -> None:
        super().__init__(**learner)
        self.save_hyperparameters("mine")


class Settled(ELR):
    """Has presets for digits: its authors' for asymmetric noise, a guess for symmetric noise."""

    presets = (
        Preset(("digits",), ("asymmetric",), {"lam": 1.0, "beta": 0.9}, "their table 2"),
        Preset(("digits",), ("symmetric",), {"lam": 2.0, "beta": 0.8}, "nobody", rates=(0.3, 1.0), guessed=True),
    )


class Data(Digits):
    """The digits 0 to 3: another number of classes and samples than any method assumes."""

    name = "four"
    num_classes = 4
    class_names = tuple("0123")
    train_size = None

    def load(self) -> Arrays:
        digits = super().load()
        train, test = digits.train_targets < 4, digits.test_targets < 4
        return Arrays(
            digits.train_images[train], digits.train_targets[train], digits.test_images[test], digits.test_targets[test]
        )
