"""The figure of networks that changed their shape while they trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from paretosearch.outcome import EpochResult, SurgeryResult
from paretosearch.report.labels import Label, place
from paretosearch.report.look import PAPER, Look
from paretosearch.report.plots import dense
from paretosearch.report.shapes import channels_over_epochs
from paretosearch.report.style import INK, new_figure, shades, styled
from paretosearch.store import Point


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
        """Epochs done, and millions of operations of one forward pass of one image by then."""
        return [(epoch.epoch, epoch.flops_per_image / 1e6) for epoch in self.epochs]


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
    for panel in (channels, mflops):
        panel.set_xlabel(look.say("epoch"))
        panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for shape, shade in zip(shaped, shades(len(shaped)), strict=True):
        channels.plot(*zip(*shape.channels, strict=True), drawstyle="steps-post", **shade)
        mflops.plot(*zip(*shape.mflops, strict=True), marker="o", markersize=2.5, **shade)
    for panel in (channels, mflops):
        panel.margins(0.08, 0.18)
        panel.set_ylim(max(0.0, panel.get_ylim()[0]), None)
    _name(channels, shaped, look)
    return figure


def _name(axes: Axes, shaped: Sequence[Shaped], look: Look) -> None:
    """Write the trial beside the end of each line, and dots to which the words belong."""
    ends = [shape.channels[-1] for shape in shaped]
    longest = max(epoch for epoch, _ in ends)
    axes.set_xlim(-0.06 * longest, 1.35 * longest)  # a label behind the last epoch stays inside
    axes.plot(*zip(*ends, strict=True), "o", color=INK, markersize=2.5)
    labels = [Label(_trials(trials, look), *end) for end, trials in _alike(shaped).items()]
    place(axes, labels, np.concatenate([dense(_corners(shape.channels)) for shape in shaped]))


def _corners(line: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Give the corners of a line that is drawn in steps."""
    return [line[0], *(corner for (_, y), after in pairwise(line) for corner in ((after[0], y), after))]


def _alike(shaped: Sequence[Shaped]) -> dict[tuple[int, int], list[int]]:
    """Gather the trials whose lines end at one point."""
    found: dict[tuple[int, int], list[int]] = {}
    for shape in shaped:
        found.setdefault(shape.channels[-1], []).append(shape.point.trial)
    return found


def _trials(trials: Sequence[int], look: Look) -> str:
    if len(trials) == 1:
        return look.say("trial {number}", number=trials[0])
    return look.say("trials {numbers}", numbers=", ".join(map(str, trials)))
