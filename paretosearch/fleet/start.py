"""Where a Worker's process begins: it dies with the Launcher that started it.

Started as ``python -m paretosearch.fleet.start PARENT ARGUMENT ...``. It imports next to nothing before it is mortal,
since the parent may die while the Worker's modules are imported, which takes seconds.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys


def main(arguments: list[str]) -> None:
    """Become mortal, then a Worker with what is left of the arguments."""
    parent, *rest = arguments
    die_with(int(parent))
    from paretosearch.fleet import worker

    worker.main(rest)


def die_with(parent: int) -> None:
    """Ask the kernel for a SIGKILL when the thread ends that started this process, and leave if it already has."""
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
    ):  # a whole group gets them, and the parent handles them
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        raise SystemExit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
