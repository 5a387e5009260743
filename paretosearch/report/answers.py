"""Changes what a web application answers on its way to the visitor."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

#: Makes another body of a body.
Change = Callable[[bytes], bytes]


def rewriting(application: WSGIApplication, change: Callable[[WSGIEnvironment, str], Change | None]) -> WSGIApplication:
    """Let somebody change bodies that a GET is answered with.

    Args:
        application: Who answers.
        change: Says of a request, and the type of content of its answer, what to do with the body; None leaves it.

    Returns:
        The application that answers so.
    """

    def wrapped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        held: list[Any] = []

        def hold(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            held[:] = status, headers, exc_info
            return lambda _: None  # nobody uses this way of writing any more

        body = application(environ, hold)
        status, headers, exc_info = held
        if environ["REQUEST_METHOD"] == "GET":
            made = change(environ, dict(headers).get("Content-Type", ""))
            if made is not None:
                text = made(b"".join(body))
                headers, body = [pair for pair in headers if pair[0] != "Content-Length"], [text]
        start_response(status, headers, exc_info) if exc_info else start_response(status, headers)
        return body

    return wrapped
