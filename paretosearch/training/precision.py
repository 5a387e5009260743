"""Number formats: what each sets, and which devices have it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from paretosearch.errors import DeviceError

#: A short training never reaches torch's default of 2**16 without skipping; 2**13 leaves room for gradients up to 8.
FIRST_LOSS_SCALE = 2.0**13


@dataclass(frozen=True)
class NumberFormat:
    """One way to do the arithmetic of forward and backward; weights are kept in fp32 by all.

    Args:
        autocast: Type that convolutions and matrix products compute in; None is fp32.
        tf32: Whether fp32 products may drop 13 bits of their operands on tensor cores.
        scaled: Whether small gradients need a loss scale (Micikevicius et al. 2018, arXiv:1710.03740, section 3.2).
        capability: Smallest CUDA compute capability that does this fast, as (major, minor).
        needs: What that is called, for messages.
        on_cpu: Whether a CPU can do it at all; how fast is measured by `fleet.formats`.
    """

    autocast: torch.dtype | None
    tf32: bool
    scaled: bool
    capability: tuple[int, int]
    needs: str
    on_cpu: bool


FORMATS = {
    "fp32": NumberFormat(None, False, False, (0, 0), "any device", True),
    "tf32": NumberFormat(None, True, False, (8, 0), "an NVIDIA GPU of the Ampere generation or later", False),
    "bf16": NumberFormat(torch.bfloat16, False, False, (8, 0), "an NVIDIA GPU of the Ampere generation or later", True),
    "fp16": NumberFormat(torch.float16, False, True, (7, 0), "an NVIDIA GPU of the Volta generation or later", True),
}


def refusal(name: str, device: torch.device) -> str | None:
    """Say why a device cannot do a format.

    Args:
        name: A key of `FORMATS`.
        device: The device; a GPU must exist.

    Returns:
        The reason in one line, or None if it can.
    """
    number_format = FORMATS[name]
    if device.type == "cpu":
        return None if number_format.on_cpu else f"needs {number_format.needs}"
    has = torch.cuda.get_device_capability(device)
    return None if has >= number_format.capability else f"needs {number_format.needs}"


class Precision:
    """A number format at work on a device.

    Args:
        name: A key of `FORMATS`.
        device: Where.

    Raises:
        DeviceError: If the device cannot do the format.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        reason = refusal(name, device)
        if reason:
            raise DeviceError(f"number_format = {name!r} {reason}, and this is a {device.type} device")
        self._format = FORMATS[name]
        self._device = device
        self._scaler = torch.amp.GradScaler(device.type, init_scale=FIRST_LOSS_SCALE, enabled=self._format.scaled)
        self._one = torch.ones((), device=device)
        self._skipped = torch.zeros((), device=device)

    def set_flags(self) -> None:
        """Set every process-wide switch that decides what fp32 means, so that no earlier training decides it."""
        torch.backends.cuda.matmul.allow_tf32 = self._format.tf32
        torch.backends.cudnn.allow_tf32 = self._format.tf32
        # Every format adds up in fp32.
        torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False

    def autocast(self) -> AbstractContextManager[object]:
        """Give the context for a forward pass including the loss."""
        dtype = self._format.autocast
        return torch.autocast(self._device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)

    def backward(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Leave unscaled gradients of a loss, a scalar, in the optimizer's parameters."""
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch does not annotate Tensor.backward
        self._scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> Tensor:
        """Update the weights, or skip where a gradient is not finite; counts the skips on the device.

        Returns:
            1 if the step was made and 0 if not, a scalar on the device.
        """
        if not self._format.scaled:
            optimizer.step()
            return self._one
        before = self._scaler.scale(self._one)
        self._scaler.step(optimizer)
        self._scaler.update()
        skipped = self._scaler.scale(self._one) < before  # the scale falls when a step is skipped, and only then
        self._skipped += skipped
        return 1.0 - skipped.float()

    def take_skipped(self) -> int:
        """Read and reset the number of skipped steps; waits for the device."""
        skipped = int(self._skipped.item())
        self._skipped.zero_()
        return skipped

    def state_dict(self) -> dict[str, Any]:
        """Give the loss scale, with what decides when it changes."""
        return self._scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back."""
        self._scaler.load_state_dict(state)
