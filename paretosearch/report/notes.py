"""What the dashboard says of a study, in Markdown."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from paretosearch.device import Device
from paretosearch.report.classes import labels
from paretosearch.report.confirmed import curse_line, standing
from paretosearch.report.findings import Findings, OnClass
from paretosearch.report.markdown import block, plain, table
from paretosearch.report.reading import evenly, notable
from paretosearch.report.simulated import mark, simulated_lines
from paretosearch.report.timed import replays_of
from paretosearch.report.watched import Watched
from paretosearch.report.words import (
    axis_value,
    counted,
    duration_text,
    seconds_text,
    titles,
    value_text,
    words,
)

#: Rows of the front in a note: a note is read, and the figure shows all of it.
_MOST_ROWS = 12

_STATES = (("complete", ""), ("running", ""), ("dominated", "ended early"), ("failed", ""), ("stopped", ""))


def study_note(watched: Watched, path: str) -> str:
    """Say what is searched, on what, where, and how it is going.

    Args:
        watched: The study.
        path: Where the dashboard has the study, such as ``/dashboard/studies/1``.

    Returns:
        The note.
    """
    parts = [f"## {plain(watched.record.name)}", _question(watched), table(("", ""), _standing(watched))]
    if watched.found is not None:
        parts += ["### The front", _front(watched.found, path), _worth(watched.found)]
    parts += [f"### What {plain(watched.record.sampler)} searches", _axes(watched.record.space, watched)]
    parts += ["### What to do with it", _commands(watched)]
    return "\n\n".join(parts)


def _question(watched: Watched) -> str:
    fixed = watched.record.space["declared"]["fixed"]
    images = fixed.get("train_images") or "all"
    if (share := fixed.get("train_share", 1.0)) < 1:
        images = f"{100 * share:g} % of {images}"
    network, dataset = (plain(str(fixed.get(key, f"several {key}s"))) for key in ("network", "dataset"))
    return (
        f"Which way of training **{network}** on **{dataset}** ({images} training images) gives the best validation "
        "accuracy for its seconds?"
    )


def _standing(watched: Watched) -> Iterator[tuple[str, str]]:
    """Give rows of what is and what of it."""
    counts = {said or state: getattr(watched.counts, state) for state, said in _STATES}
    budget, total = watched.budget, sum(counts.values())
    ends = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    yield "trials", f"**{total}**{_of(budget.get('trials'))}" + (f": {ends}" if ends else "")
    if watched.launched is not None:
        left = "; what was interrupted goes on with the next" if counts["running"] and not watched.launched else ""
        yield "now", "a launch is **running**" if watched.launched else f"no launch is running{left}"
    hours = budget.get("device_hours")
    allowed = duration_text(3600 * hours) if isinstance(hours, int | float) else None
    yield "device time", f"**{duration_text(watched.device_seconds)}**{_of(allowed)}"
    if watched.found is not None:
        yield from _fronts_said(watched.found)
    yield "devices", "; ".join(_devices(watched.devices))
    yield "class of device", plain(watched.record.device_class)
    yield "begun", f"{watched.record.created.astimezone():%d %B %Y, %H:%M}"


def _of(allowed: object) -> str:
    return f" of {allowed} in the study file" if isinstance(allowed, int | str) else ""


def _fronts_said(found: Findings) -> Iterator[tuple[str, str]]:
    """Give a row on the front of each class of device, and one on what was timed again."""
    named = labels([of_class.device_class for of_class in found.classes])
    for of_class in found.classes:
        where = f" on {plain(named[of_class.device_class])}" if found.others else ""
        yield f"front{where}", _front_said(of_class, found.device_seconds)
    replays = replays_of(found.attempts, found.device_seconds)
    if replays.attempts:
        why = "to know their seconds on other classes of device" if len(found.classes) > 1 else "as they were disturbed"
        yield "timed again", f"{replays}, {why}"


def _front_said(of_class: OnClass, device_seconds: float) -> str:
    front = of_class.front
    said = f"**{counted(len(front.points), 'point')}**, hypervolume {seconds_text(front.hypervolume)} s"
    said += f" (up to {seconds_text(front.reference[0])} s)"
    if not of_class.growth:
        return said
    still = device_seconds - of_class.growth[-1][0]
    return f"{said}; " + (
        f"it grew last {duration_text(still)} of device time ago" if still >= 1 else "it grew just now"
    )


def _devices(devices: Sequence[Device]) -> Iterator[str]:
    # A launch may have had other cores by the same name.
    for said in dict.fromkeys(f"{device.label}: {device.name} on {device.host}" for device in devices):
        yield plain(said)


def _front(found: Findings, path: str) -> str:
    points = found.front.points
    names = {point.trial: name for name, point in notable(points).items()}
    shared = {axis for axis in found.axes if len({axis_value(p.recipe, axis) for p in points}) == 1 < len(points)}
    shown = evenly(points, _MOST_ROWS)
    rows = [
        (
            f"[{point.trial}]({path}/trials?numbers={point.trial})",
            f"{'~' if point.noisy else ''}{seconds_text(point.train_seconds)}{mark(point)}",
            f"{100 * point.accuracy:.2f} %",
            plain(words(point.recipe, found.axes, shared)),
            f"**{names[point.trial]}**" if point.trial in names else "",
        )
        for point in shown
    ]
    said = [table(("trial", "seconds", "accuracy", "recipe", ""), rows, numeric=3)]
    if shared:
        said.append(f"all: {plain(words(points[0].recipe, found.axes, [a for a in found.axes if a not in shared]))}")
    if any(point.noisy for point in shown):
        said.append("\\~ disturbed: mean and median of the steps differ by more than 5 %")
    said += [plain(line) for line in simulated_lines(points, found.surgeries)]
    if (hidden := len(points) - _MOST_ROWS) > 0:
        said.append(f"{hidden} more between these")
    return "\n\n".join(said)


def _worth(found: Findings) -> str:
    if found.is_confirmed:
        known = standing(found.estimates)
        said = plain(f"{known[:1].upper()}{known[1:]}; {curse_line(found.estimates) or ''}")
        return f"{said}. `paretosearch front --confirmed` has means and intervals."
    return "Each point is a single training, not confirmed: the best of many look a little better than they are."


def _axes(space: Mapping[str, Any], watched: Watched) -> str:
    declared = space["declared"]["axes"]
    named = titles(declared, short=False)
    rows = [(plain(named[axis]), plain(_range(axis, kind, watched))) for axis, kind in declared.items()]
    return table(("axis", "values"), rows)


def _range(axis: str, kind: Mapping[str, Any], watched: Watched) -> str:
    if "options" not in kind:
        how = ", doubling" if kind.get("log2") else ", logarithmic" if kind.get("log") else ""
        return f"{value_text(kind['low'])} to {value_text(kind['high'])}{how}"
    searched = watched.record.space.get("number_formats") if axis == "number_format" else None
    kept = [value for value in kind["options"] if not searched or value in searched]
    left = [value for value in kind["options"] if value not in kept]
    said = ", ".join(value_text(value) for value in kept)
    return f"{said} (left out, as the device is slow at it or cannot do it: {', '.join(left)})" if left else said


def _commands(watched: Watched) -> str:
    name = watched.record.name
    lines = [
        watched.command("status", name),
        watched.command("export", name, "--out", "front"),
        watched.command("confirm", name),
    ]
    return block("\n".join(map(shlex.join, lines)))
