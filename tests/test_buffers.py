"""Passes that leave no trace in a network's buffers."""

import pytest
import torch
from torch import nn

from paretosearch.buffers import untouched


def test_batch_norm_normalises_by_the_batch_and_keeps_its_statistics() -> None:
    norm, x = nn.BatchNorm2d(3), torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0)) + 2
    norm(x)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    with untouched(norm):
        y = norm(x)
        assert norm.num_batches_tracked == 2
    assert y.mean().abs() < 1e-5
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


def test_an_error_leaves_no_trace_either() -> None:
    norm = nn.BatchNorm1d(2)
    with pytest.raises(ZeroDivisionError), untouched(norm):
        norm(torch.randn(3, 2))
        raise ZeroDivisionError
    assert norm.num_batches_tracked == 0
