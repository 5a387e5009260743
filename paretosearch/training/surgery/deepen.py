"""Inserts layers that at first pass on what they get."""

from __future__ import annotations

import copy
from itertools import count

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from paretosearch.channels import Branch, ChannelMap
from paretosearch.errors import SurgeryError
from paretosearch.ghost import GhostBatchNorm2d
from paretosearch.training.surgery.branches import Fork, fork_of, regraphed
from paretosearch.training.surgery.optimizers import join
from paretosearch.training.surgery.tracing import suited, undisturbed

#: A new parameter, then the one that it resembles.
Pair = tuple[Tensor, Tensor]


def insert_identity(
    model: nn.Module,
    channel_map: ChannelMap,
    after: str,
    images: Tensor,
    generator: torch.Generator,
    optimizer: Optimizer | None = None,
) -> str:
    """Insert layers behind a module of an `nn.Sequential` so that the network computes what it did.

    Behind a residual block: another such block with fresh weights, whose branch ends in zeros; this is exact in
    training and in evaluation. Behind anything else that ends in a ReLU: a 3x3 convolution that computes the identity,
    batch norm (if the network has it) that undoes itself, a ReLU; this is exact in evaluation, and in training for a
    batch with the statistics of ``images``. Paper: Chen et al. 2016, arXiv:1511.05641.

    The map of the network is no longer valid: analyse it again.

    Args:
        model: The network.
        channel_map: What `analyze` found in it.
        after: Qualified name of the module.
        images: Training images (N, C, H, W), best a batch of them.
        generator: Source of fresh weights, on the CPU.
        optimizer: Optimizer that the new parameters join, each in the group of the parameters that it resembles.

    Returns:
        Qualified name of the new module; the names of all others stay.

    Raises:
        SurgeryError: If the module is not in a Sequential, or no inserted layer would leave the function as it is.
    """
    parent_name, _, key = after.rpartition(".")
    parent = model.get_submodule(parent_name)
    if not isinstance(parent, nn.Sequential) or key not in parent._modules:
        raise SurgeryError(f"nothing can be inserted behind {after!r}: it is no member of an nn.Sequential")
    branch = next((branch for branch in channel_map.branches if branch.block == after), None)
    x = _output_of(model, after, images if branch is None else images[:2])  # statistics need them all
    if branch is not None:
        new, likes = _zero_block(model, channel_map, branch, generator)
    else:
        new, likes = _identity_layers(model, after, x)
    _check_identity(new, x, after)
    name = _insert(parent, key, new.train(parent._modules[key].training))
    if optimizer is not None:
        for parameter, like in likes:
            join(optimizer, parameter, like)
    return f"{parent_name}.{name}" if parent_name else name


def _output_of(model: nn.Module, name: str, images: Tensor) -> Tensor:
    """Give what a module hands on in training."""
    seen: list[Tensor] = []
    # A copy, since the layers that follow may write over it.
    handle = model.get_submodule(name).register_forward_hook(lambda *call: seen.append(call[-1].clone()))
    try:
        with undisturbed(model, training=True):
            model(suited(images, model))
    finally:
        handle.remove()
    return seen[-1]


def _zero_block(
    model: nn.Module, channel_map: ChannelMap, branch: Branch, generator: torch.Generator
) -> tuple[nn.Module, list[Pair]]:
    """Copy a residual block, with fresh weights and zeros at the end of its branch."""
    template = _template(channel_map, branch)
    old = model.get_submodule(template.block)
    new = copy.deepcopy(old)
    fork = fork_of(new)
    assert fork is not None
    if not template.identity:
        new = _squared(new, fork)
    for module in new.modules():
        _start_afresh(module, generator)
    last = new.get_submodule(str(fork.branch.target))
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    likes = dict(old.named_parameters())
    return new, [(parameter, likes[name]) for name, parameter in new.named_parameters()]


def _template(channel_map: ChannelMap, branch: Branch) -> Branch:
    """Choose a block to copy: one whose shortcut is its input, on the same stream; else the block itself."""
    streams = {place.module: place.segments for place in channel_map.places}
    alike = (b for b in channel_map.branches if b.identity and streams[b.last] == streams[branch.last])
    return branch if branch.identity else next(alike, branch)


