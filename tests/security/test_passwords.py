"""S5 and S11: a launch shows the database's password to nobody, and what it leaves to nobody else."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from sqlalchemy.engine import make_url

from paretosearch.cli.options import without_password
from paretosearch.environment import for_programs
from paretosearch.errors import ParetosearchError, UsageError
from paretosearch.fleet.process import worker_environment
from paretosearch.store import open_store, redacted, shows_password
from paretosearch.store.complaints import complaint
from paretosearch.store.engine import passwords
from paretosearch.testing.commands import STUDY, environment
from paretosearch.testing.fleet import cpu_device
from paretosearch.testing.images import image_folder
from paretosearch.testing.postgres import PostgresServer

NoteAttacks = Callable[[int, str, int, int, str], None]

BY_OTHERS = stat.S_IRWXG | stat.S_IRWXO

#: In it are all characters that some reader of URLs, formats or quotes stumbles over.
PASSWORD = """S3CRET{x}/@%:"' ?#&é"""
#: What is searched for: that part of it which no way of quoting changes.
MARK = b"S3CRET"
#: Values of other variables that lead to the database or into the dashboard.
OTHERS = {
    "PGPASSWORD": "S3CRET-pgpassword",
    "PGPASSFILE": "/nowhere/S3CRET-passfile",
    "PARETOSEARCH_DASHBOARD_TOKEN": "S3CRET-token-long-enough",
    "PARETOSEARCH_DASHBOARD_TOKEN_FILE": "/nowhere/S3CRET-token",
}


@dataclass
class Watched:
    """What was seen of a launch, and its folder."""

    home: Path
    url: str
    output: bytes = b""
    exit_code: int = 0
    arguments: set[bytes] = field(default_factory=set)
    environments: dict[int, bytes] = field(default_factory=dict)

    def look(self, launcher: psutil.Process) -> None:
        """Look at the arguments of all processes, and at the environments of those that the launch has started."""
        for place in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                self.arguments.add(place.read_bytes())
        with suppress(psutil.Error):
            for child in launcher.children(recursive=True):
                with suppress(OSError):
                    found = Path(f"/proc/{child.pid}/environ").read_bytes()
                    if b"CUDA_VISIBLE_DEVICES=" in found:  # a Worker, after the fork and the exec
                        self.environments[child.pid] = found


