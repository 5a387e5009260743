"""One operation prunes, widens, permutes; with it move gradients, moments, statistics, averages."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from paretosearch.channels import ChannelMap, Noise, Shadow, widened
from paretosearch.errors import SurgeryError
from paretosearch.testing.surgery import images, network, output, relative_change
from paretosearch.training.surgery import Surgeon, analyze, remap

#: One of each kind of structure: stream, concatenation would be too large here, depthwise is in the traps.
SMALL = ("convnet", "resnet8", "vgg11")
X = images(4)[..., :32, :32]
LABELS = torch.tensor([0, 3, 7, 9])

OPTIMIZERS: dict[str, Callable[[nn.Module, float], Optimizer]] = {
    "sgd": lambda m, lr: torch.optim.SGD(m.parameters(), lr=lr, momentum=0.9, nesterov=True),
    "fused sgd": lambda m, lr: torch.optim.SGD(m.parameters(), lr=lr, momentum=0.9, fused=True),
    "adam": lambda m, lr: torch.optim.Adam(m.parameters(), lr=lr, amsgrad=True),
    "adagrad": lambda m, lr: torch.optim.Adagrad(m.parameters(), lr=lr),
    "adamax": lambda m, lr: torch.optim.Adamax(m.parameters(), lr=lr, eps=1e-30),  # it adds that to what it keeps
}


@pytest.fixture(params=SMALL)
def model(request: pytest.FixtureRequest) -> nn.Module:
    return network(request.param).double()


def gradients(model: nn.Module) -> dict[str, Tensor]:
    model.train()
    model.zero_grad()
    F.cross_entropy(model(X.to(next(model.parameters()).dtype)), LABELS).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def steps(model: nn.Module, optimizer: Optimizer, n: int) -> None:
    for _ in range(n):
        gradients(model)
        optimizer.step()


def random_widening(channels: ChannelMap, factor: float = 1.7) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return {space.name: widened(space.size, int(space.size * factor), generator) for space in channels.free}


def random_permutation(channels: ChannelMap) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(6)
    return {space.name: torch.randperm(space.size, generator=generator) for space in channels.free}


def flat_state(optimizer: Optimizer) -> list[tuple[str, Tensor]]:
    states = [optimizer.state[p] for group in optimizer.param_groups for p in group["params"]]
    return [(name, value) for state in states for name, value in state.items() if isinstance(value, Tensor)]


def test_an_identity_index_changes_no_bit(model: nn.Module) -> None:
    optimizer = OPTIMIZERS["adam"](model, 0.01)
    steps(model, optimizer, 2)
    before = copy.deepcopy((model.state_dict(), flat_state(optimizer)))
    channels = analyze(model, X)
    after = remap(model, channels, {s.name: torch.arange(s.size) for s in channels.free}, optimizer)
    assert after == channels
    assert all(torch.equal(value, before[0][name]) for name, value in model.state_dict().items())
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(flat_state(optimizer), before[1], strict=True))


def test_widening_undone_by_hand_gives_the_old_weights(model: nn.Module) -> None:
    before = copy.deepcopy(model.state_dict())
    channels = analyze(model, X)
    plan = random_widening(channels)
    wide = remap(model, channels, plan, noise=Noise(0.5, torch.Generator().manual_seed(0)))
    for space in wide.free:  # move the weights that read the copies to those that read the originals
        index, old = plan[space.name], channels.spaces[space.name].size
        for place in space.consumers:
            for own in wide.slices(place, space.name, place.find(model).data):
                summed = torch.zeros_like(own[:old]).index_add_(0, index, own)
                own.zero_()[:old] = summed
    remap(model, wide, {name: torch.arange(channels.spaces[name].size) for name in plan})
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("plan_of", [random_widening, random_permutation])
def test_gradients_of_the_widened_network_are_the_moved_gradients(
    model: nn.Module, plan_of: Callable[[ChannelMap], dict[str, Tensor]]
) -> None:
    channels = analyze(model, X)
    gradients(model)
    moved = Shadow("gradient", {p: p.grad.clone() for p in model.parameters() if p.grad is not None})
    squared = Shadow("square", {p: g.square() for p, g in moved.tensors.items()})
    remap(model, channels, plan_of(channels), shadows=[moved, squared])
    fresh = gradients(model)
    errors = []
    for name, p in model.named_parameters():
        scale = float(fresh[name].abs().max())
        errors.append(float((moved.tensors[p] - fresh[name]).abs().max()) / scale)
        errors.append(float((squared.tensors[p] - fresh[name].square()).abs().max()) / scale**2)
    print(f"\nlargest relative error of {len(errors)} gradients: {max(errors):.1e}")
    assert max(errors) <= 1e-7


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_moments_move_to_those_that_the_widened_network_would_have(name: str) -> None:
    """With a learning rate of 0 the weights rest while the moments gather: both ways see the same gradients."""
    first, second = network("resnet8").double(), network("resnet8").double()
    channels = analyze(first, X)
    remap(second, channels, random_widening(channels))
    optimizers = [OPTIMIZERS[name](first, 0.0), OPTIMIZERS[name](second, 0.0)]
    steps(first, optimizers[0], 3)
    steps(second, optimizers[1], 3)
    remap(first, channels, random_widening(channels), optimizers[0])
    pairs = list(zip(flat_state(optimizers[0]), flat_state(optimizers[1]), strict=True))
    assert len(pairs) >= len(list(first.parameters()))
    errors = [relative_change(fresh, moved) for (_, moved), (_, fresh) in pairs]
    print(f"\n{name}: largest relative error of {len(errors)} state tensors: {max(errors):.1e}")
    assert max(errors) <= 1e-7


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_then_a_permutation_equals_the_permutation_then_the_step(name: str) -> None:
    first, second = network("resnet8").double(), network("resnet8").double()
    channels = analyze(first, X)
    plan = random_permutation(channels)
    optimizers = [OPTIMIZERS[name](first, 0.01), OPTIMIZERS[name](second, 0.01)]
    for model, optimizer in zip((first, second), optimizers, strict=True):
        steps(model, optimizer, 2)
    remap(first, channels, plan, optimizers[0])
    steps(first, optimizers[0], 3)
    steps(second, optimizers[1], 3)
    remap(second, channels, plan, optimizers[1])
    assert max(relative_change(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)) <= 1e-6


def test_parameters_stay_the_same_objects_without_their_old_gradients(model: nn.Module) -> None:
    optimizer = OPTIMIZERS["sgd"](model, 0.01)
    steps(model, optimizer, 1)
    before = [*model.parameters(), *model.buffers()]
    channels = analyze(model, X)
    remap(model, channels, random_widening(channels), optimizer)
    assert all(a is b for a, b in zip(before, [*model.parameters(), *model.buffers()], strict=True))
    moved = {
        place.find(model) for place in channels.places if channels.spaces[place.segments[0].space] in channels.free
    }
    assert all(p.grad is None for p in model.parameters() if p in moved)
    weights = [p.detach().clone() for p in model.parameters()]
    steps(model, optimizer, 1)
    assert not any(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True)), "all are trained on"


def test_modules_know_their_new_sizes(model: nn.Module) -> None:
    channels = analyze(model, X)
    remap(model, channels, random_widening(channels))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.shape[:2] == (module.out_channels, module.in_channels // module.groups)
        elif isinstance(module, nn.BatchNorm2d):
            assert len(module.weight) == module.num_features
        elif isinstance(module, nn.Linear):
            assert module.weight.shape == (module.out_features, module.in_features)


def test_the_returned_map_is_that_of_a_new_analysis(model: nn.Module) -> None:
    channels = analyze(model, X)
    after = remap(model, channels, random_widening(channels))
    assert after == analyze(model, X)


def test_an_averaged_copy_moves_by_the_same_map_or_as_a_shadow(model: nn.Module) -> None:
    channels = analyze(model, X)
    average = copy.deepcopy(model)
    for p in average.parameters():
        p.data *= 1.1
    copies = {p: q.detach().clone() for p, q in zip(model.parameters(), average.parameters(), strict=True)}
    plan = random_widening(channels)
    remap(model, channels, plan, shadows=[Shadow("weight", copies)])
    remap(average, channels, plan)
    for p, q in zip(model.parameters(), average.parameters(), strict=True):
        assert torch.equal(copies[p], q)


def test_copies_stay_equal_without_noise_yet_part_with_it() -> None:
    likeness = {}
    for strength in (0.0, 0.3):
        model = network("resnet8").double()
        channels = analyze(model, X)
        plan = {space.name: torch.arange(space.size).repeat(2) for space in channels.free}
        noise = Noise(strength, torch.Generator().manual_seed(1)) if strength else None
        remap(model, channels, plan, noise=noise)
        optimizer = OPTIMIZERS["sgd"](model, 0.05)
        steps(model, optimizer, 5)
        weight = model.get_submodule("1.conv1").weight
        old, new = weight.detach().chunk(2)
        likeness[strength] = float((old - new).abs().max() / old.abs().max())
    print(f"\nlargest difference of copies after 5 steps: {likeness}")
    assert likeness[0.0] < 1e-12
    assert likeness[0.3] > 1e-3


def test_noise_has_the_strength_asked_for_on_copied_channels_alone() -> None:
    model = network("convnet").double()
    channels = analyze(model, X)
    weight = model.get_submodule("2.0").weight
    quiet = copy.deepcopy(model)
    plan = {"0.0": torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 0, 0, 1])}  # three of channel 0, two of channel 1
    remap(model, channels, plan, noise=Noise(0.25, torch.Generator().manual_seed(1)))
    remap(quiet, channels, plan)
    base = quiet.get_submodule("2.0").weight.detach()
    noise = (weight.detach() - base).abs()
    assert float(noise[:, 2:8].max()) == 0
    for copies in ([0, 8, 9], [1, 10]):
        rms = (noise[:, copies].square().mean() / base[:, copies].square().mean()).sqrt()
        assert float(rms) == pytest.approx(0.25, rel=0.1)


def test_noise_comes_from_its_own_generator_alone() -> None:
    weights = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = network("convnet")
        channels = analyze(model, X)
        state = torch.get_rng_state()
        remap(model, channels, random_widening(channels), noise=Noise(0.3, torch.Generator().manual_seed(7)))
        assert torch.equal(state, torch.get_rng_state())
        weights.append(model.get_submodule("2.0").weight.detach())
    assert torch.equal(*weights)


def test_an_error_leaves_everything_as_it_was(model: nn.Module) -> None:
    optimizer = OPTIMIZERS["adam"](model, 0.01)
    steps(model, optimizer, 1)
    gradients(model)
    before = copy.deepcopy((model.state_dict(), flat_state(optimizer), [p.grad for p in model.parameters()]))
    sizes = [str(module) for module in model.modules()]
    channels = analyze(model, X)
    unfit = Shadow("weight", {list(model.parameters())[-2]: torch.zeros(3)})  # of the last weight that is moved
    with pytest.raises(SurgeryError, match="has the shape"):
        remap(model, channels, random_widening(channels), optimizer, shadows=[unfit])
    assert all(torch.equal(value, before[0][name]) for name, value in model.state_dict().items())
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(flat_state(optimizer), before[1], strict=True))
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), before[2], strict=True))
    assert [str(module) for module in model.modules()] == sizes


def test_a_failure_in_the_middle_leaves_everything_as_it_was(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    channels = analyze(model, X)
    before, x = copy.deepcopy(model.state_dict()), output(model.eval(), X)
    calls = iter(range(9))
    real = Tensor.index_select

    def runs_out_of_memory(tensor: Tensor, dim: int, index: Tensor) -> Tensor:
        if next(calls, None) is None:
            raise MemoryError
        return real(tensor, dim, index)

    monkeypatch.setattr(Tensor, "index_select", runs_out_of_memory)
    with pytest.raises(MemoryError):
        remap(model, channels, random_widening(channels))
    monkeypatch.undo()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(output(model, X), x)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"0.1": torch.arange(4)}, "no channel space '0.1' (did you mean '0.0'?)"),
        ({"input": torch.arange(2)}, "the channels of 'input' must stay as they are: it is the network's input"),
        ({"0.0": torch.arange(4.0)}, "not int64"),
        ({"0.0": torch.tensor([], dtype=torch.int64)}, "with an entry or more"),
        ({"0.0": torch.tensor([0, 8])}, "reaches from 0 to 8, and channels are 0 to 7"),
        ({"0.0": torch.tensor([-1, 2])}, "reaches from -1 to 2"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused(plan: dict[str, Tensor], message: str) -> None:
    model = network("convnet")
    with pytest.raises(SurgeryError) as error:
        remap(model, analyze(model, X), plan)
    assert message in str(error.value)


def test_a_map_of_another_time_is_refused() -> None:
    model = network("convnet")
    old = analyze(model, X)
    remap(model, old, {"0.0": torch.arange(4)})
    with pytest.raises(SurgeryError, match="analyse the network again"):
        remap(model, old, {"0.0": torch.arange(5)})


@pytest.mark.parametrize(("kind", "state"), [(torch.optim.Adadelta, "square_avg"), (torch.optim.RMSprop, "square_avg")])
def test_state_that_nobody_knows_starts_anew_with_a_warning(kind: type[Optimizer], state: str) -> None:
    model = network("convnet")
    optimizer = kind(model.parameters(), lr=0.01)  # type: ignore[call-arg]  # both have a learning rate
    steps(model, optimizer, 1)
    channels = analyze(model, X)
    with pytest.warns(UserWarning, match=f"{kind.__name__} keeps '{state}'"):
        remap(model, channels, {"0.0": torch.arange(4)}, optimizer)
    moved = {model.get_parameter(name) for name in ("0.0.weight", "0.1.weight", "0.1.bias", "2.0.weight")}
    assert set(optimizer.state) == set(model.parameters()) - moved
    steps(model, optimizer, 1)


def separable() -> nn.Module:
    depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
    return nn.Sequential(nn.Conv2d(3, 16, 1), depthwise, nn.Conv2d(16, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


@pytest.mark.parametrize("make", [partial(network, "resnet8"), partial(network, "resnet50"), separable])
def test_memory_order_is_kept_of_weights_and_their_state(make: Callable[[], nn.Module]) -> None:
    model = make().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in the stub
    optimizer = OPTIMIZERS["fused sgd"](model, 0.01)
    steps(model, optimizer, 1)
    channels = analyze(model, X)
    before = {p: p.stride() for p in model.parameters() if channels_last(p)}
    remap(model, channels, random_widening(channels), optimizer)
    for p in before:
        assert channels_last(p)
        assert p.stride() == optimizer.state[p]["momentum_buffer"].stride()


def channels_last(p: Tensor) -> bool:
    return p.ndim == 4 and p.stride() == torch.empty(p.shape, memory_format=torch.channels_last).stride()


def test_number_formats_are_kept() -> None:
    model = network("convnet").bfloat16()
    channels = analyze(model, X)
    remap(model, channels, random_widening(channels))
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


@pytest.mark.gpu
def test_surgery_works_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    model = network("resnet8").cuda()
    optimizer = OPTIMIZERS["fused sgd"](model, 0.01)
    F.cross_entropy(model(X.cuda()), LABELS.cuda()).backward()
    optimizer.step()
    before = output(model.eval(), X.cuda())
    channels = analyze(model, X)
    remap(model, channels, random_widening(channels), optimizer, noise=Noise(0.3, torch.Generator().manual_seed(0)))
    assert relative_change(before, output(model, X.cuda())) <= 1e-5


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["resnet8", "convnet"])
def test_a_network_on_a_gpu_can_become_deeper(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)  # which rounds more than an identity may
    model = network(name).cuda().eval()
    surgeon = Surgeon(model, X.cuda())
    before = output(model, X.cuda())
    for stage in surgeon.stages:
        surgeon.insert_identity(stage, torch.Generator().manual_seed(0))
    assert {p.device.type for p in model.parameters()} == {"cuda"}
    assert relative_change(before, output(model, X.cuda())) <= 1e-2
