"""What each method does alone, on this machine: the study `methods`, as a table and a picture.

    python -m benchmarks.methods --out benchmarks/results [--cpu 2 | --gpus 0] [--work FOLDER] [--study FILE]

Every training is a trial of an ordinary study, one change of the plain recipe at a time, with the same seeds, one after
the other on each device; seeds change last, so that what disturbs the machine disturbs all alike. What was trained is
kept in the working folder, and the same command goes on. `paretosearch export` draws the same picture.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import gettempdir

from paretosearch import launch
from paretosearch.report.effectplots import effects_figure
from paretosearch.report.effects import Effect, by_worth, effects
from paretosearch.report.findings import Findings, findings
from paretosearch.report.replicates import Spread, every_recipe
from paretosearch.report.style import save
from paretosearch.store import open_store


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, then write table and picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--study", default="methods")
    parser.add_argument("--cpu")
    parser.add_argument("--gpus")
    parser.add_argument("--work", type=Path, default=Path(gettempdir()) / "paretosearch-methods")
    chosen = parser.parse_args(arguments)
    chosen.work.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{chosen.work / 'methods.db'}"
    launched = launch(chosen.study, gpus=chosen.gpus, cpu=chosen.cpu, storage=url)
    with closing(open_store(url, create=False)) as store:
        found = findings(store, launched.study)
    changes = by_worth(effects(every_recipe(found.front), found.axes))
    kind = "cpu" if found.device_class.startswith("cpu:") else "gpu"
    name = f"{launched.study}-{kind}"
    chosen.out.mkdir(parents=True, exist_ok=True)
    table = chosen.out / f"{name}.md"
    table.write_text("\n".join(lines(found, changes)) + "\n")
    drawn = save(effects_figure(changes), chosen.work / name)
    picture = next(path for path in drawn if path.suffix == ".png")
    shutil.copy(picture, chosen.out / picture.name)
    print(table.read_text())


def lines(found: Findings, changes: Sequence[Effect]) -> Iterator[str]:
    """Write the table."""
    yield f"# What each change of the plain recipe does alone: study {found.record.name}, on {found.device_class}"
    yield ""
    yield f"Means over pairs of trainings with one seed, and their 95 % intervals; {len(found.attempts)} trainings."
    yield "At equal time: accuracy beyond what the plain recipe reaches in the same seconds, with more or fewer epochs."
    yield ""
    yield "| change | pairs | time (%) | accuracy (points) | at equal time (points) | |"
    yield "|---|---|---|---|---|---|"
    for effect in changes:
        worth = "" if effect.worth is None else _cell(effect.worth, 2)
        verdict = "" if effect.worth is None or effect.verdict == "unclear" else f"**{effect.verdict}**"
        cells = effect.name, effect.pairs, _cell(effect.seconds, 1), _cell(effect.accuracy, 2), worth, verdict
        yield f"| {' | '.join(map(str, cells))} |"


def _cell(spread: Spread, digits: int) -> str:
    half = "" if spread.half_width is None else f" ±{100 * spread.half_width:.{digits}f}"
    return f"{100 * spread.mean:+.{digits}f}{half}"


if __name__ == "__main__":
    main()
