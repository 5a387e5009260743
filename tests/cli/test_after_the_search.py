"""A front is confirmed, and a new study begins with what an old one found."""

import json
import subprocess
from pathlib import Path
from typing import Any

import optuna
import pytest

from paretosearch.testing.commands import STUDY, Run

pytestmark = pytest.mark.usefixtures("launched")


@pytest.fixture(scope="module")
def confirmed(run: Run, launched: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert launched.returncode == 0
    done = run("confirm", "tiny", "--replicates", "1", "--cpu", "1", "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_every_member_of_the_front_was_repeated_with_another_seed_and_tested(
    run: Run, confirmed: list[dict[str, Any]]
) -> None:
    front = {point["trial"] for point in json.loads(run("front", "tiny", "--json").stdout)}
    repeated = {e["trial"] for e in confirmed if e["repeats"]}
    assert repeated
    assert all(e["repeats"] == 1 and 0 <= e["test_accuracy"] <= 1 for e in confirmed if e["trial"] in repeated)
    assert front & repeated  # a member whose faster or better neighbour was confirmed first may need no repeat
    assert all(0 <= e["membership"] <= 1 for e in confirmed)


def test_the_search_and_its_front_stay_as_they_are(run: Run, folder: Path, confirmed: list[dict[str, Any]]) -> None:
    status = json.loads(run("status", "tiny", "--json").stdout)
    assert status["trials"]["complete"] == 6
    assert status["repeats"] == sum(e["repeats"] for e in confirmed)
    study = optuna.load_study(study_name="tiny", storage=f"sqlite:///{folder}/paretosearch.db")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 6


@pytest.mark.usefixtures("confirmed")
def test_what_is_confirmed_is_not_repeated_again_and_is_shown_and_exported(run: Run, folder: Path) -> None:
    again = run("confirm", "tiny", "--replicates", "1", "--cpu", "1")
    assert again.returncode == 0, again.stderr
    assert " again  " not in again.stdout
    shown = run("front", "tiny", "--confirmed")
    assert "P: probability" in " ".join(shown.stdout.split())
    assert run("export", "tiny", "--out", "repeated").returncode == 0
    assert {"confirmed.csv", "confirmed.pdf"} <= {path.name for path in (folder / "repeated").iterdir()}


def test_a_new_study_begins_with_the_results_that_are_recipes_of_its_space(run: Run, folder: Path) -> None:
    wider = STUDY.replace('"tiny"', '"warm"').replace('"stochastic", "s3"]', '"stochastic", "s3", "avg"]')
    (folder / "warm.toml").write_text(wider.replace("trials = 6", "trials = 1"))
    begun = run("launch", "warm.toml", "--cpu", "1", "--from-study", "tiny")
    assert begun.returncode == 0, begun.stderr
    assert "begins with 6 results of study 'tiny'" in begun.stdout
    old = json.loads(run("front", "tiny", "--json").stdout)
    warm = json.loads(run("status", "warm", "--json").stdout)
    assert warm["trials"]["complete"] == 7
    assert warm["device_seconds"] < json.loads(run("status", "tiny", "--json").stdout)["device_seconds"]
    new = json.loads(run("front", "warm", "--json").stdout)
    assert max(point["accuracy"] for point in new) >= max(point["accuracy"] for point in old)
    again = run("launch", "warm.toml", "--cpu", "1", "--from-study", "tiny")
    assert json.loads(run("status", "warm", "--json").stdout)["trials"]["complete"] == 7, again.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("launch", "tiny.toml", "--cpu", "1", "--from-study", "tiny"), "there is no other study 'tiny'"),
        (("launch", "tiny.toml", "--cpu", "1", "--from-study", "tyni"), "there is no other study 'tyni'"),
        (("confirm", "tyni", "--cpu", "1"), "there is no study 'tyni'"),
        (("front", "tiny", "--confirmed", "--anytime"), "--confirmed and --anytime are two fronts; choose one"),
        (("front", "tiny", "--confirmed", "--csv"), "--csv is of the plain front"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(run: Run, arguments: tuple[str, ...], message: str) -> None:
    refused = run(*arguments)
    assert refused.returncode == 2
    (line,) = [line for line in refused.stderr.splitlines() if "preparing" not in line]
    assert message in line


@pytest.mark.usefixtures("confirmed")
@pytest.mark.parametrize(
    "command", [("front", "tiny", "--confirmed"), ("pick", "tiny", "--seconds", "1e6", "--out", "größte.json")]
)
def test_a_terminal_that_lacks_a_letter_shows_a_question_mark(run: Run, command: tuple[str, ...]) -> None:
    shown = run(*command, PYTHONIOENCODING="ascii")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "?" in shown.stdout
