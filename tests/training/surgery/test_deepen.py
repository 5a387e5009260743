"""Inserted layers pass on what they get, then learn."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from paretosearch.errors import SurgeryError
from paretosearch.testing.surgery import images, network, output, randomised, relative_change
from paretosearch.training.surgery import Surgeon, analyze, insert_identity

X = images(2)
LABELS = torch.tensor([3, 7])


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 1) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model.train()(X.to(next(model.parameters()).dtype)), LABELS).backward()
        optimizer.step()


def grouped_sgd(model: nn.Module) -> torch.optim.SGD:
    """Make the optimizer of the training loop: weight decay on what has more than one dimension, fused."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 5e-4}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=0.01, momentum=0.9, nesterov=True, fused=True)


def modes(model: nn.Module) -> Iterator[nn.Module]:
    """Give copies of a network in training and evaluation, in fp32 and fp64."""
    for training in (True, False):
        for dtype in (torch.float32, torch.float64):
            yield copy.deepcopy(model).to(dtype).train(training)


def insert(model: nn.Module, after: str, optimizer: torch.optim.Optimizer | None = None) -> str:
    generator = torch.Generator().manual_seed(3)
    return insert_identity(model, analyze(model, X), after, X, generator, optimizer)


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("resnet20", "2"),  # its shortcut is its input
        ("resnet20", "5"),  # its shortcut is a projection, and a later block of the stage is there to copy
        ("resnet8", "3"),  # its shortcut is a projection, and the stage has no other block
        ("resnet50", "1"),
        ("torchvision:resnet18", "layer2.0"),
        ("torchvision:mobilenet_v2", "features.3"),
    ],
)
def test_an_inserted_residual_block_is_exact(name: str, after: str) -> None:
    for model in modes(network(name)):
        before = output(model, X)
        parameters = sum(p.numel() for p in model.parameters())
        insert(model, after)
        assert sum(p.numel() for p in model.parameters()) > parameters
        assert torch.equal(output(model, X), before)


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("convnet", "2"),
        ("convnet", "1"),  # a pooling behind a ReLU
        ("vgg11", "6"),
        ("torchvision:vgg11_bn", "features.2"),
        ("torchvision:alexnet", "features.4"),
    ],
)
def test_an_inserted_convolution_is_the_identity(name: str, after: str) -> None:
    for model in modes(network(name)):
        before = output(model, X)
        insert(model, after)
        error = relative_change(before, output(model, X))
        print(f"\n{name} {'training' if model.training else 'evaluation'} {before.dtype}: {error:.1e}")
        assert error <= (1e-5 if before.dtype == torch.float32 else 1e-7)


def test_a_chain_without_batch_norm_gets_none() -> None:
    model = network("torchvision:alexnet")
    name = insert(model, "features.4")
    assert [type(layer) for layer in model.get_submodule(name)] == [nn.Conv2d, nn.ReLU]


@pytest.mark.parametrize(("name", "after"), [("resnet20", "2"), ("resnet8", "3"), ("convnet", "2")])
def test_inserted_layers_learn(name: str, after: str) -> None:
    model = network(name)
    optimizer = grouped_sgd(model)
    train(model, optimizer)
    new = model.get_submodule(insert(model, after, optimizer))
    before = [p.detach().clone() for p in new.parameters()]
    train(model, optimizer, steps=3)
    assert not any(torch.equal(a, b) for a, b in zip(before, new.parameters(), strict=True))


@pytest.mark.parametrize(("name", "after"), [("resnet20", "2"), ("resnet8", "3"), ("convnet", "2")])
def test_new_parameters_join_the_group_of_their_kind(name: str, after: str) -> None:
    model = network(name)
    optimizer = grouped_sgd(model)
    train(model, optimizer)
    new = model.get_submodule(insert(model, after, optimizer))
    decayed, plain = ({id(p) for p in group["params"]} for group in optimizer.param_groups)
    for p in new.parameters():
        assert id(p) in (decayed if p.ndim > 1 else plain)
    assert len(decayed) + len(plain) == len(list(model.parameters()))


def test_new_layers_of_a_chain_are_trained_as_the_last_ones_before_them() -> None:
    model = network("convnet")
    groups = [{"params": list(layer.parameters())} for layer in model if list(layer.parameters())]
    optimizer = torch.optim.SGD(groups, lr=0.01)
    new = model.get_submodule(insert(model, "2", optimizer))
    assert {id(p) for p in new.parameters()} < {id(p) for p in optimizer.param_groups[1]["params"]}


