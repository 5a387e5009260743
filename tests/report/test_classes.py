"""A study with results on several classes of device says so, and each can be named by a part."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from paretosearch.api.fronts import checked_class, load_front
from paretosearch.errors import UsageError
from paretosearch.report.classes import classes_lines, fronts_of, labels, meant, shortest
from paretosearch.report.look import Look
from paretosearch.report.status import status_json, status_table
from paretosearch.report.timed import Origins, origins
from paretosearch.store import Store

ONE, TWO = "cpu:Ryzen 7x1", "cpu:Ryzen 7x2"
OLD, NEW, TI = (f"cuda:NVIDIA GeForce {name}" for name in ("GTX 1080 Ti", "RTX 2080", "RTX 2080 Ti"))


def printed(renderable: object, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(renderable)
    return console.export_text()


@pytest.mark.parametrize(
    ("part", "found"),
    [
        (TWO, [TWO]),
        ("x2", [TWO]),
        ("X1", [ONE]),
        ("1080", [OLD]),
        ("2080", [NEW]),
        ("2080 ti", [TI]),
        ("rtx", [NEW, TI]),
        ("ti", [OLD, TI]),
        ("ryzen", [ONE, TWO, "cpu:Ryzen 7x16"]),
        ("A100", []),
        (" ", []),
    ],
)
def test_a_part_means_what_it_fits_best(part: str, found: list[str]) -> None:
    assert meant(part, [ONE, TWO, "cpu:Ryzen 7x16", OLD, NEW, TI]) == found


@pytest.mark.parametrize("classes", [(ONE, TWO, "cpu:Ryzen 7x16"), (OLD, NEW, TI), (ONE, TI), ("cpu:ax1", "cpu:ax1x1")])
def test_what_is_proposed_to_be_typed_means_its_class_alone(classes: tuple[str, ...]) -> None:
    for name in classes:
        part = shortest(name, classes)
        assert meant(part, classes) == [name]
        assert len(part) <= len(name)
    assert shortest(ONE, (ONE, TWO)) == "x1"


def test_classes_are_called_by_what_sets_them_apart() -> None:
    assert labels([OLD, TI]) == {OLD: "GTX 1080 Ti", TI: "RTX 2080 Ti"}
    assert list(labels([TI, ONE, TWO]).values()) == ["RTX 2080 Ti", "1 CPU core", "2 CPU cores"]
    assert list(labels([ONE, TWO], Look("thesis", "de")).values()) == ["1 CPU-Kern", "2 CPU-Kerne"]
    assert list(labels([ONE, "cpu:EPYCx1"]).values()) == ["Ryzen 7, 1 CPU core", "EPYC, 1 CPU core"]
    assert list(labels(["cuda:A", "cuda:NVIDIA A"])) == list(labels(["cuda:A", "cuda:NVIDIA A"]).values())


def test_the_front_of_the_study_comes_first_and_each_is_that_of_the_store(mixed: Store, study: str) -> None:
    fronts = fronts_of(mixed, study)
    assert list(fronts) == [ONE, TWO]
    assert fronts == {name: mixed.front(study, name) for name in (ONE, TWO)}
    assert {p.trial for p in fronts[ONE].points} != {p.trial for p in fronts[TWO].points}


def test_one_class_is_shown_as_ever(store: Store, study: str) -> None:
    assert printed(classes_lines(fronts_of(store, study), ONE)) == ""
    text = printed(status_table(store, study))
    assert "timed again" not in text
    assert "times on cpu:Ryzen 7x1" in text


def test_below_a_front_stands_what_others_there_are_and_how_to_see_them(mixed: Store, study: str) -> None:
    fronts = fronts_of(mixed, study)
    lines = printed(classes_lines(fronts, TWO)).splitlines()
    sizes = [f"{len(front.points)} of 56 trials" for front in fronts.values()]
    assert [size in line for size, line in zip(sizes, lines[-2:], strict=True)] == [True, True]
    assert lines[-2].rstrip().endswith("--device-class x1")
    assert lines[-1].rstrip().endswith("above")


def test_status_has_a_line_a_class_and_what_replays_took(mixed: Store, study: str) -> None:
    status, fronts = status_json(mixed, study), fronts_of(mixed, study)
    assert {name: (front["size"], front["hypervolume"]) for name, front in status["fronts"].items()} == {
        name: (len(front.points), front.hypervolume) for name, front in fronts.items()
    }
    assert status["front"] == status["fronts"][ONE]
    replays = status["replays"]
    assert (replays["attempts"], replays["trials"], replays["device_seconds"]) == (56, 56, pytest.approx(28.0))
    assert replays["share"] == pytest.approx(28.0 / mixed.device_seconds(study))
    text = printed(status_table(mixed, study))
    assert f"{len(fronts[TWO].points)} points on 2 CPU cores, hypervolume" in text
    assert f"56 trials, 28 s, {100 * replays['share']:.1f} % of device time" in text
    assert max(map(len, text.splitlines())) <= 80


def test_results_know_whether_they_were_trained_or_timed(mixed: Store, study: str) -> None:
    attempts = mixed.attempts(study)
    assert origins(attempts, ONE) == origins(attempts, TWO) == Origins(28, 28)
    copies = [replace(attempt, purpose="search", device_seconds=0.0) for attempt in attempts]
    assert origins(copies, ONE) == Origins(0, 0, 56)


def test_a_class_is_found_by_a_part_of_its_name(mixed: Store, study: str) -> None:
    assert checked_class(mixed, study, None) is None
    assert checked_class(mixed, study, "X2") == TWO
    with pytest.raises(UsageError, match=r"'Ryzen' may be any of cpu:Ryzen 7x1, cpu:Ryzen 7x2; name more"):
        checked_class(mixed, study, "Ryzen")
    with pytest.raises(UsageError, match=r"was not trained on '2080' \(allowed: cpu:Ryzen 7x1, cpu:Ryzen 7x2\)"):
        checked_class(mixed, study, "2080")


def test_a_front_in_python_knows_its_classes(mixed: Store, study: str) -> None:
    loaded = load_front(study, mixed.url, "x2")
    assert (loaded.device_class, loaded.device_classes) == (TWO, (ONE, TWO))
    assert loaded.points == mixed.front(study, TWO).points
