"""Says where the figures of an export come from, for who reads them later."""

from __future__ import annotations

from collections.abc import Iterator

from paretosearch.report.confirmed import standing
from paretosearch.report.findings import Findings
from paretosearch.report.look import Look
from paretosearch.report.markdown import block
from paretosearch.report.origin import CLOCK, account, code, devices_table, made_by, plain, table, title
from paretosearch.report.simulated import names_of
from paretosearch.report.timed import origins, replays_of
from paretosearch.report.words import counted, duration_text, seconds_text
from paretosearch.store import Front, Point

_WALL = """\
`wall_seconds` in `trials.csv` are the plain seconds of the same; a trial is `noisy` where both differ by more than 5 %,
or another program used its GPU."""

_ACCURACY = """\
Accuracy is on a validation split that is cut from the training set, the same for every trial. The search never sees
the test split: `test_accuracy` is there only for trainings that repeat a result (`paretosearch confirm`)."""

_SIMULATED = """\
**Simulated**: {names}. The devices are not made for it, and did the same in another way: the seconds were measured as
all others were, and do not show what hardware made for it would save. The accuracy is what the technique gives."""

_SINGLE = """\
**Not confirmed.** Each point is a single training, and the best of many look better than they are.
`paretosearch confirm` repeats what may be on the front with other seeds."""

_MEANS = """\
The figure `confirmed` shows their means with 95 % intervals of Student's t, in which the spread of few repeats is drawn
towards that of the study; the first result, by which one was chosen, is no part of its mean. A result without repeats
is hollow there, without an interval. The figure `front` shows the first results."""

_PER_CLASS = """\
A training gives an accuracy, and its seconds on the class of the device where it ran. For the other classes it was
timed again: every phase of it was built there with its shapes and steps, on fresh weights, and some of the steps were
timed. Nothing was trained, and the accuracy is that of the training; `purpose` in `trials.csv` is `replay` for these.
Each front is of the seconds of one class. With several classes, `front`, `front_table`, `hypervolume` and `front.csv`
show all of them; everything else shows the first."""


def provenance(found: Findings, look: Look) -> str:
    """Write what must be known to judge the figures, or to make them again.

    Args:
        found: What the study has found.
        look: What the figures were made for.

    Returns:
        Markdown; the same study gives the same text.
    """
    record = found.record
    sections = {
        title(record.name): _study(found),
        "What the points are worth": _worth(found),
        "What is measured": [CLOCK, _WALL, "", _ACCURACY, *_simulated(found)],
        **({"Classes of device": _classes(found)} if _is_mixed(found) else {}),
        "Devices": devices_table(found.devices),
        "Versions": table(("what measured", "version"), sorted(record.versions.items())),
        "Number formats": _formats(found),
        "Seeds": _seeds(found),
        "The study file": [block(record.text.rstrip("\n"))],
        "How they were made": _made(found, look),
    }
    return account(sections)


def _simulated(found: Findings) -> Iterator[str]:
    """Say of what the seconds do not show the saving."""
    points = [p for of_class in found.classes for p in (*of_class.front.points, *of_class.front.dominated)]
    if names := names_of(points):
        yield ""
        yield _SIMULATED.format(names=plain(", ".join(names)))


def _is_mixed(found: Findings) -> bool:
    return bool(found.others) or bool(origins(found.attempts, found.device_class).timed)


def _study(found: Findings) -> Iterator[str]:
    record, counts, front = found.record, found.counts, found.front
    ends = {"complete": counts.complete, "ended early": counts.dominated, "failed": counts.failed}
    trials = ", ".join(f"{count} {name}" for name, count in ends.items() if count)
    yield f"- Launched first: {record.created:%Y-%m-%d %H:%M} UTC; space {code(record.space_hash)}"
    yield f"- Sampler: {record.sampler}; seed {record.seed}"
    yield f"- Trials: {trials}; {duration_text(found.device_seconds)} of device time"
    if found.others:
        others = counted(len(found.others), "more class", "more classes")
        yield f"- Times: on {code(found.device_class)}, by which the search went, and on {others}: see below"
    else:
        yield f"- Times: on {code(found.device_class)}"
    yield f"- Front: {counted(len(front.points), 'trial')}; hypervolume {_area(front)}"


def _area(front: Front) -> str:
    reference = f"({seconds_text(front.reference[0])} s, {100 * front.reference[1]:g} %)"
    return f"{front.hypervolume:.6g} s, from the reference point {reference}"


def _classes(found: Findings) -> Iterator[str]:
    """Say where the seconds on each class of device are from, if some are from elsewhere than a training there."""
    yield _PER_CLASS
    yield ""
    rows, copied = [], 0
    for of_class in found.classes:
        of, front = origins(found.attempts, of_class.device_class), of_class.front
        rows.append((of_class.device_class, str(of.trained), str(of.timed), str(len(front.points)), _area(front)))
        copied += of.copied
    yield from table(("class of device", "trained there", "timed again", "on the front", "hypervolume"), rows)
    if copied:
        yield ""
        yield f"{counted(copied, 'more result')} of another study, which knows how they were measured."
    replays = replays_of(found.attempts, found.device_seconds)
    yield ""
    yield f"Timing again took {replays}."


def _worth(found: Findings) -> Iterator[str]:
    if not found.is_confirmed:
        yield _SINGLE
        return
    repeated = [estimate for estimate in found.estimates if estimate.repeats]
    trainings = sum(estimate.repeats for estimate in repeated)
    said, _, more = standing(found.estimates).partition(": ")
    yield f"**{said.capitalize()}**{f': {more}' if more else ''}."
    yield f"There are {counted(trainings, 'training')} with other seeds of {counted(len(repeated), 'result')}."
    yield _MEANS


def _formats(found: Findings) -> Iterator[str]:
    measured = found.record.number_formats
    if not measured:
        yield "Nothing had to be measured."
        return
    rows = []
    for name, verdict in measured.items():
        relative = verdict.get("relative")
        rows.append((name, "" if relative is None else f"{relative:.2f}", str(verdict.get("reason") or "")))
    yield "Seconds of a step at the first launch, those of fp32 being 1, and why a format was left out:"
    yield ""
    yield from table(("format", "seconds", "left out"), rows)


def _seeds(found: Findings) -> Iterator[str]:
    repeats: dict[int, list[int]] = {}
    for attempt in found.attempts:
        if attempt.purpose == "confirm" and attempt.outcome == "complete":
            repeats.setdefault(attempt.trial, []).append(attempt.seed)
    rows = []
    for point in _listed(found):
        others = " ".join(map(str, repeats.get(point.trial, ())))
        rows.append((str(point.trial), str(point.recipe.seed), others, point.digest))
    yield "Of the trials on the front and those that were repeated; every trial is in `trials.csv`."
    yield ""
    yield from table(("trial", "seed", "seeds of repeats", "recipe"), rows)


def _listed(found: Findings) -> list[Point]:
    repeated = [estimate.point for estimate in found.estimates if estimate.repeats]
    return list({point.trial: point for point in (*found.on_fronts, *repeated)}.values())


def _made(found: Findings, look: Look) -> Iterator[str]:
    study = plain(found.record.name)
    command = ["paretosearch", "export", study, "--style", look.style, "--lang", look.lang]
    if not found.others and any(a.counts and a.device_class != found.device_class for a in found.attempts):
        command += ["--device-class", plain(found.device_class)]
    yield from made_by(command, ("paretosearch", "matplotlib", "plotly"), "store")
