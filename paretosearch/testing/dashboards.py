"""Dashboards in processes of their own, as the command line serves them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from itertools import islice
from pathlib import Path

from paretosearch.axis import Choice
from paretosearch.search import open_search
from paretosearch.space import Space
from paretosearch.store import open_store
from paretosearch.testing.commands import environment

_SPACE = Space({"dataset": "mnist", "network": "resnet8"}, {"number_format": Choice(("fp32", "bf16"))})


def searched(url: str, note: Mapping[str, str] | None = None) -> str:
    """Make a database with an Optuna study of two trials, the first with a note; gives its URL."""
    open_store(url).close()
    search = open_search(url, "mnist", _SPACE, "random", 4, 0)
    search.tell(search.ask().trial, (2.0, 0.8), note or {})
    search.tell(search.ask().trial, (3.0, 0.9))
    search.close()
    return url


@dataclass
class Dashboard:
    """A dashboard that is served.

    Args:
        process: Who serves it.
        port: Where.
        said: The lines that it printed.
    """

    process: subprocess.Popen[str]
    port: int
    said: list[str] = field(default_factory=list)

    def ask(
        self, method: str, path: str, host: str = "127.0.0.1", body: str | None = None, **headers: str
    ) -> tuple[int, str, dict[str, str]]:
        """Send a request; gives status, text and headers of the answer."""
        connection = HTTPConnection(host, self.port, timeout=30)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        connection.close()
        return answer.status, text, dict(answer.getheaders())


@contextmanager
def serving(home: Path, url: str, *options: str, **variables: str) -> Iterator[Dashboard]:
    """Serve a database for as long as the context lasts; a line beyond the first ones is an error.

    Args:
        home: Folder of its own for caches.
        url: The database.
        options: Of the command line.
        variables: Of the environment.
    """
    command = [sys.executable, "-m", "paretosearch", "dashboard", "--port", "0", *options]
    env = {**environment(home), "PARETOSEARCH_STORAGE": url, **variables}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=home, env=env, stdout=pipe, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        # On a slow machine matplotlib says that it looks for fonts, in a home that is new.
        said = (line for line in process.stdout if not line.startswith("Matplotlib is building the font cache"))
        lines = list(islice(said, 2 if "--expose" in options else 1))
        found = re.search(r":(\d+)/", lines[0])
        assert found is not None, lines
        try:
            yield Dashboard(process, int(found[1]), lines)
        finally:
            process.terminate()  # or a test that fails would wait for it for ever
        rest = process.stdout.read()
        assert rest == "", f"the dashboard went on talking: {rest}"
