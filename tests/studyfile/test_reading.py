"""A study file becomes values that say everything."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest

from paretosearch import methods
from paretosearch.axis import Choice, Int, Real, Value
from paretosearch.errors import UsageError
from paretosearch.recipe import Recipe
from paretosearch.report.words import words
from paretosearch.studyfile import Budget, SearchOptions, StudyFile, load, with_budget


def test_a_study_file_is_read_into_values(good: str, read: Callable[[str], StudyFile], tmp_path: Path) -> None:
    study = read(good)
    assert (study.name, study.dataset, study.network, study.seed) == ("mine", "cifar10", "resnet20", 7)
    assert study.budget == Budget(trials=64, device_hours=4.0)
    assert study.search == SearchOptions(sampler="tpe", population=12)
    assert (study.text, study.path) == (good, tmp_path / "study.toml")
    assert study.space.axes == {
        "number_format": Choice(("fp32", "bf16")),
        "batch_size": Int(32, 256, log2=True),
        "learning_rate": Real(0.01, 1.0, log=True),
        "epochs": Int(1, 3),
        "momentum": Choice((0.0, 0.9)),
        "pooling": Choice(("max", "s3")),
        "label_smoothing.alpha": Real(0.0, 0.2),
    }


def test_the_space_has_a_value_or_an_axis_for_everything(good: str, read: Callable[[str], StudyFile]) -> None:
    space = read(good).space
    everything = {f.name for f in fields(Recipe) if f.name != "methods"} | methods.parameters().keys()
    assert space.fixed.keys() | space.axes.keys() == everything
    assert not space.fixed.keys() & space.axes.keys()
    assert (space.fixed["seed"], space.fixed["dataset"], space.fixed["schedule"]) == (7, "cifar10", "constant")
    assert space.fixed["s3.grid"] == methods.parameters()["s3.grid"].default
    assert space.activations == methods.activations()


def test_every_genome_of_the_space_is_a_recipe(good: str, read: Callable[[str], StudyFile]) -> None:
    space = read(good).space
    genome: dict[str, Value] = {
        "number_format": "bf16",
        "batch_size": 64,
        "learning_rate": 0.1,
        "epochs": 2,
        "momentum": 0.0,
    }
    recipe = space.recipe({**genome, "pooling": "s3", "label_smoothing.alpha": 0.1})
    assert recipe.methods["label_smoothing"] == {"alpha": 0.1}
    assert (recipe.weight_decay, recipe.seed, recipe.batch_size) == (0.0, 7, 64)
    assert methods.active(recipe)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"label_smoothing.alpha" =', "label_smoothing.alpha ="),
        ('"label_smoothing.alpha" =', "[space.label_smoothing]\nalpha ="),
        ("\n", "\r\n"),
        ("weight_decay = 0", "weight_decay = 0.0"),
        ("weight_decay = 0", "weight_decay = -0.0"),
        ("[0, 0.9]", "[-0.0, 0.9]"),
        ("name ", "\ufeffname "),
    ],
)
def test_another_spelling_is_the_same_space(old: str, new: str, good: str, read: Callable[[str], StudyFile]) -> None:
    assert old in good
    assert read(good.replace(old, new)).space.hash == read(good).space.hash


def test_a_list_or_range_of_one_value_is_fixed(good: str, read: Callable[[str], StudyFile]) -> None:
    text = good.replace('["fp32", "bf16"]', '["bf16"]').replace("{ low = 1, high = 3 }", "{ low = 2, high = 2 }")
    space = read(text.replace("{ low = 0, high = 0.2 }", "{ low = 0.1, high = 0.1 }")).space
    assert not {"number_format", "epochs", "label_smoothing.alpha"} & space.axes.keys()
    assert (space.fixed["number_format"], space.fixed["epochs"], space.fixed["label_smoothing.alpha"]) == (
        "bf16",
        2,
        0.1,
    )


def test_what_a_file_leaves_out_takes_its_default(read: Callable[[str], StudyFile]) -> None:
    study = read(
        'name = "a"\ndataset = "mnist"\nnetwork = "convnet"\n[budget]\ndevice_hours = 0.5\n[space]\nepochs = [1, 2]\n'
    )
    assert (study.seed, study.search) == (0, SearchOptions(sampler="nsga2", population=16))
    assert study.budget == Budget(device_hours=0.5)
    recipe = study.space.recipe({"epochs": 1})
    assert recipe == replace(Recipe("mnist", "convnet", epochs=1), methods=recipe.methods)


def test_a_relative_folder_of_images_lies_beside_the_study_file(
    good: str, read: Callable[[str], StudyFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for written, meant in [
        ("pictures", tmp_path / "pictures"),
        ("./a/../pictures", tmp_path / "pictures"),
        ("../pictures", tmp_path.parent / "pictures"),
        ("/pictures", Path("/pictures")),
        ("~/pictures", tmp_path / "home" / "pictures"),
        ("~nobody-of-this-name/pictures", tmp_path / "~nobody-of-this-name" / "pictures"),
    ]:
        study = read(good.replace('"cifar10"', f'"folder:{written}"'))
        assert study.dataset == study.space.fixed["dataset"] == f"folder:{meant}"


def test_a_relative_path_of_a_study_file_is_kept_absolute(
    good: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "quickstart.toml").write_text(good)
    monkeypatch.chdir(tmp_path)
    assert load("quickstart.toml").path == tmp_path / "quickstart.toml"
    assert load("quickstart").name == "quickstart"


def test_a_budget_is_changed_from_outside(good: str, read: Callable[[str], StudyFile]) -> None:
    study = read(good)
    assert with_budget(study) == study
    assert with_budget(study, trials=3).budget == Budget(trials=3, device_hours=4.0)
    assert with_budget(study, device_hours=0.1).budget == Budget(trials=64, device_hours=0.1)
    assert with_budget(study, trials=3).space is study.space


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"trials": 0}, "trials: 0 is not a whole number of at least 1"),
        ({"device_hours": -1.0}, "device_hours: -1.0 is not a number above 0"),
        ({"device_hours": float("nan")}, "device_hours: nan is not a number above 0"),
    ],
)
def test_a_budget_that_is_none_is_a_mistake_of_the_command(
    limits: dict[str, float], message: str, good: str, read: Callable[[str], StudyFile]
) -> None:
    with pytest.raises(UsageError) as caught:
        with_budget(read(good), **limits)  # type: ignore[arg-type]  # one of them at a time
    assert str(caught.value) == message


def test_a_methods_switch_comes_first_and_is_called_by_its_name(good: str, read: Callable[[str], StudyFile]) -> None:
    kind, levels = '"haar_stem.kind" = ["off", "haar"]', '"haar_stem.levels" = [1, 2]'
    axes = read(f"{good}{levels}\n{kind}\n").space.axes
    assert list(axes)[-2:] == ["haar_stem.kind", "haar_stem.levels"]
    assert list(axes) == list(read(f"{good}{kind}\n{levels}\n").space.axes)
    stem = Recipe("mnist", "resnet8", methods={"haar_stem": {"kind": "haar", "levels": 2}})
    assert words(stem, list(axes)[-2:]) == "haar stem haar, levels 2"
