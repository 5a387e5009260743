"""Batch norm by chunks of a batch."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.overrides import handle_torch_function, has_torch_function_unary

from paretosearch.moments import variance_and_mean

# Shapes: N images in K chunks of B, C channels, H and W of a map.

#: Dimensions of (K, B, C, H, W) over which statistics are taken.
_PLACES = (1, 3, 4)


def ghost_norm(
    x: Tensor, running_mean: Tensor, running_var: Tensor, weight: Tensor, bias: Tensor, shares: Tensor, eps: float
) -> Tensor:
    """Normalise every chunk of a batch by its own statistics, then scale and shift.

    It is a few passes over the whole batch, however many chunks there are, and no copy to another memory format.

    Args:
        x: Images (N, C, H, W); N is a multiple of K.
        running_mean: Average of the chunks' means (C,), updated.
        running_var: Average of their variances (C,), without bias, updated.
        weight: Scale (C,).
        bias: Shift (C,).
        shares: Share of each chunk in the new averages (K,); the old ones have what is left of 1.
        eps: Added to variances.

    Returns:
        Images (N, C, H, W) in the format and memory format of ``x``.
    """
    if has_torch_function_unary(x):  # a number format may want to round what comes out
        arguments = (running_mean, running_var, weight, bias, shares, eps)
        rounded: Tensor = handle_torch_function(ghost_norm, (x,), x, *arguments)
        return rounded
    y: Tensor
    y, mean, variance = _GhostNorm.apply(x, weight, bias, len(shares), eps)
    places = x.numel() // variance.numel()
    with torch.no_grad():
        for running, of_chunks in ((running_mean, mean), (running_var, variance * (places / (places - 1)))):
            running.mul_(1 - shares.sum()).add_((shares[:, None] * of_chunks.view(len(shares), -1)).sum(0))
    return y


class _GhostNorm(torch.autograd.Function):
    """The formulas are those of Ioffe & Szegedy 2015, arXiv:1502.03167, section 3, in fp32 or wider."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, chunks: int, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        wide = _wide(x, chunks)
        variance, mean = variance_and_mean(wide, _PLACES)
        inverse = torch.rsqrt(variance + eps)
        scale = inverse * weight[:, None, None]
        # What follows may write over the result, which autograd allows where that is no view.
        y = torch.empty_like(x)
        torch.addcmul(bias[:, None, None] - mean * scale, wide, scale, out=_parts(y, chunks))
        ctx.save_for_backward(x, weight, mean, inverse)
        ctx.mark_non_differentiable(mean, variance)
        ctx.chunks = chunks
        return y, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse = ctx.saved_tensors
        wide, grad = _wide(x, ctx.chunks), _wide(grad, ctx.chunks)
        of_bias = grad.sum(_PLACES, keepdim=True)
        of_weight = ((grad * wide).sum(_PLACES, keepdim=True) - mean * of_bias) * inverse
        scale = inverse * weight[:, None, None]
        places = x.numel() // mean.numel()
        of_x = -scale * inverse * of_weight / places
        rest = -scale * of_bias / places - mean * of_x
        grad_x = torch.addcmul(rest, wide, of_x, out=torch.empty_like(wide)).addcmul_(grad, scale)
        return grad_x.flatten(0, 1).to(x.dtype), of_weight.sum(0).flatten(), of_bias.sum(0).flatten(), None, None


def _parts(x: Tensor, chunks: int) -> Tensor:
    """Show (N, C, H, W) as (K, B, C, H, W)."""
    return x.view(chunks, -1, *x.shape[1:])


def _wide(x: Tensor, chunks: int) -> Tensor:
    """Show (N, C, H, W) as (K, B, C, H, W), in fp32 at least."""
    return _parts(x, chunks).to(torch.promote_types(x.dtype, torch.float32))


class GhostBatchNorm2d(nn.BatchNorm2d):
    """Batch norm that normalises chunks of a batch by their own statistics; in evaluation it is batch norm.

    The running averages are updated once by every chunk, in order (methods-numerics, section 9). Images that are left
    over join the last chunk, since the statistics of a few would be worse than those of some more; a batch of less than
    two chunks is one.

    Paper: Hoffer et al. 2017, arXiv:1705.08741.

    Args:
        channels: Number of channels.
        size: Images of a chunk, 2 or more.
        eps: Added to variances.
        momentum: Share of a chunk in the running averages; None takes the mean of all.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, channels: int, size: int, eps: float = 1e-5, momentum: float | None = 0.1) -> None:
        super().__init__(channels, eps, momentum)
        self.size = size

    @classmethod
    def of(cls, norm: nn.BatchNorm2d, size: int) -> Self:
        """Make one of a batch norm with scale, shift and running averages, whose tensors it takes over."""
        made = cls(norm.num_features, size, norm.eps, norm.momentum)
        for name, tensor in (*norm.named_parameters(), *norm.named_buffers()):
            setattr(made, name, tensor)
        return made

    def plain(self) -> nn.BatchNorm2d:
        """Make the batch norm that it is in evaluation, of the same tensors."""
        made = nn.BatchNorm2d(self.num_features, self.eps, self.momentum)
        for name, tensor in (*self.named_parameters(), *self.named_buffers()):
            setattr(made, name, tensor)
        return made

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, size={self.size}"  # type: ignore[no-untyped-call]  # torch does not annotate it

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as batch norm calls it
        """Normalise (N, C, H, W)."""
        chunks = max(1, input.shape[0] // self.size) if self.training else 1
        if chunks == 1 or input.shape[0] == chunks * self.size:
            return self._normalised(input, chunks)
        whole = (chunks - 1) * self.size
        # The gradient of a split keeps the memory format, as that of a slice does not.
        first, last = input.split_with_sizes([whole, len(input) - whole])
        return torch.cat([self._normalised(first, chunks - 1), self._normalised(last, 1)])

    def _normalised(self, x: Tensor, chunks: int) -> Tensor:
        if chunks == 1:
            return super().forward(x)
        self.num_batches_tracked.add_(chunks)
        given = self.running_mean, self.running_var, self.weight, self.bias
        return ghost_norm(x, *given, self._shares(chunks), self.eps)

    def _shares(self, chunks: int) -> Tensor:
        """Give the share of each chunk (K,) in the running averages when all have updated them in turn."""
        if self.momentum is None:
            return self.running_mean.new_full((chunks,), 1 / float(self.num_batches_tracked))
        later = torch.arange(chunks - 1, -1, -1, dtype=self.running_mean.dtype, device=self.running_mean.device)
        shares: Tensor = self.momentum * (1 - self.momentum) ** later
        return shares
