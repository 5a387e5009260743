import pytest
import torch
import torch.nn.functional as F

from paretosearch.methods.s3 import S3Pool, kept_lines, s3_pool, s3_pool_evaluation, strip

CPU = torch.device("cpu")


def random_map(*shape, channels_last=False, dtype=torch.float32):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return x.to(memory_format=torch.channels_last) if channels_last else x


def naive_s3_pool(x, grid):
    """The definition, step by step: all maxima at stride 1, then strip by strip the lines to keep."""
    height, width = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
    padded = F.pad(x[:, :, :height, :width], (0, 1, 0, 1), value=-torch.inf)
    maxima = torch.stack([padded[:, :, i : i + height, j : j + width] for i in (0, 1) for j in (0, 1)]).amax(0)
    kept = []
    for edge in (height, width):
        size = next(g for g in range(min(grid, edge), 0, -1) if g % 2 == 0 and edge % g == 0)
        scores = torch.rand(edge // size, size)
        strips = [sorted(sorted(range(size), key=row.tolist().__getitem__)[: size // 2]) for row in scores]
        kept.append([i * size + offset for i, offsets in enumerate(strips) for offset in offsets])
    return maxima[:, :, kept[0]][:, :, :, kept[1]]


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("size", [(8, 8), (28, 28), (14, 12), (7, 9), (2, 3)])
@pytest.mark.parametrize("grid", [2, 4, 8, 16])
def test_the_separable_form_is_bit_equal_to_the_naive_one(channels_last, size, grid):
    x = random_map(2, 3, *size, channels_last=channels_last)
    torch.manual_seed(1)
    out = s3_pool(x, grid)
    torch.manual_seed(1)
    assert torch.equal(out, naive_s3_pool(x, grid))
    assert out.shape == (2, 3, size[0] // 2, size[1] // 2)


@pytest.mark.parametrize(
    ("edge", "grid", "expected"),
    [(32, 2, 2), (32, 8, 8), (28, 4, 4), (28, 8, 4), (28, 16, 14), (14, 8, 2), (6, 8, 6), (4, 16, 4), (2, 16, 2)],
)
def test_a_strip_is_the_largest_even_number_that_fits(edge, grid, expected):
    assert strip(edge, grid) == expected


@pytest.mark.parametrize("size", [2, 4, 8])
def test_half_of_each_strip_is_kept_in_rising_order(size):
    torch.manual_seed(0)
    lines = torch.stack([kept_lines(16, size, CPU) for _ in range(200)])
    assert lines.shape == (200, 8)
    assert (lines.diff(dim=1) > 0).all(), "strictly increasing, so never the same line twice"
    assert torch.equal(lines // size, torch.arange(8).div(size // 2, rounding_mode="floor").expand(200, -1))


def test_every_choice_of_lines_is_as_likely_as_every_other():
    torch.manual_seed(0)
    lines = torch.stack([kept_lines(4, 4, CPU) for _ in range(6000)])
    pairs, counts = lines.unique(dim=0, return_counts=True)
    assert len(pairs) == 6
    assert ((counts - 1000).abs() < 4 * (6000 * 1 / 6 * 5 / 6) ** 0.5).all()


def test_rows_and_columns_are_drawn_apart_and_shared_by_images_and_channels():
    torch.manual_seed(0)
    rows = torch.arange(16.0).view(1, 1, 16, 1).expand(4, 3, 16, 16)
    drawn_rows = s3_pool(rows, 8)[..., 0]
    assert (drawn_rows == drawn_rows[0, 0]).all()
    both = [(kept_lines(16, 8, CPU), kept_lines(16, 8, CPU)) for _ in range(5)]
    assert any(not torch.equal(r, c) for r, c in both)


def test_it_draws_the_same_under_the_same_seed():
    x = random_map(2, 3, 16, 16)
    torch.manual_seed(3)
    first, other = s3_pool(x, 8), s3_pool(x, 8)
    torch.manual_seed(3)
    assert torch.equal(s3_pool(x, 8), first)
    assert not torch.equal(first, other)


def test_evaluation_is_the_mean_of_training_at_the_smallest_grid():
    torch.manual_seed(0)
    x = random_map(1, 2, 6, 6, dtype=torch.float64)
    draws = torch.cat([s3_pool(x, 2) for _ in range(1500)])
    error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - s3_pool_evaluation(x)[0]).abs() <= 4 * error + 1e-12).all()


def test_evaluation_averages_the_maxima_that_lie_in_the_map():
    x = torch.tensor([[1.0, 5.0, 2.0, 0.0, 9.0], [3.0, 4.0, 1.0, -7.0, 9.0]]).view(1, 1, 2, 5)
    rows = torch.tensor([[5.0, 5.0, 2.0, 0.0], [4.0, 4.0, 1.0, -7.0]])
    expected = [(rows[:, :2].sum() / 4).item(), (rows[:, 2:].sum() / 4).item()]
    assert expected == [4.5, -1.0]
    assert s3_pool_evaluation(x).flatten().tolist() == [4.5, -1.0]


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("grid", [2, 4])
def test_its_gradient_is_that_of_the_function(grid, channels_last):
    def at_a_seed(x):
        torch.manual_seed(5)
        return s3_pool(x, grid)

    x = random_map(1, 2, 8, 5, channels_last=channels_last, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(at_a_seed, (x,))
    assert torch.autograd.gradcheck(s3_pool_evaluation, (x,))


def test_equal_maxima_get_the_gradient_once():
    x = torch.zeros(1, 1, 8, 8, requires_grad=True)
    s3_pool(x, 4).sum().backward()
    assert x.grad.sum() == 16
    assert set(x.grad.unique().tolist()) <= {0.0, 1.0, 2.0, 3.0, 4.0}


@pytest.mark.parametrize("channels_last", [False, True])
def test_the_memory_format_is_kept_forward_and_backward(channels_last):
    fmt = torch.channels_last if channels_last else torch.contiguous_format
    x = random_map(2, 3, 8, 8, channels_last=channels_last).requires_grad_()
    out = s3_pool(x, 4)
    (grad,) = torch.autograd.grad(out, x, torch.ones_like(out))  # unlike x.grad as the backward laid it out
    assert out.is_contiguous(memory_format=fmt)
    assert grad.is_contiguous(memory_format=fmt)


def test_sixteen_bit_maps_stay_so():
    x = random_map(2, 3, 8, 8).to(torch.bfloat16).requires_grad_()
    out = s3_pool(x, 4)
    out.sum().backward()
    assert out.dtype == x.grad.dtype == s3_pool_evaluation(x).dtype == torch.bfloat16
    assert x.grad.sum() == out.numel()


def test_the_module_draws_while_training_only():
    x, pool = random_map(4, 4, 8, 8), S3Pool(8)
    torch.manual_seed(2)
    drawn = pool(x)
    torch.manual_seed(2)
    assert torch.equal(drawn, s3_pool(x, 8))
    assert not torch.equal(pool(x), pool(x))
    assert torch.equal(pool.eval()(x), s3_pool_evaluation(x))
