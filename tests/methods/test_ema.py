"""The exponential moving average against its formula in plain code."""

from __future__ import annotations

import pytest
import torch

from paretosearch.methods.ema import EMA, new_share
from paretosearch.testing.methods import STEPS, TinyTraining


def weights(training: TinyTraining) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in training.run.model.parameters()]).double()


@pytest.mark.parametrize("decay", [0.1, 0.5, 0.9999])
def test_it_is_the_formula(decay: float) -> None:
    training = TinyTraining((EMA(decay=decay),))
    seen: list[torch.Tensor] = []
    step = training.step

    def watched(*arguments: object) -> torch.Tensor:
        loss = step(*arguments)  # type: ignore[arg-type]  # those of a Step
        seen.append(weights(training))
        return loss

    training.step = watched
    for _ in range(4):
        training.epoch()
    mean = seen[0]
    for n, newest in enumerate(seen[1:]):
        d = min(decay, (1 + n) / (10 + n))
        mean = d * mean + (1 - d) * newest
    (ema,) = training.methods
    shown = torch.cat([p.detach().flatten() for p in ema.eval_model(training.run.model).parameters()])
    assert len(seen) == 4 * STEPS
    torch.testing.assert_close(shown.double(), mean, atol=1e-6, rtol=0)
    assert (mean - seen[-1]).abs().max() > 1e-4


def test_the_decay_rises_to_its_value() -> None:
    shares = [float(new_share(torch.tensor(float(count)), 0.9)) for count in (0, 1, 2, 50, 81, 82, 1000)]
    assert shares == pytest.approx([1, 9 / 10, 9 / 11, 9 / 59, 0.1, 0.1, 0.1])


def test_after_a_surgery_it_begins_with_the_weights_of_the_first_step() -> None:
    training = TinyTraining((EMA(decay=0.9),), width=1.0).epoch().epoch()
    (ema,) = training.methods
    spaces = training.surgeon.channels.free
    training.surgeon.remap({space.name: torch.arange(space.size // 2) for space in spaces})
    assert ema.eval_model(training.run.model) is training.run.model
    training.epoch()
    assert ema.state_dict()["count"] == STEPS
