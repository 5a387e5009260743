"""What is simulated is marked wherever a person or a program looks at seconds."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from paretosearch.outcome import Outcome, PhaseResult, SurgeryResult
from paretosearch.recipe import SIMULATED_FORMATS, Recipe
from paretosearch.report.anytime import anytime_front, anytime_json, anytime_table
from paretosearch.report.confirmed import confirmed_json, confirmed_table
from paretosearch.report.export import export
from paretosearch.report.findings import findings
from paretosearch.report.look import Look
from paretosearch.report.notes import study_note
from paretosearch.report.shapes import change_of
from paretosearch.report.simulated import MARK, projected_saving, simulated, training_lines
from paretosearch.report.tables import front_json, front_table
from paretosearch.report.trialnotes import trial_note
from paretosearch.report.watched import watched
from paretosearch.store import Front, Point, Store

PRUNED, ROUNDED, WHOLE = 100, 101, 102
PRUNING = {"gradient_pruning": {"sparsity": 0.9}}
BY_INTEGERS = PhaseResult(
    0, 100, 128, "eager", "integers by avx512-vnni, prunetrain with its penalty", 5.0, 0.05, 0.001
)


def recipe(**fields: object) -> Recipe:
    return Recipe("fashion-mnist", "resnet8", epochs=4, **fields)  # type: ignore[arg-type]  # each where it belongs


def result(of: Recipe, by_integers: bool = False) -> Point:
    return Point(0, 1.0, 0.5, of, "cpu:x", 0, by_integers=by_integers)


@pytest.fixture
def marked(new_store: Callable[[int], Store], study: str) -> Store:
    """Make a study whose fastest trial pruned gradients in three of four epochs; its best one computed in dfp16."""
    store = new_store(20)
    front, device = store.front(study), store.devices(study)[0]
    notes = tuple(
        SurgeryResult(epoch, "gradient_pruning", 168, 168, 0.001, {"backward_macs_saved": 0.5, "zeros": 0.5})
        for epoch in (2, 3, 4)
    )
    for trial, seconds, accuracy, of, surgeries in (
        (PRUNED, 0.9 * front.points[0].train_seconds, front.points[0].accuracy - 0.001, recipe(methods=PRUNING), notes),
        (ROUNDED, 1.1 * front.points[-1].train_seconds, 0.97, recipe(number_format="dfp16"), ()),
    ):
        attempt = store.start_attempt(study, trial, device, of)
        measured = {"train_seconds": seconds, "wall_seconds": seconds, "accuracy": accuracy}
        store.finish_attempt(attempt, Outcome("complete", **measured, surgeries=surgeries))
        store.record_front(study, trial, device.device_class)
    return store


def printed(renderable: RenderableType, width: int = 200) -> list[str]:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(renderable)
    return console.export_text().splitlines()


def row_of(lines: list[str], trial: int) -> str:
    return next(line for line in lines if line.split()[:1] == [str(trial)])


@pytest.mark.parametrize(
    ("of", "names"),
    [
        (recipe(), ()),
        (recipe(methods=PRUNING), ("gradient_pruning",)),
        (recipe(methods={"gradient_pruning": {"sparsity": 0.0}}), ()),
        (recipe(methods={"gradient_pruning": {"site": "dO"}}), ()),
        (recipe(number_format="bfp8", methods=PRUNING), ("bfp8", "gradient_pruning")),
        (recipe(number_format="bf16", methods={"gradient_approximation": {"kind": "zero"}}), ()),
    ],
)
def test_it_is_the_number_format_and_every_method_that_is_on(of: Recipe, names: tuple[str, ...]) -> None:
    assert simulated(result(of)) == simulated(result(Recipe.stored(json.loads(of.to_json())))) == names


def test_what_was_computed_by_integers_is_not_simulated(marked: Store, study: str, tmp_path: Path) -> None:
    both = recipe(number_format="dfp16", methods=PRUNING)
    assert simulated(result(both, by_integers=True)) == ("gradient_pruning",)
    device, best = marked.devices(study)[0], marked.front(study).points[-1]
    attempt = marked.start_attempt(study, WHOLE, device, recipe(number_format="dfp16"))
    seconds = 1.1 * best.train_seconds
    measured = Outcome("complete", train_seconds=seconds, wall_seconds=seconds, accuracy=0.98, phases=(BY_INTEGERS,))
    marked.finish_attempt(attempt, measured)
    said = {entry["trial"]: entry["simulated"] for entry in front_json(marked.front(study))}
    assert (said[WHOLE], said[ROUNDED]) == ([], ["dfp16"])
    front = printed(front_table(marked.front(study), ()))
    assert MARK not in row_of(front, WHOLE)
    assert MARK in row_of(front, ROUNDED)
    assert list(training_lines(recipe(number_format="dfp16"), measured)) == []
    files = {path.name: path for path in export(marked, study, tmp_path)}
    with files["trials.csv"].open(newline="") as file:
        assert next(row for row in csv.DictReader(file) if row["trial"] == str(WHOLE))["simulated"] == ""


def test_epochs_without_pruning_count_as_without_saving() -> None:
    note = SurgeryResult(3, "gradient_pruning", 8, 8, 0.0, {"backward_macs_saved": 0.6})
    other = SurgeryResult(3, "prune", 8, 8, 0.0, {"dead": 1.0})
    assert projected_saving(recipe(methods=PRUNING), [other, note, note]) == pytest.approx(0.3)
    assert projected_saving(recipe(), [other]) is None


def test_the_table_marks_the_seconds_and_says_what_that_means(marked: Store, study: str, axes: tuple[str, ...]) -> None:
    front = marked.front(study)
    for width in (200, 80):
        lines = printed(front_table(front, axes, noticed=marked.surgeries_of(study)), width)
        assert f"{MARK} " in row_of(lines, PRUNED)
        assert f"{MARK} " in row_of(lines, ROUNDED)
        rows = [line for line in lines if line.split()[:1] and line.split()[0].isdigit()]
        assert sum(MARK in row for row in rows) == 2
        assert max(map(len, lines)) <= width
        text = " ".join(" ".join(lines).split())
        assert f"{MARK} simulated: gradient_pruning in trial {PRUNED}; dfp16 in trial {ROUNDED}; the sec" in text
        seconds = next(point.train_seconds for point in front.points if point.trial == PRUNED)
        assert f"skipping zeros: 38 % in trial {PRUNED} ({seconds:.1f} s measured)" in text


def test_a_front_without_it_says_nothing_of_it(front: Front, axes: tuple[str, ...]) -> None:
    assert not any(MARK in line or "simulated" in line for line in printed(front_table(front, axes)))
    assert all(entry["simulated"] == [] and entry["backward_macs_saved"] is None for entry in front_json(front))


def test_json_names_it(marked: Store, study: str) -> None:
    said = {entry["trial"]: entry for entry in front_json(marked.front(study), marked.surgeries_of(study))}
    assert said[PRUNED]["simulated"] == ["gradient_pruning"]
    assert said[PRUNED]["backward_macs_saved"] == pytest.approx(0.375)
    assert (said[ROUNDED]["simulated"], said[ROUNDED]["backward_macs_saved"]) == (["dfp16"], None)
    known = {entry["trial"]: entry["simulated"] for entry in confirmed_json(marked.estimates(study))}
    stages = anytime_json(anytime_front(marked.front(study), {}))
    assert known[PRUNED] == next(s["simulated"] for s in stages if s["trial"] == PRUNED) == ["gradient_pruning"]


def test_the_other_fronts_say_it_too(marked: Store, study: str, axes: tuple[str, ...]) -> None:
    stages = anytime_front(marked.front(study), {})
    for table in (confirmed_table(marked.estimates(study), axes), anytime_table(stages, axes)):
        assert any(f"{MARK} simulated: gradient_pruning in trial {PRUNED}" in line for line in printed(table))


@pytest.mark.parametrize(("look", "word"), [(Look(), "simulated"), (Look("slides", "de"), "simuliert")])
def test_an_export_says_it_in_every_file(marked: Store, study: str, tmp_path: Path, look: Look, word: str) -> None:
    files = {path.name: path for path in export(marked, study, tmp_path, look=look)}
    names = "gradient_pruning, dfp16"
    latex = files["front_table.tex"].read_text()
    assert latex.count(r"\rlap{\dag{}}") == 2
    assert rf"\dag{{}} {word} (gradient\_pruning{{,}} dfp16): " in latex
    page = files["front.html"].read_text()
    assert f"{MARK}: {word} ({names})" in page
    assert "38 %" in page
    assert page.count(f"{MARK}</td>") == 2
    assert f"{word}: gradient\\_pruning{{,}} dfp16" in files["front.tex"].read_text()
    assert f"**Simulated**: {names}." in files["PROVENANCE.md"].read_text()
    for name in ("front.csv", "trials.csv"):
        with files[name].open(newline="") as file:
            said = {int(row["trial"]): row["simulated"] for row in csv.DictReader(file)}
        assert (said[PRUNED], said[ROUNDED]) == ("gradient_pruning", "dfp16")
        assert sum(map(bool, said.values())) == 2


def test_a_note_is_no_network_that_was_pruned(marked: Store, study: str) -> None:
    found = findings(marked, study)
    assert change_of(found.surgeries[PRUNED]) == ""
    assert PRUNED not in found.changes
    assert not found.shaped


def test_the_dashboard_says_it(marked: Store, study: str) -> None:
    shown = watched(marked, study, marked.url)
    assert shown.found is not None
    points = {point.trial: point for point in shown.found.front.points}
    note = trial_note(shown, shown.found, points[PRUNED])
    assert "| simulated&emsp; | gradient\\_pruning: the seconds are of hardware" in note
    assert "| projected\\, not measured&emsp; | 38 %" in note or "projected, not measured" in note
    assert "simulated" not in trial_note(shown, shown.found, shown.found.front.points[1])
    assert f"{MARK} simulated" in study_note(shown, "/dashboard/studies/1")


@pytest.mark.parametrize("number_format", SIMULATED_FORMATS)
def test_a_single_training_says_it(number_format: str) -> None:
    note = SurgeryResult(1, "gradient_pruning", 8, 8, 0.0, {"backward_macs_saved": 0.6})
    both = replace(recipe(methods=PRUNING), number_format=number_format)
    said = list(training_lines(both, Outcome("complete", surgeries=(note,))))
    assert said[0].startswith(f"simulated: {number_format}, gradient_pruning; the seconds are of hardware")
    assert said[1].startswith("projected, not measured: 15 %")
    assert list(training_lines(recipe(), Outcome("complete"))) == []
