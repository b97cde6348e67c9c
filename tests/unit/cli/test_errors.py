"""What the parser says in a page is told in two lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from noisylearn.cli.errors import in_own_words
from noisylearn.cli.training import run_cli

FIT = ["fit", "--model=SmallLoss", "--model.backbone=mlp", "--data=Digits", "--trainer.accelerator=cpu"]
TOLD: dict[str, tuple[list[str], str]] = {
    "a class without its argument": (
        ["--trainer.callbacks+=EarlyStopping"],
        "`--trainer.callbacks`: EarlyStopping: the following arguments are required: monitor\na class's arguments",
    ),
    "a class that is not there": (
        ["--trainer.callbacks+=EarlyStoppin"],
        "`--trainer.callbacks`: no class `EarlyStoppin`\nanother package's is named by its import path",
    ),
    "one of several types": (
        ["--seed_everything=abc"],
        "`--seed_everything`: Expected a <class 'bool'> or <class 'int'>. Got value: abc",
    ),
    "one of several values": (
        ["--trainer.precision=bf16-mixd"],
        "`--trainer.precision`: Expected a <class 'int'> or typing.Literal[",
    ),
}


@pytest.mark.parametrize("case", TOLD)
def test_a_page_of_the_parsers_is_two_lines(case: str, tmp_path: Path) -> None:
    args, message = TOLD[case]
    with pytest.raises(Exception, match="Union subtypes") as told:
        run_cli([*FIT, *args, f"--run={tmp_path}"])
    text = in_own_words(told.value)
    assert text.startswith(message)
    assert len(text.splitlines()) <= 2
    assert "NoneType" not in text


def test_a_networks_missing_weights_are_not_all_listed() -> None:
    text = in_own_words(RuntimeError('Error(s) in loading state_dict for ELR:\n\tMissing key(s): "a", "b".'))
    assert text.startswith(
        "the checkpoint's weights do not fit ELR\ngive the configuration that they were trained with"
    )
    assert "Missing" not in text
