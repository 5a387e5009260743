"""Ghost batch norm against batch norm of each chunk alone."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from paretosearch import methods, nets
from paretosearch.errors import RecipeError
from paretosearch.ghost import GhostBatchNorm2d, ghost_norm
from paretosearch.methods.ghost_norm import GhostNorm
from paretosearch.recipe import Recipe
from paretosearch.testing.images import image_set
from paretosearch.testing.methods import TinyTraining
from paretosearch.testing.surgery import relative_change
from paretosearch.training import train
from paretosearch.training.fused import fused
from paretosearch.training.portable import plain
from paretosearch.training.surgery import Surgeon

CHANNELS = 5
LAYOUTS = [torch.contiguous_format, torch.channels_last]

every_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=["contiguous", "channels last"])


def batch(images: int, layout: torch.memory_format = torch.channels_last, dtype: torch.dtype = torch.float64) -> Tensor:
    """Draw images whose channels have means far from 0."""
    generator = torch.Generator().manual_seed(images)
    x = torch.randn(images, CHANNELS, 3, 4, generator=generator, dtype=torch.float64)
    far = 5 * torch.randn(1, CHANNELS, 1, 1, generator=generator, dtype=torch.float64)
    return (3 * x + far).to(dtype).contiguous(memory_format=layout)


def norms(size: int, dtype: torch.dtype = torch.float64) -> tuple[GhostBatchNorm2d, nn.BatchNorm2d]:
    """Make a ghost batch norm, and a batch norm with the same numbers, in training."""
    plain_norm, generator = nn.BatchNorm2d(CHANNELS).to(dtype), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in (plain_norm.weight, plain_norm.bias, plain_norm.running_mean, plain_norm.running_var):
            assert tensor is not None
            tensor.uniform_(0.5, 2, generator=generator)
    return GhostBatchNorm2d.of(copy.deepcopy(plain_norm), size), plain_norm


def one_by_one(norm: nn.BatchNorm2d, x: Tensor, sizes: list[int]) -> Tensor:
    """Normalise each chunk by a call of its own."""
    return torch.cat([norm(chunk) for chunk in x.split(sizes)])


def check_alike(ours: nn.Module, theirs: nn.Module, close: float = 1e-12) -> None:
    state = theirs.state_dict()
    assert ours.state_dict().keys() == state.keys()
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value, state[name], rtol=close, atol=close, msg=name)


@pytest.mark.parametrize("size", [8, 6, 100])
def test_one_chunk_is_batch_norm_bit_by_bit(size: int) -> None:
    ghost, norm = norms(size, torch.float32)
    x = batch(8, dtype=torch.float32)
    for training in (True, False):
        assert torch.equal(ghost.train(training)(x), norm.train(training)(x))
    check_alike(ghost, norm, 0)


@every_layout
@pytest.mark.parametrize(
    ("images", "size", "sizes"), [(8, 4, [4, 4]), (12, 4, [4] * 3), (10, 4, [4, 6]), (15, 4, [4, 4, 7]), (7, 4, [7])]
)
def test_every_chunk_is_normalised_by_its_own_statistics(
    images: int, size: int, sizes: list[int], layout: torch.memory_format
) -> None:
    ghost, norm = norms(size)
    ours, theirs = (batch(images, layout).requires_grad_() for _ in range(2))
    y, expected = ghost(ours), one_by_one(norm, theirs, sizes)
    torch.testing.assert_close(y, expected)
    check_alike(ghost, norm)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=y.dtype)
    (y * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    torch.testing.assert_close(ghost.weight.grad, norm.weight.grad)
    torch.testing.assert_close(ghost.bias.grad, norm.bias.grad)


def test_its_gradient_is_that_of_the_function() -> None:
    x = batch(4)[:, :2, :2, :1].requires_grad_()
    weight, bias = (torch.rand(2, dtype=torch.float64, requires_grad=True) for _ in range(2))

    def function(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        running = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
        return ghost_norm(x, *running, weight, bias, torch.full((2,), 0.1), 1e-5)

    assert torch.autograd.gradcheck(function, (x, weight, bias))


def test_a_chunk_does_not_depend_on_the_others() -> None:
    ghost, _ = norms(4)
    x = batch(12)
    y, changed = ghost(x), x.clone()
    changed[4:8] *= 100
    again = ghost(changed)
    assert torch.equal(again[:4], y[:4])
    assert torch.equal(again[8:], y[8:])
    assert not torch.allclose(again[4:8], 100 * y[4:8])


def test_the_running_averages_are_those_of_one_update_a_chunk() -> None:
    ghost, _ = norms(4)
    before, share, x = ghost.running_mean.clone(), 0.1, batch(20)
    ghost(x)
    means = [chunk.mean((0, 2, 3)) for chunk in x.split(4)]
    expected = (1 - share) ** 5 * before + sum(share * (1 - share) ** (4 - i) * mean for i, mean in enumerate(means))
    torch.testing.assert_close(ghost.running_mean, expected, rtol=1e-6, atol=1e-6)
    assert ghost.num_batches_tracked == 5


def test_without_a_momentum_they_are_the_mean_of_all_chunks() -> None:
    ghost, _ = norms(4)
    ghost.reset_running_stats()
    ghost.momentum = None
    x = [batch(8), batch(12)]
    for images in x:
        ghost(images)
    chunks = [chunk for images in x for chunk in images.split(4)]
    torch.testing.assert_close(ghost.running_mean, torch.stack([c.mean((0, 2, 3)) for c in chunks]).mean(0))
    torch.testing.assert_close(ghost.running_var, torch.stack([c.var((0, 2, 3)) for c in chunks]).mean(0))


@every_layout
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("images", [8, 10])
def test_number_format_and_memory_format_are_kept_both_ways(
    layout: torch.memory_format, dtype: torch.dtype, images: int
) -> None:
    ghost, norm = norms(4)
    ghost = ghost.float()
    x = batch(images, layout, dtype).requires_grad_()
    y = ghost(x)
    (grad,) = torch.autograd.grad(y, x, torch.ones_like(y))
    for tensor in (y, grad):
        assert tensor.dtype is dtype
        assert tensor.is_contiguous(memory_format=layout)
    expected = one_by_one(norm, x.detach().double(), [4, images - 4])
    assert relative_change(expected, y.double()) < 2 * torch.finfo(dtype).eps
    assert ghost.running_var.dtype is torch.float32
    torch.testing.assert_close(ghost.running_var.double(), norm.running_var, rtol=1e-5, atol=1e-5)


def test_what_follows_may_write_over_the_result() -> None:
    ghost, norm = norms(4)
    ours, theirs = (batch(8).requires_grad_() for _ in range(2))
    nn.functional.relu(ghost(ours), inplace=True).sum().backward()  # type: ignore[no-untyped-call]
    nn.functional.relu(one_by_one(norm, theirs, [4, 4])).sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_a_number_format_sees_what_it_gives() -> None:
    seen: list[Any] = []

    class Watch(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(func)
            return func(*args, **(kwargs or {}))

    ghost, norm = norms(4)
    with Watch():
        y = ghost(batch(8))
    assert ghost_norm in seen
    torch.testing.assert_close(y, one_by_one(norm, batch(8), [4, 4]))


def network(name: str = "resnet8", size: int = 4) -> nn.Module:
    torch.manual_seed(0)
    model = nets.build(name, classes=4, channels=1, image_size=16, width=0.5)
    return GhostNorm(size=size).edit_model(model)


def ghosts(model: nn.Module) -> list[GhostBatchNorm2d]:
    found = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(type(module) is GhostBatchNorm2d and module.size == 4 for module in found)
    return found  # type: ignore[return-value]  # as was just asserted


def images(count: int = 16) -> Tensor:
    return torch.randn(count, 1, 16, 16, generator=torch.Generator().manual_seed(2))


def test_every_batch_norm_of_a_network_becomes_one_with_its_numbers() -> None:
    torch.manual_seed(0)
    before = nets.build("resnet8", classes=4, channels=1, image_size=16, width=0.5)
    after = network()
    assert len(ghosts(after)) == 9
    check_alike(after, before, 0)
    assert torch.equal(after.eval()(images()), before.eval()(images()))
    assert not torch.equal(after.train()(images()), before.train()(images()))


@pytest.mark.parametrize("name", ["convnet", "resnet8"])
def test_channels_can_be_cut_and_copied_and_layers_inserted(
    name: str, note_change: Callable[[Tensor, Tensor], float]
) -> None:
    model, x = network(name), images()
    model(x)  # statistics that are not those of the beginning
    surgeon = Surgeon(model.eval(), x)
    before, layers = model(x), len(ghosts(model))
    assert len(surgeon.channels.free) == len(Surgeon(plain(model), x).channels.free) > 2
    surgeon.remap({space.name: torch.arange(2 * space.size) % space.size for space in surgeon.channels.free})
    for stage in surgeon.stages:
        surgeon.insert_identity(stage, torch.Generator())
    assert len(ghosts(model)) > layers
    assert note_change(before, model(x)) < 1e-5
    surgeon.remap({space.name: torch.arange(space.size // 4) for space in surgeon.channels.free})
    assert {len(ghost.running_mean) for ghost in ghosts(model)} == {ghost.num_features for ghost in ghosts(model)}
    branches = [branch.block for branch in surgeon.channels.branches]
    for block in branches:
        surgeon.remove_branch(block)
    assert len(branches) == (0 if name == "convnet" else 6)
    assert model.train()(x).isfinite().all()


def test_on_a_cpu_it_is_fused_in_evaluation_and_not_in_training() -> None:
    model = network()
    model(images())
    found = fused(model.eval(), training=False)
    assert found is not None
    assert relative_change(model(images()), found(images())) < 1e-5
    assert fused(model.train()) is None


def test_what_is_kept_of_it_is_batch_norm() -> None:
    model = network()
    model(images())
    kept = plain(model.eval())
    assert {type(module) for module in kept.modules() if isinstance(module, nn.BatchNorm2d)} == {nn.BatchNorm2d}
    check_alike(kept, model, 0)
    assert torch.equal(kept(images()), model(images()))
    assert len(ghosts(model)) == 9


def test_a_network_without_batch_norm_is_refused() -> None:
    with pytest.raises(RecipeError, match="ghost_norm needs batch norm, and this network has none; set ghost_norm.siz"):
        GhostNorm(size=4).edit_model(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()))


@pytest.mark.parametrize(
    ("size", "said"), [(64, "ghost_norm.size = 64 is no smaller than batch_size = 64"), (32, None)]
)
def test_parts_as_large_as_the_batch_are_refused(size: int, said: str | None) -> None:
    recipe = Recipe("random", "resnet8", batch_size=64, methods={"ghost_norm": {"size": size}})
    if said is None:
        assert methods.active(recipe)[-1].name == "ghost_norm"
        return
    with pytest.raises(RecipeError) as caught:
        methods.active(recipe)
    assert str(caught.value) == f"{said}, so a batch would be one part; lower it, or set it to 0"
    assert GhostNorm(size=size).canonical(recipe) is None


@pytest.mark.parametrize("number_format", ["fp32", "bf16-pure", "bfp8"])
def test_a_network_learns_with_it(number_format: str) -> None:
    recipe = Recipe(
        "stripes",
        "convnet",
        epochs=3,
        batch_size=32,
        reference_batch_size=32,
        number_format=number_format,
        methods={"ghost_norm": {"size": 8}},
    )
    outcome = train(recipe, image_set(), torch.device("cpu")).outcome
    assert outcome.epochs[-1].loss < 0.6 * outcome.epochs[0].loss
    assert outcome.accuracy is not None
    assert outcome.accuracy > 0.8


def test_pruning_and_growth_go_with_it() -> None:
    made = [methods.by_name("net2net")(schedule="widen@0.5"), methods.by_name("prunetrain")(penalty_ratio=0.9)]
    tiny = TinyTraining((*made, GhostNorm(size=4)), "resnet8", width=1.0)
    for _ in range(4):
        tiny.epoch()
    assert {event["do"] for event in tiny.surgeon.history} >= {"remap"}
    assert tiny.logits().isfinite().all()
