"""Runs a module in a process that dies with the one that started it.

Started as ``python -m paretosearch.fleet.start MODULE PARENT ARGUMENT ...``. It imports next to nothing before it is
mortal, since the parent may die while a module of ours is imported, which takes seconds.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from importlib import import_module


def main(arguments: list[str]) -> None:
    """Become mortal, then run the module's own ``main`` with what is left of the arguments."""
    module, parent, *rest = arguments
    die_with(int(parent))
    import_module(module).main(rest)


def die_with(parent: int) -> None:
    """Ask the kernel for a SIGKILL when the thread ends that started this process, and leave if it already has."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        raise SystemExit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
