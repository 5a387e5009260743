"""The services of compose.yaml are shut off, wait for each other, and ask for what the program knows."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from paretosearch.cli.main import app
from paretosearch.store.passwords import FILE_VARIABLE
from paretosearch.testing.dockerfile import Instruction, lineage

Compose = dict[str, Any]

OURS = ("migrate", "launcher", "launcher-gpu", "dashboard")


def test_no_service_may_do_more_than_its_work(services: Compose) -> None:
    assert set(services) == {*OURS, "database"}
    for service in services.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["read_only"] is True
        assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & set(service)
    assert services["database"]["user"] == "postgres"  # ours are what the Dockerfile says
    assert not any("user" in services[name] for name in OURS)


def test_only_the_dashboard_has_a_port_and_only_on_loopback(compose: Callable[..., Compose]) -> None:
    found = compose(PARETOSEARCH_PORT="9999")
    ports = {name: service["ports"] for name, service in found["services"].items() if "ports" in service}
    assert list(ports) == ["dashboard"]
    (port,) = ports["dashboard"]
    assert (port["host_ip"], port["published"]) == ("127.0.0.1", "9999")
    command = found["services"]["dashboard"]["command"]
    assert str(port["target"]) == command[command.index("--port") + 1]
    assert set(found["services"]["database"]["networks"]) == {"store"}
    assert found["networks"]["store"]["internal"] is True


def test_a_password_is_a_file_and_in_no_environment_and_no_command(compose: Callable[..., Compose]) -> None:
    found = compose()
    assert all("file" in secret for secret in found["secrets"].values())
    read = set()
    for service in found["services"].values():
        own = {secret["target"] for secret in service["secrets"]}
        for name, value in service["environment"].items():
            if re.search("PASS|TOKEN|SECRET", name):
                assert name.endswith("_FILE")
                assert value in own
                read.add(value)
            assert not re.search(r"://[^/@]*:[^/@]*@", value), "a URL with a password"
        assert not [word for word in service["command"] or () if re.search("(?i)pass|token|secret", word)]
    assert read == {f"/run/secrets/{name}" for name in found["secrets"]}
    assert all(FILE_VARIABLE in found["services"][name]["environment"] for name in OURS)


def test_the_database_is_healthy_then_its_tables_are_made_then_they_are_used(services: Compose) -> None:
    database = services["database"]
    assert database["healthcheck"]["test"][:2] == ["CMD", "pg_isready"]
    assert "--host=127.0.0.1" in database["healthcheck"]["test"]
    assert {"type": "volume", "source": "database"}.items() <= database["volumes"][0].items()
    waits = {
        name: {other: wait["condition"] for other, wait in service.get("depends_on", {}).items()}
        for name, service in services.items()
    }
    made = {"migrate": "service_completed_successfully"}
    assert waits == {
        "database": {},
        "migrate": {"database": "service_healthy"},
        "launcher": made,
        "launcher-gpu": made,
        "dashboard": made,
    }
    assert "restart" not in services["migrate"]  # it ends, and is not to begin again


@pytest.mark.parametrize("name", OURS)
def test_a_command_is_one_that_the_program_has(services: Compose, name: str) -> None:
    command: Any = typer.main.get_command(app)
    words = list(services[name]["command"])
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    assert not hasattr(command, "commands")
    command.make_context(name, words)  # raises where an option is not known


def test_there_is_one_launcher_and_it_has_the_gpus_that_it_is_for(compose: Callable[..., Compose]) -> None:
    always = {"database", "migrate", "dashboard"}
    assert set(compose("")["services"]) == always
    assert set(compose("cpu")["services"]) == {*always, "launcher"}
    found = compose("gpu", PARETOSEARCH_STUDY="/study/mine.toml", PARETOSEARCH_GPUS="0,1")["services"]
    assert set(found) == {*always, "launcher-gpu"}
    assert found["launcher-gpu"]["command"] == ["launch", "/study/mine.toml", "--gpus", "0,1"]
    (reserved,) = found["launcher-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert reserved["driver"] == "nvidia"
    assert set(reserved["capabilities"]) == {"gpu", "compute", "utility"}
    assert "deploy" not in compose("cpu")["services"]["launcher"]


def test_images_are_built_from_targets_of_the_dockerfile_and_never_pulled(
    compose: Callable[..., Compose], instructions: tuple[Instruction, ...], top: Path
) -> None:
    services = compose(TORCH_INDEX="somewhere")["services"]
    built = {}
    for name in OURS:
        assert services[name]["pull_policy"] == "never"
        if "build" in services[name]:
            built[services[name]["image"]] = services[name]["build"]
    assert {services[name]["image"] for name in OURS} == set(built) == {"paretosearch:cpu", "paretosearch:cuda"}
    for image, build in built.items():
        assert Path(build["context"]) == top
        assert (top / build["dockerfile"]).is_file()
        assert image == f"paretosearch:{build['target']}"
        assert lineage(instructions, build["target"])
    assert built["paretosearch:cpu"]["args"] == {"TORCH_INDEX": "somewhere"}
    assert "args" not in built["paretosearch:cuda"]


def test_a_launcher_keeps_what_it_writes_in_volumes(services: Compose, instructions: tuple[Instruction, ...]) -> None:
    said = [word for one in lineage(instructions, "cpu") if one.name == "ENV" for word in one.words]
    environment = dict(word.split("=", 1) for word in said)
    uid = next(one.value for one in instructions if one.name == "USER").split(":")[0]
    kept = [environment["XDG_CACHE_HOME"], environment["XDG_STATE_HOME"], f"/tmp/paretosearch-{uid}", "/results"]
    for name in ("launcher", "launcher-gpu"):
        volumes = {volume["target"]: volume for volume in services[name]["volumes"]}
        assert {target for target, volume in volumes.items() if volume["type"] == "volume"} == set(kept)
        assert volumes["/study"]["read_only"] is True
        assert Path(volumes["/study"]["source"]).is_dir()
        assert services[name]["tmpfs"] == ["/tmp:exec"]
        assert services[name]["working_dir"] == "/results"  # where export and train write


def test_a_relative_folder_of_studies_is_a_folder_and_one_that_is_missing_is_not_made(
    compose: Callable[..., Compose], top: Path
) -> None:
    for said, folder in {"images": top / "docker" / "images", "../x": top / "x", "/abs": Path("/abs")}.items():
        for name, service in compose(PARETOSEARCH_FOLDER=said)["services"].items():
            for volume in service.get("volumes", ()):
                if volume["target"] == "/study":
                    assert (volume["type"], Path(volume["source"])) == ("bind", folder), name
                    assert not volume["bind"].get("create_host_path", True)
