"""The back end of integers gives what the exact one gives, and leaves alone what it does not know."""

import pytest
import torch

from paretosearch.geometry import Geometry
from paretosearch.training.fixedpoint import kernel
from paretosearch.training.fixedpoint.convolution import Exact, Fast, convolve
from paretosearch.training.fixedpoint.integers import Integers

PLAIN = Geometry((1, 1), (1, 1), (1, 1), 1)


@pytest.mark.skipif(isinstance(kernel.library(), str), reason=f"no kernels: {kernel.library()}")
@pytest.mark.parametrize("geometry", [PLAIN, Geometry((2, 2), (1, 1), (1, 1), 1), Geometry((1, 1), (3, 0), (1, 1), 1)])
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


@pytest.mark.parametrize(
    ("geometry", "headroom"),
    [(Geometry((1, 1), (1, 1), (1, 1), 2), 2), (Geometry((1, 1), (2, 2), (2, 2), 1), 2), (PLAIN, 0)],
)
def test_what_the_kernels_do_not_know_is_computed_as_the_fast_back_end_does(geometry: Geometry, headroom: int) -> None:
    x, weight = torch.randn(2, 8, 6, 6), torch.randn(8, 8 // geometry.groups, 3, 3)
    found, fast = (convolve(x, weight, geometry, headroom, back_end) for back_end in (Integers(headroom), Fast()))
    assert torch.equal(found, fast)
