"""Whitening: what the filters do to patches, and that they stay what they are in everything that a training does."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from paretosearch import nets
from paretosearch.data import Split
from paretosearch.errors import RecipeError
from paretosearch.filters import FixedFilters
from paretosearch.methods import whitening
from paretosearch.methods.whitening import Whitening, second_moments, spread_out, whitening_filters
from paretosearch.recipe import Recipe
from paretosearch.run import Sight
from paretosearch.testing.images import image_set
from paretosearch.training import Training, train
from paretosearch.training.portable import script_of, wide
from paretosearch.training.surgery import Surgeon

CPU = torch.device("cpu")
MEAN, STD = (0.2, 0.5, 0.7), (0.1, 0.25, 0.3)
RECIPE = Recipe(
    "stripes",
    "resnet8",
    width=0.25,
    epochs=2,
    batch_size=32,
    reference_batch_size=32,
    learning_rate=0.1,
    methods={"whitening": {"size": 2}},
)


def smooth_images(count: int = 40, channels: int = 3, size: int = 12) -> Tensor:
    """Draw images whose neighbours are alike, as those of real ones are (N, C, H, W), uint8."""
    random = np.random.default_rng(1)
    rough = random.normal(size=(count, channels, size + 3, size + 3)).cumsum(2).cumsum(3)
    low, high = rough.min((2, 3), keepdims=True), rough.max((2, 3), keepdims=True)
    return torch.from_numpy((255 * (rough - low) / (high - low)).astype(np.uint8)[:, :, 3:, 3:].copy())


def normalised(images: Tensor) -> Tensor:
    mean, std = (torch.tensor(v[: images.shape[1]], dtype=torch.float64).view(1, -1, 1, 1) for v in (MEAN, STD))
    return (images.double() / 255 - mean) / std


def patches_of(x: Tensor, size: int) -> Tensor:
    """List all patches (P, C * s * s), one at a time."""
    n, _, height, width = x.shape
    places = [(i, j) for i in range(height - size + 1) for j in range(width - size + 1)]
    return torch.stack([x[k, :, i : i + size, j : j + size].flatten() for k in range(n) for i, j in places])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [2, 3])
def test_the_answers_to_patches_have_variance_one_and_nothing_in_common(
    channels: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whitening, "PIXELS_AT_ONCE", 7 * 12 * 12)
    images = smooth_images(channels=channels)
    sight = Sight(MEAN[:channels], STD[:channels], mirrored=True)
    moments = second_moments(images, size, sight)
    patches = patches_of(normalised(images), size)
    torch.testing.assert_close(moments, patches.T @ patches / len(patches), rtol=1e-4, atol=1e-5)
    filters = whitening_filters(moments, channels, size, epsilon=0.0).double()
    length = channels * size * size
    assert filters.shape == (2 * length, channels, size, size)
    answers = patches @ filters.reshape(2 * length, -1).T
    found = (answers.T @ answers / len(answers))[:length, :length]
    raw = patches.T @ patches / len(patches)
    print(
        f"off the diagonal: {(found - torch.eye(length)).abs().max():.1e}, "
        f"before {(raw - raw.diag().diag()).abs().max():.2f}"
    )
    torch.testing.assert_close(found, torch.eye(length, dtype=torch.float64), atol=2e-3, rtol=0)
    assert torch.equal(filters[length:], -filters[:length])


def test_epsilon_keeps_directions_without_variance_from_being_blown_up() -> None:
    flat = torch.full((4, 1, 6, 6), 200, dtype=torch.uint8)
    moments = second_moments(flat, 2, Sight((0.5,), (0.25,), mirrored=True))
    filters = whitening_filters(moments, 1, 2)
    norms = filters.flatten(1).norm(dim=1)
    assert filters.isfinite().all()
    assert norms.max() == pytest.approx(whitening.EPSILON**-0.5, rel=1e-3)
    assert norms.min() < 1


def test_both_signs_lose_nothing_behind_a_relu() -> None:
    sight = Sight(MEAN, STD, mirrored=True)
    filters = whitening_filters(second_moments(smooth_images(), 2, sight), 3, 2)
    x = normalised(smooth_images()).float()
    maps = FixedFilters(filters)(x)
    assert maps.shape == (40, 24, 12, 12)
    positive, negative = maps.chunk(2, dim=1)
    assert (positive * negative).abs().max() == 0
    inverse = torch.linalg.inv(filters[:12].reshape(12, 12))
    back = torch.einsum("dk,nkhw->ndhw", inverse, positive - negative).reshape(40, 3, 2, 2, 12, 12)
    torch.testing.assert_close(back[:, :, 0, 0], x, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(("size", "row"), [(2, slice(0, 11)), (3, slice(1, 11))])
def test_the_map_keeps_its_size_and_its_border_sees_zeros(size: int, row: slice) -> None:
    weight = torch.rand(2, 1, size, size)
    x = torch.rand(1, 1, 12, 12)
    maps = FixedFilters(weight)(x)
    assert maps.shape == (1, 2, 12, 12)
    inside = torch.nn.functional.conv2d(x, weight).clamp(min=0)
    torch.testing.assert_close(maps[:, :, row, row], inside)


def test_images_are_taken_at_equal_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1).expand(10, 1, 4, 4)
    assert torch.equal(spread_out(images), images)
    monkeypatch.setattr(whitening, "PIXELS", 5 * 16)
    assert spread_out(images)[:, 0, 0, 0].tolist() == [0, 2, 4, 6, 8]


def filters_in(model: nn.Module) -> Tensor:
    (found,) = (module for module in model.modules() if isinstance(module, FixedFilters))
    return found.weight


@pytest.mark.parametrize("network", ["convnet", "resnet8", "vgg11", "resnet18", "torchvision:mobilenet_v2"])
@pytest.mark.parametrize("size", [2, 3])
def test_the_first_convolution_reads_the_filters_and_keeps_its_own_shape(network: str, size: int) -> None:
    plain, model = (nets.build(network, classes=3, channels=3, image_size=32) for _ in range(2))
    Whitening(size=size).edit_model(model)
    path, old = next((p, m) for p, m in plain.named_modules() if isinstance(m, nn.Conv2d))
    _, new = model.get_submodule(path)
    assert new.in_channels == 2 * 3 * size**2
    for name in ("out_channels", "kernel_size", "stride", "padding", "dilation", "groups"):
        assert getattr(new, name) == getattr(old, name)
    assert (new.bias is None) == (old.bias is None)
    assert model.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 3)


def test_a_network_without_an_ordinary_first_convolution_is_refused_in_one_line() -> None:
    with pytest.raises(RecipeError, match="needs a network that begins with an ordinary convolution; set it to 0"):
        Whitening(size=2).edit_model(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
    method = Whitening(size=2)
    method.see(Sight((0.5,), (0.2,), mirrored=False))
    method.edit_data(smooth_images(channels=1), torch.zeros(40))
    with pytest.raises(RecipeError, match="reads 3 channels and images have 1"):
        method.edit_model(nn.Sequential(nn.Conv2d(3, 4, 3)))


def test_the_filters_of_a_training_are_of_its_own_images_and_stay_as_they_are() -> None:
    images = image_set(per_class=32)
    training = Training(RECIPE, images, CPU)
    expected = whitening_filters(second_moments(images.train.images, 2, Sight((0.5,), (0.25,), False)), 1, 2)
    before = filters_in(training.run.model).clone()
    assert torch.equal(before, expected)
    assert training.clock.event_seconds > 0
    result = training.go(with_test=False)
    assert torch.equal(filters_in(result.model), before)
    assert all("weight" not in n or "0.0.0" not in n for n, _ in training.run.model.named_parameters())


@pytest.mark.parametrize(
    "others",
    [{"ema": {"decay": 0.9}}, {"swa": {"start": 0.5}}, {"prunetrain": {"penalty_ratio": 0.8, "interval": 1}}],
    ids=lambda others: next(iter(others)),
)
def test_averages_and_pruning_leave_the_filters_alone(others: dict[str, dict[str, float]]) -> None:
    recipe = replace(RECIPE, epochs=3, channel_multiple=1, methods={**RECIPE.methods, **others})
    training = Training(recipe, image_set(per_class=32), CPU)
    before = filters_in(training.run.model).clone()
    result = training.go(with_test=False)
    assert torch.equal(filters_in(result.model), before)


@pytest.mark.parametrize("number_format", ["bf16", "dfp16", "bfp8", "bf16-pure"])
def test_every_number_format_trains_behind_the_filters(number_format: str) -> None:
    training = Training(replace(RECIPE, number_format=number_format, epochs=1), image_set(per_class=16), CPU)
    before = filters_in(training.run.model).clone()
    outcome = training.go(with_test=False).outcome
    assert outcome.status == "complete"
    assert torch.equal(filters_in(training.run.model), before)
    assert before.dtype == torch.float32


def test_surgery_freezes_the_channels_of_the_filters_and_no_others() -> None:
    plain = nets.build("resnet8", classes=3, channels=1, image_size=12)
    model = Whitening(size=2).edit_model(nets.build("resnet8", classes=3, channels=1, image_size=12))
    surgeons = [Surgeon(net, torch.zeros(2, 1, 12, 12)) for net in (plain, model)]
    free = [sorted(space.size for space in surgeon.channels.free) for surgeon in surgeons]
    assert free[0] == free[1]
    assert free[0]
    reasons = [space.frozen_reason for space in surgeons[1].channels.spaces.values() if space.frozen_reason]
    assert sum("are those of filters that the images give" in reason for reason in reasons) == 1


def test_a_network_that_grows_and_is_pruned_goes_on_from_a_checkpoint() -> None:
    recipe = replace(
        RECIPE,
        epochs=4,
        channel_multiple=1,
        methods={
            "whitening": {"size": 3},
            "prunetrain": {"penalty_ratio": 0.8, "interval": 1, "threshold": 0.05},
            "net2net": {"schedule": "widen@0.5x1.5"},
        },
    )
    kept: list[bytes] = []

    def keep(checkpoint: object) -> None:
        file = io.BytesIO()
        torch.save(checkpoint, file)
        kept.append(file.getvalue())

    unbroken = train(recipe, image_set(per_class=32), CPU, keep=keep)
    for state in kept:
        checkpoint = torch.load(io.BytesIO(state), weights_only=True)
        continued = train(recipe, image_set(per_class=32), CPU, checkpoint=checkpoint)
        ours, theirs = unbroken.model.state_dict(), continued.model.state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_it_is_written_down_for_other_programs_with_its_filters() -> None:
    images = image_set(per_class=16)
    model = wide(train(replace(RECIPE, epochs=1), images, CPU).model)
    scope: dict[str, object] = {}
    exec(compile(script_of(model, images, "fp32"), "network.py", "exec"), scope)
    written = scope["Network"]()  # type: ignore[operator]  # the class of the file
    written.load_state_dict(model.state_dict())
    x = torch.randn(3, 1, 12, 12)
    torch.testing.assert_close(written.eval()(x), model(x))


def test_of_a_part_of_the_images_the_filters_are_those_of_the_part() -> None:
    images = image_set(per_class=32)
    whole, part = (filters_in(Training(replace(RECIPE, train_images=n), images, CPU).run.model) for n in (0, 32))
    assert not torch.equal(whole, part)
    assert isinstance(images.train, Split)
