"""What is exported and shown of a study with results on several classes of device."""

import csv
import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from paretosearch.report.charts import front_chart
from paretosearch.report.classplots import BOTH, EITHER, fronts_figure
from paretosearch.report.classtables import fronts_tabular
from paretosearch.report.export import export
from paretosearch.report.findings import Findings, OnClass, findings
from paretosearch.report.growthplots import hypervolume_figure
from paretosearch.report.html import page
from paretosearch.report.joins import ends_of, joins_of
from paretosearch.report.latex import PREAMBLE, framed, preamble
from paretosearch.report.look import PAPER, Look
from paretosearch.report.notes import study_note
from paretosearch.report.panes import panes
from paretosearch.report.pgf import picture
from paretosearch.report.pgfmarks import declarations
from paretosearch.report.provenance import provenance
from paretosearch.report.trialnotes import trial_note
from paretosearch.report.watched import watched
from paretosearch.store import Point, Store, front_of, open_store
from paretosearch.testing.latex import compiled, page_width, why_no_latex, words_of

ONE, TWO = "cpu:Ryzen 7x1", "cpu:Ryzen 7x2"


@pytest.fixture(scope="module")
def found(mixed: Store, study: str) -> Findings:
    return findings(mixed, study)


@pytest.fixture(scope="module")
def figure(found: Findings) -> Figure:
    return fronts_figure(found.classes, found.changes, "single trainings, not confirmed")


def trials(points: tuple[Point, ...]) -> set[int]:
    return {point.trial for point in points}


def third(found: Findings, left_out: int) -> OnClass:
    """Make a class on which a trial was not timed yet."""
    front = found.front
    points = [replace(p, device_class="cuda:A", train_seconds=p.train_seconds / 9) for p in front.points]
    return OnClass("cuda:A", front_of([p for p in points if p.trial != left_out]), [])


def quiet(found: Findings) -> Findings:
    """Take all marks of disturbed results away."""
    first, *others = [
        replace(of_class, front=front_of([replace(p, noisy=False) for p in (*front.points, *front.dominated)]))
        for of_class in found.classes
        for front in [of_class.front]
    ]
    return replace(found, front=first.front, others=others)


def test_findings_have_every_front_and_those_of_one_class_have_one(mixed: Store, study: str, found: Findings) -> None:
    assert [of_class.device_class for of_class in found.classes] == [ONE, TWO]
    assert [of_class.front for of_class in found.classes] == [mixed.front(study, name) for name in (ONE, TWO)]
    assert set(found.members) == trials(mixed.front(study, ONE).points) | trials(mixed.front(study, TWO).points)
    assert [of_class.device_class for of_class in findings(mixed, study, TWO).classes] == [TWO]
    assert all(of_class.growth[-1][1] == pytest.approx(of_class.front.hypervolume) for of_class in found.classes)


def test_each_class_has_a_panel_with_its_own_front_and_the_same_accuracies(figure: Figure, found: Findings) -> None:
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["1 CPU core", "2 CPU cores"]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    for axes, of_class in zip(figure.axes, found.classes, strict=True):
        [stairs] = [line for line in axes.lines if line.get_label() == "front"]
        assert list(stairs.get_xdata())[:-1] == [point.train_seconds for point in of_class.front.points]


def test_a_recipe_on_a_front_is_joined_from_its_one_point_to_its_other(figure: Figure, found: Findings) -> None:
    one, two = (trials(of_class.front.points) for of_class in found.classes)
    joins = joins_of(figure)
    assert len(joins) == len(one | two)
    assert sum(made.get_label() == BOTH for made in joins) == len(one & two)
    assert sum(made.get_label() == EITHER for made in joins) == len(one ^ two) > 0
    ends = {tuple(np.round(end, 6)) for made in joins for end in ends_of(made)}
    for axes, of_class in zip(figure.axes, found.classes, strict=True):
        for trial in one | two:
            point = of_class.point(trial)
            assert point is not None
            assert tuple(np.round(axes.transData.transform((point.train_seconds, 100 * point.accuracy)), 6)) in ends


def test_a_recipe_without_a_result_on_a_class_is_not_joined_to_it(found: Findings) -> None:
    left_out = found.front.points[0].trial
    classes = [*found.classes[:1], third(found, left_out)]
    assert len(joins_of(fronts_figure(classes, {}))) == len(found.front.points) - 1
    table = fronts_tabular(replace(found, others=classes[1:]), PAPER)
    assert re.search(rf"^{left_out} & [\d.]+ & [\d.]+ & -- &", table, re.MULTILINE)


@pytest.mark.parametrize(("count", "rows"), [(2, 1), (3, 1), (4, 2), (5, 2)])
def test_many_classes_stand_in_rows_and_join_within_them(found: Findings, count: int, rows: int) -> None:
    classes = [replace(found.classes[0], device_class=f"cuda:{name}") for name in range(count)]
    figure = fronts_figure(classes, {})
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert len(panels) == count
    assert len({round(axes.get_position().y0, 3) for axes in panels}) == rows
    assert len(joins_of(figure)) == len(found.front.points) * (count - rows)


