"""The benchmark: what the engine does against what a user would write, and against its own limits.

make bench                                    # all rows, on one core and on two; half an hour
.venv/bin/python -m benchmarks.bench --rows images overhead

Every figure is the median of rounds in which the contenders take turns, each in a process of its own. The result is a
table, and a JSON file under benchmarks/results/ with every sample, the device and the versions.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from paretosearch.device import cpu_name
from paretosearch.fleet.process import ALLOCATOR

RESULTS = Path(__file__).parent / "results"
ROUNDS = 5
PACKAGES = ("torch", "torchvision", "numpy", "optuna")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        name: What is measured.
        cores: On how many cores.
        value: The figure.
        unit: Its unit.
        least: What it should be at least (or at most, where less is better); None for no target.
        aim: What we aim at.
        more_is_better: Which way is up.
        beside: Other figures of the same run, by name.
        samples: All that was measured.
    """

    name: str
    cores: int
    value: float
    unit: str
    least: float | None
    aim: float | None
    more_is_better: bool
    beside: dict[str, float] = field(default_factory=dict)
    samples: dict[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """How the figure stands to its targets."""
        if self.least is None or self.aim is None:
            return ""
        for target, word in ((self.aim, "aim met"), (self.least, "target met")):
            if self.value >= target if self.more_is_better else self.value <= target:
                return word
        return "MISSED"


def child(module: str, *arguments: object, engine: bool = True) -> dict[str, Any]:
    """Run a measure in its own process, with a Worker's allocator or with the default one."""
    environment = {**os.environ, **(ALLOCATOR if engine else {})}
    command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.{module}", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def throughput(cores: int) -> list[Row]:
    """Compare images per second with the plain loop in fp32, and with the tuned one beside."""
    loops = {
        "plain": ("plain", "--workers", 0),
        "plain, 2 loader processes": ("plain", "--workers", 2),
        "tuned fp32": ("tuned", "--workers", 0),
        "ours fp32": ("ours",),
        "tuned bf16": ("tuned", "--workers", 0, "--number-format", "bf16"),
        "ours bf16": ("ours", "--number-format", "bf16"),
    }
    speeds: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(ROUNDS):
        for name, loop in loops.items():
            done = child("loops", *loop, "--cores", cores, engine=loop[0] == "ours")
            speeds[name].append(done["images_per_second"])
        if number == 0:  # the better of the plain loops is the baseline
            del loops[min("plain", "plain, 2 loader processes", key=lambda name: speeds[name][0])]
    middle = {name: statistics.median(speeds[name]) for name in loops}
    plain = next(speed for name, speed in middle.items() if name.startswith("plain"))
    return [
        Row(
            f"images/s, {kind}, to plain fp32",
            cores,
            middle[f"ours {kind}"] / plain,
            "x",
            *targets,
            True,
            middle,
            speeds,
        )
        for kind, targets in (("fp32", (1.5, 1.8)), ("bf16", (2.8, 3.5)))
    ]


def measured(
    module: str, measure: str, key: str, name: str, unit: str, targets: tuple[float, float], up: bool = False
) -> Callable[[int], list[Row]]:
    """Make a row of one measure, whose other figures stand beside it."""

    def row(cores: int) -> list[Row]:
        found = child(module, measure, "--cores", cores)
        beside = {other: value for other, value in found.items() if other != key and isinstance(value, int | float)}
        samples = {other: value for other, value in found.items() if isinstance(value, list)}
        return [Row(name, cores, found[key], unit, *targets, up, beside, samples)]

    return row


#: Rows by the name that --rows takes: on how many cores they are measured, and how.
ROWS: dict[str, tuple[tuple[int, ...], Callable[[int], list[Row]]]] = {
    "images": ((1, 2), throughput),
    "overhead": ((1, 2), measured("steps", "overhead", "percent", "loop over pure steps", "%", (3, 1))),
    "dead": ((1, 2), measured("steps", "dead_channels", "ratio", "dead and denormal to healthy", "x", (1.05, 1.02))),
    "augmentation": ((1,), measured("steps", "augmentation", "us", "augmentation of an image", "us", (5, 2))),
    "dfp16": ((1, 2), measured("steps", "fixed_point", "ratio", "dfp16 step to fp32 step", "x", (1.5, 1.2))),
    "integers": (
        (1, 2),
        measured("steps", "integers", "ratio", "int16 convolutions to fp32", "x", (1.8, 2.0), True),
    ),
    "warm": ((1,), measured("steps", "warm_start", "ms", "Recipe to first step, warm", "ms", (50, 25))),
    "folder": ((1,), measured("steps", "folder", "percent", "folder streamed over synthetic", "%", (3, 1))),
    "share": (
        (2,),
        measured("studies", "share", "training_percent", "device time spent training", "%", (92, 97), True),
    ),
    "spread": ((1,), measured("studies", "spread", "percent", "spread of train_seconds, neighbour", "%", (2, 1))),
    "replay": ((1,), measured("studies", "retiming", "percent", "replay off the training", "%", (2, 1))),
}


def table(rows: list[Row], about: dict[str, str]) -> str:
    """Write the rows as text."""
    lines = [", ".join(f"{name} {value}" for name, value in about.items()), ""]
    lines.append(f"{'':36}{'cores':>6}{'':>3}{'figure':>10}   {'least':>7}{'aim':>7}")
    for row in rows:
        targets = "".join(f"{target:7g}" if target is not None else f"{'':7}" for target in (row.least, row.aim))
        lines.append(f"{row.name:36}{row.cores:6}{'':3}{row.value:7.2f} {row.unit:3}{targets}   {row.verdict}")
        if row.beside:
            lines.append("    " + ", ".join(f"{name} {value:.4g}" for name, value in row.beside.items()))
    return "\n".join(lines)


def main() -> None:
    """Measure the rows that are asked for, and keep them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="without it all of them")
    parser.add_argument("--out", type=Path, help="file for the results; without it they are kept if all rows are there")
    asked = parser.parse_args()
    out = asked.out or (RESULTS / "bench-cpu.json" if set(asked.rows) == set(ROWS) else None)
    versions = {name: version(name) for name in PACKAGES}
    about = {"": cpu_name(), "Python": platform.python_version(), **versions}
    rows: list[Row] = []
    for name in asked.rows:
        cores, measure = ROWS[name]
        for count in cores:
            if count > len(os.sched_getaffinity(0)):
                print(f"{name} on {count} cores is left out: there are fewer", file=sys.stderr)
                continue
            found = measure(count)
            rows += found
            print("\n".join(table(found, {}).splitlines()[2:]), flush=True)
    print("\n" + table(rows, about))
    if out is not None:
        out.parent.mkdir(exist_ok=True)
        plain = {"about": about, "date": datetime.now(UTC).date().isoformat(), "rows": [asdict(row) for row in rows]}
        out.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
