"""What is on the figures."""

import itertools
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from paretosearch.outcome import EpochResult, SurgeryResult
from paretosearch.recipe import NUMBER_FORMATS, Recipe
from paretosearch.report.findings import OnClass, findings
from paretosearch.report.growthplots import hypervolume_figure
from paretosearch.report.labels import Label, place
from paretosearch.report.look import PAPER, Look
from paretosearch.report.marks import SIGNS, marks_of
from paretosearch.report.networks import Shaped, channels_figure
from paretosearch.report.panels import axes_figures
from paretosearch.report.plots import Curve, curves_figure, dense, front_figure
from paretosearch.report.rulers import ruler_of
from paretosearch.report.style import new_figure, save
from paretosearch.report.swarm import shifted
from paretosearch.store import Front, Point, Store, front_of

RECIPE = Recipe("mnist", "resnet8", epochs=9)


def random_front(seed: int, trials: int = 40) -> Front:
    rng = random.Random(seed)
    points = []
    for trial in range(trials):
        seconds = 10 ** rng.uniform(0, rng.choice([1, 2]))
        recipe = Recipe("mnist", "resnet8", number_format=rng.choice(NUMBER_FORMATS))
        points.append(Point(trial, seconds, 0.95 - 0.4 / (1 + seconds) - rng.random() / 10, recipe, "c", trial))
    return front_of(points)


def annotations(figure: Figure) -> list[Annotation]:
    return [text for text in figure.axes[0].texts if isinstance(text, Annotation)]


def boxes(figure: Figure) -> list[mpl.transforms.Bbox]:
    """Boxes of the labels' words, in pixels."""
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    return [mpl.text.Text.get_window_extent(note, renderer) for note in annotations(figure)]


def pixels(axes: Axes, points: Sequence[Point]) -> np.ndarray:
    return axes.transData.transform([(p.train_seconds, 100 * p.accuracy) for p in points])


@pytest.mark.parametrize("seed", range(6))
def test_labels_lie_inside_and_cover_neither_each_other_nor_the_front(seed: int) -> None:
    front = random_front(seed)
    figure = front_figure(front)
    axes, found = figure.axes[0], boxes(figure)
    assert len(found) >= min(len(front.points), 2)
    for i, box in enumerate(found):
        assert axes.bbox.x0 <= box.x0 < box.x1 <= axes.bbox.x1
        assert axes.bbox.y0 <= box.y0 < box.y1 <= axes.bbox.y1
        assert not any(box.overlaps(other) for other in found[:i])
        assert not any(box.contains(*at) for at in pixels(axes, front.points))


def test_a_label_lies_on_no_mark_of_a_dominated_trial_on_a_german_slide(shaped: Store, study: str) -> None:
    front = shaped.front(study)
    figure = front_figure(front, note="first results, before repeats", look=Look("slides", "de"))
    for box in boxes(figure):
        assert not any(box.padded(3).contains(*at) for at in pixels(figure.axes[0], front.dominated))


def test_labels_of_neighbouring_points_make_room_for_each_other() -> None:
    figure = new_figure(3.0)
    axes = figure.add_subplot(xlim=(0, 1), ylim=(0, 1))
    labels = [Label(f"point {i}", 0.5 + 0.01 * i, 0.5) for i in range(8)]
    place(axes, labels, np.array([(label.x, label.y) for label in labels]))
    found = boxes(figure)
    assert not any(box.overlaps(other) for i, box in enumerate(found) for other in found[:i])


@pytest.mark.parametrize("seed", range(11))
def test_no_line_from_a_label_to_its_point_strikes_out_another_label(seed: int) -> None:
    rng = np.random.default_rng(seed)
    axes = new_figure(2.4).add_subplot(xlim=(0, 1), ylim=(0, 1))
    at = np.sort(rng.uniform(0.05, 0.45, (4, 2)), axis=0)  # the beginning of a front, in a narrow corner
    steps = np.repeat(at, 2, axis=0)
    curve = dense([*zip(steps[1:, 0], steps[:-1, 1], strict=True)])
    notes = place(axes, [Label(f"a name {i}\nof two lines", *point) for i, point in enumerate(at)], curve)
    found = boxes(axes.figure)  # type: ignore[arg-type]  # a whole one
    ends = axes.transData.transform(at)
    for i, note in enumerate(notes):
        anchor = np.clip(ends[i], found[i].min, found[i].max)
        line = np.linspace(ends[i], anchor, 50)
        assert not any(box.contains(*point) for j, box in enumerate(found) if j != i for point in line), note.get_text()


