"""A small study, and the command line in a home of its own, for tests that launch for real."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

#: Runs ``paretosearch`` with arguments; gives exit code and output.
Run = Callable[..., subprocess.CompletedProcess[str]]

STUDY = """
name    = "tiny"
dataset = "folder:images"
network = "convnet"
seed    = 5

[budget]
trials = 6

[search]
population = 4

[recipe]
image_size = 16

[space]
batch_size    = { low = 8, high = 32, log2 = true }
learning_rate = { low = 0.01, high = 0.2, log = true }
pooling       = ["max", "stochastic", "s3"]
epochs        = { low = 1, high = 3 }
"""


def environment(home: Path) -> dict[str, str]:
    """Make an environment whose caches, locks and stores are in a folder of the test."""
    own = {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_STATE_HOME": str(home / "state"),
        "PARETOSEARCH_DATA": str(home / "data"),
        "TMPDIR": str(home),
        "COLUMNS": "100",
    }
    return {**{k: v for k, v in os.environ.items() if not k.startswith("PARETOSEARCH")}, **own}
