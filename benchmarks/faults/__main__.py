"""Kills Optuna's own heartbeat workers and our launches alike, and counts what each has lost of 60 recipes.

.venv/bin/python -m benchmarks.faults --out benchmarks/results             # all of it; two hours on two cores
.venv/bin/python -m benchmarks.faults --kinds optuna --databases sqlite --runs 1 --seed 7

Every run is a new database, with the seed of the run before plus one. With --out its counts are in faults.json as soon
as they are known, the table of all runs in faults.md, and a benchmark that was interrupted goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path

from benchmarks.faults import launches, optuna_workers
from benchmarks.faults.left import Found, server_of
from benchmarks.faults.results import Results, table
from paretosearch.device import cpu_name
from paretosearch.testing.postgres import postgres_server, why_no_postgres

KINDS, DATABASES = ("optuna", "ours"), ("sqlite", "postgresql")
PACKAGES = ("optuna", "sqlalchemy", "psycopg", "torch")

#: Makes a database, empty, from a folder of the run.
NewDatabase = Callable[[Path], str]


@contextmanager
def databases(kind: str) -> Iterator[NewDatabase]:
    """Give new databases of a kind for as long as the context lasts."""
    if kind == "sqlite":
        yield lambda folder: f"sqlite:///{folder}/store.db"
        return
    if reason := why_no_postgres():
        raise SystemExit(reason)
    with postgres_server() as server:
        yield lambda _: server.new_database()


def one_run(kind: str, new_database: NewDatabase, seed: int, kills: int, cache: Path) -> tuple[str, Found]:
    """Search once under kills, in a folder and a database of its own; gives the server's version and the counts."""
    run = optuna_workers.run if kind == "optuna" else partial(launches.run, cache=cache)
    with tempfile.TemporaryDirectory(prefix="faults") as name:
        url = new_database(Path(name))
        return server_of(url), run(url, Path(name), seed, kills)


def names(known: tuple[str, ...]) -> Callable[[str], list[str]]:
    """Make a reader of names with commas between them."""

    def read(written: str) -> list[str]:
        found = written.split(",")
        if unknown := set(found) - set(known):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: choose from {', '.join(known)}")
        return found

    return read


def main() -> None:
    """Run what is asked for and not yet known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", type=names(KINDS), default=list(KINDS), help="optuna,ours")
    parser.add_argument("--databases", type=names(DATABASES), default=list(DATABASES), help="sqlite,postgresql")
    parser.add_argument("--runs", type=int, default=10, help="of each kind on each database")
    parser.add_argument("--seed", type=int, default=1, help="of the first run")
    parser.add_argument("--kills", type=int, default=40, help="in every run")
    parser.add_argument("--out", type=Path, help="folder for the results; without it nothing is kept")
    asked = parser.parse_args()
    about = {"device": cpu_name(), "cores": str(len(os.sched_getaffinity(0))), "Python": platform.python_version()}
    about |= {name: version(name) for name in PACKAGES}
    results = Results(asked.out, about, asked.kills)
    with ExitStack() as stack:
        cache = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kernels")))
        for kind in asked.kinds:
            for database in asked.databases:
                with databases(database) as new_database:
                    for seed in range(asked.seed, asked.seed + asked.runs):
                        if not results.has(kind, database, seed):
                            server, found = one_run(kind, new_database, seed, asked.kills, cache)
                            print(kind, results.add(kind, database, seed, server, found), flush=True)
    print("\n" + table(results.plain))


if __name__ == "__main__":
    main()