@pytest.fixture(scope="module")
def watched(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """A launch with the password in its environment and no umask, watched from beside it."""
    home = tmp_path_factory.mktemp("watched")
    image_folder(home / "images")
    (home / "tiny.toml").write_text(STUDY)
    seen = Watched(home, postgres.new_guarded_database(PASSWORD))
    env = {**environment(home), **OTHERS, "PARETOSEARCH_STORAGE": seen.url, "CC": "none"}  # nothing is built here
    command = [sys.executable, "-m", "paretosearch", "launch", "tiny.toml", "--cpu", "1", "--trials", "1", "--debug"]
    with (home / "output").open("wb") as output:
        process = subprocess.Popen(command, cwd=home, env=env, stdout=output, stderr=subprocess.STDOUT, umask=0)
        launcher = psutil.Process(process.pid)
        while process.poll() is None:
            seen.look(launcher)
            time.sleep(0.1)
    seen.output, seen.exit_code = (home / "output").read_bytes(), process.returncode
    return seen


def files_with(folder: Path, mark: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and mark in path.read_bytes()]


def test_a_launch_leaves_its_password_in_no_file_argument_output_or_worker(
    watched: Watched, note_attacks: NoteAttacks
) -> None:
    assert watched.exit_code == 0, watched.output.decode()
    assert watched.environments, "no Worker was seen"
    (spooled,) = (watched.home / "state").rglob("worker-cpu-0.log")
    assert spooled.exists()
    assert files_with(watched.home, MARK) == []
    assert [seen for seen in watched.arguments if MARK in seen] == []
    assert [seen for seen in watched.environments.values() if MARK in seen] == []
    assert any(b"paretosearch.fleet.start" in seen for seen in watched.arguments)
    files = sum(path.is_file() for path in watched.home.rglob("*"))
    places = files + len(watched.arguments) + len(watched.environments)
    note_attacks(5, "occurrences", 0, places, "files, arguments, environments and outputs")


def readable(folder: Path) -> Iterator[Path]:
    """Give what others can read or write, below a folder: nothing in one that they cannot enter."""
    for path in folder.iterdir():
        mode = path.lstat().st_mode
        if mode & BY_OTHERS:
            yield path
        if path.is_dir() and mode & BY_OTHERS:
            yield from readable(path)


def test_nobody_else_can_read_what_a_launch_leaves(watched: Watched, note_attacks: NoteAttacks) -> None:
    brought = [watched.home / name for name in ("images", "tiny.toml", "output")]
    left = [path for path in watched.home.rglob("*") if not {path, *path.parents}.intersection(brought)]
    names = {path.name for path in left}
    assert {"launcher.lock", "worker-cpu-0.log", "facts.json", "test-images.npy"} <= names, names
    assert any(name.startswith("core-") for name in names)
    private = [path for path in left if "state" in path.parts or path.parent.name.startswith("paretosearch-")]
    assert [path for path in private if path.is_file() and path.stat().st_mode & BY_OTHERS] == []
    # The lock of a data set stands beside its folder and holds nothing; the folders above are as the umask has them.
    found = [
        path for path in readable(watched.home) if path in left and path.is_file() and path.parent.name != "arrays"
    ]
    assert found == []
    note_attacks(11, "world-readable", 0, len(left), "files and folders")


def commands(watched: Watched) -> Iterator[tuple[list[str], str]]:
    """Commands with the right password, then with a wrong one, and what is wrong with some others."""
    yield ["front", "--json", "--debug"], watched.url
    wrong = watched.url.replace("S3CRET", "S3CRET-wrong")
    yield ["front", "--debug"], wrong
    yield ["status", "--debug"], f"{watched.url}&nonsense=S3CRET&connect_timeout=2"


def test_no_command_shows_the_password_be_it_wrong_and_with_a_traceback(
    watched: Watched, note_attacks: NoteAttacks
) -> None:
    count = 0
    for arguments, url in commands(watched):
        env = {**environment(watched.home), "PARETOSEARCH_STORAGE": url}
        command = [sys.executable, "-m", "paretosearch", *arguments]
        done = subprocess.run(command, cwd=watched.home, env=env, capture_output=True, timeout=100, check=False)
        count += 1
        shown = done.stdout + done.stderr
        assert shown
        assert MARK not in shown.replace(b"nonsense=S3CRET", b""), shown.decode()
    note_attacks(5, "occurrences", 0, count, "files, arguments, environments and outputs")


def test_a_password_among_the_arguments_is_refused_and_not_repeated(tmp_path: Path, note_attacks: NoteAttacks) -> None:
    refused = [
        f"postgresql+psycopg://me:{quote(PASSWORD, '')}@localhost/x",
        f"postgresql+psycopg://me@localhost/x?password={quote(PASSWORD, '')}",
        f"postgresql+psycopg://me@localhost/x?sslpassword={quote(PASSWORD, '')}",
        "postgresql+psycopg://me:S3@CRET@localhost/x",
        "postgresql://me:S3CRET@localhost:port/x",
        "host=localhost password=S3CRET",
        "me:S3CRET@localhost",
    ]
    for url in refused:
        assert shows_password(url), url
        with pytest.raises(UsageError, match="--storage has a password in it") as caught:
            without_password("--storage", url)
        assert "S3" not in str(caught.value)
    for url in (
        f"sqlite:///{tmp_path}/my.db",
        "postgresql+psycopg://me@localhost/x?passfile=/home/me/.pgpass",
        "my.db",
    ):
        assert without_password("--storage", url) == url
    assert without_password("--storage", None) is None
    note_attacks(5, "occurrences", 0, len(refused), "files, arguments, environments and outputs")


def test_the_password_may_be_in_a_file_that_nobody_else_reads(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = make_url(postgres.new_guarded_database(PASSWORD))._replace(password=None).render_as_string()
    with pytest.raises(ParetosearchError, match="no password supplied; set the right user and password"):
        open_store(without)
    (tmp_path / "pgpass").write_text(f"*:*:*:guarded:{PASSWORD.replace(':', chr(92) + ':')}\n")
    (tmp_path / "pgpass").chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    open_store(without).close()


def test_a_message_of_the_driver_has_no_spelling_of_the_password(tmp_path: Path) -> None:
    url = make_url(f"postgresql+psycopg://me:{quote(PASSWORD, '')}@host/x?sslpassword=S3CRET-too&passfile=f")
    said = f"bad: {PASSWORD} and {quote(PASSWORD, '')} and S3CRET-too and {tmp_path}"
    shown = str(complaint(OSError(said), redacted(url), passwords(url)))
    assert MARK.decode() not in shown
    assert str(tmp_path) in shown
    assert "passfile=f" in shown


def test_programs_that_we_start_know_nothing_of_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARETOSEARCH_STORAGE", "postgresql+psycopg://me:S3CRET@db/x")
    monkeypatch.setenv("PARETOSEARCH_DATA", "/data")
    for name, value in OTHERS.items():
        monkeypatch.setenv(name, value)
    for found in (for_programs(), worker_environment(cpu_device())):
        assert not [name for name, value in found.items() if "S3CRET" in value]
        assert found["PARETOSEARCH_DATA"] == "/data"
        assert found["PATH"] == os.environ["PATH"]


def test_a_url_that_cannot_be_meant_is_shown_without_its_password() -> None:
    for url in (
        f"postgresql+psycopg://me:{PASSWORD}@localhost/x",
        f"mysql://me:{PASSWORD}@localhost",
        f"password={PASSWORD}",
    ):
        with pytest.raises(ParetosearchError) as caught:
            open_store(url)
        assert MARK.decode() not in str(caught.value)
