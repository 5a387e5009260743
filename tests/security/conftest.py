"""A PostgreSQL server, dashboards in processes of their own, and a study that was launched for real."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

import pytest

from paretosearch.axis import Choice
from paretosearch.search import open_search
from paretosearch.space import Space
from paretosearch.store import open_store
from paretosearch.testing.commands import environment
from paretosearch.testing.postgres import PostgresServer, postgres_server, why_no_postgres

SPACE = Space({"dataset": "mnist", "network": "resnet8"}, {"number_format": Choice(("fp32", "bf16"))})


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    if reason := why_no_postgres():
        pytest.skip(reason)
    with postgres_server() as server:
        yield server


def searched(url: str, notes: dict[str, str] | None = None) -> str:
    """Make a database with an Optuna study of two trials, one with notes."""
    open_store(url).close()
    search = open_search(url, "mnist", SPACE, "random", 4, 0)
    search.tell(search.ask().trial, (2.0, 0.8), notes or {})
    search.tell(search.ask().trial, (3.0, 0.9))
    search.close()
    return url


@dataclass
class Dashboard:
    """A dashboard that the command line serves in a process of its own."""

    process: subprocess.Popen[str]
    port: int
    said: list[str] = field(default_factory=list)

    def ask(
        self, method: str, path: str, host: str = "127.0.0.1", body: str | None = None, **headers: str
    ) -> tuple[int, str, dict[str, str]]:
        """Send a request; gives status, text and headers of the answer."""
        connection = HTTPConnection(host, self.port, timeout=30)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        connection.close()
        return answer.status, text, dict(answer.getheaders())


Serve = Callable[..., Dashboard]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Serve a database with options of the command line and variables of the environment."""
    home = tmp_path_factory.mktemp("home")
    with ExitStack() as held:

        def serve(url: str, *options: str, **variables: str) -> Dashboard:
            return held.enter_context(_serving(home, url, options, variables))

        yield serve


@contextmanager
def _serving(home: Path, url: str, options: tuple[str, ...], variables: dict[str, str]) -> Iterator[Dashboard]:
    command = [sys.executable, "-m", "paretosearch", "dashboard", "--port", "0", *options]
    env = {**environment(home), "PARETOSEARCH_STORAGE": url, **variables}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=home, env=env, stdout=pipe, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2 if "--expose" in options else 1)]
        found = re.search(r":(\d+)/", lines[0])
        assert found is not None, lines
        yield Dashboard(process, int(found[1]), lines)
        process.terminate()
        rest = process.stdout.read()
        assert rest == "", f"the dashboard went on talking: {rest}"
