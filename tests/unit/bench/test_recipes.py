"""Recipes are files that apply in order, and a recipe and a seed are a job."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from noisylearn.bench import recipe_files, recipe_job, recipe_names, recipes
from noisylearn.bench.recipes import merge


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of recipes in place of the checkout's."""
    files = {
        "a/_base": {"trainer": {"max_epochs": 9, "precision": "bf16-mixed"}, "data": {"class_path": "Digits"}},
        "a/one": {"model": {"class_path": "ELR", "init_args": {"lam": 3.0, "beta": 0.7}}},
        "a/small": {"trainer": {"max_epochs": 2}, "model": {"init_args": {"lam": 1.0}}},
        "b/bare": {"model": {"class_path": "CrossEntropy"}, "data": {"init_args": {"seed": 5, "noise": "none"}}},
    }
    for name, config in files.items():
        file = tmp_path / f"{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
    monkeypatch.setattr(recipes, "recipe_root", lambda: tmp_path)
    return tmp_path


def test_bases_are_no_recipes(root: Path) -> None:
    assert recipe_names() == ["a/one", "a/small", "b/bare"]


def test_a_base_comes_first_and_once(root: Path) -> None:
    def names(*asked: str) -> list[str]:
        return [f.relative_to(root).with_suffix("").as_posix() for f in recipe_files(asked)]

    assert names("a/one", "a/small") == ["a/_base", "a/one", "a/small"]
    assert names("a/small", "a/one") == ["a/_base", "a/small", "a/one"]
    assert names("b/bare", "a/one") == ["b/bare", "a/_base", "a/one"]
    assert names() == []


@pytest.mark.parametrize("name", ["a/on", "a/_base", "../a/one", "one"])
def test_what_is_no_recipe_is_refused_with_the_nearest(root: Path, name: str) -> None:
    with pytest.raises(ValueError, match=rf"no recipe `{name}`(; did you mean .*)?\nknown: a/one, a/small, b"):
        recipe_files([name])


def test_the_later_recipe_wins_key_by_key(root: Path) -> None:
    job = recipe_job(["a/one", "a/small"], seed=4, out=Path("runs"))
    assert job.run == Path("runs/a-one-a-small-4")
    assert job.config == {
        "trainer": {"max_epochs": 2, "precision": "bf16-mixed"},
        "data": {"class_path": "Digits", "init_args": {"seed": 4}},
        "model": {"class_path": "ELR", "init_args": {"lam": 1.0, "beta": 0.7}},
        "seed_everything": 4,
    }


def test_the_seed_is_the_jobs_whatever_the_recipe_says(root: Path) -> None:
    config = recipe_job(["b/bare"], seed=1, out=Path("runs")).config
    assert config["data"]["init_args"] == {"seed": 1, "noise": "none"}


def test_merging_overrides_leaves_and_changes_nothing_given() -> None:
    low = {"a": {"x": 1, "y": {"z": 2}}, "b": [1, 2], "c": {"k": 1}, "d": None}
    high = {"a": {"y": {"z": 3, "w": 4}}, "b": [3], "c": None, "d": {"k": 1}}
    before = copy.deepcopy((low, high))
    assert merge(low, high) == {"a": {"x": 1, "y": {"z": 3, "w": 4}}, "b": [3], "c": None, "d": {"k": 1}}
    assert (low, high) == before
    assert merge(low, {}) == low
