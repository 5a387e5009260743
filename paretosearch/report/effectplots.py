"""The figure of what each change of a plain Recipe does alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paretosearch.report.effects import Effect, Verdict
from paretosearch.report.look import PAPER, Look
from paretosearch.report.replicates import CONFIDENCE, Spread
from paretosearch.report.style import FAINT, INK, PALETTE, legend, new_figure, styled

#: How a change is drawn, by what it comes to; told apart without colours too.
_MARKS: dict[Verdict, dict[str, str]] = {
    "pays": {"marker": "^", "color": PALETTE[2]},
    "costs": {"marker": "v", "color": PALETTE[3]},
    "unclear": {"marker": "o", "color": FAINT},
}
_SAID: dict[Verdict, str] = {
    "pays": "better than its seconds",
    "costs": "worse than its seconds",
    "unclear": "no difference to be seen",
}

#: Share of the changes that a panel shows with their intervals whatever the others do.
USUAL = 0.75

#: How many times as far from zero as those may the others lie and still be in the panel.
FAR = 2.5


@styled
def effects_figure(effects: Sequence[Effect], look: Look = PAPER) -> Figure:
    """Draw a row a change: seconds, accuracy, and accuracy at equal seconds where that is known.

    Args:
        effects: The changes, the first at the top.
        look: What it is made for.

    Returns:
        The figure.
    """
    figure = new_figure((1.0 + _row(len(effects)) * len(effects)) / look.height(1.0), look)  # as high on slides
    judged = any(effect.worth is not None for effect in effects)
    panels = figure.subplots(1, 3 if judged else 2, sharey=True)
    _panel(panels[0], effects, [effect.seconds for effect in effects], look.say("time (%)"))
    _panel(panels[1], effects, [effect.accuracy for effect in effects], look.say("accuracy (points)"))
    if judged:
        _panel(panels[2], effects, [effect.worth for effect in effects], look.say("accuracy (points)\nat equal time"))
    panels[0].set_yticks(range(len(effects)), [look.words(effect.name) for effect in effects])
    panels[0].set_ylim(len(effects) - 0.4, -0.6)
    interval = look.say("mean with {share} % interval", share=f"{100 * CONFIDENCE:.0f}")
    handles = (
        [Line2D([], [], color=INK, label=interval)] if any(e.seconds.half_width is not None for e in effects) else []
    )
    seen = {e.verdict for e in effects if e.worth is not None and e.worth.half_width is not None}
    handles += [
        Line2D([], [], linestyle="none", markersize=5, label=look.say(_SAID[verdict]), **mark)  # type: ignore[arg-type]
        for verdict, mark in _MARKS.items()
        if verdict in seen
    ]
    if handles:
        legend(figure, handles)
    _break_titles(figure)
    return figure


def _break_titles(figure: Figure) -> None:
    """Write the unit of an axis on a line of its own where a title is wider than its panel: no layout makes room."""
    figure.draw_without_rendering()
    for panel in figure.axes:
        label = panel.xaxis.label
        if label.get_window_extent().width > panel.bbox.width:
            label.set_text(label.get_text().replace(" (", "\n("))


def _row(count: int) -> float:
    """Give the height of a row in inches: less where many must fit a page, as long as letters do not touch."""
    return min(0.19, max(0.13, 8.4 / max(count, 1)))


def _panel(panel: Axes, effects: Sequence[Effect], spreads: Sequence[Spread | None], title: str) -> None:
    panel.axvline(0, color=INK, linewidth=0.8, zorder=1)
    reach = _reach([spread for spread in spreads if spread is not None])
    for place, (effect, spread) in enumerate(zip(effects, spreads, strict=True)):
        if spread is None:
            continue
        mean, half = 100 * spread.mean, None if spread.half_width is None else 100 * spread.half_width
        if abs(mean) > reach:
            _beyond(panel, place, mean, reach)
            continue
        panel.errorbar(mean, place, xerr=half, color=INK, linewidth=1, capsize=2, zorder=3)
        panel.plot(mean, place, **_MARKS[effect.verdict], linestyle="none", markersize=5, zorder=4)  # type: ignore[arg-type]
    _limit(panel, reach)
    panel.grid(visible=False, axis="y")
    panel.set_xlabel(title)


def _reach(spreads: Sequence[Spread]) -> float:
    """Give how far from zero a panel has to reach, in percent, if a few changes may lie beyond it.

    One network that learns nothing would make every other change look like none.
    """
    ends = [100 * (abs(spread.mean) + (spread.half_width or 0.0)) for spread in spreads]
    usual = float(np.quantile(ends, USUAL)) if ends else 0.0
    return FAR * usual if 0.0 < FAR * usual < max(ends) else math.inf


def _limit(panel: Axes, reach: float) -> None:
    """Cut a panel off where it reaches further than it has to."""
    low, high = panel.get_xlim()
    panel.set_xlim(max(low, -1.05 * reach), min(high, 1.05 * reach))


def _beyond(panel: Axes, place: int, mean: float, reach: float) -> None:
    """Write a value at the edge behind which it lies."""
    left, number = mean < 0, f"{mean:+.0f}".replace("-", "−")
    text = f"← {number}" if left else f"{number} →"
    edge = {"xy": (math.copysign(reach, mean), place), "xytext": (0, 0), "textcoords": "offset points"}
    panel.update_datalim([edge["xy"]])  # or the edge may be further than the panel reaches
    panel.autoscale_view()
    panel.annotate(text, **edge, ha="left" if left else "right", va="center", fontsize="small", color=INK)  # type: ignore[arg-type]
