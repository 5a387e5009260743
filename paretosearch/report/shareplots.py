"""The figure and the table of accuracy over the share of the training images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from paretosearch.report.booktabs import MOST_ROWS, percent_cell, tabular
from paretosearch.report.findings import Findings
from paretosearch.report.latex import escaped
from paretosearch.report.look import PAPER, Look
from paretosearch.report.plots import accuracy_label
from paretosearch.report.reading import evenly
from paretosearch.report.replicates import CONFIDENCE, Replicates, Spread
from paretosearch.report.shares import Line, gain, plain_of
from paretosearch.report.style import INK, MARKERS, PALETTE, legend, new_figure, styled
from paretosearch.store import Point

#: What the trainings of a line have in common, by its rule.
EQUAL = {"fixed": "equal epochs", "updates": "equal updates"}

#: Factor between the places of two lines at one share, so that no interval hides another.
_BESIDE = 1.025


@styled
def shares_figure(lines: Sequence[Line], look: Look = PAPER) -> Figure:
    """Draw accuracy over the share of the images, with intervals over seeds: a panel for each rule of the epochs.

    Args:
        lines: What to draw, at least one; of many, those of the nine names that get highest.
        look: What it is made for.

    Returns:
        The figure.
    """
    rules, names = list(dict.fromkeys(line.rule for line in lines)), _names(lines)
    figure = new_figure(2.9, look)
    panels = figure.subplots(1, len(rules), sharey=True, squeeze=False)[0]
    for panel, rule in zip(panels, rules, strict=True):
        _panel(panel, [line for line in lines if line.rule == rule and line.name in names], names)
        panel.set_title(look.say(EQUAL[rule]), loc="left")
        panel.set_xlabel(look.say("share of the images (%)"))
    panels[0].set_ylabel(accuracy_label(look))
    interval = look.say("mean with {share} % interval", share=f"{100 * CONFIDENCE:.0f}")
    handles = [Line2D([], [], **_drawn(place), label=look.words(name)) for place, name in enumerate(names)]
    legend(figure, [*handles, Line2D([], [], color=INK, label=interval)])
    return figure


def _names(lines: Sequence[Line]) -> list[str]:
    """Name the lines in their order, as many as can be told apart."""
    best: dict[str, float] = {}
    for line in lines:
        top = max(group.accuracy.mean for group in line.groups)
        best[line.name] = max(top, best.get(line.name, 0.0))
    kept = sorted(best, key=lambda name: best[name], reverse=True)[: len(MARKERS)]
    return [name for name in best if name in kept]


def _panel(panel: Axes, lines: Sequence[Line], names: Sequence[str]) -> None:
    for line in lines:
        place = names.index(line.name)
        beside = _BESIDE ** (place - (len(names) - 1) / 2)
        x = [100 * group.recipe.train_share * beside for group in line.groups]
        spreads = [group.accuracy for group in line.groups]
        for at, spread in zip(x, spreads, strict=True):  # one by one: each is a cross of its own in LaTeX
            half = None if spread.half_width is None else 100 * spread.half_width
            panel.errorbar(at, 100 * spread.mean, yerr=half, color=PALETTE[place], linewidth=1, capsize=2, zorder=3)
        panel.plot(x, [100 * spread.mean for spread in spreads], **_drawn(place), zorder=4)
    shares = sorted({100 * group.recipe.train_share for line in lines for group in line.groups})
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(FixedLocator(shares))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xlim(shares[0] / 1.2, shares[-1] * 1.2)


def _drawn(place: int) -> dict[str, Any]:
    colour = PALETTE[place]
    return {
        "color": colour,
        "marker": MARKERS[place],
        "markersize": 4.5,
        "markeredgecolor": INK,
        "markeredgewidth": 0.5,
        "linestyle": "-",
        "linewidth": 1.1,
    }


def shares_tabular(found: Findings, lines: Sequence[Line], look: Look) -> str:
    """Make the table of the same for LaTeX: means with half of their 95 % intervals, and what is gained.

    Args:
        found: What the study has found.
        lines: What was trained; at least one.
        look: Whose language to use.

    Returns:
        A ``tabular`` no wider than the text, with notes below it, and hints for its caption as comments.
    """
    every = [(line, group) for line in lines for group in line.groups]
    rows = evenly(every, MOST_ROWS)
    heads = [look.say(head) for head in ("n", "accuracy (%)", "gain (points)")]
    numbers = [[str(len(group.points)), *_cells(line, group, lines, look)] for line, group in rows]
    shown, points = ([_point(line, group) for line, group in part] for part in (rows, every))
    notes = ["n: trainings, each with another seed", "±: half of the 95 % interval of the mean"]
    name = look.words(lines[0].name)
    notes.append(look.say("gain: over {name} with the same images, seed by seed", name=name))
    return tabular(found, look, heads, numbers, shown, points, notes)


def _cells(line: Line, group: Replicates, lines: Sequence[Line], look: Look) -> tuple[str, str]:
    gained = gain(line, plain_of(line, lines), group.recipe.train_share)
    accuracy = group.accuracy
    more = "--" if gained is None else escaped(look.number(f"{100 * gained.mean:+.2f}")) + _half(gained, look)
    return percent_cell(accuracy.mean, look) + _half(accuracy, look), more


def _half(spread: Spread, look: Look) -> str:
    return "" if spread.half_width is None else rf" $\pm$ {percent_cell(spread.half_width, look)}"


def _point(line: Line, group: Replicates) -> Point:
    """Give a training that stands for all of its group, by the rule of its line and with no seed of its own."""
    point = group.points[0]
    return replace(point, recipe=replace(point.recipe, seed=0, epochs_rule=line.rule))
