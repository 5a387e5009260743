"""What is looked at before a study begins takes no time that grows with the number of its Methods."""

import pytest

from paretosearch.api import preparing
from paretosearch.axis import Choice
from paretosearch.errors import RecipeError
from paretosearch.space import Space
from paretosearch.studyfile import load, shipped


@pytest.mark.parametrize("name", shipped())
def test_few_recipes_are_made_however_many_methods_are_searched(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    recipe = Space.recipe
    monkeypatch.setattr(Space, "recipe", lambda space, genome: made.append(1) or recipe(space, genome))
    space = load(name).space
    searched = {key.partition(".")[0] for key in space.axes if "." in key}
    assert searched <= {method.name for method in preparing._possible_methods(space)}
    assert len(made) < 500


def test_the_smallest_share_of_the_images_must_fill_a_batch() -> None:
    fixed = {"train_images": 0, "batch_size": 128}
    preparing._check_batches(Space({**fixed, "train_share": 1.0}, {}), 1000)
    with pytest.raises(RecipeError, match="batch_size goes up to 128, and there are 100 images to train on"):
        preparing._check_batches(Space(fixed, {"train_share": Choice((1.0, 0.1))}), 1000)
