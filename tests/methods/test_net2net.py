"""Net2Net against the tests that methods-structure asks for in section 3.4, and when a network grows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from paretosearch import methods
from paretosearch.channels import ChannelSpace
from paretosearch.errors import RecipeError
from paretosearch.methods.net2net import Net2Net
from paretosearch.methods.prunetrain import PruneTrain
from paretosearch.recipe import Recipe
from paretosearch.run import Run
from paretosearch.surgery import Remap, Surgery
from paretosearch.testing.methods import TinyTraining
from paretosearch.training.surgery import Surgeon


def training(schedule: str, network: str = "resnet8", **parameters: float) -> TinyTraining:
    """Begin a training of 4 epochs with Net2Net alone."""
    return TinyTraining((Net2Net(schedule=schedule, **parameters),), network)


def grown(tiny: TinyTraining) -> list[Surgery]:
    """Let the network grow before the second epoch, which is not trained."""
    tiny.run.epoch = 1
    done = []
    for surgery in tiny.methods[0].on_epoch_start(tiny.run):
        tiny.surgeon.operate(surgery)
        done.append(surgery)
    return done


def sizes(tiny: TinyTraining) -> dict[str, int]:
    return {space.name: space.size for space in tiny.surgeon.channels.free}


def test_the_network_grows_at_its_epoch_and_only_there() -> None:
    tiny = training("widen@0.5x2")
    before = sizes(tiny)
    for epoch, expected in ((0, 1), (1, 1), (2, 2), (3, 2)):
        assert tiny.run.epoch == epoch
        tiny.epoch()
        assert sizes(tiny) == {name: expected * size for name, size in before.items()}


def test_a_wider_network_has_the_asked_channels_everywhere() -> None:
    tiny = training("widen@0.3x1.5")
    before = sizes(tiny)
    (surgery,) = grown(tiny)
    assert surgery.kind == "widen"
    assert sizes(tiny) == {name: round(1.5 * size) for name, size in before.items()}


def test_a_small_space_grows_by_a_channel_at_least() -> None:
    tiny = training("widen@0.3x1.01")
    before = sizes(tiny)
    grown(tiny)
    assert sizes(tiny) == {name: size + 1 for name, size in before.items()}


@pytest.mark.parametrize("network", ["convnet", "resnet8", "vgg11", "resnet18"])
@pytest.mark.parametrize("schedule", ["widen@0.3x2", "deepen@0.3", "deepen@0.3x2", "widen@0.3+deepen@0.3"])
def test_a_trained_network_computes_the_same_when_it_has_grown(
    network: str, schedule: str, note_change: Callable[[Tensor, Tensor], float]
) -> None:
    tiny = training(schedule, network).epoch()
    x = tiny.batch[0]
    before = {mode: tiny.run.model.train(mode)(x) for mode in (True, False)}
    assert grown(tiny)
    assert note_change(before[False], tiny.run.model.eval()(x)) < 1e-5
    assert note_change(before[True], tiny.run.model.train()(x)) < 1e-4  # of 8 images, whose statistics are rough


@pytest.mark.parametrize(("network", "deeper"), [("resnet8", 3), ("convnet", 4)])
def test_a_deeper_network_has_a_layer_more_in_every_stage(network: str, deeper: int) -> None:
    tiny = training("deepen@0.3x2", network)
    places = tiny.surgeon.stages
    assert len(places) == deeper
    before = sum(1 for m in tiny.run.model.modules() if isinstance(m, torch.nn.Conv2d))
    (surgery,) = grown(tiny)
    convolutions = 2 if network == "resnet8" else 1
    after = sum(1 for m in tiny.run.model.modules() if isinstance(m, torch.nn.Conv2d))
    assert after - before == 2 * deeper * convolutions
    assert len(surgery.operations) == 2 * deeper
    tiny.epoch()


def copies_differ(noise: float) -> bool:
    tiny = training("widen@0.3x2", "convnet", noise=noise)
    for _ in range(4):
        tiny.epoch()
    weight = next(tiny.run.model.parameters()).detach()
    space: ChannelSpace = tiny.surgeon.channels.free[0]
    origins = tiny.surgeon.lineage(space).origins
    return not all(torch.equal(weight[i], weight[origins[i]]) for i in range(len(origins)))


def test_copies_become_different_with_noise_and_never_without() -> None:
    assert copies_differ(0.3)
    assert not copies_differ(0.0)


def plan_of(surgery: Surgery) -> Mapping[str, Tensor]:
    (remap,) = surgery.operations
    assert isinstance(remap, Remap)
    return remap.plan


def test_the_seed_decides_which_channels_are_copied() -> None:
    def choice(seed: int) -> list[int]:
        tiny = training("widen@0.3x2")
        tiny.run.recipe = Recipe("random", "resnet8", epochs=4, seed=seed)
        (surgery,) = grown(tiny)
        return [int(i) for index in plan_of(surgery).values() for i in index]

    assert choice(1) == choice(1)
    assert choice(1) != choice(2)


def test_two_widenings_at_once_are_two_draws() -> None:
    tiny = training("widen@0.3x2+widen@0.3x2")
    first, second = map(plan_of, grown(tiny))
    wide, wider = first["5.conv1"], second["5.conv1"]
    assert (len(wide), len(wider)) == (16, 32)
    assert wide[8:].tolist() != (wider[16:24] % 8).tolist()


def rates(tiny: TinyTraining) -> list[float]:
    """Give what becomes of a learning rate of 1 in both steps of each of 4 epochs."""
    seen = []
    for epoch in range(4):
        for step in range(2):
            tiny.run.epoch, tiny.run.epoch_step, tiny.run.learning_rate = epoch, step, 1.0
            tiny.methods[0].on_batch(tiny.run, *tiny.batch)
            seen.append(tiny.run.learning_rate)
    return seen


def test_the_learning_rate_falls_and_warms_up_again_after_every_growth() -> None:
    tiny = training("widen@0.3+deepen@0.75", learning_rate_factor=0.5, rewarm=1.0)
    assert rates(tiny) == pytest.approx([1, 1, 0.125, 0.375, 0.5, 0.5, 0.0625, 0.1875])


def test_two_growths_at_once_lower_the_learning_rate_once() -> None:
    tiny = training("widen@0.3+deepen@0.3", learning_rate_factor=0.1, rewarm=0.0)
    assert rates(tiny) == pytest.approx([1, 1, *[0.1] * 6])


def test_where_pruning_begins_the_learning_rate_stays() -> None:
    tiny = training("widen@0.3+prune@0.75", learning_rate_factor=0.5, rewarm=0.0)
    assert rates(tiny) == pytest.approx([1, 1, *[0.5] * 6])


def refusal(schedule: str, epochs: int, **others: dict[str, Any]) -> str:
    recipe = Recipe("random", "resnet8", epochs=epochs, methods={"net2net": {"schedule": schedule}, **others})
    with pytest.raises(RecipeError) as error:
        methods.active(recipe)
    return str(error.value)


def test_growth_outside_the_training_is_refused() -> None:
    assert refusal("widen@0.96", 10) == (
        "net2net.schedule: widen@0.96 comes after the last of 10 epochs, where nothing comes of it; "
        "choose a share from 0.05 to 0.94"
    )
    assert refusal("deepen@0.02", 10).startswith("net2net.schedule: deepen@0.02 comes before the first of 10 epochs")
    assert refusal("widen", 1) == "net2net.schedule: widen@0.3 needs a training of at least 2 epochs, not of 1"


def test_a_schedule_out_of_the_training_is_refused_with_the_reason() -> None:
    assert refusal("widen@1.2x2", 10) == (
        "net2net.schedule = 'widen@1.2x2' is no growth schedule: "
        "widen@1.2 is not inside the training; write a share between 0 and 1"
    )


def test_pruning_without_a_pruner_is_refused() -> None:
    assert refusal("widen+prune", 10) == (
        "net2net.schedule = 'widen+prune' says when to prune, and nothing prunes; "
        "set prunetrain.penalty_ratio, or take prune out"
    )
    late = refusal("widen@0.8+prune", 10, prunetrain={"penalty_ratio": 0.2, "interval": 8})
    assert late.startswith(
        "prunetrain.interval = 8 is too long for a training of 10 epochs in which pruning begins after 8"
    )


def test_a_network_without_a_place_for_a_layer_is_refused() -> None:
    dense = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    surgeon = Surgeon(dense, torch.zeros(2, 1, 2, 2))
    Net2Net(schedule="widen").check_anatomy(surgeon, "dense")
    with pytest.raises(RecipeError, match="net2net cannot deepen dense: behind no layer"):
        Net2Net(schedule="widen+deepen").check_anatomy(surgeon, "dense")


def test_pruning_waits_for_the_growth_that_it_follows() -> None:
    prunetrain = PruneTrain(penalty_ratio=0.25, interval=1, form="subgradient")
    tiny = TinyTraining((Net2Net(schedule="widen@0.5x2+prune"), prunetrain), "convnet")
    schedule = {"net2net": {"schedule": "widen@0.5x2+prune"}}
    tiny.run.recipe = Recipe("random", "convnet", epochs=4, methods=schedule, learning_rate=0.05)
    penalise, acts = prunetrain.after_backward, []

    def watched(run: Run) -> None:
        for p in run.model.parameters():
            p.grad = torch.zeros_like(p)
        penalise(run)
        acts.append(any(p.grad is not None and p.grad.any() for p in run.model.parameters()))

    prunetrain.after_backward = watched  # type: ignore[method-assign]
    for _ in range(4):
        tiny.epoch()
    # Two steps an epoch; the rest behind the growth, a fifth of an epoch, is nearer to none than to one.
    assert acts == [False] * 4 + [True] * 4
