"""The integer kernels give the bits that chains of exact sums give, added up in their order."""

import subprocess
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from paretosearch.training import native
from paretosearch.training.fixedpoint import convolution, integers
from paretosearch.training.fixedpoint.convolution import Exact, Geometry, convolve
from paretosearch.training.fixedpoint.integers import Integers, chain_of, forward, grad_weight

needs_kernels = pytest.mark.skipif(isinstance(integers.library(), str), reason=f"no kernels: {integers.library()}")

#: Of integers.c: pairs of images are dealt to so many slices, and so many places are gone through at once.
SLICES, PLACES_AT_ONCE = 8, 112


def chained(left: Tensor, right: Tensor, chain: int, start: Tensor) -> Tensor:
    """Add (M, S, 2) times (S, 2, O) to fp32 sums (M, O), exactly within every chain of steps S, in their order."""
    for first in range(0, left.shape[1], chain):
        part = slice(first, first + chain)
        exact = torch.einsum("msp,spo->mo", left[:, part].double(), right[part].double())
        start = start + exact.float()
    return start


def windows(x: Tensor, kernel: tuple[int, int], geometry: Geometry) -> Tensor:
    """Give what the kernel sees at every place: (N, H', W', kh, kw, C)."""
    (down, right), stride = geometry.padding, geometry.stride[0]
    padded = F.pad(x.double(), (right, right, down, down))
    seen = padded.unfold(2, kernel[0], stride).unfold(3, kernel[1], stride)
    return seen.permute(0, 2, 3, 4, 5, 1)


def expected_forward(x: Tensor, weight: Tensor, geometry: Geometry, scale: Tensor, chain: int) -> Tensor:
    seen = F.pad(windows(x, (weight.shape[2], weight.shape[3]), geometry), (0, x.shape[1] % 2))
    n, rows, columns = seen.shape[:3]
    pairs = F.pad(weight.double().permute(2, 3, 1, 0), (0, 0, 0, x.shape[1] % 2)).reshape(-1, 2, weight.shape[0])
    sums = chained(seen.reshape(n * rows * columns, -1, 2), pairs, chain, torch.zeros(n * rows * columns, len(weight)))
    return (sums * scale).reshape(n, rows, columns, -1).permute(0, 3, 1, 2)


