import pytest
import torch
import torch.nn.functional as F

from paretosearch.methods.stochastic import StochasticPool, probability_weighted_pool, stochastic_pool

WINDOW = torch.tensor([[1.0, 3.0], [0.0, 4.0]])
DRAWS = 20_000


def relu_map(*shape, channels_last=False, dtype=torch.float32):
    x = F.relu(torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype))
    return x.to(memory_format=torch.channels_last) if channels_last else x


def windows_of(x):
    """The definition: (N, C, H, W) to (N, C, H // 2, W // 2, 4), by slices."""
    x = x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]
    return torch.stack((x[..., ::2, ::2], x[..., ::2, 1::2], x[..., 1::2, ::2], x[..., 1::2, 1::2]), dim=-1)


def frequencies(window, draws=DRAWS, dtype=torch.float32):
    torch.manual_seed(0)
    drawn = stochastic_pool(window.to(dtype).repeat(draws, 1, 1, 1)).flatten()
    return [(drawn == value).float().mean().item() for value in window.to(dtype).flatten()]


def test_each_activation_is_drawn_in_proportion_to_its_value():
    assert frequencies(WINDOW) == pytest.approx([0.125, 0.375, 0.0, 0.5], abs=0.01)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_the_place_in_the_window_does_not_matter(turns):
    turned = WINDOW.rot90(turns)
    assert frequencies(turned) == pytest.approx((turned / 8).flatten().tolist(), abs=0.01)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bit_activations_are_drawn_by_probabilities_in_fp32(dtype):
    # In bfloat16 the sums of this window round to 256, 256 and 256, and only the first would ever be drawn.
    window = torch.tensor([[256.0, 0.5], [0.25, 0.75]])
    assert frequencies(window, 200_000, dtype)[1:] == pytest.approx([0.5 / 257.5, 0.25 / 257.5, 0.75 / 257.5], rel=0.2)


def test_windows_images_and_channels_are_drawn_apart():
    torch.manual_seed(0)
    drawn = stochastic_pool(torch.tensor([[1.0, 2.0], [3.0, 4.0]]).repeat(8, 8, 8, 8))
    for dim in range(4):
        agreement = (drawn == drawn.roll(1, dim)).float().mean().item()
        assert agreement == pytest.approx(0.01 + 0.04 + 0.09 + 0.16, abs=0.05)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("size", [(6, 8), (7, 8), (6, 9), (7, 9)])
def test_every_output_is_an_element_of_its_own_window_and_the_gradient_goes_there_alone(channels_last, size):
    x = relu_map(3, 5, *size, channels_last=channels_last).requires_grad_()
    out = stochastic_pool(x)
    weights = torch.rand_like(out) + 1
    (out * weights).sum().backward()
    gradients, values = windows_of(x.grad), windows_of(x.detach())
    assert ((gradients != 0).sum(-1) == 1).all()
    assert torch.equal(gradients.sum(-1), weights)
    assert torch.equal(values.gather(-1, gradients.argmax(-1, keepdim=True)).squeeze(-1), out.detach())
    assert x.grad.count_nonzero() == out.numel(), "an odd last row or column must get no gradient"


def test_a_window_of_zeros_gives_zero_in_training_and_evaluation():
    zeros = torch.zeros(2, 3, 4, 4)
    assert torch.equal(stochastic_pool(zeros), torch.zeros(2, 3, 2, 2))
    assert torch.equal(probability_weighted_pool(zeros), torch.zeros(2, 3, 2, 2))


def test_an_activation_of_zero_is_never_drawn_beside_a_positive_one():
    x = relu_map(64, 8, 32, 32)
    drawn, largest = stochastic_pool(x), F.max_pool2d(x, 2)
    assert torch.equal(drawn > 0, largest > 0)


def test_evaluation_weighs_each_activation_by_its_probability():
    assert probability_weighted_pool(WINDOW[None, None]).item() == pytest.approx(3.25)
    windows = windows_of(x := relu_map(3, 5, 7, 9, dtype=torch.float64))
    expected = (windows**2).sum(-1) / windows.sum(-1).clamp_min(1e-300)
    torch.testing.assert_close(probability_weighted_pool(x), expected)


def test_evaluation_is_the_mean_of_what_training_draws():
    torch.manual_seed(0)
    x = relu_map(1, 2, 4, 4, dtype=torch.float64)
    draws = stochastic_pool(x.expand(DRAWS, -1, -1, -1))
    error = draws.std(0) / DRAWS**0.5
    assert ((draws.mean(0) - probability_weighted_pool(x)[0]).abs() <= 4 * error + 1e-12).all()


def test_large_half_precision_activations_do_not_overflow_in_evaluation():
    assert probability_weighted_pool(torch.full((1, 1, 2, 2), 6e4, dtype=torch.float16)).item() == pytest.approx(6e4)


def test_it_draws_the_same_under_the_same_seed():
    x = relu_map(8, 8, 8, 8)
    torch.manual_seed(3)
    first, other = stochastic_pool(x), stochastic_pool(x)
    torch.manual_seed(3)
    assert torch.equal(stochastic_pool(x), first)
    assert not torch.equal(first, other)


def test_its_gradient_is_that_of_the_function():
    def at_a_seed(x):
        torch.manual_seed(5)
        return stochastic_pool(x)

    x = (relu_map(2, 3, 5, 4, dtype=torch.float64) + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(at_a_seed, (x,))
    assert torch.autograd.gradcheck(probability_weighted_pool, (x,))


@pytest.mark.parametrize("channels_last", [False, True])
def test_the_memory_format_is_kept_forward_and_backward(channels_last):
    fmt = torch.channels_last if channels_last else torch.contiguous_format
    x = relu_map(2, 3, 8, 8, channels_last=channels_last).requires_grad_()
    out = stochastic_pool(x)
    (grad,) = torch.autograd.grad(out, x, torch.ones_like(out))  # unlike x.grad as the backward laid it out
    assert out.is_contiguous(memory_format=fmt)
    assert grad.is_contiguous(memory_format=fmt)


def test_the_backward_remembers_three_bytes_a_window():
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        out = stochastic_pool(relu_map(2, 3, 8, 8).requires_grad_())
    assert sum(t.nbytes for t in kept) == 3 * out.numel()


def test_the_module_draws_while_training_only():
    x, pool = relu_map(4, 4, 8, 8), StochasticPool()
    assert not torch.equal(pool(x), pool(x))
    assert torch.equal(pool.eval()(x), probability_weighted_pool(x))


def test_autocast_hands_it_its_format_and_gets_the_same_back():
    conv = torch.nn.Conv2d(1, 2, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        x = F.relu(conv(torch.ones(1, 1, 4, 4)))
        out = stochastic_pool(x)
    out.sum().backward()
    assert x.dtype == out.dtype == torch.bfloat16
    assert conv.weight.grad.isfinite().all()
