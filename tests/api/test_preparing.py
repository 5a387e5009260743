"""What is looked at before a study begins takes no time that grows with the number of its Methods."""

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from paretosearch.api import preparing
from paretosearch.axis import Choice
from paretosearch.data.imageset import ImageSet, Split
from paretosearch.errors import RecipeError, StudyFileError
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
    with pytest.raises(RecipeError) as refused:
        preparing._check_batches(Space(fixed, {"train_share": Choice((1.0, 0.1))}), 1000)
    assert str(refused.value) == (
        "batch_size goes up to 128, and train_share = 0.1 leaves 100 of 1000 images to train on; "
        "lower it in the study file to 100 at most, such as high = 64, or take no share below 0.13"
    )
    preparing._check_batches(Space(fixed, {"train_share": Choice((1.0, 0.13))}), 1000)
    with pytest.raises(RecipeError, match="128, and train_share = 0.5 leaves 50 of 100 .* such as high = 32$"):
        preparing._check_batches(Space({**fixed, "train_images": 100, "train_share": 0.5}, {}), 1000)
    with pytest.raises(RecipeError, match="128, and there are 100 images to train on; .* such as high = 64$"):
        preparing._check_batches(Space({**fixed, "train_share": 1.0}, {}), 100)


STUDY = """\
name    = "s"
dataset = "fashion-mnist"
network = "resnet8"

[budget]
trials = 1

[recipe]
{recipe}

[space]
{space}
"""


def images(size: int = 28, count: int = 1000) -> ImageSet:
    pixels = torch.zeros(count, 1, size, size, dtype=torch.uint8)
    split = Split(pixels, torch.arange(count) % 10)
    return ImageSet("fashion-mnist", tuple("0123456789"), split, split, split, (0.5,), (0.5,), flip=False)


@pytest.mark.parametrize(
    ("recipe", "space", "said"),
    [
        ("", '"kernel_rescaling.until" = [0.0, 0.5]', "12: space.kernel_rescaling.until: kernel_rescaling has nothing"),
        ("kernel_rescaling.until = 0.5", "epochs = [4, 6]", "9: recipe.kernel_rescaling.until: kernel_rescaling has"),
        ("batch_size = 128", "train_share = [1.0, 0.1]", "9: recipe.batch_size: batch_size goes up to 128, and train"),
        (
            'pooling = "s3"\nhaar_stem.kind = "haar"',
            "image_size = [31, 33]",
            "10: recipe.haar_stem.kind: haar_stem.kind =",
        ),
        ("", "train_share = [1.0, 0.1]", " batch_size goes up to 128, and train_share"),
    ],
)
def test_what_does_not_fit_the_images_or_the_network_has_its_line(
    recipe: str, space: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "s.toml"
    path.write_text(STUDY.format(recipe=recipe, space=space))
    file = load(str(path))
    with pytest.raises(StudyFileError) as refused, preparing.naming(file):
        preparing.check_networks(file.space, [images(31 if "31" in space else 28)])
    assert str(refused.value).startswith(f"{path}:{said}")


@pytest.mark.parametrize(
    ("network", "size", "recipe", "space", "said"),
    [
        (
            "convnet",
            28,
            "",
            'haar_stem.kind = ["off", "haar"]\nhaar_stem.levels = [1, 2]',
            "13: space.haar_stem.levels: convnet cannot take images of 7x7 .*; set another image_size; "
            r'7x7 is what haar_stem \(kind = "haar", levels = 2\) makes of images of 28x28',
        ),
        (
            "convnet",
            28,
            'haar_stem.kind = "unshuffle"',
            "haar_stem.levels = [1, 2]",
            r'12: space.haar_stem.levels: convnet cannot .* haar_stem \(kind = "unshuffle", levels = 2\) makes',
        ),
        (
            "convnet",
            28,
            "haar_stem.levels = 2",
            'haar_stem.kind = ["off", "haar"]',
            "12: space.haar_stem.kind: convnet cannot take images of 7x7",
        ),
        (
            "resnet8",
            18,
            "",
            'haar_stem.levels = [1, 2]\nhaar_stem.kind = ["off", "haar"]',
            '12: space.haar_stem.levels: haar_stem.kind = "haar" with levels = 2 needs images whose edge is a multiple',
        ),
        (
            "torchvision:mobilenet_v2",
            64,
            "",
            'haar_stem.kind = ["off", "haar"]',
            '12: space.haar_stem.kind: haar_stem.kind = "haar" makes images smaller, and features.0.0, the first',
        ),
        (
            "convnet",
            32,
            "progressive_resolution.smallest = 0.5",
            'haar_stem.kind = ["off", "haar"]\nhaar_stem.levels = [1, 2]',
            "13: space.haar_stem.levels: progressive_resolution.smallest = 0.5 finds no size below the 32 pixels .*; "
            "or take haar_stem.levels = 2 out, without which it acts",
        ),
        ("resnet8", 28, "", 'haar_stem.kind = ["off", "haar"]\nhaar_stem.levels = [1, 2]', ""),
        ("convnet", 28, "", 'haar_stem.kind = ["off"]\nhaar_stem.levels = [1, 2]', ""),
    ],
)
def test_a_network_is_built_for_all_that_a_method_may_have_it_read(
    network: str, size: int, recipe: str, space: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "s.toml"
    path.write_text(STUDY.format(recipe=recipe, space=space).replace("resnet8", network))
    file = load(str(path))
    with (
        pytest.raises(StudyFileError, match=f"^{path}:{said}") if said else nullcontext(),
        preparing.naming(file),
    ):
        preparing.check_networks(file.space, [images(size)])


def test_a_method_that_can_never_act_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(STUDY.format(recipe="epochs = 1", space="kernel_rescaling.until = [0.0, 0.5]"))
    file = load(str(path))
    with pytest.raises(StudyFileError) as refused, preparing.naming(file):
        preparing.check_methods(file.space)
    assert str(refused.value).startswith(
        f"{path}:12: space.kernel_rescaling.until: kernel_rescaling.until = 0.5 leaves"
    )
