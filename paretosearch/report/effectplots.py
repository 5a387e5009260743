"""The figure of what each change of a plain Recipe does alone."""

from __future__ import annotations

from collections.abc import Sequence

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


@styled
def effects_figure(effects: Sequence[Effect], look: Look = PAPER) -> Figure:
    """Draw a row a change: seconds, accuracy, and accuracy at equal seconds where that is known.

    Args:
        effects: The changes, the first at the top.
        look: What it is made for.

    Returns:
        The figure.
    """
    figure = new_figure((1.0 + 0.19 * len(effects)) / look.height(1.0), look)  # rows are as high on slides
    judged = any(effect.worth is not None for effect in effects)
    panels = figure.subplots(1, 3 if judged else 2, sharey=True)
    _panel(panels[0], effects, [effect.seconds for effect in effects], look.say("time (%)"))
    _panel(panels[1], effects, [effect.accuracy for effect in effects], look.say("accuracy (points)"))
    if judged:
        _panel(panels[2], effects, [effect.worth for effect in effects], look.say("accuracy (points)\nat equal time"))
    panels[0].set_yticks(range(len(effects)), [look.words(effect.name) for effect in effects])
    panels[0].set_ylim(len(effects) - 0.4, -0.6)
    interval = look.say("mean with {share} % interval", share=f"{100 * CONFIDENCE:.0f}")
    handles = [Line2D([], [], color=INK, label=interval)]
    seen = {effect.verdict for effect in effects} if judged else set()
    handles += [
        Line2D([], [], linestyle="none", markersize=5, label=look.say(_SAID[verdict]), **mark)  # type: ignore[arg-type]
        for verdict, mark in _MARKS.items()
        if verdict in seen
    ]
    legend(figure, handles)
    return figure


def _panel(panel: Axes, effects: Sequence[Effect], spreads: Sequence[Spread | None], title: str) -> None:
    panel.axvline(0, color=INK, linewidth=0.8, zorder=1)
    for place, (effect, spread) in enumerate(zip(effects, spreads, strict=True)):
        if spread is not None:
            half = None if spread.half_width is None else 100 * spread.half_width
            panel.errorbar(100 * spread.mean, place, xerr=half, color=INK, linewidth=1, capsize=2, zorder=3)
            panel.plot(100 * spread.mean, place, **_MARKS[effect.verdict], linestyle="none", markersize=5, zorder=4)  # type: ignore[arg-type]
    panel.grid(visible=False, axis="y")
    panel.set_xlabel(title)
