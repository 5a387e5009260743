"""Number formats: what each sets, and which devices have it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from paretosearch.errors import DeviceError
from paretosearch.outcome import BY_INTEGERS
from paretosearch.training.fixedpoint import kernel
from paretosearch.training.fixedpoint.blockfloat import BlockFloat
from paretosearch.training.fixedpoint.choice import back_end_for
from paretosearch.training.fixedpoint.convolution import BackEnd, Fast
from paretosearch.training.fixedpoint.integers import Integers
from paretosearch.training.fixedpoint.mode import FixedPointMode

#: A short training never reaches torch's default of 2**16 without skipping; 2**13 leaves room for gradients up to 8.
FIRST_LOSS_SCALE = 2.0**13


@dataclass(frozen=True)
class NumberFormat:
    """One way to do the arithmetic of forward and backward.

    The *pure* formats keep the weights of convolutions and dense layers in 16 bits, without a copy in fp32 and without
    a loss scale; normalisation stays fp32. This saves a conversion in every pass, and memory. It costs what a sum of
    16 bits cannot hold: of an update below 2^-9 of its weight in bf16, 2^-12 in fp16, nothing is left, and of one
    below twice that often nothing, so that small learning rates, weight decay and proximal steps come to a halt; a
    gradient below 2^-25 is 0 in fp16. The code of airbench (KellerJordan/cifar10-airbench) trains its networks in this
    way in fp16, with a loss that is summed over the batch, which makes gradients larger.

    Args:
        autocast: Type that convolutions and matrix products compute in; None is fp32.
        tf32: Whether fp32 products may drop 13 bits of their operands on tensor cores.
        scaled: Whether small gradients need a loss scale (Micikevicius et al. 2018, arXiv:1710.03740, section 3.2).
        capability: Smallest CUDA compute capability that does this fast, as (major, minor).
        needs: What that is called, for messages.
        on_cpu: Whether a CPU can do it at all; how fast is measured by `fleet.formats`.
        word_length: Bits of a mantissa where tensors share an exponent, which no device here computes in: such a format
            is simulated. 0 where numbers have exponents of their own.
        keeps_weights: Whether the weights are kept in fp32, and rounded for each step only.
    """

    autocast: torch.dtype | None
    tf32: bool
    scaled: bool
    capability: tuple[int, int]
    needs: str
    on_cpu: bool
    word_length: int = 0
    keeps_weights: bool = True

    @property
    def simulated(self) -> bool:
        """Whether the device computes in another format, so that nothing is saved."""
        return self.word_length > 0


FORMATS = {
    "fp32": NumberFormat(None, False, False, (0, 0), "any device", True),
    "tf32": NumberFormat(None, True, False, (8, 0), "an NVIDIA GPU of the Ampere generation or later", False),
    "bf16": NumberFormat(torch.bfloat16, False, False, (8, 0), "an NVIDIA GPU of the Ampere generation or later", True),
    "fp16": NumberFormat(torch.float16, False, True, (7, 0), "an NVIDIA GPU of the Volta generation or later", True),
    "dfp16": NumberFormat(None, False, False, (0, 0), "any device", True, word_length=16),
    "bfp16": NumberFormat(None, False, False, (0, 0), "any device", True, word_length=16, keeps_weights=False),
    "bfp8": NumberFormat(None, False, False, (0, 0), "any device", True, word_length=8, keeps_weights=False),
}
FORMATS["bf16-pure"] = replace(FORMATS["bf16"], keeps_weights=False)
FORMATS["fp16-pure"] = replace(FORMATS["fp16"], keeps_weights=False, scaled=False)

#: The layers whose weights the pure formats keep in 16 bits.
_LAYERS = (_ConvNd, nn.Linear)


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
        headroom: Bits of every mantissa of ``dfp16`` that stay free, 0 to 2.
        seed: Of rounding at random.

    Raises:
        DeviceError: If the device cannot do the format.
    """

    def __init__(self, name: str, device: torch.device, headroom: int = 2, seed: int = 0) -> None:
        reason = refusal(name, device)
        if reason:
            raise DeviceError(f"number_format = {name!r} {reason}, and this is a {device.type} device")
        self._format = FORMATS[name]
        self._device, self._headroom = device, headroom
        self._back_end: BackEnd | None = None
        self._block_float: BlockFloat | None = None
        if self._format.simulated and self._format.keeps_weights:
            self._back_end = back_end_for(device, headroom)  # may be built and measured now
        elif self._format.simulated:
            self._block_float = BlockFloat(self._format.word_length, device, seed)
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
        if self._block_float is not None:
            return self._block_float.context()
        if self._back_end is not None:
            return FixedPointMode(self._headroom, self._back_end)
        dtype = self._format.autocast
        return torch.autocast(self._device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)

    @property
    def pattern(self) -> str:
        """How the device computes in the format, where there is more than one way."""
        return f"{BY_INTEGERS}{kernel.isa()}" if isinstance(self._back_end, Integers) else ""

    @property
    def generators(self) -> tuple[torch.Generator, ...]:
        """What random numbers are drawn from."""
        return () if self._block_float is None else (self._block_float.generator,)

    @property
    def has_plain_operations(self) -> bool:
        """Whether what lies between convolutions may be done by other operations that give the same result."""
        return self._block_float is None

    def convert(self, model: nn.Module) -> nn.Module:
        """Give a network whose weights are kept as the format keeps them; what optimizers hold would not follow."""
        if self._format.autocast is not None and not self._format.keeps_weights:
            for layer in model.modules():
                if isinstance(layer, _LAYERS):
                    layer.to(self._format.autocast)
        return model

    def settle(self, optimizer: torch.optim.Optimizer) -> None:
        """Bring the weights that an optimizer has into the format, whoever has changed them."""
        if self._block_float is not None:
            self._block_float.round_weights(optimizer)

    def backward(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Leave unscaled gradients of a loss, a scalar, in the optimizer's parameters."""
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch does not annotate Tensor.backward
        self._scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> Tensor:
        """Update the weights, or skip where a gradient is not finite; counts the skips on the device.

        Returns:
            1 if the step was made and 0 if not, a scalar on the device.
        """
        if self._block_float is not None:
            self._block_float.round_gradients(optimizer)
        if not self._format.scaled:
            optimizer.step()
            return self._one
        before = self._scaler.scale(self._one)
        self._scaler.step(optimizer)
        self._scaler.update()
        skipped = self._scaler.scale(self._one) < before  # the scale falls when a step is skipped, and only then
        self._skipped += skipped
        return 1.0 - skipped.float()

    def forget_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Take back what a step that was begun left in an optimizer and here: gradients, and how they are scaled."""
        optimizer.zero_grad(set_to_none=True)
        if self._format.scaled:
            self._scaler.update(self._scaler.get_scale())  # the scale that it has; the rest begins anew

    def take_skipped(self) -> tuple[int, float | None]:
        """Read and reset the number of skipped steps; waits for the device, once.

        Returns:
            The number, and the loss scale now, which is None where the format has none.
        """
        skipped, scale = torch.stack([self._skipped, self._scaler.scale(self._one)]).tolist()
        self._skipped.zero_()
        return int(skipped), scale if self._format.scaled else None

    def state_dict(self) -> dict[str, Any]:
        """Give the loss scale, with what decides when it changes, and the state of the rounding."""
        rounding = {} if self._block_float is None else self._block_float.state_dict()
        by_integers = isinstance(self._back_end, Integers)
        return {"scaler": self._scaler.state_dict(), "rounding": rounding, "integers": by_integers}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back."""
        self._scaler.load_state_dict(state["scaler"])
        if self._back_end is not None:  # as it was, whatever is faster here
            self._back_end = Integers(self._headroom) if state["integers"] else Fast()
        if self._block_float is not None:
            self._block_float.load_state_dict(state["rounding"])
