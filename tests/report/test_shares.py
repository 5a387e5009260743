"""Accuracy over the share of the images is drawn line by line, and compared seed by seed."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from paretosearch.axis import Choice
from paretosearch.device import Device
from paretosearch.outcome import Outcome
from paretosearch.recipe import Recipe
from paretosearch.report.export import export
from paretosearch.report.look import Look
from paretosearch.report.pgf import picture
from paretosearch.report.replicates import Replicates, every_recipe
from paretosearch.report.shareplots import shares_figure
from paretosearch.report.shares import claims, gain, lines, shares_rows
from paretosearch.search.grid import grid
from paretosearch.space import Space
from paretosearch.store import Front, Point, StudyRecord, front_of, open_store

AXES = {
    "pooling": Choice(("native", "stochastic")),
    "train_share": Choice((1.0, 0.5, 0.1)),
    "epochs_rule": Choice(("updates", "fixed")),
    "seed": Choice((1, 2, 3)),
}
PLAIN = Recipe("fashion-mnist", "convnet", epochs=4)
DEVICE = Device("cpu", "cpu-box-0", "Ryzen 7", 2**34, "box", 0, (0,))


def accuracy(recipe: Recipe) -> float:
    """Invent that fewer images cost accuracy, fewer updates too, and stochastic pooling gains where images are few."""
    missing = 1 - recipe.train_share
    short = 0.1 * missing * (recipe.epochs_rule == "fixed")
    gained = (0.04 * missing - 0.01) * (recipe.pooling == "stochastic")
    luck = {1: -0.001, 2: 0.0, 3: 0.001}[recipe.seed] * (1 + (recipe.pooling == "stochastic"))
    return 0.9 - 0.1 * missing - short + gained + luck


def recipes() -> Iterator[Recipe]:
    fixed = {f: getattr(PLAIN, f) for f in ("dataset", "network", "epochs", "batch_size", "reference_batch_size")}
    space = Space(fixed, AXES)
    return (space.recipe(genome) for genome in grid(space))


@pytest.fixture(scope="module")
def front() -> Front:
    trained = enumerate(recipes())
    return front_of([Point(n, 1.0 + n, accuracy(r), r, DEVICE.device_class, attempt=n) for n, r in trained])


@pytest.fixture(scope="module")
def groups(front: Front) -> tuple[Replicates, ...]:
    return every_recipe(front)


def test_a_line_has_every_share_and_all_images_are_in_those_of_both_rules(groups: tuple[Replicates, ...]) -> None:
    found = lines(groups, AXES)
    assert [(line.rule, line.name) for line in found] == [
        ("fixed", "native pooling"),
        ("fixed", "stochastic pooling"),
        ("updates", "native pooling"),
        ("updates", "stochastic pooling"),
    ]
    assert all([group.recipe.train_share for group in line.groups] == [0.1, 0.5, 1.0] for line in found)
    assert found[0].groups[-1] is found[2].groups[-1]
    assert [group.recipe.total_epochs for group in found[0].groups] == [4, 4, 4]
    assert [group.recipe.total_epochs for group in found[2].groups] == [40, 8, 4]


def test_a_gain_is_over_the_plain_line_with_the_same_seeds(groups: tuple[Replicates, ...]) -> None:
    _, _, native, stochastic = lines(groups, AXES)
    gained = gain(stochastic, native, 0.1)
    assert gained is not None
    assert gained.mean == pytest.approx(0.026)
    assert gained.half_width == pytest.approx(4.3027 * 0.001 / 3**0.5, rel=1e-4)
    assert gain(native, native, 0.1) is None
    assert gain(stochastic, native, 0.2) is None


def test_needing_less_data_is_gaining_more_where_images_are_few(groups: tuple[Replicates, ...]) -> None:
    for claim in claims(lines(groups, AXES)):
        assert claim.line.name == "stochastic pooling"
        assert (claim.few.mean, claim.many.mean) == (pytest.approx(0.026), pytest.approx(-0.01))
        assert claim.more.mean == pytest.approx(0.036)
        assert claim.verdict == "needs less data"  # chance is the same with few and with all, and is taken off


def test_one_seed_claims_nothing(groups: tuple[Replicates, ...]) -> None:
    once = [Replicates(group.points[:1]) for group in groups]
    assert {claim.verdict for claim in claims(lines(once, AXES))} == {"unclear"}


def test_without_another_share_there_is_no_line(groups: tuple[Replicates, ...]) -> None:
    assert lines([group for group in groups if group.recipe.train_share == 1.0], AXES) == ()


def test_where_the_rule_is_not_searched_there_is_one_panel(groups: tuple[Replicates, ...]) -> None:
    fixed = [group for group in groups if group.recipe.epochs_rule == "fixed"]
    every = [Replicates(tuple(replace(p, recipe=replace(p.recipe, train_share=1.0)) for p in g.points)) for g in fixed]
    found = lines([*fixed, *every[:1]], AXES)
    assert {line.rule for line in found} == {"fixed"}
    assert len(shares_figure(found).axes) == 1


def test_a_row_has_percents_and_points(groups: tuple[Replicates, ...]) -> None:
    rows = list(shares_rows(lines(groups, AXES)))
    assert len(rows) == 12
    few = next(row for row in rows if row["epochs_rule"] == "updates" and row["recipe"] == "stochastic pooling")
    assert (few["train_share_percent"], few["epochs"], few["trainings"]) == (10.0, 40, 3)
    assert few["accuracy_percent"] == pytest.approx(83.6)
    assert few["gain_points"] == pytest.approx(2.6)


@pytest.mark.parametrize("look", [Look("thesis", "en"), Look("slides", "de")])
def test_the_figure_has_a_panel_for_each_rule_and_a_line_for_each_pooling(
    groups: tuple[Replicates, ...], look: Look
) -> None:
    figure = shares_figure(lines(groups, AXES), look)
    assert [panel.get_title(loc="left") for panel in figure.axes] == [
        look.say("equal epochs"),
        look.say("equal updates"),
    ]
    (legend,) = figure.legends
    named = [text.get_text() for text in legend.get_texts()]
    assert named[:2] == [look.words("native pooling"), look.words("stochastic pooling")]
    assert len(figure.axes[0].containers) == 6  # an interval for each share of each line
    drawn = picture(figure, "shares")
    assert "xtick={10,50,100}" in drawn.tex
    assert len(drawn.data) == 2


def test_of_many_lines_the_best_are_drawn(groups: tuple[Replicates, ...]) -> None:
    axes = (*AXES, "label_smoothing.alpha")
    more = []
    for n in range(12):
        method = {"label_smoothing": {"alpha": n / 100}}
        for group in groups:
            worse = [replace(p, accuracy=p.accuracy - n / 100) for p in group.points]
            more.append(Replicates(tuple(replace(p, recipe=replace(p.recipe, methods=method)) for p in worse)))
    figure = shares_figure(lines(more, axes))
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(texts) == 10
    assert "native pooling, smoothing 0" in texts


def test_export_writes_figure_and_tables_of_such_a_study(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/study.db")
    space = {"declared": Space({"dataset": "fashion-mnist", "network": "convnet"}, AXES).to_plain()}
    created = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    store.add_study(StudyRecord("less", "", "0" * 16, space, "grid", 1, DEVICE.device_class, {}, created))
    store.add_device(DEVICE)
    for trial, recipe in enumerate(recipes()):
        attempt = store.start_attempt("less", trial, DEVICE, recipe)
        seconds = 1.0 + recipe.total_epochs
        measured = {"train_seconds": seconds, "wall_seconds": seconds, "accuracy": accuracy(recipe)}
        store.finish_attempt(attempt, Outcome("complete", **measured))
        store.record_front("less", trial, DEVICE.device_class)
    written = {path.name: path for path in export(store, "less", tmp_path / "out")}
    assert {"shares.pdf", "shares.tex", "shares.csv", "shares_table.tex", "replicates.csv"} <= set(written)
    with written["shares.csv"].open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 12
    table = written["shares_table.tex"].read_text()
    assert r"83.60 $\pm$ 0.50" in table
    assert r"+2.60 $\pm$ 0.25" in table
    assert "over native pooling with the same images" in table
    store.close()
