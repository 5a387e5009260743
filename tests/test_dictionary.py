"""A dictionary finds the atoms that patches are made of."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from paretosearch.dictionary import learned, sparse_codes


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def planted(atoms: Tensor, count: int = 3000, used: int = 2) -> Tensor:
    """Draw patches of length 1 that are sums of few atoms."""
    codes = torch.zeros(count, len(atoms))
    chosen = torch.rand(count, len(atoms), generator=random(1)).topk(used).indices
    codes.scatter_(1, chosen, torch.randn(count, used, generator=random(2)))
    return F.normalize(codes @ atoms)


def objective(rows: Tensor, atoms: Tensor, sparsity: float) -> float:
    codes = sparse_codes(rows, atoms, sparsity, steps=200)
    rest = (rows - codes @ atoms).square().sum(1) / 2
    return float((rest + sparsity * codes.abs().sum(1)).mean())


def test_planted_atoms_are_found() -> None:
    atoms = F.normalize(torch.randn(12, 20, generator=random(0)))
    rows = planted(atoms)
    found = learned(rows, 16, 0.1, random(3))
    best = (atoms @ found.T).abs().amax(1)
    print(f"\ncosines of 12 planted atoms with the nearest found: {best.min():.3f} to {best.max():.3f}")
    assert best.mean() > 0.95
    assert objective(rows, found, 0.1) < 0.8 * objective(rows, F.normalize(torch.randn(16, 20)), 0.1)


def test_codes_minimise_what_they_should() -> None:
    atoms = F.normalize(torch.randn(6, 10, generator=random(0)))
    rows = F.normalize(torch.randn(5, 10, generator=random(1)))
    codes = sparse_codes(rows, atoms, 0.1, steps=2000)
    gradient = (codes @ atoms - rows) @ atoms.T
    used = codes != 0
    torch.testing.assert_close(gradient[used], -0.1 * codes[used].sign(), atol=1e-4, rtol=0)
    assert (gradient[~used].abs() <= 0.1 + 1e-4).all()
    assert 0 < used.float().mean() < 1


@pytest.mark.parametrize(("patches", "atoms"), [(5, 16), (300, 4), (1, 3)])
def test_any_number_of_atoms_is_of_length_one_and_the_same_each_time(patches: int, atoms: int) -> None:
    rows = F.normalize(torch.randn(patches, 9, generator=random(0)))
    found = learned(rows, atoms, 0.1, random(1))
    assert found.shape == (atoms, 9)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(atoms))
    assert torch.equal(found, learned(rows, atoms, 0.1, random(1)))
    assert not torch.equal(found, learned(rows, atoms, 0.1, random(2)))