def test_the_staircase_is_the_front_and_runs_on_to_the_edge(front: Front) -> None:
    axes = front_figure(front).axes[0]
    [stairs] = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    x, y = stairs.get_data()
    assert list(x) == [*(p.train_seconds for p in front.points), axes.get_xlim()[1]]
    assert list(y) == pytest.approx([*(100 * p.accuracy for p in front.points), 100 * front.points[-1].accuracy])


def test_every_trial_is_drawn_once(front: Front) -> None:
    axes = front_figure(front).axes[0]
    drawn = [tuple(at) for line in axes.lines if line.get_linestyle() == "None" for at in line.get_xydata()]
    assert len(drawn) == len(front.points) + len(front.dominated)


def test_trials_far_below_the_front_stay_at_the_edge_with_their_number() -> None:
    recipe = Recipe("mnist", "resnet8")
    objectives = [(1.0, 0.8), (3.0, 0.9), (2.0, 0.1), (2.5, 0.11)]
    front = front_of([Point(i, s, a, recipe, "c", i) for i, (s, a) in enumerate(objectives)])
    figure = front_figure(front)
    bottom, top = figure.axes[0].get_ylim()
    assert bottom > 60
    edge = [line for line in figure.axes[0].lines if line.get_marker() == 7]
    assert list(edge[0].get_xdata()) == [2.0, 2.5]
    assert all(bottom < y < bottom + 0.05 * (top - bottom) for y in edge[0].get_ydata())
    assert "2 below the axis" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_time_is_logarithmic_beyond_a_factor_of_20_only() -> None:
    recipe = Recipe("mnist", "resnet8")
    near = front_of([Point(i, s, 0.5 + s / 100, recipe, "c", i) for i, s in enumerate((1.0, 19.0))])
    far = front_of([Point(i, s, 0.5 + s / 100, recipe, "c", i) for i, s in enumerate((1.0, 21.0))])
    assert front_figure(near).axes[0].get_xscale() == "linear"
    assert front_figure(far).axes[0].get_xscale() == "log"


def test_axes_have_units(front: Front) -> None:
    axes = front_figure(front).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("training time (s)", "validation accuracy (%)")


def test_formats_have_shapes_of_their_own_that_never_change(front: Front) -> None:
    marks = marks_of([*front.points, *front.dominated])
    assert (marks.axis, marks.values) == ("number_format", NUMBER_FORMATS[:4])
    assert len({*map(marks.shape, NUMBER_FORMATS)}) == len({*map(marks.colour, NUMBER_FORMATS)}) == len(NUMBER_FORMATS)
    some = marks_of([p for p in front.dominated if p.recipe.number_format in ("fp32", "fp16")])
    assert {v: some.shape(v) for v in some.values} == {v: marks.shape(v) for v in ("fp32", "fp16")}


def test_with_one_format_the_shapes_are_poolings_and_with_one_pooling_there_is_one_shape(front: Front) -> None:
    of_format = [p for p in front.dominated if p.recipe.number_format == "fp32"]
    assert marks_of(of_format).axis == "pooling"
    assert marks_of([p for p in of_format if p.recipe.pooling == "max"]).axis is None


def test_the_legend_says_what_its_shapes_are_values_of_and_names_no_value_that_nobody_sees() -> None:
    poolings = ("max", "s3", "avg", "max", "max")
    accuracies = (0.9, 0.91, 0.1, 0.88, 0.89)
    points = [
        Point(n, 10.0 + n, accuracy, Recipe("mnist", "resnet8", pooling=pooling), "c", n)
        for n, (pooling, accuracy) in enumerate(zip(poolings, accuracies, strict=True))
    ]
    for look, title in ((PAPER, "pooling: max"), (Look("thesis", "de"), "Pooling: max")):
        named = [text.get_text() for text in front_figure(front_of(points), look=look).legends[0].get_texts()]
        assert named[1:3] == [title, "s3"]
        assert not any("avg" in name for name in named)


