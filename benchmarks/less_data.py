"""Does stochastic pooling need less data on this machine? The study `less_data`, as a table and a picture.

    python -m benchmarks.less_data --out benchmarks/results [--cpu 2 | --gpus 0] [--work FOLDER] [--study FILE]

Every training is a trial of an ordinary study: each pooling with each share of the images, at equal updates and at
equal epochs, with the same seeds. What was trained is kept in the working folder, and the same command goes on.
`paretosearch export` draws the same picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matplotlib.figure import Figure

from benchmarks.drawn import run, signed, trainings
from paretosearch.report.findings import Findings
from paretosearch.report.replicates import Spread, every_recipe
from paretosearch.report.shareplots import EQUAL, shares_figure
from paretosearch.report.shares import Line, claims, gain, lines, plain_of


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, then write tables and picture."""
    run(arguments, __doc__, "less_data", both)


def both(found: Findings) -> tuple[Iterator[str], Figure]:
    """Make tables and picture."""
    trained = lines(every_recipe(found.front), found.axes)
    return written(found, trained), shares_figure(trained)


def written(found: Findings, trained: Sequence[Line]) -> Iterator[str]:
    """Write the tables."""
    yield f"# Accuracy over the share of the training images, on {found.device_class}"
    yield ""
    yield f"Means over seeds with their 95 % intervals, in percent; {trainings(found)} trainings. In brackets: gain"
    yield f"in points over {trained[0].name} with the same images, over pairs of trainings with one seed."
    for rule in dict.fromkeys(line.rule for line in trained):
        of_rule = [line for line in trained if line.rule == rule]
        yield from ("", f"## At {EQUAL[rule]}", "")
        yield from _table(of_rule)
    yield from ("", "## Does it need less data?", "")
    yield "Gains in points; a recipe that needs less data gains more where images are few."
    yield ""
    yield "| recipe | at | with the fewest images | with all | difference | |"
    yield "|---|---|---|---|---|---|"
    for claim in claims(trained):
        cells = claim.line.name, EQUAL[claim.line.rule], *map(signed, (claim.few, claim.many, claim.more))
        verdict = "" if claim.verdict == "unclear" else f"**{claim.verdict}**"
        yield f"| {' | '.join((*cells, verdict))} |"


def _table(of_rule: Sequence[Line]) -> Iterator[str]:
    shares = sorted({group.recipe.train_share for line in of_rule for group in line.groups})
    yield f"| recipe | {' | '.join(f'{100 * share:g} %' for share in shares)} |"
    yield f"|---|{'---|' * len(shares)}"
    for line in of_rule:
        yield f"| {line.name} | {' | '.join(_cell(line, of_rule, share) for share in shares)} |"


def _cell(line: Line, of_rule: Sequence[Line], share: float) -> str:
    accuracies = list(line.at(share).values())
    if not accuracies:
        return ""
    spread, gained = Spread.of(accuracies), gain(line, plain_of(line, of_rule), share)
    half = "" if spread.half_width is None else f" ±{100 * spread.half_width:.2f}"
    return f"{100 * spread.mean:.2f}{half}" + ("" if gained is None else f" ({signed(gained)})")


if __name__ == "__main__":
    main()
