"""What each method does alone, on this machine: the study `methods`, as a table and a picture.

    python -m benchmarks.methods --out benchmarks/results [--cpu 2 | --gpus 0] [--work FOLDER] [--study FILE]

Every training is a trial of an ordinary study, one change of the plain recipe at a time, with the same seeds, one after
the other on each device; seeds change last, so that what disturbs the machine disturbs all alike. What was trained is
kept in the working folder, and the same command goes on. `paretosearch export` draws the same picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matplotlib.figure import Figure

from benchmarks.drawn import run, signed, trainings
from paretosearch.report.effectplots import effects_figure
from paretosearch.report.effects import Effect, by_worth, effects
from paretosearch.report.findings import Findings
from paretosearch.report.replicates import every_recipe


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, then write table and picture."""
    run(arguments, __doc__, "methods", written)


def written(found: Findings) -> tuple[Iterator[str], Figure]:
    """Make table and picture."""
    changes = by_worth(effects(every_recipe(found.front), found.axes))
    return lines(found, changes), effects_figure(changes)


def lines(found: Findings, changes: Sequence[Effect]) -> Iterator[str]:
    """Write the table."""
    yield f"# What each change of the plain recipe does alone: study {found.record.name}, on {found.device_class}"
    yield ""
    yield f"Means over pairs of trainings with one seed, and their 95 % intervals; {trainings(found)} trainings."
    yield "At equal time: accuracy beyond what the plain recipe reaches in the same seconds, with more or fewer epochs."
    yield ""
    yield "| change | pairs | time (%) | operations (%) | accuracy (points) | at equal time (points) | |"
    yield "|---|---|---|---|---|---|---|"
    for effect in changes:
        verdict = "" if effect.worth is None or effect.verdict == "unclear" else f"**{effect.verdict}**"
        cost, result = (effect.seconds, effect.operations), (effect.accuracy, effect.worth)
        cells = *(signed(spread, 1) for spread in cost), *(signed(spread, 2) for spread in result), verdict
        yield f"| {' | '.join((effect.name, str(effect.pairs), *cells))} |"


if __name__ == "__main__":
    main()
