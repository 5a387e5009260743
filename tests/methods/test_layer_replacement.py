"""Layer replacement: measured gates, greedy choice, trials that are undone bit by bit, and no second measurement."""

from __future__ import annotations

import copy
import io
import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from paretosearch import candidates as candidates_module
from paretosearch import methods
from paretosearch.candidates import Candidate, candidates, chosen
from paretosearch.errors import RecipeError, SurgeryError
from paretosearch.kernels import large_kernels
from paretosearch.methods import layer_replacement
from paretosearch.methods.dynamic_batch import DynamicBatch
from paretosearch.methods.kernel_rescaling import KernelRescaling
from paretosearch.methods.layer_replacement import LayerReplacement
from paretosearch.methods.schedule_free import ScheduleFree
from paretosearch.recipe import Recipe
from paretosearch.replacement import empty
from paretosearch.run import StepCost
from paretosearch.surgery import ReplaceLayers, Surgery
from paretosearch.testing.images import image_set
from paretosearch.testing.methods import TinyTraining
from paretosearch.training import Trained, Training, loop, replay, train
from paretosearch.training.precision import Precision
from paretosearch.training.stepcost import layer_cost
from paretosearch.training.surgery import Surgeon

CPU = torch.device("cpu")
IMAGES = image_set(per_class=32)
RECIPE = Recipe(
    "stripes",
    "resnet8",
    epochs=5,
    batch_size=32,
    reference_batch_size=32,
    learning_rate=0.05,
    methods={"layer_replacement": {"gain": 0.5}},
)

Judge = Callable[[float], None]


