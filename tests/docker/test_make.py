"""`make docker` builds the images where there is an engine, and makes what compose.yaml needs besides."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

Compose = dict[str, Any]


def test_both_images_are_built_where_there_is_an_engine(top: Path) -> None:
    command = ["make", "--dry-run", "docker", "DOCKER=true", "TORCH_INDEX=somewhere"]
    planned = subprocess.run(command, cwd=top, capture_output=True, text=True, check=True).stdout
    for image in ("cpu", "cuda"):
        assert f"build --file docker/Dockerfile --target {image} --tag paretosearch:{image} " in planned
    assert planned.count("--build-arg TORCH_INDEX='somewhere'") == 1
    assert "pytest" not in planned


def test_without_an_engine_one_line_says_so_and_nothing_is_installed(top: Path, tmp_path: Path) -> None:
    shutil.copy(top / "Makefile", tmp_path)
    command = ["make", "docker", "DOCKER=false"]
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=alone)
    assert (done.returncode, done.stdout) == (2, "")  # which is how make says that a command has failed
    said, of_make = done.stderr.splitlines()
    assert said.startswith("'false info' reaches no engine, so no image was built; start Docker, or install it, ")
    assert of_make.startswith("make: ***")
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]


def test_the_files_of_the_passwords_are_made_for_their_owner_alone_and_never_committed(
    compose: Callable[..., Compose], top: Path, tmp_path: Path
) -> None:
    files = [Path(secret["file"]).relative_to(top) for secret in compose()["secrets"].values()]
    assert all(f"/{file.parent}/" in (top / ".gitignore").read_text().splitlines() for file in files)
    shutil.copy(top / "Makefile", tmp_path)
    for _ in range(2):  # the second time they stay as they are
        subprocess.run(["make", "--silent", *map(str, files)], cwd=tmp_path, check=True)
        made = {(tmp_path / file).read_text() for file in files}
    assert len(made) == len(files) == 3
    assert all(re.fullmatch(r"[0-9a-f]{48}", password) for password in made)
    modes = {stat.S_IMODE((tmp_path / file).stat().st_mode) for file in files}
    folders = {stat.S_IMODE((tmp_path / file.parent).stat().st_mode) for file in files}
    assert (modes, folders) == ({0o444}, {0o700})
