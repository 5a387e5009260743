"""The studies that come with paretosearch are right, and found wherever it is installed."""

import os
import random
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from paretosearch import methods
from paretosearch.axis import Choice, Real, SearchAxis, Value
from paretosearch.data import used
from paretosearch.search.grid import PLANS, grid
from paretosearch.space import Space
from paretosearch.studyfile import load, shipped

AXES_OF_EVERY_STUDY = {
    "number_format",
    "batch_size",
    "pooling",
    "prunetrain.penalty_ratio",
    "prunetrain.interval",
    "net2net.schedule",
    "learning_rate",
}


def a_genome(space: Space, last: bool) -> dict[str, Value]:
    def end(name: str) -> Value:
        axis = space.axes[name]
        if isinstance(axis, Choice):
            return axis.options[-1 if last else 0]
        return axis.high if last else axis.low

    return {name: end(name) for name in space.axes}


def test_the_studies_of_the_design_are_there() -> None:
    assert shipped() == (
        "batch_size",
        "cifar10",
        "cifar100",
        "fashion_mnist",
        "image_folder",
        "kernel_rescaling",
        "less_data",
        "methods",
        "net2net_prunetrain",
        "number_formats",
        "quickstart",
        "thesis",
    )


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_study_is_right_and_bears_the_name_it_is_asked_by(name: str) -> None:
    study = load(name)
    assert study.name == name
    if study.search.sampler not in PLANS:
        assert study.space.axes.keys() >= AXES_OF_EVERY_STUDY
        assert isinstance(study.space.axes["learning_rate"], Real)
        assert study.space.axes["learning_rate"].log
    for last in (False, True):
        assert methods.active(study.space.recipe(a_genome(study.space, last)))


def test_whatever_the_study_of_all_methods_draws_can_be_trained() -> None:
    study, rng = load("thesis"), random.Random(1)
    space = study.space
    drawn = [{name: rng.choice(_some(axis)) for name, axis in space.axes.items()} for _ in range(300)]
    seen: set[str] = set()
    for genome in [*study.first.values(), *drawn]:
        recipe = space.recipe(genome)
        seen |= {method.name for method in methods.active(recipe)}
    searched = {name.partition(".")[0] for name in space.axes if "." in name}
    assert searched <= seen
    assert {method.name for method in methods.CATALOGUE} - seen == {"kernel_rescaling"}  # as the file says


def _some(axis: SearchAxis) -> list[Value]:
    if isinstance(axis, Choice):
        return list(axis.options)
    return [axis.low, axis.high] if isinstance(axis, Real) else list(range(axis.low, axis.high + 1))


def test_each_method_has_its_turn_alone() -> None:
    study = load("methods")
    plan = PLANS["one-at-a-time"](study.space, study.first_in(study.space))
    recipes = [study.space.recipe(genome) for genome in plan]
    for recipe in recipes:
        assert methods.active(recipe)
        assert len(recipe.methods.keys() - {recipe.pooling, recipe.schedule, "muon"}) <= 1
    tried = {name for recipe in recipes for name in recipe.methods}
    chosen = {recipe.pooling for recipe in recipes} | {recipe.schedule for recipe in recipes}
    # What acts with others alone, poolings like max, and what needs larger kernels than those of convnet.
    left_out = {"dynamic_batch", "avg", "kernel_rescaling"}
    assert {method.name for method in methods.CATALOGUE} - tried - chosen == left_out


def test_quickstart_leaves_the_sampler_room_for_two_generations() -> None:
    study = load("quickstart")
    assert (study.dataset, study.network) == ("fashion-mnist", "convnet")
    assert study.budget.trials is not None
    assert study.budget.trials >= max(24, 2 * study.search.population)
    assert "epochs" in study.space.axes


def test_image_folder_can_be_copied_and_edited(tmp_path: Path) -> None:
    text = load("image_folder").text
    copy = tmp_path / "mine.toml"
    copy.write_text(text.replace('"image_folder"', '"mine"').replace("folder:images", "folder:flowers"))
    assert load(str(copy)).dataset == f"folder:{tmp_path / 'flowers'}"
    assert text.count("CHANGE:") >= 3


def test_the_studies_are_found_where_a_wheel_puts_them(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    wheel = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for package in wheel["packages"]:
        shutil.copytree(root / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for source, target in wheel["force-include"].items():
        shutil.copytree(root / source, tmp_path / target)
    command = "import paretosearch.studyfile as s; print(*s.shipped()); print(s.load('quickstart').path)"
    names, path = subprocess.run(
        [sys.executable, "-c", command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert tuple(names.split()) == shipped()
    assert Path(path) == tmp_path / "paretosearch" / "_studies" / "quickstart.toml"


def test_the_study_of_batch_sizes_trains_no_training_twice() -> None:
    study = load("batch_size")
    recipes = [study.space.recipe(genome) for genome in grid(study.space)]
    once = [recipe for recipe in recipes if recipe.seed == 1]
    assert len(recipes) == 3 * len(once)
    sizes = [recipe.batch_size for recipe in once]
    assert {size: sizes.count(size) for size in sizes} == {32: 3, 128: 1, 512: 12, 2048: 12}
    known = {(r.batch_size, r.peak_learning_rate, r.total_epochs, "ghost_norm" in r.methods) for r in once}
    assert len(known) == len(once)
    stretched = {recipe.batch_size: recipe.total_epochs for recipe in once if recipe.epochs_rule == "updates"}
    assert stretched == {512: 24, 2048: 96}
    images = once[0].train_images
    assert {images % recipe.batch_size for recipe in once} == {0}
    assert {epochs * (images // size) for size, epochs in stretched.items()} == {6 * (images // 128)}


def test_the_study_of_less_data_makes_as_many_updates_with_every_share() -> None:
    study = load("less_data")
    recipes = [study.space.recipe(genome) for genome in grid(study.space)]
    once = [recipe for recipe in recipes if recipe.seed == 1]
    assert len(recipes) == 3 * len(once) == 84
    assert {r.pooling: sum(o.pooling == r.pooling for o in once) for r in once} == dict.fromkeys(
        ("native", "avg", "stochastic", "s3"), 7
    )
    images = {share: used(54_000, once[0].train_images, share) for share in (0.1, 0.25, 0.5, 1.0)}
    assert images == {0.1: 2560, 0.25: 6400, 0.5: 12800, 1.0: 25600}
    steps = {
        rule: {r.total_epochs * (images[r.train_share] // r.batch_size) for r in once if r.epochs_rule == rule}
        for rule in ("updates", "fixed")
    }
    assert steps == {"updates": {1000}, "fixed": {100, 250, 500}}


def test_the_study_of_growth_and_pruning_begins_with_its_controls() -> None:
    study = load("net2net_prunetrain")
    recipes = {name: study.space.recipe(genome) for name, genome in study.first.items()}
    widths = {name: recipe.width for name, recipe in recipes.items()}
    methods_of = {name: set(recipe.methods) for name, recipe in recipes.items()}
    assert (widths["small-only"], widths["large-only"]) == (0.5, 1.0)
    assert methods_of["small-only"] == methods_of["large-only"] == {"one_cycle"}
    assert methods_of["prunetrain-only"] == {"one_cycle", "prunetrain"}
    assert methods_of["net2net-only"] == {"one_cycle", "net2net"}
    assert methods_of["grow-then-prune"] == {"one_cycle", "net2net", "prunetrain"}
    shorter = [recipe.epochs for recipe in recipes.values() if recipe.methods == recipes["large-only"].methods]
    assert len(shorter) == 5
    assert len({recipe.digest for recipe in recipes.values()}) == len(recipes)
