"""The average of weights: what is in it, which network shows it, and when it begins anew."""

from __future__ import annotations

import io

import pytest
import torch
from torch import Tensor, nn

from paretosearch.average import Average
from paretosearch.run import Run
from paretosearch.surgery import InsertIdentity, Remap, Surgery
from paretosearch.testing.methods import TinyTraining


def tiny(network: str = "convnet") -> TinyTraining:
    return TinyTraining((), network, width=0.5)


def move(run: Run) -> list[Tensor]:
    """Give the weights other values, as a step does; gives a copy in fp64."""
    with torch.no_grad():
        for parameter in run.model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return [parameter.detach().double() for parameter in run.model.parameters()]


def take(average: Average, run: Run) -> list[Tensor]:
    """Make a step whose weights are averaged with those before it."""
    average.follow(run)
    weights = move(run)
    average.update(1 / (average.count + 1))
    return weights


def largest_difference(model: nn.Module, expected: list[Tensor]) -> float:
    pairs = zip(model.parameters(), expected, strict=True)
    return max((parameter.double() - mean).abs().max().item() for parameter, mean in pairs)


def test_it_is_the_arithmetic_mean() -> None:
    average, run = Average(), tiny().run
    taken = [take(average, run) for _ in range(50)]
    difference = largest_difference(
        average.network(run.model), [torch.stack(w).mean(0) for w in zip(*taken, strict=True)]
    )
    print(f"50 weights: largest difference from their mean {difference:.1e}")
    assert difference < 1e-6
    assert average.count == 50


def test_weights_of_16_bits_are_averaged_in_fp32() -> None:
    average, run = Average(), tiny().run
    run.model.to(torch.bfloat16)
    taken = [take(average, run) for _ in range(50)]
    means = average.state_dict()["means"]
    assert {mean.dtype for mean in means} == {torch.float32}
    for mean, weights in zip(means, zip(*taken, strict=True), strict=True):
        torch.testing.assert_close(mean.double(), torch.stack(weights).mean(0), atol=1e-6, rtol=0)
    assert {p.dtype for p in average.network(run.model).parameters()} == {torch.bfloat16}


def test_without_weights_the_network_is_the_one_in_training() -> None:
    average, run = Average(), tiny().run
    assert average.network(run.model) is run.model
    average.follow(run)
    assert average.network(run.model) is run.model


def test_it_is_another_network_and_always_the_same() -> None:
    average, run = Average(), tiny().run
    weights = take(average, run)
    shown = average.network(run.model)
    assert shown is not run.model
    take(average, run)
    assert average.network(run.model) is shown
    assert largest_difference(shown, weights) > 0.01
    assert not {p.data_ptr() for p in shown.parameters()} & {p.data_ptr() for p in run.model.parameters()}


def test_buffers_are_the_models_until_something_is_done_to_them() -> None:
    average, run = Average(), tiny().run
    take(average, run)
    norm, theirs = (
        next(m for m in model.modules() if isinstance(m, nn.BatchNorm2d))
        for model in (run.model, average.network(run.model))
    )
    assert norm.running_mean is not None
    assert theirs.running_mean is not None
    take(average, run)
    norm.running_mean.fill_(2.0)
    average.network(run.model)
    assert bool((theirs.running_mean == 2).all())
    theirs.running_mean.fill_(3.0)  # such as by estimating them anew
    average.network(run.model)
    assert bool((theirs.running_mean == 3).all())


def widen(run: Run) -> Surgery:
    sizes = {space.name: space.size for space in run.anatomy.channels.free}
    return Surgery("widen", (Remap({name: torch.arange(2 * size) % size for name, size in sizes.items()}),))


def prune(run: Run) -> Surgery:
    return Surgery("prune", (Remap({s.name: torch.arange(s.size // 2) for s in run.anatomy.channels.free}),))


def reverse(run: Run) -> Surgery:
    """Change the order of channels, and no shape."""
    return Surgery("prune", (Remap({s.name: torch.arange(s.size).flip(0) for s in run.anatomy.channels.free}),))


def deepen(run: Run) -> Surgery:
    return Surgery("deepen", (InsertIdentity(run.anatomy.stages[0], torch.Generator()),))


@pytest.mark.parametrize("ask", [widen, prune, reverse, deepen])
@pytest.mark.parametrize("looked_at_between", [True, False])
def test_every_surgery_begins_it_anew(ask: object, looked_at_between: bool) -> None:
    average, training = Average(), tiny("resnet8")
    run = training.run
    take(average, run)
    shown = average.network(run.model)
    training.surgeon.operate(ask(run))  # type: ignore[operator]  # one of the functions above
    if looked_at_between:
        assert average.network(run.model) is run.model
    weights = take(average, run)
    assert average.count == 1
    assert average.network(run.model) not in (shown, run.model)
    assert largest_difference(average.network(run.model), weights) < 1e-6


def test_a_network_that_grows_back_to_its_old_shape_has_no_mean_of_before() -> None:
    average, training = Average(), tiny()
    take(average, training.run)
    for ask in (prune, widen):
        training.surgeon.operate(ask(training.run))
    assert average.network(training.run.model) is training.run.model


def stored(average: Average) -> Average:
    file = io.BytesIO()
    torch.save(average.state_dict(), file)
    file.seek(0)
    loaded = Average()
    loaded.load_state_dict(torch.load(file, weights_only=True))
    return loaded


def test_it_goes_on_behind_a_checkpoint() -> None:
    average, run = Average(), tiny().run
    taken = [take(average, run)]
    loaded = stored(average)
    assert largest_difference(loaded.network(run.model), taken[0]) < 1e-6
    loaded = stored(average)
    taken.append(take(loaded, run))
    assert loaded.count == 2
    assert (
        largest_difference(loaded.network(run.model), [torch.stack(w).mean(0) for w in zip(*taken, strict=True)]) < 1e-6
    )


def test_a_checkpoint_of_another_shape_begins_it_anew() -> None:
    average, training = Average(), tiny()
    take(average, training.run)
    loaded = stored(average)
    training.surgeon.operate(prune(training.run))
    assert loaded.network(training.run.model) is training.run.model
    take(loaded, training.run)
    assert loaded.count == 1


def test_an_average_of_nothing_can_be_stored() -> None:
    run = tiny().run
    assert stored(Average()).network(run.model) is run.model
