"""Asking and telling survive whatever a Launcher goes through."""

import math
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from paretosearch.axis import Choice, Int, Real
from paretosearch.errors import ParetosearchError, StoreError
from paretosearch.search import Asked, Search, open_search, upgrade_tables
from paretosearch.search.distributions import distribution
from paretosearch.space import Space
from paretosearch.testing.spaces import whole_space

Opener = Callable[..., Search]


def trial_of(url: str, number: int, study: str = "study") -> optuna.trial.FrozenTrial:
    return optuna.load_study(study_name=study, storage=url).trials[number]


def test_a_trial_that_is_told_holds_its_objectives_and_its_note(opened: Opener, url: str) -> None:
    search = opened()
    asked = search.ask()
    search.tell(asked.trial, (12.5, 0.75), {"digest": "ab12"})
    trial = trial_of(url, asked.trial)
    assert (trial.state, trial.values) == (TrialState.COMPLETE, [12.5, 0.75])
    assert trial.user_attrs == {"digest": "ab12"}
    assert trial.params == asked.genome


def test_a_study_begins_with_what_it_is_told_to_and_only_once(opened: Opener, url: str) -> None:
    axes = {"number_format": "bf16", "batch_size": 64, "learning_rate": 0.1, "label_smoothing.alpha": 0.0}
    genomes = {"short": {**axes, "epochs": 1}, "long": {**axes, "epochs": 5}}
    for _ in range(2):
        search = opened()
        for name, genome in genomes.items():
            search.begin_with(name, genome)
    asked = [search.ask() for _ in range(3)]
    assert [trial.genome for trial in asked[:2]] == list(genomes.values())
    assert asked[2].genome not in genomes.values()
    assert trial_of(url, 0).user_attrs == {"first": "short"}
    search.begin_with("short", genomes["short"])
    assert search.trials() == 3


def test_a_result_of_another_study_is_taken_in_once_and_is_no_trial_of_the_budget(opened: Opener, url: str) -> None:
    genome = {
        "number_format": "bf16",
        "batch_size": 64,
        "learning_rate": 0.1,
        "epochs": 2,
        "label_smoothing.alpha": 0.0,
    }
    search = opened()
    first = search.ask()
    for _ in range(2):
        assert opened().add_result(genome, (3.0, 0.7), {"from": "other/4", "digest": "ab"}) == 1
    trial = trial_of(url, 1)
    assert (trial.state, trial.values, trial.params) == (TrialState.COMPLETE, [3.0, 0.7], genome)
    assert trial.user_attrs == {"from": "other/4", "digest": "ab"}
    assert (search.trials(), search.counts()["complete"]) == (1, 1)
    assert search.resume() == (first,)


def test_a_trial_that_fails_says_why_and_has_no_values(opened: Opener, url: str) -> None:
    search = opened()
    search.tell(search.ask().trial, None, {"failure": "diverged", "message": "the loss is nan"})
    trial = trial_of(url, 0)
    assert (trial.state, trial.values) == (TrialState.FAIL, None)
    assert trial.user_attrs == {"failure": "diverged", "message": "the loss is nan"}


