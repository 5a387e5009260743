"""What we rely on in Optuna and its tools is still so."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from wsgiref.simple_server import WSGIRequestHandler, make_server

import optuna
import optuna_dashboard
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.samplers import NSGAIISampler, RandomSampler
from optuna.study import StudyDirection

from paretosearch.search import Search

Opener = Callable[..., Search]

GENERATION = "NSGAIISampler:generation"


def generations(url: str) -> list[int]:
    return [trial.system_attrs[GENERATION] for trial in optuna.load_study(study_name="study", storage=url).trials]


def test_the_database_says_what_the_objectives_are(opened: Opener, url: str) -> None:
    opened()
    study = optuna.load_study(study_name="study", storage=url)
    assert study.metric_names == ["train_seconds", "accuracy"]
    assert study.directions == [StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE]


def test_a_generation_ends_with_the_trial_that_completes_the_population(opened: Opener, url: str) -> None:
    search = opened(sampler="nsga2-stock", population=4)
    for _ in range(9):
        search.tell(search.ask().trial, (1.0, 0.5))
    assert generations(url) == [0, 0, 0, 0, 1, 1, 1, 1, 2]


def test_failed_trials_are_no_members_of_a_population(opened: Opener, url: str) -> None:
    search = opened(sampler="nsga2-stock", population=3)
    for number in range(6):
        search.tell(search.ask().trial, None if number < 2 else (1.0, 0.5))
    assert generations(url) == [0, 0, 0, 0, 0, 1]


def test_the_population_survives_a_restart(opened: Opener, url: str) -> None:
    for _ in range(6):
        search = opened(sampler="nsga2-stock", population=3)
        search.tell(search.ask().trial, (1.0, 0.5))
    assert generations(url) == [0, 0, 0, 1, 1, 1]


def test_a_sampler_hears_of_a_trial_and_its_number_before_it_draws() -> None:
    heard: list[Any] = []

    class Listener(NSGAIISampler):
        def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            heard.append(trial.number)

        def sample_independent(self, *arguments: Any) -> Any:
            heard.append("drawn")
            return super().sample_independent(*arguments)

    study = optuna.create_study(directions=["minimize", "maximize"], sampler=Listener(seed=1))
    for _ in range(2):
        study.ask({"x": FloatDistribution(0, 1)})
    assert heard == [0, "drawn", 1, "drawn"]


def test_stock_nsga2_never_makes_a_parent_of_a_result_that_comes_after_its_generation() -> None:
    # So ours is another one. If this fails, Optuna has mended it.
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=NSGAIISampler(population_size=4, seed=1))
    axes = {name: CategoricalDistribution((0, 1, 2)) for name in "abcd"}
    late = study.ask(axes)
    for _ in range(4):
        study.tell(study.ask(axes), (1.0, 0.5))
    study.tell(study.ask(axes), (1.0, 0.5))  # the first of the next generation
    study.tell(late, (0.1, 0.9))  # better than all
    for _ in range(12):
        study.tell(study.ask(axes), (1.0, 0.5))
    parents = [ids for key, ids in study._storage.get_study_system_attrs(study._study_id).items() if ":parent:" in key]
    assert len(parents) >= 2
    assert all(late._trial_id not in ids for ids in parents)
    assert [trial.number for trial in study.best_trials] == [late.number]


def test_all_axes_are_asked_of_a_sampler_at_once_and_none_of_a_trial_that_was_enqueued() -> None:
    asked: list[int] = []

    class Together(RandomSampler):
        def infer_relative_search_space(self, *_: Any) -> dict[str, BaseDistribution]:
            return dict(axes)

        def sample_relative(self, _: optuna.Study, trial: optuna.trial.FrozenTrial, space: Any) -> dict[str, Any]:
            asked.append(trial.number)
            assert space == axes
            return {"x": 0.25, "y": 0.5}

        def sample_independent(self, *_: Any) -> Any:
            raise AssertionError

    axes = {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=Together())
    study.enqueue_trial({"x": 0.1, "y": 0.2})
    assert [study.ask(axes).params for _ in range(3)] == [{"x": 0.1, "y": 0.2}, *[{"x": 0.25, "y": 0.5}] * 2]
    assert asked == [1, 2]


def test_trials_are_listed_by_number_whatever_became_of_them(opened: Opener, url: str) -> None:
    search = opened()
    for number in range(6):
        search.ask()
        if number == 3:
            search.tell_dominated(1)
            search.tell(2, (1.0, 0.5))
    trials = optuna.load_study(study_name="study", storage=url).get_trials(deepcopy=False)
    assert [trial.number for trial in trials] == list(range(6))
    assert (trials[1].state, trials[1].values) == (optuna.trial.TrialState.PRUNED, None)


def test_a_told_trial_is_sealed() -> None:
    # So notes go in before the telling.
    study = optuna.create_study(directions=["minimize", "maximize"])
    trial = study.ask()
    study.tell(trial, (1.0, 0.5))
    with pytest.raises(UpdateFinishedTrialError):
        trial.set_user_attr("digest", "x")
    with pytest.raises(ValueError, match="Cannot tell a COMPLETE trial"):
        study.tell(0, (1.0, 0.5))


def test_a_list_cannot_change_within_a_study() -> None:
    # So a study is refused another space.
    study = optuna.create_study(storage=optuna.storages.RDBStorage("sqlite:///:memory:"))
    study.ask({"x": CategoricalDistribution(("a", "b"))})
    with pytest.raises(ValueError, match="dynamic value space"):
        study.ask({"x": CategoricalDistribution(("a", "b", "c"))})


def test_the_optuna_command_reads_the_database(opened: Opener, url: str) -> None:
    search = opened()
    search.tell(search.ask().trial, (12.5, 0.75), {"digest": "ab12"})
    command = [str(Path(sys.executable).with_name("optuna")), "trials", "--storage", url, "--study-name", "study"]
    answer = subprocess.run([*command, "--format", "json"], check=True, capture_output=True, text=True)
    (trial,) = json.loads(answer.stdout)
    assert (trial["number"], trial["state"]) == (0, "COMPLETE")
    assert trial["values"] == {"train_seconds": 12.5, "accuracy": 0.75}
    assert trial["user_attrs"] == {"digest": "ab12"}
    assert trial["params"]["number_format"] in ("fp32", "bf16", "fp16")


class Silent(WSGIRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def dashboard(opened: Opener, url: str) -> Iterator[str]:
    search = opened()
    search.tell(search.ask().trial, (12.5, 0.75), {"digest": "ab12"})
    search.tell(search.ask().trial, None, {"failure": "diverged"})
    search.ask()
    storage = optuna.storages.RDBStorage(url)
    with make_server("127.0.0.1", 0, optuna_dashboard.wsgi(storage), handler_class=Silent) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
    storage.engine.dispose()


def test_the_dashboard_reads_the_database(dashboard: str) -> None:
    def get(path: str) -> Any:
        with urlopen(f"{dashboard}{path}", timeout=30) as answer:
            return json.load(answer)

    (summary,) = get("/api/studies")["study_summaries"]
    assert (summary["study_name"], summary["directions"]) == ("study", ["minimize", "maximize"])
    detail = get(f"/api/studies/{summary['study_id']}")
    assert detail["objective_names"] == ["train_seconds", "accuracy"]
    assert [trial["state"] for trial in detail["trials"]] == ["Complete", "Fail", "Running"]
    assert detail["trials"][0]["values"] == [12.5, 0.75]
    assert [trial["number"] for trial in detail["best_trials"]] == [0]
