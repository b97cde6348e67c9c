"""Every recipe is what the command line's own parser accepts, and the small ones take a step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import redirect_stdout
from io import StringIO
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from noisylearn.bench import recipe_files, recipe_names
from noisylearn.bench.recipes import merge, recipe_root
from noisylearn.cli import main
from noisylearn.data import CIFAR10, Arrays
from tests.recipes.parsing import parsed

FILES = sorted(recipe_root().glob("*/*.yaml"))


def read(file: Path) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return config


def is_overlay(name: str) -> bool:
    """Whether a recipe changes others of its folder and names no method of its own."""
    return "class_path" not in read(recipe_root() / f"{name}.yaml").get("model", {})


METHODS = [name for name in recipe_names() if not is_overlay(name)]
OVERLAYS = [name for name in recipe_names() if is_overlay(name)]
OVERLAID = [
    (method, overlay) for overlay in OVERLAYS for method in METHODS if Path(method).parent == Path(overlay).parent
]
SHORTER = [names for names in OVERLAID if "trainer" in read(recipe_root() / f"{names[1]}.yaml")]
COMMANDS = [(name,) for name in METHODS] + OVERLAID


def contains(whole: Any, part: Any) -> bool:
    """Whether ``whole`` has every entry of ``part``; short class names stand for their paths."""
    if isinstance(part, Mapping):
        return isinstance(whole, Mapping) and all(k in whole and contains(whole[k], v) for k, v in part.items())
    return bool(whole == part) or (isinstance(part, str) and str(whole).endswith(f".{part}"))


@pytest.mark.parametrize("names", COMMANDS, ids="+".join)
def test_the_parser_knows_every_class_and_argument(names: tuple[str, ...]) -> None:
    asked: dict[str, Any] = {}
    for file in recipe_files(names):
        asked = merge(asked, read(file))
    config = parsed(*(part for name in names for part in ("--recipe", name)))
    assert contains(config, asked)


def test_every_recipe_is_parsed() -> None:
    assert {name for names in COMMANDS for name in names} == set(recipe_names())
    assert {file for names in COMMANDS for file in recipe_files(names)} == set(FILES)


def test_the_listed_cells_are_recipes_of_a_method() -> None:
    cells = yaml.safe_load((recipe_root() / "cells.yaml").read_text(encoding="utf-8"))
    assert len(set(cells)) == len(cells) > 10
    assert set(cells) <= set(METHODS)


def test_a_difference_between_file_and_parser_is_seen() -> None:
    config = parsed("--recipe", "digits/elr")
    assert contains(config, {"model": {"class_path": "ELR"}})
    assert not contains(config, {"model": {"class_path": "LR"}})
    assert not contains(config, {"trainer": {"max_epochs": 61}})
    assert not contains(config, {"model": {"init_args": {"lamm": 3.0}}})


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_recipe_opens_with_what_it_is(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    header = " ".join(line.removeprefix("#").strip() for line in takewhile(lambda line: line.startswith("#"), lines))
    assert len(header.split()) >= 5


@pytest.mark.parametrize("name", METHODS)
def test_a_recipe_is_of_full_length_and_its_cell_its_methods(name: str) -> None:
    config = parsed("--recipe", name)
    method = config["model"]["class_path"].rsplit(".", 1)[-1]
    assert config["cell"] is None or config["cell"].endswith(f"/{method}")
    assert config["reduced"] is False


@pytest.mark.parametrize("names", SHORTER, ids="+".join)
def test_an_overlay_shortens_the_schedule_and_says_so(names: tuple[str, str]) -> None:
    full, small = parsed("--recipe", names[0]), parsed("--recipe", names[0], "--recipe", names[1])
    assert small["reduced"] is True
    assert small["trainer"]["max_epochs"] < full["trainer"]["max_epochs"]
    assert small["cell"] == full["cell"]


def take_a_step(folder: Path, *names: str) -> dict[str, Any]:
    limits = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=1", "--trainer.limit_val_batches=1"]
    quiet = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--trainer.num_sanity_val_steps=0"]
    # The summary warns that it does not know the size of bf16 weights.
    every = ["--trainer.check_val_every_n_epoch=1", "--trainer.enable_model_summary=false", "--run", str(folder)]
    recipes = [part for name in names for part in ("--recipe", name)]
    with redirect_stdout(StringIO()):
        assert main(["fit", *recipes, *limits, *quiet, *every]) == 0
    result: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return result


@pytest.mark.parametrize("name", [name for name in METHODS if name.startswith("digits/")])
def test_a_recipe_on_embedded_data_takes_a_step(name: str, tmp_path: Path) -> None:
    result = take_a_step(tmp_path, name)
    assert (result["completed"], result["reduced"], result["noise"]["rate"]) == (True, True, 0.4)
    assert result["cell"] == f"digits-symmetric-0.4/{result['method']}"
    assert result["test_last"] is not None


@pytest.mark.parametrize(
    ("overlay", "kind", "rate"),
    [
        ("symmetric40", "symmetric", 0.4),
        ("pair45", "pair_flip", 0.45),
        ("asymmetric40", "asymmetric_mnist", 0.2),
        ("instance40", "instance_dependent", 0.4),
    ],
)
def test_a_noise_overlay_of_digits_draws_what_its_name_says(
    overlay: str, kind: str, rate: float, tmp_path: Path
) -> None:
    result = take_a_step(tmp_path, "digits/elr", f"digits/{overlay}")
    assert result["noise"]["generator"] == kind
    assert result["noise"]["realised_rate"] == pytest.approx(rate, abs=0.02)
    assert result["cell"] == f"digits-{kind}-{result['noise']['rate']:g}/ELR"


PUBLISHED = [name for name in METHODS if name.startswith(("cifar10/", "cifar100/"))]


# Where a recipe leaves an argument to a preset that is guessed, the fit says so.
@pytest.mark.filterwarnings("ignore:the preset .* is guessed:UserWarning")
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_recipe_takes_a_step_on_images_of_its_size(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def random_images(data: CIFAR10) -> Arrays:
        labels = torch.arange(400) % data.num_classes
        images = torch.randint(256, (400, 3, 32, 32), dtype=torch.uint8)
        return Arrays(images, labels, images[:8], labels[:8])

    monkeypatch.setattr(CIFAR10, "load", random_images)
    monkeypatch.setattr(CIFAR10, "prepare_data", lambda data: None)
    quiet = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
    small = ["--data.batch_size=4", "--data.eval_batch_size=8", "--trainer.fast_dev_run=true"]
    with redirect_stdout(StringIO()):
        assert main(["fit", "--recipe", name, *quiet, *small]) == 0


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_recipe_names_its_source_and_decides_its_protocol(name: str) -> None:
    own = read(recipe_root() / f"{name}.yaml")
    assert "# Source: " in (recipe_root() / f"{name}.yaml").read_text(encoding="utf-8")
    assert {"noise", "noise_rate"} <= own["data"]["init_args"].keys()
    assert {"backbone", "lr", "scheduler"} <= own["model"]["init_args"].keys()
    assert own["trainer"]["max_epochs"] >= 100


@pytest.mark.parametrize(
    ("name", "more", "expected"),
    [
        ("cifar10/elr", [], {"lam": 3.0, "beta": 0.7}),
        ("cifar10/elr_asymmetric", [], {"lam": 1.0, "beta": 0.9}),
        ("cifar100/elr", ["--data.noise=asym_block5"], {"lam": 7.0, "beta": 0.9}),
        ("cifar10/jocor", [], {"lam": 0.9}),
        ("cifar10/jocor", ["--data.noise_rate=0.8"], {"lam": 0.65}),
        ("cifar100/jocor", [], {"lam": 0.85}),
        ("cifar10/selc", ["--data.noise_rate=0.2"], {"warmup_epochs": 40}),
        ("cifar100/selc", [], {"warmup_epochs": 20}),
        ("cifar100/co_teaching_plus", [], {"init_epoch": 5}),
        ("cifar10/sce", [], {"loss_args": {"alpha": 0.1, "beta": 1.0}}),
        ("cifar100/nce_rce", [], {"loss_args": {"alpha": 10.0, "beta": 0.1}}),
        ("cifar100/sop", ["--data.noise=asym_block5"], {"lr_u": 0.1, "lr_v": 100.0}),
    ],
)
def test_a_published_recipe_has_its_methods_preset(name: str, more: list[str], expected: dict[str, Any]) -> None:
    init = parsed("--recipe", name, *more)["model"]["init_args"]
    assert {argument: init[argument] for argument in expected} == expected


@pytest.mark.data
@pytest.mark.parametrize("names", SHORTER, ids="+".join)
def test_a_small_recipe_takes_a_step_on_the_real_data(names: tuple[str, str], tmp_path: Path) -> None:
    result = take_a_step(tmp_path, *names)
    assert (result["completed"], result["reduced"], result["num_samples"]) == (True, True, 5000)
    assert result["noise"]["realised_rate"] == pytest.approx(0.4186)
    assert result["test_last"] is not None
