"""The kernels give the bits of their definition, which is spelt out here in float64."""

import ctypes
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from paretosearch.training import fixedpoint, native
from paretosearch.training.fixedpoint import kernel

Pair = tuple[int, int]

#: Says and gives a difference.
Note = Callable[[str, float], float]

KERNEL_AGAINST_EXACT = "dfp16, numbers in which integer kernels and exact chains differ"

#: Batch, channels in and out, edges of the map, of the kernel, stride and padding.
SHAPES: list[tuple[int, int, int, Pair, Pair, Pair, Pair]] = [
    (4, 16, 16, (28, 28), (3, 3), (1, 1), (1, 1)),
    (3, 32, 32, (14, 14), (3, 3), (1, 1), (1, 1)),
    (9, 64, 64, (7, 7), (3, 3), (1, 1), (1, 1)),
    (2, 16, 32, (28, 28), (3, 3), (2, 2), (1, 1)),
    (5, 32, 64, (14, 14), (3, 3), (2, 2), (1, 1)),
    (2, 16, 32, (28, 28), (1, 1), (2, 2), (0, 0)),
    (3, 16, 24, (9, 9), (1, 1), (1, 1), (0, 0)),
    (1, 1, 1, (3, 3), (3, 3), (1, 1), (0, 0)),
    (2, 1, 70, (5, 4), (3, 3), (1, 1), (1, 1)),
    (3, 70, 1, (4, 5), (3, 3), (1, 1), (1, 1)),
    (7, 5, 7, (11, 8), (5, 5), (1, 1), (2, 2)),
    (4, 3, 9, (13, 17), (7, 7), (2, 2), (3, 3)),
    (2, 33, 17, (16, 31), (3, 3), (1, 1), (1, 1)),
    (3, 8, 40, (40, 6), (1, 5), (1, 3), (0, 1)),
    (2, 13, 12, (6, 50), (3, 1), (2, 1), (1, 0)),
    (6, 4, 20, (2, 2), (2, 2), (1, 1), (1, 1)),
    (1, 70, 10, (33, 70), (3, 3), (1, 1), (1, 1)),
    (5, 7, 3, (8, 8), (3, 3), (4, 3), (2, 0)),
]


