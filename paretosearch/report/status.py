"""How a study stands, to read or to process."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paretosearch.device import Device
from paretosearch.report.classes import fronts_of, labels
from paretosearch.report.timed import Replays, replays_of
from paretosearch.report.words import counted, duration_text, seconds_text
from paretosearch.store import AttemptRecord, Front, StopDecision, Store, StudyRecord, settling

_STATES = ("complete", "running", "dominated", "failed", "stopped")

#: What is said of trials in a state that has another name in JSON.
_SAID = {"lost": "to be tried again"}


def status_json(store: Store, study: str, launched: bool | None = None) -> dict[str, Any]:
    """Say how a study stands, as JSON can hold it.

    Args:
        store: Where it is kept.
        study: Its name.
        launched: Whether a Launcher works on it now; None if nobody knows.

    Returns:
        Trials by state (``lost`` are to be tried again), failed attempts by class with the newest message, those that
        were or will be tried again by themselves, devices with what they did, the front on the study's own class of
        device and that on each, what trainings that were timed again took, and for each number format that was
        measured the seconds of a step relative to fp32, whether it is searched, and what speaks against it.

    Raises:
        StoreError: If there is no such study.
    """
    decisions = store.stop_decisions(study)  # before the attempts: a Launcher may begin one meanwhile, and stop it
    attempts, counts = store.attempts(study), store.counts(study)
    record = store.study(study)
    assert record is not None
    spent = store.device_seconds(study)
    return {
        "study": study,
        "launched": launched,
        "created": record.created.isoformat(),
        "sampler": record.sampler,
        "device_class": record.device_class,
        "trials": {state: getattr(counts, state) for state in (*_STATES, *_SAID)},
        "failures": failures(attempts),
        "devices": [_device(device, attempts) for device in store.devices(study)],
        "front": _front(store.front(study)),
        "fronts": {name: _front(front) for name, front in fronts_of(store, study).items()},
        "device_seconds": spent,
        "replays": asdict(replays_of(attempts, spent)),
        "number_formats": _formats(record),
        "early_stops": _early_stops(store, study, attempts, decisions),
        "repeats": len(store.repeats(study)),
    }


def _front(front: Front) -> dict[str, Any]:
    reference = {"train_seconds": front.reference[0], "accuracy": front.reference[1]}
    return {"size": len(front.points), "hypervolume": front.hypervolume, "reference": reference}


def _early_stops(
    store: Store, study: str, attempts: Sequence[AttemptRecord], decisions: Sequence[StopDecision]
) -> dict[str, Any]:
    """Count trainings that ended early, what that saved about, and who of those that ran on was judged wrongly."""
    epochs = store.early_epochs(study)
    by_id = {attempt.id: attempt for attempt in attempts}
    events = [event for event in store.front_events(study) if event.kind == "entered"]
    entered = {(event.trial, event.device_class) for event in events}
    stopped = [d for d in decisions if by_id[d.attempt].outcome == "dominated"]
    audited = [d for d in decisions if by_id[d.attempt].outcome == "complete"]
    return {
        "stopped": len(stopped),
        "seconds_saved": sum(_rest(by_id[d.attempt], epochs.get(d.attempt, 0)) for d in stopped),
        "audited": len(audited),
        "wrong": sum((d.trial, by_id[d.attempt].device_class) in entered for d in audited),
    }


def _rest(attempt: AttemptRecord, epochs: int) -> float:
    """Guess the training seconds that an attempt had before it when it ended early: at the pace that it had."""
    return (attempt.train_seconds or 0.0) / max(epochs, 1) * (attempt.recipe.total_epochs - epochs)


def _formats(record: StudyRecord) -> dict[str, Any]:
    """Say what the device makes of each number format that was measured, and which are searched."""
    searched = record.space.get("number_formats", ())
    return {
        name: {"relative": known["relative"], "reason": known["reason"], "searched": name in searched}
        for name, known in record.number_formats.items()
    }


def failures(attempts: Sequence[AttemptRecord]) -> list[dict[str, Any]]:
    """Count failed attempts by class, each with the newest trial and message.

    Those that ended their trial come first, the most frequent before the others; then those that are tried again.
    """
    final = settling(attempts)
    by_class: dict[tuple[bool, str], list[AttemptRecord]] = defaultdict(list)
    for attempt in attempts:
        if attempt.outcome == "failed" and attempt.failure:
            by_class[attempt.id not in final, attempt.failure].append(attempt)
    ordered = sorted(by_class.items(), key=lambda item: (item[0][0], -len(item[1]), item[0][1]))
    return [
        {
            "class": failure,
            "tried_again": again,
            "attempts": len(of_class),
            "trial": of_class[-1].trial,
            "message": of_class[-1].message,
        }
        for (again, failure), of_class in ordered
    ]


def _device(device: Device, attempts: Sequence[AttemptRecord]) -> dict[str, Any]:
    own = [attempt for attempt in attempts if attempt.device == device.uuid]
    ends: Counter[str] = Counter(attempt.outcome or "running" for attempt in own)
    return {
        "device": device.label,
        "name": device.name,
        "host": device.host,
        "uuid": device.uuid,
        "device_class": device.device_class,
        "attempts": {state: ends[state] for state in _STATES},
        "device_seconds": sum(attempt.device_seconds or 0.0 for attempt in own),
        "training": [attempt.trial for attempt in own if attempt.outcome is None],
    }


def status_table(store: Store, study: str, launched: bool | None = None) -> RenderableType:
    """Say how a study stands, for a terminal.

    Args:
        store: Where it is kept.
        study: Its name.
        launched: Whether a Launcher works on it now; None if nobody knows.

    Returns:
        Something to print.

    Raises:
        StoreError: If there is no such study.
    """
    status = status_json(store, study, launched)
    parts: list[RenderableType] = [_summary(status)]
    if status["devices"]:
        parts += [Text(), _devices_table(status["devices"])]
    if status["failures"]:
        parts += [Text(), _failures_table(status["failures"])]
    return Group(*parts)


def _summary(status: dict[str, Any]) -> Table:
    counted_ones = [(count, _SAID.get(state, state)) for state, count in status["trials"].items() if count]
    trials = ", ".join(f"{count} {state}" for count, state in counted_ones) or "none yet"
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    table.add_row("study", Text(status["study"], "bold"))
    table.add_row("trials", trials)
    if status["launched"] is False and status["trials"]["running"]:
        table.add_row("", Text("no launch is running; what was interrupted goes on with the next"))
    table.add_row("device time", duration_text(status["device_seconds"]))
    for heading, line in _fronts_said(status):
        table.add_row(heading, line)
    if status["early_stops"]["stopped"] or status["early_stops"]["audited"]:
        table.add_row("ended early", _stops_said(status["early_stops"]))
    if status["repeats"]:
        table.add_row("repeated", f"{counted(status['repeats'], 'training')}: paretosearch front --confirmed")
    for heading, text in _formats_said(status["number_formats"]):
        table.add_row(heading, Text(text))
    return table


def _fronts_said(status: Mapping[str, Any]) -> Iterator[tuple[str, Text]]:
    """Give headings and lines on fronts: one a class of device, and what it took to time trainings again."""
    fronts, own = status["fronts"], status["device_class"]
    named, heading = labels(fronts), "front"
    for name, front in fronts.items():
        area = f"hypervolume {seconds_text(front['hypervolume'])} s"
        reference = f"up to {seconds_text(front['reference']['train_seconds'])} s"
        where = f" on {named[name]}" if len(fronts) > 1 else ""
        yield heading, Text(f"{counted(front['size'], 'point')}{where}, {area} ({reference})")
        heading = ""
    if fronts:
        searched = "times on" if set(fronts) == {own} else "the search goes by times on"
        yield "", Text("hypervolume: seconds times accuracy that the front dominates, up to there", "dim")
        yield "", Text(f"{searched} {own}", "dim")
    if status["replays"]["attempts"]:
        yield "timed again", Text(str(Replays(**status["replays"])))


def _stops_said(stops: Mapping[str, Any]) -> str:
    saved = f", which saved about {duration_text(stops['seconds_saved'])} of training" if stops["stopped"] else ""
    said = f"{counted(stops['stopped'], 'trial')}{saved}"
    if not stops["audited"]:
        return said
    return f"{said}; of {counted(stops['audited'], 'audited stop')} {stops['wrong']} would have been on the front"


def _formats_said(formats: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Give headings and lines on number formats."""
    searched = [f"{name} {known['relative']:.2f}" for name, known in formats.items() if known["searched"]]
    if searched:
        yield "formats", f"{', '.join(searched)} (seconds of a step relative to fp32)"
    heading = "left out"
    for name, known in formats.items():
        if not known["searched"]:
            yield heading, f"{name}: it {known['reason']}"
            heading = ""


def _devices_table(devices: Sequence[dict[str, Any]]) -> Table:
    table = _columns(
        ("device", "left"), ("attempts", "right"), ("failed", "right"), ("time", "right"), ("training", "left")
    )
    table.add_column("name")
    for device in devices:
        training = ", ".join(f"trial {trial}" for trial in device["training"])
        ends = device["attempts"]
        time = duration_text(device["device_seconds"])
        name = Text(f"{device['name']} on {device['host']}")
        table.add_row(device["device"], str(sum(ends.values())), str(ends["failed"] or ""), time, training, name)
    return table


def _failures_table(failures: Sequence[dict[str, Any]]) -> Table:
    table = _columns(("failures", "left"), ("attempts", "right"), ("then", "left"), ("newest", "left"))
    table.add_column("message")
    for failure in failures:
        name, then = failure["class"].replace("_", " "), "tried again" if failure["tried_again"] else ""
        table.add_row(name, str(failure["attempts"]), then, f"trial {failure['trial']}", Text(failure["message"]))
    return table


def _columns(*headings: tuple[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    for heading, justify in headings:
        table.add_column(heading, justify=justify, no_wrap=True)
    return table
