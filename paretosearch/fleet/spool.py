"""Outcomes on their way from a Worker to the store, as files that survive both."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from platformdirs import user_state_path

from paretosearch.errors import ParetosearchError, StoreError
from paretosearch.outcome import Outcome, failed


def folder_for(url: str, study: str) -> Path:
    """Make the folder of a study: beside an SQLite file, else in the user's state folder.

    Args:
        url: Database URL; its password must be hidden, or a new password would be another folder.
        study: Name of the study; a safe file name.

    Returns:
        A folder that only the user can read.

    Raises:
        StoreError: If it cannot be made.
    """
    database = url.removeprefix("sqlite:///")
    is_file = database != url
    root = Path(f"{Path(database).absolute()}.spool") if is_file else _state_folder(url)
    try:
        (root / study).mkdir(parents=True, exist_ok=True, mode=0o700)
        root.chmod(0o700)
    except OSError as error:
        raise StoreError(f"cannot make the folder {root / study}: {error.strerror}") from None
    return root / study


def _state_folder(url: str) -> Path:
    return user_state_path("paretosearch") / hashlib.sha256(url.encode()).hexdigest()[:12]


def write(folder: Path, attempt: int, outcome: Outcome) -> None:
    """Write an Outcome so that a crash at any moment leaves all of it or nothing."""
    temporary, final = folder / f"{attempt}.tmp", folder / f"{attempt}.json"
    with temporary.open("w", encoding="utf-8") as file:
        file.write(outcome.to_json())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(final)
    sync(folder)


def sync(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read(folder: Path, attempt: int) -> Outcome | None:
    """Read an Outcome; None if there is none, a failure if the file holds no possible Outcome."""
    try:
        return Outcome.from_json((folder / f"{attempt}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ParetosearchError, UnicodeDecodeError) as error:
        return failed("bug", f"the Worker wrote an impossible Outcome: {error}")


def waiting(folder: Path) -> Iterator[int]:
    """Give the Attempts whose Outcome is still in the spool, oldest first."""
    yield from sorted(int(path.stem) for path in folder.glob("*.json") if path.stem.isdecimal())


def delete(folder: Path, attempt: int) -> None:
    """Forget an Outcome that is in the store."""
    (folder / f"{attempt}.json").unlink(missing_ok=True)
