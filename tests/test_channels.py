"""Choosing channels to keep or to copy, seeing what each owns."""

from __future__ import annotations

import pytest
import torch

from paretosearch.channels import ChannelMap, ChannelSpace, Place, Segment, round_up, widened


def keep(size: int, *channels: int) -> torch.Tensor:
    return torch.zeros(size, dtype=torch.bool).index_fill(0, torch.tensor(channels, dtype=torch.int64), True)


def test_the_strongest_of_the_others_fill_up_to_the_multiple() -> None:
    strength = torch.tensor([0.1, 9.0, 0.5, 0.2, 0.9, 0.3, 0.7, 0.0])
    kept = round_up(keep(8, 0, 3), strength, multiple=4, min_channels=1)
    assert kept.tolist() == [0, 1, 3, 4]
    assert kept.dtype == torch.int64


def test_a_kept_channel_stays_however_weak() -> None:
    kept = round_up(keep(20, *range(9)), torch.arange(20.0), multiple=16)
    assert kept.tolist() == [*range(9), *range(13, 20)]


@pytest.mark.parametrize(
    ("size", "alive", "multiple", "wanted"),
    [
        (64, 33, 16, 48),
        (64, 32, 16, 32),
        (64, 0, 16, 16),
        (64, 0, 1, 8),  # never fewer than 8
        (64, 9, 8, 16),
        (6, 2, 16, 6),  # a space with less than the least stays whole
        (20, 17, 16, 20),  # no more than there are
        (20, 0, 8, 8),
        (3, 0, 1, 3),
    ],
)
def test_numbers_are_rounded_up_within_what_there_is(size: int, alive: int, multiple: int, wanted: int) -> None:
    assert len(round_up(keep(size, *range(alive)), torch.rand(size), multiple)) == wanted


def test_of_equally_strong_channels_the_first_stay() -> None:
    assert round_up(keep(32), torch.ones(32), multiple=8).tolist() == list(range(8))


def test_a_wider_space_starts_with_the_old_channels() -> None:
    index = widened(4, 11, torch.Generator().manual_seed(0))
    assert index[:4].tolist() == [0, 1, 2, 3]
    assert len(index) == 11
    assert set(index[4:].tolist()) <= {0, 1, 2, 3}
    assert torch.equal(index, widened(4, 11, torch.Generator().manual_seed(0)))
    assert not torch.equal(index, widened(4, 11, torch.Generator().manual_seed(1)))


def test_slices_are_views_of_what_each_channel_owns() -> None:
    place = Place("fc", "weight", 1, (Segment("a", 3), Segment("b"), Segment("a", 3)), "consumer")
    channels = ChannelMap({name: ChannelSpace(name, 2) for name in ("a", "b")}, (place,))
    weight = torch.arange(14.0).repeat(5, 1)
    first, second = channels.slices(place, "a", weight)
    assert first.shape == (2, 3, 5)
    assert first[1, :, 0].tolist() == [3, 4, 5]
    assert second[0, :, 0].tolist() == [8, 9, 10]
    (only,) = channels.slices(place, "b", weight)
    only[1] = -1
    assert weight[:, 7].tolist() == [-1] * 5
