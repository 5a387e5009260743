"""Cheaper layers for the place of a 3x3 convolution, with weights that compute nearly what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from paretosearch.channels import MIN_CHANNELS
from paretosearch.geometry import Geometry
from paretosearch.patches import is_ordinary, patches

# Shapes: a convolution reads C channels and writes K; P patches (P, C, 3, 3); rank r; g groups; m inner channels.

#: Ranks of a separable pair and inner channels of a bottleneck, as shares of the channels of the convolution.
RANK_SHARES, INNER_SHARES = (1.0, 0.5, 0.25), (0.5, 0.25)

#: With one channel, there is nothing to take apart.
LEAST_CHANNELS = 2

#: Parts that a grouped convolution is made of.
GROUPS = (2, 4)

#: A form is not tried that has more than this share of the weights: it cannot be a fifth faster.
MOST_WEIGHTS = 0.8

#: Patches that weights are fitted to.
PATCHES = 4096

#: Pull towards the first guess, as a share of the mean square of what is read: few patches do not fix all weights.
RIDGE = 1e-3


def is_replaceable(module: nn.Module) -> bool:
    """Whether a module is a trained 3x3 convolution for whose place there are other layers."""
    if type(module) is not nn.Conv2d or module.kernel_size != (3, 3) or not is_ordinary(module):
        return False
    return module.weight.requires_grad and min(module.in_channels, module.out_channels) >= LEAST_CHANNELS


def forms(conv: nn.Conv2d) -> tuple[str, ...]:
    """Name the layers that could stand in the place of a convolution, as `empty` reads them.

    Args:
        conv: One of those that are `is_replaceable`.
    """
    reads, writes = conv.in_channels, conv.out_channels
    least = min(reads, writes)
    named = [f"separable {rank}" for rank in _in_eights(RANK_SHARES, least)]
    named += ["depthwise"]
    named += [f"bottleneck {inner}" for inner in _in_eights(INNER_SHARES, least) if inner < least]
    named += [f"grouped {g}" for g in GROUPS if reads % g == writes % g == 0 and least // g >= MIN_CHANNELS]
    return tuple(form for form in named if _weights(empty(conv, form)) <= MOST_WEIGHTS * conv.weight.numel())


def _in_eights(shares: tuple[float, ...], channels: int) -> list[int]:
    return list(dict.fromkeys(max(MIN_CHANNELS, 8 * round(share * channels / 8)) for share in shares))


def _weights(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.ndim > 1)


def empty(conv: nn.Conv2d, form: str) -> nn.Module:
    """Make the layers of a form with weights of zeros, and with the bias of the convolution if it has one.

    Args:
        conv: The convolution (C to K) in whose place they shall stand.
        form: ``separable r``, 3x1 to r channels and then 1x3; ``depthwise``, 3x3 of each channel and then 1x1;
            ``bottleneck m``, 1x1 to m channels, 3x3, 1x1; ``grouped g``, a 3x3 convolution of g parts.

    Raises:
        ValueError: If there is no such form.
    """
    kind, _, number = form.partition(" ")
    if kind not in _FITS:
        raise ValueError(f"there is no form {form!r}")
    (down, right), (above, beside), _, _ = Geometry.of(conv)
    reads, writes, size = conv.in_channels, conv.out_channels, int(number or 0)
    slide, edges = (down, right), (above, beside)
    if kind == "separable":
        first = _layer(conv, reads, size, (3, 1), (down, 1), (above, 0))
        made = [first, _layer(conv, size, writes, (1, 3), (1, right), (0, beside))]
    elif kind == "depthwise":
        made = [_layer(conv, reads, reads, (3, 3), slide, edges, reads), _layer(conv, reads, writes)]
    elif kind == "bottleneck":
        made = [_layer(conv, reads, size), _layer(conv, size, size, (3, 3), slide, edges), _layer(conv, size, writes)]
    else:
        made = [_layer(conv, reads, writes, (3, 3), slide, edges, size)]
    if conv.bias is not None:
        made[-1].bias = nn.Parameter(conv.bias.detach().clone())
    return nn.Sequential(*made) if len(made) > 1 else made[0]


def alone(conv: nn.Conv2d) -> nn.Conv2d:
    """Make a convolution of a shape without the weights, and without whatever listens to the one in the network."""
    (down, right), (above, beside), _, _ = Geometry.of(conv)
    return _layer(conv, conv.in_channels, conv.out_channels, (3, 3), (down, right), (above, beside))


def _layer(
    like: nn.Conv2d,
    reads: int,
    writes: int,
    kernel: tuple[int, int] = (1, 1),
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    groups: int = 1,
) -> nn.Conv2d:
    """Make a convolution of zeros in the format and the memory order of another one."""
    made = nn.Conv2d(reads, writes, kernel, stride, padding, groups=groups, bias=False, device="meta")
    channels_last = like.weight.stride(3) > like.weight.stride(1)
    order = torch.channels_last if channels_last else torch.contiguous_format
    weight = torch.empty(
        made.weight.shape, dtype=like.weight.dtype, device=like.weight.device, memory_format=order
    ).zero_()
    made.weight = nn.Parameter(weight)
    return made.train(like.training)


@torch.no_grad()
def fitted(conv: nn.Conv2d, form: str, x: Tensor, generator: torch.Generator) -> nn.Module:
    """Make the layers of a form with weights that compute nearly what a convolution does.

    A separable pair has the first singular values of the convolution's weights. The others begin with singular vectors,
    or with the part of the weights that they have, and the weights that write the output are then the least squares
    on some patches, drawn slightly towards that beginning.

    Args:
        conv: The convolution.
        form: As `empty` reads it.
        x: Images (N, C, H, W) as they come to the convolution.
        generator: Source of the choice of patches, on the CPU.
    """
    made = empty(conv, form)
    layers = [made] if isinstance(made, nn.Conv2d) else [m for m in made.children() if isinstance(m, nn.Conv2d)]
    seen = patches(x, conv, PATCHES, generator).double()
    filters = conv.weight.detach().to(seen.device, torch.float64)
    weights = _FITS[form.partition(" ")[0]](filters, seen, layers)
    for layer, weight in zip(layers, weights, strict=True):
        layer.weight.copy_(weight.reshape(layer.weight.shape))
    return made


def _separable(filters: Tensor, _: Tensor, layers: list[nn.Conv2d]) -> list[Tensor]:
    """Split ``W[n, c, kh, kw]``, as a matrix of rows (c, kh) and columns (kw, n), by its first singular values."""
    rank, (writes, reads) = layers[0].out_channels, filters.shape[:2]
    u, s, vh = torch.linalg.svd(filters.permute(1, 2, 3, 0).reshape(3 * reads, 3 * writes), full_matrices=False)
    kept = min(rank, len(s))
    vertical = filters.new_zeros(rank, reads, 3)
    horizontal = filters.new_zeros(writes, rank, 3)
    root = s[:kept].sqrt()
    vertical[:kept] = (u[:, :kept] * root).T.reshape(kept, reads, 3)
    horizontal[:, :kept] = (root[:, None] * vh[:kept]).reshape(kept, 3, writes).permute(2, 0, 1)
    return [vertical, horizontal]


def _depthwise(filters: Tensor, seen: Tensor, _: list[nn.Conv2d]) -> list[Tensor]:
    """Take for each channel the kernel that most of its filters have in common, then fit the 1x1 filters."""
    u, s, vh = torch.linalg.svd(filters.flatten(2).transpose(0, 1), full_matrices=False)  # (C, K, 9)
    kernels, start = vh[:, 0], u[:, :, 0] * s[:, :1]
    read = torch.einsum("pcj,cj->pc", seen.flatten(2), kernels)
    return [kernels, refit(read, _answers(seen, filters), start).T]


def _bottleneck(filters: Tensor, seen: Tensor, layers: list[nn.Conv2d]) -> list[Tensor]:
    """Project what is read and written on first singular vectors, then fit the filters that write."""
    inner = layers[0].out_channels
    reads = torch.linalg.svd(filters.transpose(0, 1).flatten(1), full_matrices=False).U[:, :inner]
    writes = torch.linalg.svd(filters.flatten(1), full_matrices=False).U[:, :inner]
    core = torch.einsum("kcij,ko,cd->odij", filters, writes, reads)
    read = torch.einsum("pcij,cd,odij->po", seen, reads, core)
    return [reads.T, core, refit(read, _answers(seen, filters), writes.T).T]


def _grouped(filters: Tensor, seen: Tensor, layers: list[nn.Conv2d]) -> list[Tensor]:
    """Let each part of the filters make up for the channels that it no longer reads."""
    groups, answers = layers[0].groups, _answers(seen, filters)
    made = []
    for group, own in enumerate(filters.chunk(groups)):
        start = own.chunk(groups, dim=1)[group].flatten(1).T
        read = seen.chunk(groups, dim=1)[group].flatten(1)
        made.append(refit(read, answers.chunk(groups, dim=1)[group], start).T)
    return [torch.cat(made)]


def _answers(seen: Tensor, filters: Tensor) -> Tensor:
    return seen.flatten(1) @ filters.flatten(1).T


def refit(read: Tensor, answers: Tensor, start: Tensor) -> Tensor:
    """Give the least squares ``|read @ W - answers|``, drawn slightly towards a first guess.

    Args:
        read: What the weights multiply (P, F).
        answers: What they shall make of it (P, K).
        start: The first guess (F, K).

    Returns:
        W (F, K).
    """
    gram = read.T @ read
    pull = RIDGE * gram.diagonal().mean() + torch.finfo(gram.dtype).tiny
    wrong = answers - read @ start
    correction: Tensor = torch.linalg.solve(gram + pull * torch.eye(len(gram)).to(gram), read.T @ wrong)
    return start + correction


@torch.no_grad()
def damage(conv: nn.Conv2d, made: nn.Module, x: Tensor) -> float:
    """Give by how much layers answer otherwise than a convolution, relative to its answers, in root mean squares."""
    x = x.to(conv.weight.dtype)
    before = conv(x).float()
    return float((made(x).float() - before).norm() / before.norm().clamp_min(torch.finfo(torch.float32).tiny))


_FITS: Mapping[str, Callable[[Tensor, Tensor, list[nn.Conv2d]], list[Tensor]]] = MappingProxyType(
    {"separable": _separable, "depthwise": _depthwise, "bottleneck": _bottleneck, "grouped": _grouped}
)