@pytest.mark.parametrize("again", [(3.0, 0.1), None])
@pytest.mark.parametrize("first", [(12.5, 0.75), None])
def test_telling_again_changes_nothing(
    first: tuple[float, float] | None, again: tuple[float, float] | None, opened: Opener, url: str
) -> None:
    search = opened()
    search.tell(search.ask().trial, first, {"digest": "first"})
    before = trial_of(url, 0)
    search.tell(0, again, {"digest": "second", "more": "of it"})
    assert trial_of(url, 0) == before
    opened().tell(0, again)
    assert trial_of(url, 0) == before


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        ((math.nan, 0.5), "trial 0: train_seconds = nan is no finite number from 0 to inf"),
        ((math.inf, 0.5), "trial 0: train_seconds = inf is no finite number from 0 to inf"),
        ((-1.0, 0.5), "trial 0: train_seconds = -1.0 is no finite number from 0 to inf"),
        ((1.0, math.nan), "trial 0: accuracy = nan is no finite number from 0 to 1"),
        ((1.0, 1.01), "trial 0: accuracy = 1.01 is no finite number from 0 to 1"),
        ((1.0, -0.01), "trial 0: accuracy = -0.01 is no finite number from 0 to 1"),
    ],
)
def test_an_impossible_objective_never_reaches_the_sampler(
    objectives: tuple[float, float], message: str, opened: Opener, url: str
) -> None:
    search = opened()
    search.ask()
    with pytest.raises(ParetosearchError) as caught:
        search.tell(0, objectives, {"digest": "x"})
    assert str(caught.value) == message
    assert (trial_of(url, 0).state, trial_of(url, 0).user_attrs) == (TrialState.RUNNING, {})
    search.tell(0, (0.0, 1.0))
    assert trial_of(url, 0).values == [0.0, 1.0]


def test_a_trial_that_was_never_asked_cannot_be_told(opened: Opener) -> None:
    with pytest.raises(StoreError, match="study 'study' has no trial 3"):
        opened().tell(3, (1.0, 0.5))


def test_what_a_dead_launcher_left_behind_is_found_with_its_genomes(opened: Opener) -> None:
    search = opened()
    asked = [search.ask() for _ in range(4)]
    search.tell(1, (1.0, 0.5))
    search.tell(2, None)
    assert opened().resume() == (asked[0], asked[3])
    assert opened("another").resume() == ()


def test_a_trial_that_is_put_off_waits_until_it_is_resumed(opened: Opener, url: str) -> None:
    search = opened()
    first, second = search.ask(), search.ask()
    search.put_off(first.trial)
    assert trial_of(url, 0).state is TrialState.WAITING
    assert (search.counts()["running"], search.trials()) == (1, 1)
    assert opened().resume() == (first, second)
    assert trial_of(url, 0).state is TrialState.RUNNING
    search.tell(first.trial, (1.0, 0.5))
    assert trial_of(url, 0).params == first.genome


def test_a_trial_that_nobody_was_asked_for_yet_is_not_resumed(opened: Opener) -> None:
    search = opened()
    search.begin_with("plain", search.ask().genome or {})
    search.tell(0, (1.0, 0.5))
    assert opened().resume() == ()


def test_a_trial_whose_launcher_died_while_asking_is_found_without_a_genome(
    opened: Opener, url: str, space: Space
) -> None:
    opened().ask()
    half = {"number_format": distribution(space.axes["number_format"])}
    optuna.load_study(study_name="study", storage=url).ask(half)
    search = opened()
    assert search.resume()[1:] == (Asked(1, None),)
    search.tell(1, None, {"failure": "infrastructure"})
    assert len(search.resume()) == 1


def test_trials_are_counted_by_what_became_of_them(opened: Opener) -> None:
    search = opened()
    assert (search.counts(), search.trials()) == (dict.fromkeys(("complete", "failed", "dominated", "running"), 0), 0)
    for trial in [search.ask().trial for _ in range(7)][:5]:
        search.tell(trial, (1.0, 0.5) if trial < 3 else None)
    search.tell_dominated(5)
    assert search.counts() == {"complete": 3, "failed": 2, "dominated": 1, "running": 1}
    assert search.trials() == 7
    assert opened().trials() == 7
    assert opened("another").trials() == 0


def test_an_axis_reads_in_the_database_as_in_the_study_file() -> None:
    assert distribution(Choice(("fp32", "bf16"))).to_external_repr(1) == "bf16"
    batch_sizes = distribution(Int(32, 128, log2=True))
    assert isinstance(batch_sizes, optuna.distributions.CategoricalDistribution)
    assert batch_sizes.choices == (32, 64, 128)
    assert distribution(Int(1, 5)) == optuna.distributions.IntDistribution(1, 5)
    assert distribution(Real(0.1, 1)) == optuna.distributions.FloatDistribution(0.1, 1.0)
    assert distribution(Real(0.1, 1, log=True)) == optuna.distributions.FloatDistribution(0.1, 1.0, log=True)


