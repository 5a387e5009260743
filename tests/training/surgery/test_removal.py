"""A dead residual branch goes; its constant and the shortcut stay."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.resnet import BasicBlock

from paretosearch.errors import SurgeryError
from paretosearch.testing.surgery import images, network, output, relative_change
from paretosearch.training.surgery import Surgeon, analyze, remove_branch

X = images(2)
LABELS = torch.tensor([3, 7])
BLOCKS = [
    ("resnet20", "2"),
    ("resnet20", "5"),
    ("resnet20", "11"),
    ("resnet50", "2"),
    ("torchvision:resnet18", "layer2.0"),
    ("torchvision:mobilenet_v2", "features.3"),
]


def kill(model: nn.Module, block: str, shift: float | None = None) -> None:
    """Write zeros to a branch's weights, as a lasso does in the end, with the statistics that follow from it."""
    (branch,) = (branch for branch in analyze(model, X).branches if branch.block == block)
    with torch.no_grad():
        for name in branch.modules:
            module = model.get_submodule(name)
            if isinstance(module, nn.Conv2d):
                module.weight.zero_()
        last = model.get_submodule(branch.last)
        last.running_mean.zero_()
        if shift is not None:
            last.bias.fill_(shift)


@pytest.mark.parametrize("shift", [None, 0.0])
@pytest.mark.parametrize(("name", "block"), BLOCKS)
def test_removing_a_dead_branch_changes_nothing(name: str, block: str, shift: float | None) -> None:
    dead = network(name).double()
    kill(dead, block, shift)
    for training in (True, False):
        model = copy.deepcopy(dead).train(training)
        before = output(model, X)
        parameters = sum(p.numel() for p in model.parameters())
        gone = remove_branch(model, block)
        error = relative_change(before, output(model, X))
        print(f"\n{name} {block} {'training' if training else 'evaluation'}: {error:.1e}")
        assert error <= 1e-7
        assert {module.training for module in model.modules()} == {training}
        assert sum(p.numel() for p in model.parameters()) == parameters - sum(p.numel() for p in gone)
        assert ("constant" in dict(model.get_submodule(block).named_children())) is (shift is None)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, dead: list[nn.Parameter]) -> None:
    optimizer.zero_grad()
    F.cross_entropy(model.train()(X.double()), LABELS).backward()
    for p in dead:
        p.grad = None
    optimizer.step()


@pytest.mark.parametrize(("name", "block"), BLOCKS[:3])
def test_training_goes_on_as_with_the_dead_branch(name: str, block: str) -> None:
    """The constant keeps its gradient and its momentum, every other parameter too."""
    model = network(name).double()
    kill(model, block)
    twin = copy.deepcopy(model)
    optimizers = [torch.optim.SGD(m.parameters(), lr=0.01, momentum=0.9) for m in (model, twin)]
    for i in range(4):
        if i == 2:
            remove_branch(model, block, optimizers[0])
        for m, optimizer in zip((model, twin), optimizers, strict=True):
            layers = [getattr(m.get_submodule(block), name, None) for name in ("conv1", "conv2")]
            step(m, optimizer, [layer.weight for layer in layers if layer is not None])
    torch.testing.assert_close(model.get_submodule(block).constant.value, twin.get_submodule(block).bn2.bias)
    for key, p in model.named_parameters():
        if "constant" not in key:
            torch.testing.assert_close(p, twin.get_parameter(key))


def test_the_optimizer_forgets_what_is_gone() -> None:
    model = network("resnet8")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)
    F.cross_entropy(model(X), LABELS).backward()
    optimizer.step()
    bias = model.get_submodule("3").bn2.bias
    momentum = optimizer.state[bias]["momentum_buffer"].clone()
    gone = remove_branch(model, "3", optimizer)
    assert len(gone) == 5
    listed = [p for group in optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in listed} == {id(p) for p in model.parameters()}
    assert set(optimizer.state) == set(listed)
    assert torch.equal(optimizer.state[bias]["momentum_buffer"], momentum)
    optimizer.zero_grad()
    F.cross_entropy(model(X), LABELS).backward()
    optimizer.step()


def test_what_is_left_of_the_block_is_the_shortcut() -> None:
    model = network("resnet8")
    kill(model, "3", 0.0)
    names = [name for name, _ in model.get_submodule("3").named_parameters()]
    remove_branch(model, "3")
    left = [name for name, _ in model.get_submodule("3").named_parameters()]
    assert left == [name for name in names if name.startswith("downsample")]


def test_a_network_without_a_branch_can_be_copied_and_pickled() -> None:
    model = network("resnet8").eval()
    remove_branch(model, "1")
    before = output(model, X)
    assert torch.equal(output(copy.deepcopy(model), X), before)
    assert torch.equal(output(pickle.loads(pickle.dumps(model)), X), before)


def test_channels_can_be_changed_after_a_removal() -> None:
    model = network("resnet8").double()
    surgeon = Surgeon(model, X)
    surgeon.remove_branch("1")
    surgeon.remove_branch("3")
    before = output(model, X)
    assert "1.conv1" not in surgeon.channels.spaces
    surgeon.remap({space.name: torch.arange(space.size).flip(0).repeat(2) for space in surgeon.channels.free})
    assert relative_change(before, output(model, X)) <= 1e-7
    constant = model.get_submodule("1").constant
    assert len(constant.value) == constant.channels == 16


def test_gradients_flow_where_activations_were_written_over() -> None:
    """Every ReLU of these blocks writes over its operand; without a branch that is another block's result."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), BasicBlock(8, 8), BasicBlock(8, 8))
    model.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)))
    for block in ("2", "3"):
        remove_branch(model, block)
    F.cross_entropy(model(X), LABELS).backward()


class Relus(nn.Module):
    """A block that calls functions."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.conv = nn.Conv2d(8, 8, 3, padding=1)
        self.more = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.how == "reads a clobbered input":
            return self.more(self.conv(F.relu(x, inplace=True))) + x
        if self.how == "reads the branch elsewhere":
            return ((y := self.conv(x)) + x) * y.mean((2, 3), keepdim=True)
        if self.how == "differs in training":
            return F.dropout(self.conv(x) + x, training=self.training)
        if self.how == "shortcut first":
            return F.relu(x + self.more(self.conv(x)))
        y = self.more(self.conv(x)) + x
        return F.relu(y, inplace=True) if self.how == "function" else y.relu_()


@pytest.mark.parametrize("how", ["function", "method", "shortcut first"])
def test_functions_that_write_over_their_operand_stop_doing_so(how: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), Relus(how))
    nn.init.zeros_(model[2].more.weight)
    nn.init.zeros_(model[2].more.bias)
    before = output(model, X)
    remove_branch(model, "2")
    assert torch.equal(output(model, X), before)
    model(X).sum().backward()


@pytest.mark.parametrize("how", ["reads a clobbered input", "reads the branch elsewhere", "differs in training"])
def test_a_branch_that_cannot_be_told_from_the_rest_is_refused(how: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), Relus(how))
    with pytest.raises(SurgeryError, match="'1' has no residual branch that can be removed"):
        remove_branch(model, "1")


def test_a_block_that_is_none_is_refused() -> None:
    with pytest.raises(SurgeryError, match="'0' has no residual branch that can be removed"):
        remove_branch(network("resnet8"), "0")
