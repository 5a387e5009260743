"""Pooling by the low band of a wavelet: that it is what wavelet pooling does the long way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretosearch.method import Pool
from paretosearch.methods.ll import LowBand, LowBandPooling
from paretosearch.wavelets import haar, inverse_haar


def wavelet_pooling(x: Tensor) -> Tensor:
    """Pool as Williams & Li write it: transform twice, leave out the first details, go back by one level."""
    first = haar(x).unflatten(1, (x.shape[1], 4))
    second = haar(first[:, :, 0])
    return inverse_haar(second)


@pytest.mark.parametrize("edge", [4, 8, 32])
def test_it_is_the_transform_of_two_levels_without_the_details_of_the_first(
    edge: int, note_difference: Callable[[str, float], float]
) -> None:
    x = torch.randn(4, 6, edge, edge, generator=torch.Generator().manual_seed(edge))
    pooled = LowBand()(x)
    assert pooled.shape == (4, 6, edge // 2, edge // 2)
    difference = note_difference("wavelet pooling from its low band", float((wavelet_pooling(x) - pooled).abs().max()))
    print(f"two levels and back - LL: {difference:.1e}")
    assert difference < 1e-6


def test_it_is_twice_the_mean_and_a_last_odd_row_is_left_out() -> None:
    x = torch.randn(2, 3, 7, 9)
    assert torch.equal(LowBand()(x), 2 * F.avg_pool2d(x, 2))
    assert LowBand()(x).shape == (2, 3, 3, 4)


def test_its_gradient_is_half_for_every_pixel_of_a_window() -> None:
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(LowBand(), (x,))
    LowBand()(x).sum().backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
    assert x.grad is not None
    assert torch.equal(x.grad, torch.full_like(x, 0.5))


def test_it_fills_every_place() -> None:
    model = LowBandPooling().edit_model(nn.Sequential(Pool(native=nn.MaxPool2d(2)), Pool()))
    x = torch.rand(1, 1, 8, 8)
    torch.testing.assert_close(model(x), 4 * F.avg_pool2d(x, 4))
