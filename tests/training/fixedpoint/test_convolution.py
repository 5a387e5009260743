"""Convolutions in dynamic fixed point: both back ends, and what tells them from a lesser arithmetic."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretosearch.errors import RecipeError
from paretosearch.geometry import Geometry
from paretosearch.training.fixedpoint.convolution import Exact, Fast, Rounded, convolve
from paretosearch.training.fixedpoint.mode import FixedPointMode

#: Relative error of sums in fp32 that the fast back end may have.
LIMIT = 2e-6

PLAIN = Geometry((1, 1), (1, 1), (1, 1), 1)
GEOMETRIES = [PLAIN, Geometry((2, 2), (1, 1), (1, 1), 1), Geometry((1, 1), (2, 0), (2, 1), 4)]


class Tf32(Fast):
    """The fast back end on a device that drops 13 bits of its operands, as tensor cores do with fp32."""

    def forward(self, x: Rounded, weight: Rounded, geometry: Geometry) -> Tensor:
        return super().forward(_cut(x), _cut(weight), geometry)


def _cut(rounded: Rounded) -> Rounded:
    bits = rounded.values.contiguous().view(torch.int32)
    return Rounded(rounded.fixed, ((bits + (1 << 12)) & ~((1 << 13) - 1)).view(torch.float32))


def _tensors(geometry: Geometry, images: int = 6, channels: int = 24, edge: int = 9) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(images, channels, edge, edge, generator=generator).relu()
    weight = torch.randn(16, channels // geometry.groups, 3, 3, generator=generator) / 10
    return x.to(memory_format=torch.channels_last).requires_grad_(), weight.requires_grad_()


def _results(back_end: Fast | Exact, geometry: Geometry, headroom: int = 2, **sizes: int) -> list[Tensor]:
    x, weight = _tensors(geometry, **sizes)
    y = convolve(x, weight, geometry, headroom, back_end)
    y.backward(torch.randn(y.shape, generator=torch.Generator().manual_seed(4)))
    assert x.grad is not None
    assert weight.grad is not None
    return [y.detach(), x.grad, weight.grad]


def _difference(one: Tensor, other: Tensor) -> float:
    return ((one - other).norm() / other.norm()).item()


#: Says and gives a difference.
Note = Callable[[str, float], float]

FAST_AGAINST_EXACT = "dfp16, fast against exact back end"


@pytest.mark.parametrize("headroom", [0, 1, 2])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_fast_back_end_is_the_exact_one_but_for_sums(
    geometry: Geometry, headroom: int, note_difference: Note
) -> None:
    for fast, exact in zip(_results(Fast(), geometry, headroom), _results(Exact(), geometry, headroom), strict=True):
        assert note_difference(FAST_AGAINST_EXACT, _difference(fast, exact)) < LIMIT


@pytest.mark.parametrize(("channels", "edge"), [(16, 28), (32, 14)])
def test_a_sum_over_a_whole_batch_stays_within_the_limit(channels: int, edge: int, note_difference: Note) -> None:
    sizes = {"images": 128, "channels": channels, "edge": edge}
    for fast, exact in zip(_results(Fast(), PLAIN, **sizes), _results(Exact(), PLAIN, **sizes), strict=True):
        assert note_difference(FAST_AGAINST_EXACT, _difference(fast, exact)) < LIMIT


def test_the_limit_would_not_let_tf32_pass() -> None:
    assert _difference(_results(Tf32(), PLAIN)[0], _results(Exact(), PLAIN)[0]) > 10 * LIMIT


def test_gradients_are_those_of_fp32_but_for_the_rounding() -> None:
    x, weight = _tensors(PLAIN)
    y = F.conv2d(x, weight, None, *PLAIN)
    y.backward(torch.randn(y.shape, generator=torch.Generator().manual_seed(4)))
    for found, expected in zip(_results(Fast(), PLAIN), [y.detach(), x.grad, weight.grad], strict=True):
        assert expected is not None
        assert 1e-6 < _difference(found, expected) < 1e-3


def test_the_backward_keeps_two_bytes_a_number() -> None:
    x, weight = _tensors(PLAIN)
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        convolve(x, weight, PLAIN, 2, Fast())
    assert sum(tensor.nbytes for tensor in kept) == 2 * (x.numel() + weight.numel()) + 2 * 4


class _Watched(Fast):
    """Notes the gradients that the rounding saw."""

    def __init__(self) -> None:
        self.forwards: list[torch.Size] = []
        self.gradients: list[Tensor] = []

    def forward(self, x: Rounded, weight: Rounded, geometry: Geometry) -> Tensor:
        self.forwards.append(weight.fixed.mantissas.shape)
        return super().forward(x, weight, geometry)

    def backward(self, grad: Rounded, *others: object) -> tuple[Tensor | None, Tensor | None]:
        self.gradients.append(grad.values)
        return super().backward(grad, *others)  # type: ignore[arg-type]  # handed on as they come


def test_the_first_convolution_and_the_last_layer_stay_fp32() -> None:
    torch.manual_seed(0)
    stem, middle, last = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, padding="same"), nn.Linear(8, 4)
    watched, x = _Watched(), torch.randn(2, 3, 8, 8)
    with FixedPointMode(2, watched):
        for _ in range(2):  # an evaluation makes many passes in one context
            hidden = middle(stem(x))
            logits = last(hidden.mean((2, 3)))
    assert watched.forwards == [middle.weight.shape] * 2
    assert torch.equal(logits, last(hidden.mean((2, 3))))
    logits.sum().backward()
    assert len(watched.gradients) == 1
    assert middle.bias is not None
    assert middle.bias.grad is not None


def test_a_bias_is_added_in_fp32() -> None:
    x, weight = _tensors(PLAIN)
    bias = torch.full((16,), 1e-7)
    with FixedPointMode(2, Exact()):
        F.conv2d(x.clone(), weight)  # the first one
        y = F.conv2d(x, weight * 1, bias, padding=1)
        without = F.conv2d(x, weight * 1, padding=1)
    assert torch.equal(y, without + bias.reshape(-1, 1, 1))


def test_padding_that_is_not_the_same_on_both_sides_is_refused_with_a_way_out() -> None:
    with FixedPointMode(2, Fast()), pytest.raises(RecipeError, match='padding = "same" for a 2x2 kernel; use odd'):
        nn.Conv2d(8, 8, 2, padding="same")(nn.Conv2d(3, 8, 3)(torch.randn(2, 3, 8, 8)))


@pytest.mark.gpu
@pytest.mark.parametrize("tf32", [False, True])
def test_on_a_gpu_the_limit_holds_without_tf32_only(tf32: bool) -> None:
    device = torch.device("cuda")
    x, weight = (tensor.detach().to(device) for tensor in _tensors(PLAIN, channels=64))
    before, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, tf32
    try:
        fast, exact = (convolve(x, weight, PLAIN, 2, back_end) for back_end in (Fast(), Exact()))
    finally:
        torch.backends.cudnn.allow_tf32 = before
    assert (_difference(fast, exact) < LIMIT) is not (tf32 and torch.cuda.get_device_capability() >= (8, 0))
