"""One small study, launched once from the command line, for all who look at what a launch leaves."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from paretosearch.testing.images import image_folder

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
    """An environment whose caches, locks and stores are in a folder of the test."""
    own = {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_STATE_HOME": str(home / "state"),
        "PARETOSEARCH_DATA": str(home / "data"),
        "TMPDIR": str(home),
        "COLUMNS": "100",
    }
    return {**{k: v for k, v in os.environ.items() if not k.startswith("PARETOSEARCH")}, **own}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    image_folder(folder / "images")
    (folder / "tiny.toml").write_text(STUDY)
    return folder


@pytest.fixture(scope="session")
def run(folder: Path) -> Run:
    def run(*arguments: str, cwd: Path = folder, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "paretosearch", *arguments]
        env = {**environment(folder), **variables}
        return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)

    return run


@pytest.fixture(scope="session")
def launched(run: Run) -> subprocess.CompletedProcess[str]:
    """The study after its launch."""
    return run("launch", "tiny.toml", "--cpu", "1")
