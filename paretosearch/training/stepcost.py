"""Measures what a step of another batch size, or a layer, would cost, leaving no trace in the training."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

import torch
from torch import Tensor, nn

from paretosearch.data import Batches
from paretosearch.run import Loss, Run, StepCost
from paretosearch.training.clock import Clock
from paretosearch.training.precision import Precision
from paretosearch.training.surgery import undisturbed

#: The first steps of a shape build kernels; the median of the others counts.
WARM_UP, MEASURED = 2, 5

#: A layer takes a small part of a step, and more passes for the same certainty.
LAYER_PASSES = 9


def step_cost(
    run: Run, forward: Callable[[Tensor], Tensor], batches: Batches, loss: Loss, precision: Precision, batch_size: int
) -> StepCost:
    """Run forward and backward a few times; weights, statistics and random numbers stay.

    The optimizer's step is not part of it: it costs the same for all batch sizes, and little. The images are of their
    full size, whatever is trained on at the moment: a batch that is chosen by it must still fit when they are.

    Args:
        run: The training, between two steps.
        forward: How its network is called.
        batches: Where its images come from.
        loss: Its loss.
        precision: Its number format.
        batch_size: Images per step.

    Returns:
        Median seconds and peak memory of a step; endless seconds and all of the memory if a GPU has no room for it.
    """
    memory = _memory(run.device)
    drawn = [(generator, generator.get_state()) for generator in precision.generators]
    try:
        with undisturbed(run.model, training=True), torch.enable_grad():
            seconds = [_step(run, forward, batches, loss, precision, batch_size) for _ in range(WARM_UP + MEASURED)]
    except torch.OutOfMemoryError:
        return StepCost(math.inf, memory or 0, memory)
    finally:
        run.optimizer.zero_grad(set_to_none=True)
        for generator, state in drawn:
            generator.set_state(state)
    peak = 0 if memory is None else torch.cuda.max_memory_allocated(run.device)
    return StepCost(statistics.median(seconds[WARM_UP:]), peak, memory)


def _step(
    run: Run, forward: Callable[[Tensor], Tensor], batches: Batches, loss: Loss, precision: Precision, batch_size: int
) -> float:
    with Clock(run.device).event() as event:
        x = batches.sample(batch_size)
        with precision.autocast():
            value = loss(forward(x), torch.zeros(len(x), dtype=torch.int64, device=run.device))
        torch.autograd.backward(value)
        run.optimizer.zero_grad(set_to_none=True)
    return event.seconds


def layer_cost(layer: nn.Module, x: Tensor, device: torch.device, precision: Precision) -> float:
    """Run forward and backward of a layer a few times; random numbers stay, and the layer gets no gradient.

    Args:
        layer: The layer, which must have no state but its parameters.
        x: Its input (N, C, H, W), whose gradient is computed as well if it requires one.
        device: Where.
        precision: The number format of the training.

    Returns:
        Median seconds; endless ones if a GPU has no room for it.
    """
    drawn = [(generator, generator.get_state()) for generator in precision.generators]
    try:
        with torch.enable_grad():
            seconds = [_layer_pass(layer, x, device, precision) for _ in range(WARM_UP + LAYER_PASSES)]
    except torch.OutOfMemoryError:
        return math.inf
    finally:
        layer.zero_grad(set_to_none=True)
        for generator, state in drawn:
            generator.set_state(state)
    return statistics.median(seconds[WARM_UP:])


def _layer_pass(layer: nn.Module, x: Tensor, device: torch.device, precision: Precision) -> float:
    x = x.detach().requires_grad_(x.requires_grad)
    with Clock(device).event() as event:
        with precision.autocast():
            y = layer(x)
        torch.autograd.backward(y, torch.ones_like(y))
    layer.zero_grad(set_to_none=True)
    return event.seconds


def _memory(device: torch.device) -> int | None:
    """Give the memory of a GPU, whose maximum starts anew; a CPU's is everybody's, and has no limit here."""
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(device)
    return torch.cuda.get_device_properties(device).total_memory
