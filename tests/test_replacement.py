"""Layers for the place of a convolution compute what it does, where they can."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from paretosearch.replacement import damage, empty, fitted, forms, is_replaceable, refit

#: Channels read and written, stride, padding.
SHAPES = [(8, 16, 1, 1), (16, 8, 2, 1), (16, 16, (2, 1), (1, 0))]

Note = Callable[[str, float], float]


def convolution(reads: int, writes: int, stride: int = 1, padding: int = 1, bias: bool = False) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(reads, writes, 3, stride, padding, bias=bias)


def images(channels: int) -> Tensor:
    return torch.randn(4, channels, 11, 9, generator=torch.Generator().manual_seed(1)).relu()


def made(conv: nn.Conv2d, form: str) -> nn.Module:
    return fitted(conv, form, images(conv.in_channels), torch.Generator().manual_seed(2))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("bias", [False, True])
def test_a_separable_pair_of_full_rank_is_the_convolution(
    shape: tuple[int, int, int, int], bias: bool, note_difference: Note
) -> None:
    conv = convolution(*shape, bias=bias)
    pair = made(conv, f"separable {3 * min(shape[:2])}")
    found = damage(conv, pair, images(shape[0]))
    assert note_difference("separable convolutions of full rank", found) < 1e-5


def test_the_error_of_the_weights_is_that_of_the_singular_values_left_out() -> None:
    conv = convolution(8, 16)
    values = torch.linalg.svdvals(conv.weight.detach().permute(1, 2, 3, 0).reshape(24, 48))
    vertical, horizontal = (layer.weight.detach() for layer in made(conv, "separable 8"))  # type: ignore[union-attr]
    product = torch.einsum("rcij,nrkl->ncil", vertical, horizontal)
    assert (product - conv.weight).norm().item() == pytest.approx(values[8:].norm().item(), rel=1e-4)


def test_more_rank_does_less_damage() -> None:
    conv = convolution(16, 16)
    found = [damage(conv, made(conv, f"separable {rank}"), images(16)) for rank in (4, 8, 16, 32, 48)]
    print(f"\ndamage by rank: {[round(d, 4) for d in found]}")
    assert found == sorted(found, reverse=True)


def of_form(form: str) -> nn.Conv2d:
    """Make a convolution that is of a form already."""
    conv = convolution(16, 16)
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        if form == "depthwise":
            kernels = torch.randn(16, 3, 3, generator=random)
            conv.weight.copy_(torch.einsum("kc,cij->kcij", torch.randn(16, 16, generator=random), kernels))
        elif form == "bottleneck 8":
            parts = (torch.randn(*size, generator=random) for size in ((16, 8), (8, 8, 3, 3), (8, 16)))
            conv.weight.copy_(torch.einsum("ko,odij,dc->kcij", *parts))
        else:
            conv.weight[:8, 8:] = 0
            conv.weight[8:, :8] = 0
    return conv


@pytest.mark.parametrize("form", ["depthwise", "bottleneck 8", "grouped 2"])
def test_a_convolution_that_is_of_a_form_is_found_again(form: str, note_difference: Note) -> None:
    conv = of_form(form)
    assert note_difference("convolutions of a cheaper form", damage(conv, made(conv, form), images(16))) < 1e-5


@pytest.mark.parametrize("form", ["depthwise", "bottleneck 8", "grouped 2", "grouped 4"])
def test_least_squares_do_less_damage_than_the_first_guess(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    conv = convolution(32, 32)
    after = damage(conv, made(conv, form), images(32))
    monkeypatch.setattr("paretosearch.replacement.refit", lambda *given: given[-1])
    before = damage(conv, made(conv, form), images(32))
    print(f"\n{form}: {before:.3f} to {after:.3f}")
    assert after < before


def test_without_enough_patches_the_fit_stays_near_the_first_guess() -> None:
    start = torch.randn(6, 2, dtype=torch.float64)
    read = torch.randn(3, 6, dtype=torch.float64)
    torch.testing.assert_close(refit(read, read @ start, start), start)


def test_with_many_patches_the_fit_is_that_of_least_squares() -> None:
    read, answers = torch.randn(500, 6, dtype=torch.float64), torch.randn(500, 2, dtype=torch.float64)
    expected = torch.linalg.lstsq(read, answers).solution
    torch.testing.assert_close(refit(read, answers, torch.zeros_like(expected)), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_form_gives_maps_of_the_same_shape_with_fewer_weights(shape: tuple[int, int, int, int]) -> None:
    conv, x = convolution(*shape, bias=True), images(shape[0])
    assert forms(conv)
    for form in forms(conv):
        layers = empty(conv, form)
        assert layers(x).shape == conv(x).shape
        assert sum(p.numel() for p in layers.parameters()) < sum(p.numel() for p in conv.parameters())
        assert torch.equal(list(layers.parameters())[-1], conv.bias)  # type: ignore[arg-type]  # it has one


def test_new_weights_have_the_format_and_the_memory_order_of_the_old_ones() -> None:
    conv = convolution(16, 16).to(torch.bfloat16).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for form in forms(conv):
        for parameter in made(conv, form).parameters():
            assert parameter.dtype == torch.bfloat16
            assert parameter.is_contiguous(memory_format=torch.channels_last)


def test_only_trained_ordinary_3x3_convolutions_of_several_channels_are_replaceable() -> None:
    assert is_replaceable(convolution(8, 8))
    others = [
        nn.Conv2d(8, 8, 1),
        nn.Conv2d(1, 8, 3),
        nn.Conv2d(8, 8, 3, groups=2),
        nn.Conv2d(8, 8, 3, dilation=2),
        nn.Linear(3, 3),
        convolution(8, 8).requires_grad_(False),
    ]
    assert not any(map(is_replaceable, others))
    with pytest.raises(ValueError, match="there is no form 'square 3'"):
        empty(convolution(8, 8), "square 3")