def test_learning_curves_end_at_the_points_of_the_front(store: Store, front: Front) -> None:
    figure = curves_figure([Curve(point, store.epochs(point.attempt)) for point in front.points])
    ends = {tuple(line.get_xydata()[-1]) for line in figure.axes[0].lines}
    expected = {(p.train_seconds, 100 * p.accuracy) for p in front.points}
    assert ends <= expected
    assert (front.points[0].train_seconds, 100 * front.points[0].accuracy) in ends
    assert (front.points[-1].train_seconds, 100 * front.points[-1].accuracy) in ends
    assert len(annotations(figure)) == len(ends) == min(len(front.points), 8)


def test_labels_of_learning_curves_do_not_overlap(store: Store, front: Front) -> None:
    found = boxes(curves_figure([Curve(point, store.epochs(point.attempt)) for point in front.points]))
    assert not any(box.overlaps(other) for i, box in enumerate(found) for other in found[:i])


def grown(*changes: tuple[float, float]) -> OnClass:
    return OnClass("cpu:Ryzen 7x1", Front((), (), (7.0, 0.0), 0.0), changes)


def test_hypervolume_runs_from_nothing_to_the_device_time_of_the_study() -> None:
    axes = hypervolume_figure([grown((600.0, 5.0), (1200.0, 6.0))], 3000.0).axes[0]
    assert [tuple(at) for at in axes.lines[0].get_xydata()] == [(0, 0), (10, 5), (20, 6), (50, 6)]
    assert axes.get_xlabel() == "device-minutes spent"
    assert hypervolume_figure([grown((600.0, 5.0))], 7200.0).axes[0].get_xlabel() == "device-hours spent"
    assert "7.00 s" in axes.get_ylabel()


def test_each_axis_has_a_panel_for_both_objectives_with_the_front_on_top(front: Front, axes: tuple[str, ...]) -> None:
    [figure] = axes_figures(front, axes)
    panels = [panel for panel in figure.axes if panel.get_visible()]
    assert len(panels) == 2 * len(axes)
    assert [panel.get_xlabel() for panel in panels if panel.get_xlabel()] == [
        "number format",
        "batch size",
        "pooling",
        "learning rate",
        "epochs",
        "label smoothing",
    ]
    for panel in panels:
        rest, members = (line for line in panel.lines if line.get_marker() == "o")
        assert len(members.get_xdata()) == len(front.points)
        assert len(rest.get_xdata()) == len(front.dominated)


def test_marks_of_one_value_are_shifted_no_more_than_they_must() -> None:
    places = shifted([1.0, 1.0, 1.0, 1.0, 2.0], [10.0, 10.0, 10.5, 30.0, 10.0], (0.1, 1.0), 0.4)
    assert places == pytest.approx([1.0, 1.1, 0.9, 1.0, 2.0])


def test_where_columns_are_full_a_mark_stands_farthest_from_the_others() -> None:
    assert sorted(shifted([0.0] * 4, [0.0, 0.5, 1.0, 1.5], (1.0, 100.0), 1.0)) == [-1.0, 0.0, 0.0, 1.0]
    near = shifted([0.0, 0.1, 0.1], [0.0, 0.0, 0.0], (1.0, 1.0), 0.4)
    assert near == pytest.approx([0.0, 0.1, 0.14])


@pytest.mark.parametrize("seed", range(5))
def test_marks_cover_no_other_where_there_is_room(seed: int) -> None:
    heights = np.random.default_rng(seed).uniform(0, 1, 40)
    places = shifted([0.0] * 40, heights.tolist(), (0.1, 0.05), 0.4)
    apart = np.hypot(np.subtract.outer(places, places) / 0.1, np.subtract.outer(heights, heights) / 0.05)
    assert apart[np.triu_indices(40, 1)].min() > 0.99
    assert max(map(abs, places)) <= 0.4


