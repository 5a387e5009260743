"""Our NSGA-II asks for no Recipe twice, forgets no result, and begins with a plan."""

from collections.abc import Callable, Mapping

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from paretosearch.axis import Choice, Int, Real, Value
from paretosearch.search import Search, grid
from paretosearch.search.distributions import distribution
from paretosearch.search.nsga2 import NSGA2
from paretosearch.search.study import DIRECTIONS
from paretosearch.space import Space
from paretosearch.testing.spaces import whole_space

Opener = Callable[..., Search]

#: 44 Recipes of 96 genomes: without a penalty the interval says nothing, and some intervals are too long to matter.
SMALL = whole_space(
    {
        "number_format": Choice(("fp32", "bf16")),
        "batch_size": Int(32, 64, log2=True),
        "epochs": Choice((2, 6)),
        "prunetrain.penalty_ratio": Choice((0.0, 0.1, 0.3)),
        "prunetrain.interval": Choice((1, 2, 3, 4)),
    }
)


class Asking:
    """A study in memory, with a training that costs what its genome says."""

    def __init__(self, space: Space, population: int = 6, seed: int = 3) -> None:
        self.sampler = NSGA2(space, population, seed)
        self.study = optuna.create_study(sampler=self.sampler, directions=DIRECTIONS)
        self._distributions = {name: distribution(axis) for name, axis in space.axes.items()}

    def ask(self) -> optuna.Trial:
        return self.study.ask(self._distributions)

    def tell(self, trial: optuna.Trial, state: TrialState = TrialState.COMPLETE) -> None:
        values = objectives(trial.params) if state is TrialState.COMPLETE else None
        self.study.tell(trial, values, state)


def objectives(genome: Mapping[str, Value]) -> tuple[float, float]:
    epochs, fp32 = float(genome["epochs"]), genome["number_format"] == "fp32"
    return epochs * (1.5 if fp32 else 1.0), 1 - 0.4 / epochs - 0.001 * float(genome["batch_size"])


def test_no_recipe_is_asked_for_twice_however_it_ended_until_there_is_none_left() -> None:
    asking, ends = Asking(SMALL), [TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED, None]
    recipes = len(grid(SMALL))
    assert recipes < (SMALL.size or 0)
    seen = set()
    for number in range(recipes):
        assert not asking.sampler.is_done(asking.study)
        trial = asking.ask()
        seen.add(SMALL.recipe(trial.params).digest)
        end = ends[number % 4]
        if end is not None:
            asking.tell(trial, end)
    assert len(seen) == recipes
    assert asking.sampler.is_done(asking.study)


def test_a_space_without_an_end_is_never_done(opened: Opener, space: Space) -> None:
    search = opened(space=space)
    for _ in range(3):
        search.ask()
    assert not search.is_done()


def test_a_result_that_comes_late_is_a_parent_like_any_other() -> None:
    asking = Asking(SMALL, population=4)
    late = asking.ask()
    for _ in range(12):
        asking.tell(asking.ask())
    asking.study.tell(late, (0.1, 0.99))  # better than all others
    asking.ask()
    assert asking.sampler.parents()[0].genome == late.params


def test_every_result_is_among_those_of_which_the_parents_are_the_best() -> None:
    asking = Asking(SMALL, population=50)
    for _ in range(14):
        asking.tell(asking.ask())
    asking.ask()
    parents = [SMALL.recipe(known.genome).digest for known in asking.sampler.parents()]
    told = [SMALL.recipe(trial.params).digest for trial in asking.study.get_trials(states=(TrialState.COMPLETE,))]
    assert sorted(parents) == sorted(told)


def test_every_number_format_comes_first_at_reference_settings_then_both_ends_of_the_epochs(space: Space) -> None:
    asking = Asking(space, population=9)
    genomes = [asking.ask().params for _ in range(9)]
    assert [genome["number_format"] for genome in genomes[:3]] == ["fp32", "bf16", "fp16"]
    reference = {"batch_size": 128, "learning_rate": 0.1, "epochs": 3, "label_smoothing.alpha": 0.0}
    for genome in genomes[:3]:
        assert {name: genome[name] for name in reference} == reference
    assert [genome["epochs"] for genome in genomes[3:5]] == [1, 5]


def test_what_has_no_default_in_its_range_begins_in_the_middle_of_numbers_and_with_the_first_of_names() -> None:
    space = whole_space({"pooling": Choice(("max", "s3", "avg")), "learning_rate": Real(0.2, 0.8), "epochs": Int(1, 3)})
    assert Asking(space).ask().params == {"pooling": "max", "learning_rate": 0.5, "epochs": 2}


def test_the_design_is_spread_evenly_over_every_axis() -> None:
    axes = whole_space({"learning_rate": Real(0.01, 1.0, log=True), "weight_decay": Real(0.0, 1.0)})
    asking = Asking(axes, population=67)
    genomes = [asking.ask().params for _ in range(67)][3:]
    shares = np.array([[np.log10(g["learning_rate"]) / 2 + 1, g["weight_decay"]] for g in genomes])
    for column in shares.T:
        assert np.abs(np.sort(column) - (np.arange(64) + 0.5) / 64).max() < 0.06  # by chance 0.17 in the mean


def test_children_that_must_be_dominated_are_seldom_chosen() -> None:
    space = whole_space({"number_format": Choice(("fp32", "bf16")), "learning_rate": Real(0.01, 1.0, log=True)})
    asking = Asking(space, population=8)
    useless = []
    for _ in range(28):
        trial = asking.ask()
        rate, slow = float(trial.params["learning_rate"]), trial.params["number_format"] == "fp32"
        asking.study.tell(trial, (2.0 + 2.0 * slow + rate, 0.9 - abs(np.log10(rate) + 1) / 4))
        useless.append(slow or rate > 0.15)  # beyond 0.1, more seconds buy less accuracy
    assert np.mean(useless[8:]) < 0.2  # by chance 0.7


@pytest.mark.parametrize("devices", [1, 5])
def test_the_same_history_leads_to_the_same_question_in_any_process(devices: int) -> None:
    first, second = Asking(SMALL), Asking(SMALL)
    running: list[optuna.Trial] = []
    for _ in range(20):
        running.append(first.ask())
        assert second.ask().params == running[-1].params
        if len(running) == devices:
            number = running.pop(0).number
            for asking in (first, second):
                asking.study.tell(number, objectives(asking.study.trials[number].params))
    again = NSGA2(SMALL, 6, 3)  # as after a restart
    first.study.sampler = again
    assert first.ask().params == second.ask().params
