"""Images that change between two launches, or go during one, are told, and nothing is mixed or lost."""

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from paretosearch.testing.checker import read_left
from paretosearch.testing.commands import STUDY, Run
from paretosearch.testing.faults import STRIKE
from paretosearch.testing.images import image_folder
from paretosearch.testing.nemesis import Victim


@pytest.fixture(scope="module")
def grown(folder: Path, run: Run) -> subprocess.CompletedProcess[str]:
    """A study on images of its own, which has been launched, and to which images have come since."""
    image_folder(folder / "growing")
    text = STUDY.replace('"tiny"', '"grown"').replace("folder:images", "folder:growing")
    (folder / "grown.toml").write_text(text.replace("trials = 6", "trials = 2"))
    first = run("launch", "grown.toml", "--cpu", "1")
    assert first.returncode == 0, first.stderr
    for number in range(10):
        shutil.copy(
            folder / "growing" / "class-0" / f"{number:04d}.png", folder / "growing" / "class-0" / f"x{number}.png"
        )
    return first


def rows(folder: Path, query: str) -> list[Any]:
    """Give what a query finds in the database, or let it change something."""
    with closing(sqlite3.connect(folder / "paretosearch.db")) as database, database:
        return database.execute(query).fetchall()


def other_images(folder: Path) -> str:
    return (
        f"other images (folder:{folder}/growing: train: 96 -> 104 images, validation: 12 -> 13 images, test: 12 -> 13"
    )


@pytest.mark.usefixtures("grown")
@pytest.mark.parametrize("command", [("launch", "grown.toml", "--trials", "4"), ("confirm", "grown")])
def test_a_study_of_other_images_is_not_gone_on_with(run: Run, folder: Path, command: tuple[str, ...]) -> None:
    refused = run(*command, "--cpu", "1")
    assert refused.returncode == 3, refused.stderr
    stage, line = refused.stderr.splitlines()
    assert stage == "preparing the data set"
    assert f"study 'grown' is in the store with {other_images(folder)}" in line
    assert "put them back as they were, or give the study file a new name (by --from-study grown it" in line


@pytest.mark.usefixtures("grown")
def test_a_trial_is_trained_or_timed_on_other_images_with_a_remark(run: Run) -> None:
    for command in (("train", "--trial", "0", "--out", "grown", "--json"), ("retime", "0", "--json")):
        done = run(*command, "--study", "grown", "--cpu", "1")
        assert done.returncode == 0, done.stderr
        json.loads(done.stdout)
        remarks = [
            line for line in done.stderr.splitlines() if line.startswith("not to be compared with study 'grown', ")
        ]
        assert len(remarks) == 1


@pytest.mark.usefixtures("grown")
def test_a_new_study_trains_the_recipes_of_the_front_anew(run: Run, folder: Path) -> None:
    text = (folder / "grown.toml").read_text().replace('"grown"', '"anew"')
    (folder / "anew.toml").write_text(text.replace("trials = 2", "trials = 1"))
    front = rows(folder, "SELECT digest, train_seconds FROM ps_pareto_front WHERE study = 'grown'")
    done = run("launch", "anew.toml", "--cpu", "1", "--from-study", "grown")
    assert done.returncode == 0, done.stderr
    recipes = "1 recipe" if len(front) == 1 else f"{len(front)} recipes"
    assert f"begins with {recipes} of the front of study 'grown', to be trained anew, as images have" in done.stdout
    ((digest, seconds),) = rows(folder, "SELECT digest, train_seconds FROM ps_pareto_front WHERE study = 'anew'")
    assert digest in dict(front)
    assert seconds not in dict(front).values()


@pytest.mark.usefixtures("grown")
def test_a_study_goes_on_when_its_images_are_back(run: Run, folder: Path) -> None:
    for image in (folder / "growing" / "class-0").glob("x*.png"):
        image.unlink()
    for image in (folder / "growing").rglob("*.png"):
        os.utime(image)
    again = run("launch", "grown.toml", "--cpu", "1", "--trials", "3")
    assert again.returncode == 0, again.stderr
    done = "SELECT COUNT(*) FROM ps_attempt WHERE study = 'grown' AND outcome = 'complete' AND purpose = 'search'"
    assert rows(folder, done) == [(3,)]


@pytest.mark.usefixtures("launched")
def test_a_study_from_before_contents_were_kept_takes_them_over(run: Run, folder: Path) -> None:
    kept = "SELECT data_sets FROM ps_study WHERE name = 'tiny'"
    before = rows(folder, kept)
    rows(folder, "UPDATE ps_study SET data_sets = NULL WHERE name = 'tiny'")
    assert run("launch", "tiny.toml", "--cpu", "1").returncode == 0
    assert rows(folder, kept) == before
    content = json.loads(before[0][0])[f"folder:{folder}/images"]
    assert content["images"] == {"train": 96, "validation": 12, "test": 12}


def test_images_that_go_during_a_launch_end_it_and_cost_no_trial(
    folder: Path, tmp_path: Path, note_fault: Callable[[str, str], None]
) -> None:
    victim = Victim(tmp_path, f"sqlite:///{tmp_path}/store.db", trials=4, cache=folder / "cache")
    assert victim.launch(variables={STRIKE: json.dumps({"2": "images gone"})}) == 4, victim.said()
    assert "gets no more work" not in victim.said()
    *_, before, last = victim.said().splitlines()
    assert before.endswith("stopped; the next launch goes on with it")
    images = f"folder:{tmp_path}/images"
    assert last.startswith("paretosearch: ")
    assert f"has lost {images} since the launch began ('{images}': there is no such folder;" in last
    assert last.endswith("; bring the images back, and the same command goes on with every trial")
    left = read_left(victim.url, victim.name)
    assert [trial.state for trial in left.trials] == ["COMPLETE", "COMPLETE", "WAITING"]
    (tmp_path / "images.away").rename(tmp_path / "images")
    assert victim.launch() == 0, victim.said()
    left = read_left(victim.url, victim.name)
    assert [trial.state for trial in left.trials] == ["COMPLETE"] * 4
    assert [attempt.outcome for attempt in left.attempts_of(2)] == ["stopped", "complete"]
    assert victim.verdict().is_clean, victim.verdict()
    note_fault("F27", "images that went during a launch: exit 4, lost 0 of 4 trials")
