"""What compose.yaml has done to its database is done here to a real one, without containers."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError

from paretosearch.report.dashboard import app
from paretosearch.store import open_store
from paretosearch.testing.postgres import PostgresServer, postgres_server, why_no_postgres
from paretosearch.testing.store.builders import connected, new_study

Compose = dict[str, Any]

#: Of characters that a URL, SQL and a shell read in ways of their own.
PASSWORDS = {
    "database_password": "0wn's @:/%$x",
    "dashboard_password": 'it\'s "$HOME" @/%',
    "dashboard_token": "0123456789abcdef",
}


@dataclass
class Stack:
    """The services of compose.yaml on a database that is set up as theirs."""

    url: str
    secrets: Path
    services: Compose

    def environment(self, name: str) -> dict[str, str]:
        """Give the environment of a service, with the server and the secrets where they are here."""
        said = self.services[name]["environment"]
        own = {key: value.replace("/run/secrets", str(self.secrets)) for key, value in said.items()}
        return {**own, "PARETOSEARCH_STORAGE": self.bare_url(name)}

    def bare_url(self, name: str) -> str:
        """Give the URL that a service names, without a password."""
        said, here = make_url(self.services[name]["environment"]["PARETOSEARCH_STORAGE"]), make_url(self.url)
        user = "postgres" if said.username == "paretosearch" else said.username
        return here._replace(username=user, password=None).render_as_string()

    def run(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run the command of a service."""
        command = [sys.executable, "-m", "paretosearch", *self.services[name]["command"]]
        environment = {**os.environ, **self.environment(name)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    if reason := why_no_postgres():
        pytest.skip(reason)
    with postgres_server(PASSWORDS["database_password"]) as server:
        yield server


@pytest.fixture(scope="module")
def stack(server: PostgresServer, services: Compose, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A new database, its first script, and the tables that `migrate` makes."""
    secrets = tmp_path_factory.mktemp("secrets")
    for name, password in PASSWORDS.items():
        (secrets / name).write_text(password + "\n")
        (secrets / name).chmod(0o600)  # outside /run/secrets others may not read it
    stack = Stack(server.new_database(), secrets, services)
    (script,) = [Path(v["source"]) for v in services["database"]["volumes"] if "initdb" in v["target"]]
    named = services["database"]["environment"]["DASHBOARD_PASSWORD_FILE"]
    server.run_script(stack.url, script, {"DASHBOARD_PASSWORD_FILE": named.replace("/run/secrets", str(secrets))})
    done = stack.run("migrate")
    assert (done.returncode, done.stderr) == (0, "")
    return stack


@pytest.fixture
def as_dashboard(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the dashboard."""
    for name, value in stack.environment("dashboard").items():
        monkeypatch.setenv(name, value)


def test_migrate_may_run_again_and_shows_no_password(stack: Stack) -> None:
    again = stack.run("migrate")
    assert again.returncode == 0
    assert "postgres:***@" in again.stdout
    assert "are up to date" in again.stdout
    assert "0wn" not in again.stdout


def test_the_password_file_is_what_opens_the_database(stack: Stack) -> None:
    (stack.secrets / "database_password").write_text("another")
    refused = stack.run("migrate")
    (stack.secrets / "database_password").write_text(PASSWORDS["database_password"])
    assert refused.returncode == 2
    assert "password authentication failed" in refused.stderr
    assert "another" not in refused.stderr


@pytest.mark.usefixtures("as_dashboard")
def test_the_dashboard_reads_what_is_there_and_can_write_nothing(stack: Stack) -> None:
    with closing(open_store(stack.url)) as store:
        study = new_study(store)
    with closing(open_store(create=False)) as store:
        assert store.study(study) is not None
        with connected(store.url) as engine, engine.begin() as connection:
            for statement in (f"DELETE FROM ps_study WHERE name = '{study}'", "CREATE TABLE mine (x INTEGER)"):
                with pytest.raises(ProgrammingError, match="permission denied"), connection.begin_nested():
                    connection.exec_driver_sql(statement)


@pytest.mark.usefixtures("as_dashboard")
def test_the_dashboard_serves_a_database_without_studies() -> None:
    said: list[str] = []
    asked: dict[str, Any] = {"HTTP_HOST": "127.0.0.1:8080", "PATH_INFO": "/api/studies", "wsgi.input": io.BytesIO()}
    setup_testing_defaults(asked)
    with closing(open_store(create=False)) as store:
        body = b"".join(app(store.url)(asked, lambda status, _headers, _info=None: said.append(status)))
    assert said == ["200 OK"]
    assert json.loads(body)["study_summaries"] == []


def test_the_dashboard_asks_for_the_token_of_its_file_and_looks_healthy_without_it(stack: Stack) -> None:
    words = {"0.0.0.0": "127.0.0.1", "8080": "0"}  # where it listens here
    command = [words.get(word, word) for word in stack.services["dashboard"]["command"]]
    process = subprocess.Popen(
        [sys.executable, "-m", "paretosearch", *command],
        env={**os.environ, **stack.environment("dashboard")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        port = int(re.findall(r":(\d+)/", process.stdout.readline())[0])
        assert ask(port) == 401
        assert ask(port, f"Bearer {PASSWORDS['dashboard_token']}") == 200
        *python, code = stack.services["dashboard"]["healthcheck"]["test"][1:]
        assert python == ["python", "-c"]
        subprocess.run([sys.executable, "-c", code.replace("8080", str(port))], check=True)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def ask(port: int, authorization: str = "") -> int:
    """Ask a dashboard for its studies; gives the status of the answer."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", "/api/studies", headers={"Authorization": authorization} if authorization else {})
        return connection.getresponse().status