def expected_grad_weight(
    x: Tensor, grad: Tensor, shape: torch.Size, geometry: Geometry, scale: Tensor, chain: int
) -> Tensor:
    outputs, channels, tall, broad = shape
    seen = windows(x, (tall, broad), geometry).flatten(3)  # (N, H', W', K)
    given = grad.double().permute(0, 2, 3, 1)
    if len(x) % 2:
        seen, given = (F.pad(table, (0, 0, 0, 0, 0, 0, 0, 1)) for table in (seen, given))
    pairs, rows, columns = len(seen) // 2, seen.shape[1], seen.shape[2]
    lines = max(1, PLACES_AT_ONCE // columns)
    total = None
    for slice_ in range(SLICES):
        sums = torch.zeros(seen.shape[3], outputs)
        for pair in range(pairs * slice_ // SLICES, pairs * (slice_ + 1) // SLICES):
            for line in range(0, rows, lines):
                part = (slice(2 * pair, 2 * pair + 2), slice(line, line + lines))
                left = seen[part].flatten(1, 2).permute(2, 1, 0)
                right = given[part].flatten(1, 2).permute(1, 0, 2)
                sums = chained(left, right, chain, sums)
        total = sums if total is None else total + sums
    assert total is not None
    return (total * scale).T.reshape(outputs, tall, broad, channels).permute(0, 3, 1, 2)


def mantissas(*shape: int, headroom: int, seed: int, extreme: bool = False) -> Tensor:
    most, generator = 2 ** (15 - headroom), torch.Generator().manual_seed(seed)
    if extreme:
        return torch.where(torch.rand(shape, generator=generator) < 0.9, most, -most).to(torch.int16)
    drawn = torch.randn(shape, generator=generator) * most / 4
    return drawn.round().clamp(-most, most).to(torch.int16)


#: Images, channels, edge, outputs, kernel, stride, padding.
SHAPES = [
    (2, 16, 9, 16, 3, 1, 1),
    (9, 3, 7, 5, 3, 1, 1),
    (1, 1, 5, 1, 1, 1, 0),
    (4, 33, 8, 17, 3, 2, 1),
    (5, 70, 6, 33, 1, 2, 0),
    (3, 7, 11, 40, 5, 1, 2),
    (2, 4, 12, 6, 7, 3, 3),
    (17, 8, 4, 16, 3, 1, 0),
    (2, 6, 28, 16, 3, 1, 1),
]

#: Says and gives a difference.
Note = Callable[[str, float], float]

every_case = [
    *(pytest.param(shape, headroom, False, id=f"{shape}-{headroom}") for shape in SHAPES for headroom in (1, 2)),
    *(
        pytest.param(shape, headroom, True, id=f"{shape}-{headroom}-extreme")
        for shape in SHAPES[:4]
        for headroom in (1, 2)
    ),
]


@needs_kernels
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("shape", "headroom", "extreme"), every_case)
def test_no_bit_differs_from_exact_chains(
    shape: tuple[int, ...], headroom: int, extreme: bool, threads: int, note_difference: Note
) -> None:
    n, channels, edge, outputs, kernel, stride, pad = shape
    x = mantissas(n, channels, edge, edge, headroom=headroom, seed=1, extreme=extreme)
    weight = mantissas(outputs, channels, kernel, kernel, headroom=headroom, seed=2, extreme=extreme)
    geometry, scale = Geometry((stride, stride), (pad, pad), (1, 1), 1), torch.tensor(2.0**-20)
    chain, before = chain_of(headroom), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        y = forward(x, weight, geometry, scale, chain)
        grad = mantissas(*y.shape, headroom=headroom, seed=3, extreme=extreme)
        gradient = grad_weight(x, grad, weight.shape, geometry, scale, chain)
    finally:
        torch.set_num_threads(before)
    for found, expected in (
        (y, expected_forward(x, weight, geometry, scale, chain)),
        (gradient, expected_grad_weight(x, grad, weight.shape, geometry, scale, chain)),
    ):
        different = (found != expected).sum().item()
        assert note_difference("dfp16, integer kernels against exact chains, differing numbers", different) == 0


@needs_kernels
@pytest.mark.parametrize("geometry", [Geometry((1, 1), (1, 1), (1, 1), 1), Geometry((2, 2), (1, 1), (1, 1), 1)])
def test_all_three_results_are_those_of_the_exact_back_end_but_for_sums_of_chains(geometry: Geometry) -> None:
    results = []
    for back_end in (Integers(2), Exact()):
        x = torch.randn(6, 24, 9, 9, generator=torch.Generator().manual_seed(0)).requires_grad_()
        weight = torch.randn(16, 24, 3, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
        y = convolve(x, weight, geometry, 2, back_end)
        y.backward(torch.randn(y.shape, generator=torch.Generator().manual_seed(2)))
        results.append((y.detach(), x.grad, weight.grad))
    for found, exact in zip(*results, strict=True):
        assert found is not None
        assert exact is not None
        assert (found - exact).norm() / exact.norm() < 2e-6


@pytest.mark.parametrize(("headroom", "chain"), [(2, 15), (1, 3), (0, 0)])
def test_a_chain_cannot_overflow(headroom: int, chain: int) -> None:
    assert chain_of(headroom) == chain
    assert 2 * chain * 2 ** (30 - 2 * headroom) < 2**31
    assert 2 * (chain + 1) * 2 ** (30 - 2 * headroom) >= 2**31


def test_what_the_kernels_do_not_know_is_computed_as_the_fast_back_end_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integers, "library", lambda: pytest.fail("no kernel knows this"))
    x, weight = torch.randn(2, 8, 6, 6), torch.randn(8, 4, 3, 3)
    grouped = Geometry((1, 1), (1, 1), (1, 1), 2)
    assert torch.equal(
        convolve(x, weight, grouped, 2, Integers(2)), convolve(x, weight, grouped, 2, convolution.Fast())
    )
    plain = Geometry((1, 1), (1, 1), (1, 1), 1)
    whole = torch.randn(8, 8, 3, 3)
    assert torch.equal(convolve(x, whole, plain, 0, Integers(0)), convolve(x, whole, plain, 0, convolution.Fast()))


@needs_kernels
@pytest.mark.parametrize("flags", ["-mavx512f -mavx512bw -mavx512vnni", "-mavx2 -mavxvnni", "-mno-avx2 -mno-avx"])
def test_the_kernels_build_for_processors_that_are_not_here(flags: str, tmp_path: Path) -> None:
    source = files("paretosearch.training.fixedpoint").joinpath("integers.c")
    common = ["-O2", "-fopenmp", "-Wall", "-Wextra", "-Werror", "-c", "-o", str(tmp_path / "out.o")]
    subprocess.run(["cc", *common, *flags.split(), str(source)], check=True)


def test_a_processor_without_the_instructions_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "load", lambda *_: object())
    monkeypatch.setattr(integers, "_isa", lambda _: 0)
    assert integers.library.__wrapped__() == "this processor has neither AVX2 nor VNNI"
