"""Serves optuna-dashboard on a store."""

from __future__ import annotations

import errno
import json
import re
import socket
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import optuna
import optuna_dashboard
from optuna.exceptions import StorageInternalError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from paretosearch.errors import StoreError, UsageError
from paretosearch.report.annotations import Annotated, Annotations, Launched
from paretosearch.report.answers import rewriting
from paretosearch.report.artifacts import Artifacts
from paretosearch.report.guard import guarded, is_loopback
from paretosearch.report.token import Token, find_token
from paretosearch.store import Store, redacted

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

#: Seconds that a page waits while a writer has an SQLite file to itself.
_PATIENCE_SECONDS = 60
#: Seconds after which a visitor who says nothing is let go.
_SILENCE_SECONDS = 60

#: Requests for a study and what belongs to it, and those for all of it.
_STUDY = re.compile(r"/(?:api/studies|artifacts|csv)/(\d{1,18})(?:/|$)")
_DETAIL = re.compile(r"/api/studies/\d+/*")


def serve(
    store_url: str,
    host: str = "127.0.0.1",
    port: int = 8080,
    allow_changes: bool = False,
    expose: bool = False,
    trained: Path | None = None,
    launched: Launched = lambda _: None,
) -> None:
    """Serve optuna-dashboard until Ctrl-C.

    Args:
        store_url: Database URL of the store.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        allow_changes: Whether visitors may rename, tell and delete.
        expose: Whether to ask every visitor for a token; without one only this machine's own addresses are listened to,
            since the dashboard knows no log-in.
        trained: Folder that `paretosearch train --out` wrote to, or whose sub-folders it did; None offers no weights.
        launched: Says of the name of a study whether a Launcher works on it now; None if that cannot be told.

    Raises:
        UsageError: If the address is not this machine's own and there is no token, or it cannot be had, or the token
            that the environment names is none.
        StoreError: If the database cannot be read, or holds no study.
    """
    if not is_loopback(host) and not expose:
        raise UsageError(
            f"{host} would show the dashboard, which knows no log-in, to the network; from elsewhere use: "
            f"{_tunnel(port)} THIS-MACHINE, or add --expose to let in those who know a token"
        )
    token = find_token() if expose else None
    application = app(store_url, allow_changes, token, is_loopback(host), trained, launched)
    with _listen(host, port) as server:
        server.set_app(application)
        for line in _said(host, server.server_port, allow_changes, token):
            print(line, flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


def _said(host: str, port: int, allow_changes: bool, token: Token | None) -> list[str]:
    """Say where the dashboard is, once with its token, and what is dangerous about that."""
    may = "changes allowed" if allow_changes else "read-only"
    name = socket.gethostname() if host in ("", "0.0.0.0", "::") else host  # noqa: S104  # shown, not listened to
    place = f"http://{f'[{name}]' if ':' in name else name}:{port}/"
    if token is None:
        return [f"optuna-dashboard, {may}: {place} (Ctrl-C ends it)"]
    link = f"{place}?token=TOKEN with that of {token.origin}" if token.origin else f"{place}?token={token.text}"
    here = "it listens on this machine alone; --host names another address"
    risk = f"there is no TLS: who can read the network can read the token and all else; safer: {_tunnel(port)} {name}"
    return [f"optuna-dashboard, {may}: {link} (Ctrl-C ends it)", here if is_loopback(host) else risk]


def _tunnel(port: int) -> str:
    return f"ssh -L {port}:127.0.0.1:{port}"


def app(
    store_url: str,
    allow_changes: bool = False,
    token: Token | None = None,
    on_loopback: bool = True,
    trained: Path | None = None,
    launched: Launched = lambda _: None,
) -> WSGIApplication:
    """Make the web application.

    Args:
        store_url: Database URL of the store.
        allow_changes: Whether visitors may rename, tell and delete; otherwise the database is opened to read only.
        token: What visitors must know; None lets in everybody who can connect.
        on_loopback: Whether it is to be reached by a name of this machine alone.
        trained: Folder with weights; see `serve`.
        launched: Whether a Launcher works on a study; see `serve`.

    Returns:
        The application.

    Raises:
        StoreError: If the database cannot be read, or holds no study.
    """
    artifacts = Artifacts(trained)
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # or it says of every chart that it is kept in memory
    try:
        storage = _storage(store_url, allow_changes)
        annotations = Annotations(storage, Store(storage.engine), store_url, artifacts, launched)
        storage.annotate(annotations.added)
        dashboard: WSGIApplication = optuna_dashboard.wsgi(storage, artifacts)
    except (SQLAlchemyError, StorageInternalError, ImportError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise StoreError(
            f"optuna-dashboard cannot read {redacted(store_url)}: {reason}; "
            "launch a study first, or name another database by --storage"
        ) from error
    return guarded(_drawn(dashboard, annotations), allow_changes, token, on_loopback)


def _drawn(dashboard: WSGIApplication, annotations: Annotations) -> WSGIApplication:
    """Draw a study before it is shown, and give its charts in their order, which optuna-dashboard keeps in a set."""
    ordered = rewriting(dashboard, lambda environ, _: _in_order if _DETAIL.fullmatch(environ["PATH_INFO"]) else None)

    def drawn(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if found := _STUDY.match(environ["PATH_INFO"]):
            annotations.refresh(int(found[1]))
        return ordered(environ, start_response)

    return drawn


def _in_order(body: bytes) -> bytes:
    detail = json.loads(body)
    if "plotly_graph_objects" in detail:
        detail["plotly_graph_objects"].sort(key=lambda chart: chart["id"])
    return json.dumps(detail, separators=(",", ":")).encode()


def _storage(store_url: str, allow_changes: bool) -> Annotated:
    """Open Optuna's tables as they are: a reader makes none, and must never hold up the Launcher that writes."""
    url = make_url(store_url)
    if url.get_backend_name() == "sqlite":
        place = f"file:{quote(str(Path(str(url.database)).resolve()))}?mode={'rw' if allow_changes else 'ro'}"
        connect = partial(sqlite3.connect, place, uri=True, timeout=_PATIENCE_SECONDS, check_same_thread=False)
        text, options = "sqlite://", {"creator": connect, "poolclass": NullPool}
    else:
        own = () if allow_changes else ("-c default_transaction_read_only=on",)
        settings = " ".join((*url.normalized_query.get("options", ()), *own))
        text = url.difference_update_query(["options"]).render_as_string(hide_password=False)
        text = text.replace("{", "{{").replace("}", "}}")  # Optuna formats it
        options = {"connect_args": {"options": settings} if settings else {}, "pool_pre_ping": True}
    return Annotated(text, engine_kwargs=options, skip_compatibility_check=True, skip_table_creation=True)


class _Quiet(WSGIRequestHandler):
    """Answers without a line for every picture of every page, or for who hangs up."""

    timeout = _SILENCE_SECONDS

    def handle(self) -> None:
        with suppress(TimeoutError, ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class calls it so
        pass


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


def _listen(host: str, port: int) -> _Server:
    try:
        return (_Server6 if ":" in host else _Server)((host, port), _Quiet)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        reason = "is in use" if taken else f"cannot be had: {error.strerror}"
        raise UsageError(f"port {port} of {host} {reason}; name another by --port") from None
