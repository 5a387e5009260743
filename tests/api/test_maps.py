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
"""


def images(size: int) -> ImageSet:
    pixels, labels = torch.zeros(20, 1, size, size, dtype=torch.uint8), torch.arange(20) % 10
    split = Split(pixels, labels)
    return ImageSet("fashion-mnist", tuple("0123456789"), split, split, split, (0.5,), (0.5,), flip=False)


def recipe(network: str, kind: str = "haar", pooling: str = "native") -> Recipe:
    return Recipe("fashion-mnist", network, pooling=pooling, methods={"haar_stem": {"kind": kind}})


@pytest.mark.parametrize(
    ("of", "size", "edge"),
    [
        (recipe("convnet"), 28, 1),
        (recipe("resnet18", pooling="max"), 28, 1),
        (recipe("resnet18"), 28, None),
        (recipe("convnet"), 32, None),
        (recipe("resnet8", "unshuffle"), 28, None),
        (recipe("convnet", "off"), 28, None),
        (Recipe("fashion-mnist", "vgg11"), 28, None),  # of which the stem is not to blame
        (recipe("convnet"), 31, None),  # which is refused
    ],
)
def test_maps_of_one_pixel_are_noted(of: Recipe, size: int, edge: int | None) -> None:
    said = note_on_maps(of, images(size))
    assert (f"the last maps of {of.network} are then {edge}x{edge}" in said) if edge else said == ""


@pytest.mark.parametrize(
    ("network", "kinds", "count"),
    [
        ("convnet", '["off", "haar", "unshuffle"]', 1),
        ("resnet18", '["off", "haar"]', 1),
        ("resnet8", '["off", "haar"]', 0),
        ("convnet", '["off"]', 0),
        ("convnet", '["unshuffle"]', 1),
    ],
)
def test_a_search_says_it_once(network: str, kinds: str, count: int, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(STUDY.replace("NETWORK", network).replace("KINDS", kinds))
    assert len(list(notes_on_maps(load(str(path)).space, [images(28)]))) == count
