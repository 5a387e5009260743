"""Keeps the counts of all runs in one file, with a table of them beside it."""

from __future__ import annotations

import json
import os
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.faults.left import Found
from paretosearch.files import replacing

WHO = {"optuna": "Optuna's workers", "ours": "our Launcher and Workers"}


class Results:
    """The runs so far.

    Args:
        folder: Where they are kept; None keeps nothing.
        about: Device and versions of this process.
        kills: How many are wanted in a run.

    Raises:
        SystemExit: If the folder has runs of another device, other versions or another number of kills.
    """

    def __init__(self, folder: Path | None, about: dict[str, str], kills: int) -> None:
        self._folder = folder
        self.plain: dict[str, Any] = {"about": about, "kills": kills, "runs": []}
        if folder is not None and (path := folder / "faults.json").exists():
            known = json.loads(path.read_text(encoding="utf-8"))
            if (known["about"], known["kills"]) != (about, kills):
                raise SystemExit(f"{path} has runs of {known['about']} with {known['kills']} kills; take another --out")
            self.plain = known

    def has(self, kind: str, database: str, seed: int) -> bool:
        """Whether a run is known."""
        return (kind, database, seed) in {(run["kind"], run["database"], run["seed"]) for run in self.plain["runs"]}

    def add(self, kind: str, database: str, seed: int, server: str, found: Found) -> dict[str, Any]:
        """Keep a run, and write everything; gives its row."""
        date = datetime.now(UTC).date().isoformat()
        run = {"kind": kind, "database": database, "seed": seed, "server": server, "date": date, **asdict(found)}
        run["load"] = round(os.getloadavg()[0], 1)  # of the minute in which it ended: who else has used the machine
        self.plain["runs"].append(run)
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            for name, content in (
                ("faults.json", json.dumps(self.plain, indent=1) + "\n"),
                ("faults.md", table(self.plain)),
            ):
                with replacing(self._folder / name) as file:
                    file.write(content.encode())
        return run


#: Trials that ended as FAIL with a failure that says why: our Launcher tries only so often, and Optuna's retries have
#: no end here.
GIVEN_UP = "given up, with the cause"

#: Columns of the table: what stands above, and the count of a run.
COLUMNS: tuple[tuple[str, Callable[[dict[str, Any]], float | None]], ...] = (
    ("kills", lambda run: sum(run["kills"].values())),
    ("no COMPLETE", lambda run: run["lost"]),
    ("of these given up, with the cause", lambda run: run["beside"].get(GIVEN_UP)),
    ("COMPLETE twice", lambda run: run["twice"]),
    ("stuck RUNNING", lambda run: run["stuck"]),
    ("claimed twice", lambda run: run["beside"].get("trials claimed twice")),
    ("unasked", lambda run: run["beside"].get("unasked")),
    ("ended by an exception", lambda run: sum(run["errors"].values())),
    ("seconds", lambda run: run["seconds"]),
    ("load", lambda run: run.get("load")),
)


def table(plain: dict[str, Any]) -> str:
    """Write the runs as a table in Markdown: a line for each kind on each database."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for run in plain["runs"]:
        groups.setdefault((run["kind"], run["server"]), []).append(run)
    heads = ["", "database", "runs", "with a loss", *(head for head, _ in COLUMNS)]
    lines = [
        ", ".join(value if name == "device" else f"{name} {value}" for name, value in plain["about"].items()) + ".",
        "60 recipes a run; median (lowest to highest) of the runs. *With a loss*: runs in which a recipe is neither",
        "COMPLETE nor given up with its cause, is COMPLETE twice, or is stuck. Optuna's workers retry without end;",
        "ours give a trial up that was killed three times. *Load*: of the machine, in the last minute of a run.",
        "`python -m benchmarks.faults --out benchmarks/results`; every run is in `faults.json`.",
        "",
        f"| {' | '.join(heads)} |",
        "|---|---|" + "--:|" * (len(heads) - 2),
    ]
    for (kind, server), runs in groups.items():
        hurt = sum(_has_loss(run) for run in runs)
        cells = [
            WHO[kind],
            server,
            str(len(runs)),
            str(hurt),
            *(_spread([of(run) for run in runs]) for _, of in COLUMNS),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *_errors(groups)]
    return "\n".join(lines).rstrip() + "\n"


def _has_loss(run: dict[str, Any]) -> bool:
    return bool(run["lost"] > run["beside"].get(GIVEN_UP, 0) or run["twice"] or run["stuck"])


def _spread(counts: Sequence[float | None]) -> str:
    known = [count for count in counts if count is not None]
    if not known:
        return "-"
    low, middle, high = min(known), statistics.median(known), max(known)
    return f"{middle:.3g}" if low == high else f"{middle:.3g} ({low:.3g} to {high:.3g})"


def _errors(groups: dict[tuple[str, str], list[dict[str, Any]]]) -> list[str]:
    """Give a line for each error that something ended of, with how often in all runs."""
    lines = []
    for (kind, server), runs in groups.items():
        total: Counter[str] = Counter()
        for run in runs:
            total.update(run["errors"])
        lines += [f"- {WHO[kind]}, {server}: {times} x `{error}`" for error, times in total.most_common()]
    return ["What ended by itself, in all runs:", "", *lines] if lines else []
