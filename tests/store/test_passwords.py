"""The password of a database comes from a file where it is to be in no environment."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from paretosearch.errors import StoreAwayError, StoreError
from paretosearch.store import open_store, passwords, redacted, storage_url
from paretosearch.testing.postgres import PostgresServer, postgres_server, why_no_postgres

PASSWORD = "s3cr3t @:/%'x"
URL = "postgresql+psycopg://me@localhost:1/x"


@pytest.fixture(scope="module")
def guarded() -> Iterator[PostgresServer]:
    """A server that asks for a password."""
    if reason := why_no_postgres():
        pytest.skip(reason)
    with postgres_server(PASSWORD) as server:
        yield server


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the password, which the environment names."""
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PARETOSEARCH_STORAGE_PASSWORD_FILE", str(file))
    return file


@pytest.fixture
def bare(guarded: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a database of the server, without its password; the environment names it."""
    url = make_url(guarded.new_database())._replace(password=None).render_as_string()
    monkeypatch.setenv("PARETOSEARCH_STORAGE", url)
    return url


@pytest.mark.usefixtures("file")
def test_the_password_of_a_file_opens_the_database(bare: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for named in (None, bare):
        with closing(open_store(named)) as store:
            assert store.studies() == ()
            assert make_url(store.url).password == PASSWORD
    monkeypatch.delenv("PARETOSEARCH_STORAGE_PASSWORD_FILE")
    with pytest.raises(StoreError, match="no password supplied; set the right user and password"):
        open_store(bare)


@pytest.mark.usefixtures("bare")
def test_a_wrong_password_is_said_and_not_shown(file: Path) -> None:
    file.write_text("wr0ng")
    with pytest.raises(StoreError, match="password authentication failed") as caught:
        open_store()
    assert "wr0ng" not in str(caught.value)
    assert not isinstance(caught.value, StoreAwayError)  # it would be waited for


@pytest.mark.usefixtures("file")
def test_the_spool_is_the_same_whoever_asks_for_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARETOSEARCH_STORAGE", URL)
    shown = redacted(storage_url())
    assert shown == "postgresql+psycopg://me:***@localhost:1/x"
    assert redacted(storage_url(URL)) == shown
    monkeypatch.setenv("PARETOSEARCH_STORAGE", "postgresql+psycopg://me:other@localhost:1/x")
    assert redacted(storage_url()) == shown


@pytest.mark.parametrize(
    "url", ["sqlite:///my.db", "postgresql+psycopg://me:mine@host/x", "no url", "postgresql+psycopg://host:port/x"]
)
@pytest.mark.usefixtures("file")
def test_what_needs_no_password_of_a_file_stays_as_it_is(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARETOSEARCH_STORAGE", url)
    assert storage_url() == storage_url(url) == url


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read: No such file or directory"), (b"\n", "is empty"), (b"\xff", "it is not text")],
)
def test_a_file_without_a_password_is_named(
    file: Path, content: bytes | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARETOSEARCH_STORAGE", URL)
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(StoreError, match=f"{file}.*{said}"):
        storage_url()


def test_a_password_that_others_may_read_is_refused_but_where_containers_have_theirs(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARETOSEARCH_STORAGE", URL)
    file.chmod(0o444)
    with pytest.raises(StoreError, match=rf"others may read {file} \(mode 0444\); chmod 600 it") as caught:
        storage_url()
    assert PASSWORD not in str(caught.value)
    monkeypatch.setattr(passwords, "SECRETS", file.parent)
    assert make_url(storage_url()).password == PASSWORD
