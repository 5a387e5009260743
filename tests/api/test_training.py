"""Weights that a training has left are not lost to another one."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paretosearch import train
from paretosearch.api import training
from paretosearch.api.training import heading
from paretosearch.device import Device
from paretosearch.errors import UsageError
from paretosearch.outcome import Outcome, failed
from paretosearch.recipe import Recipe

RECIPE = Recipe("mnist", "convnet")


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with weights, and no device that would train for long."""
    device = Device("cpu", "cpu-0", "some CPU", 1 << 30, "here", 0, (0,))
    monkeypatch.setattr(training, "taken", lambda _: nullcontext(device))
    monkeypatch.setattr(training, "prepare", lambda _: None)
    monkeypatch.setattr(training, "run_alone", lambda *_: failed("diverged", "for the test"))
    folder = tmp_path / "trained"
    folder.mkdir()
    (folder / "weights.pt").write_bytes(b"days of work")
    (folder / "recipe.json").write_text(RECIPE.to_json())
    return folder


def again(recipe: Recipe, out: Path, **options: Any) -> Outcome:
    return train(recipe, cpu=1, out=out, **options)


def test_weights_of_another_recipe_are_replaced_by_force_alone(trained: Path) -> None:
    other = replace(RECIPE, seed=RECIPE.seed + 1)
    with pytest.raises(UsageError, match=r"trained holds weights of another recipe; name another folder by --out, or"):
        again(other, trained)
    assert again(other, trained, force=True).failure == "diverged"


def test_the_same_recipe_may_be_trained_again_into_its_folder(trained: Path) -> None:
    assert again(RECIPE, trained).failure == "diverged"


@pytest.mark.parametrize("text", [None, "{}", "mine"])
def test_weights_of_nobody_knows_what_are_kept(trained: Path, text: str | None) -> None:
    (trained / "recipe.json").unlink() if text is None else (trained / "recipe.json").write_text(text)
    with pytest.raises(UsageError, match="holds weights that are not known to be of this recipe"):
        again(RECIPE, trained)


def test_a_folder_with_something_else_is_trained_into(trained: Path) -> None:
    (trained / "weights.pt").unlink()
    (trained / "recipe.json").unlink()
    assert again(RECIPE, trained).failure == "diverged"


def test_the_heading_has_every_parameter_of_a_method_that_is_not_at_its_default() -> None:
    stem = {"haar_stem": {"kind": "haar", "levels": 2}, "ssf": {"structure": "off", "sparsity": 0.2}}
    assert heading(Recipe("mnist", "resnet8", methods=stem)).endswith("haar stem haar, levels 2, 12 epochs")
    stem["haar_stem"] = {"kind": "haar", "levels": 1}
    assert heading(Recipe("mnist", "resnet8", methods=stem)).endswith("native pooling, haar stem haar, 12 epochs")


def test_the_heading_says_to_how_many_epochs_a_rule_stretches_the_training() -> None:
    quarter = Recipe("mnist", "resnet8", epochs=2, train_share=0.25, epochs_rule="updates")
    assert heading(quarter).endswith("share 0.25, 2 epochs, stretched to 8 by epochs_rule")
    assert heading(replace(quarter, epochs_rule="fixed")).endswith("share 0.25, 2 epochs")
