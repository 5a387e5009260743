"""A Ray cluster of several nodes on this machine, each of which takes itself for a machine of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from paretosearch.fleet.locks import Lock

#: Of every node: an address of this machine alone, so that nobody else comes in (127.0.0.1 Ray takes for a name of the
#: machine's other address), the least memory that Ray takes, and no processes that nobody looks at.
_NODE = {
    "node_ip_address": "127.0.0.2",
    "object_store_memory": 80 << 20,
    "include_dashboard": False,
    "include_log_monitor": False,
}

#: Of the head. Ray's own health checks would notice after a quarter of a minute that a node is dead.
_HEAD = {
    "no_monitor": True,
    "_system_config": {
        "health_check_initial_delay_ms": 500,
        "health_check_period_ms": 500,
        "health_check_timeout_ms": 2000,
        "health_check_failure_threshold": 4,
    },
}


class RayCluster:
    """A running cluster; made by `ray_cluster`.

    Args:
        cluster: Ray's own, without a node so far.
        folder: Where the nodes keep what machines would keep to themselves.
    """

    def __init__(self, cluster: Any, folder: Path) -> None:
        self._cluster, self._folder = cluster, folder
        self._nodes: dict[str, Any] = {}
        self._held: list[Lock] = []

    @property
    def address(self) -> str:
        """``HOST:PORT`` of the head."""
        return str(self._cluster.address)

    def home(self, name: str) -> Path:
        """Give the folder of a node."""
        return self._folder / name

    def locks(self, name: str) -> Path:
        """Give the folder of a node's device locks."""
        return self.home(name) / "tmp" / f"paretosearch-{os.getuid()}"

    def add(
        self,
        name: str,
        cpus: int = 1,
        gpus: int = 0,
        environment: Mapping[str, str] | None = None,
        without_cores: Sequence[int] = (),
    ) -> None:
        """Start a node; the first is the head, and `wait` waits for the others.

        Args:
            name: Its name.
            cpus: Cores that Ray may give there.
            gpus: GPUs that Ray may give there, whether they exist or not.
            environment: What its processes get beside the environment of this one.
            without_cores: Cores that are in use there.
        """
        home = self.home(name)
        self.locks(name).mkdir(parents=True, mode=0o700)
        self._held += [Lock(self.locks(name) / f"core-{core}.lock", f"core {core}") for core in without_cores]
        own = {"TMPDIR": str(home / "tmp"), "PARETOSEARCH_DATA": str(home / "data")}
        arguments = {"node_name": name, "num_cpus": cpus, "num_gpus": gpus, "env_vars": {**own, **(environment or {})}}
        if not self._nodes:
            # Ray writes down there which cluster is the newest, and makes the folder only where it keeps its own files.
            Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir(), "ray").mkdir(exist_ok=True)
            arguments |= {**_HEAD, "temp_dir": str(self._folder / "ray")}
        self._nodes[name] = self._cluster.add_node(wait=not self._nodes, **_NODE, **arguments)

    def wait(self) -> None:
        """Wait until all nodes are there."""
        self._cluster.wait_for_nodes()

    def kill(self, name: str) -> None:
        """Kill all processes of a node, without a word to anybody."""
        self._cluster.remove_node(self._nodes.pop(name), allow_graceful=False)

    def close(self) -> None:
        """Stop all nodes."""
        self._cluster.shutdown()
        for lock in self._held:
            lock.release()


def why_no_ray() -> str | None:
    """Say what is missing for a cluster here, or None."""
    return None if find_spec("ray") else "there is no Ray here: pip install 'paretosearch[ray]'"


@contextmanager
def ray_cluster() -> Iterator[RayCluster]:
    """Keep a cluster without nodes for as long as the context lasts."""
    own = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    with (
        mock.patch.dict(os.environ, own),
        tempfile.TemporaryDirectory(prefix="ps") as folder,  # short: the path of a socket has 107 characters at most
    ):
        from ray.cluster_utils import Cluster

        cluster = RayCluster(Cluster(), Path(folder))
        try:
            yield cluster
        finally:
            cluster.close()


def workers_of(name: str) -> list[psutil.Process]:
    """Find the running Workers whose Device, study or folder has ``name`` in its own."""
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
        except psutil.Error:
            continue
        if "paretosearch.fleet.start" in command and any(name in word for word in command):
            found.append(process)
    return found


__all__ = ["RayCluster", "ray_cluster", "why_no_ray", "workers_of"]
