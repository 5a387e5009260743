"""A URL becomes a connection, or one line that says what to do."""

import os
import socket
import sqlite3
import stat
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine

from paretosearch.errors import StoreError
from paretosearch.store import Store, open_store, redacted, storage_url
from paretosearch.store.complaints import complaint
from paretosearch.store.engine import open_engine
from paretosearch.store.migrate import upgrade
from paretosearch.testing.postgres import PostgresServer
from paretosearch.testing.store.builders import CPU, complete, connected, epoch, new_study, recipe, study_record, train

SECRET = "s3cr3t"

WITH_SECRET = [
    f"postgresql+psycopg://me:{SECRET}@localhost:1/x",
    f"postgresql+psycopg://me:{SECRET}@localhost:1/x?password={SECRET}",
    f"postgresql+psycopg://localhost:1/x?user=me&password={SECRET}&sslpassword={SECRET}",
    f"postgresql+psycopg://me:{SECRET}@localhost:port/x",
    f"postgresql+psycopg://me:a@{SECRET}@localhost:1/x",
    f"postgresql+psycopg://me:{SECRET}@{SECRET}@localhost:1/x",
    f"postgresql+psycopg://me:a/{SECRET}@localhost:1/x",
    f"postgresql+psycopg://me:a:{SECRET}#?@localhost:1/x",
    f"postgresql+psycopg://me:{SECRET}@localhost:1/x?nonsense=1",
    f"postgresql+psycopg://me:{SECRET}@localhost:1/x?connect_timeout=soon",
    f"postgresql+psycopg://me:{SECRET}%zz@localhost:1/x",
    f"postgresql://me:{SECRET}@localhost/x",
    f"postgres://me:{SECRET}@localhost/x",
    f"postgresql+psycopg2://me:{SECRET}@localhost/x",
    f"mysql://me:{SECRET}@localhost/x",
    f"postgresql+psycopg:/me:{SECRET}@localhost/x",
    f"host=localhost password={SECRET}",
    f"me:{SECRET}@localhost",
]


@contextmanager
def one_line(pattern: str) -> Iterator[None]:
    with pytest.raises(StoreError, match=pattern) as caught:
        yield
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


def test_the_default_is_the_environment_or_a_file_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARETOSEARCH_STORAGE", raising=False)
    assert storage_url() == "sqlite:///paretosearch.db"
    monkeypatch.setenv("PARETOSEARCH_STORAGE", "")
    assert storage_url() == "sqlite:///paretosearch.db"
    monkeypatch.setenv("PARETOSEARCH_STORAGE", "sqlite:///other.db")
    assert storage_url() == "sqlite:///other.db"


def test_a_store_without_a_url_is_the_default_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARETOSEARCH_STORAGE", raising=False)
    monkeypatch.chdir(tmp_path)
    with closing(open_store()) as store:
        assert store.url == "sqlite:///paretosearch.db"
        monkeypatch.chdir("/")
        store.add_study(study_record("here"))
    assert (tmp_path / "paretosearch.db").exists()


@pytest.mark.parametrize("url", WITH_SECRET)
def test_a_password_is_shown_by_no_message_and_no_traceback(url: str) -> None:
    assert SECRET not in redacted(url)
    with pytest.raises(StoreError) as caught:
        open_store(url)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///a/b.db", "sqlite:///a/b.db"),
        (
            "postgresql+psycopg://me:pw@host:5433/x?sslmode=require",
            "postgresql+psycopg://me:***@host:5433/x?sslmode=require",
        ),
        ("postgresql+psycopg://me@host/x", "postgresql+psycopg://me@host/x"),
        ("my.db", "my.db"),
    ],
)
def test_everything_but_the_password_is_shown(url: str, shown: str) -> None:
    assert redacted(url) == shown


def test_the_url_of_a_store_connects_to_it_again(tmp_path: Path) -> None:
    with closing(open_store(sqlite_url(tmp_path / "a.db"))) as store:
        study = new_study(store)
        with closing(open_store(store.url, create=False)) as again:
            assert again.study(study) is not None


