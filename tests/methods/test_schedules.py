import pytest
import torch
from torch import nn

from paretosearch.methods.constant import Constant, warmed_up
from paretosearch.methods.one_cycle import OneCycle, one_cycle
from paretosearch.recipe import Recipe
from paretosearch.run import Run
from paretosearch.training.surgery import Surgeon


def no_cost(_):
    raise AssertionError("no schedule asks what a step costs")


def rates(method, epochs=4, steps=25, cycle=None, **fields):
    """Learning rate of every step of a training."""
    recipe = Recipe("random", "convnet", epochs=epochs, **fields)
    model = nn.Linear(1, 1)
    optimizer, surgeon = torch.optim.SGD(model.parameters(), 0.0), Surgeon(model, torch.zeros(2, 1))
    sizes = recipe.batch_size, steps
    run = Run(recipe, torch.device("cpu"), model, optimizer, torch.Generator(), surgeon, no_cost, *sizes, cycle=cycle)
    seen = []
    for _ in range(epochs * steps):
        x, y = torch.zeros(2, 1), torch.zeros(2)
        assert method.on_batch(run, x, y) == (x, y)
        seen.append(run.learning_rate)
        run.epoch_step += 1
    return seen


@pytest.mark.parametrize(
    ("progress", "factor"), [(0.05, 0.25), (0.1, 0.5), (0.2, 1.0), (0.6, 0.5), (0.8, 0.25), (1, 0)]
)
def test_one_cycle_is_a_triangle(progress, factor):
    assert one_cycle(progress, 0.2) == pytest.approx(factor)


@pytest.mark.parametrize(("progress", "factor"), [(0.05, 0.25), (0.1, 0.5), (0.2, 1.0), (0.6, 1.0), (1, 1)])
def test_constant_stays_at_the_peak_after_its_warm_up(progress, factor):
    assert warmed_up(progress, 0.2) == pytest.approx(factor)


@pytest.mark.parametrize("shape", [one_cycle, warmed_up])
def test_without_a_warm_up_the_first_rate_is_the_peak(shape):
    assert shape(1e-9, 0.0) == pytest.approx(1.0)


def test_the_peak_follows_the_batch_size():
    small = rates(OneCycle(), batch_size=128, learning_rate=0.1, reference_batch_size=128)
    large = rates(OneCycle(), batch_size=512, learning_rate=0.1, reference_batch_size=128)
    assert max(small) == pytest.approx(0.1, rel=0.05)
    assert large == pytest.approx([4 * rate for rate in small])


@pytest.mark.parametrize("shape", [one_cycle, warmed_up])
@pytest.mark.parametrize(("rule", "peak"), [("none", 0.1), ("sqrt", 0.2), ("linear", 0.4)])
def test_the_warm_up_ends_exactly_at_the_peak_of_the_rule(shape, rule, peak):
    recipe = Recipe("random", "convnet", batch_size=512, learning_rate=0.1, learning_rate_rule=rule)
    assert recipe.peak_learning_rate * shape(0.25, 0.25) == pytest.approx(peak, rel=1e-15)
    assert shape(0.25 - 1e-9, 0.25) < 1
    method = {one_cycle: OneCycle, warmed_up: Constant}[shape](warmup=0.25)
    seen = rates(method, epochs=4, steps=25, batch_size=512, learning_rate=0.1, learning_rate_rule=rule)
    assert seen[24] == pytest.approx(peak * 24.5 / 25)  # the middle of the last step of the warm-up
    assert seen[25] == pytest.approx(peak * (1 - 0.5 / 75 if shape is one_cycle else 1))


def test_one_cycle_takes_each_step_at_the_rate_of_its_middle():
    seen = rates(OneCycle(warmup=0.2), learning_rate=1.0)
    assert seen[0] == pytest.approx(0.5 / 20)
    assert seen[19] == pytest.approx(19.5 / 20)
    assert seen[-1] == pytest.approx(0.5 / 80)
    assert sum(seen) / len(seen) == pytest.approx(0.5), "the area of the triangle, whatever the number of steps"
    assert sum(rates(OneCycle(warmup=0.2), epochs=1, steps=5, learning_rate=1.0)) / 5 == pytest.approx(0.5)


def test_no_step_is_lost_to_a_rate_of_zero():
    assert min(rates(OneCycle(), epochs=1, steps=1)) > 0
    assert min(rates(Constant(), epochs=1, steps=3)) > 0


def test_constant_warms_up_over_its_share_of_the_steps():
    seen = rates(Constant(warmup=0.1), learning_rate=1.0)
    assert seen[:10] == pytest.approx([(i + 0.5) / 10 for i in range(10)])
    assert seen[10:] == pytest.approx([1.0] * 90)


@pytest.mark.parametrize("method", [OneCycle(), Constant()], ids=lambda method: method.name)
def test_a_schedule_may_begin_before_its_first_step_and_end_before_the_training(method):
    plain, begun = rates(method, epochs=4), rates(method, epochs=8, cycle=(-1, 4))
    assert begun[: 3 * 25] == pytest.approx(plain[25:])
