"""PruneTrain against the tests that methods-structure asks for in section 1.8, with what it does between epochs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from paretosearch.channels import ChannelSpace, Noise, widened
from paretosearch.errors import RecipeError
from paretosearch.group_lasso import GroupLasso
from paretosearch.methods.prunetrain import PROXIMAL_STEPS, PruneTrain
from paretosearch.recipe import Recipe
from paretosearch.surgery import Remap, Surgery
from paretosearch.testing.methods import TinyTraining
from paretosearch.testing.surgery import relative_change, silence


def training(network: str = "resnet8", **parameters: float | str) -> TinyTraining:
    """Begin a training of 4 epochs with PruneTrain alone."""
    return TinyTraining((PruneTrain(**{"penalty_ratio": 0.25, "interval": 1, **parameters}),), network, width=1.0)


def prunetrain(tiny: TinyTraining) -> PruneTrain:
    (method,) = tiny.methods
    assert isinstance(method, PruneTrain)
    return method


def asked(tiny: TinyTraining) -> list[Surgery]:
    """Do what PruneTrain asks for behind the first epoch; nothing is trained."""
    method = prunetrain(tiny)
    tuple(method.on_epoch_start(tiny.run))
    tiny.run.epoch = 1
    done = []
    for surgery in method.on_epoch_end(tiny.run):
        tiny.surgeon.operate(surgery)
        done.append(surgery)
    return done


def kill(tiny: TinyTraining, space: ChannelSpace, channels: Tensor) -> None:
    """Write zeros where channels are read and where they are made."""
    channel_map = tiny.surgeon.channels
    silence(tiny.run.model, channel_map, space, channels)
    for place in space.producers:
        for own in channel_map.slices(place, space.name, place.find(tiny.run.model).data):
            own[channels] = 0


def test_the_penalty_has_its_share_of_the_first_loss() -> None:
    tiny = training(penalty_ratio=0.25)
    method = prunetrain(tiny)
    tuple(method.on_epoch_start(tiny.run))
    penalty = GroupLasso(tiny.run.model, tiny.surgeon.channels).penalty()
    tiny.run.loss = torch.tensor(2.3)
    method.after_backward(tiny.run)
    strength = method.state_dict()["strength"]
    assert (strength * penalty / (2.3 + strength * penalty)).item() == pytest.approx(0.25, abs=1e-6)


def test_the_coefficient_is_found_once() -> None:
    tiny = training()
    first = prunetrain(tiny.epoch()).state_dict()["strength"].item()
    assert prunetrain(tiny.epoch()).state_dict()["strength"].item() == first


@pytest.mark.parametrize("network", ["convnet", "resnet8", "vgg11", "resnet18"])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_cutting_dead_channels_leaves_the_outputs(network: str, mode: str) -> None:
    tiny = training(network)
    tiny.run.recipe = Recipe("random", network, epochs=4, channel_multiple=4)
    for space in tiny.surgeon.channels.free:
        kill(tiny, space, torch.arange(space.size // 2, space.size))
    model = tiny.run.model.train(mode == "train")
    before = model(tiny.batch[0])
    sizes = {space.name: space.size for space in tiny.surgeon.channels.free}
    (surgery,) = asked(tiny)
    change = relative_change(before, model(tiny.batch[0]))
    print(f"{network}, {mode}: largest relative change {change:.1e}")
    assert change < 1e-5
    assert surgery.figures["dead"] == sum(size - size // 2 for size in sizes.values())
    for name, size in sizes.items():
        assert tiny.surgeon.channels.spaces[name].size == max(8, -(-(size // 2) // 4) * 4)


def test_training_goes_on_with_the_momentum_of_the_channels_that_are_left() -> None:
    tiny = training().epoch()
    space = tiny.surgeon.channels.spaces["3.conv1"]
    (place,) = [p for p in space.producers if p.tensor == "weight" and p.module == "3.conv1"]
    weight = place.find(tiny.run.model)
    old = tiny.run.optimizer.state[weight]["momentum_buffer"].clone()
    kill(tiny, space, torch.arange(0, 32, 2))
    asked(tiny)
    new = tiny.run.optimizer.state[weight]["momentum_buffer"]
    torch.testing.assert_close(new, old[1::2])
    tiny.epoch()
    assert weight.shape[0] == 16


def test_a_channel_of_negative_weights_survives() -> None:
    tiny = training()
    space = tiny.surgeon.channels.spaces["1.conv1"]
    for place in space.producers + space.consumers:
        if place.tensor == "weight":
            place.find(tiny.run.model).data.fill_(-0.5)
    assert not asked(tiny)[0].operations


def test_a_channel_that_one_block_of_a_stage_still_uses_is_kept() -> None:
    tiny = TinyTraining((PruneTrain(penalty_ratio=0.25, interval=1),), "resnet20", width=1.0)
    tiny.run.recipe = Recipe("random", "resnet20", epochs=4, channel_multiple=8)
    model, channel_map = tiny.run.model, tiny.surgeon.channels
    stream = channel_map.spaces["5.conv2 stream"]
    for place in (*stream.producers, *stream.consumers):
        if not place.module.startswith("6."):
            for own in channel_map.slices(place, stream.name, place.find(model).data):
                own[:16] = 0
    sizes = {surgery.kind: surgery.operations for surgery in asked(tiny)}
    assert "5.conv2 stream" not in dict(sizes["prune"][0].plan if sizes["prune"] else {})


def test_a_branch_without_channels_goes_and_the_outputs_stay() -> None:
    tiny = TinyTraining((PruneTrain(penalty_ratio=0.25, interval=1),), "resnet20", width=1.0)
    model = tiny.run.model
    with torch.no_grad():
        model.get_submodule("2").conv1.weight.zero_()
        model.get_submodule("2").conv2.weight.fill_(1e-5)
    before = model.train()(tiny.batch[0])
    removal = asked(tiny)[0]
    assert (removal.kind, removal.figures) == ("remove", {"branches": 1})
    assert [branch.block for branch in tiny.surgeon.channels.branches].count("2") == 0
    assert relative_change(before, model(tiny.batch[0])) < 1e-4


def test_a_dead_layer_whose_constant_is_used_stays() -> None:
    tiny = training()
    with torch.no_grad():
        tiny.run.model.get_submodule("1").conv1.weight.zero_()
    assert [surgery.kind for surgery in asked(tiny)] == ["prune"]


def test_what_is_left_is_rounded_up_with_the_strongest() -> None:
    tiny = training()
    space = tiny.surgeon.channels.spaces["3.conv1"]
    kill(tiny, space, torch.arange(3, 32))
    (surgery,) = asked(tiny)
    (remap,) = surgery.operations
    assert isinstance(remap, Remap)
    assert len(remap.plan["3.conv1"]) == 8
    assert set(range(3)) < set(remap.plan["3.conv1"].tolist())


def test_nothing_is_cut_behind_the_last_epoch() -> None:
    tiny = training()
    kill(tiny, tiny.surgeon.channels.spaces["3.conv1"], torch.arange(16))
    tiny.run.epoch = 4
    tuple(prunetrain(tiny).on_epoch_start(tiny.run))
    assert not list(prunetrain(tiny).on_epoch_end(tiny.run))


@pytest.mark.parametrize("form", ["subgradient", "proximal"])
def test_the_penalty_makes_the_channels_weaker(form: str) -> None:
    with_penalty, without = training(form=form, penalty_ratio=0.9), TinyTraining((), "resnet8", width=1.0)
    norms = [
        GroupLasso(tiny.run.model, tiny.surgeon.channels).penalty() for tiny in (with_penalty.epoch(), without.epoch())
    ]
    assert norms[0] < 0.995 * norms[1]


def test_both_forms_shrink_by_the_same_in_the_long_run() -> None:
    """With momentum the gradient's effect adds up to 1 / (1 - momentum) of a step."""
    shrunk = {}
    for form in ("subgradient", "proximal"):
        tiny = training(form=form, penalty_ratio=0.05, interval=40)
        tiny.run.recipe = Recipe("random", "resnet8", epochs=40)
        lasso = GroupLasso(tiny.run.model, tiny.surgeon.channels)
        before = lasso.penalty()
        tiny.loss = lambda logits, _: 0 * logits.sum()  # nothing but the penalty acts
        prunetrain(tiny).load_state_dict(
            {"strength": torch.tensor(1e-3), "penalty": before, "parameters": 10**9, "rest_until": 0.0}
        )
        for _ in range(30):
            tiny.epoch()
        shrunk[form] = (before - lasso.penalty()).item()
    assert shrunk["subgradient"] == pytest.approx(shrunk["proximal"], rel=0.2)  # the first steps have no momentum


