"""What the dashboard says of a trial on a front, in Markdown."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from paretosearch.report.findings import Findings
from paretosearch.report.markdown import block, plain, table
from paretosearch.report.simulated import MEANING, SKIPPED, projected_saving, simulated
from paretosearch.report.watched import Watched
from paretosearch.report.words import counted, seconds_text, words
from paretosearch.store import Point


def trial_note(watched: Watched, found: Findings, point: Point) -> str:
    """Say what a trial on the front is, what it measured, and how to train it.

    Args:
        watched: The study.
        found: What it has found.
        point: The trial, one of the front of a class of device.

    Returns:
        The note.
    """
    recipe = point.recipe
    where = f"{recipe.network} on {recipe.dataset}"
    where_on = f" of {plain(point.device_class)}" if found.others else ""
    command = watched.command("train", "--trial", str(point.trial), "--study", watched.record.name)
    parts = [
        f"### On the Pareto front{where_on}: {seconds_text(point.train_seconds)} s, {100 * point.accuracy:.2f} %",
        f"**{plain(words(recipe, found.axes))}**; {plain(where)}",
        *_neighbours(found, point),
        table(("", ""), _measured(found, point)),
        "Train it again, look at the test split, and keep the weights:",
        block(shlex.join([*command, "--out", f"trained/{point.trial}"])),
        "`recipe.json` is below, among the artifacts: `paretosearch train recipe.json` trains it anywhere.",
    ]
    return "\n\n".join(parts)


def _neighbours(found: Findings, point: Point) -> Iterator[str]:
    """Say what the next faster and the next better point of the front are away."""
    points = next(of_class.front.points for of_class in found.classes if point in of_class.front.points)
    at = points.index(point)
    said = []
    for other, way in ((at - 1, "faster"), (at + 1, "more accurate")):
        if 0 <= other < len(points):
            seconds = points[other].train_seconds - point.train_seconds
            gain = 100 * (points[other].accuracy - point.accuracy)
            said.append(f"The next {way} is trial {points[other].trial}: {seconds:+.2f} s, {gain:+.2f} points.")
    if said:
        yield " ".join(said)


def _measured(found: Findings, point: Point) -> Iterator[tuple[str, str]]:
    disturbed = " (disturbed: mean and median of the steps differ by more than 5 %)" if point.noisy else ""
    yield "training time", f"{seconds_text(point.train_seconds)} s{disturbed}"
    yield from _simulated(found, point)
    yield "validation accuracy", f"{100 * point.accuracy:.2f} %"
    yield from _repeated(found, point)
    shown = (
        ("wall time", point.wall_seconds, lambda value: f"{seconds_text(value)} s"),
        ("speed", point.images_per_second, lambda value: f"{value:,.0f} training images/s"),
        ("parameters at the end", point.parameters, lambda value: f"{value:,}"),
        ("one forward pass", point.inference_flops, _flops),
        ("the whole training", point.training_flops, _flops),
        ("peak memory", point.peak_memory_bytes, lambda value: f"{value / 2**20:,.0f} MiB"),
        ("energy", point.energy_joules, lambda value: f"{value:,.0f} J"),
    )
    yield from ((name, say(value)) for name, value, say in shown if value is not None)
    if found.others:
        yield from _everywhere(found, point.trial)
    else:
        yield "trained on", plain(point.device_class)


def _simulated(found: Findings, point: Point) -> Iterator[tuple[str, str]]:
    """Say what the seconds do not show, and what of it is projected."""
    if names := simulated(point):
        yield "simulated", f"{plain(', '.join(names))}: {MEANING}"
    share = projected_saving(point.recipe, found.surgeries.get(point.trial, ()))
    if share is not None:
        yield "projected, not measured", f"{100 * share:.0f} %: {SKIPPED}"


def _everywhere(found: Findings, trial: int) -> Iterator[tuple[str, str]]:
    """Say what a trial takes on each class of device, how that is known, and whether it is on the front there."""
    replayed = {attempt.id for attempt in found.attempts if attempt.purpose == "replay"}
    for of_class in found.classes:
        point = of_class.point(trial)
        if point is not None:
            how = "timed again" if point.attempt in replayed else "trained"
            stands = "on the front" if point in of_class.front.points else "dominated"
            said = f"{seconds_text(point.train_seconds)} s, {how} there, {stands}"
            yield f"on {plain(of_class.device_class)}", said


def _repeated(found: Findings, point: Point) -> Iterator[tuple[str, str]]:
    estimate = next((e for e in found.estimates if e.point.trial == point.trial), None)
    if estimate is None or not estimate.repeats:
        yield "repeats", "none yet: `paretosearch confirm`"
        return
    seconds = f"{seconds_text(estimate.train_seconds)} ± {seconds_text(estimate.seconds_interval)} s"
    accuracy = f"{100 * estimate.accuracy:.2f} ± {100 * estimate.accuracy_interval:.2f} %"
    yield f"mean of {counted(estimate.repeats, 'repeat')}", f"{seconds}, {accuracy} (95 % intervals)"
    if estimate.test_accuracy is not None:
        yield "test accuracy", f"{100 * estimate.test_accuracy:.2f} %"
    yield "probability to be on the front", f"{estimate.membership:.2f}"


def _flops(value: float) -> str:
    power, name = next(((p, n) for p, n in ((12, "T"), (9, "G"), (6, "M")) if value >= 10**p), (3, "k"))
    return f"{value / 10**power:.3g} {name}FLOP"
