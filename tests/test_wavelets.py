"""The Haar wavelet loses nothing, and its low band is a multiple of the mean of a window."""

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
@pytest.mark.parametrize("levels", [1, 2])
def test_the_inverse_gives_back_the_image_and_the_energy_stays(
    channels: int, levels: int, note_difference: Note
) -> None:
    x = torch.randn(8, channels, 32, 32, generator=torch.Generator().manual_seed(0))
    bands = haar(x, levels)
    assert bands.shape == (8, 4**levels * channels, 32 // 2**levels, 32 // 2**levels)
    back = inverse_haar(bands, levels)
    error = note_difference(f"inverse of the Haar transform of level {levels}", float((back - x).abs().max()))
    ratio = float(bands.double().square().sum() / x.double().square().sum())
    note_difference(f"energy of the Haar bands of level {levels}, from 1", abs(ratio - 1))
    print(f"levels: {levels}; inverse: {error:.1e}; energy ratio: {ratio:.9f}")
    assert error < 1e-6
    assert abs(ratio - 1) < 1e-6


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("levels", [1, 2])
def test_the_low_band_is_a_multiple_of_the_mean_of_a_window(channels: int, levels: int, note_difference: Note) -> None:
    x = torch.randn(8, channels, 32, 32, generator=torch.Generator().manual_seed(1))
    edge = 2**levels  # of a window, and the multiple: 2 or 4
    low = haar(x, levels).unflatten(1, (channels, -1))[:, :, 0]
    difference = float((low - edge * F.avg_pool2d(x, edge)).abs().max())
    note_difference(f"LL{levels} from {edge} x average pooling", difference)
    print(f"LL{levels} - {edge} * avgpool: {difference:.1e}")
    assert difference < 1e-6


@pytest.mark.parametrize("channels", [1, 3])
def test_the_second_level_transforms_the_low_band_and_keeps_the_others_as_pixels(channels: int) -> None:
    x = torch.randn(4, channels, 16, 16)
    first = haar(x).unflatten(1, (channels, 4))
    second = haar(x, levels=2).unflatten(1, (channels, 16))
    torch.testing.assert_close(second[:, :, :4].flatten(1, 2), haar(first[:, :, 0]))
    assert torch.equal(second[:, :, 4:].flatten(1, 2), F.pixel_unshuffle(first[:, :, 1:].flatten(1, 2), 2))


def test_bands_are_in_the_order_that_is_said() -> None:
    rows = torch.tensor([1.0, -1.0]).repeat(2).view(1, 1, 4, 1).expand(1, 1, 4, 4)  # upper minus lower
    assert haar(rows).abs().amax((0, 2, 3)).tolist() == [0, 2, 0, 0]
    assert haar(rows.transpose(2, 3)).abs().amax((0, 2, 3)).tolist() == [0, 0, 2, 0]
    assert haar(rows * rows.transpose(2, 3)).abs().amax((0, 2, 3)).tolist() == [0, 0, 0, 2]


#: What makes bands be in the range of the images: the halved low band, and what is made of it.
SCALES = {1: [0.5, 1, 1, 1], 2: [0.25, 0.5, 0.5, 0.5] + 12 * [1.0]}
#: Where HH is not: of the second level, HH of the first are the last four.
WITHOUT_HH = {1: [0, 1, 2], 2: [0, 1, 2, *range(4, 12)]}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("levels", [1, 2])
def test_filters_give_the_bands_with_the_low_one_in_the_range_of_the_images(channels: int, levels: int) -> None:
    x = torch.randn(4, channels, 8, 8)
    bands = haar(x, levels).unflatten(1, (channels, -1)) * torch.tensor(SCALES[levels]).view(-1, 1, 1)
    torch.testing.assert_close(FixedBands(band_filters("haar", channels, levels))(x), bands.flatten(1, 2))
    without = FixedBands(band_filters("haar_no_hh", channels, levels))(x)
    torch.testing.assert_close(without, bands[:, :, WITHOUT_HH[levels]].flatten(1, 2))
    assert without.shape[1] == {1: 3, 2: 11}[levels] * channels
    shuffled = FixedBands(band_filters("unshuffle", channels, levels))(x)
    torch.testing.assert_close(shuffled, F.pixel_unshuffle(x, 2**levels))
