import pytest
import torch

from paretosearch.copies import similarity
from paretosearch.surgery import Lineage


def test_equal_copies_are_alike_and_opposite_ones_are_not():
    rows = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [0.0, -1.0], [1.0, 1.0]])
    origins = torch.tensor([0, 1, 0, 1, 2])
    assert similarity(rows, origins).tolist() == pytest.approx([1.0, -1.0])


def test_the_similarity_of_three_copies_is_the_mean_over_their_pairs():
    rows = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    pairs = [torch.cosine_similarity(rows[i], rows[j], dim=0) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert similarity(rows, torch.zeros(3, dtype=torch.int64)).tolist() == pytest.approx([float(sum(pairs)) / 3])


def test_channels_that_never_grew_are_no_copies():
    lineage = Lineage.fresh(4).after(torch.tensor([3, 0, 2]))
    assert lineage.origins.tolist() == [3, 0, 2]
    assert not lineage.copied.any()


def test_a_growth_begins_a_new_lineage_that_pruning_continues():
    grown = Lineage.fresh(3).after(torch.tensor([0, 1])).after(torch.tensor([0, 1, 1]))
    assert (grown.origins.tolist(), grown.copied.tolist()) == ([0, 1, 1], [False, True, True])
    pruned = grown.after(torch.tensor([0, 2]))
    assert (pruned.origins.tolist(), pruned.copied.tolist()) == ([0, 1], [False, False])
