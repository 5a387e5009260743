"""The figure of networks that changed their shape while they trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from paretosearch.outcome import EpochResult, SurgeryResult
from paretosearch.report.labels import Label, place
from paretosearch.report.look import PAPER, Look
from paretosearch.report.plots import dense
from paretosearch.report.shapes import channels_over_epochs
from paretosearch.report.style import INK, new_figure, shades, styled
from paretosearch.store import Point

#: Changes that come when the epoch that they are told of has ended; the others begin the next one.
_AT_THE_END = ("prune", "remove", "restore")

#: Epochs done, and something from then on.
Line = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Shaped:
    """A training whose network changed its shape.

    Args:
        point: The trial.
        surgeries: The changes, in order; at least one.
        epochs: Its epochs, in order; at least one.
    """

    point: Point
    surgeries: Sequence[SurgeryResult]
    epochs: Sequence[EpochResult]

    @property
    def channels(self) -> list[tuple[int, int]]:
        """Epochs done, and channels from then on."""
        return channels_over_epochs(self.surgeries, self.epochs[-1].epoch)

    @property
    def mflops(self) -> list[tuple[int, float]]:
        """Epochs done, and millions of operations of one forward pass of one image from then on."""
        changes = [surgery for surgery in self.surgeries if surgery.channels_before != surgery.channels_after]
        cut = {change.epoch for change in changes if change.kind in _AT_THE_END}
        begun = {change.epoch + 1 for change in changes if change.kind not in _AT_THE_END}
        costs = [epoch.flops_per_image / 1e6 for epoch in self.epochs]
        # An epoch that ends with a cut has the cost behind it, and was trained at that of the epoch before.
        late = [n > 0 and epoch.epoch in cut - begun for n, epoch in enumerate(self.epochs)]
        began = [costs[n - 1] if is_late else costs[n] for n, is_late in enumerate(late)]
        return list(enumerate([*began, costs[-1]]))


@styled
def channels_figure(shaped: Sequence[Shaped], look: Look = PAPER) -> Figure:
    """Draw channels and cost of networks over their epochs.

    Args:
        shaped: Trainings, few enough to be told apart.
        look: What it is made for.

    Returns:
        The figure: channels on the left, operations for an image on the right.
    """
    figure = new_figure(2.9, look)
    channels, mflops = figure.subplots(1, 2)
    channels.set_ylabel(look.say("channels"))
    mflops.set_ylabel(look.say("MFLOPs per image"))
    for panel, lines in ((channels, [s.channels for s in shaped]), (mflops, [s.mflops for s in shaped])):
        _draw(panel, lines, [s.point.trial for s in shaped], look)
    return figure


def _draw(axes: Axes, lines: Sequence[Line], trials: Sequence[int], look: Look) -> None:
    """Draw lines in steps, with the trial beside the end of each, and dots to which the words belong."""
    for line, shade in zip(lines, shades(len(lines)), strict=True):
        axes.plot(*zip(*line, strict=True), drawstyle="steps-post", **shade)
    axes.margins(0.08, 0.18)
    axes.set_ylim(max(0.0, axes.get_ylim()[0]), None)
    longest = max(line[-1][0] for line in lines)
    axes.set(xlabel=look.say("epoch"), xlim=(-0.06 * longest, 1.35 * longest))  # a label behind the end stays inside
    ticks = MaxNLocator(6, integer=True).tick_values(0, longest)
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if 0 <= tick <= longest]))
    axes.plot(*zip(*(line[-1] for line in lines), strict=True), "o", color=INK, markersize=2.5)
    labels = [Label(_trials(alike, look), *end) for end, alike in _alike(lines, trials).items()]
    place(axes, labels, np.concatenate([dense(_corners(line)) for line in lines]))


def _corners(line: Line) -> list[tuple[int, float]]:
    """Give the corners of a line that is drawn in steps."""
    return [line[0], *(corner for (_, y), after in pairwise(line) for corner in ((after[0], y), after))]


def _alike(lines: Sequence[Line], trials: Sequence[int]) -> dict[tuple[int, float], list[int]]:
    """Gather the trials whose lines end at one point."""
    found: dict[tuple[int, float], list[int]] = {}
    for line, trial in zip(lines, trials, strict=True):
        found.setdefault(line[-1], []).append(trial)
    return found


def _trials(trials: Sequence[int], look: Look) -> str:
    if len(trials) == 1:
        return look.say("trial {number}", number=trials[0])
    return look.say("trials {numbers}", numbers=", ".join(map(str, trials)))
