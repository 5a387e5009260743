"""What became of channels that were copied when a network grew."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from paretosearch.group_lasso import weights
from paretosearch.run import Run


def figures(run: Run, plan: Mapping[str, Tensor]) -> dict[str, float]:
    """Say how alike copies still are, and how many of the channels to be cut are copies.

    Growth was useless where pruning undoes it: over 70 % of what it cuts are copies, or these are more alike than 0.95
    when it begins (methods-structure, section 3.5).

    Args:
        run: The training.
        plan: Index of the channels to keep in every space that will be cut.

    Returns:
        ``similarity``, the mean cosine between the weights that make a channel and those that make its copies, in
        [-1, 1]; ``copies_cut``, a share in [0, 1], if anything is cut. Nothing if the network has no copies.
    """
    lineages = {space.name: run.anatomy.lineage(space) for space in run.anatomy.channels.free}
    if not any(bool(lineage.copied.any()) for lineage in lineages.values()):
        return {}
    found = {"similarity": _mean_similarity(run)}
    cut = [_without(lineages[name].copied, index) for name, index in plan.items()]
    return found | ({"copies_cut": torch.cat(cut).float().mean().item()} if cut else {})


def similarity(rows: Tensor, origins: Tensor) -> Tensor:
    """Give the mean cosine of each group of copies.

    Args:
        rows: What makes each channel (C, W).
        origins: The channel that each was copied from, int64 (C,).

    Returns:
        Mean cosine over the pairs of every group of at least two.
    """
    unit = F.normalize(rows.float())
    sums = unit.new_zeros(int(origins.max()) + 1, rows.shape[1]).index_add_(0, origins, unit)
    counts = torch.bincount(origins).to(unit)
    copied = counts > 1
    pairs = counts * (counts - 1)
    return ((sums.square().sum(1) - counts) / pairs)[copied]


def _mean_similarity(run: Run) -> float:
    channel_map, cosines = run.anatomy.channels, []
    for place, weight in weights(run.model, channel_map):
        space = channel_map.spaces[place.segments[0].space]
        if place.role == "producer" and space.frozen_reason is None:
            origins = run.anatomy.lineage(space).origins.to(weight.device)
            cosines.append(similarity(weight.detach().flatten(1), origins))
    return torch.cat(cosines).mean().item()


def _without(copied: Tensor, kept: Tensor) -> Tensor:
    cut = torch.ones(len(copied), dtype=torch.bool)
    cut[kept] = False
    return copied[cut]
