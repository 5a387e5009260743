"""Every sampler asks the same after the same history, and never repeats its own draws."""

import math
import sys
from collections.abc import Callable
from importlib.util import find_spec

import pytest

from paretosearch.axis import Value
from paretosearch.errors import UsageError
from paretosearch.search import Search
from paretosearch.search.samplers import OPTUNAS, OURS
from paretosearch.search.seeds import trial_seed
from paretosearch.space import Space
from paretosearch.studyfile import SAMPLERS as NAMES_IN_STUDY_FILES

Opener = Callable[..., Search]
Genome = dict[str, Value]

every_sampler = pytest.mark.parametrize(
    "sampler", [OURS, *(name for name in OPTUNAS if name != "gp" or find_spec("scipy"))]
)


def told(search: Search, trials: int) -> list[Genome]:
    """Ask and tell; what is told depends on the genome alone."""
    genomes = []
    for _ in range(trials):
        asked = search.ask()
        assert asked.genome is not None
        search.tell(asked.trial, objectives(asked.genome))
        genomes.append(asked.genome)
    return genomes


def objectives(genome: Genome) -> tuple[float, float]:
    """A training that is better the smaller its learning rate is, and as good in fp32 as otherwise, but slower."""
    seconds = 10 * float(genome["learning_rate"]) + float(genome["epochs"]) + 5 * (genome["number_format"] == "fp32")
    return seconds, 1 - float(genome["learning_rate"]) / 2


def test_study_files_may_name_exactly_the_samplers_there_are() -> None:
    assert set(NAMES_IN_STUDY_FILES) == {OURS, *OPTUNAS}


@every_sampler
def test_every_axis_is_drawn_in_every_trial_within_its_range(sampler: str, opened: Opener, space: Space) -> None:
    for genome in told(opened(sampler=sampler, population=3), 5):
        assert genome.keys() == space.axes.keys()
        assert all(axis.contains(genome[name]) for name, axis in space.axes.items())


@every_sampler
def test_two_studies_of_one_seed_ask_the_same(sampler: str, opened: Opener) -> None:
    first, second = (told(opened(name, sampler=sampler, population=7), 9) for name in "ab")
    assert first == second
    assert told(opened("c", sampler=sampler, population=7, seed=8), 9)[-3:] != first[-3:]  # all may begin alike


@every_sampler
def test_a_study_that_is_interrupted_goes_on_as_if_it_had_not_been(sampler: str, opened: Opener) -> None:
    whole = told(opened("whole", sampler=sampler, population=3), 6)
    pieces = [genome for _ in range(3) for genome in told(opened("pieces", sampler=sampler, population=3), 2)]
    assert pieces == whole


@every_sampler
def test_trials_in_flight_are_not_asked_the_same(sampler: str, opened: Opener) -> None:
    search = opened(sampler=sampler)
    genomes = [search.ask().genome for _ in range(4)]
    assert all(genomes.count(genome) == 1 for genome in genomes)


@pytest.mark.parametrize("sampler", ["nsga2", "nsga2-stock", "tpe"])
def test_a_sampler_that_learns_asks_for_better_than_chance(sampler: str, opened: Opener) -> None:
    late = told(opened(sampler=sampler, population=5), 25)[10:]
    by_chance = (1.0 - 0.01) / math.log(100)  # the mean of a log-uniform number from 0.01 to 1
    assert sum(float(genome["learning_rate"]) for genome in late) / len(late) < 0.6 * by_chance


def test_the_seed_of_a_trial_shares_nothing_with_its_neighbours() -> None:
    seeds = {trial_seed(study, number) for study in range(40) for number in range(40)}
    assert len(seeds) == 1600
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert trial_seed(7, 3) == 3466196061  # a study of today is continued tomorrow


def test_a_sampler_whose_package_is_missing_says_what_to_install(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(UsageError, match=r"^the gp sampler needs scipy: pip install scipy, or"):
        opened(sampler="gp")
