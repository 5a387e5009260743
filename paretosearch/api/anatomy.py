"""Says what surgery can do to a network."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from torch import nn

from paretosearch import nets
from paretosearch.channels import ChannelMap
from paretosearch.errors import RecipeError
from paretosearch.training.surgery import Surgeon

#: Edges in pixels to try where none is asked for: CIFAR-10, a folder of images, what ImageNet's networks are made for.
IMAGE_SIZES = (32, 64, 224)

#: A network must have some; they change nothing but the sizes of the two frozen ends.
CLASSES, CHANNELS = 10, 3


@dataclass(frozen=True)
class Findings:
    """What surgery knows of a network.

    Args:
        network: Its name.
        image_size: Edge of the images in pixels.
        channels: Its channel spaces and residual branches.
        stages: Modules behind which a layer can be inserted, one for each size of the maps.
    """

    network: str
    image_size: int
    channels: ChannelMap
    stages: tuple[str, ...]


def examine(network: str, image_size: int | None = None) -> Findings:
    """Build a network as it comes, without any Method, and look at its shape.

    Args:
        network: Its name, or ``torchvision:NAME``.
        image_size: Edge of the images in pixels; None is the smallest of `IMAGE_SIZES` that the network takes.

    Raises:
        RecipeError: If there is no such network, or it cannot take images of this size.
    """
    nets.check_name(network)
    size, model = _built(network, IMAGE_SIZES if image_size is None else (image_size,))
    surgeon = Surgeon(model, torch.zeros(2, CHANNELS, size, size))
    return Findings(network, size, surgeon.channels, surgeon.stages)


def _built(network: str, sizes: tuple[int, ...]) -> tuple[int, nn.Module]:
    """Build a network for the first size that it takes; the last one is the one to complain about."""
    *others, last = sizes
    for size in others:
        with suppress(RecipeError):
            return size, _build(network, size)
    return last, _build(network, last)


def _build(network: str, size: int) -> nn.Module:
    return nets.build(network, classes=CLASSES, channels=CHANNELS, image_size=size)


def anatomy_json(findings: Findings) -> dict[str, Any]:
    """Describe the shape of a network as JSON can hold it."""
    return {
        "network": findings.network,
        "image_size": findings.image_size,
        "spaces": [
            {"name": space.name, "channels": space.size, "frozen_reason": space.frozen_reason}
            for space in findings.channels.spaces.values()
        ],
        "branches": [asdict(branch) for branch in findings.channels.branches],
        "stages": list(findings.stages),
    }


def anatomy_table(findings: Findings) -> RenderableType:
    """Describe the shape of a network for a terminal."""
    parts: list[RenderableType] = [Text(summary(findings)), Text(), _spaces_table(findings.channels)]
    if findings.channels.branches:
        blocks = ", ".join(branch.block for branch in findings.channels.branches)
        parts += [Text(), Text(f"branches that can be removed: {blocks}")]
    return Group(*parts)


def summary(findings: Findings) -> str:
    """Say in one sentence how much of a network can change."""
    where = f"{findings.network} at {findings.image_size}x{findings.image_size}"
    spaces = f"{len(findings.channels.free)} of {len(findings.channels.spaces)} channel spaces can change"
    count = len(findings.channels.branches)
    branches = {0: "no branch", 1: "1 branch"}.get(count, f"{count} branches")
    behind = ", ".join(findings.stages)
    deeper = f"it can be deepened behind {behind}" if behind else "it cannot be deepened"
    return f"{where}: {spaces}; {branches} can be removed; {deeper}"


def _spaces_table(channels: ChannelMap) -> Table:
    table = Table(box=None, pad_edge=False)
    # A name or a reason may hold a path that is wider than its column: folding shows all of it.
    table.add_column("channel space", overflow="fold")
    table.add_column("channels", justify="right", no_wrap=True)
    table.add_column("free, or frozen because", overflow="fold")
    for space in channels.spaces.values():
        table.add_row(Text(space.name), str(space.size), Text(space.frozen_reason or "free"))
    return table