def test_growth_scales_the_coefficient_and_begins_a_rest() -> None:
    tiny = training(form="subgradient", rest=0.25).epoch()
    method = prunetrain(tiny)
    before, strength = method.state_dict()["penalty"], method.state_dict()["strength"]
    free = tiny.surgeon.channels.free
    generator = torch.Generator().manual_seed(0)
    plan = {space.name: widened(space.size, 2 * space.size, generator) for space in free}
    tiny.surgeon.remap(plan, noise=Noise(0.3, generator))
    tuple(method.on_epoch_start(tiny.run))
    after = GroupLasso(tiny.run.model, tiny.surgeon.channels).penalty()
    assert method.state_dict()["strength"].item() == pytest.approx((strength * before / after).item(), rel=1e-5)
    tiny.run.loss = torch.tensor(1.0)
    for p in tiny.run.model.parameters():
        p.grad = torch.zeros_like(p)
    method.after_backward(tiny.run)
    assert not any(p.grad is not None and p.grad.any() for p in tiny.run.model.parameters())
    tiny.run.epoch = 2
    method.after_backward(tiny.run)
    assert any(p.grad is not None and p.grad.any() for p in tiny.run.model.parameters())
    (surgery,) = method.on_epoch_end(tiny.run)
    assert 0.5 < surgery.figures["similarity"] <= 1.0


