"""Batches of normalised images, cut and mirrored on the device."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from paretosearch.data import Batches, ImageSet, Split, pixels
from paretosearch.data.batches import gather, mirror
from paretosearch.data.pixels import Streamed, padded
from paretosearch.errors import RecipeError

CPU = torch.device("cpu")
MEAN, STD = (0.2, 0.5, 0.7), (0.1, 0.25, 0.3)


def random_split(n: int, channels: int, size: int, channels_last: bool = True) -> Split:
    random = np.random.default_rng(5)
    images = torch.from_numpy(random.integers(0, 256, (n, size, size, channels), dtype=np.uint8)).permute(0, 3, 1, 2)
    return Split(images if channels_last else images.contiguous(), torch.arange(n))  # the label says which image


def image_set(split: Split, flip: bool = True) -> ImageSet:
    channels = split.images.shape[1]
    return ImageSet("some", ("a",), split, split, split, MEAN[:channels], STD[:channels], flip)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def augmented(
    split: Split, batch_size: int = 16, flip: bool = True, generator: torch.Generator | None = None
) -> Batches:
    return Batches(split, image_set(split, flip), CPU, batch_size, augment=True, generator=generator or seeded())


def windows_of(image: Tensor, pad: int) -> dict[bytes, tuple[int, int, bool]]:
    """All bytes that an image (C, H, W) may become, with corner and mirroring, in plain NumPy."""
    edge = image.shape[1]
    wide = np.pad(image.numpy(), ((0, 0), (pad, pad), (pad, pad)), mode="reflect")
    found = {}
    for top in range(2 * pad + 1):
        for left in range(2 * pad + 1):
            window = wide[:, top : top + edge, left : left + edge]
            found[window.tobytes()] = (top, left, False)
            found[window[:, :, ::-1].tobytes()] = (top, left, True)
    return found


def as_bytes(x: Tensor) -> Tensor:
    """Undo the normalisation (N, C, H, W)."""
    mean, std = (torch.tensor(values[: x.shape[1]]).view(1, -1, 1, 1) for values in (MEAN, STD))
    return ((x * std + mean) * 255).round().to(torch.uint8)


def what_became_of(batches: Batches, split: Split, pad: int) -> dict[int, tuple[int, int, bool]]:
    became = {}
    for x, y in batches:
        for image, label in zip(as_bytes(x), y.tolist(), strict=True):
            assert label not in became, "an image came twice in one epoch"
            became[label] = windows_of(split.images[label], pad)[image.contiguous().numpy().tobytes()]
    return became


@pytest.mark.parametrize(("channels", "size", "pad"), [(1, 28, 4), (3, 32, 4), (3, 12, 2), (1, 8, 1), (3, 20, 3)])
def test_every_image_becomes_a_window_of_its_reflected_self(
    channels: int, size: int, pad: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paretosearch.data.pixels.PADDED_AT_ONCE", 20)
    split = random_split(64, channels, size)
    became = what_became_of(augmented(split), split, pad)
    assert sorted(became) == list(range(64))
    assert {top for top, _, _ in became.values()} == {left for _, left, _ in became.values()} == set(range(2 * pad + 1))


def test_all_windows_and_both_directions_are_drawn_equally_often() -> None:
    split = random_split(2000, 1, 8)
    became = list(what_became_of(augmented(split), split, pad=1).values())
    for position in (0, 1):
        share = np.bincount([window[position] for window in became], minlength=3) / len(became)
        assert np.abs(share - 1 / 3).max() < 0.05
    assert abs(np.mean([window[2] for window in became]) - 0.5) < 0.05
    both = np.corrcoef([[top, left, mirrored] for top, left, mirrored in became], rowvar=False)
    assert np.abs(both - np.eye(3)).max() < 0.08


def test_nothing_is_mirrored_where_the_data_set_forbids_it() -> None:
    split = random_split(64, 1, 12)
    assert not any(mirrored for _, _, mirrored in what_became_of(augmented(split, flip=False), split, 2).values())


def test_without_augmentation_images_come_as_they_are_in_a_new_order() -> None:
    split = random_split(64, 3, 12)
    batches = Batches(split, image_set(split), CPU, 16, augment=False, generator=seeded())
    order = []
    for x, y in batches:
        assert torch.equal(as_bytes(x), split.images[y])
        order += y.tolist()
    assert order != sorted(order)
    assert sorted(order) == list(range(64))


def test_images_are_normalised_by_channel() -> None:
    split = random_split(8, 3, 12)
    ((x, _),) = Batches.in_order(split, image_set(split), CPU, 8)
    expected = (split.images.double() / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    assert x.dtype == torch.float32
    assert (x - expected).abs().max() < 1e-5


@pytest.mark.parametrize("channels", [1, 3])
def test_batches_are_channels_last(channels: int) -> None:
    split = random_split(32, channels, 12)
    for batches in (augmented(split), Batches.in_order(split, image_set(split), CPU, 16)):
        for x, _ in batches:
            assert x.stride() == (144 * channels, 1, 12 * channels, channels)


def test_the_generator_decides_everything() -> None:
    split = random_split(64, 3, 12)
    first, again, other = (list(augmented(split, generator=seeded(s))) for s in (1, 1, 2))
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a[1], b[1]) for a, b in zip(first, other, strict=True))


def test_every_epoch_draws_anew() -> None:
    split = random_split(64, 1, 12)
    batches = augmented(split)
    first, second = (what_became_of(batches, split, 2) for _ in range(2))
    assert list(first) != list(second)
    assert first != second


def test_a_saved_generator_continues_where_it_was() -> None:
    split = random_split(64, 1, 12)
    generator = seeded()
    batches = augmented(split, generator=generator)
    list(batches)
    state = generator.get_state()
    second = [y.tolist() for _, y in batches]
    generator.set_state(state)
    assert [y.tolist() for _, y in batches] == second


def test_the_layout_of_the_split_does_not_matter() -> None:
    one, other = (random_split(32, 3, 12, channels_last=last) for last in (True, False))
    for a, b in zip(augmented(one), augmented(other), strict=True):
        assert torch.equal(a[0], b[0])


def test_the_images_of_the_split_are_not_written_to() -> None:
    split = random_split(32, 3, 12)
    before = split.images.clone()
    for x, _ in (*augmented(split), *Batches.in_order(split, image_set(split), CPU, 8)):
        x.zero_()
    assert torch.equal(split.images, before)


def test_training_leaves_out_a_smaller_last_batch_and_an_evaluation_keeps_it() -> None:
    split = random_split(40, 1, 12)
    training, evaluation = augmented(split, 16), Batches.in_order(split, image_set(split), CPU, 16)
    assert [len(y) for _, y in training] == [16, 16]
    assert [len(y) for _, y in evaluation] == [16, 16, 8]
    assert (len(training), len(evaluation)) == (2, 3)


def test_an_evaluation_is_in_order() -> None:
    split = random_split(40, 3, 12)
    batches = list(Batches.in_order(split, image_set(split), CPU, 16))
    assert torch.cat([y for _, y in batches]).tolist() == list(range(40))
    assert torch.equal(as_bytes(torch.cat([x for x, _ in batches])), split.images)


def test_a_batch_larger_than_the_split_is_one_line() -> None:
    split = random_split(40, 1, 12)
    with pytest.raises(RecipeError, match=r"^batch_size = 64 is more than .* choose at most 40$"):
        augmented(split, 64)
    assert len(Batches.in_order(split, image_set(split), CPU, 64)) == 1


def alternating(split: Split, seed: int = 1, batch_size: int = 16, flip: bool = True, order: int = 0) -> Batches:
    drawn = image_set(split, flip), CPU, batch_size, True, seeded(order)
    return Batches(split, *drawn, alternate=seed)


def mirrored_in(batches: Batches, split: Split, epoch: int, pad: int = 2) -> dict[int, bool]:
    batches.epoch = epoch
    return {label: window[2] for label, window in what_became_of(batches, split, pad).items()}


def test_an_image_that_alternates_is_seen_from_both_sides_in_any_two_epochs_in_a_row() -> None:
    split = random_split(64, 3, 12)
    batches = alternating(split)
    epochs = [mirrored_in(batches, split, epoch) for epoch in range(5)]
    for one, next_one in itertools.pairwise(epochs):
        assert {label: not side for label, side in one.items()} == next_one
    assert epochs[0] == epochs[2] == epochs[4]


def test_who_is_mirrored_first_is_half_of_the_images_and_depends_on_the_seed_and_the_epoch_alone() -> None:
    split = random_split(2000, 1, 8)
    one = mirrored_in(alternating(split), split, 0, pad=1)
    assert abs(np.mean(list(one.values())) - 0.5) < 0.05
    assert mirrored_in(alternating(split, order=7, batch_size=8), split, 0, pad=1) == one
    assert mirrored_in(alternating(split, order=7), split, 6, pad=1) == one
    other = mirrored_in(alternating(split, seed=2), split, 0, pad=1)
    assert abs(np.mean([other[label] == side for label, side in one.items()]) - 0.5) < 0.05


def test_whether_an_image_is_mirrored_says_nothing_of_its_place_in_the_order() -> None:
    split = random_split(2000, 1, 8)
    sides = mirrored_in(alternating(split, seed=3, order=3), split, 0, pad=1)  # of one seed, as in a training
    places = np.arange(len(sides))
    assert abs(np.corrcoef(places, list(sides.values()))[0, 1]) < 0.08
    assert abs(np.corrcoef(list(sides), list(sides.values()))[0, 1]) < 0.08


def test_order_and_windows_are_those_of_the_standard_augmentation() -> None:
    split = random_split(64, 3, 12)
    one, other = what_became_of(alternating(split), split, 2), what_became_of(augmented(split), split, 2)
    assert list(one) == list(other)
    assert {label: window[:2] for label, window in one.items()} == {label: w[:2] for label, w in other.items()}
    assert one != other


def test_nothing_alternates_where_the_data_set_forbids_it() -> None:
    split = random_split(64, 3, 12)
    for epoch in (0, 1):
        assert not any(mirrored_in(alternating(split, flip=False), split, epoch).values())


@pytest.mark.gpu
def test_a_gpu_gives_what_a_processor_gives() -> None:
    split, gpu = random_split(64, 3, 32), torch.device("cuda")
    for augment in (False, True):
        there = Batches(split, image_set(split), gpu, 16, augment, seeded())
        here = Batches(split, image_set(split), CPU, 16, augment, seeded())
        for (x, y), (expected_x, expected_y) in zip(there, here, strict=True):
            assert x.device.type == y.device.type == "cuda"
            assert x.is_contiguous(memory_format=torch.channels_last)
            assert torch.equal(y.cpu(), expected_y)
            assert (x.cpu() - expected_x).abs().max() < 1e-5


def test_the_path_for_processors_gives_what_the_path_for_other_devices_gives() -> None:
    images = padded(random_split(20, 3, 16).images.permute(0, 2, 3, 1), 2, CPU)
    windows = images.unfold(1, 16, 1).unfold(2, 16, 1).permute(0, 1, 2, 4, 5, 3)
    image, top, left = (torch.randint(0, high, (50,), generator=seeded()) for high in (20, 5, 5))
    cut = gather(images, 16, image, top, left)
    assert torch.equal(cut, windows[image, top, left])
    chosen = torch.rand(50, generator=seeded()) < 0.5
    expected = torch.where(chosen.view(-1, 1, 1, 1), cut.flip(2), cut)
    assert torch.equal(mirror(cut, chosen), expected)


@pytest.mark.parametrize("augment", [True, False])
def test_images_that_have_no_room_on_the_device_come_in_time(monkeypatch: pytest.MonkeyPatch, augment: bool) -> None:
    split = random_split(50, 3, 16)
    resident = list(Batches(split, image_set(split), CPU, 16, augment, seeded()))
    monkeypatch.setattr(pixels, "_free", lambda _: 1000)
    pixels._kept.cache_clear()
    batches = Batches(split, image_set(split), CPU, 16, augment, seeded())
    assert isinstance(batches._pixels, Streamed) is augment  # as they are they lie in their file, for a processor
    for (x, y), (expected_x, expected_y) in zip(batches, resident, strict=True):
        assert x.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(x, expected_x)
        assert torch.equal(y, expected_y)
    assert torch.equal(batches.sample(5), Batches(split, image_set(split), CPU, 16, augment, seeded()).sample(5))


def test_equal_trainings_have_their_images_in_the_same_place(monkeypatch: pytest.MonkeyPatch) -> None:
    split = random_split(50, 3, 16)
    for free in (10**9, 1000):  # memory that is free, now that the images themselves are in it
        monkeypatch.setattr(pixels, "_free", lambda _, free=free: free)
        assert isinstance(Batches(split, image_set(split), CPU, 16, True, seeded())._pixels, pixels.Resident)


def test_a_stream_reads_no_batch_that_nobody_wants() -> None:
    split = random_split(50, 3, 16)
    asked: list[int] = []

    def batches() -> Iterator[Tensor]:
        for start in range(0, 48, 8):
            asked.append(start)
            yield torch.arange(start, start + 8)

    stream = Streamed(split.images.permute(0, 2, 3, 1), 2, CPU).take(batches())
    images, index = next(stream)
    assert torch.equal(images[index][:, 2:-2, 2:-2], split.images.permute(0, 2, 3, 1)[:8])
    assert asked == [0, 8]  # one ahead
    stream.close()