def test_a_space_whose_axes_are_all_fixed_can_still_be_asked(opened: Opener) -> None:
    search = opened(space=whole_space({}))
    assert search.ask() == Asked(0, {})
    assert search.resume() == (Asked(0, {}),)


def test_a_busy_database_is_waited_for(opened: Opener) -> None:
    with opened()._storage.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 60_000


def test_a_study_of_somebody_else_is_left_alone(opened: Opener, url: str) -> None:
    optuna.create_study(storage=url, study_name="theirs", directions=["maximize"])
    with pytest.raises(StoreError, match=r"^the database has a study 'theirs' with other objectives than ours"):
        opened("theirs")
    assert optuna.load_study(study_name="theirs", storage=url).metric_names is None


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////nowhere/at/all.db",
        "nonsense",
        "oracle+nothing://user:secret@host/db",
        "mysql+aiomysql://user:secret@host/db",
    ],
)
def test_a_database_that_cannot_be_opened_is_one_line_without_the_password(url: str, space: Space) -> None:
    with pytest.raises(StoreError) as caught:
        open_search(url, "study", space, "random", 4, 1)
    assert str(caught.value).startswith("Optuna's tables in ")
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_database_that_breaks_on_the_way_is_one_line(opened: Opener, database: Path) -> None:
    search = opened()
    with sqlite3.connect(database) as connection:
        connection.execute("DROP TABLE trial_params")
    connection.close()
    said = f"Optuna's tables in sqlite:///{database} cannot be used: no such table: trial_params"
    with pytest.raises(StoreError, match=f"^{re.escape(said)}; "):
        search.ask()


def test_a_search_prints_nothing_and_needs_no_torch(url: str) -> None:
    code = f"""
import sys
from paretosearch.axis import Int
from paretosearch.search import open_search
from paretosearch.space import Space
fixed = {{"dataset": "d", "network": "n"}}
for _ in range(2):
    search = open_search({url!r}, "study", Space(fixed, {{"epochs": Int(1, 5)}}), "nsga2", 2, 1)
    search.tell(search.ask().trial, (1.0, 0.5))
    search.tell(0, (1.0, 0.5))
    search.close()
sys.exit("torch" in sys.modules)
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_a_database_may_have_braces_in_its_name(database: Path, space: Space) -> None:
    search = open_search(f"sqlite:///{database.with_name('{a}.db')}", "study", space, "random", 4, 7)
    assert search.ask().trial == 0
    search.close()
    assert database.with_name("{a}.db").exists()


def revision_of(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def test_tables_are_made_before_any_study_and_made_again_they_stay(url: str, database: Path, opened: Opener) -> None:
    upgrade_tables(url)
    newest = revision_of(database)
    opened().ask()
    upgrade_tables(url)
    assert revision_of(database) == newest
    assert trial_of(url, 0).state is TrialState.RUNNING


def test_tables_of_an_older_optuna_are_brought_up_to_date(url: str, database: Path, opened: Opener) -> None:
    upgrade_tables(url)
    newest = revision_of(database)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v3.0.0.d'")  # no column differs from there on
    with pytest.raises(StoreError, match="upgrade"):
        opened()
    upgrade_tables(url)
    assert revision_of(database) == newest
    assert opened().ask().trial == 0


def test_tables_of_a_newer_optuna_are_left_alone(url: str, database: Path) -> None:
    upgrade_tables(url)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    with pytest.raises(StoreError, match=r"of version v99.0.0.a, which Optuna \d.* does not know; upgrade it"):
        upgrade_tables(url)
    assert revision_of(database) == "v99.0.0.a"
