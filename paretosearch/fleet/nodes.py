"""The nodes of a Ray cluster, and how an actor comes onto one."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from paretosearch.device import Device
from paretosearch.errors import DeviceError, UsageError
from paretosearch.fleet.station import Station

#: Where Ray finds the cluster when nobody names it.
ADDRESS = "RAY_ADDRESS"

#: A machine that does not answer in this time has no Ray; Ray itself would try for minutes, and print as it does.
CONNECT_SECONDS = 5.0

#: How a client of HTTP/2, which Ray speaks, greets, and the kind of frame that every server of it answers with. Ray
#: itself would try for minutes to get an answer from anything else.
HELLO, SETTINGS = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]), b"\x04"

#: Characters of what Ray says that are quoted.
MOST_SAID = 300


@dataclass(frozen=True)
class Node:
    """A machine of the cluster.

    Args:
        id: Ray's name for it, which no other node ever has.
        name: What ``ray start --node-name`` calls it, else its address.
        host: Its host name.
        cpus: Cores that Ray may give there.
        gpus: GPUs that Ray may give there.
    """

    id: str
    name: str
    host: str
    cpus: int
    gpus: int


@dataclass
class Berth:
    """A Device on a node, and who serves it.

    Args:
        node: Where it is.
        cores: Width of the CPU slot; 0 for a GPU.
        station: Handle of the actor; None when there is none any more.
        device: The Device, as soon as it is known.
    """

    node: Node
    cores: int
    station: Any
    device: Device | None = None


def connect(address: str | None) -> Callable[[], None]:
    """Become a part of a Ray cluster, silently.

    Args:
        address: ``HOST:PORT`` of the cluster's head; None is ``RAY_ADDRESS``, else the cluster of this machine.

    Returns:
        What ends it; nothing is done by it where this process was connected before.

    Raises:
        UsageError: If the address is none.
        DeviceError: If there is no such cluster.
    """
    if ray.is_initialized():
        return lambda: None
    where = address or os.environ.get(ADDRESS) or "auto"
    if where != "auto":
        _check_answers(where)
    try:
        with _signals_kept(), warnings.catch_warnings(action="ignore"):  # of what Ray will change one day
            ray.init(address=where, log_to_driver=False, logging_level="CRITICAL")
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise DeviceError(_no_cluster(where, error)) from None
    _silence()
    return _leave


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Keep Ray from handling SIGTERM, after which a launch would end with an exit code that says nothing."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _leave() -> None:
    ray.shutdown()


def _check_answers(address: str) -> None:
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        raise UsageError(f"--ray-address {address!r} is no address of a Ray head (allowed: HOST:PORT)")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS) as connection:
            connection.settimeout(CONNECT_SECONDS)
            connection.sendall(HELLO)
            answer = connection.recv(len(HELLO))
    except (OSError, OverflowError) as error:
        raise DeviceError(_no_cluster(address, error)) from None
    if answer[3:4] != SETTINGS and os.environ.get("RAY_USE_TLS", "0") == "0":
        raise DeviceError(_no_cluster(address, "what answers there is not Ray"))


def _no_cluster(address: str, error: Exception | str) -> str:
    said = " ".join(str(error).split())[:MOST_SAID] or type(error).__name__
    where = "on this machine" if address == "auto" else f"at {address}"
    if said.startswith("Could not find any running Ray instance"):  # and goes on with an option of Ray's own programs
        return (
            f"there is no Ray cluster {where}; start one with ray start --head, or join one with "
            "ray start --address=HEAD:PORT, or name the head of one by --ray-address HOST:PORT"
        )
    if said.startswith("Found multiple active Ray instances"):
        return f"there are several Ray clusters {where}; name the head of one by --ray-address HOST:PORT"
    if said.startswith("Version mismatch"):
        return f"the Ray cluster {where} is of other programs ({said}); install the same Ray and Python on all nodes"
    return (
        f"there is no Ray cluster {where} to connect to ({said}); start one with ray start --head, "
        "and run the launch on one of its nodes"
    )


def _silence() -> None:
    """Keep Ray from printing into the view of the launch what its machines report; the Launcher says what it means."""
    ray._private.worker._worker_logs_enabled = False  # log_to_driver does not cover what raylets say


def nodes() -> Sequence[Node]:
    """List the nodes that are alive: this machine's own first, the others by name."""
    here = ray.get_runtime_context().get_node_id()
    found = [_node(plain) for plain in ray.nodes() if plain["Alive"]]
    return sorted(found, key=lambda node: (node.id != here, node.name, node.id))


def _node(plain: dict[str, Any]) -> Node:
    resources = plain["Resources"]
    cpus, gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
    return Node(plain["NodeID"], plain["NodeName"], plain["NodeManagerHostname"], cpus, gpus)


def is_alive(node: Node) -> bool:
    """Whether Ray still believes in a node; without a head it believes in none."""
    try:
        return any(plain["NodeID"] == node.id and plain["Alive"] for plain in ray.nodes())
    except (ray.exceptions.RayError, ConnectionError, RuntimeError):
        return False


def post(node: Node, cores: int) -> Any:
    """Put a Station onto a node, with a GPU of its own or with as many cores.

    It is never restarted by Ray: what it was doing is the Launcher's to decide. Nor does it get any of this process's
    environment.
    """
    return (
        ray.remote(Station)
        .options(
            num_cpus=cores,
            num_gpus=0 if cores else 1,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
        )
        .remote(str(Path.cwd()))
    )


def task_on(node: Node, function: Callable[..., None]) -> Any:
    """Make a function into a task for a node, which takes none of its cores and leaves no process behind."""
    pinned = NodeAffinitySchedulingStrategy(node.id, soft=False)
    return ray.remote(num_cpus=0, max_retries=0, max_calls=1, scheduling_strategy=pinned)(function)


def dismiss(berth: Berth) -> None:
    """Kill a Station, with its Worker, if there is one."""
    if berth.station is not None:
        with suppress(ray.exceptions.RayError, ValueError):
            ray.kill(berth.station)
    berth.station = None


def reason(error: Exception) -> str:
    """Say in one line what went wrong in an actor or a task."""
    cause = getattr(error, "cause", None)
    lines = str(cause or error).strip().splitlines()
    if missing := re.search(r"No module named '[\w.]+'", str(error)):
        return f"paretosearch[ray] is not installed there ({missing[0]})"
    return lines[-1].strip() if lines else type(cause or error).__name__
