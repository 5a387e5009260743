"""One small study, launched once from the command line, for all who look at what a launch leaves."""

import subprocess
import sys
from pathlib import Path

import pytest

from paretosearch.testing.commands import STUDY, Run, environment
from paretosearch.testing.images import image_folder


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
