"""The cost of a step of another batch size is measured without a trace."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from paretosearch.testing.methods import TinyTraining
from paretosearch.training.precision import Precision
from paretosearch.training.stepcost import step_cost


class Sample:
    """Batches that can only show images."""

    def __init__(self, images: torch.Tensor) -> None:
        self.images = images

    def sample(self, count: int) -> torch.Tensor:
        return self.images.repeat(-(-count // len(self.images)), 1, 1, 1)[:count]


def test_a_measurement_leaves_no_trace() -> None:
    tiny, other = TinyTraining((), "resnet8").epoch(), TinyTraining((), "resnet8").epoch()
    before = torch.get_rng_state()
    cost = step_cost(
        tiny.run, tiny.run.model, Sample(tiny.batch[0]), F.cross_entropy, Precision("fp32", tiny.run.device), 4
    )
    assert cost.seconds > 0
    assert (cost.peak_bytes, cost.memory_bytes) == (0, None)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(tiny.epoch().logits(), other.epoch().logits())


def test_more_images_take_longer() -> None:
    tiny = TinyTraining((), "resnet18")
    few, many = (
        step_cost(
            tiny.run, tiny.run.model, Sample(tiny.batch[0]), F.cross_entropy, Precision("fp32", tiny.run.device), size
        ).seconds
        for size in (2, 256)
    )
    assert few < many
