"""Before anything is trained, a tree is refused whose networks would have too few images."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from paretosearch.errors import StudyFileError
from paretosearch.recipe import Recipe
from paretosearch.studyfile.source import Source
from paretosearch.testing.images import image_set
from paretosearch.treecnn.fitting import fitting
from paretosearch.treecnn.rules import Rules
from paretosearch.treecnn.study import TreeStudy
from paretosearch.treecnn.tree import grow

IMAGES = image_set(classes=8, per_class=48)
TEXT = "[tree]\ngroups = [4, 2, 2]\n[recipe]\n"


def study(line: str = "", groups: tuple[int, ...] = (4, 2, 2), **fields: object) -> TreeStudy:
    """Make a study, and a file with one more line."""
    recipe = replace(Recipe("stripes", "convnet", batch_size=16, seed=3), **fields)
    source = Source(Path("little.toml"), f"{TEXT}{line}")
    return TreeStudy("little", groups, Rules(), 0, 0, "always", recipe, source, "little.toml")


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (
            study("batch_size = 97", batch_size=97),
            "little.toml:4: recipe.batch_size: a batch has 97 images, and a branch of class 0 and class 4 would have "
            "96 to train on; take a batch_size of 96 at most, or more images",
        ),
        (
            study("batch_size = 193", (4,), batch_size=193),
            "little.toml:4: recipe.batch_size: a batch has 193 images, and the root of group 1 would have 192",
        ),
        (
            study("train_share = 0.1", train_share=0.1),
            "little.toml:4: recipe.train_share: a batch has 16 images, and a branch of class 0 and class 4 would have",
        ),
        (study(batch_size=97), "little.toml:2: tree.groups: a batch has 97 images"),
        (study("train_images = 999", train_images=999), "little.toml:4: recipe.train_images: train_images = 999 is"),
        (
            study(groups=(4, 5)),
            "little.toml:2: tree.groups: the groups have 9 classes, and stripes has 8; make them smaller",
        ),
    ],
)
def test_too_few_images_are_one_line_before_any_training(refused: TreeStudy, message: str) -> None:
    said: list[str] = []
    with pytest.raises(StudyFileError) as caught:
        next(grow(refused, IMAGES, torch.device("cpu"), said.append))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert said == []


@pytest.mark.parametrize("fits", [study(batch_size=96), study(groups=(4,), batch_size=192)])
def test_a_batch_of_all_images_is_enough(fits: TreeStudy) -> None:
    assert len(fitting(fits, IMAGES).train) == 8 * 48
