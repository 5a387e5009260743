"""Removes residual branches that contribute nothing any more."""

from __future__ import annotations

from torch import fx, nn
from torch.optim import Optimizer

from paretosearch.errors import SurgeryError
from paretosearch.training.surgery.branches import Fork, fork_of, is_in_place, regraphed
from paretosearch.training.surgery.constant import ChannelConstant
from paretosearch.training.surgery.optimizers import leave
from paretosearch.training.surgery.tables import module_rules
from paretosearch.training.surgery.tracing import graph_of


def remove_branch(
    model: nn.Module, block: str, optimizer: Optimizer | None = None, constant: bool | None = None
) -> tuple[nn.Parameter, ...]:
    """Take a residual block's branch away; its shortcut stays, and whatever follows the addition.

    A branch whose weights are zero still adds the last layer's bias to every channel: batch norm makes that of the
    zeros it gets. The bias stays as it is, the same trained parameter at the same place, so that outputs in training
    do not change and neither does its gradient. With a running mean that is not zero yet, outputs in evaluation were
    off by that much. Write zeros to the bias first to be rid of it. (Lym et al. 2019, arXiv:1901.09290, removes it.)

    The map of the network is no longer valid: analyse it again.

    Args:
        model: The network.
        block: Qualified name of the block, as a `Branch` has it.
        optimizer: Optimizer to take the branch's parameters out of.
        constant: Whether the bias stays; None decides by whether it has an entry that is not zero.

    Returns:
        The parameters that the network has no longer.

    Raises:
        SurgeryError: If the block has no branch that can be removed.
    """
    old = model.get_submodule(block)
    fork = fork_of(old)
    if fork is None or str(graph_of(old, module_rules(), training=False)) != str(fork.graph):
        raise SurgeryError(
            f"{block!r} has no residual branch that can be removed; the channel map lists those that have"
        )
    bias = getattr(old.get_submodule(str(fork.branch.target)), "bias", None)
    keep = bias is not None and bool(bias.any()) if constant is None else constant
    new = _without_branch(old, fork, bias if keep else None)
    model.set_submodule(block, new)
    kept = set(model.parameters())
    gone = tuple(parameter for parameter in old.parameters() if parameter not in kept)
    if optimizer is not None:
        leave(optimizer, gone)
    return gone


def _without_branch(block: nn.Module, fork: Fork, bias: nn.Parameter | None) -> nn.Module:
    # What follows the addition may write over its operand, which is now the block's input and belongs to others.
    for node in list(fork.addition.users):
        _make_out_of_place(block, node)
    extra: dict[str, nn.Module] = {}
    result = fork.shortcut
    if bias is not None:
        extra["constant"] = ChannelConstant(bias)
        with fork.graph.inserting_before(fork.addition):
            result = fork.graph.call_module("constant", (fork.shortcut,))
    fork.addition.replace_all_uses_with(result)
    fork.graph.erase_node(fork.addition)
    return regraphed(block, fork.graph, extra)


def _make_out_of_place(block: nn.Module, node: fx.Node) -> None:
    if not is_in_place(block, node):
        return
    if node.op == "call_module":
        block.get_submodule(str(node.target)).inplace = False  # type: ignore[assignment]  # a flag, not a module
    elif "inplace" in node.kwargs:
        node.update_kwarg("inplace", False)
    else:
        node.target = str(node.target).removesuffix("_")