@pytest.fixture(scope="module", params=["", "#define WIDE\n"], ids=["built-here", "16-lanes"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Build the kernels for this processor, and with the wide vectors of another that two of its own stand in for."""
    source: Path = tmp_path_factory.mktemp("kernels") / "conv.c"
    source.write_text(request.param + files(fixedpoint).joinpath("conv.c").read_text())
    if not isinstance(kernel.library(), ctypes.CDLL):
        pytest.skip(f"no kernels: {kernel.library()}")
    found = native.load(source, kernel._FUNCTIONS)
    assert isinstance(found, ctypes.CDLL)
    return found


@pytest.fixture(autouse=True)
def _uses(library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(kernel, "library", lambda: library)
    monkeypatch.setattr(kernel, "PRODUCTS_OF_A_THREAD", 1)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def chained(chains: Iterator[tuple[Tensor, Tensor]]) -> Tensor:
    """Add up, in fp32, products (R, K) x (K, O) that are exact in float64 and rounded to fp32."""
    total = None
    for left, right in chains:
        part = (left @ right).float()
        total = part if total is None else total + part
    assert total is not None
    return total


def expected_forward(x: Tensor, weight: Tensor, stride: Pair, padding: Pair, scale: float, headroom: int) -> Tensor:
    if x.shape[1] % 2:
        x, weight = F.pad(x, (0, 0, 0, 0, 0, 1)), F.pad(weight, (0, 0, 0, 0, 0, 1))
    out, channels, kh, kw = weight.shape
    patches = F.unfold(x.double(), (kh, kw), padding=padding, stride=stride)
    patches = patches.unflatten(1, (channels, kh * kw)).permute(0, 3, 2, 1).flatten(2)  # image, place, tap and channel
    taps = weight.double().permute(2, 3, 1, 0).reshape(-1, out)
    size = 2 * kernel.chain(headroom)
    total = chained(zip(patches.split(size, 2), taps.split(size), strict=True)) * scale
    height = (x.shape[2] + 2 * padding[0] - kh) // stride[0] + 1
    return total.transpose(1, 2).unflatten(2, (height, -1))


def expected_grad_weight(x: Tensor, grad: Tensor, edges: Pair, sliding: tuple[Pair, Pair], headroom: int) -> Tensor:
    stride, padding = sliding
    images, out, height, width = grad.shape
    if images % 2:
        x, grad = F.pad(x, (0,) * 7 + (1,)), F.pad(grad, (0,) * 7 + (1,))
    patches = F.unfold(x.double(), edges, padding=padding, stride=stride).unflatten(2, (height, width))
    chain, pairs, slices = kernel.chain(headroom), (images + 1) // 2, kernel.slices(images, height * width)
    joined, pieces = max(1, chain // width), -(-width // chain)
    rows = [(r, min(r + joined, height)) for r in range(0, height, joined)]
    columns = [(width * i // pieces, width * (i + 1) // pieces) for i in range(pieces)]

    def chains(begin: int, end: int) -> Iterator[tuple[Tensor, Tensor]]:
        for n in range(2 * begin, 2 * end, 2):
            for top, bottom in rows:
                for left, right in columns:
                    of_x = patches[n : n + 2, :, top:bottom, left:right].transpose(0, 1).flatten(1)
                    of_grad = grad[n : n + 2, :, top:bottom, left:right].double().transpose(0, 1).flatten(1)
                    yield of_x, of_grad.T

    sums = [chained(chains(pairs * i // slices, pairs * (i + 1) // slices)) for i in range(slices)]
    total = sums[0]
    for part in sums[1:]:
        total = total + part
    return total.T.reshape(out, x.shape[1], *edges)


def drawn(shape: tuple[int, ...], headroom: int, extreme: bool, generator: torch.Generator) -> Tensor:
    most = 2 ** (15 - headroom)
    if extreme:
        return torch.full(shape, -most, dtype=torch.int16)
    found = torch.randint(-most, most + 1, shape, generator=generator, dtype=torch.int16)
    return found.contiguous(memory_format=torch.channels_last)


def differing(found: Tensor, expected: Tensor) -> int:
    assert found.dtype == expected.dtype == torch.float32
    assert found.shape == expected.shape
    return int((found.contiguous().view(torch.int32) != expected.contiguous().view(torch.int32)).sum())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("headroom", kernel.HEADROOMS)
@pytest.mark.parametrize("extreme", [False, True], ids=["drawn", "extreme"])
def test_results_have_the_bits_of_exact_chains_added_in_fp32(
    shape: tuple[int, int, int, Pair, Pair, Pair, Pair], headroom: int, extreme: bool, note_difference: Note
) -> None:
    images, channels, out, size, edges, stride, padding = shape
    generator = torch.Generator().manual_seed(sum(size) + channels)
    x = drawn((images, channels, *size), headroom, extreme, generator)
    weight = drawn((out, channels, *edges), headroom, extreme, generator)
    assert kernel.is_possible(x, weight, stride, padding, headroom=headroom)
    scale = torch.tensor(2.0**-13)
    y = expected_forward(x, weight, stride, padding, 2.0**-13, headroom)
    grad = drawn(tuple(y.shape), headroom, extreme, generator)
    grad_weight = expected_grad_weight(x, grad, edges, (stride, padding), headroom) * scale
    has_grad_input = stride == (1, 1) and padding[0] < edges[0] and padding[1] < edges[1]
    turned, around = weight.transpose(0, 1).flip(2, 3), (edges[0] - 1 - padding[0], edges[1] - 1 - padding[1])
    grad_input = expected_forward(grad, turned, stride, around, 2.0**-13, headroom) if has_grad_input else None
    counts = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        counts.append(differing(kernel.forward(x, weight, stride, padding, scale, headroom), y))
        found = kernel.grad_weight(x, grad, edges, stride, padding, scale, headroom)
        counts.append(differing(found, grad_weight))
        if grad_input is not None:
            found = kernel.grad_input(grad, weight, tuple(x.shape), padding, 2.0**-13, headroom)
            counts.append(differing(found, grad_input))
    note_difference(KERNEL_AGAINST_EXACT, sum(counts))
    assert not any(counts)


@pytest.mark.parametrize("channels", range(1, 71, 3))
def test_any_number_of_channels_is_covered(channels: int, note_difference: Note) -> None:
    generator = torch.Generator().manual_seed(channels)
    out = 71 - channels
    x, weight = drawn((3, channels, 5, 6), 2, False, generator), drawn((out, channels, 3, 3), 2, False, generator)
    y = kernel.forward(x, weight, (1, 1), (1, 1), 1.0, 2)
    grad = drawn(tuple(y.shape), 2, False, generator)
    found = kernel.grad_weight(x, grad, (3, 3), (1, 1), (1, 1), 1.0, 2)
    counts = [
        differing(y, expected_forward(x, weight, (1, 1), (1, 1), 1.0, 2)),
        differing(found, expected_grad_weight(x, grad, (3, 3), ((1, 1), (1, 1)), 2)),
    ]
    note_difference(KERNEL_AGAINST_EXACT, sum(counts))
    assert not any(counts)


@pytest.mark.parametrize("images", [10, 32, 41])
def test_a_batch_of_several_slices_gives_the_same_bits_on_any_number_of_threads(
    images: int, note_difference: Note
) -> None:
    generator = torch.Generator().manual_seed(images)
    x, grad = (drawn((images, channels, 40, 33), 2, False, generator) for channels in (4, 9))
    expected = expected_grad_weight(x, grad, (3, 3), ((1, 1), (1, 1)), 2)
    counts = []
    for threads in (1, 2, 3, 8):
        torch.set_num_threads(threads)
        counts.append(differing(kernel.grad_weight(x, grad, (3, 3), (1, 1), (1, 1), 1.0, 2), expected))
    note_difference(KERNEL_AGAINST_EXACT, sum(counts))
    assert counts == [0, 0, 0, 0]


def test_weights_may_lie_in_memory_in_any_order() -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight = drawn((2, 6, 5, 5), 2, False, generator), drawn((6, 6, 3, 3), 2, False, generator)
    results = [kernel.forward(x, w, (1, 1), (1, 1), 1.0, 2) for w in (weight, weight.contiguous())]
    assert differing(*results) == 0


def test_what_the_kernels_do_not_cover_is_said() -> None:
    x, weight = torch.zeros(2, 4, 5, 5, dtype=torch.int16), torch.zeros(3, 4, 3, 3, dtype=torch.int16)
    assert kernel.is_possible(x, weight, (1, 1), (0, 0))
    assert not kernel.is_possible(x, weight, (1, 1), (0, 0), headroom=0)
    assert not kernel.is_possible(x, weight, (1, 1), (0, 0), dilation=(2, 2))
    assert not kernel.is_possible(x, weight, (1, 1), (0, 0), groups=2)
    assert not kernel.is_possible(x[..., :2], weight, (1, 1), (0, 0))


def test_the_processor_is_named() -> None:
    assert kernel.isa() in ("avx512-vnni", "avx-vnni", "avx2", "wide")
