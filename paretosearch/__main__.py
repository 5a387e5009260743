"""Runs the command line, as ``paretosearch`` and as ``python -m paretosearch``."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

#: What Ctrl-C leaves of a command, where that is worth a word.
LEFT = {"train": "; nothing was kept", "tree": "; nothing was kept", "launch": "; the same command continues"}


def main() -> None:
    """Run a command; Ctrl-C ends it with one word at any moment, be it while modules are imported."""
    stops: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stops.append(number)
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # it may be ignored, as behind nohup
        signal.signal(signal.SIGINT, stop)
        sys.unraisablehook = _unraisable
    try:
        from paretosearch.cli import main as run

        run()
    except BaseException:  # an import that is interrupted may raise anything
        if not stops:
            raise
        _say_stopped()
        raise SystemExit(130) from None


def _unraisable(what: sys.UnraisableHookArgs, /) -> None:
    """End here where Python would print an interrupt and go on: in the callbacks that follow an import, for one."""
    if not isinstance(what.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(what)
        return
    _say_stopped()
    os._exit(130)


def _say_stopped() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is said, and what is left to do takes no time
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    print(f"stopped{LEFT.get(command, '')}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
