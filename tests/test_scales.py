"""What batch norm says of channels: masks, how far they are apart, cuts that leave what a masked network computes."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from paretosearch.channels import ChannelMap
from paretosearch.scales import Masks, cuttable, kept_channels, marked, norm_places, silence_norms, votes
from paretosearch.testing.surgery import images, network, output
from paretosearch.training.surgery import analyze, remap

X = images(2)
#: In training, rounding alone changes the outputs of deep networks by 1e-5 in fp32, so that mode is looked at in fp64.
LIMITS = {"evaluation": (torch.float32, 1e-5), "training": (torch.float64, 1e-7)}
NETWORKS = ("convnet", "resnet20", "vgg11", "resnet50", "torchvision:densenet121", "torchvision:mobilenet_v2")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def found_in(model: nn.Module, channels: ChannelMap, spaces: frozenset[str]) -> list[tuple[str, Tensor]]:
    return votes(model, channels, norm_places(model, channels, spaces), spaces)


@given(st.integers(1, 300), st.floats(0.0, 0.99), st.integers(0, 1000))
def test_a_mask_leaves_out_exactly_its_share_and_nothing_that_is_larger(count: int, pruned: float, seed: int) -> None:
    scales = torch.randint(0, 5, (count,), generator=generator(seed)).float()  # many are equal
    mask = marked(scales, pruned, generator(seed))
    assert int((~mask).sum()) == round(pruned * count)
    if mask.any() and not mask.all():
        assert scales[~mask].max() <= scales[mask].min()


def test_planted_zeros_are_exactly_what_the_mask_leaves_out() -> None:
    model = network("resnet20")
    channels = analyze(model, X)
    spaces = cuttable(model, channels, X)
    places = norm_places(model, channels, spaces)
    count = sum(place.find(model).numel() for place in places)
    zeros = torch.randperm(count, generator=generator()) < round(0.3 * count)
    parts = zeros.split([place.find(model).numel() for place in places])
    for place, part in zip(places, parts, strict=True):
        place.find(model).data[part] = 0
    mask = marked(torch.cat([own for _, own in found_in(model, channels, spaces)]), 0.3, generator())
    assert torch.equal(mask, ~zeros)
    print(f"{int(zeros.sum())} of {count} channels planted, {int((~mask).sum())} left out, 0 of them others")


def test_the_sign_of_a_scale_does_not_matter() -> None:
    model = network("convnet")
    channels = analyze(model, X)
    (name, before), *_ = found_in(model, channels, cuttable(model, channels, X))
    place = norm_places(model, channels, {name})[0]
    place.find(model).data.neg_()
    ((_, after),) = votes(model, channels, [place], {name})
    assert torch.equal(before, after)
    assert after.min() > 0


def test_masks_of_equal_scales_do_not_look_alike() -> None:
    scales, masks = torch.ones(200), Masks(2)
    masks.push(marked(scales, 0.5, generator(1)))
    assert masks.push(marked(scales, 0.5, generator(2))) > 0.3


def test_identical_masks_fill_a_queue_with_the_fifth_and_not_earlier() -> None:
    masks, mask = Masks(5), torch.arange(10) < 7
    seen = [(masks.push(mask.clone()), masks.is_full) for _ in range(6)]
    assert seen == [(1.0, False), *[(0.0, False)] * 3, (0.0, True), (0.0, True)]


def test_the_distance_is_that_of_the_most_different_of_the_others() -> None:
    rows = torch.rand(12, 50, generator=generator()) < 0.5
    masks = Masks(5)
    for number, row in enumerate(rows):
        others = rows[max(0, number - 4) : number]
        expected = max(((row != other).sum().item() / 50 for other in others), default=1.0)
        assert masks.push(row) == pytest.approx(expected)
    assert [torch.equal(a, b) for a, b in zip(masks, rows[-5:], strict=True)] == [True] * 5


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("mode", LIMITS)
def test_the_cut_network_computes_what_the_masked_one_did(
    name: str, mode: str, note_change: Callable[[Tensor, Tensor], float]
) -> None:
    dtype, limit = LIMITS[mode]
    model = network(name).to(dtype).train(mode == "training")
    channels = analyze(model, X.to(dtype))
    spaces = cuttable(model, channels, X)
    assert spaces == {s.name for s in channels.free if any(p.tensor == "running_mean" for p in s.producers)}
    found = found_in(model, channels, spaces)
    mask = marked(torch.cat([own for _, own in found]), 0.6, generator())
    plan = kept_channels(channels, found, mask, multiple=4)
    assert plan
    gone = {space: torch.ones(channels.spaces[space].size, dtype=torch.bool) for space in plan}
    for space, index in plan.items():
        gone[space][index] = False
    silence_norms(model, channels, gone)
    before = output(copy.deepcopy(model), X)
    remap(model, channels, plan)
    assert note_change(before, output(model, X)) < limit
    print(f"{name}, {mode}: cut {sum(int(mask.sum()) for mask in gone.values())} channels of {len(plan)} spaces")


def test_of_a_stream_goes_only_what_all_its_layers_leave_out() -> None:
    model = network("resnet20")
    channels = analyze(model, X)
    found = found_in(model, channels, cuttable(model, channels, X))
    several, _ = max(found, key=lambda vote: (sum(vote[0] == name for name, _ in found), len(vote[1])))
    numbers = [i for i, (name, _) in enumerate(found) if name == several]
    assert len(numbers) > 2
    size = channels.spaces[several].size
    marks = [torch.ones(len(own), dtype=torch.bool) for _, own in found]
    for number in numbers:
        marks[number][: size // 2] = False
    plan = kept_channels(channels, found, torch.cat(marks), multiple=1)
    assert plan[several].tolist() == list(range(size // 2, size))
    marks[numbers[1]][0] = True
    plan = kept_channels(channels, found, torch.cat(marks), multiple=1)
    assert plan[several].tolist() == [0, *range(size // 2, size)]


@pytest.mark.parametrize(("size", "left"), [(8, 8), (32, 8), (512, 56)])
def test_the_strongest_channels_of_a_layer_stay_that_would_be_emptied(size: int, left: int) -> None:
    model = nn.Sequential(nn.Conv2d(3, size, 3), nn.BatchNorm2d(size), nn.ReLU(), nn.Conv2d(size, 8, 1), nn.Flatten())
    model.append(nn.Linear(8 * 36, 2))
    x = torch.randn(2, 3, 8, 8)
    channels = analyze(model, x)
    nn.init.uniform_(model[1].weight)  # type: ignore[arg-type]  # a parameter
    found = found_in(model, channels, cuttable(model, channels, x))
    plan = kept_channels(channels, found, torch.zeros(size, dtype=torch.bool), multiple=8)
    kept = plan["0"] if plan else torch.arange(size)
    assert len(kept) == left  # a tenth of 512 is 51.2, and 56 is the next multiple
    assert set(kept.tolist()) == set(found[0][1].topk(left).indices.tolist())


class Past(nn.Module):
    """Two layers, of which the second reads the first through batch norm, or past it as well."""

    def __init__(self, behind: nn.Module, is_past: bool) -> None:
        super().__init__()
        self.first, self.norm, self.behind = nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), behind
        self.second, self.is_past = nn.Conv2d(16, 4, 1), is_past

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        y = self.behind(self.norm(x))
        return self.second(x + y if self.is_past else y).flatten(1)


@pytest.mark.parametrize(
    ("behind", "is_past", "found"),
    [
        (nn.ReLU(), False, {"first"}),
        (nn.SiLU(), False, {"first"}),
        (nn.Sigmoid(), False, set()),
        (nn.ReLU(), True, set()),
    ],
)
def test_channels_that_something_still_reads_are_left_alone(behind: nn.Module, is_past: bool, found: set[str]) -> None:
    model, x = Past(behind, is_past), torch.randn(4, 3, 8, 8)
    before = copy.deepcopy(model.state_dict())
    assert cuttable(model, analyze(model, x), x) == found
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
