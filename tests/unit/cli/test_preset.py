"""A training command takes from a method's preset what it does not set itself, and says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from noisylearn.cli import main
from noisylearn.cli.options import read_options
from noisylearn.cli.preset import choose_preset
from noisylearn.cli.training import run_cli
from tests.recipes.parsing import parsed

ELR = ["--model=ELR", "--data=CIFAR10", "--data.noise=asymmetric_cifar10"]
GUESS = "the preset lam=2.0, beta=0.8 is guessed"
QUICK = [
    "--model.backbone=mlp",
    "--data.num_train=64",
    "--trainer.accelerator=cpu",
    "--trainer.max_epochs=1",
    "--trainer.limit_val_batches=0",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
]


def settled(noise: str, rate: float = 0.4) -> list[str]:
    """A fit of a method that has presets for digits."""
    data = ["--data=Digits", f"--data.noise={noise}", f"--data.noise_rate={rate}"]
    return ["--model=tests.e2e.theirs.Settled", *data, *QUICK]


def taken(*args: str) -> tuple[float, float]:
    """What ELR would be run with."""
    init = parsed(*args)["model"]["init_args"]
    return init["lam"], init["beta"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ([], (1.0, 0.9)),
        (["--data.noise=symmetric_exact"], (3.0, 0.7)),
        (["--data=CIFAR100", "--data.noise=asym_block5"], (7.0, 0.9)),
        (["--preset=none"], (3.0, 0.7)),
        (["--preset=none", "--data=CIFAR100", "--data.noise=asym_block5"], (3.0, 0.7)),
        (["--data=Digits"], (3.0, 0.7)),  # no preset is for these
        (["--model.lam=2"], (2.0, 0.9)),
        (["--model.init_args.beta", "0.5"], (1.0, 0.5)),
        (["--model.lam=3"], (3.0, 0.9)),  # the default, but said
    ],
)
def test_what_is_not_given_comes_from_the_preset(more: list[str], expected: tuple[float, float]) -> None:
    assert taken(*ELR, *more) == expected


def test_the_order_of_options_does_not_matter() -> None:
    assert taken("--model=ELR", "--model.lam=2", "--data=CIFAR10", "--data.noise=asymmetric_cifar10") == (2.0, 0.9)
    assert taken("--data=CIFAR10", "--data.noise=asymmetric_cifar10", "--model=ELR", "--model.lam=2") == (2.0, 0.9)


@pytest.mark.parametrize("where", ["a recipe", "a file", "a file that changes the method"])
def test_what_a_configuration_gives_lies_on_top_too(where: str, tmp_path: Path) -> None:
    if where == "a recipe":
        assert taken("--recipe", "cifar10n/elr", *ELR[1:]) == (3.0, 0.7)
        return
    file = tmp_path / "mine.yaml"
    other = where == "a file that changes the method"
    model = {"class_path": "SOP", "init_args": {"lr_u": 5.0}} if other else {"init_args": {"beta": 0.5}}
    file.write_text(yaml.safe_dump({"model": model}), encoding="utf-8")
    args = [f"--config={file}", *ELR] if other else [*ELR, f"--config={file}"]
    assert taken(*args) == ((1.0, 0.9) if other else (1.0, 0.5))


def test_an_argument_may_be_given_in_part() -> None:
    """A preset's dictionary does not lie under, or over, a single entry of the user's."""
    given = ["--model=RobustLoss", "--model.loss=nce_rce", "--data=CIFAR100", "--data.noise=symmetric"]
    args = [*given, "--model.loss_args.alpha=2.0", "--model.loss_args.beta=3.0"]
    assert parsed(*args)["model"]["init_args"]["loss_args"] == {"alpha": 2.0, "beta": 3.0}


def test_a_configuration_from_elsewhere_is_left_alone() -> None:
    """What it gives is not known here, and a preset must not override it."""
    cli: Any = run_cli(["fit", *settled("asymmetric_cifar10"), "--trainer.fast_dev_run=true"])
    config = cli.config["fit"].clone()
    config.model.init_args.lam = 3.0
    options = [option for option in read_options(settled("asymmetric_cifar10")) if option[0] != "config"]
    assert choose_preset(config, options) is not None
    assert choose_preset(config, [*options, ("config", "s3://bucket/config.yaml")]) is None


def test_a_fit_says_which_preset_it_takes_and_keeps_what_it_took(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["fit", *settled("asymmetric_cifar10"), f"--run={run}"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "the preset of" in line)
    assert line == (
        "noisylearn fit: the preset of Settled for digits, asymmetric noise, rate 0.4: lam=1.0, beta=0.9 "
        "(their table 2); `--preset none` leaves it out"
    )
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    assert (config["model"]["init_args"]["lam"], config["model"]["init_args"]["beta"]) == (1.0, 0.9)
    assert config["preset"] == "auto"
    assert "config" not in config


def test_a_resumed_run_keeps_what_its_configuration_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main(["fit", *settled("asymmetric_cifar10"), "--preset=none", f"--run={run}"]) == 0
    assert "the preset of" not in capsys.readouterr().out
    file = run / "config.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("preset: none", "preset: auto"), encoding="utf-8")
    last = run / "checkpoints" / "last.ckpt"
    resumed: Any = run_cli(["fit", f"--config={file}", f"--ckpt_path={last}", "--trainer.max_epochs=2"])
    assert (resumed.model.lam, resumed.model.beta) == (3.0, 0.7)
    assert "the preset of" not in capsys.readouterr().out


def test_a_guess_is_warned_of_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(UserWarning, match=GUESS) as caught:
        cli: Any = run_cli(["fit", *settled("symmetric"), "--trainer.fast_dev_run=true"])
    assert sum("guessed" in str(warning.message) for warning in caught) == 1
    assert (cli.model.lam, cli.model.beta) == (2.0, 0.8)
    assert "lam=2.0, beta=0.8 (nobody)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "more",
    [["--preset=none"], ["--model.lam=2.0", "--model.beta=0.8"], ["--data.noise_rate=0.2"], ["--data=FashionMNIST"]],
)
def test_nothing_is_said_where_nothing_is_taken(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Warnings are errors here."""
    args = ["fit", *settled("symmetric"), *more, "--trainer.fast_dev_run=true"]
    if "--data=FashionMNIST" in more:
        args.append("--print_config")  # its images are not needed for that
        with pytest.raises(SystemExit):
            run_cli(args)
    else:
        run_cli(args)
    assert "the preset of" not in capsys.readouterr().out


def test_a_preset_that_is_no_choice_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *ELR, "--preset=elr"]) == 1
    assert "argument --preset: invalid choice: 'elr'" in capsys.readouterr().err


def test_the_help_says_what_a_preset_does(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert "`--preset none` leaves them at their defaults" in words
    assert "--preset {auto,none}" in words
