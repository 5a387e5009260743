"""Kernels of another size: the answer to a constant stays, that to a smooth image is the old one, larger."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretosearch import nets
from paretosearch.kernels import begin_smaller, large_kernels, padding_for, scaled, smaller, unfinished

Note = Callable[[str, float], float]

PAIRS = [(3, 5), (5, 7), (7, 11)]


def kernels_of(edge: int) -> Tensor:
    """Draw kernels (4, 3, edge, edge), float64."""
    return torch.randn(4, 3, edge, edge, generator=torch.Generator().manual_seed(edge), dtype=torch.float64)


def by_the_factor_alone(kernels: Tensor, edge: int) -> Tensor:
    """Scale kernels by the formula of methods-structure, section 6, without making up for the border."""
    made = F.interpolate(kernels, size=(edge, edge), mode="bicubic", align_corners=False)
    return made * (kernels.shape[-1] / edge) ** 2


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_the_sum_of_the_taps_stays(before: int, after: int, note_difference: Note) -> None:
    old = kernels_of(before)
    sums = old.sum((2, 3))
    alone = float((by_the_factor_alone(old, after).sum((2, 3)) - sums).abs().max())
    difference = note_difference(
        "sum of the taps of a scaled kernel", float((scaled(old, after).sum((2, 3)) - sums).abs().max())
    )
    print(f"{before}->{after}: sums of taps differ by {difference:.1e}, by the factor alone by {alone:.2f}")
    assert difference < 1e-6
    flat = torch.ones(1, 1, before, before, dtype=torch.float64)
    torch.testing.assert_close(by_the_factor_alone(flat, after), scaled(flat, after))


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_a_constant_image_gets_the_same_answer_inside(before: int, after: int, note_difference: Note) -> None:
    old, x = kernels_of(before), torch.full((1, 3, 32, 32), 0.7, dtype=torch.float64)
    inside = slice(after, -after)
    ours, theirs = (F.conv2d(x, k, padding=k.shape[-1] // 2)[..., inside, inside] for k in (scaled(old, after), old))
    change = note_difference("DC gain of a scaled kernel", float((ours - theirs).abs().max()))
    print(f"{before}->{after}: answers to a constant differ by {change:.1e}")
    assert change < 1e-6


def smooth(edge: int, channels: int = 3, waves: int = 60, highest: float = 6.0) -> Tensor:
    """Draw band-limited noise (1, channels, edge, edge): sums of waves, ``highest`` of them at most along an edge."""
    generator = torch.Generator().manual_seed(0)
    place = (torch.arange(edge, dtype=torch.float64) + 0.5) / edge  # the same scene at any edge
    drawn = torch.rand(channels, waves, 3, generator=generator, dtype=torch.float64)
    down, along = ((2 * drawn[..., i] - 1) * highest for i in (0, 1))
    phase = down[..., None, None] * place[:, None] + along[..., None, None] * place + drawn[..., 2, None, None]
    return torch.sin(2 * math.pi * phase).sum(1)[None]


def test_band_limited_noise_gets_the_old_answer_on_a_larger_image(note_difference: Note) -> None:
    """The example of methods-structure, section 6: 7 -> 11, and images larger by as much."""
    old, small, large = kernels_of(7), smooth(56), smooth(88)
    wanted = F.interpolate(F.conv2d(small, old, padding=3), size=(88, 88), mode="bicubic", align_corners=False)
    inside = slice(11, -11)

    def error(kernels: Tensor) -> float:
        found = F.conv2d(large, kernels, padding=5)
        return float((found - wanted)[..., inside, inside].norm() / wanted[..., inside, inside].norm())

    new = scaled(old, 11)
    exact, alone, without = error(new), error(by_the_factor_alone(old, 11)), error(new * (11 / 7) ** 2)
    note_difference("band-limited noise, kernels scaled 7 -> 11", exact)
    print(f"relative error {exact:.3f}; by the factor alone {alone:.3f}; without the factor {without:.3f}")
    assert exact < 0.15
    assert without > 1.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_format_and_memory_order_stay(dtype: torch.dtype, form: torch.memory_format) -> None:
    old = kernels_of(5).to(dtype).contiguous(memory_format=form)
    new = scaled(old, 7)
    assert (new.dtype, new.shape) == (dtype, (4, 3, 7, 7))
    assert new.is_contiguous(memory_format=form)


def test_edges_are_odd_and_the_pairs_of_the_method() -> None:
    assert [smaller(edge) for edge in (5, 7, 9, 11, 13)] == [3, 5, 7, 7, 9]


def conv(edge: int, padding: int | str | None = None, **more: object) -> nn.Conv2d:
    return nn.Conv2d(2, 4, edge, padding=edge // 2 if padding is None else padding, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("layer", "is_large"),
    [
        (conv(5), True),
        (conv(7, stride=2), True),
        (conv(11, 2, stride=4), True),  # as in alexnet
        (conv(5, groups=2), True),
        (conv(3), False),
        (conv(1), False),
        (conv(5, 0), False),  # there is no padding that would leave the size of its map
        (conv(5, "same"), False),
        (conv(5, padding_mode="reflect"), False),
        (conv(5, dilation=2), False),
        (nn.Conv2d(2, 4, (1, 7), padding=(0, 3)), False),
        (nn.Conv2d(2, 4, 6, padding=3), False),
    ],
)
def test_square_odd_kernels_of_five_or_more_may_begin_smaller(layer: nn.Conv2d, is_large: bool) -> None:
    assert bool(large_kernels(nn.Sequential(layer))) is is_large


def test_the_maps_keep_their_size_and_the_initial_weights_their_variance() -> None:
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Conv2d(64, 64, 11, 4, padding=2))
    x, before = torch.randn(2, 64, 60, 60), float(layer[0].weight.detach().std())
    size = layer(x).shape
    begin_smaller(layer)
    assert (layer[0].kernel_size, layer[0].padding) == ((7, 7), (0, 0))
    assert layer(x).shape == size
    assert float(layer[0].weight.detach().std()) == pytest.approx(before * 11 / 7, rel=0.01)
    assert padding_for(layer[0], 11) == (2, 2)
    assert unfinished(layer) == {"0": 11}


@pytest.mark.parametrize(("network", "size", "count"), [("convnet5", 16, 2), ("resnet18", 72, 1), ("resnet18", 64, 0)])
def test_small_kernels_are_not_touched(network: str, size: int, count: int) -> None:
    torch.manual_seed(0)
    model = nets.build(network, classes=3, channels=3, image_size=size, width=0.125)
    before = {name: (module.kernel_size, module.weight) for name, module in convolutions(model).items()}
    begin_smaller(model)
    changed = {name for name, module in convolutions(model).items() if module.weight is not before[name][1]}
    assert changed == {name for name, (kernel, _) in before.items() if kernel[0] > 3} == large_kernels(model).keys()
    assert len(changed) == count
    assert model.eval()(torch.zeros(2, 3, size, size)).shape == (2, 3)


def test_kernels_of_several_sizes_become_smaller_together() -> None:
    model = nets.build("torchvision:alexnet", classes=3, channels=3, image_size=96)
    begin_smaller(model)
    found = {name: (conv.kernel_size[0], conv.padding) for name, conv in convolutions(model).items()}
    assert [found[name] for name in unfinished(model)] == [(7, (0, 0)), (3, (1, 1))]
    assert list(unfinished(model).values()) == [11, 5]
    assert model.eval()(torch.zeros(2, 3, 96, 96)).shape == (2, 3)


def convolutions(model: nn.Module) -> dict[str, nn.Conv2d]:
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
