"""What the files in docker/ say, as the programs that read them understand it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paretosearch.testing.dockerfile import Instruction, read_dockerfile

#: compose.yaml as Compose understands it.
Compose = dict[str, Any]


def program(name: str) -> str:
    """Find a program of the development environment, beside Python or anywhere; skip the test where there is none."""
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if found is None:
        pytest.skip(f"there is no {name} here: pip install 'paretosearch[dev]'")
    return found


@pytest.fixture(scope="session")
def top() -> Path:
    """The folder of the project, from which the images are built."""
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def hadolint() -> str:
    return program("hadolint")


@pytest.fixture(scope="session")
def instructions(top: Path) -> tuple[Instruction, ...]:
    return read_dockerfile(top / "docker" / "Dockerfile")


@pytest.fixture(scope="session")
def compose(top: Path) -> Callable[..., Compose]:
    """Read compose.yaml for a profile, with variables of the environment."""
    command = [program("docker-compose"), "--file", str(top / "docker" / "compose.yaml")]
    needed = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}

    def read(profile: str = "*", **variables: str) -> Compose:
        asked = [*command, "--env-file", os.devnull, "--profile", profile, "config", "--format", "json"]
        done = subprocess.run(asked, env={**needed, **variables}, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        found: Compose = json.loads(done.stdout)
        return found

    return read


@pytest.fixture(scope="session")
def services(compose: Callable[..., Compose]) -> Compose:
    """All services of compose.yaml, by name."""
    found: Compose = compose()["services"]
    return found
