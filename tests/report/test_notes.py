"""What the dashboard says of a study and of its trials."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import replace

import pytest

from paretosearch.recipe import Recipe
from paretosearch.report.findings import Findings
from paretosearch.report.markdown import block, plain, table
from paretosearch.report.notes import study_note
from paretosearch.report.trialnotes import trial_note
from paretosearch.report.watched import Watched, watched
from paretosearch.store import Store

#: What would be a link, a picture, a script, a heading, another cell or another line.
HOSTILE = (
    "[a](javascript:alert(1))<img src=x onerror=alert(1)>![](http://evil.example/p.png)|x\n# www.evil.example a@b.cd `"
)


@pytest.fixture(scope="module")
def shown(store: Store, study: str) -> Watched:
    return watched(store, study, "sqlite:////data/my study.db")


@pytest.fixture(scope="module")
def found(shown: Watched) -> Findings:
    assert shown.found is not None
    return shown.found


def test_the_study_says_what_is_searched_on_what_and_how_it_is_going(shown: Watched, found: Findings) -> None:
    budgeted = replace(shown, record=replace(shown.record, text="[budget]\ntrials = 64\ndevice_hours = 4.0\n"))
    note = study_note(replace(budgeted, launched=True), "/dashboard/studies/7")
    assert "**resnet8** on **fashion\\-mnist**" in note
    assert "**60** of 64 in the study file: 56 complete, 4 failed" in note
    assert "of 4 h 0 min in the study file" in note
    assert "a launch is **running**" in note
    assert f"**{len(found.front.points)} points**, hypervolume" in note
    assert "cpu 0\\: Ryzen 7 on box; cpu 1\\: Ryzen 7 on box" in note
    assert "batch size&emsp; | 32 to 1024\\, doubling" in note
    for point in (found.front.points[0], found.front.points[-1]):
        assert f"[{point.trial}](/dashboard/studies/7/trials?numbers={point.trial})" in note
    assert "not confirmed" in note


def test_a_study_without_a_result_has_a_note_too(shown: Watched) -> None:
    note = study_note(replace(shown, found=None, launched=False), "/dashboard/studies/7")
    assert "no launch is running" in note
    assert "The front" not in note


@pytest.mark.parametrize("text", ["", "budget = 3", "[budget", "[budget]\ntrials = 'many'\ndevice_hours = []\n"])
def test_a_study_file_that_cannot_be_read_has_no_budget(shown: Watched, text: str) -> None:
    assert study_note(replace(shown, record=replace(shown.record, text=text)), "/x")


def test_a_trial_says_its_recipe_its_numbers_and_the_command_that_trains_it(shown: Watched, found: Findings) -> None:
    point = found.front.points[1]
    note = trial_note(shown, found, point)
    assert f"{100 * point.accuracy:.2f} %" in note
    assert f"{point.recipe.epochs} epoch" in note
    assert "78,042" in note
    assert f"The next faster is trial {found.front.points[0].trial}" in note
    (line,) = (line for line in note.splitlines() if line.startswith("paretosearch train"))
    words = shlex.split(line)
    assert words[:6] == ["paretosearch", "train", "--trial", str(point.trial), "--study", shown.record.name]
    assert words[6:8] == ["--storage", "sqlite:////data/my study.db"]


def test_a_password_is_in_no_command(store: Store, study: str) -> None:
    shown = watched(store, study, "postgresql+psycopg://me:geheim@db/x")
    assert shown.found is not None
    said = study_note(shown, "/x") + trial_note(shown, shown.found, shown.found.front.points[0])
    assert "geheim" not in said
    assert "--storage" not in said


def test_repeats_are_said_with_their_intervals(
    new_store: Callable[[int], Store], study: str, retrained: Callable[[Store, int], None]
) -> None:
    store = new_store(20)
    best = store.front(study).points[-1].trial
    retrained(store, best)
    shown = watched(store, study, "sqlite:///x.db")
    assert shown.found is not None
    point = next(p for p in (*shown.found.front.points, *shown.found.front.dominated) if p.trial == best)
    note = trial_note(shown, shown.found, point)
    assert "mean of 2 repeats" in note
    assert "test accuracy" in note
    said = next(line for line in study_note(shown, "/x").splitlines() if "first results were" in line)
    assert re.match(r"(Partly|Not) confirmed", said)


def test_hostile_names_stay_in_their_cell(shown: Watched, found: Findings) -> None:
    recipe = replace(found.front.points[0].recipe, pooling=HOSTILE.replace("\n", " "))
    assert isinstance(recipe, Recipe)
    bad = replace(found.front.points[0], recipe=recipe, device_class=HOSTILE)
    worse = replace(found, front=replace(found.front, points=(bad, *found.front.points[1:])))
    record = replace(shown.record, device_class=HOSTILE, sampler=HOSTILE)
    hostile = replace(shown, found=worse, record=record, devices=[replace(shown.devices[0], name=HOSTILE)])
    for note in (study_note(hostile, "/x"), trial_note(hostile, worse, bad)):
        lines = [line for line in note.splitlines() if "alert" in line]
        assert lines
        for line in lines:
            assert "[a](" not in line.replace("\\[a\\]\\(", "")
            assert "<img" not in line.replace("\\<img", "")
            assert "www." not in line


def test_code_ends_where_its_text_ends() -> None:
    assert block("a ``` b\n````") == "`````\na ``` b\n````\n`````"


def test_a_text_is_one_line_without_marks() -> None:
    assert plain("a|b\n*c*") == "a\\|b \\*c\\*"
    assert table(("x", "y"), [("1", "")], numeric=1) == "| x&emsp; | y&emsp; |\n| ---: | :--- |\n| 1&emsp; |  |"
