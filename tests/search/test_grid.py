"""A grid asks for every Recipe once, and then for nothing more."""

from collections.abc import Callable

import pytest

from paretosearch.axis import Choice, Int
from paretosearch.errors import StoreAwayError
from paretosearch.search import Search, grid, star
from paretosearch.space import Space
from paretosearch.testing.spaces import whole_space

AXES = {"seed": Choice((1, 2)), "epochs": Int(8, 9), "number_format": Choice(("fp32", "bf16"))}


def _space(**more: Choice) -> Space:
    return whole_space({**AXES, **{name.replace("__", "."): axis for name, axis in more.items()}})


def test_every_recipe_is_there_once_with_every_seed_and_seeds_change_last() -> None:
    genomes = grid(_space())
    assert len(genomes) == len({tuple(sorted(genome.items())) for genome in genomes}) == 8
    assert [genome["seed"] for genome in genomes] == [1] * 4 + [2] * 4
    once = [{**genome, "seed": 0} for genome in genomes]
    assert once[:4] == once[4:]


def test_genomes_of_one_recipe_are_one_trial() -> None:
    space = _space(prunetrain__penalty_ratio=Choice((0.0, 0.2)), prunetrain__interval=Choice((1, 2)))
    penalties = [genome["prunetrain.penalty_ratio"] for genome in grid(space)]
    assert penalties.count(0.0) == 8  # the interval says nothing without a penalty
    assert penalties.count(0.2) == 16


def test_a_plan_is_asked_for_in_its_order_and_only_once(opened: Callable[..., Search]) -> None:
    space = _space()
    genomes = grid(space)
    asked = []
    for _ in range(2):  # as a launch that is repeated does
        search = opened(space=space, sampler="grid")
        search.resume()
        search.plan(genomes)
        asked += [search.ask() for _ in range(4)]
    assert [trial.genome for trial in asked] == list(genomes)
    search.plan(genomes)
    assert search.ask().genome is not None  # nothing is left of the plan: this one is drawn
    assert search.trials() == 9


def test_what_another_study_has_trained_is_no_part_of_the_plan(opened: Callable[..., Search]) -> None:
    space = _space()
    genomes, search = grid(space), opened(space=space, sampler="grid")
    search.add_result(genomes[2], (3.0, 0.7), {"from": "other/4"})
    assert search.plan(genomes) == 7
    assert [search.ask().genome for _ in range(7)] == [*genomes[:2], *genomes[3:]]
    assert search.trials() == 7


def test_a_planned_trial_whose_question_was_interrupted_keeps_its_recipe(opened: Callable[..., Search]) -> None:
    space = _space()
    genomes, search = grid(space), opened(space=space, sampler="grid")
    search.plan(genomes)
    set_param, calls = search._storage._set_trial_param, []

    def failing(*arguments: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise UnboundLocalError("of a connection that breaks")
        set_param(*arguments)  # type: ignore[arg-type]

    search._storage._set_trial_param = failing  # type: ignore[method-assign]
    with pytest.raises(StoreAwayError):
        search.ask()
    assert [search.ask().genome for _ in genomes] == list(genomes)
    assert search.trials() == len(genomes)


def test_what_a_study_begins_with_is_not_asked_for_again(opened: Callable[..., Search]) -> None:
    space = _space()
    genomes, search = grid(space), opened(space=space, sampler="grid")
    search.begin_with("middle", genomes[5])
    search.plan(genomes)
    assert [search.ask().genome for _ in genomes] == [genomes[5], *genomes[:5], *genomes[6:]]


def test_one_at_a_time_has_the_plain_recipe_and_each_that_differs_in_one_axis() -> None:
    space = _space(label_smoothing__alpha=Choice((0.0, 0.1, 0.2)))
    genomes = star(space)
    plain = space.corner
    for seed, half in ((1, genomes[:5]), (2, genomes[5:])):
        assert half[0] == {**plain, "seed": seed}
        differing = [{key: value for key, value in genome.items() if value != half[0][key]} for genome in half[1:]]
        assert differing == [
            {"epochs": 9},
            {"number_format": "bf16"},
            {"label_smoothing.alpha": 0.1},
            {"label_smoothing.alpha": 0.2},
        ]


def test_one_at_a_time_leaves_out_what_says_nothing_alone() -> None:
    space = _space(prunetrain__penalty_ratio=Choice((0.0, 0.2)), prunetrain__interval=Choice((1, 2)))
    assert [g["prunetrain.interval"] for g in star(space)] == [1] * len(star(space))


def test_what_a_study_names_is_one_change_of_several_values_with_every_seed() -> None:
    space = _space(label_smoothing__alpha=Choice((0.0, 0.1)))
    named = {**space.corner, "label_smoothing.alpha": 0.1, "epochs": 9}
    added = [genome for genome in star(space, [named]) if genome not in star(space)]
    assert added == [{**named, "seed": seed} for seed in (1, 2)]