def test_only_places_near_each_other_have_less_room() -> None:
    places = shifted([0.0, 0.0, 0.1, 5.0, 5.0, 5.0], [0.0] * 6, (0.3, 1.0), 0.4)
    assert places == pytest.approx([0.0, 0.04, 0.1, 5.0, 5.3, 4.7])


@pytest.mark.parametrize("reach", [0.4, 0.04])
def test_marks_stand_where_a_look_at_all_others_would_put_them(reach: float) -> None:
    heights = np.random.default_rng(0).uniform(0, 1, 200).tolist()
    places = shifted([0.0] * 200, heights, (0.1, 0.05), reach)
    columns = sorted({round(place, 9) for place in places}, key=lambda shift: (abs(shift), -shift))
    for count in range(1, 200):
        across = np.subtract.outer(columns, places[:count]) / 0.1
        least = np.hypot(across, (heights[count] - np.array(heights[:count])) / 0.05).min(axis=1)
        wanted = columns[np.argmax(least > 0.99) if (least > 0.99).any() else least.argmax()]
        assert places[count] == pytest.approx(wanted)


def test_four_times_the_marks_take_no_sixteen_times_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    hypot = np.hypot
    monkeypatch.setattr(np, "hypot", lambda a, b: looked.append(np.broadcast(a, b).size) or hypot(a, b))
    for count in (200, 800):
        shifted([0.0] * count, np.random.default_rng(0).uniform(0, 1, count).tolist(), (0.1, 0.05), 0.4)
    assert sum(looked[200:]) < 5 * sum(looked[:200])


def test_a_trial_alone_at_its_value_stands_on_its_name(front: Front) -> None:
    named = [
        replace(point, recipe=replace(point.recipe, number_format=name))
        for point, name in zip(front.points, NUMBER_FORMATS, strict=False)
    ]
    [figure] = axes_figures(front_of(named), ["number_format"])
    for panel in figure.axes:
        members = [line for line in panel.lines if line.get_marker() == "o"][-1]
        assert list(members.get_xdata()) == list(range(len(named)))


def test_names_stand_in_the_order_of_the_catalogue_with_off_first() -> None:
    ruler = ruler_of(["bf16", None, "fp32", "odd"], NUMBER_FORMATS)
    assert ruler.names == ("off", "fp32", "bf16", "odd")
    assert [ruler.at(value) for value in (None, "bf16")] == [0.0, 2.0]


def test_numbers_stand_in_proportion_and_off_stands_left_of_them() -> None:
    ruler = ruler_of([1.0, 2.0, 5.0, None])
    assert [ruler.at(value) for value in (1.0, 2.0, 5.0)] == [0.0, 0.25, 1.0]
    assert ruler.at(None) < -0.1


def test_doublings_stand_evenly() -> None:
    ruler = ruler_of([32, 64, 128, 256, 512, 1024])
    assert [ruler.at(v) for v in (32, 128, 1024)] == pytest.approx([0, 0.4, 1])


def test_few_doublings_stand_evenly_too() -> None:
    assert [ruler_of([32, 64, 128]).at(v) for v in (32, 64, 128)] == pytest.approx([0, 0.5, 1])
    assert ruler_of([1, 2, 3]).at(2) == 0.5


def test_an_axis_on_which_all_trials_agree_has_no_panel(front: Front) -> None:
    [figure] = axes_figures(front, ["number_format", "momentum"])
    assert [panel.get_xlabel() for panel in figure.axes] == ["", "number format"]
    assert [len(figure.axes) for figure in axes_figures(front, ["momentum"])] == [2]


def test_numbers_drawn_evenly_stand_on_a_linear_line_even_if_one_is_tiny() -> None:
    assert not ruler_of([0.001, *np.linspace(0.02, 0.3, 20).tolist()]).log


