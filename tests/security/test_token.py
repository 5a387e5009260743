"""S6: where the token of an exposed dashboard may come from."""

import os
from pathlib import Path

import pytest

from paretosearch.errors import UsageError
from paretosearch.report import token
from paretosearch.report.token import FILE, VARIABLE, find_token

GOOD = "abcdefghijklmnop-0123"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FILE, raising=False)
    monkeypatch.delenv(VARIABLE, raising=False)


def test_without_one_a_new_one_is_made_each_time() -> None:
    made = {find_token().text for _ in range(100)}
    assert len(made) == 100
    assert all(len(text) == 43 for text in made)
    assert GOOD not in repr(token.Token(GOOD))


def test_a_file_goes_before_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, GOOD)
    assert find_token() == token.Token(GOOD, VARIABLE)
    (tmp_path / "token").write_text(f"{GOOD}-of-the-file\n")
    (tmp_path / "token").chmod(0o600)
    (tmp_path / "link").symlink_to(tmp_path / "token")
    monkeypatch.setenv(FILE, str(tmp_path / "link"))
    assert find_token() == token.Token(f"{GOOD}-of-the-file", FILE)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o606])
def test_a_file_that_others_may_read_is_refused_unless_it_is_a_secret_of_a_container(
    mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(GOOD)
    (tmp_path / "token").chmod(mode)
    monkeypatch.setenv(FILE, str(tmp_path / "token"))
    with pytest.raises(UsageError, match=rf"others may read .*/token \(mode {mode:04o}\); chmod 600 it") as caught:
        find_token()
    assert GOOD not in str(caught.value)
    monkeypatch.setattr(token, "SECRETS", tmp_path)
    assert find_token().text == GOOD


@pytest.mark.parametrize(
    "text", ["short", "", "a" * 201, "a b" * 10, "ä" * 20, "a" * 20 + "\nb", "a" * 5000, "a;b=c" * 9]
)
def test_what_is_no_token_is_refused_and_not_repeated(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(text)
    (tmp_path / "token").chmod(0o600)
    monkeypatch.setenv(FILE, str(tmp_path / "token"))
    with pytest.raises(UsageError, match="holds no token|cannot be read: it has 5000 bytes") as caught:
        find_token()
    assert "\n" not in str(caught.value)
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize("made", ["nothing", "folder", "fifo"])
def test_a_file_that_cannot_be_read_is_one_line(made: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "token"
    {"nothing": lambda: None, "folder": place.mkdir, "fifo": lambda: os.mkfifo(place, 0o600)}[made]()
    monkeypatch.setenv(FILE, str(place))
    with pytest.raises(UsageError, match=f"^{FILE}: {place} cannot be read: "):
        find_token()
