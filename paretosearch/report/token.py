"""The token without which an exposed dashboard shows nothing."""

from __future__ import annotations

import hmac
import os
import re
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from paretosearch.errors import UsageError
from paretosearch.files import content

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

#: Variables that name a file with the token, or hold it; never an argument, which everybody on a machine can see.
FILE, VARIABLE = "PARETOSEARCH_DASHBOARD_TOKEN_FILE", "PARETOSEARCH_DASHBOARD_TOKEN"

#: Where containers find secrets: their modes say nothing there, since nobody else is in a container.
SECRETS = Path("/run/secrets")

#: A token stands in links and headers as it is, and cannot be guessed.
_SHAPE = re.compile(r"[A-Za-z0-9._~-]{16,200}")
_MADE_BY = "python3 -c 'import secrets; print(secrets.token_urlsafe())'"


@dataclass(frozen=True)
class Token:
    """A token, and where it is from.

    Args:
        text: The token itself; never shown in a message or a log.
        origin: The variable that it was read from; empty if it was made here.
    """

    text: str = field(repr=False)
    origin: str = ""

    @property
    def cookie(self) -> tuple[str, str]:
        """Name and value of the cookie that stands for the token, from which it cannot be found.

        A browser sends cookies to all ports of a machine, so another dashboard there has another name, and a stranger's
        program there learns nothing that it could give away as a link.
        """
        return f"paretosearch-{self._derived('name')[:12]}", self._derived("value")

    def _derived(self, purpose: str) -> str:
        return hmac.new(self.text.encode(), f"paretosearch dashboard {purpose}".encode(), "sha256").hexdigest()

    def is_in_link(self, environ: WSGIEnvironment) -> bool:
        """Whether a request has the token in its address."""
        given = parse_qs(environ.get("QUERY_STRING", "")).get("token", [""])
        return _same(given[0], self.text)

    def admits(self, environ: WSGIEnvironment) -> bool:
        """Whether a request has the cookie, or the token as ``Authorization: Bearer TOKEN``."""
        name, value = self.cookie
        parts = (part.strip().partition("=") for part in environ.get("HTTP_COOKIE", "").split(";"))
        kind, _, bearer = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        by_cookie = any(_same(held, value) for key, _, held in parts if key == name)
        return by_cookie or (kind.lower() == "bearer" and _same(bearer.strip(), self.text))


def find_token() -> Token:
    """Read the token from where the environment says, or make one.

    Returns:
        The token.

    Raises:
        UsageError: If what is named cannot be read, can be read by others, or is no token.
    """
    if named := os.environ.get(FILE):
        return _checked(_read(Path(named)), FILE)
    if given := os.environ.get(VARIABLE):
        return _checked(given, VARIABLE)
    return Token(secrets.token_urlsafe(32))


def _read(named: Path) -> str:
    try:
        path = named.resolve(strict=True)  # secrets are often links to links
        mode = path.stat().st_mode
        text = content(path, most_bytes=1000).decode(errors="replace")
    except OSError as error:
        raise UsageError(f"{FILE}: {named} cannot be read: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO) and not path.is_relative_to(SECRETS):
        shown = f"{stat.S_IMODE(mode):04o}"
        raise UsageError(f"{FILE}: others may read {named} (mode {shown}); chmod 600 it, or mount it under {SECRETS}")
    return text.strip()


def _checked(text: str, origin: str) -> Token:
    if not _SHAPE.fullmatch(text):
        raise UsageError(
            f"{origin} holds no token, which has 16 to 200 letters, digits and any of . _ ~ -; make one by: {_MADE_BY}"
        )
    return Token(text, origin)


def _same(given: str, wanted: str) -> bool:
    """Compare in a time that says nothing about where they differ."""
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())
