"""What repeats say is shown with what chance does, and with what the first results promised."""

import io
import json

import pytest
from matplotlib.figure import Figure
from rich.console import Console

from paretosearch.recipe import Recipe
from paretosearch.report.confirmation import confirmed_figure, confirmed_rows
from paretosearch.report.confirmed import confirmed_json, confirmed_table, curse_line, standing
from paretosearch.store import Estimate, Point, Repeat
from paretosearch.store.estimates import estimated

AXES = ("epochs", "batch_size")


@pytest.fixture
def estimates() -> tuple[Estimate, ...]:
    """Three of the front, of which the middle one was lucky, and one that is far from it."""
    objectives = [(10.0, 0.80), (20.0, 0.88), (30.0, 0.885), (40.0, 0.5)]
    points = [
        Point(n, seconds, accuracy, Recipe("d", "n", epochs=n + 1), "cpu", n)
        for n, (seconds, accuracy) in enumerate(objectives)
    ]
    repeats = [Repeat(n, s, 10.0 + 10 * n, a, a - 0.01) for n, a in ((0, 0.80), (1, 0.85), (2, 0.88)) for s in (1, 2)]
    return estimated(points, repeats)


def test_the_table_has_means_with_intervals_the_first_result_and_the_test_split(
    estimates: tuple[Estimate, ...],
) -> None:
    console = Console(file=io.StringIO(), record=True, width=100)
    console.print(confirmed_table(estimates, AXES))
    lines = console.export_text().splitlines()
    middle = next(line for line in lines if line.split()[:2] == ["1", "2"])
    assert "85.00 ±" in middle
    assert "88.00" in middle
    assert "84.00" in middle
    assert "2 epochs" in middle
    assert not any(line.split()[:1] == ["3"] for line in lines)  # no chance
    assert all(len(line) <= 100 for line in lines)


def test_the_winners_curse_is_said(estimates: tuple[Estimate, ...]) -> None:
    assert curse_line(estimates) == "first results were 1.17 points better than repeats, in 3 results"
    assert curse_line(estimated([estimates[0].point], [])) is None


def test_what_has_no_repeat_yet_is_named(estimates: tuple[Estimate, ...]) -> None:
    console = Console(file=io.StringIO(), record=True, width=100)
    console.print(confirmed_table(estimated([e.point for e in estimates], []), AXES))
    assert "trials 0, 1, 2 have no repeat yet: paretosearch confirm" in console.export_text()


def test_json_and_rows_hold_what_the_table_shows(estimates: tuple[Estimate, ...]) -> None:
    plain = json.loads(json.dumps(confirmed_json(estimates), allow_nan=False))
    rows = confirmed_rows(estimates, AXES)
    assert [entry["trial"] for entry in plain] == [row["trial"] for row in rows] == [0, 1, 2]
    assert plain[1]["first"] == {"train_seconds": 20.0, "accuracy": 0.88}
    assert rows[1]["accuracy"] == plain[1]["accuracy"] == pytest.approx(0.85)
    assert rows[1]["epochs"] == 2


def test_the_figure_draws_first_results_and_the_front_of_the_means(estimates: tuple[Estimate, ...]) -> None:
    figure = confirmed_figure(estimates)
    assert isinstance(figure, Figure)
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named[0] == "front of the means"
    assert "first result" in named
    assert {text.get_text() for text in figure.axes[0].texts} == {"trial 0", "trial 1", "trial 2"}


@pytest.fixture
def partly(estimates: tuple[Estimate, ...]) -> tuple[Estimate, ...]:
    """The same, of which only trial 1 was repeated."""
    points = sorted((e.point for e in estimates), key=lambda point: point.trial)
    return estimated(points, [Repeat(1, 1, 20.0, 0.85, 0.84)])


def test_what_is_partly_confirmed_is_not_called_confirmed(
    estimates: tuple[Estimate, ...], partly: tuple[Estimate, ...]
) -> None:
    assert standing(estimates) == "confirmed"
    assert standing(partly) == "partly confirmed: 1 of 3 front trials are repeated; 0 and 2 are not"
    assert standing(estimated([e.point for e in estimates], [])) == "not confirmed"


def test_what_was_not_repeated_has_no_interval(partly: tuple[Estimate, ...]) -> None:
    console = Console(file=io.StringIO(), record=True, width=80)
    console.print(confirmed_table(partly, AXES))
    text = console.export_text()
    first, repeated, *_ = text.splitlines()[2:]
    assert first.split()[:4] == ["0", "0", "10.00", "80.00"]
    assert "±" in repeated
    assert first.index("10.00") == repeated.index("20.00")
    assert "n = 0: a single training" in text
    assert (confirmed_json(partly)[0]["seconds_interval"], confirmed_rows(partly, AXES)[0]["repeats"]) == (None, 0)
    figure = confirmed_figure(partly)
    assert len(figure.axes[0].containers) == 1
    assert figure.legends[0].get_texts()[-1].get_text() == "not repeated"


def test_what_is_dominated_is_named_for_who_sees_no_shades(estimates: tuple[Estimate, ...]) -> None:
    repeats = [Repeat(n, 1, 10.0 + 10 * n, 0.8 - 0.01 * n, None) for n in range(3)]
    points = sorted((e.point for e in estimates), key=lambda point: point.trial)
    console = Console(file=io.StringIO(), record=True, width=100)
    console.print(confirmed_table(estimated(points, repeats), AXES))
    assert "dominated by a mean: 1 and 2" in console.export_text()