def test_a_continued_training_is_not_taken_for_one_that_grew() -> None:
    unbroken = training().epoch()
    resumed = training().resume(unbroken.checkpoint())
    tuple(prunetrain(resumed).on_epoch_start(resumed.run))
    assert prunetrain(resumed).state_dict() == prunetrain(unbroken).state_dict()


def test_no_penalty_acts_in_the_last_part() -> None:
    tiny = training(form="subgradient", until=0.5)
    tuple(prunetrain(tiny).on_epoch_start(tiny.run))
    tiny.run.loss, tiny.run.epoch = torch.tensor(1.0), 2
    for p in tiny.run.model.parameters():
        p.grad = torch.zeros_like(p)
    prunetrain(tiny).after_backward(tiny.run)
    assert not any(p.grad is not None and p.grad.any() for p in tiny.run.model.parameters())


def test_an_interval_longer_than_the_training_is_refused() -> None:
    with pytest.raises(RecipeError) as error:
        PruneTrain(penalty_ratio=0.2, interval=10).check(Recipe("random", "resnet8", epochs=10))
    assert str(error.value) == (
        "prunetrain.interval = 10 is too long for a training of 10 epochs: nothing would be pruned before the last "
        "one; lower it, or turn pruning off with prunetrain.penalty_ratio = 0"
    )


@pytest.mark.parametrize(
    ("parameters", "schedule", "message"),
    [
        (
            {"until": 0.3},
            "widen@0.5+prune",
            "prunetrain.until = 0.3 is over in a training of 20 epochs in which pruning begins after 11",
        ),
        (
            {"rest": 0.5},
            "widen@0.6+prune",
            "prunetrain.until = 1 is over in a training of 20 epochs in which pruning begins after 22",
        ),
        (
            {"rest": 0.1, "interval": 10},
            "widen@0.45+prune",
            "prunetrain.interval = 10 is too long for a training of 20 epochs",
        ),
        (
            {"rest": 0.1, "interval": 10},
            "widen@0.45",
            "prunetrain.interval = 10 is too long for a training of 20 epochs",
        ),
    ],
)
def test_pruning_for_which_growth_leaves_no_time_is_refused(
    parameters: dict[str, float], schedule: str, message: str
) -> None:
    recipe = Recipe("random", "resnet8", epochs=20, methods={"net2net": {"schedule": schedule}})
    with pytest.raises(RecipeError) as error:
        PruneTrain(penalty_ratio=0.2, **parameters).check(recipe)
    assert str(error.value).startswith(message)
    PruneTrain(penalty_ratio=0.2).check(recipe)


def test_a_step_that_the_loss_scale_skipped_shrinks_nothing() -> None:
    tiny = training(form="proximal")
    method = prunetrain(tiny)
    tuple(method.on_epoch_start(tiny.run))
    tiny.run.loss, tiny.run.rate = torch.tensor(1.0), torch.tensor(0.1)
    method.after_backward(tiny.run)
    lasso, tiny.run.epoch_step = GroupLasso(tiny.run.model, tiny.surgeon.channels), PROXIMAL_STEPS - 1
    before = lasso.penalty()
    tiny.run.stepped = torch.tensor(0.0)
    method.after_step(tiny.run)
    assert torch.equal(lasso.penalty(), before)
    tiny.run.stepped = torch.tensor(1.0)
    method.after_step(tiny.run)
    assert lasso.penalty() < before


def test_weights_that_are_no_numbers_are_no_bug_of_pruning() -> None:
    tiny = training()
    for p in tiny.run.model.parameters():
        p.data.fill_(float("nan"))
    (surgery,) = asked(tiny)
    assert surgery.figures["weakest"] == 0.0


def test_a_penalty_of_all_the_loss_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"prunetrain.penalty_ratio = 1.0 is not a number from 0 to 0.9"):
        PruneTrain(penalty_ratio=1.0)


def test_a_network_without_free_channels_is_refused() -> None:
    tiny = training("convnet")
    tiny.surgeon.model.register_parameter("unused", torch.nn.Parameter(torch.zeros(2)))
    with pytest.raises(RecipeError) as error:
        tiny.epoch()
    assert "prunetrain needs channels that may change, and convnet has none: unused takes no part in training" in str(
        error.value
    )
