"""Learns a dictionary of which patches are sparse combinations."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Shapes: P patches of length L, K atoms, B patches of a batch.

#: Patches of a batch, and times that all patches are seen.
BATCH, PASSES = 256, 4

#: Steps towards the codes of a batch, as methods-structure, section 5, has them; gradient steps of the atoms after it.
CODE_STEPS, ATOM_STEPS = 20, 2

#: Share of what earlier batches say that stays: their codes are of atoms that were not as good.
MEMORY = 0.9

#: Atoms with less than this share of the mean energy are given up for a patch.
IDLE = 1e-3


def sparse_codes(rows: Tensor, atoms: Tensor, sparsity: float, steps: int = CODE_STEPS) -> Tensor:
    """Go towards the codes that minimise ``|x - code @ atoms|^2 / 2 + sparsity * |code|_1``, by ISTA.

    Args:
        rows: Patches x (B, L).
        atoms: Atoms (K, L), not all zero.
        sparsity: Weight of the sum of absolute codes.
        steps: How many steps.

    Returns:
        Codes (B, K).
    """
    gram, targets = atoms @ atoms.T, rows @ atoms.T
    rate = 1 / torch.linalg.matrix_norm(gram, 2)
    codes = torch.zeros_like(targets)
    for _ in range(steps):
        codes = F.softshrink(codes - rate * (codes @ gram - targets), float(rate * sparsity))
    return codes


@torch.no_grad()
def learned(rows: Tensor, count: int, sparsity: float, generator: torch.Generator) -> Tensor:
    """Learn atoms of length 1, batch by batch, from the codes of all batches so far.

    After Mairal et al. 2009 (online dictionary learning): the mean products of codes with codes and with patches are
    kept, and the atoms go down the gradient that these give; the gradient steps for all atoms at once are ours.

    Args:
        rows: Patches (P, L) of length 1, in fp32.
        count: Atoms to learn, K.
        sparsity: As `sparse_codes` has it.
        generator: Source of the order and of the first atoms, on the CPU.

    Returns:
        Atoms (K, L).
    """
    noise = torch.randn(count, rows.shape[1], generator=generator).to(rows) * 0.1 / rows.shape[1] ** 0.5
    atoms = F.normalize(rows[torch.randint(len(rows), (count,), generator=generator).to(rows.device)] + noise)
    products, seen = rows.new_zeros(count, count), rows.new_zeros(count, rows.shape[1])
    for _ in range(PASSES):
        order = torch.randperm(len(rows), generator=generator).to(rows.device)
        for batch in torch.split(rows[order], BATCH):
            codes = sparse_codes(batch, atoms, sparsity)
            products = MEMORY * products + codes.T @ codes
            seen = MEMORY * seen + codes.T @ batch
            atoms = _improved(atoms, products, seen)
            _revive(atoms, products, batch, generator)
    return atoms


def _improved(atoms: Tensor, products: Tensor, seen: Tensor) -> Tensor:
    rate = 1 / torch.linalg.matrix_norm(products, 2).clamp_min(torch.finfo(products.dtype).tiny)
    for _ in range(ATOM_STEPS):
        atoms = F.normalize(atoms - rate * (products @ atoms - seen))
    return atoms


def _revive(atoms: Tensor, products: Tensor, batch: Tensor, generator: torch.Generator) -> None:
    """Let atoms that nothing is made of begin anew, at patches."""
    energy = products.diagonal()
    idle = (energy <= IDLE * energy.mean()).nonzero().flatten()
    if len(idle):
        chosen = torch.randint(len(batch), (len(idle),), generator=generator).to(batch.device)
        atoms[idle] = batch[chosen]
