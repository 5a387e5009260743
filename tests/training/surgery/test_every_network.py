"""Surgery leaves the function of every network as it is: our networks and those of torchvision, whole."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from paretosearch.channels import ChannelMap, Noise, widened
from paretosearch.testing.surgery import NETWORKS, images, network, output, silence
from paretosearch.training.surgery import analyze, insert_identity, remap
from paretosearch.training.surgery.stages import stages

X = images(2)
Change = Callable[[nn.Module, ChannelMap], ChannelMap]

#: In training, rounding alone changes the outputs of deep networks by 1e-5 in fp32, so that mode is looked at in fp64.
LIMITS = {"evaluation": (torch.float32, 1e-5), "training": (torch.float64, 1e-7)}


def widen(model: nn.Module, channels: ChannelMap) -> ChannelMap:
    generator = torch.Generator().manual_seed(2)
    plan = {space.name: widened(space.size, int(space.size * 1.5), generator) for space in channels.free}
    return remap(model, channels, plan, noise=Noise(0.3, generator))


def permute(model: nn.Module, channels: ChannelMap) -> ChannelMap:
    generator = torch.Generator().manual_seed(3)
    plan = {space.name: torch.randperm(space.size, generator=generator) for space in channels.free}
    return remap(model, channels, plan)


def prune(model: nn.Module, channels: ChannelMap) -> ChannelMap:
    """Prune what nothing reads; `kept_channels` chose it before the outputs were looked at."""
    return remap(model, channels, kept_channels(channels))


def kept_channels(channels: ChannelMap) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    masks = {space.name: torch.rand(space.size, generator=generator) > 0.4 for space in channels.free}
    for mask in masks.values():
        mask[0] = True
    return {name: mask.nonzero().flatten() for name, mask in masks.items()}


def silence_the_rest(model: nn.Module, channels: ChannelMap) -> None:
    for name, kept in kept_channels(channels).items():
        gone = torch.ones(channels.spaces[name].size, dtype=torch.bool).index_fill(0, kept, False)
        silence(model, channels, channels.spaces[name], gone)


def deepen(model: nn.Module, channels: ChannelMap) -> ChannelMap:
    generator = torch.Generator().manual_seed(5)
    for stage in stages(model, channels, X):
        insert_identity(model, channels, stage, X, generator)
        channels = analyze(model, X)
    return channels


CHANGES: dict[str, Change] = {"widen": widen, "permute": permute, "prune": prune, "deepen": deepen}
#: Those that leave every space as large as it was.
OF_THE_SAME_SIZE = ("permute", "deepen")


@pytest.fixture(scope="module", params=NETWORKS)
def patient(request: pytest.FixtureRequest) -> tuple[str, nn.Module, ChannelMap]:
    model = network(request.param)
    return request.param, model, analyze(model, X)


@pytest.mark.parametrize("change", CHANGES)
def test_outputs_stay_as_they_were(
    patient: tuple[str, nn.Module, ChannelMap], change: str, note_change: Callable[[Tensor, Tensor], float]
) -> None:
    name, model, channels = patient
    assert len(channels.spaces) - len(channels.free) == 2, "only the images and the logits are fixed"
    for mode, (dtype, limit) in LIMITS.items():
        changed = copy.deepcopy(model).to(dtype).train(mode == "training")
        if change == "prune":
            silence_the_rest(changed, channels)
        before, parameters = output(changed, X), len(list(changed.parameters()))
        after_map = CHANGES[change](changed, channels)
        error = note_change(before, output(changed, X))
        print(f"\n{name:24} {change:10} {mode:10} {error:.1e}")
        assert error <= limit
        known = [space for space in channels.free if space.name in after_map.spaces]  # a longer stream has another name
        assert len(known) >= len(channels.free) // 2
        sizes = [(space.size, after_map.spaces[space.name].size) for space in known]
        assert all((a == b) is (change in OF_THE_SAME_SIZE) for a, b in sizes)
        assert (len(list(changed.parameters())) > parameters) is (change == "deepen")
