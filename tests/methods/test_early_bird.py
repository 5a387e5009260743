"""Early-Bird tickets: when one is drawn, what presses until then, and what becomes of a training with or without it."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
import torch

from paretosearch.channels import widened
from paretosearch.errors import RecipeError
from paretosearch.methods import active, early_bird
from paretosearch.methods.early_bird import EarlyBird
from paretosearch.outcome import Outcome
from paretosearch.recipe import Recipe
from paretosearch.report.shapes import shape_lines
from paretosearch.surgery import Remap, Surgery
from paretosearch.testing.images import image_set
from paretosearch.testing.methods import TinyTraining
from paretosearch.training import Training, loop, replay, train

CPU = torch.device("cpu")
IMAGES = image_set(per_class=32)
FOUND = {"early_bird": {"pruned": 0.5, "masks": 2, "distance": 0.5, "until": 1.0}}
RECIPE = Recipe(
    "stripes",
    "resnet8",
    epochs=4,
    batch_size=32,
    reference_batch_size=32,
    learning_rate=0.1,
    channel_multiple=4,
    methods=FOUND,
)


def training(network: str = "resnet8", epochs: int = 20, **parameters: float) -> TinyTraining:
    """Begin a training with Early-Bird alone, whose channels have scales that hardly change."""
    tiny = TinyTraining((EarlyBird(**{"pruned": 0.3, "until": 1.0, **parameters}),), network, width=1.0)
    tiny.run.recipe = Recipe("random", network, epochs=epochs, channel_multiple=4)
    for number, module in enumerate(tiny.run.model.modules()):
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(number))
    return tiny


def bird(tiny: TinyTraining) -> EarlyBird:
    (method,) = tiny.methods
    assert isinstance(method, EarlyBird)
    return method


def epoch_ends(tiny: TinyTraining, count: int) -> list[Surgery]:
    """Begin and end epochs without steps, and do what is asked for."""
    asked = []
    for _ in range(count):
        tuple(bird(tiny).on_epoch_start(tiny.run))
        tiny.run.epoch += 1
        for surgery in bird(tiny).on_epoch_end(tiny.run):
            tiny.surgeon.operate(surgery)
            asked.append(surgery)
    return asked


def sizes(tiny: TinyTraining) -> list[int]:
    return [space.size for space in tiny.surgeon.channels.free]


def test_five_masks_that_agree_draw_the_ticket_and_four_do_not() -> None:
    tiny = training()
    before = sizes(tiny)
    kinds = [surgery.kind for surgery in epoch_ends(tiny, 5)]
    assert kinds == ["early_bird"] * 4 + ["prune"]
    assert sum(sizes(tiny)) < sum(before)
    after = sizes(tiny)
    assert epoch_ends(tiny, 10) == []
    assert sizes(tiny) == after


def test_a_mask_that_differs_from_one_of_the_four_before_puts_it_off() -> None:
    tiny = training()
    norm = tiny.run.model.get_submodule("1").bn1
    ends = epoch_ends(tiny, 2)
    usual = norm.weight.data.clone()
    norm.weight.data = 2.0 - usual  # 16 of 280 channels exchange their places
    others = [m for m in tiny.run.model.modules() if isinstance(m, torch.nn.BatchNorm2d) and m is not norm]
    saved = [other.weight.data.clone() for other in others]
    for other in others:
        other.weight.data = 2.0 - other.weight.data
    ends += epoch_ends(tiny, 1)
    norm.weight.data = usual
    for other, weight in zip(others, saved, strict=True):
        other.weight.data = weight
    ends += epoch_ends(tiny, 5)
    assert [surgery.kind for surgery in ends] == ["early_bird"] * 7 + ["prune"]  # the fifth behind the third
    assert [surgery.figures["masks"] for surgery in ends] == [1, 2, 3, 4, 5, 5, 5, 5]
    far = [surgery.figures.get("distance", 1.0) for surgery in ends]
    assert far[0] == 1.0
    assert far[1] == 0.0
    assert min(far[2:7]) > 0.1
    assert far[7] == 0.0
    print(f"largest distance of each mask from the four before it: {', '.join(f'{d:.2f}' for d in far[1:])}")


def test_as_long_as_all_scales_are_equal_no_ticket_is_drawn() -> None:
    tiny = training(masks=2)
    for module in tiny.run.model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.fill_(1.0)
    assert {surgery.kind for surgery in epoch_ends(tiny, 10)} == {"early_bird"}


def test_what_is_cut_is_as_much_as_the_union_leaves() -> None:
    """In a plain chain every layer has channels of its own, and the share is that of the mask."""
    tiny = training("vgg11", masks=2)
    tiny.run.recipe = replace(tiny.run.recipe, channel_multiple=1)
    before = sizes(tiny)
    *_, surgery = epoch_ends(tiny, 2)
    (remap,) = surgery.operations
    assert isinstance(remap, Remap)
    assert sum(sizes(tiny)) == sum(before) - round(0.3 * sum(before))


def test_the_penalty_is_on_the_scales_alone_and_ends_with_the_search() -> None:
    tiny = training(strength=0.01, masks=2)
    tuple(bird(tiny).on_epoch_start(tiny.run))
    names = dict(tiny.run.model.named_parameters())
    scales = {f"{name}.weight" for name, m in tiny.run.model.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
    names["0.1.weight"].data[0] = -0.5
    for p in names.values():
        p.grad = torch.full_like(p, 0.25)
    bird(tiny).after_backward(tiny.run)
    for name, p in names.items():
        expected = 0.25 + 0.01 * p.sign() if name in scales else torch.full_like(p, 0.25)
        assert p.grad is not None
        torch.testing.assert_close(p.grad, expected)
    assert bird(tiny).pattern(tiny.run) == "looks for a ticket"
    epoch_ends(tiny, 2)
    tuple(bird(tiny).on_epoch_start(tiny.run))
    for p in tiny.run.model.parameters():
        p.grad = torch.zeros_like(p)
    bird(tiny).after_backward(tiny.run)
    assert not any(p.grad is not None and p.grad.any() for p in tiny.run.model.parameters())
    assert bird(tiny).pattern(tiny.run) == ""


def test_scales_that_began_at_zero_are_not_judged() -> None:
    tiny = training(masks=2, pruned=0.5)
    last = tiny.run.model.get_submodule("1").bn2
    last.weight.data.zero_()
    tuple(bird(tiny).on_epoch_start(tiny.run))
    state = bird(tiny).state_dict()
    assert [name for name, is_exempt in state["exempt"].items() if is_exempt] == ["1.bn2"]
    assert sum(size for _, size in state["layout"]) == sum(
        m.num_features for m in tiny.run.model.modules() if isinstance(m, torch.nn.BatchNorm2d) and m is not last
    )


def test_a_network_that_grows_needs_new_masks() -> None:
    tiny = training(masks=3)
    epoch_ends(tiny, 2)
    generator = torch.Generator().manual_seed(0)
    tiny.surgeon.remap({s.name: widened(s.size, s.size + 8, generator) for s in tiny.surgeon.channels.free})
    assert [surgery.figures["masks"] for surgery in epoch_ends(tiny, 2)] == [1, 2]


def test_it_says_when_it_could_cut_next() -> None:
    tiny = training(until=0.35)  # of 20 epochs, the last ticket is drawn behind the seventh
    method, told = bird(tiny), []
    tiny.run.model.get_submodule("1").bn1.weight.data.fill_(1.0)
    method.distance = -1.0  # never
    for _ in range(9):
        tuple(method.on_epoch_start(tiny.run))
        told.append(method.quiet_until(tiny.run))
        tiny.run.epoch += 1
        tuple(method.on_epoch_end(tiny.run))
    assert told == [5, 5, 5, 5, 5, 6, 7, 20, 20]


def test_masks_are_as_far_apart_as_the_training_is_stretched() -> None:
    tiny = training(masks=2)
    tiny.run.recipe = Recipe(
        "random", "resnet8", epochs=5, batch_size=256, reference_batch_size=128, epochs_rule="updates"
    )
    assert [surgery.kind for surgery in epoch_ends(tiny, 4)] == ["early_bird", "prune"]
    assert tiny.run.epoch == 4


@pytest.mark.parametrize(
    ("parameters", "schedule", "said"),
    [
        (
            {},
            "none",
            "early_bird.masks = 5 needs more epochs: until = 0.5 of a training of 6 epochs gives 3; lower masks, raise",
        ),
        ({"masks": 3}, "widen@0.3", "until = 0.5 of a training of 6 epochs gives 2 between two growths; "),
        (
            {"masks": 6, "until": 1.0},
            "none",
            "until = 1 of a training of 6 epochs gives 5; lower masks, train longer, or turn",
        ),
    ],
)
def test_a_training_that_is_over_before_enough_masks_is_refused(
    parameters: dict[str, float], schedule: str, said: str
) -> None:
    methods = {"early_bird": {"pruned": 0.3, **parameters}, "net2net": {"schedule": schedule}}
    with pytest.raises(RecipeError) as caught:
        active(Recipe("random", "resnet8", epochs=6, methods=methods))
    assert said in str(caught.value)
    assert "early_bird.pruned = 0" in str(caught.value)
    active(Recipe("random", "resnet8", epochs=12, methods=methods))


@pytest.mark.parametrize(
    ("epochs", "until", "advice"),
    [(3, 0.5, "gives 1; raise until, train longer, or"), (2, 1.0, "gives 1; train longer, or")],
)
def test_what_is_not_possible_is_not_advised(epochs: int, until: float, advice: str) -> None:
    few = {"early_bird": {"pruned": 0.3, "masks": 2, "until": until}}
    with pytest.raises(RecipeError, match=advice):
        active(Recipe("random", "resnet8", epochs=epochs, methods=few))


def test_a_network_without_batch_norm_that_may_change_is_refused() -> None:
    with pytest.raises(RecipeError, match="early_bird judges channels by the scales of batch norm, and this network"):
        EarlyBird(pruned=0.3).edit_model(torch.nn.Linear(2, 2))
    tiny = training("convnet")
    tiny.surgeon.model.register_parameter("unused", torch.nn.Parameter(torch.zeros(2)))
    with pytest.raises(RecipeError, match="early_bird needs channels that may change, and convnet has none"):
        tiny.epoch()


@pytest.fixture(scope="module")
def unbroken() -> tuple[Outcome, dict[str, torch.Tensor], list[bytes]]:
    """A training that draws a ticket: its Outcome, its weights, and its checkpoints as they lie on a disk."""
    kept: list[bytes] = []

    def keep(checkpoint: object) -> None:
        file = io.BytesIO()
        torch.save(checkpoint, file)
        kept.append(file.getvalue())

    trained = train(RECIPE, IMAGES, CPU, keep=keep)
    return trained.outcome, trained.model.state_dict(), kept


def test_a_training_draws_one_ticket_and_goes_on_with_a_smaller_network(
    unbroken: tuple[Outcome, dict[str, torch.Tensor], list[bytes]],
) -> None:
    outcome = unbroken[0]
    assert [(surgery.epoch, surgery.kind) for surgery in outcome.surgeries] == [(1, "early_bird"), (2, "prune")]
    cut = outcome.surgeries[1]
    assert cut.channels_after < cut.channels_before
    assert cut.seconds > 0
    assert [phase.pattern for phase in outcome.phases] == ["early_bird looks for a ticket", ""]
    parameters = [epoch.parameters for epoch in outcome.epochs]
    assert parameters[0] > parameters[1] == parameters[2] == parameters[3]
    (line,) = shape_lines(RECIPE, outcome)
    assert "1 pruning to" in line
    print(line)


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_it_goes_on_from_any_checkpoint_to_the_same_bits(
    unbroken: tuple[Outcome, dict[str, torch.Tensor], list[bytes]], epoch: int
) -> None:
    outcome, ours, kept = unbroken
    checkpoint = torch.load(io.BytesIO(kept[epoch - 1]), weights_only=True)
    continued = train(RECIPE, IMAGES, CPU, checkpoint=checkpoint)
    theirs = continued.model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert [s.figures for s in continued.outcome.surgeries] == [s.figures for s in outcome.surgeries]


def test_timed_again_its_phases_are_what_they_were(
    unbroken: tuple[Outcome, dict[str, torch.Tensor], list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []
    steps = loop.Training.steps

    def watched(training: Training, *arguments: object) -> None:
        steps(training, *arguments)  # type: ignore[arg-type]
        seen.append((training._setting().pattern, sum(p.numel() for p in training.run.model.parameters())))

    monkeypatch.setattr(loop.Training, "steps", watched)
    replay(RECIPE, IMAGES, CPU, Outcome.from_json(unbroken[0].to_json()))
    epochs = unbroken[0].epochs
    assert set(seen) == {("early_bird looks for a ticket", epochs[0].parameters), ("", epochs[-1].parameters)}


def test_without_a_ticket_nothing_is_cut_and_the_training_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter(range(100))
    monkeypatch.setattr(
        early_bird, "marked", lambda scales, *_: torch.rand(len(scales), generator=seeded(next(draws))) < 0.5
    )
    recipe = replace(RECIPE, methods={"early_bird": {**FOUND["early_bird"], "distance": 0.1}})
    outcome = train(recipe, IMAGES, CPU).outcome
    assert {surgery.kind for surgery in outcome.surgeries} == {"early_bird"}
    assert len({epoch.parameters for epoch in outcome.epochs}) == 1
    (line,) = shape_lines(recipe, outcome)
    far = round(100 * outcome.surgeries[-1].figures["distance"])
    assert line == (
        f"early_bird found no ticket in 3 masks, and cut nothing: its last mask differed from others in {far} % of the "
        "channels"
    )


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_ticket_that_leaves_out_too_little_of_each_layer_cuts_nothing_and_says_so() -> None:
    recipe = replace(RECIPE, channel_multiple=64)
    outcome = train(recipe, IMAGES, CPU).outcome
    assert [surgery.kind for surgery in outcome.surgeries] == ["early_bird", "prune"]
    assert shape_lines(recipe, outcome) == [
        "the network kept its shape",
        "early_bird drew a ticket and cut nothing: it leaves out too few channels in one place to cut by 64",
    ]


@pytest.mark.parametrize("number_format", ["bf16", "bf16-pure", "fp16", "dfp16", "bfp8"])
def test_every_number_format_trains_on_after_the_cut(number_format: str) -> None:
    outcome = train(replace(RECIPE, number_format=number_format, epochs=3), IMAGES, CPU).outcome
    assert outcome.epochs[-1].parameters < outcome.epochs[0].parameters


@pytest.mark.parametrize(
    "others",
    [
        {"ema": {"decay": 0.9}},
        {"schedule_free": {"beta": 0.9}},
        {"muon": {"rate": 0.1}},
        {"ghost_norm": {"size": 8}},
        {"whitening": {"size": 2}},
        {"dynamic_batch": {"largest": 64}},
        {"gradient_approximation": {"kind": "zero"}},
    ],
    ids=lambda others: next(iter(others)),
)
def test_what_others_hold_of_the_channels_goes_with_them(others: dict[str, dict[str, float]]) -> None:
    recipe = replace(RECIPE, methods={**FOUND, **others})
    outcome = train(recipe, IMAGES, CPU).outcome
    assert outcome.epochs[-1].parameters < outcome.epochs[0].parameters


def test_a_network_widened_after_the_ticket_is_not_cut_again() -> None:
    recipe = replace(RECIPE, epochs=5, methods={**FOUND, "net2net": {"schedule": "widen@0.6x1.5"}})
    outcome = train(recipe, IMAGES, CPU).outcome
    kinds = [surgery.kind for surgery in outcome.surgeries if surgery.kind != "early_bird"]
    assert kinds == ["prune", "widen"]