@pytest.mark.parametrize(
    ("url", "pattern"),
    [
        ("my.db", r"'my.db' is no database URL; write sqlite:///FILE or postgresql\+psycopg://"),
        ("sqlite:/my.db", "is no database URL"),
        ("postgresql://me:x@host/db", r"names no driver; write postgresql\+psycopg://me:\*\*\*@host/db"),
        (
            "postgresql+psycopg2://host/db",
            r"postgresql\+psycopg2 is no database that paretosearch can use; write sqlite",
        ),
        ("mysql://host/db", "mysql is no database that paretosearch can use"),
        ("postgresql+psycopg://me:a@b@host/db", "more than one @; write those of the password as %40"),
        ("postgresql+psycopg://host:port/db", "is no database URL"),
        ("postgresql+psycopg://me:pw@a..b/db", r"me:\*\*\*@a..b/db' has a host name that cannot be; correct it"),
        ("sqlite://my.db", "names a host, and SQLite has none; write sqlite:///my.db"),
        ("sqlite://", "would be lost when the program ends; name a file"),
        ("sqlite:///:memory:", "would be lost when the program ends; name a file"),
        ("sqlite:///a\0b.db", "has a NUL in its name"),
        ("sqlite:////no/such/folder/my.db", "^/no/such/folder does not exist, so my.db cannot be made in it"),
        ("sqlite:////proc/my.db", "^/proc/my.db cannot be opened: .*; name another place by --storage"),
        (f"sqlite:///{'a' * 300}.db", "cannot be opened: File name too long"),
        ("sqlite:///my.db?timeout=soon", "has an option that cannot be; take out what is behind the"),
        ("", "^'' is no database URL"),
    ],
)
def test_a_wrong_url_says_what_to_write(url: str, pattern: str) -> None:
    with one_line(pattern):
        open_engine(url)


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with one_line("/file is no directory, so my.db cannot be made in it"):
        open_store(sqlite_url(tmp_path / "file" / "my.db"))


def test_a_directory_is_no_database(tmp_path: Path) -> None:
    with one_line(f"^{tmp_path} is a directory; name a file in it"):
        open_store(sqlite_url(tmp_path))


def test_a_file_of_another_kind_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "thesis.txt"
    path.write_text("All my work. " * 500)
    with one_line("thesis.txt cannot be used: file is not a database; name another file by --storage"):
        open_store(sqlite_url(path))
    assert path.read_text() == "All my work. " * 500


