"""The Dockerfile: a linter has nothing against it, and it fits the project."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from paretosearch.testing.dockerfile import Instruction, lineage

IMAGES = ("cpu", "cuda")


@pytest.fixture(scope="module")
def project(top: Path) -> dict[str, Any]:
    return tomllib.loads((top / "pyproject.toml").read_text())


def variables(instructions: Sequence[Instruction], image: str) -> dict[str, str]:
    """Give the environment of an image."""
    pairs = [word for one in lineage(instructions, image) if one.name == "ENV" for word in one.words]
    return dict(pair.split("=", 1) for pair in pairs)


def reaches_the_builder(top: Path, name: str) -> bool:
    """Whether .dockerignore lets a path at the top through; the last pattern that fits decides."""
    let_in = True
    for line in (top / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#") and fnmatch(name, line.removeprefix("!").removeprefix("**/")):
            let_in = line.startswith("!")
    return let_in


def test_the_linter_has_nothing_against_it(hadolint: str, top: Path) -> None:
    done = subprocess.run(
        [hadolint, "--no-color", "docker/Dockerfile"], cwd=top, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_the_program_as_somebody_who_is_not_root(
    instructions: tuple[Instruction, ...], project: dict[str, Any], image: str
) -> None:
    last = {one.name: one for one in lineage(instructions, image)}
    user, group = last["USER"].value.split(":")
    assert int(user) > 0 < int(group)
    assert last["ENTRYPOINT"].value == '["paretosearch"]'
    assert "paretosearch" in project["project"]["scripts"]
    assert "HEALTHCHECK" in last
    made = next(one.value for one in instructions if "useradd" in one.value)
    assert f"--uid {user} --gid {group}" in made


@pytest.mark.parametrize("image", IMAGES)
def test_no_image_holds_what_is_secret_or_was_only_needed_to_build_it(
    instructions: tuple[Instruction, ...], image: str
) -> None:
    said = lineage(instructions, image)
    names = [word.split("=")[0] for one in said if one.name in ("ENV", "ARG") for word in one.words]
    assert not [name for name in names if re.search("PASS|TOKEN|SECRET|KEY|STORAGE|INDEX", name)]
    copies = [one for one in said if one.name == "COPY"]
    assert [one.flags for one in copies] == [("--from=dependencies",)]
    installs = [one.value for one in said if one.name == "RUN" and "pip install" in one.value]
    assert all("--no-cache-dir" in value or "type=cache" in value for value in installs)
    assert all("rm -rf /var/lib/apt/lists" in one.value for one in said if "apt-get install" in one.value)


def test_images_have_plain_names_and_no_file_names_a_host(instructions: tuple[Instruction, ...], top: Path) -> None:
    stages = {one.stage for one in instructions}
    bases = {one.words[0] for one in instructions if one.name == "FROM"} - stages
    assert bases == {"python:${PYTHON}-slim"}
    text = "".join(path.read_text() for path in (top / "docker").iterdir() if path.is_file())
    addresses = set(re.findall(r"[a-z+]+://[^/\s\"']+", text))
    assert addresses == {
        "http://127.0.0.1:8080",
        "postgresql+psycopg://paretosearch@database",
        "postgresql+psycopg://dashboard@database",
    }


def test_what_is_copied_is_there_and_reaches_the_builder(
    instructions: tuple[Instruction, ...], project: dict[str, Any], top: Path
) -> None:
    copied = [name for one in instructions if one.name == "COPY" and not one.flags for name in one.words[:-1]]
    hatch = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [project["project"]["readme"], *project["project"]["license-files"], *hatch["packages"]]
    needed += hatch["force-include"]
    assert copied
    for name in {*copied, *needed} - {"."}:
        assert (top / name).exists()
        assert reaches_the_builder(top, name), name
    for name in (".git", ".venv", "docker", "tests", "paretosearch.db", "front", "__pycache__"):
        assert not reaches_the_builder(top, name), name


def test_the_dependencies_are_those_of_the_project_with_postgresql(
    instructions: tuple[Instruction, ...], project: dict[str, Any], top: Path, tmp_path: Path
) -> None:
    """Run the line that lists them, and the one that finds torch among them."""
    runs = [one.value for one in instructions if one.stage == "dependencies" and one.name == "RUN"]
    (tmp_path / "pyproject.toml").write_bytes((top / "pyproject.toml").read_bytes())
    here = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    subprocess.run(["sh", "-c", runs[0]], cwd=tmp_path, env=here, check=True)
    listed = (tmp_path / "needed.txt").read_text().splitlines()
    assert listed == project["project"]["dependencies"] + project["project"]["optional-dependencies"]["postgres"]
    (find,) = re.findall(r"(grep .*? > torch\.txt)", runs[1])
    subprocess.run(["sh", "-c", find], cwd=tmp_path, env=here, check=True)
    found = (tmp_path / "torch.txt").read_text()
    assert re.findall(r"^\w+", found, re.MULTILINE) == ["torch", "torchvision"]


def test_what_a_container_keeps_is_in_folders_that_are_its_users(instructions: tuple[Instruction, ...]) -> None:
    made = next(one.value for one in instructions if "install --directory" in one.value)
    uid = next(one.value for one in instructions if one.name == "USER").split(":")[0]
    environment = variables(instructions, "cpu")
    for folder in (
        environment["XDG_CACHE_HOME"],
        environment["XDG_STATE_HOME"],
        f"/tmp/paretosearch-{uid}",
        "/study",
        "/results",
    ):
        assert re.search(rf"--owner={uid} --group={uid} --mode=\d+ [^&]*{folder}\b", made), folder


def test_a_gpu_can_be_computed_on_and_asked_for_its_name(instructions: tuple[Instruction, ...]) -> None:
    assert variables(instructions, "cuda")["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    assert "NVIDIA_DRIVER_CAPABILITIES" not in variables(instructions, "cpu")
