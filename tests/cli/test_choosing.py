"""A recipe is picked from a front, and training it gives what the front has."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from paretosearch.recipe import Recipe
from paretosearch.testing.commands import Run

pytestmark = pytest.mark.usefixtures("launched")


@pytest.fixture(scope="module")
def front(run: Run, launched: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert launched.returncode == 0, launched.stderr
    found: list[dict[str, Any]] = json.loads(run("front", "tiny", "--json").stdout)
    return found


def test_what_is_picked_is_written_and_trains_as_it_did(run: Run, folder: Path, front: list[dict[str, Any]]) -> None:
    best = front[-1]
    picked = run("pick", "tiny", "--seconds", "1e6", "--out", "best.json")
    assert picked.returncode == 0, picked.stderr
    assert picked.stdout.startswith(f"trial {best['trial']} of study 'tiny', the most accurate on the front")
    assert picked.stdout.splitlines()[-1] == "  paretosearch train best.json --cpu 1"
    recipe = Recipe.from_json((folder / "best.json").read_text())
    assert recipe.digest == best["digest"]
    assert f"(digest {recipe.digest})" in picked.stdout
    trained = run("train", "best.json", "--cpu", "1", "--out", "picked", "--json")
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["accuracy"] == best["accuracy"]  # one thread, one seed: the same training
    assert Recipe.from_json((folder / "picked" / "recipe.json").read_text()) == recipe


def test_json_has_the_recipe_and_the_command(run: Run, folder: Path, front: list[dict[str, Any]]) -> None:
    least = f"{100 * front[0]['accuracy'] - 0.001}%"
    picked = run("pick", "--accuracy", least, "--out", "a b.json", "--json", "tiny")
    assert picked.returncode == 0, picked.stderr
    plain = json.loads(picked.stdout)
    assert (plain["trial"], plain["digest"]) == (front[0]["trial"], front[0]["digest"])
    assert plain["command"] == "paretosearch train 'a b.json' --cpu 1"
    assert Recipe.from_json(json.dumps(plain["recipe"])) == Recipe.from_json((folder / "a b.json").read_text())


def test_another_file_is_never_replaced_unasked(run: Run, folder: Path) -> None:
    (folder / "mine.json").write_text("mine")
    refused = run("pick", "tiny", "--seconds", "1e6", "--out", "mine.json")
    assert refused.returncode == 2
    assert refused.stdout.startswith("trial ")  # the answer, all the same
    (line,) = refused.stderr.splitlines()
    assert line == (
        "paretosearch: not written: mine.json is there already and is something else; "
        "name another --out, or add --force"
    )
    assert json.loads(run("pick", "tiny", "--seconds", "1e6", "--out", "mine.json", "--json").stdout)["file"] is None
    assert (folder / "mine.json").read_text() == "mine"
    for force in (["--force"], []):  # the second time it is the same recipe
        assert run("pick", "tiny", "--seconds", "1e6", "--out", "mine.json", *force).returncode == 0
    assert Recipe.from_json((folder / "mine.json").read_text())


def test_a_recipe_of_the_study_is_replaced_and_one_that_was_changed_is_not(
    run: Run, folder: Path, front: list[dict[str, Any]]
) -> None:
    other = next(point for point in front if point["trial"] != front[-1]["trial"])["recipe"]
    (folder / "r.json").write_text(json.dumps(other, indent=2))
    assert run("pick", "tiny", "--seconds", "1e6", "--out", "r.json").returncode == 0
    assert Recipe.from_json((folder / "r.json").read_text()).digest == front[-1]["digest"]
    (folder / "r.json").write_text(json.dumps({**other, "seed": 12345}))
    assert run("pick", "tiny", "--seconds", "1e6", "--out", "r.json").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say what to keep: --seconds 60, --accuracy 93%, or both"),
        (("--seconds", "1e-6"), "study 'tiny': no recipe on the front is trained within 1e-06 s: the fastest takes "),
        (("--accuracy", "93"), "--accuracy '93' is no accuracy: write 0.93 or 93%; did you mean 93%?"),
        (("--seconds", "nine"), "--seconds 'nine' is no time to train in (allowed: numbers above 0"),
        (("--seconds", "nan"), "--seconds 'nan' is no time to train in"),
        (("--seconds", "1e6", "--out", "nowhere/r.json"), "cannot write nowhere/r.json: No such file or directory"),
        (("--seconds", "1e6", "--device-class", "cuda:X"), "was not trained on 'cuda:X'"),
    ],
)
def test_what_cannot_be_picked_is_one_line(run: Run, arguments: tuple[str, ...], said: str) -> None:
    refused = run("pick", "tiny", *arguments)
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert said in line
