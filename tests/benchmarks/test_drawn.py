"""What benchmarks write of a study says what was trained, and no more."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks import less_data, methods
from benchmarks.drawn import trainings
from paretosearch.axis import Choice
from paretosearch.device import Device
from paretosearch.outcome import Outcome, failed
from paretosearch.recipe import Recipe
from paretosearch.report.findings import Findings, findings
from paretosearch.space import Space
from paretosearch.store import StudyRecord, open_store

AXES = {"epochs": Choice((6, 9)), "train_share": Choice((1.0, 0.5)), "seed": Choice((1, 2))}
DEVICE = Device("cpu", "cpu-box-0", "Ryzen 7", 2**34, "box", 0, (0,))
PLAIN = Recipe("fashion-mnist", "convnet", epochs=6)
RECIPES = (PLAIN, replace(PLAIN, train_share=0.5), replace(PLAIN, epochs=9))


def outcome(recipe: Recipe) -> Outcome:
    """Invent one; there are no operations of the longer training."""
    images = recipe.total_epochs * recipe.train_share
    measured = {"train_seconds": images, "wall_seconds": images, "accuracy": 0.8 + 0.01 * images + 0.001 * recipe.seed}
    return Outcome("complete", **measured, training_flops=None if recipe.epochs == 9 else round(1000 * images))


@pytest.fixture
def found(tmp_path: Path) -> Iterator[Findings]:
    """A study of six trials; of each a first try failed, and the training was timed again and repeated."""
    with closing(open_store(f"sqlite:///{tmp_path}/study.db")) as store:
        space = {"declared": Space({"dataset": "fashion-mnist", "network": "convnet"}, AXES).to_plain()}
        created = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
        store.add_study(StudyRecord("one", "", "0" * 16, space, "grid", 1, DEVICE.device_class, {}, created))
        store.add_device(DEVICE)
        for trial, recipe in enumerate(replace(recipe, seed=seed) for seed in (1, 2) for recipe in RECIPES):
            lost = store.start_attempt("one", trial, DEVICE, recipe)
            store.finish_attempt(lost, failed("infrastructure", "the Worker was killed"))
            for purpose in ("search", "replay", "confirm"):
                attempt = store.start_attempt("one", trial, DEVICE, recipe, purpose)
                store.finish_attempt(attempt, outcome(recipe))
            store.record_front("one", trial, DEVICE.device_class)
        yield findings(store, "one")


def test_trainings_are_those_that_gave_a_result(found: Findings) -> None:
    assert len(found.attempts) == 24
    assert trainings(found) == 6
    for written in (methods.written, less_data.both):
        lines, _ = written(found)
        assert any(" 6 trainings." in line for line in lines)


def test_operations_stand_beside_the_seconds_where_they_are_known(found: Findings) -> None:
    lines, _ = methods.written(found)
    heads, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    by_change = {row[0]: dict(zip(heads, row, strict=True)) for row in rows}
    assert by_change["share 0.5"]["time (%)"] == "-50.0 ±0.0"
    assert by_change["share 0.5"]["operations (%)"] == "-50.0 ±0.0"
    assert by_change["9 epochs"]["operations (%)"] == ""
    assert by_change["9 epochs"]["accuracy (points)"].startswith("+3.00")
