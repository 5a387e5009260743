"""Finds where a network can become deeper."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from paretosearch.channels import ChannelMap
from paretosearch.training.surgery.tracing import suited, undisturbed

#: Activations that change nothing where a ReLU has been: behind them an inserted layer may end in a ReLU.
_RECTIFIERS = (nn.ReLU, nn.ReLU6)


def stages(model: nn.Module, channel_map: ChannelMap, images: Tensor) -> tuple[str, ...]:
    """Find the last place of every stage behind which `insert_identity` can stand.

    A stage is what works on maps of one size. In a residual network the places are its blocks, in another one the
    layers that end in a ReLU; either must be a member of an `nn.Sequential`.

    Args:
        model: The network.
        channel_map: What `analyze` found in it.
        images: A few images (N, C, H, W).

    Returns:
        Qualified names of the modules, in the order of the forward pass.
    """
    members = dict(_members(model))
    blocks = [branch.block for branch in channel_map.branches if branch.block in members]
    places = blocks or [name for name, module in members.items() if _ends_in_relu(module)]
    last: dict[tuple[int, ...], str] = {}
    for name, size in _map_sizes(model, places, images):  # of one inside the other the outer is done last
        last.pop(size, None)
        last[size] = name
    return tuple(last.values())


def _members(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """List the members of every Sequential by their qualified names."""
    for parent_name, parent in model.named_modules():
        if isinstance(parent, nn.Sequential):
            for name, module in parent.named_children():
                yield f"{parent_name}.{name}" if parent_name else name, module


def _ends_in_relu(module: nn.Module) -> bool:
    leaf = list(module.modules())[-1]
    return isinstance(leaf, _RECTIFIERS) and (leaf is module or isinstance(module, nn.Sequential))


def _map_sizes(model: nn.Module, names: list[str], images: Tensor) -> list[tuple[str, tuple[int, ...]]]:
    """Give the size (H, W) of the maps that modules hand on, in the order in which they do; dense layers have none."""
    seen: list[tuple[str, tuple[int, ...]]] = []

    def note(name: str, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            seen.append((name, tuple(output.shape[2:])))

    handles = [
        model.get_submodule(name).register_forward_hook(lambda *call, name=name: note(name, call[-1])) for name in names
    ]
    try:
        with undisturbed(model, training=False):
            model(suited(images[:2], model))
    finally:
        for handle in handles:
            handle.remove()
    return seen
