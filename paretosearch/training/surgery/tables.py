"""Tables from operation to rule: all that surgery knows about layers, functions or methods."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from paretosearch.filters import FixedFilters
from paretosearch.ghost import GhostBatchNorm2d
from paretosearch.method import Pool
from paretosearch.structure import StrengthConv2d
from paretosearch.training.surgery.constant import ChannelConstant
from paretosearch.training.surgery.rules import (
    concatenation,
    convolution,
    elementwise,
    fixed,
    item,
    linear,
    pad,
    per_channel,
    prelu,
    reparametrised,
    reshape,
    spatial,
    spatial_mean,
    transparent,
    transparent_module,
    unknown,
)
from paretosearch.training.surgery.walk import Rule, Walk
from paretosearch.wavelets import FixedBands
from paretosearch.weightnorm import MeanOnlyConv2d, WeightNormConv2d

_BATCH_NORM = per_channel("weight", "bias", "running_mean", "running_var")

#: Leaf modules. A type that is not here is looked into, or frozen if it is PyTorch's own. Add what passes every
#: channel on by itself to the first group; a `Pool` does, whatever fills it.
_MODULES: dict[type[nn.Module], Rule] = {
    **dict.fromkeys(
        (
            *(Pool, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout),
            *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus),
            *(nn.Sigmoid, nn.Tanh, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.LogSigmoid, nn.Softsign),
            nn.Upsample,
        ),
        transparent_module,
    ),
    **dict.fromkeys(
        (
            *(nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d, nn.FractionalMaxPool2d, nn.AdaptiveAvgPool2d),
            *(nn.AdaptiveMaxPool2d, nn.ZeroPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d),
        ),
        spatial(2),
    ),
    **dict.fromkeys((nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d), spatial(1)),
    **dict.fromkeys((nn.Conv1d, nn.Conv2d), convolution),
    **dict.fromkeys((WeightNormConv2d, MeanOnlyConv2d), reparametrised),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, GhostBatchNorm2d), _BATCH_NORM),
    nn.Linear: linear,
    nn.PReLU: prelu,
    nn.Flatten: reshape,
    ChannelConstant: per_channel("value", attribute="channels"),
    FixedFilters: fixed("are those of filters that the images give"),
    FixedBands: fixed("are the bands of the images"),
    StrengthConv2d: fixed("are those of filters whose structure stays"),
}

#: Functions, as `torch.fx` sees them.
FUNCTIONS: dict[Callable[..., Any], Rule] = {
    **dict.fromkeys(
        (
            *(F.relu, F.relu6, F.leaky_relu, F.elu, F.selu, F.celu, F.gelu, F.silu, F.mish, F.softplus),
            *(F.sigmoid, F.tanh, F.hardtanh, F.hardsigmoid, F.hardswish, F.logsigmoid, F.softsign),
            *(torch.relu, torch.sigmoid, torch.tanh, torch.clamp, torch.abs, torch.neg, operator.neg),
            *(F.dropout, F.dropout2d, F.interpolate),
        ),
        transparent,
    ),
    **dict.fromkeys(
        (F.max_pool2d, F.avg_pool2d, torch.max_pool2d, F.adaptive_avg_pool2d, F.adaptive_max_pool2d), spatial(2)
    ),
    **dict.fromkeys(
        (
            *(operator.add, operator.iadd, operator.sub, operator.isub, operator.mul, operator.imul),
            *(operator.truediv, torch.add, torch.sub, torch.mul, torch.maximum, torch.minimum),
        ),
        elementwise,
    ),
    **dict.fromkeys((torch.flatten, torch.reshape, torch.squeeze, torch.unsqueeze), reshape),
    **dict.fromkeys((torch.cat, torch.concat), concatenation),
    torch.mean: spatial_mean,
    operator.getitem: item,
    F.pad: pad,
}

#: Methods of tensors, by name.
METHODS: dict[str, Rule] = {
    **dict.fromkeys(
        ("relu", "relu_", "sigmoid", "tanh", "clamp", "abs", "neg", "contiguous", "clone", "detach", "float"),
        transparent,
    ),
    **dict.fromkeys(("add", "add_", "sub", "sub_", "mul", "mul_", "div", "expand_as"), elementwise),
    **dict.fromkeys(("flatten", "view", "reshape", "squeeze", "unsqueeze"), reshape),
    "mean": spatial_mean,
}


def module_rules() -> Mapping[type[nn.Module], Rule]:
    """Give the rules of leaf modules, with those of torchvision where a network can have them.

    Importing torchvision takes two seconds, and who has not imported it has no layer of it.
    """
    ops = sys.modules.get("torchvision.ops")
    return _MODULES if ops is None else {**_MODULES, ops.StochasticDepth: transparent_module}


def rule_of(walk: Walk, node: fx.Node) -> Rule:
    """Give the rule of an operation; `unknown` for one that no table has."""
    rule: Rule | None
    if node.op == "call_module":
        rule = module_rules().get(type(walk.module(node)))
    elif node.op == "call_method":
        rule = METHODS.get(str(node.target))
    else:
        rule = FUNCTIONS.get(node.target)  # type: ignore[arg-type]  # the target of call_function is a function
    if rule is None:
        return unknown
    if rule is not reshape:  # which alone may use such numbers
        walk.freeze(walk.counts(node), f"{node.name} computes with how many channels there are")
    return rule
