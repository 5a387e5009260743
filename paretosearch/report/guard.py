"""Lets through to the dashboard who may ask, and what may be asked."""

from __future__ import annotations

import csv
import io
import ipaddress
import json
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from paretosearch.report.answers import Change, rewriting
from paretosearch.report.cells import safe_cell
from paretosearch.report.token import Token

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

READING = ("GET", "HEAD")

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

#: Asks for the dashboard by itself, so that the browser counts the request as one from the same site and sends the
#: cookie with it: it would not after a redirection, if the link was on another site.
_WELCOME = (
    '<!DOCTYPE html><meta charset="utf-8"><title>paretosearch</title>'
    '<meta http-equiv="refresh" content="0; url=/dashboard"><a href="/dashboard">optuna-dashboard</a>\n'
)

#: Hides the buttons of the dashboard that a read-only one would refuse, with no more than a number for a reason.
_NO_BUTTONS = b"".join(
    b'[aria-label="%s"]{display:none!important}' % label
    for label in (b"delete study", b"rename study", b"delete artifact")
)

#: What was asked wrongly; None if nothing was.
Refusal = tuple[HTTPStatus, str] | None


def guarded(dashboard: WSGIApplication, allow_changes: bool, token: Token | None, on_loopback: bool) -> WSGIApplication:
    """Put a guard before a dashboard that knows no log-in.

    Args:
        dashboard: What to guard.
        allow_changes: Whether requests to change something are let through.
        token: What a visitor must know; None lets in everybody who can connect.
        on_loopback: Whether it is reached by names of this machine alone: a site elsewhere may point its own name here.

    Returns:
        The guarded application.
    """
    shown = rewriting(dashboard, _safe_table)
    if not allow_changes:
        shown = rewriting(shown, _without_buttons)

    def guard(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        refusal = _wrong_name(environ) if on_loopback else None
        if refusal is None and token is not None and not token.admits(environ):
            if token.is_in_link(environ):
                return _welcome(start_response, token)
            refusal = HTTPStatus.UNAUTHORIZED, "the dashboard asks for its token: open the link that it printed"
        refusal = refusal or _wrong_method(environ, allow_changes) or _wrong_origin(environ)
        return _refuse(environ, start_response, *refusal) if refusal else shown(environ, start_response)

    return guard


def is_loopback(host: str) -> bool:
    """Whether a name or address is of this machine alone, wherever it is asked for."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _wrong_name(environ: WSGIEnvironment) -> Refusal:
    try:
        name = urlsplit(f"//{environ.get('HTTP_HOST', '')}").hostname or ""
    except ValueError:
        name = ""
    if is_loopback(name):
        return None
    return HTTPStatus.FORBIDDEN, "this dashboard is reached as 127.0.0.1 or localhost only"


def _wrong_method(environ: WSGIEnvironment, allow_changes: bool) -> Refusal:
    if environ["REQUEST_METHOD"] in READING:
        return None
    if not allow_changes:
        return HTTPStatus.METHOD_NOT_ALLOWED, "read-only; start it with --allow-changes to change"
    if environ.get("PATH_INFO", "").lstrip("/").startswith("api/artifacts"):
        return HTTPStatus.METHOD_NOT_ALLOWED, "artifacts are what the study has found, and are not changed here"
    return None


def _wrong_origin(environ: WSGIEnvironment) -> Refusal:
    own = f"http://{environ.get('HTTP_HOST', '')}"
    if environ.get("HTTP_ORIGIN", own) == own:
        return None
    return HTTPStatus.FORBIDDEN, "asked by a page of another site"


def _refuse(environ: WSGIEnvironment, start_response: StartResponse, status: HTTPStatus, line: str) -> Iterable[bytes]:
    """Say why not, to a page of the dashboard in its own form: it shows the reason, and breaks over any other text."""
    more = {
        HTTPStatus.METHOD_NOT_ALLOWED: ("Allow", ", ".join(READING)),
        HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate", 'Bearer realm="paretosearch"'),
    }
    headers = [more[status]] if status in more else []
    if environ.get("PATH_INFO", "").startswith("/api/"):
        return _answer(start_response, status, json.dumps({"reason": line}), "application/json", headers)
    return _answer(start_response, status, f"{line}\n", "text/plain", headers)


def _welcome(start_response: StartResponse, token: Token) -> Iterable[bytes]:
    """Give a cookie for the token, so that it is in no address from here on."""
    name, value = token.cookie
    headers = [
        ("Set-Cookie", f"{name}={value}; HttpOnly; SameSite=Strict; Path=/"),
        ("Referrer-Policy", "no-referrer"),
        ("Cache-Control", "no-store"),
    ]
    return _answer(start_response, HTTPStatus.OK, _WELCOME, "text/html", headers)


def _answer(
    start_response: StartResponse, status: HTTPStatus, text: str, kind: str, headers: list[tuple[str, str]]
) -> Iterable[bytes]:
    body = text.encode()
    described = [("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(f"{status.value} {status.phrase}", [*described, *headers])
    return [body]


def _safe_table(_: WSGIEnvironment, kind: str) -> Change | None:
    """Let no cell of a CSV file be a formula: optuna-dashboard writes what a trial noted as it is."""
    return (lambda body: _safe_csv(body.decode()).encode()) if kind.startswith("text/csv") else None


def _without_buttons(_: WSGIEnvironment, kind: str) -> Change | None:
    """Add to a page what hides buttons that do nothing here."""
    style = b"<style>%s</style></head>" % _NO_BUTTONS
    return (lambda body: body.replace(b"</head>", style, 1)) if kind.startswith("text/html") else None


def _safe_csv(text: str) -> str:
    safe = io.StringIO(newline="")
    rows = csv.reader(io.StringIO(text, newline=""))
    csv.writer(safe).writerows([c if _NUMBER.fullmatch(c) else safe_cell(c) for c in row] for row in rows)
    return safe.getvalue()