@pytest.mark.parametrize("look", [PAPER, Look("slides", "de")])
def test_nothing_in_a_panel_is_over_its_edge(found: Findings, look: Look) -> None:
    figure = fronts_figure(found.classes, found.changes, "single trainings, not confirmed", look)
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]  # drawn by Agg
    for axes in figure.axes:
        titles = [axes._left_title.get_window_extent(renderer), axes._right_title.get_window_extent(renderer)]  # type: ignore[attr-defined]  # they have no door
        above = axes.get_title(loc="right").endswith("\n")  # its box is as high as both lines
        assert above or not titles[0].overlaps(titles[1])
        for note in axes.texts:
            box = note.get_window_extent(renderer)
            assert box.x0 >= axes.bbox.x0 - 1
            assert box.x1 <= axes.bbox.x1 + 1


def test_the_picture_for_latex_draws_the_joins_below_the_panels(figure: Figure) -> None:
    tex = picture(figure, "front").tex
    drawn = [line for line in tex.splitlines() if line.endswith((f"% {BOTH}", f"% {EITHER}"))]
    assert len(drawn) == len(joins_of(figure))
    assert tex.rindex(f"% {BOTH}") < tex.index("\\begin{axis}")
    colour = to_hex(joins_of(figure)[0].get_edgecolor())[1:].upper()
    assert f"\\definecolor{{ps{colour}}}" in tex
    assert "{2 CPU cores" in tex
    assert "ymajorgrids=false" in tex


def test_growth_has_a_panel_a_class(found: Findings) -> None:
    panels = hypervolume_figure(found.classes, found.device_seconds).axes
    assert [panel.get_title(loc="left") for panel in panels] == ["1 CPU core", "2 CPU cores"]
    for panel, of_class in zip(panels, found.classes, strict=True):
        assert panel.lines[0].get_ydata()[-1] == of_class.growth[-1][1]


def test_the_table_has_the_seconds_of_each_class_in_brackets_where_dominated(found: Findings) -> None:
    text = fronts_tabular(found, PAPER)
    rows = re.findall(r"^(\d+) & [\d.]+ & (.*?) & (.*?) & ", text, re.MULTILINE)
    assert [int(trial) for trial, *_ in rows] == list(found.members)
    for trial, *seconds in rows:
        for cell, of_class in zip(seconds, found.classes, strict=True):
            point = of_class.point(int(trial))
            assert point is not None
            assert f"{point.train_seconds:.2f}" in cell
            assert (r"\llap{(}" in cell) == (point not in of_class.front.points)
            assert ("*" in cell) == point.noisy
    assert r"\shortstack[r]{2 CPU cores\vphantom{y}\\time (s)}" in text
    assert "% timed again on another class, without training: 56 trials, 28 s, " in text


def test_the_table_explains_the_mark_of_a_disturbed_result_that_is_dominated_on_its_class(found: Findings) -> None:
    one, two = found.classes
    trial = next(p.trial for p in one.front.points if p.trial not in trials(two.front.points))
    assert "disturbed while" not in fronts_tabular(quiet(found), PAPER)
    dominated = tuple(replace(point, noisy=point.trial == trial) for point in two.front.dominated)
    marked = [replace(two, front=replace(two.front, dominated=dominated))]
    text = fronts_tabular(replace(quiet(found), others=marked), PAPER)
    assert "* disturbed while it was timed" in text


def test_the_table_says_what_was_timed_again_where_it_had_been_trained(found: Findings) -> None:
    trained = {a.trial: a.device_class for a in found.attempts if a.purpose == "search" and a.outcome == "complete"}
    home = [replace(a, device_class=trained[a.trial]) if a.purpose == "replay" else a for a in found.attempts]
    text = fronts_tabular(replace(found, attempts=home), PAPER)
    assert "% timed again where it was trained, without training: 56 trials, 28 s, " in text
    assert "on another class" not in text


