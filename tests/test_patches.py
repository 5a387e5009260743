"""Patches are what a convolution multiplies with its filters."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from paretosearch.patches import is_ordinary, patches


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 1), ((3, 1), (2, 1), (1, 0)), (1, 1, 0)])
def test_filters_times_patches_are_the_answers_of_the_convolution(kernel, stride, padding) -> None:  # type: ignore[no-untyped-def]
    conv = nn.Conv2d(3, 5, kernel, stride, padding, bias=False)
    x = torch.randn(2, 3, 7, 6)
    found = patches(x, conv, 10_000, torch.Generator().manual_seed(0))
    y = conv(x).permute(0, 2, 3, 1).reshape(-1, 5)
    assert found.shape == (len(y), *conv.weight.shape[1:])
    torch.testing.assert_close(found.flatten(1) @ conv.weight.flatten(1).T, y)  # all of them, in order


def test_no_place_is_drawn_twice() -> None:
    x = torch.arange(64.0).view(1, 1, 8, 8)
    found = patches(x, nn.Conv2d(1, 1, 1), 40, torch.Generator().manual_seed(0))
    assert len(found.unique()) == 40


def test_groups_dilation_and_other_borders_are_not_for_it() -> None:
    assert is_ordinary(nn.Conv2d(4, 4, 3, padding=1))
    others = (
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3, dilation=2),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
    )
    assert not any(map(is_ordinary, others))
