"""Reads the devices that a call wishes for, which may be numbers where a command line has text."""

from __future__ import annotations

from paretosearch.errors import UsageError

#: What a call may wish for, by the option of the same name.
_ALLOWED = {"gpus": "0, '0,1,2,3' or 'all'", "cpu": "2, '2x4' or '1x1,1x2'"}


def typed(name: str, wish: str | int | None) -> str | None:
    """Give a wish as somebody would type it.

    Args:
        name: ``gpus`` or ``cpu``.
        wish: A number, or what a command line takes; None for no wish.

    Raises:
        UsageError: If it is something else.
    """
    if isinstance(wish, bool) or not isinstance(wish, str | int | None):
        raise UsageError(f"{name}={wish!r} says no devices (allowed: {_ALLOWED[name]}, or None)")
    return wish if wish is None else str(wish)
