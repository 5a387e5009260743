"""A training says in words what became of its network's shape."""

from dataclasses import replace

import pytest

from paretosearch.outcome import EpochResult, Outcome, SurgeryResult
from paretosearch.recipe import Recipe
from paretosearch.report.shapes import shape_lines

RECIPE = Recipe("random", "resnet20", methods={"prunetrain": {"penalty_ratio": 0.2}})


def outcome(*surgeries: SurgeryResult) -> Outcome:
    one = EpochResult(1, 1.0, 0.5, 1.0, 0.1, 32, 1000, 62_000_000, 0.1, 0.0)
    return Outcome("complete", epochs=(one, replace(one, epoch=2, flops_per_image=54_800_000)), surgeries=surgeries)


def pruning(before: int, after: int, dead: int = 0, weakest: float = 0.058) -> SurgeryResult:
    return SurgeryResult(1, "prune", before, after, 0.1, {"dead": dead, "weakest": weakest})


def test_a_network_that_cannot_change_is_not_spoken_of() -> None:
    assert shape_lines(RECIPE, outcome()) == []


def test_changes_are_counted_and_compared_from_end_to_end() -> None:
    widening, deepening = SurgeryResult(1, "widen", 443, 500, 0.1), SurgeryResult(2, "deepen", 500, 540, 0.1)
    surgeries = (pruning(459, 443, 16), pruning(443, 443, 5), widening, pruning(500, 490, 30), deepening)
    assert shape_lines(RECIPE, outcome(*surgeries)) == [
        "2 prunings, 1 widening, 1 deepening: 459 to 540 channels, 62 to 54.8 MFLOPs an image"
    ]


def test_a_larger_batch_is_no_change_of_shape() -> None:
    batch = SurgeryResult(1, "batch", 459, 459, 0.1, {"tried": 64})
    assert shape_lines(RECIPE, outcome(batch)) == ["the network kept its shape"]


@pytest.mark.parametrize(
    ("dead", "why"),
    [(0, "the weakest channel has a weight of 0.058"), (6, "6 channels are dead, too few in one place to cut by 8")],
)
def test_pruning_that_cuts_nothing_is_said_with_the_reason(dead: int, why: str) -> None:
    assert shape_lines(RECIPE, outcome(pruning(459, 459, dead))) == [
        "the network kept its shape",
        f"prunetrain cut nothing ({why}); train longer, at a higher rate, or raise prunetrain.penalty_ratio",
    ]
