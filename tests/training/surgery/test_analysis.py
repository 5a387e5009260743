"""The analysis finds the spaces that may change; it freezes with a reason what it does not understand."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.nn.utils.prune import identity
from torchvision.models import GoogLeNet, mobilenet_v3_small, shufflenet_v2_x0_5
from torchvision.ops import SqueezeExcitation, StochasticDepth

from paretosearch.channels import ChannelMap, Noise, widened
from paretosearch.method import Pool
from paretosearch.testing.surgery import images, network, output, randomised, relative_change
from paretosearch.training.surgery import analyze, remap


class Net(nn.Module):
    """Layers, and code that calls them."""

    def __init__(self, code: Callable[[Net, Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.code = code
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.code(self, x)


def conv(inputs: int, outputs: int, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups)


def change_after_widening(model: nn.Module, channels: ChannelMap | None = None) -> float:
    """Widen, then shuffle every free space; in evaluation, for spectral norm changes in every pass of training."""
    model = randomised(model).double().eval()
    generator = torch.Generator().manual_seed(0)
    channels = channels or analyze(model, images())
    assert channels.free
    before = output(model, images())
    wide = remap(
        model,
        channels,
        {s.name: widened(s.size, 2 * s.size - 1, generator) for s in channels.free},
        noise=Noise(0.3, generator),
    )
    remap(model, wide, {s.name: torch.randperm(s.size, generator=generator) for s in wide.free})
    return relative_change(before, output(model, images()))


def reasons(model: nn.Module) -> dict[str, str | None]:
    return {name: space.frozen_reason for name, space in analyze(model, images()).spaces.items()}


def mlp(net: Net, x: Tensor) -> Tensor:
    """Flatten in the ways that code does, with a map of 4 x 4 that makes 16 columns of each channel."""
    x = F.relu(net.conv(F.avg_pool2d(x, 16)))
    x = {"flatten": lambda: torch.flatten(x, 1), "view": lambda: x.view(x.size(0), -1), "layer": lambda: net.flat(x)}[
        net.how
    ]()
    return net.out(F.relu(net.fc(x)))


@pytest.mark.parametrize("how", ["flatten", "view", "layer"])
def test_columns_of_a_dense_layer_follow_their_channel(how: str) -> None:
    model = Net(mlp, conv=conv(3, 5), flat=nn.Flatten(), fc=nn.Linear(80, 7), out=nn.Linear(7, 10))
    model.how = how
    (consumer,) = analyze(model, images()).spaces["conv"].consumers
    assert consumer.segments[0].repeat == 16
    assert change_after_widening(model) <= 1e-7


def test_columns_follow_their_channel_behind_a_concatenation_too() -> None:
    model = Net(
        lambda n, x: n.fc(torch.cat([n.a(x := F.avg_pool2d(x, 16)), n.b(x)], 1).flatten(1)),
        a=conv(3, 4),
        b=conv(3, 5),
        fc=nn.Linear(9 * 16, 10),
    )
    assert len(analyze(model, images()).free) == 2
    assert change_after_widening(model) <= 1e-7


FROZEN: dict[str, tuple[Callable[[], nn.Module], str, str]] = {
    "permute before flatten": (
        lambda: Net(
            lambda n, x: n.fc(n.conv(F.avg_pool2d(x, 16)).permute(0, 2, 3, 1).flatten(1)),
            conv=conv(3, 5),
            fc=nn.Linear(80, 10),
        ),
        "conv",
        "permute is an operation that surgery does not know",
    ),
    "a size in the code": (
        lambda: Net(lambda n, x: n.fc(n.conv(F.avg_pool2d(x, 16)).view(-1, 80)), conv=conv(3, 5), fc=nn.Linear(80, 10)),
        "conv",
        "view has a size written into the code",
    ),
    "an assertion on a size": (
        lambda: Net(_asserting, conv=conv(3, 5), out=conv(5, 4)),
        "conv",
        "_assert depends on how many channels there are",
    ),
    "arithmetic with a size": (
        lambda: Net(lambda n, x: n.out((y := n.conv(x)) / y.shape[1]), conv=conv(3, 5), out=conv(5, 4)),
        "conv",
        "truediv computes with how many channels there are",
    ),
    "grouped": (
        lambda: nn.Sequential(conv(3, 8), conv(8, 16, groups=4), conv(16, 4)),
        "0",
        "1 is grouped",
    ),
    "depthwise with a multiplier": (
        lambda: nn.Sequential(conv(3, 8), conv(8, 16, groups=8), conv(16, 4)),
        "1",
        "1 is depthwise with several outputs of each input",
    ),
    "weight norm": (
        lambda: nn.Sequential(conv(3, 8), parametrizations.weight_norm(conv(8, 8)), conv(8, 4)),
        "0",
        "ParametrizedConv2d (1) is an operation that surgery does not know",
    ),
    "spectral norm": (
        lambda: nn.Sequential(conv(3, 8), conv(8, 8), parametrizations.spectral_norm(conv(8, 4))),
        "1",
        "ParametrizedConv2d (2) is an operation that surgery does not know",
    ),
    "a masked weight": (
        lambda: nn.Sequential(conv(3, 8), identity(conv(8, 8), "weight"), conv(8, 4)),
        "0",
        "1 computes its parameters anew in every pass",
    ),
    "a module called twice": (
        lambda: Net(lambda n, x: n.out(n.twice(n.twice(n.conv(x)))), conv=conv(3, 8), twice=conv(8, 8), out=conv(8, 4)),
        "conv",
        "twice.weight is used more than once",
    ),
    "tied weights": (
        lambda: _tied(nn.Sequential(conv(3, 8), conv(8, 8), nn.ReLU(), conv(8, 8), conv(8, 4))),
        "1",
        "1.weight is used more than once",
    ),
    "a weight in the code": (
        lambda: Net(lambda n, x: n.out(n.conv(x)) * n.conv.weight.mean(), conv=conv(3, 5), out=conv(5, 4)),
        "conv",
        "conv.weight is used more than once",
    ),
    "a function": (
        lambda: Net(lambda n, x: n.out(F.softmax(n.conv(x), 1)), conv=conv(3, 5), out=conv(5, 4)),
        "conv",
        "softmax is an operation that surgery does not know",
    ),
    "a module": (
        lambda: nn.Sequential(conv(3, 8), nn.GroupNorm(2, 8), conv(8, 4)),
        "0",
        "GroupNorm (1) is an operation that surgery does not know",
    ),
    "padding of channels": (
        lambda: Net(
            lambda n, x: n.out(n.down(y := n.conv(x)) + F.pad(y[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))),
            conv=conv(3, 4),
            down=nn.Conv2d(4, 8, 3, 2, padding=1),
            out=conv(8, 4),
        ),
        "conv",
        "pad is an operation that surgery does not know",
    ),
    "parts of channels": (
        lambda: Net(lambda n, x: n.out(n.conv(x).chunk(2, 1)[0]), conv=conv(3, 8), out=conv(4, 4)),
        "conv",
        "chunk is an operation that surgery does not know",
    ),
    "one channel for many": (
        lambda: Net(lambda n, x: n.out((y := n.conv(x)) * n.gate(y)), conv=conv(3, 8), gate=conv(8, 1), out=conv(8, 4)),
        "gate",
        "mul spreads a single channel over many",
    ),
    "sums of unlike parts": (
        lambda: Net(
            lambda n, x: n.out(torch.cat([n.a(x), n.b(x)], 1) + n.c(x)),
            a=conv(3, 4),
            b=conv(3, 4),
            c=conv(3, 8),
            out=conv(8, 4),
        ),
        "a",
        "add joins channels that are grouped differently",
    ),
    "a constant per channel": (
        lambda: _scaled(Net(lambda n, x: n.out(n.conv(x) * n.scale), conv=conv(3, 5), out=conv(5, 4))),
        "conv",
        "mul is an operation that surgery does not know",
    ),
}


def _asserting(net: Net, x: Tensor) -> Tensor:
    y = net.conv(x)
    torch._assert(y.shape[1] == 5, "five")
    return net.out(y)


def _tied(model: nn.Sequential) -> nn.Module:
    model[3].weight = model[1].weight
    return model


def _scaled(model: nn.Module) -> nn.Module:
    model.scale = nn.Parameter(torch.ones(5, 1, 1))
    return model


@pytest.mark.parametrize("case", FROZEN)
def test_what_is_not_understood_is_frozen_with_the_reason(case: str) -> None:
    make, space, reason = FROZEN[case]
    found = reasons(make())
    assert (found[space] or "").startswith(reason), found


@pytest.mark.parametrize("case", FROZEN)
def test_what_is_left_free_can_be_changed_all_the_same(case: str) -> None:
    model = FROZEN[case][0]()
    channels = analyze(model, images())
    if channels.free:
        assert change_after_widening(model, channels) <= 1e-7


def test_a_network_that_cannot_be_traced_is_frozen_whole() -> None:
    model = Net(lambda n, x: n.b(n.a(x) if x.sum() > 0 else -n.a(x)), a=conv(3, 8), b=conv(8, 4))
    channels = analyze(model, images())
    assert list(channels.spaces) == ["a", "b"]
    assert channels.free == ()
    for space in channels.spaces.values():
        assert (space.frozen_reason or "").startswith("the network cannot be traced: TraceError: ")


def test_a_part_that_training_leaves_out_freezes_everything() -> None:
    model = Net(
        lambda n, x: n.out(n.conv(x)) if n.training else n.spare(n.conv(x)),
        conv=conv(3, 8),
        out=conv(8, 4),
        spare=conv(8, 4),
    )
    found = reasons(model)
    assert found["conv"] == "spare.weight takes no part in training, so nobody knows whose channels it has"


def test_auxiliary_heads_are_found_in_either_mode() -> None:
    model = GoogLeNet(num_classes=10, init_weights=False, aux_logits=True)
    places = {place.module for place in analyze(model.eval(), images()).places}
    assert {"aux1.conv.conv", "aux2.fc2"} <= places
    assert not model.training


def test_sizes_that_the_code_looks_up_do_no_harm() -> None:
    def code(net: Net, x: Tensor) -> Tensor:
        n, c, h, _ = (y := net.conv(x)).size()
        gate = net.gate(F.adaptive_avg_pool2d(y, 1).view(n, c)).view(n, c, 1, 1)
        up = F.interpolate(net.small(F.avg_pool2d(y, 2)), size=y.shape[2:])
        assert h is not None
        return net.out(F.adaptive_avg_pool2d(y * gate.expand_as(y) + up, 1).squeeze(-1).squeeze(-1))

    model = Net(code, conv=conv(3, 6), gate=nn.Linear(6, 6), small=conv(6, 6), out=nn.Linear(6, 10))
    assert len(analyze(model, images()).free) == 1
    assert change_after_widening(model) <= 1e-7


def test_a_squeeze_path_shares_the_channels_it_gates() -> None:
    model = nn.Sequential(conv(3, 8), SqueezeExcitation(8, 4), conv(8, 4))
    assert [space.name for space in analyze(model, images()).free] == ["0 stream", "1.fc1"]
    assert change_after_widening(model) <= 1e-7


def test_depthwise_convolutions_follow_their_neighbours() -> None:
    model = nn.Sequential(conv(3, 8), conv(8, 8, groups=8), nn.PReLU(8), conv(8, 4))
    assert change_after_widening(model) <= 1e-7
    depthwise = model[1]
    assert depthwise.groups == depthwise.in_channels == depthwise.out_channels == 15
    assert model[2].num_parameters == 15


def test_segments_of_a_concatenation_move_when_an_earlier_one_grows() -> None:
    model = Net(
        lambda n, x: n.out(n.norm(torch.cat([n.a(x), n.b(x), n.a2(x)], 1))),
        a=conv(3, 4),
        b=conv(3, 5),
        a2=conv(3, 6),
        norm=nn.BatchNorm2d(15),
        out=conv(15, 4),
    )
    model = randomised(model).double()
    channels = analyze(model, images())
    before = output(model, images())
    for name in ("b", "a", "a2", "a", "b"):
        size = channels.spaces[name].size
        channels = remap(model, channels, {name: torch.arange(size).roll(1).repeat(2)})
    assert relative_change(before, output(model, images())) <= 1e-7
    assert model.norm.num_features == 2 * (2 * 4 + 2 * 5 + 6)


def test_a_shared_activation_is_harmless() -> None:
    relu = nn.ReLU()
    model = nn.Sequential(conv(3, 6), relu, conv(6, 6), relu, conv(6, 4))
    assert len(analyze(model, images()).free) == 2
    assert change_after_widening(model) <= 1e-7


def test_whatever_fills_a_pool_passes_channels_on() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[..., ::2, ::2] if float(x.sum()) > 0 else x[..., 1::2, 1::2]  # cannot be traced

    place = Pool()
    place.fill(Odd())
    model = nn.Sequential(conv(3, 6), place, StochasticDepth(0.5, "row"), conv(6, 4))
    assert [space.name for space in analyze(model, images()).free] == ["0"]


@pytest.mark.parametrize("make", [mobilenet_v3_small, shufflenet_v2_x0_5])
def test_whole_networks_with_gates_or_frozen_parts_keep_their_function(make: Callable[..., nn.Module]) -> None:
    assert change_after_widening(make(num_classes=10)) <= 1e-7


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    **{f.__name__: f for f in (F.relu6, F.hardswish, F.silu, F.gelu, F.sigmoid, F.leaky_relu, F.elu, F.selu, F.celu)},
    **{f.__name__: f for f in (F.mish, F.softplus, F.softsign, F.hardsigmoid, F.hardtanh, F.logsigmoid, F.tanh)},
    "torch.sigmoid": torch.sigmoid,
    "torch.tanh": torch.tanh,
    "relu in place": lambda x: F.relu(x, inplace=True),
    "relu_": lambda x: x.relu_(),
    "max_pool2d": lambda x: F.max_pool2d(x, 2),
    "torch.max_pool2d": lambda x: torch.max_pool2d(x, 2),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 2),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, 2),
    "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x, 2),
    "interpolate": lambda x: F.interpolate(x, scale_factor=2),
    "dropout": lambda x: F.dropout(x, 0.1, training=False),
    "dropout2d": lambda x: F.dropout2d(x, 0.1, training=False),
    "clamp": lambda x: torch.clamp(x, 0, 1),
    "clamp method": lambda x: x.clamp(0, 1),
    "absolute": lambda x: x.abs(),
    "negative": lambda x: -x,
    "scaled": lambda x: 1 - 2 * x / 3,
    "maximum": lambda x: torch.maximum(x, x * x),
    "spatial padding": lambda x: F.pad(x, (1, 1, 2, 0)),
    "spatial slice": lambda x: x[:, :, ::2, 1:],
    "mean method": lambda x: x.mean((2, 3)).unsqueeze(-1).unsqueeze(-1),
    "mean function": lambda x: torch.mean(x, (-2, -1), keepdim=True),
    "squeeze": lambda x: x.unsqueeze(2).squeeze(2),
    "spatial concatenation": lambda x: torch.cat([x, x], dim=2),
    "repeated concatenation": lambda x: torch.cat([x, -x], 1)[:, :, :4, :4].relu(),
    "contiguous": lambda x: x.contiguous().clone().float().detach(),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_that_treat_channels_alike_leave_them_free(name: str) -> None:
    outputs = 10 if name == "repeated concatenation" else 5
    model = Net(lambda n, x: n.out(FUNCTIONS[name](n.conv(x))), conv=conv(3, 5), out=conv(outputs, 4))
    if name == "contiguous":
        assert len(analyze(model, images()).free) == 1  # fp32 is a part of what this one does
    else:
        assert change_after_widening(model) <= 1e-7


MIXING: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda x: x.mean((1, 2), keepdim=True),
    "slice": lambda x: x[:, :1],
    "parts put together": lambda x: torch.cat([x[:, :2], x[:, 2:]], 1).sum(1, keepdim=True),
    "largest": lambda x: x.amax(1, keepdim=True),
    "channel by channel": lambda x: x.flatten(0, 1).unsqueeze(1)[:4],
}


@pytest.mark.parametrize("name", MIXING)
def test_functions_that_mix_channels_freeze_them(name: str) -> None:
    model = Net(lambda n, x: n.out(MIXING[name](n.conv(x))), conv=conv(3, 5), out=conv(1, 4))
    assert analyze(model, images()).free == ()


#: Operations on (N, 64, 64, 64) that mix channels and leave the shape as it was.
MISLEADING: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda x: x.mean(1).unsqueeze(2),
    "padding": lambda x: F.pad(x, (0, 0, 0, 0, 1, -1)),
    "another order": lambda x: x[:, list(range(63, -1, -1))],
    "transposition": lambda x: x.transpose(1, 2),
    "pooling without a batch": lambda x: F.avg_pool2d(x.flatten(2)[:, :, :64], 3, 1, 1).unsqueeze(-1),
}


@pytest.mark.parametrize("name", MISLEADING)
def test_a_shape_that_stays_is_no_proof(name: str) -> None:
    model = Net(lambda n, x: n.out(MISLEADING[name](n.conv(x))), conv=conv(3, 64), out=conv(64, 4))
    assert analyze(model, images()).free == ()


def test_pooling_of_features_mixes_them() -> None:
    model = nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 8), nn.AvgPool1d(3, 1, 1), nn.Linear(8, 4)
    )
    assert reasons(model)["2"] == "AvgPool1d (3) is called without a batch or without channels"


@pytest.mark.parametrize(
    ("code", "free"),
    [
        (lambda y: y / y.size(1), 0),
        (lambda y: y / y.size(-3), 0),
        (lambda y: y / y.shape[:2][1], 0),
        (lambda y: y / y.size(0), 1),
        (lambda y: y / y.shape[0], 1),
        (lambda y: y / y.shape[-1], 1),
        (lambda y: (torch._assert(y.dim() == 4, "images"), y)[1], 1),
        (lambda y: y.to(y.device) if y.device is None else y, 1),
    ],
)
def test_a_number_freezes_channels_if_it_tells_how_many(code: Callable[[Tensor], Tensor], free: int) -> None:
    model = Net(lambda n, x: n.out(code(n.conv(x))), conv=conv(3, 5), out=conv(5, 4))
    assert len(analyze(model, images()).free) == free


def test_a_convolution_that_reads_the_stream_it_writes() -> None:
    model = Net(
        lambda n, x: n.out(F.relu((y := n.conv(x)) + n.again(y))), conv=conv(3, 6), again=conv(6, 6), out=conv(6, 4)
    )
    (space,) = analyze(model, images()).free
    assert [place.module for place in space.consumers] == ["again", "out"]
    assert change_after_widening(model) <= 1e-7


def test_spaces_have_names_for_people() -> None:
    assert list(analyze(network("torchvision:resnet18"), images()).spaces) == [
        "input",
        "conv1 stream",
        "layer1.0.conv1",
        "layer1.1.conv1",
        "layer2.0.conv1",
        "layer2 stream",
        "layer2.1.conv1",
        "layer3.0.conv1",
        "layer3 stream",
        "layer3.1.conv1",
        "layer4.0.conv1",
        "layer4 stream",
        "layer4.1.conv1",
        "fc",
    ]


def test_a_part_that_holds_several_streams_names_none() -> None:
    names = list(analyze(network("torchvision:mobilenet_v2"), images()).spaces)
    assert [name for name in names if "stream" in name][:2] == ["features.2.conv.2 stream", "features.4.conv.2 stream"]


def test_names_are_unique() -> None:
    model = Net(lambda n, x: n.out(n.input(x)), input=conv(3, 8), out=conv(8, 4))
    assert list(analyze(model, images()).spaces) == ["input", "input (2)", "out"]


def test_the_analysis_leaves_no_trace() -> None:
    model = network("resnet8")
    model.get_submodule("1").eval()
    before, modes = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    state = torch.get_rng_state()
    noisy = Net(lambda n, x: n.net(F.dropout(x, 0.5)), net=model)
    assert analyze(noisy, images()).free
    assert torch.equal(state, torch.get_rng_state())
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_residual_branches_are_found() -> None:
    branches = analyze(network("resnet8"), images()).branches
    assert [branch.block for branch in branches] == ["1", "3", "5"]
    assert [branch.identity for branch in branches] == [True, False, False]
    assert branches[1].modules == ("3.conv1", "3.bn1", "3.conv2", "3.bn2")
    assert branches[1].last == "3.bn2"