def test_a_squared_block_lists_its_parameters_as_its_kind_does() -> None:
    """An optimizer that is loaded from a file finds them by their order."""
    model = network("resnet8")
    kind = [name for name, _ in model.get_submodule("1").named_parameters()]
    assert [name for name, _ in model.get_submodule(insert(model, "3")).named_parameters()] == kind


def test_momentum_of_new_parameters_starts_as_in_a_first_step() -> None:
    model = network("resnet20")
    optimizer = grouped_sgd(model)
    train(model, optimizer)
    gamma = model.get_submodule(insert(model, "2", optimizer)).bn2.weight
    optimizer.zero_grad()
    F.cross_entropy(model.train()(X), LABELS).backward()
    gradient = gamma.grad.clone()
    optimizer.step()
    torch.testing.assert_close(optimizer.state[gamma]["momentum_buffer"], gradient)


def test_names_of_other_modules_stay() -> None:
    model = network("resnet20")
    before = dict(model.named_modules())
    assert insert(model, "2") == "2_1"
    assert insert(model, "2") == "2_2"
    assert [name for name, _ in model.named_children()][:6] == ["0", "1", "2", "2_2", "2_1", "3"]
    assert all(dict(model.named_modules())[name] is module for name, module in before.items())


def test_new_weights_are_drawn_from_the_given_generator_alone() -> None:
    model = network("resnet20")
    state = torch.get_rng_state()
    twin = copy.deepcopy(model)
    first, second = insert(model, "2"), insert(twin, "2")
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(model.get_submodule(first).conv1.weight, twin.get_submodule(second).conv1.weight)
    assert not torch.equal(model.get_submodule(first).conv1.weight, model.get_submodule("2").conv1.weight)


def test_new_weights_have_the_memory_order_of_the_others() -> None:
    model = network("resnet8").to(memory_format=torch.channels_last)
    for after in ("1", "3", "0"):
        insert(model, after)
    for p in model.parameters():
        if p.ndim == 4:
            assert p.stride() == torch.empty(p.shape, memory_format=torch.channels_last).stride()


def test_an_inserted_block_can_be_pruned_or_removed_like_any_other() -> None:
    model = network("resnet8").double()
    surgeon = Surgeon(model, X)
    name = surgeon.insert_identity("3", torch.Generator())
    assert f"{name}.conv1" in [space.name for space in surgeon.channels.free]
    assert name in [branch.block for branch in surgeon.channels.branches]
    before = output(model, X)
    surgeon.remap({space.name: torch.arange(space.size).flip(0) for space in surgeon.channels.free})
    surgeon.remove_branch(name)
    assert relative_change(before, output(model, X)) <= 1e-7


def test_a_network_that_was_deepened_twice_is_the_same_still() -> None:
    model = network("resnet8").double()
    before = output(model, X)
    name = insert(model, insert(model, "5"))
    assert name == "5_1_1"
    assert torch.equal(output(model, X), before)


class Swish(nn.Module):
    """A residual block that ends in something else than a ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.silu(self.conv(x) + x)


@pytest.mark.parametrize(
    ("make", "after", "message"),
    [
        (lambda: network("resnet8"), "1.conv1", "'1.conv1': it is no member of an nn.Sequential"),
        (lambda: network("resnet8"), "17", "'17': it is no member of an nn.Sequential"),
        (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 62 * 62, 2)), "1", "gives (2, 15376)"),
        (
            lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Conv2d(4, 2, 3)),
            "1",
            "insert behind a convolution's ReLU",
        ),
        (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True)), "0", "insert behind a convolution's ReLU"),
        (
            lambda: nn.Sequential(nn.Conv2d(3, 4, 3), Swish(), nn.Conv2d(4, 2, 3)),
            "1",
            "only a ReLU can stand there twice",
        ),
    ],
)
def test_a_place_where_nothing_passes_through_unchanged_is_refused(make: object, after: str, message: str) -> None:
    model = randomised(make())  # type: ignore[operator]
    before = list(model.state_dict())
    with pytest.raises(SurgeryError) as error:
        insert(model, after)
    assert message in str(error.value)
    assert list(model.state_dict()) == before
