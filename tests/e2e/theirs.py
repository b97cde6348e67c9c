"""A method and a data set of a third party, which a command names by their import paths."""

from __future__ import annotations

from typing import Any

from noisylearn.data import Arrays, Digits
from noisylearn.methods import CoTeaching


class Method(CoTeaching):
    """Co-teaching with an argument of its own."""

    def __init__(self, mine: int = 1, **learner: Any) -> None:
        super().__init__(**learner)
        self.save_hyperparameters("mine")


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
