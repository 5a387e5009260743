"""A Haar stem that leaves a network hardly any maps is said so before anything is trained."""

from pathlib import Path

import pytest
import torch

from paretosearch.api.maps import note_on_maps, notes_on_maps
from paretosearch.data import ImageSet
from paretosearch.data.imageset import Split
from paretosearch.recipe import Recipe
from paretosearch.studyfile import load

STUDY = """\
name    = "s"
dataset = "fashion-mnist"
network = "NETWORK"

[budget]
trials = 1

[space]
pooling          = ["native", "max", "s3"]
"haar_stem.kind" = KINDS
"haar_stem.levels" = LEVELS
"""


def images(size: int) -> ImageSet:
    pixels, labels = torch.zeros(20, 1, size, size, dtype=torch.uint8), torch.arange(20) % 10
    split = Split(pixels, labels)
    return ImageSet("fashion-mnist", tuple("0123456789"), split, split, split, (0.5,), (0.5,), flip=False)


def recipe(network: str, kind: str = "haar", pooling: str = "native", levels: int = 1) -> Recipe:
    return Recipe("fashion-mnist", network, pooling=pooling, methods={"haar_stem": {"kind": kind, "levels": levels}})


@pytest.mark.parametrize(
    ("of", "size", "edge"),
    [
        (recipe("convnet"), 28, 1),
        (recipe("resnet18", pooling="max"), 28, 1),
        (recipe("resnet18"), 28, None),
        (recipe("convnet"), 32, None),
        (recipe("resnet8", "unshuffle"), 28, None),
        (recipe("convnet", "off"), 28, None),
        (recipe("resnet8", levels=2), 16, 1),
        (recipe("resnet8", levels=2), 28, None),
        (recipe("convnet", levels=2), 28, None),  # which is refused
        (Recipe("fashion-mnist", "convnet", methods={"haar_stem": {"kind": "haar"}}), 28, 1),
        (Recipe("fashion-mnist", "vgg11"), 28, None),  # of which the stem is not to blame
        (recipe("convnet"), 31, None),  # which is refused
    ],
)
def test_maps_of_one_pixel_are_noted(of: Recipe, size: int, edge: int | None) -> None:
    said = note_on_maps(of, images(size))
    assert (f"the last maps of {of.network} are then {edge}x{edge}" in said) if edge else said == ""


def test_it_says_what_the_stem_makes_of_the_images() -> None:
    assert note_on_maps(recipe("convnet"), images(28)) == (
        'haar_stem.kind = "haar" with levels = 1 makes 14x14 pixels of the 28x28 of an image, and the last maps of '
        "convnet are then 1x1: it may learn badly; use a network with fewer strides, such as resnet8, or larger images"
    )
    assert note_on_maps(recipe("resnet8", levels=2), images(16)) == (
        'haar_stem.kind = "haar" with levels = 2 makes 4x4 pixels of the 16x16 of an image, and the last maps of '
        "resnet8 are then 1x1: it may learn badly; use haar_stem.levels = 1, a network with fewer strides, or larger "
        "images"
    )


@pytest.mark.parametrize(
    ("network", "kinds", "levels", "noted"),
    [
        ("convnet", '["off", "haar", "unshuffle"]', "[1]", [1]),
        ("resnet18", '["off", "haar"]', "[1]", [1]),
        ("resnet8", '["off", "haar"]', "[1]", []),
        ("convnet", '["off"]', "[1, 2]", []),
        ("convnet", '["unshuffle"]', "[1]", [1]),
        ("resnet8", '["off", "haar", "unshuffle"]', "[1, 2]", [2]),
        ("vgg11", '["off", "haar"]', "[2, 1]", [2, 1]),
    ],
)
def test_a_search_says_it_once_for_each_level(
    network: str, kinds: str, levels: str, noted: list[int], tmp_path: Path
) -> None:
    path = tmp_path / "s.toml"
    path.write_text(STUDY.replace("NETWORK", network).replace("KINDS", kinds).replace("LEVELS", levels))
    notes = list(notes_on_maps(load(str(path)).space, [images(28)]))
    assert len(notes) == len(noted)
    assert all(f"with levels = {level} makes" in note for note, level in zip(notes, noted, strict=True))
