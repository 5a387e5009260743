"""Numbers that share an exponent: what rounding to them does, with and without the kernels."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from paretosearch.training.fixedpoint import rounding
from paretosearch.training.fixedpoint.rounding import at_random, dense, to_nearest


@pytest.fixture(params=["kernels", "operations"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test with the kernels and without."""
    if request.param == "operations":
        monkeypatch.setattr(rounding, "library", lambda: "not now")
    elif isinstance(rounding.library(), str):
        pytest.skip(f"no kernels: {rounding.library()}")


both_ways = pytest.mark.usefixtures("_way")


def _numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@both_ways
@pytest.mark.parametrize("headroom", [0, 1, 2])
@pytest.mark.parametrize("factor", [1.0, 1e-20, 3e10])
def test_a_number_moves_by_at_most_half_of_the_last_bit(headroom: int, factor: float) -> None:
    x = _numbers(3, 1000) * factor
    fixed, values = to_nearest(x, 16, headroom, with_values=True)
    assert values is not None
    assert (values - x).abs().max() <= fixed.scale / 2
    assert 2 ** (14 - headroom) <= fixed.mantissas.int().abs().max() <= 2 ** (15 - headroom)
    assert torch.equal(fixed.values(), values)


@both_ways
def test_rounding_again_changes_nothing() -> None:
    once, values = to_nearest(_numbers(500), 16, 2, with_values=True)
    assert values is not None
    again, _ = to_nearest(values, 16, 2, with_values=False)
    assert torch.equal(again.mantissas, once.mantissas)
    assert again.scale == once.scale


@both_ways
@pytest.mark.parametrize("power", [-40, -1, 1, 60])
def test_a_power_of_two_moves_the_exponent_only(power: int) -> None:
    one, _ = to_nearest(_numbers(500), 16, 1, with_values=False)
    other, _ = to_nearest(_numbers(500) * 2.0**power, 16, 1, with_values=False)
    assert torch.equal(one.mantissas, other.mantissas)
    assert other.scale == one.scale * 2.0**power


@both_ways
def test_zeros_stay_zero() -> None:
    fixed, values = to_nearest(torch.zeros(7), 16, 2, with_values=True)
    assert not fixed.mantissas.any()
    assert fixed.scale == 1
    assert torch.equal(values, torch.zeros(7))


@both_ways
def test_signs_do_not_matter_and_ties_go_to_the_even_number() -> None:
    x = torch.tensor([16384.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 100.4])  # the first makes the last bit worth 1
    fixed, _ = to_nearest(x, 16, 0, with_values=False)
    assert fixed.scale == 1
    assert fixed.mantissas.tolist() == [16384, 0, 2, 2, 0, -2, -2, 100]
    mirrored, _ = to_nearest(-x, 16, 0, with_values=False)
    assert torch.equal(mirrored.mantissas, -fixed.mantissas)


@both_ways
def test_without_headroom_the_largest_number_below_a_power_of_two_is_clamped() -> None:
    below_one = torch.nextafter(torch.ones(()), torch.zeros(()))
    fixed, _ = to_nearest(torch.stack([below_one, -below_one]), 16, 0, with_values=False)
    assert fixed.mantissas.tolist() == [32767, -32768]


@both_ways
def test_one_huge_number_rounds_all_others_to_zero() -> None:
    x = torch.full((100,), 1e-3)
    x[3] = 1e-3 * 2.0**16
    fixed, _ = to_nearest(x, 16, 2, with_values=False)
    assert fixed.mantissas.count_nonzero() == 1


@both_ways
@pytest.mark.parametrize("bad", [torch.inf, -torch.inf, torch.nan])
def test_one_number_that_is_not_finite_spoils_the_tensor(bad: float) -> None:
    fixed, values = to_nearest(torch.tensor([1.0, bad, 2.0]), 16, 2, with_values=True)
    assert values is not None
    assert values.isnan().all()
    assert fixed.values().isnan().all()


@pytest.mark.skipif(isinstance(rounding.library(), str), reason=f"no kernels: {rounding.library()}")
@given(st.integers(0, 2**31), st.sampled_from([0, 1, 2]), st.floats(-90, 90), st.sampled_from([1, 5, 4099]))
def test_kernels_and_operations_give_the_same_bits(seed: int, headroom: int, power: float, size: int) -> None:
    x = _numbers(size, seed=seed) * 2.0**power
    kernels = to_nearest(x, 16, headroom, with_values=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounding, "library", lambda: "not now")
        operations = to_nearest(x, 16, headroom, with_values=True)
    assert torch.equal(kernels[0].mantissas, operations[0].mantissas)
    assert kernels[0].scale == operations[0].scale
    assert torch.equal(kernels[1], operations[1])


@both_ways
@pytest.mark.parametrize("word_length", [4, 8, 16])
def test_rounding_at_random_keeps_the_mean(word_length: int) -> None:
    count, generator = 1_000_000, torch.Generator().manual_seed(1)
    x = torch.full((count + 1,), 0.3456789)
    x[-1] = 1.0  # which decides the exponent
    last_bit = 2.0 ** (2 - word_length)
    drawn = at_random(x, word_length, generator)[:-1]
    assert len(drawn.unique()) == 2
    deviation = last_bit / 2  # at most
    assert abs(drawn.double().mean() - x[0].double()) < 4 * deviation / count**0.5


@both_ways
@pytest.mark.parametrize("word_length", [8, 16])
def test_what_is_on_the_grid_is_not_moved_at_random(word_length: int) -> None:
    most = 2 ** (word_length - 1)
    x = torch.arange(1 - most, most).repeat(5).float()
    assert torch.equal(at_random(x, word_length, torch.Generator().manual_seed(0)), x)


@both_ways
def test_the_mean_of_a_number_near_the_largest_is_kept_as_well() -> None:
    x = torch.full((4_000_000,), 32000.125)  # whose sum with a random number has no room for all of its bits
    drawn = at_random(x, 16, torch.Generator().manual_seed(2))
    assert abs(drawn.double().mean() - 32000.125) < 4 * (0.125 * 0.875) ** 0.5 / len(x) ** 0.5


@both_ways
def test_every_output_channel_has_an_exponent_of_its_own() -> None:
    x = _numbers(2, 3, 3, 3)
    x[1] *= 1e-6
    generator = torch.Generator().manual_seed(0)
    together, apart = at_random(x, 8, generator), at_random(x, 8, generator, by_first=True)
    assert (together[1] == 0).float().mean() > 0.9
    assert ((apart[1] - x[1]).abs().max() / x[1].abs().max()) < 2.0**-6


@both_ways
def test_the_same_generator_rounds_the_same_way_and_another_differs() -> None:
    x = _numbers(1000)
    drawn = [at_random(x, 8, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_a_tensor_with_gaps_is_made_dense_in_the_order_of_images() -> None:
    x = _numbers(2, 4, 3, 3).to(memory_format=torch.channels_last)
    assert dense(x) is x
    assert dense(x[:, ::2]).is_contiguous(memory_format=torch.channels_last)
    assert dense(_numbers(1, 1, 1, 1).expand(2, 4, 3, 3)).is_contiguous(memory_format=torch.channels_last)