def test_a_database_that_is_missing_is_not_made_by_reading(tmp_path: Path) -> None:
    path = tmp_path / "my.db"
    with one_line(f"there is no database {path}; `paretosearch launch` makes one"):
        open_store(sqlite_url(path), create=False)
    assert not path.exists()


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder with a database, neither of which this process may write to: root gives up being root for a while."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        open_store(sqlite_url(folder / "old.db")).close()
        (folder / "old.db").chmod(0o444)
        folder.chmod(0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(user)
            folder.chmod(0o755)


def test_a_database_cannot_be_made_in_a_read_only_folder(read_only: Path) -> None:
    with one_line(f"^{read_only}/new.db cannot be opened: Permission denied; name another place by --storage"):
        open_store(sqlite_url(read_only / "new.db"))


@pytest.mark.parametrize("create", [True, False])
def test_a_read_only_database_is_said_to_be_one(read_only: Path, create: bool) -> None:
    with one_line(r"old.db cannot be used: .*; (copy it to a place|check that the file and its directory are yours)"):
        open_store(sqlite_url(read_only / "old.db"), create=create)


def test_a_new_database_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "my.db"
    with closing(open_store(sqlite_url(path))) as store:
        new_study(store)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {"my.db": 0o600, "my.db-wal": 0o600, "my.db-shm": 0o600}


def test_sqlite_keeps_what_is_committed_and_lets_readers_in(tmp_path: Path) -> None:
    with connected(sqlite_url(tmp_path / "my.db")) as engine, engine.connect() as connection:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
    full = 2
    assert found == ["wal", full, 1, 30_000]


def test_a_database_is_opened_when_the_program_that_makes_it_is_done(tmp_path: Path) -> None:
    path, writing = tmp_path / "my.db", threading.Event()

    def make() -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("CREATE TABLE theirs (x INTEGER)")
            writing.set()
            time.sleep(0.2)
            other.execute("COMMIT")

    maker = threading.Thread(target=make)
    maker.start()
    assert writing.wait(10)
    with closing(open_store(sqlite_url(path))) as store:
        assert store.studies() == ()
    maker.join()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with connected(sqlite_url(tmp_path / "my.db")) as opened:
        upgrade(opened)
        yield opened


def set_pragma(engine: Engine, pragma: str) -> None:
    with engine.connect() as connection:  # the pool hands out this very connection again
        connection.exec_driver_sql(f"PRAGMA {pragma}")


def test_a_locked_database_is_a_short_wait_and_one_line(engine: Engine) -> None:
    store = Store(engine)
    study = new_study(store)
    attempt = store.start_attempt(study, 0, CPU, recipe())
    set_pragma(engine, "busy_timeout = 50")
    with closing(sqlite3.connect(engine.url.database or "")) as other:
        other.execute("BEGIN IMMEDIATE")
        with one_line("cannot be used: database is locked; another program is writing to it"):
            store.finish_attempt(attempt, complete())
    assert store.finish_attempt(attempt, complete())


def test_a_full_disk_loses_nothing_and_the_call_may_be_repeated(engine: Engine) -> None:
    store = Store(engine)
    study = new_study(store)
    train(store, study, 0, complete())
    attempt = store.start_attempt(study, 1, CPU, recipe())
    long = complete(epochs=tuple(epoch(number) for number in range(1, 2000)))
    set_pragma(engine, "max_page_count = 1")  # SQLite takes this as: no page more than there are
    with one_line(
        r"\(\d+ bytes are free in /.+\) cannot be used: database or disk is full; make some room on its disk"
    ):
        store.finish_attempt(attempt, long)
    assert [a.id for a in store.running_attempts(study)] == [attempt]
    assert store.epochs(attempt) == ()
    set_pragma(engine, "max_page_count = 1000000")
    assert store.finish_attempt(attempt, long)
    assert store.epochs(attempt) == long.epochs


def test_a_missing_driver_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with one_line(r"PostgreSQL needs a driver; install it by pip install 'paretosearch\[postgres\]'"):
        open_engine("postgresql+psycopg://host/db")


def test_a_server_that_does_not_answer_is_named() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with one_line(rf"@127.0.0.1:{port}/x cannot be used: .*refused; start the server, or correct the host and port"):
        open_engine(f"postgresql+psycopg://me:pw@127.0.0.1:{port}/x")


def test_a_host_that_is_not_found_is_named() -> None:
    error = OSError("failed to resolve host 'nohost': [Errno -2] Name or service not known")  # without asking a network
    assert str(complaint(error, "URL")).endswith("not known; correct the host in the URL")


def test_a_database_that_the_server_does_not_have_is_named(postgres: PostgresServer) -> None:
    url = postgres.new_database().replace("/test", "/nothing")
    with one_line(r'database "nothing\d+" does not exist; create it by `createdb`'):
        open_engine(url)


def test_a_user_that_the_server_does_not_have_is_named(postgres: PostgresServer) -> None:
    url = postgres.new_database().replace("//postgres@", "//nobody:pw@")
    with one_line('role "nobody" does not exist; create that user'):
        open_engine(url)


def test_a_database_of_somebody_else_is_refused(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    with connected(url) as engine, engine.begin() as connection:
        connection.exec_driver_sql("DROP ROLE IF EXISTS guest")
        connection.exec_driver_sql("CREATE ROLE guest LOGIN")
        connection.exec_driver_sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    with one_line("permission denied for schema public; ask for a database that this user owns"):
        open_store(url.replace("//postgres@", "//guest@"))


def test_a_reader_of_a_postgresql_database_needs_no_more_than_to_read(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    with closing(open_store(url)) as store:
        study = new_study(store)
        train(store, study, 0, complete())
        with connected(url) as engine, engine.begin() as connection:
            connection.exec_driver_sql("DROP ROLE IF EXISTS reader")
            connection.exec_driver_sql("CREATE ROLE reader LOGIN")
            connection.exec_driver_sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
        with closing(open_store(url.replace("//postgres@", "//reader@"), create=False)) as reader:
            assert reader.front(study) == store.front(study)
            assert reader.counts(study) == store.counts(study)
            with one_line("permission denied"):
                new_study(reader)
        with connected(url) as engine, engine.begin() as connection:
            connection.exec_driver_sql("DROP OWNED BY reader")
            connection.exec_driver_sql("DROP ROLE reader")


def test_a_restarted_server_is_connected_to_again(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    with closing(open_store(url)) as store, connected(url) as other:
        study = new_study(store)
        with other.connect() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        train(store, study, 0, complete())
        assert len(store.completed(study)) == 1
