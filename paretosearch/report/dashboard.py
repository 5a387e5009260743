"""Serves optuna-dashboard on a store."""

from __future__ import annotations

import errno
import ipaddress
import socket
import sqlite3
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import optuna_dashboard
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from paretosearch.errors import StoreError, UsageError
from paretosearch.store import redacted

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

#: Seconds that a page waits while a writer has an SQLite file to itself.
_PATIENCE_SECONDS = 60
_READING = ("GET", "HEAD")


def serve(store_url: str, host: str = "127.0.0.1", port: int = 8080, allow_changes: bool = False) -> None:
    """Serve optuna-dashboard until Ctrl-C.

    Args:
        store_url: Database URL of the store.
        host: Address to listen on: this machine's own, since the dashboard knows no log-in.
        port: Port to listen on; 0 takes a free one.
        allow_changes: Whether visitors may rename, tell and delete.

    Raises:
        UsageError: If the address is not this machine's own, or cannot be had.
        StoreError: If the database cannot be read, or holds no study.
    """
    if not _is_loopback(host):
        raise UsageError(
            f"{host} would show the dashboard, which knows no log-in, to the network; listen on 127.0.0.1, "
            f"and from elsewhere use: ssh -L {port}:127.0.0.1:{port} THIS-MACHINE"
        )
    application = app(store_url, allow_changes)
    with _listen(host, port) as server:
        server.set_app(application)
        may = "changes allowed" if allow_changes else "read-only"
        shown = f"[{host}]" if ":" in host else host
        print(f"optuna-dashboard, {may}: http://{shown}:{server.server_port}/ (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


def app(store_url: str, allow_changes: bool = False) -> WSGIApplication:
    """Make the web application.

    Args:
        store_url: Database URL of the store.
        allow_changes: Whether visitors may rename, tell and delete; otherwise the database is opened to read only.

    Returns:
        The application, to be reached by a name of this machine alone.

    Raises:
        StoreError: If the database cannot be read, or holds no study.
    """
    try:
        storage = _storage(store_url, allow_changes)
        dashboard: WSGIApplication = optuna_dashboard.wsgi(storage)
    except (SQLAlchemyError, StorageInternalError, ImportError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise StoreError(
            f"optuna-dashboard cannot read {redacted(store_url)}: {reason}; "
            "launch a study first, or name another database by --storage"
        ) from error
    return _guarded(dashboard, allow_changes)


def _storage(store_url: str, allow_changes: bool) -> RDBStorage:
    """Open Optuna's tables as they are: a reader makes none, and must never hold up the Launcher that writes."""
    url = make_url(store_url)
    if url.get_backend_name() == "sqlite":
        place = f"file:{quote(str(Path(str(url.database)).resolve()))}?mode={'rw' if allow_changes else 'ro'}"
        connect = partial(sqlite3.connect, place, uri=True, timeout=_PATIENCE_SECONDS, check_same_thread=False)
        text, options = "sqlite://", {"creator": connect, "poolclass": NullPool}
    else:
        reading = {} if allow_changes else {"options": "-c default_transaction_read_only=on"}
        text, options = url.render_as_string(hide_password=False), {"connect_args": reading, "pool_pre_ping": True}
    return RDBStorage(text, engine_kwargs=options, skip_compatibility_check=True, skip_table_creation=True)


def _guarded(dashboard: WSGIApplication, allow_changes: bool) -> WSGIApplication:
    """Let through requests to read, made to a name of this machine: a site elsewhere may point its own here."""

    def guard(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        host = environ.get("HTTP_HOST", "")
        if not _is_loopback(urlsplit(f"//{host}").hostname or ""):
            return _refuse(start_response, "403 Forbidden", "this dashboard is reached as 127.0.0.1 or localhost only")
        if environ["REQUEST_METHOD"] not in _READING and not allow_changes:
            return _refuse(
                start_response, "405 Method Not Allowed", "read-only; start it with --allow-changes to change"
            )
        if environ.get("HTTP_ORIGIN", f"http://{host}") != f"http://{host}":
            return _refuse(start_response, "403 Forbidden", "asked by a page of another site")
        return dashboard(environ, start_response)

    return guard


def _refuse(start_response: StartResponse, status: str, line: str) -> Iterable[bytes]:
    body = f"{line}\n".encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(status, [*headers, ("Allow", ", ".join(_READING))])
    return [body]


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Quiet(WSGIRequestHandler):
    """Answers without a line for every picture of every page."""

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
