"""Takes the password of a database from a file, as containers get their secrets."""

from __future__ import annotations

import stat
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from paretosearch.errors import StoreError

#: Names the file.
FILE_VARIABLE = "PARETOSEARCH_STORAGE_PASSWORD_FILE"

#: Where containers find secrets: their modes say nothing there, since nobody else is in a container.
SECRETS = Path("/run/secrets")


def with_password(url: str, file: Path) -> str:
    """Put the password that a file holds into a database URL.

    Args:
        url: The URL; one that has a password of its own, needs none or is malformed stays as it is.
        file: The password; newlines at its end are not part of it.

    Returns:
        The URL with its password: for connecting, never for showing.

    Raises:
        StoreError: If the file cannot be read, can be read by others, or holds no password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return url  # whoever opens it says what is wrong
    if parsed.get_backend_name() == "sqlite" or parsed.password is not None:
        return url
    return parsed.set(password=_read(file)).render_as_string(hide_password=False)


def _read(file: Path) -> str:
    try:
        place = file.resolve(strict=True)  # secrets are often links to links
        mode = stat.S_IMODE(place.stat().st_mode)
        password = place.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise StoreError(f"the password in {file} cannot be read: {reason}; correct {FILE_VARIABLE}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO) and not place.is_relative_to(SECRETS):
        raise StoreError(f"others may read {file} (mode {mode:04o}); chmod 600 it, or mount it under {SECRETS}")
    if not password:
        raise StoreError(f"{file} is empty; write the password into it, or take {FILE_VARIABLE} away")
    return password