@pytest.fixture
def most_loss(monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Let trials stand whatever the loss (inf), or fail whatever it is (0)."""
    return lambda ratio: monkeypatch.setattr(layer_replacement, "MOST_LOSS", ratio)


@pytest.fixture
def by_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let layers take time in proportion to their weights, in real trainings as in tiny ones."""
    monkeypatch.setattr(loop, "step_cost", lambda *_: StepCost(1.0, 0, None))
    monkeypatch.setattr(loop, "layer_cost", lambda layer, *_: 1e-6 * sum(p.numel() for p in layer.parameters()))


def trained(recipe: Recipe) -> tuple[Trained, list[bytes]]:
    """Train a Recipe; gives the checkpoint behind each epoch as well, as a file has it."""
    kept: list[bytes] = []

    def keep(checkpoint: Any) -> None:
        file = io.BytesIO()
        torch.save(checkpoint, file)
        kept.append(file.getvalue())

    return train(recipe, IMAGES, CPU, keep=keep), kept


def tiny(network: str = "resnet8", **parameters: float) -> TinyTraining:
    return TinyTraining((LayerReplacement(gain=0.5, **parameters),), network, width=1.0)


def begun(training: TinyTraining) -> list[Surgery]:
    """Begin the next epoch, without its steps."""
    done = []
    for surgery in training.methods[0].on_epoch_start(training.run):
        training.surgeon.operate(surgery)
        done.append(surgery)
    return done


def state_of(training: TinyTraining) -> dict[str, Any]:
    """Copy the weights, the buffers, the groups and the state of the optimizer."""
    optimizer = training.run.optimizer
    return {
        "model": copy.deepcopy(training.run.model.state_dict()),
        "order": [[id(p) for p in group["params"]] for group in optimizer.param_groups],
        "optimizer": copy.deepcopy(optimizer.state_dict()["state"]),
    }


def assert_equal(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, Tensor):
        assert torch.equal(one, other)
        assert one.dtype == other.dtype
    else:
        assert one == other


def pairs(count: int, seed: int) -> list[Candidate]:
    draw = random.Random(seed)
    return [
        Candidate(f"layer {n}", "depthwise", (draw.randrange(4),), draw.uniform(0.01, 1), draw.uniform(0, 1))
        for n in range(count)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_layers_are_taken_until_enough_is_saved_and_not_one_more(seed: int) -> None:
    found = pairs(12, seed)
    before: list[Candidate] = []
    for goal in (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 10.0):
        plan = chosen(found, goal)
        assert plan[: len(before)] == before  # who wants more gets all of that, and then more
        assert sum(candidate.saved for candidate in plan[:-1]) < goal or not plan
        assert sum(candidate.saved for candidate in plan) >= goal or len(plan) == len({one.stage for one in found})
        assert len({candidate.stage for candidate in plan}) == len(plan)
        projected = [10 - sum(candidate.saved for candidate in plan[:n]) for n in range(len(plan) + 1)]
        assert projected == sorted(projected, reverse=True)  # every replacement makes the step shorter
        before = plan


def test_what_saves_more_for_its_damage_comes_first() -> None:
    cheap, harmful = Candidate("a", "depthwise", (8, 8), 0.2, 0.1), Candidate("b", "depthwise", (8, 8), 0.3, 0.9)
    assert chosen([harmful, cheap], 1.0) == [cheap]
    assert chosen([harmful, cheap], 0.1) == [cheap]  # more than what is wanted
    small = replace(cheap, stage=(4, 4))
    assert chosen([harmful, small], 1.0) == [small, harmful]
    assert chosen([harmful, small], 0.2) == [small]
    assert chosen([harmful, small], 0.0) == []


def test_the_gradient_of_an_input_is_timed_only_where_training_needs_it() -> None:
    training = tiny("convnet").epoch()
    timed: dict[int, set[bool]] = {}

    def cost(_: nn.Module, x: Tensor) -> float:
        timed.setdefault(x.shape[1], set()).add(x.requires_grad)
        return 1.0

    first = nn.Conv2d(2, 8, 3, padding=1)
    training.run.model[0] = nn.Sequential(nn.Conv2d(1, 2, 1).requires_grad_(False), first)  # type: ignore[index]
    training.run.layer_cost = cost
    begun(training)
    assert timed.pop(2) == {False}
    assert set().union(*timed.values()) == {True}


@pytest.mark.parametrize(("factor", "passes"), [(1.5, False), (1.0, False), (0.81, False), (0.79, True), (0.1, True)])
def test_the_gate_refuses_what_is_not_a_fifth_faster(factor: float, passes: bool) -> None:
    conv = nn.Conv2d(16, 16, 3, padding=1, bias=False)
    measured: list[str] = []

    def cost(layer: nn.Module, x: Tensor) -> float:
        assert x.shape == (6, 16, 5, 5)  # at the batch size of the training
        measured.append(repr(layer))
        return 2.0 if repr(layer) == repr(conv) else 2.0 * factor

    given = {name: torch.randn(4, 16, 5, 5) for name in ("one", "two")}
    found = candidates(dict.fromkeys(given, conv), given, 6, cost, seed=0)
    assert bool(found) == passes
    assert len(measured) == len(set(measured)) > 4  # layers of one shape are measured once
    assert all(candidate.saved == pytest.approx(2 - 2 * factor) for candidate in found)


def test_where_nothing_is_faster_nothing_is_done_and_nobody_asks_again() -> None:
    training = tiny()
    asked: list[int] = []
    training.run.layer_cost = lambda *_: float(asked.append(1) or 1)
    training.epoch()
    before = state_of(training)
    (surgery,) = begun(training)
    assert (surgery.operations, surgery.figures) == ((), {"candidates": 0, "layers": 0})
    assert_equal(before, state_of(training))
    count = len(asked)
    training.epoch().epoch().epoch()
    assert len(asked) == count > 0
    assert training.surgeon.history == []


def test_of_each_stage_one_layer_is_replaced_and_the_network_trains_on(most_loss: Judge) -> None:
    most_loss(math.inf)
    training = tiny().epoch()
    before = {name for name, module in training.run.model.named_modules() if isinstance(module, nn.Conv2d)}
    (surgery,) = begun(training)
    (operation,) = surgery.operations
    assert isinstance(operation, ReplaceLayers)
    assert len(operation.made) == 3  # maps of three sizes
    assert set(operation.made) <= before
    assert surgery.figures["saving"] > 0
    new = [p for layers in operation.made.values() for p in layers.parameters()]
    held = {id(p) for group in training.run.optimizer.param_groups for p in group["params"]}
    assert {id(p) for p in training.run.model.parameters()} == held
    old = [p.detach().clone() for p in new]
    training.methods[0].on_batch(training.run, *training.batch)
    training._batch(*training.batch)
    assert not any(map(torch.equal, old, new))


def test_a_failed_trial_leaves_no_trace_in_weights_optimizer_and_buffers(most_loss: Judge) -> None:
    most_loss(0.0)
    training = tiny().epoch()
    before = state_of(training)
    training.epoch()
    assert [event["do"] for event in training.surgeon.history] == ["replace", "take_back"]
    assert_equal(before, state_of(training))
    again = training.epoch()
    assert [event["do"] for event in again.surgeon.history] == ["replace", "take_back"]  # no second trial
    assert not torch.equal(before["model"]["0.0.weight"], again.run.model.state_dict()["0.0.weight"])


def test_a_failed_trial_leaves_those_before_it_as_they_stood() -> None:
    training = tiny(rewarm=2.0).epoch()
    method = training.methods[0]
    assert isinstance(method, LayerReplacement)
    method._since, method._saved = 0, 1e-3  # a replacement at the start of the first epoch stands
    begun(training)
    assert method._since == 1
    assert method._saved > 1e-3
    method._losses.fill_(math.inf)
    assert [surgery.figures for surgery in method.on_epoch_end(training.run)] == [{"layers": 3}]
    assert (method._since, method._saved) == (0, 1e-3)


@pytest.mark.usefixtures("by_weights")
@pytest.mark.parametrize("number_format", ["fp32", "bf16", "fp16", "bfp8"])
def test_a_trial_that_diverges_is_undone_and_the_training_goes_on(
    number_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates_module, "fitted", lambda conv, form, *_: _overflowing(empty(conv, form)))
    recipe = replace(RECIPE, number_format=number_format)
    outcome = train(recipe, IMAGES, CPU).outcome
    assert [surgery.kind for surgery in outcome.surgeries] == ["replace", "restore"]
    assert outcome.surgeries[1].figures == {"layers": outcome.surgeries[0].figures["layers"]}
    losses = [epoch.loss for epoch in outcome.epochs]
    assert all(map(math.isfinite, losses))
    assert len(losses) == 5
    assert outcome.epochs[1].loss_scale == outcome.epochs[0].loss_scale
    plain = train(replace(recipe, methods={}), IMAGES, CPU).outcome
    assert outcome.epochs[0].loss == plain.epochs[0].loss
    assert outcome.epochs[1].accuracy == plain.epochs[0].accuracy  # the network before the trial


@pytest.mark.usefixtures("by_weights")
def test_one_loss_without_an_end_undoes_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    step = Training._ordinary_step

    def infinite_at_the_start_of_the_trial(training: Training, run: Any, x: Tensor, y: Tensor) -> Tensor:
        loss = step(training, run, x, y)
        return loss + math.inf if (run.epoch, run.epoch_step) == (1, 0) else loss

    monkeypatch.setattr(Training, "_ordinary_step", infinite_at_the_start_of_the_trial)
    outcome = train(RECIPE, IMAGES, CPU).outcome
    assert [surgery.kind for surgery in outcome.surgeries] == ["replace", "restore"]
    assert all(math.isfinite(epoch.loss) for epoch in outcome.epochs)


def test_a_failed_trial_leaves_no_step_in_what_counts_them(most_loss: Judge) -> None:
    most_loss(0.0)
    free = ScheduleFree(beta=0.9)
    training = TinyTraining((free, LayerReplacement(gain=0.5)), "resnet8", width=1.0).epoch()
    before = copy.deepcopy(free.state_dict())
    training.epoch()
    assert [event["do"] for event in training.surgeon.history] == ["replace", "take_back"]
    assert_equal(before, free.state_dict())
    assert before["total"] > 0


def test_a_batch_does_not_grow_with_layers_on_trial(most_loss: Judge) -> None:
    most_loss(math.inf)
    others = {"net2net": {"schedule": "widen@0.2"}, "dynamic_batch": {"largest": 128}}
    recipe = replace(RECIPE, epochs=6, methods={**RECIPE.methods, **others})
    replaces, grows = methods.active(recipe)[-2:]
    assert isinstance(replaces, LayerReplacement)
    assert isinstance(grows, DynamicBatch)
    training = tiny()
    training.run.recipe = recipe
    assert [grows._is_over(training.run) for training.run.epoch in range(4)] == [False, False, True, True]
    assert replaces._first(recipe) == 2


def _overflowing(layers: nn.Module) -> nn.Module:
    for parameter in layers.parameters():
        parameter.data.fill_(1e30)
    return layers


@pytest.mark.parametrize(("ratio", "stands"), [(1.29, True), (1.31, False), (math.inf, False), (math.nan, False)])
def test_a_trial_is_undone_above_a_loss_of_1_3_times_that_before(ratio: float, stands: bool) -> None:
    training = tiny().epoch()
    method = training.methods[0]
    assert isinstance(method, LayerReplacement)
    begun(training)
    assert method._trial is not None
    method._losses.fill_(ratio * method._trial.loss)
    assert (method.loss_put_back(training.run) is None) == stands
    assert bool(list(method.on_epoch_end(training.run))) != stands
    assert method.loss_put_back(training.run) is None  # no trial any more


def test_the_loss_before_is_that_of_the_last_steps_of_the_epoch_before() -> None:
    training = tiny()
    seen: list[float] = []
    method = training.methods[0]
    assert isinstance(method, LayerReplacement)
    after = method.after_step

    def watched(run: Any) -> None:
        seen.append(run.loss.item())
        after(run)

    method.after_step = watched  # type: ignore[method-assign]
    training.epoch()
    begun(training)
    assert method._trial is not None
    assert method._trial.loss == pytest.approx(sum(seen[-2:]) / 2)


def test_the_learning_rate_rises_again_behind_a_replacement_that_stands(most_loss: Judge) -> None:
    most_loss(math.inf)
    training = tiny(rewarm=2.0).epoch()
    begun(training)
    seen = []
    for epoch in (1, 2, 3):
        training.run.epoch, training.run.learning_rate = epoch, 1.0
        training.methods[0].on_batch(training.run, *training.batch)
        seen.append(training.run.learning_rate)
    assert seen == pytest.approx([0.125, 0.625, 1.0])


@pytest.mark.usefixtures("by_weights")
@pytest.mark.parametrize("stands", [True, False])
def test_a_training_that_is_continued_ends_as_one_that_was_not_and_measures_nothing_anew(
    stands: bool, most_loss: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    most_loss(math.inf if stands else 0.0)
    unbroken, kept = trained(RECIPE)
    kinds = [surgery.kind for surgery in unbroken.outcome.surgeries]
    assert kinds == (["replace"] * 3 if stands else ["replace", "restore"])
    tried = 3 if stands else 1
    expected = unbroken.model.state_dict()
    for epochs, data in enumerate(kept, 1):
        if epochs > tried:
            monkeypatch.setattr(loop, "layer_cost", lambda *_: pytest.fail("measured"))
        checkpoint = torch.load(io.BytesIO(data), weights_only=True)
        assert_equal(expected, train(RECIPE, IMAGES, CPU, checkpoint=checkpoint).model.state_dict())


@pytest.mark.usefixtures("by_weights")
@pytest.mark.parametrize("stands", [True, False])
def test_a_training_is_timed_again_with_the_layers_that_it_had(
    stands: bool, most_loss: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    most_loss(math.inf if stands else 0.0)
    outcome = train(RECIPE, IMAGES, CPU).outcome
    assert any(phase.changes for phase in outcome.phases)
    monkeypatch.setattr(loop, "layer_cost", lambda *_: pytest.fail("measured"))
    again = replay(RECIPE, IMAGES, CPU, outcome)
    assert again.train_seconds is not None
    assert [phase.changes for phase in again.phases] == [phase.changes for phase in outcome.phases]


@pytest.mark.usefixtures("by_weights")
@pytest.mark.parametrize("stands", [True, False])
def test_it_follows_growth_and_pruning_and_averages_follow_it(stands: bool, most_loss: Judge) -> None:
    most_loss(math.inf if stands else 0.0)
    others: dict[str, dict[str, Any]] = {
        "net2net": {"schedule": "widen@0.2x2"},
        "prunetrain": {"penalty_ratio": 0.8, "interval": 1, "until": 0.5, "threshold": 0.1},
        "ema": {"decay": 0.9},
        "layer_replacement": {"gain": 0.5, "start": 0.5},
    }
    recipe = replace(RECIPE, epochs=6, width=0.5, channel_multiple=4, methods=others)
    unbroken, kept = trained(recipe)
    kinds = [surgery.kind for surgery in unbroken.outcome.surgeries]
    assert {"widen", "prune", "replace"} <= set(kinds)
    assert ("restore" in kinds) == (not stands)
    expected = unbroken.model.state_dict()
    for data in kept[2:]:
        checkpoint = torch.load(io.BytesIO(data), weights_only=True)
        assert_equal(expected, train(recipe, IMAGES, CPU, checkpoint=checkpoint).model.state_dict())


@pytest.mark.parametrize("number_format", ["bf16", "fp16", "bf16-pure", "dfp16", "bfp8"])
@pytest.mark.usefixtures("by_weights")
def test_every_number_format_trains_the_new_layers(number_format: str, most_loss: Judge) -> None:
    most_loss(math.inf)
    training = Training(replace(RECIPE, number_format=number_format, epochs=3), IMAGES, CPU)
    outcome = training.go(with_test=False).outcome
    assert outcome.status == "complete"
    assert training.shape.surgeon.history


def test_real_measurements_end_in_a_decision_too() -> None:
    outcome = train(replace(RECIPE, epochs=3), IMAGES, CPU).outcome
    first = outcome.surgeries[0]
    assert first.kind == "replace"
    assert first.seconds > 0
    assert first.figures["candidates"] >= first.figures["layers"]
    assert any(phase.changes for phase in outcome.phases) == (first.figures["layers"] > 0)
    print(f"\nmeasured on this device: {dict(first.figures)}")


def test_a_layer_is_measured_without_a_trace() -> None:
    layer, before = nn.Conv2d(8, 8, 3), torch.get_rng_state()
    precision = Precision("bfp8", CPU)
    drawn = [generator.get_state() for generator in precision.generators]
    assert layer_cost(layer, torch.randn(2, 8, 6, 6, generator=torch.Generator()), CPU, precision) > 0
    assert layer.weight.grad is None
    assert torch.equal(before, torch.get_rng_state())
    assert all(map(torch.equal, drawn, (generator.get_state() for generator in precision.generators)))


def test_more_channels_take_longer() -> None:
    precision = Precision("fp32", CPU)
    few, many = (
        layer_cost(nn.Conv2d(n, n, 3, padding=1), torch.zeros(16, n, 16, 16), CPU, precision) for n in (8, 128)
    )
    assert few < many


def test_a_history_that_is_none_is_refused() -> None:
    surgeon = Surgeon(nn.Sequential(nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3)), torch.zeros(1, 4, 9, 9))
    for event in (
        {"do": "take_back"},
        {"do": "replace", "layers": {"2": "square 3"}},
        {"do": "replace", "layers": {"1": "depthwise"}},
        {"do": "replace", "layers": {"7": "depthwise"}},
    ):
        with pytest.raises(SurgeryError, match="is no event in the history of this network"):
            surgeon.replay([event])
    surgeon.replay([{"do": "replace", "layers": {"2": "depthwise"}}, {"do": "take_back"}])
    assert isinstance(surgeon.model[2], nn.Conv2d)  # type: ignore[index]  # a Sequential


def test_the_layers_of_a_replacement_follow_surgery() -> None:
    surgeon = Surgeon(nn.Sequential(nn.Conv2d(4, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3)), torch.zeros(1, 4, 9, 9))
    surgeon.replay([{"do": "replace", "layers": {"2": "separable 8"}}])
    sizes = {space.name: space.size for space in surgeon.channels.free}
    assert sizes == {"0": 16, "2.0": 8}


def refusal(epochs: int, **others: dict[str, Any]) -> str:
    recipe = Recipe("random", "resnet8", epochs=epochs, methods={"layer_replacement": {"gain": 0.3}, **others})
    with pytest.raises(RecipeError) as error:
        methods.active(recipe)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_training_without_an_epoch_behind_the_trial_is_refused() -> None:
    assert refusal(2) == (
        "layer_replacement.start = 0.2 lets its first trial begin after 1 of 2 epochs, and two more must follow; train "
        "longer, or set layer_replacement.gain = 0"
    )
    with pytest.raises(
        RecipeError, match=r"start = 0\.9 lets its first trial begin after 4 of 4 epochs.*; lower it, train lo"
    ):
        late = {"layer_replacement": {"gain": 0.3, "start": 0.9}}
        methods.active(Recipe("random", "resnet8", epochs=4, methods=late))


@pytest.mark.parametrize(
    ("other", "begins"),
    [
        ({"net2net": {"schedule": "deepen@0.5"}}, 6),
        ({"prunetrain": {"penalty_ratio": 0.2, "until": 0.4}}, 5),
        ({"early_bird": {"pruned": 0.3, "until": 0.6}}, 7),
        ({"progressive_resolution": {"smallest": 0.5, "full_at": 0.7}}, 8),
        ({"prunetrain": {"penalty_ratio": 0.0}}, 2),
        ({"muon": {"rate": 0.1}}, 2),
    ],
)
def test_it_waits_for_what_changes_layers_or_images(other: dict[str, Any], begins: int) -> None:
    recipe = Recipe("random", "resnet8", epochs=10, methods={"layer_replacement": {"gain": 0.3}, **other})
    (method,) = [method for method in methods.active(recipe) if isinstance(method, LayerReplacement)]
    training = tiny()
    training.run.recipe = recipe
    asked: list[int] = []
    training.run.layer_cost = lambda *_: float(asked.append(training.run.epoch) or 1)
    for training.run.epoch in range(10):
        list(method.on_epoch_start(training.run))
    assert set(asked) == {begins}
    assert method.settled_at(recipe) == min(begins + 3, 10)


def test_a_training_that_is_over_when_it_has_waited_is_refused() -> None:
    assert refusal(10, prunetrain={"penalty_ratio": 0.2}) == (
        "layer_replacement waits until prunetrain is done, after 10 of 10 epochs, and two more must follow; let "
        "prunetrain end sooner, train longer, or set layer_replacement.gain = 0"
    )
    assert "waits until early_bird is done, after 8 of 9 epochs" in refusal(9, early_bird={"pruned": 0.3, "until": 0.8})


@pytest.mark.usefixtures("by_weights")
@pytest.mark.parametrize(
    ("network", "other", "kind"),
    [
        ("convnet5", {"kernel_rescaling": {"until": 0.5}}, "rescale"),
        ("resnet8", {"early_bird": {"pruned": 0.5, "masks": 2, "distance": 0.5}}, "prune"),
    ],
)
def test_layers_are_replaced_when_others_have_scaled_kernels_or_cut_channels(
    network: str, other: dict[str, Any], kind: str, most_loss: Judge
) -> None:
    most_loss(math.inf)
    recipe = replace(RECIPE, network=network, epochs=7, methods={**RECIPE.methods, **other})
    outcome = train(recipe, image_set(per_class=32, size=32), CPU).outcome
    did = [(surgery.kind, surgery.epoch) for surgery in outcome.surgeries if surgery.kind in (kind, "replace")]
    assert [name for name, _ in did][:2] == [kind, "replace"]
    assert did[1][1] > did[0][1]


def test_kernels_that_will_grow_are_not_replaced() -> None:
    training = TinyTraining((KernelRescaling(until=0.5), LayerReplacement(gain=0.5)), "convnet5")
    small = [name for name, m in training.run.model.named_modules() if getattr(m, "kernel_size", 0) == (3, 3)]
    assert set(layer_replacement._replaceable(training.run.model)).isdisjoint(large_kernels(training.run.model))
    assert small


def test_a_network_without_such_a_convolution_is_refused() -> None:
    with pytest.raises(RecipeError, match="layer_replacement needs a 3x3 convolution that reads and writes 2 channels"):
        LayerReplacement(gain=0.3).edit_model(nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 1)))
