"""A training says in words what became of its network's shape."""

from dataclasses import replace

import pytest

from paretosearch.outcome import EpochResult, Outcome, SurgeryResult
from paretosearch.recipe import Recipe
from paretosearch.report.shapes import change_of, channels_over_epochs, shape_lines

RECIPE = Recipe("random", "resnet20", methods={"prunetrain": {"penalty_ratio": 0.2}})


def outcome(*surgeries: SurgeryResult) -> Outcome:
    one = EpochResult(1, 1.0, 0.5, 1.0, 0.1, 32, 1000, 62_000_000, 0.1, 0.0)
    return Outcome("complete", epochs=(one, replace(one, epoch=2, flops_per_image=54_800_000)), surgeries=surgeries)


def pruning(before: int, after: int, dead: int = 0, weakest: float = 0.058) -> SurgeryResult:
    return SurgeryResult(1, "prune", before, after, 0.1, {"dead": dead, "weakest": weakest})


def test_a_network_that_cannot_change_is_not_spoken_of() -> None:
    assert shape_lines(RECIPE, outcome()) == []


def test_changes_are_told_in_their_order() -> None:
    widening, deepening = SurgeryResult(1, "widen", 443, 500, 0.1), SurgeryResult(2, "deepen", 500, 540, 0.1)
    surgeries = (pruning(459, 443, 16), pruning(443, 443, 5), widening, pruning(500, 490, 30), deepening)
    assert shape_lines(RECIPE, outcome(*surgeries)) == [
        "459 channels, 1 pruning to 443, 1 widening to 500, 1 pruning to 490, 1 deepening to 540: "
        "62 to 54.8 MFLOPs an image"
    ]


def test_replaced_layers_are_told_with_those_that_were_taken_back() -> None:
    nothing = SurgeryResult(1, "replace", 459, 459, 0.5, {"candidates": 0, "layers": 0})
    assert shape_lines(RECIPE, outcome(nothing)) == ["layer_replacement found no layer that is worth it, in 0.50 s"]
    trial = SurgeryResult(1, "replace", 459, 475, 0.5, {"candidates": 7, "layers": 3, "saving": 0.12, "damage": 0.4})
    back = SurgeryResult(2, "restore", 475, 459, 0.1, {"loss_ratio": 1.4, "layers": 3})
    said = "layer_replacement replaced 3 layers in 0.50 s, to save 12 % of a step"
    assert shape_lines(RECIPE, outcome(trial)) == [said]
    assert shape_lines(RECIPE, outcome(trial, back)) == [f"{said}, and took 3 back"]
    assert shape_lines(RECIPE, outcome(trial, nothing))[0].startswith("layer_replacement replaced 3 layers in 1.00 s, ")
    assert change_of((trial, back)) == ""


def test_a_larger_batch_is_no_change_of_shape() -> None:
    batch = SurgeryResult(1, "batch", 459, 459, 0.5, {"tried": 64, "batch_size": 64})
    assert shape_lines(RECIPE, outcome(batch)) == [
        "the network kept its shape",
        "batches of 32 became 64; dynamic_batch tried 1 times, in 0.50 s",
    ]
    kept = SurgeryResult(2, "batch", 459, 459, 1.5, {"tried": 64, "batch_size": 32, "speedup": 1.01})
    assert shape_lines(RECIPE, outcome(kept, kept))[1] == (
        "batches stayed at 32; dynamic_batch tried 2 times, in 3.00 s"
    )


def test_further_steps_on_a_batch_are_no_change_of_shape() -> None:
    noted = [SurgeryResult(1, "isgd", 459, 459, 0.0, {"triggered": n, "steps": 3 * n}) for n in (0, 2, 5)]
    said = "isgd found the loss of 7 batches out of control, and made 21 more steps on them"
    assert shape_lines(replace(RECIPE, methods={}), outcome(*noted)) == [said]
    assert shape_lines(RECIPE, outcome(*noted, pruning(459, 443, 16)))[1:] == [said]


def test_a_note_is_no_change_of_shape() -> None:
    note = SurgeryResult(1, "gradient_pruning", 459, 459, 0.0, {"backward_macs_saved": 0.5})
    assert change_of([note]) == ""
    assert shape_lines(RECIPE, outcome(note)) == []
    assert shape_lines(RECIPE, outcome(pruning(459, 443, 16), note)) == shape_lines(
        RECIPE, outcome(pruning(459, 443, 16))
    )
    assert channels_over_epochs([pruning(459, 443, 16), note], 2) == [(0, 459), (1, 443), (2, 443)]


def test_a_penalty_that_ended_early_is_named_as_a_reason() -> None:
    early = replace(RECIPE, methods={"prunetrain": {"penalty_ratio": 0.2, "until": 0.1}})
    assert "raise prunetrain.until = 0.1, train longer" in shape_lines(early, outcome(pruning(459, 459)))[1]


@pytest.mark.parametrize(
    ("dead", "why"),
    [(0, "the weakest channel has a weight of 0.058"), (6, "6 channels are dead, too few in one place to cut by 8")],
)
def test_pruning_that_cuts_nothing_is_said_with_the_reason(dead: int, why: str) -> None:
    assert shape_lines(RECIPE, outcome(pruning(459, 459, dead))) == [
        "the network kept its shape",
        f"prunetrain cut nothing ({why}); train longer, at a higher rate, or raise prunetrain.penalty_ratio",
    ]


def test_a_ticket_that_was_not_drawn_is_told_with_how_far_it_was() -> None:
    recipe = replace(RECIPE, methods={"early_bird": {"pruned": 0.3}})
    first = SurgeryResult(1, "early_bird", 459, 459, 0.0, {"masks": 1})
    second = SurgeryResult(2, "early_bird", 459, 459, 0.0, {"masks": 2, "distance": 0.184})
    said = "early_bird found no ticket in 2 masks, and cut nothing: its last mask differed from others in 18 % of the"
    assert shape_lines(recipe, outcome(first, second)) == [f"{said} channels"]
    assert shape_lines(recipe, outcome(first)) == ["early_bird found no ticket in 1 mask, and cut nothing"]
    drawn = SurgeryResult(3, "prune", 459, 411, 0.1, {"masks": 3, "distance": 0.05})
    assert shape_lines(recipe, outcome(first, second, drawn)) == [
        "459 channels, 1 pruning to 411: 62 to 54.8 MFLOPs an image"
    ]
    assert shape_lines(recipe, outcome(first, replace(drawn, channels_after=459)))[1:] == [
        "early_bird drew a ticket and cut nothing: it leaves out too few channels in one place to cut by 8"
    ]


def test_a_ticket_of_single_weights_is_told_with_what_it_saves() -> None:
    note = SurgeryResult(6, "lottery_ticket", 459, 459, 0.1, {"weights": 1000, "left": 200, "epoch": 1})
    assert change_of([note]) == ""
    assert shape_lines(replace(RECIPE, methods={"lottery_ticket": {"pruned": 0.8}}), outcome(note)) == [
        "lottery_ticket left 200 of 1000 weights after epoch 6, and set them back to epoch 1; zeros among weights save "
        "no time"
    ]