def _squared(block: nn.Module, fork: Fork) -> nn.Module:
    """Make a block that changes the shape into one that does not: no stride, as many channels in as out."""
    (image,) = (node for node in fork.graph.nodes if node.op == "placeholder")
    channels = len(next(block.get_submodule(str(fork.branch.target)).parameters()))
    for node in fork.layers:
        conv = block.get_submodule(str(node.target))
        if not isinstance(conv, nn.Conv2d):
            continue
        conv.stride = (1, 1)
        if image in node.all_input_nodes:
            conv.in_channels = channels
            conv.weight = nn.Parameter(_empty_like(conv.weight, (conv.out_channels, channels, *conv.kernel_size)))
    fork.addition.replace_input_with(fork.shortcut, image)
    return regraphed(block, fork.graph)


def _start_afresh(module: nn.Module, generator: torch.Generator) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        fresh = torch.empty_like(module.weight, device="cpu")  # where the generator is
        nn.init.kaiming_normal_(fresh, mode="fan_out", nonlinearity="relu", generator=generator)
        module.weight.data.copy_(fresh)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        module.reset_parameters()


def _identity_layers(model: nn.Module, after: str, x: Tensor) -> tuple[nn.Module, list[Pair]]:
    """Make a convolution that passes (N, C, H, W) on, with batch norm where the layers before have it."""
    if x.ndim != 4 or x.min() < 0:
        raise SurgeryError(
            f"{after!r} gives {tuple(x.shape)} down to {x.min():.3g}; insert behind a convolution's ReLU"
        )
    earlier = _up_to(model, after)
    like_conv = next(module for module in earlier if isinstance(module, nn.Conv2d))
    like_norm = next((module for module in earlier if isinstance(module, nn.BatchNorm2d)), None)
    channels = x.shape[1]
    conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False, device="meta")  # draws no random numbers there
    conv.weight = nn.Parameter(nn.init.dirac_(_empty_like(like_conv.weight, (channels, channels, 3, 3))))
    layers: list[nn.Module] = [conv]
    likes: list[Pair] = [(conv.weight, like_conv.weight)]
    if like_norm is not None:
        norm = _undoing_norm(like_norm, x)
        layers.append(norm)
        likes += [(norm.weight, like_norm.weight), (norm.bias, like_norm.bias)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)), likes


def _up_to(model: nn.Module, after: str) -> list[nn.Module]:
    """List the modules down to the end of one, the last first."""
    names = [name for name, _ in model.named_modules()]
    inside = [i for i, name in enumerate(names) if name == after or name.startswith(f"{after}.")]
    return list(model.modules())[inside[-1] :: -1]


def _undoing_norm(like: nn.BatchNorm2d, x: Tensor) -> nn.BatchNorm2d:
    """Make batch norm whose scale and shift are the statistics that it takes away."""
    norm = nn.BatchNorm2d(x.shape[1], like.eps, like.momentum).to(x.device, like.weight.dtype)
    if isinstance(like, GhostBatchNorm2d):
        norm = GhostBatchNorm2d.of(norm, like.size)
    variance, mean = torch.var_mean(x.to(like.weight.dtype), (0, 2, 3), correction=0)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    with torch.no_grad():
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.bias.copy_(mean)
        norm.weight.copy_((variance + norm.eps).sqrt())
    return norm


def _empty_like(weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Make a weight of another shape in the same memory order; strides also tell for 1x1 kernels."""
    channels_last = weight.stride(3) > weight.stride(1)
    order = torch.channels_last if channels_last else torch.contiguous_format
    return torch.empty(shape, dtype=weight.dtype, device=weight.device, memory_format=order)


def _check_identity(new: nn.Module, x: Tensor, after: str) -> None:
    # Where fp32 is fp32, whatever the training computes in; 16 bits may take a CPU very long.
    wide = torch.promote_types(x.dtype, torch.float32)
    new, x = copy.deepcopy(new).to("cpu", wide), x.to("cpu", wide)
    with undisturbed(new, training=False):
        y = new(x.clone())
    if y.shape != x.shape or (y - x).abs().max() > 100 * torch.finfo(x.dtype).eps * x.abs().max():
        raise SurgeryError(f"no inserted layer would pass on what {after!r} gives: only a ReLU can stand there twice")


def _insert(parent: nn.Sequential, key: str, new: nn.Module) -> str:
    name = next(name for number in count(1) if (name := f"{key}_{number}") not in parent._modules)
    members = list(parent._modules.items())
    parent._modules.clear()
    for old_name, member in members:
        parent._modules[old_name] = member
        if old_name == key:
            parent._modules[name] = new
    return name
