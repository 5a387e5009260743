"""The reference workload is timed by the clock of trainings, and no training notices it."""

import itertools

import pytest
import torch

from paretosearch.training.clock import Clock
from paretosearch.training.reference import WARM_UP, reference_seconds
from paretosearch.training.rundelay import RunDelay

CPU = torch.device("cpu")


class _Still(RunDelay):
    def seconds(self) -> float:
        return 0.0


def test_the_median_leaves_the_warm_up_and_an_interruption_out() -> None:
    steps = [9.0] * WARM_UP + [1.0, 2.0, 100.0, 2.0, 3.0]
    times = itertools.accumulate([50.0, *steps])
    assert reference_seconds(CPU, 5, Clock(CPU, lambda: next(times), _Still())) == pytest.approx(2.0)


def test_random_numbers_and_gradients_are_as_if_it_had_not_been() -> None:
    before = torch.get_rng_state()
    with torch.no_grad():
        assert reference_seconds(CPU, 1) > 0
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.gpu
def test_it_leaves_the_settings_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert reference_seconds(torch.device("cuda"), 5) > 0
    assert torch.backends.cudnn.benchmark
    assert torch.backends.cudnn.allow_tf32
