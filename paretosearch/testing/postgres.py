"""A PostgreSQL server of a test's own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url

#: What a throw-away server need not do: survive a power cut, listen on a network, start workers for big queries.
_OPTIONS = ("fsync=off", "full_page_writes=off", "listen_addresses=", "max_parallel_workers_per_gather=0")
_DRIVER = "postgresql+psycopg"

#: A user whom the server asks for a password, as it asks nobody else.
_GUARDED = "guarded"


class PostgresServer:
    """A running server on a socket in its own folder; made by `postgres_server`.

    Args:
        folder: Where its socket is.
        user: Who runs it; None is whoever runs the tests.
        password: What it asks for; None if it lets everybody in.
    """

    def __init__(self, folder: Path, user: str | None, password: str | None = None) -> None:
        self._folder, self._user, self._password = folder, user, password
        self._numbers = count()

    def restart(self) -> None:
        """Let it die as in a power cut, and start it again; it recovers what was committed."""
        self.stop()
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = " ".join(f"-c {option}" for option in (*_OPTIONS, f"unix_socket_directories={self._folder}"))
        arguments = "--wait", "--silent", f"--log={self._folder}/log", f"--options={options}"
        _run(self._user, self._folder, "pg_ctl", *arguments, "start")

    def stop(self) -> None:
        """Let it die."""
        _run(self._user, self._folder, "pg_ctl", "--wait", "--silent", "--mode=immediate", "stop")

    def new_database(self) -> str:
        """Create an empty database.

        Returns:
            Its URL.
        """
        name = f"test{next(self._numbers)}"
        engine = create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self._url(name)

    def run_script(self, url: str, script: Path, environment: Mapping[str, str]) -> None:
        """Run a file of SQL by psql, as PostgreSQL's image does with a new database.

        Args:
            url: One that `new_database` has given.
            script: The file.
            environment: What its commands of the shell find there.
        """
        own = {"PGPASSWORD": self._password or "", "PGHOST": str(self._folder), "PGUSER": "postgres"}
        database = str(make_url(url).database)
        command = [str(_program("psql")), "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--dbname={database}"]
        done = subprocess.run(
            [*command, f"--file={script}"],
            env={**os.environ, **own, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def new_guarded_database(self, password: str) -> str:
        """Create an empty database of a user who has a password.

        Args:
            password: The password, from here on.

        Returns:
            Its URL, with the password.
        """
        quoted = password.replace("'", "''").replace("%", "%%")
        engine = create_engine(self.new_database())
        with engine.begin() as connection:
            known = connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :name"), {"name": _GUARDED})
            verb = "ALTER" if known else "CREATE"
            connection.exec_driver_sql(f"{verb} ROLE {_GUARDED} LOGIN PASSWORD '{quoted}'")
            connection.exec_driver_sql(f"GRANT ALL ON SCHEMA public TO {_GUARDED}")
        engine.dispose()
        user = engine.url.set(username=_GUARDED, password=password)
        return user.render_as_string(hide_password=False)

    def _url(self, database: str) -> str:
        place = {"host": str(self._folder)}
        url = URL.create(_DRIVER, "postgres", self._password, database=database, query=place)
        return url.render_as_string(hide_password=False)


def why_no_postgres() -> str | None:
    """Say what is missing for a server here, or None."""
    if _program("initdb") is None or _program("pg_ctl") is None:
        return "there is no PostgreSQL server here (Debian: apt-get install postgresql)"
    return None if find_spec("psycopg") else "there is no psycopg here: pip install 'paretosearch[postgres]'"


@contextmanager
def postgres_server(password: str | None = None) -> Iterator[PostgresServer]:
    """Run a server in a temporary folder for as long as the context lasts.

    Args:
        password: What it asks for; None lets everybody in.
    """
    with tempfile.TemporaryDirectory(prefix="pg") as name:  # short: the path of a socket has 107 characters at most
        folder = Path(name)
        user = _user()
        if user is not None:
            shutil.chown(folder, user)
        asks = ["--auth=trust"]
        if password is not None:
            (folder / "password").write_text(password, encoding="utf-8")
            asks = ["--auth=scram-sha-256", f"--pwfile={folder / 'password'}"]
        _run(user, folder, "initdb", *asks, "--username=postgres", "--encoding=UTF8", "--no-locale", "--no-sync")
        rules = folder / "data" / "pg_hba.conf"
        rules.write_text(f"local all {_GUARDED} scram-sha-256\n{rules.read_text()}")
        server = PostgresServer(folder, user, password)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _user() -> str | None:
    """Choose who runs the server, which refuses to be run by root; None is whoever runs the tests."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _run(user: str | None, folder: Path, program: str, *arguments: str) -> None:
    command = [str(_program(program)), "--pgdata", str(folder / "data"), *arguments]
    done = subprocess.run(
        command, user=user, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def _program(name: str) -> Path | None:
    """Find a program of the server, which Debian keeps out of PATH."""
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name)
    return places[-1] if places else Path(found) if found else None
