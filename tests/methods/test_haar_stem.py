"""The Haar stem: what the network reads, and that nobody changes the transform."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from paretosearch import methods, nets
from paretosearch.data import ImageSet, Split
from paretosearch.errors import RecipeError
from paretosearch.methods.haar_stem import LEAST_SIZE, HaarStem, band_sizes
from paretosearch.recipe import Recipe
from paretosearch.run import Sight
from paretosearch.testing.images import image_set
from paretosearch.training import Training, build_model, train
from paretosearch.training.flops import flops_of
from paretosearch.training.portable import script_of, wide
from paretosearch.training.surgery import Surgeon
from paretosearch.wavelets import FixedBands, band_filters, haar

CPU = torch.device("cpu")
IMAGES = image_set(per_class=32, size=16)
KINDS = ("haar", "haar_no_hh", "unshuffle")
LEVELS = (1, 2)
#: Channels that a network reads for one of an image.
BANDS = {"haar": (4, 16), "haar_no_hh": (3, 11), "unshuffle": (4, 16)}
RECIPE = Recipe(
    "stripes",
    "resnet8",
    width=0.25,
    epochs=2,
    batch_size=32,
    reference_batch_size=32,
    learning_rate=0.05,
    methods={"haar_stem": {"kind": "haar"}},
)


def of(kind: str, levels: int = 1, **fields: Any) -> Recipe:
    stem = {"kind": kind, "levels": levels}
    return replace(RECIPE, methods={**fields.pop("methods", {}), "haar_stem": stem}, **fields)


def coloured(images: ImageSet = IMAGES) -> ImageSet:
    """Make colour images of grey ones, the channels of different contrast."""

    def split(grey: Split) -> Split:
        pixels = grey.images.repeat(1, 3, 1, 1)
        return Split(pixels // torch.tensor([1, 2, 3], dtype=torch.uint8).view(1, 3, 1, 1), grey.labels)

    parts = {name: split(getattr(images, name)) for name in ("train", "validation", "test")}
    return replace(images, **parts, mean=(0.5, 0.25, 0.17), std=(0.25, 0.12, 0.08))


def bands_of(model: nn.Module) -> FixedBands:
    (found,) = (module for module in model.modules() if isinstance(module, FixedBands))
    return found


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("images", [IMAGES, coloured()], ids=["grey", "colour"])
def test_the_network_is_that_for_smaller_bands(kind: str, levels: int, images: ImageSet) -> None:
    recipe = of(kind, levels)
    model = build_model(recipe, images, methods.active(recipe))
    bands, edge = BANDS[kind][levels - 1] * images.channels, 16 // 2**levels
    plain = nets.build("resnet8", classes=4, channels=bands, image_size=edge, width=0.25)
    shapes = [p.shape for p in model.parameters()]
    assert shapes == [p.shape for p in plain.parameters()]
    inner = flops_of(plain, (bands, edge, edge), CPU).forward
    whole = flops_of(model, (images.channels, 16, 16), CPU).forward
    assert whole - inner == 2 * bands * images.channels * 16 * 16  # the transform itself, with the zeros of others
    assert train(recipe, images, CPU).outcome.inference_flops == whole


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
def test_bands_of_the_images_have_one_size(kind: str, levels: int) -> None:
    images = coloured()
    training = Training(of(kind, levels), images, CPU)
    assert training.clock.event_seconds > 0
    x = torch.cat([x for x, _ in training.batches.in_order(images.train, images, CPU, 128)])
    sizes = bands_of(training.run.model)(x).square().mean((0, 2, 3)).sqrt()
    print(f"{kind}, {levels}: sizes of the bands {sizes.min():.4f} to {sizes.max():.4f}")
    torch.testing.assert_close(sizes, torch.ones_like(sizes), rtol=1e-4, atol=0)


@pytest.mark.parametrize("levels", LEVELS)
def test_the_bands_are_those_of_the_transform_each_divided_by_its_size(levels: int) -> None:
    training = Training(of("haar", levels), IMAGES, CPU)
    x = training.batches.sample(16)
    found, expected = bands_of(training.run.model)(x), haar(x, levels)
    factors = (found.flatten(2).norm(dim=2) / expected.flatten(2).norm(dim=2)).mean(0)
    torch.testing.assert_close(found, expected * factors.view(1, -1, 1, 1), rtol=1e-4, atol=1e-5)
    back = torch.linalg.inv(bands_of(training.run.model).weight.flatten(1))
    pixels = torch.einsum("kb,nbhw->nkhw", back, found)
    torch.testing.assert_close(pixels, torch.pixel_unshuffle(x, 2**levels), rtol=1e-4, atol=1e-5)


def test_a_band_without_anything_in_it_is_not_blown_up() -> None:
    flat = torch.full((4, 1, 8, 8), 200, dtype=torch.uint8)
    sizes = band_sizes(flat, band_filters("haar", 1), Sight((0.5,), (0.25,), mirrored=False))
    assert sizes[1:].tolist() == pytest.approx([LEAST_SIZE] * 3)
    assert sizes[0] == pytest.approx((200 / 255 - 0.5) / 0.25, rel=1e-4)


@pytest.mark.parametrize("levels", LEVELS)
def test_the_transform_stays_through_training_pruning_growth_and_a_stop(levels: int) -> None:
    others: dict[str, Any] = {
        "prunetrain": {"penalty_ratio": 0.8, "interval": 1, "threshold": 0.05},
        "net2net": {"schedule": "widen@0.5x1.5"},
        "ema": {"decay": 0.9},
    }
    recipe = of("haar", levels, epochs=4, channel_multiple=1, methods=others)
    kept: list[bytes] = []

    def keep(checkpoint: object) -> None:
        file = io.BytesIO()
        torch.save(checkpoint, file)
        kept.append(file.getvalue())

    before = bands_of(Training(recipe, IMAGES, CPU).run.model).weight.clone()
    unbroken = train(recipe, IMAGES, CPU, keep=keep).model
    assert torch.equal(bands_of(unbroken).weight, before)
    for state in kept:
        continued = train(recipe, IMAGES, CPU, checkpoint=torch.load(io.BytesIO(state), weights_only=True)).model
        assert all(map(torch.equal, unbroken.state_dict().values(), continued.state_dict().values()))


@pytest.mark.parametrize("levels", LEVELS)
def test_surgery_freezes_the_input_and_the_bands_and_no_others(levels: int) -> None:
    surgeon = Training(of("haar", levels), IMAGES, CPU).shape.surgeon
    plain = Surgeon(nets.build("resnet8", classes=4, channels=1, image_size=16, width=0.25), torch.zeros(2, 1, 16, 16))
    free = [sorted(space.size for space in s.channels.free) for s in (surgeon, plain)]
    assert free[0] == free[1]
    reasons = [space.frozen_reason for space in surgeon.channels.spaces.values() if space.frozen_reason]
    assert sum("are the bands of the images" in reason for reason in reasons) == 1
    assert plain.total_stride == 4
    assert surgeon.total_stride == 2**levels * plain.total_stride
    assert len(surgeon.channels.branches) == len(plain.channels.branches)
    assert len(surgeon.stages) == len(plain.stages)


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("number_format", ["bf16", "dfp16", "bfp8", "bf16-pure"])
def test_every_number_format_trains_behind_the_bands(number_format: str, levels: int) -> None:
    training = Training(of("haar", levels, number_format=number_format, epochs=1), IMAGES, CPU)
    before = bands_of(training.run.model).weight.clone()
    assert training.go(with_test=False).outcome.status == "complete"
    assert torch.equal(bands_of(training.run.model).weight, before)
    assert before.dtype == torch.float32


@pytest.mark.parametrize("levels", LEVELS)
def test_it_is_written_down_for_other_programs_with_its_transform(levels: int) -> None:
    model = wide(train(of("haar", levels, epochs=1), IMAGES, CPU).model)
    scope: dict[str, object] = {}
    exec(compile(script_of(model, IMAGES, "fp32"), "network.py", "exec"), scope)
    written = scope["Network"]()  # type: ignore[operator]  # the class of the file
    written.load_state_dict(model.state_dict())
    x: Tensor = torch.randn(3, 1, 16, 16)
    torch.testing.assert_close(written.eval()(x), model(x))


@pytest.mark.parametrize(
    ("levels", "size", "message"),
    [
        (1, 15, "a multiple of 2, and theirs has 15 pixels; set image_size to a multiple, or haar_stem.kind to"),
        (2, 15, "a multiple of 4, and theirs has 15 pixels; set image_size to a multiple, or haar_stem.kind to"),
        (2, 2, "a multiple of 4, and theirs has 2 pixels; set image_size to a multiple, haar_stem.levels to 1, or"),
        (2, 18, "a multiple of 4, and theirs has 18 pixels; set image_size to a multiple, haar_stem.levels to 1, or"),
    ],
)
def test_images_whose_edge_windows_do_not_fill_are_refused_in_one_line(levels: int, size: int, message: str) -> None:
    recipe, images = of("haar", levels), image_set(per_class=8, size=size)
    with pytest.raises(RecipeError) as caught:
        train(recipe, images, CPU)  # which measures the bands before it builds the network
    assert f'haar_stem.kind = "haar" with levels = {levels} needs images whose edge is {message}' in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_that_cannot_take_so_small_bands_is_refused_in_one_line() -> None:
    recipe = of("haar", 2, network="convnet")
    with pytest.raises(RecipeError, match="convnet cannot take images of 4x4 .*; set another image_size; ") as caught:
        build_model(recipe, IMAGES, methods.active(recipe))
    assert str(caught.value).endswith('; 4x4 is what haar_stem (kind = "haar", levels = 2) makes of images of 16x16')
    assert "\n" not in str(caught.value)
    with pytest.raises(RecipeError, match="set another image_size$"):
        build_model(replace(recipe, methods={}), image_set(per_class=8, size=4), ())


def test_a_stride_besides_and_another_stem_are_refused() -> None:
    large = replace(RECIPE, network="resnet18", width=0.125)
    with pytest.raises(RecipeError, match="0.0, the first convolution of this network, has a stride besides"):
        build_model(large, image_set(per_class=4, size=132), methods.active(large))
    both = replace(RECIPE, methods={**RECIPE.methods, "whitening": {"size": 2}})
    with pytest.raises(RecipeError, match="haar_stem and whitening both take the stem slot"):
        methods.active(both)


def test_off_is_as_absent() -> None:
    plain, off = (Training(recipe, IMAGES, CPU) for recipe in (replace(RECIPE, methods={}), of("off")))
    for training in (plain, off):
        training.go(with_test=False)
    assert all(map(torch.equal, plain.run.model.parameters(), off.run.model.parameters()))
    assert HaarStem().edit_input(3, 15) == (3, 15)
