"""The Haar wavelet loses nothing, and its low band is twice the mean of a window."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from paretosearch.wavelets import HAAR, FixedBands, band_filters, haar, inverse_haar

Note = Callable[[str, float], float]


def test_the_matrix_is_orthonormal() -> None:
    assert torch.equal(HAAR @ HAAR.T, torch.eye(4))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_inverse_gives_back_the_image_and_the_energy_stays(channels: int, note_difference: Note) -> None:
    x = torch.randn(8, channels, 32, 32, generator=torch.Generator().manual_seed(0))
    bands = haar(x)
    assert bands.shape == (8, 4 * channels, 16, 16)
    error = note_difference("inverse of the Haar transform", float((inverse_haar(bands) - x).abs().max()))
    ratio = float(bands.double().square().sum() / x.double().square().sum())
    note_difference("energy of the Haar bands, from 1", abs(ratio - 1))
    print(f"inverse: {error:.1e}; energy ratio: {ratio:.9f}")
    assert error < 1e-6
    assert abs(ratio - 1) < 1e-6


@pytest.mark.parametrize("channels", [1, 3])
def test_the_low_band_is_twice_the_mean_of_a_window(channels: int, note_difference: Note) -> None:
    x = torch.randn(8, channels, 32, 32, generator=torch.Generator().manual_seed(1))
    low = haar(x).unflatten(1, (channels, 4))[:, :, 0]
    difference = note_difference("LL from 2 x average pooling", float((low - 2 * F.avg_pool2d(x, 2)).abs().max()))
    print(f"LL - 2 * avgpool: {difference:.1e}")
    assert difference < 1e-6


def test_bands_are_in_the_order_that_is_said() -> None:
    rows = torch.tensor([1.0, -1.0]).repeat(2).view(1, 1, 4, 1).expand(1, 1, 4, 4)  # upper minus lower
    assert haar(rows).abs().amax((0, 2, 3)).tolist() == [0, 2, 0, 0]
    assert haar(rows.transpose(2, 3)).abs().amax((0, 2, 3)).tolist() == [0, 0, 2, 0]
    assert haar(rows * rows.transpose(2, 3)).abs().amax((0, 2, 3)).tolist() == [0, 0, 0, 2]


@pytest.mark.parametrize("channels", [1, 3])
def test_filters_give_the_bands_with_the_low_one_in_the_range_of_the_images(channels: int) -> None:
    x = torch.randn(4, channels, 8, 8)
    bands = haar(x).unflatten(1, (channels, 4)) * torch.tensor([0.5, 1, 1, 1]).view(1, 1, 4, 1, 1)
    torch.testing.assert_close(FixedBands(band_filters("haar", channels))(x), bands.flatten(1, 2))
    without = FixedBands(band_filters("haar_no_hh", channels))(x)
    torch.testing.assert_close(without, bands[:, :, :3].flatten(1, 2))
    assert without.shape[1] == 3 * channels
    shuffled = FixedBands(band_filters("unshuffle", channels))(x)
    torch.testing.assert_close(shuffled, F.pixel_unshuffle(x, 2))