@pytest.fixture(scope="module")
def exported(mixed: Store, study: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("classes") / "figures" / "export"
    return {path.name: path for path in export(mixed, study, folder)}


def test_every_front_is_in_the_csv_with_its_class(exported: dict[str, Path], found: Findings) -> None:
    with exported["front.csv"].open(encoding="utf-8", newline="") as file:
        rows = [(row["device_class"], int(row["trial"])) for row in csv.DictReader(file)]
    assert rows == [(c.device_class, point.trial) for c in found.classes for point in c.front.points]
    with exported["trials.csv"].open(encoding="utf-8", newline="") as file:
        marked = [row for row in csv.DictReader(file) if row["on_front"] == "1"]
    assert {(row["device_class"], int(row["trial"])) for row in marked} == set(rows)
    assert {row["purpose"] for row in marked} == {"search", "replay"}


def test_the_same_study_gives_the_same_bytes(
    mixed: Store, study: str, exported: dict[str, Path], tmp_path: Path
) -> None:
    with closing(open_store(mixed.url)) as again:
        for path in export(again, study, tmp_path):
            assert path.read_bytes() == exported[path.name].read_bytes(), path.name


def test_one_class_is_exported_alone_when_it_is_named(mixed: Store, study: str) -> None:
    alone = findings(mixed, study, TWO)
    text = provenance(alone, PAPER)
    assert "--device-class 'cpu:Ryzen 7x2'" in text
    assert f"| cpu:Ryzen 7x2 | 28 | 28 | {len(alone.front.points)} |" in text
    assert "Ryzen 7x1 |" not in text.partition("## Devices")[0]


def test_provenance_says_which_seconds_are_from_where(found: Findings, store: Store, study: str) -> None:
    text = provenance(found, PAPER)
    for of_class in found.classes:
        assert f"| {of_class.device_class} | 28 | 28 | {len(of_class.front.points)} |" in text
    assert re.search(r"Timing again took 56 trials, 28 s, 1\.\d % of device time", text)
    assert "--device-class" not in text
    assert "Classes of device" not in provenance(findings(store, study), PAPER)


def test_the_page_has_a_panel_and_a_column_a_class(found: Findings) -> None:
    html = page(found)
    only_one = [trial for trial in found.members if trial not in trials(found.others[0].front.points)]
    other = found.others[0].point(only_one[0])
    assert other is not None
    assert "seconds, 1 CPU core" in html
    assert f"({other.train_seconds:.2f})" in html
    assert "56 trials were timed again" in html
    assert "Hypervolume over device time, 2 CPU cores" in html
    chart = front_chart(found)
    assert [note.text for note in chart.layout.annotations] == ["<b>1 CPU core</b>", "<b>2 CPU cores</b>"]
    [stairs] = [trace for trace in chart.data if trace.mode == "lines" and trace.xaxis == "x2"]
    assert list(stairs.x)[:-1] == [point.train_seconds for point in found.others[0].front.points]
    assert not any(trace.showlegend for trace in chart.data if trace.xaxis == "x2")


def test_the_dashboard_says_each_front_and_the_seconds_of_a_trial_on_each_class(
    mixed: Store, study: str, found: Findings
) -> None:
    shown = watched(mixed, study, mixed.url)
    note = study_note(shown, "/x")
    for of_class, name in zip(found.classes, ("1 CPU core", "2 CPU cores"), strict=True):
        assert re.search(rf"front on {name}&emsp; \| \*\*{len(of_class.front.points)} points", note)
    assert "56 trials, 28 s" in note
    [other] = {point for point in found.on_fronts if point.device_class == TWO}
    said = trial_note(shown, found, other)
    assert "of cpu\\:Ryzen 7x2: " in said
    assert re.search(rf"Ryzen 7x2&emsp; \| {other.train_seconds:.2f} s, timed again there, on the front", said)
    assert re.search(r"Ryzen 7x1&emsp; \| [\d.]+ s, trained there, dominated", said)
    assert "x2" in {trace.xaxis for trace in panes(shown)["paretosearch-1-front"].data}


def write_latex(found: Findings, folder: Path, look: Look) -> None:
    (folder / PREAMBLE).write_text(preamble(declarations(), look))
    (folder / "front_table.tex").write_text(framed(fronts_tabular(found, look), "front_table", look))
    growth = hypervolume_figure(found.classes, found.device_seconds, look)
    front = fronts_figure(found.classes, found.changes, "single trainings, not confirmed", look)
    for name, figure in (("front", front), ("hypervolume", growth)):
        drawn = picture(figure, name)
        (folder / f"{name}.tex").write_text(framed(drawn.tex, name, look))
        for table, text in drawn.data.items():
            (folder / table).write_text(text)


@pytest.mark.parametrize("look", [Look("thesis", "de"), Look("slides", "en")])
def test_latex_takes_figures_and_table_of_several_classes(found: Findings, tmp_path: Path, look: Look) -> None:
    if reason := why_no_latex():
        pytest.skip(reason)
    write_latex(found, tmp_path, look)
    for name in ("front", "hypervolume", "front_table"):
        log = compiled(tmp_path / f"{name}.tex")
        assert "Missing character" not in log
        assert "Overfull" not in log
    width = 150 if look.style == "thesis" else 25.4 * look.width
    assert page_width(tmp_path / "front.tex") == pytest.approx(width + 4, abs=0.5)
    names = ("2 CPU-Kerne", "gleiches Rezept") if look.lang == "de" else ("2 CPU cores", "same recipe")
    for name in names:
        assert name in words_of(tmp_path / "front.tex")
    assert names[0] in words_of(tmp_path / "front_table.tex")
