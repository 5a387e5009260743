"""What an optimizer holds of each parameter, and how a parameter joins or leaves it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from paretosearch.channels import Kind

#: Optimizer state of a parameter's shape, by its name in SGD, Adam and its kin, Adamax, Adagrad. A weight decay that an
#: optimizer adds to the gradient is taken for a part of it. RMSprop's and Adadelta's are not here: what they call by
#: such names is divided by a root of squares, and moves in a fourth way.
STATE_KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "momentum_buffer": "gradient",
        "gap": "weight",  # schedule_free's, a difference of weights
        "exp_avg": "gradient",
        "exp_inf": "gradient",
        "exp_avg_sq": "square",
        "max_exp_avg_sq": "square",
        "sum": "square",
    }
)


def moving_state(parameter: Tensor, optimizer: Optimizer) -> dict[str, Tensor] | None:
    """Give the state that must change shape with a parameter.

    Args:
        parameter: A parameter of the optimizer, or any other tensor.
        optimizer: The optimizer.

    Returns:
        The state tensors by name, without counters; None if there are some that nobody knows how to change.
    """
    state = optimizer.state.get(parameter, {})
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor) and value.ndim > 0}
    strange = next((n for n, v in tensors.items() if n not in STATE_KINDS or v.shape != parameter.shape), None)
    if strange is None:
        return tensors
    warnings.warn(
        f"{type(optimizer).__name__} keeps {strange!r}, which surgery cannot change: "
        "the optimizer's state of the changed parameters starts anew",
        stacklevel=2,
    )
    return None


def join(optimizer: Optimizer, new: Tensor, like: Tensor) -> None:
    """Let a parameter be trained as another one is.

    Args:
        optimizer: The optimizer.
        new: The parameter to add.
        like: A parameter whose group it joins.
    """
    group = next((g for g in optimizer.param_groups if any(p is like for p in g["params"])), None)
    if group is None:
        return
    group["params"].append(new)
    # The fused SGD takes momentum buffers of all parameters or of none. A zero one is what the first step would make.
    if isinstance(optimizer.state.get(like, {}).get("momentum_buffer"), Tensor):
        optimizer.state[new]["momentum_buffer"] = torch.zeros_like(new, memory_format=torch.preserve_format)


def leave(optimizer: Optimizer, parameters: Iterable[nn.Parameter]) -> None:
    """Forget parameters that are no longer trained.

    Args:
        optimizer: The optimizer.
        parameters: The parameters to take out of its groups and its state.
    """
    gone = set(parameters)
    for group in optimizer.param_groups:
        group["params"][:] = [parameter for parameter in group["params"] if parameter not in gone]
    for parameter in gone:
        optimizer.state.pop(parameter, None)