def test_a_figure_is_as_wide_as_the_text_and_leaves_the_settings_of_the_caller(front: Front, tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    figure = front_figure(front)
    save(figure, tmp_path / "front")
    assert figure.get_size_inches()[0] == PAPER.width
    assert dict(mpl.rcParams) == before


def test_a_dollar_sign_in_a_name_is_no_mathematics(tmp_path: Path) -> None:
    names = ["$\\frac$", "$x"]
    points = [Point(i, 1.0 + i, 0.5, Recipe("d", "n", pooling=names[i % 2]), "c", i) for i in range(4)]
    save(axes_figures(front_of(points), ["pooling"])[0], tmp_path / "axes")
    save(front_figure(front_of(points)), tmp_path / "front")


def test_what_became_of_a_network_stands_in_its_mark_and_in_the_legend(shaped: Store, study: str) -> None:
    found = findings(shaped, study)
    figure = front_figure(found.front, found.changes)
    changed = [point for point in found.front.points if point.trial in found.changes]
    signs = [line for line in figure.axes[0].lines if line.get_marker() in SIGNS.values()]
    assert changed
    assert {tuple(at) for line in signs for at in line.get_xydata()} == {
        (point.train_seconds, 100 * point.accuracy) for point in changed
    }
    named = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {found.changes[point.trial] for point in changed} <= named


@pytest.mark.parametrize("look", [Look(style, lang) for style in ("thesis", "slides") for lang in ("en", "de")])
def test_a_legend_is_no_wider_than_its_figure(front: Front, look: Look) -> None:
    changes = dict(zip((point.trial for point in front.points), itertools.cycle(SIGNS), strict=False))
    figure = front_figure(front, changes, look=look)
    figure.draw_without_rendering()
    assert figure.legends[0].get_window_extent().width <= figure.bbox.width
    assert [note.get_text() for note in annotations(figure)]


def test_channels_follow_the_surgeries_of_pruned_trials(shaped: Store, study: str) -> None:
    found = findings(shaped, study)
    assert any("pruned" in found.changes[point.trial] for point in found.shaped)
    networks = [Shaped(p, found.surgeries[p.trial], found.epochs[p.trial]) for p in found.shaped]
    channels, mflops = channels_figure(networks).axes
    for network, line, cost in zip(networks, channels.lines, mflops.lines, strict=False):
        assert line.get_drawstyle() == "steps-post"
        x, y = line.get_data()
        assert (x[0], y[0]) == (0, network.surgeries[0].channels_before)
        assert (x[-1], y[-1]) == (network.point.recipe.total_epochs, network.surgeries[-1].channels_after)
        assert [tuple(at) for at in cost.get_xydata()] == network.mflops
        assert network.mflops[-1] == (network.point.recipe.total_epochs, network.epochs[-1].flops_per_image / 1e6)
    named = [{text.get_text() for text in panel.texts} for panel in (channels, mflops)]
    trials = {str(network.point.trial) for network in networks}
    assert all(trials <= set(re.findall(r"\d+", " ".join(texts))) for texts in named)
    longest = max(network.point.recipe.total_epochs for network in networks)
    assert all(max(panel.get_xticks()) <= longest for panel in (channels, mflops))


def test_operations_fall_when_channels_do(front: Front) -> None:
    begun = EpochResult(1, 1.0, 0.5, 0.5, 0.1, 32, 1000, 2_000_000, 0.01, 0.001)
    costs = (2_000_000, 2_000_000, 1_000_000, 1_000_000, 3_000_000)
    epochs = [replace(begun, epoch=n, flops_per_image=cost) for n, cost in enumerate(costs, 1)]
    cut, grown = SurgeryResult(3, "prune", 64, 32, 0.1), SurgeryResult(4, "widen", 32, 96, 0.1)
    nothing_cut = SurgeryResult(5, "prune", 96, 96, 0.1)  # behind the epoch that the growth began
    network = Shaped(front.points[0], [cut, grown, nothing_cut], epochs)
    assert [y for _, y in network.channels] == [64, 32, 96, 96]
    assert network.mflops == [(0, 2.0), (1, 2.0), (2, 2.0), (3, 1.0), (4, 3.0), (5, 3.0)]


def test_names_that_would_touch_stand_on_two_lines_and_longer_ones_aslant() -> None:
    axes = new_figure(2.0).add_subplot()
    ruler_of(["max", "avg", "stochastic", "s3"], letters=18).draw(axes)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["avg", "\nmax", "s3", "\nstochastic"]
    ruler_of(["a" * 9, "b" * 9, "c" * 30], letters=23).draw(axes)
    assert {text.get_rotation() for text in axes.get_xticklabels()} == {30.0}


@pytest.mark.parametrize("look", [PAPER, Look("slides")])
def test_names_of_broad_letters_do_not_touch(front: Front, look: Look) -> None:
    schedules = ({}, {"schedule": "deepen"}, {"schedule": "widen"}, {"schedule": "widen+deepen"})
    grown = [
        replace(point, recipe=replace(point.recipe, methods={"net2net": schedules[n % 4]} if n % 4 else {}))
        for n, point in enumerate((*front.points, *front.dominated))
    ]
    axes = ["number_format", "net2net.schedule", "pooling", "learning_rate"]
    for figure in axes_figures(front_of(grown), axes, look):
        figure.draw_without_rendering()
        for panel in figure.axes:
            labels = [label for label in panel.get_xticklabels() if not label.get_rotation()]
            words = [label.get_window_extent() for label in labels if label.get_visible() and label.get_text()]
            for upper in (words[::2], words[1::2]):  # those of one line
                assert all(a.x1 + 3 < b.x0 for a, b in itertools.pairwise(upper))


def test_slides_of_many_axes_are_no_higher_than_a_screen(front: Front, axes: tuple[str, ...]) -> None:
    figures = axes_figures(front, (*axes, "momentum", "weight_decay"), Look("slides", "de"))
    named = [panel.get_xlabel() for figure in figures for panel in figure.axes if panel.get_xlabel()]
    assert len(named) == len(axes)
    assert len(figures) == 2
    assert all(figure.get_figwidth() / figure.get_figheight() >= 16 / 9 for figure in figures)


def test_a_few_odd_numbers_have_round_ticks_and_round_ones_are_their_own() -> None:
    assert ruler_of([0.1, 0.151, 0.229, 0.332]).ticks == pytest.approx((0.1, 0.2, 0.3))
    assert ruler_of([0.0131, 0.0512, 0.06, 0.07, 0.0712, 0.412]).ticks[-1] in (0.2, 0.3, 0.4)
    assert ruler_of([1, 2, 3]).ticks == (1, 2, 3)
    assert ruler_of([0.05, 0.15]).ticks == (0.05, 0.15)


def test_a_parameter_says_of_which_method_it_is() -> None:
    points = [
        Point(n, 10.0 + n, 0.8 + n / 100, replace(RECIPE, methods=methods), "c", n)
        for n, methods in enumerate([{"prunetrain": {"penalty_ratio": 0.2, "interval": n + 1}} for n in range(3)])
    ]
    for look, title in (
        (PAPER, "interval (prunetrain)"),
        (Look("thesis", "de"), "Epochen zwischen Umbauten (prunetrain)"),
    ):
        (figure,) = axes_figures(front_of(points), ("prunetrain.penalty_ratio", "prunetrain.interval"), look)
        panels = figure.axes
        assert title in {" ".join(panel.get_xlabel().split()) for panel in panels}


def test_numbers_that_would_touch_are_left_out() -> None:
    axes = new_figure(2.0).add_subplot()
    ruler_of([0.065, 0.1, 0.11, 0.349, 0.6], letters=20).draw(axes)
    places = axes.get_xticks()
    assert min(np.diff(places)) > 5 / 20


def test_ticks_have_a_decimal_comma_in_german(tmp_path: Path) -> None:
    figure = hypervolume_figure([grown((600.0, 5.0), (1200.0, 5.2))], 1500.0, look=Look("thesis", "de"))
    save(figure, tmp_path / "x", Look("thesis", "de"))
    texts = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert any("," in text for text in texts)
    assert not any("." in text for text in texts)
