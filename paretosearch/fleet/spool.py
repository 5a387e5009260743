"""Outcomes on their way from a Worker to the store, as files that survive both."""

from __future__ import annotations

import errno
import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from platformdirs import user_state_path
from sqlalchemy import make_url

from paretosearch.errors import ParetosearchError, StoreError
from paretosearch.files import NAME, content, private_folder, replacing
from paretosearch.outcome import FailureClass, Outcome, failed

#: An Outcome of ten thousand epochs with as many changes of shape has a few MB; what is larger is none.
MOST_BYTES = 1 << 26

#: Of a link, a folder, a pipe, a file too large: no Worker writes that.
_NO_FILE_OF_OURS = (errno.ELOOP, errno.EINVAL, errno.EFBIG, errno.EISDIR, errno.ENXIO)


def folder_for(url: str, study: str) -> Path:
    """Make the folder of a study: beside an SQLite file, else in the user's state folder.

    Args:
        url: Database URL; its password must be hidden, or a new password would be another folder.
        study: Name of the study; a safe file name.

    Returns:
        A folder that only the user can read.

    Raises:
        StoreError: If it cannot be made, or is not the user's own.
    """
    if not re.fullmatch(NAME, study):  # a study file is checked, but anybody may write to a database
        raise StoreError(f"study {study[:100]!r} has no name that a folder may have, so it can only be looked at")
    folder = place_of(url, study)
    try:
        private_folder(folder.parent)
        return private_folder(folder)
    except OSError as error:
        place = error.filename or folder
        raise StoreError(f"cannot make the folder {place}: {error.strerror}; move away what is there") from None


def place_of(url: str, study: str) -> Path:
    """Say where the folder of a study is, or would be; see `folder_for`."""
    root = Path(f"{_database_file(url)}.spool") if url.startswith("sqlite:///") else _state_folder(url)
    return root / study


def _database_file(url: str) -> Path:
    """Find the file, however it is spelled: two names of one would be two locks."""
    return Path(str(make_url(url).database)).resolve()


def _state_folder(url: str) -> Path:
    return user_state_path("paretosearch") / hashlib.sha256(url.encode()).hexdigest()[:12]


def write(folder: Path, attempt: int, outcome: Outcome) -> None:
    """Write an Outcome so that a crash at any moment leaves all of it or nothing."""
    with replacing(folder / f"{attempt}.json", private=True) as file:
        file.write(_encoded(outcome))


def _encoded(outcome: Outcome) -> bytes:
    return outcome.to_json().encode()


def read(folder: Path, attempt: int) -> Outcome | None:
    """Read an Outcome; None if there is none, a failure if the file holds no possible Outcome."""
    try:
        return Outcome.from_json(content(folder / f"{attempt}.json", MOST_BYTES).decode())
    except FileNotFoundError:
        return None
    except (ParetosearchError, UnicodeDecodeError) as error:
        return failed("bug", f"the Worker wrote an impossible Outcome: {error}")
    except OSError as error:
        kind: FailureClass = "bug" if error.errno in _NO_FILE_OF_OURS else "infrastructure"
        return failed(kind, f"what is in place of the Outcome cannot be read: {error.strerror}")


def waiting(folder: Path) -> Iterator[int]:
    """Give the Attempts whose Outcome is still in the spool, oldest first."""
    yield from sorted(int(path.stem) for path in folder.glob("*.json") if path.stem.isdecimal())


def delete(folder: Path, attempt: int) -> None:
    """Forget an Outcome that is in the store."""
    with suppress(FileNotFoundError, IsADirectoryError):  # a folder of that name is not ours to empty
        (folder / f"{attempt}.json").unlink()
