"""The figure of how fronts grew while the search went on."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paretosearch.report.classes import labels
from paretosearch.report.findings import OnClass
from paretosearch.report.history import area_range
from paretosearch.report.look import PAPER, Look
from paretosearch.report.style import PALETTE, new_figure, styled
from paretosearch.report.words import seconds_text

_MOST_DOTS = 40
_HOUR = 3600.0


@styled
def hypervolume_figure(classes: Sequence[OnClass], total_seconds: float, look: Look = PAPER) -> Figure:
    """Draw how the hypervolume grew with the device time spent.

    Args:
        classes: A front, with at least one change, on each class of device; each gets a panel, one above the other.
        total_seconds: Device-seconds of the whole study.
        look: What it is made for.

    Returns:
        The figure.
    """
    figure = new_figure(2.6 if len(classes) == 1 else 0.7 + 1.5 * len(classes), look)
    end = max(total_seconds, *(of_class.growth[-1][0] for of_class in classes))
    panels = figure.subplots(len(classes), 1, sharex=True, squeeze=False)[:, 0]
    named = labels([of_class.device_class for of_class in classes], look)
    for axes, of_class in zip(panels, classes, strict=True):
        seconds = look.number(seconds_text(of_class.front.reference[0]))
        axes.set_ylabel(look.say("hypervolume (s)\nfrom ({seconds} s, 0 %)", seconds=seconds))
        if len(classes) > 1:
            axes.set_title(named[of_class.device_class], loc="left")
        _draw(axes, of_class.growth, end)
    panels[-1].set_xlabel(look.say(device_time(end)[1]))
    return figure


def _draw(axes: Axes, events: Sequence[tuple[float, float]], end: float) -> None:
    unit, _ = device_time(end)
    x, y = zip(*((at / unit, area) for at, area in (*events, (end, events[-1][1]))), strict=True)
    axes.step([0.0, *x], [0.0, *y], where="post", color=PALETTE[0])
    if len(events) <= _MOST_DOTS:
        axes.plot(x[:-1], y[:-1], "o", color=PALETTE[0], markersize=3.2)
    axes.set_ylim(area_range(events, end))
    axes.set_xlim(0, 1.015 * x[-1])  # or the last dot would be half a dot


def device_time(total_seconds: float) -> tuple[float, str]:
    """Choose how to count device time: the seconds of a unit, and the name of an axis in it."""
    return (_HOUR, "device-hours spent") if total_seconds >= _HOUR else (60.0, "device-minutes spent")
