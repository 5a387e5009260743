"""The Devices of a launch on a Ray cluster."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import ray

from paretosearch.device import Device
from paretosearch.errors import DataError, DeviceError
from paretosearch.fleet import devices as device_choice
from paretosearch.fleet.base import Fleet
from paretosearch.fleet.formats import Verdict
from paretosearch.fleet.nodes import Berth, Node, connect, dismiss, nodes, post, reason, task_on
from paretosearch.fleet.remote import RayFleet
from paretosearch.fleet.site import Images, Wish
from paretosearch.fleet.station import VERSIONED, Taken, prepare

#: An actor that Ray has not started after this long waits for what others have; a slow file system takes half of it.
START_SECONDS = 60.0


class RaySite:
    """The nodes of a Ray cluster, of each of which the wish is for some Devices.

    A node that lacks something is left out with a line that says why, as long as another one remains.

    Args:
        wish: What to take of every node.
        say: Called with what the user should know about nodes that are left out.

    Raises:
        DeviceError: If there is no such cluster.
    """

    def __init__(self, wish: Wish, say: Callable[[str], None]) -> None:
        self._say = say
        self._leave = connect(wish.ray_address)
        self._nodes = nodes()
        self._berths: list[Berth] = []
        self._refused: list[str] = []
        some_gpu = any(node.gpus for node in self._nodes)
        self._flexible = wish.gpus is None and wish.cpu is None
        self._gpus = "all" if self._flexible and some_gpu else wish.gpus
        self._cpu = wish.cpu

    @property
    def has_gpus(self) -> bool:
        return self._gpus is not None

    @property
    def berths(self) -> Sequence[Berth]:
        """Devices that are taken, each with its node."""
        return self._berths

    @property
    def devices(self) -> Sequence[Device]:
        return [berth.device for berth in self._berths if berth.device is not None]

    def reserve(self) -> None:
        asked = [(node, cores) for node in self._nodes for cores in self._asked(node)]
        berths = [Berth(node, cores, post(node, cores)) for node, cores in asked]
        self._berths = berths  # even those that are not taken yet, for whoever closes this in the meantime
        end = time.monotonic() + START_SECONDS
        for berth in berths:
            try:
                berth.device = self._taken(berth, end)
            except DeviceError as error:
                self._refuse(berth.node, str(error))
        self._keep([berth for berth in berths if berth.device is not None])

    def _asked(self, node: Node) -> Sequence[int]:
        """Give the width of every CPU slot that is wanted of a node, and 0 for every GPU."""
        gpus = [0] * node.gpus if self._gpus is not None else []
        if self._flexible:
            return gpus if self._gpus is not None else [1] * node.cpus
        widths = list(device_choice.slots(self._cpu)) if self._cpu is not None else []
        if node.cpus and sum(widths) > node.cpus:
            self._refuse(node, f"cores asked for: {sum(widths)}, cores of Ray's there: {node.cpus}")
        return gpus + (widths if sum(widths) <= node.cpus else [])

    def _taken(self, berth: Berth, end: float) -> Device | None:
        numbers = device_choice.gpu_numbers(self._gpus) if self._gpus is not None else None
        try:
            call = berth.station.take.remote(berth.cores, numbers)
            taken: Taken = ray.get(call, timeout=max(1.0, end - time.monotonic()))
        except ray.exceptions.GetTimeoutError:
            raise DeviceError(f"no actor of ours has started in {START_SECONDS:.0f} s; is the node in use?") from None
        except ray.exceptions.RayError as error:
            raise DeviceError(reason(error)) from None
        for name in VERSIONED:
            if taken.versions[name] != version(name):
                raise DeviceError(f"{name} is {taken.versions[name]} there and {version(name)} here; install the same")
        return taken.device and self._named(taken.device, berth.node)

    def _named(self, device: Device, node: Node) -> Device:
        """Tell apart what machines of one host name call alike; the UUID of a GPU is its own anyway."""
        if sum(node.host == other.host for other in self._nodes) == 1:
            return device
        return replace(device, host=node.name, uuid=device.uuid + f"@{node.name}" * (device.kind == "cpu"))

    def _refuse(self, node: Node, why: str) -> None:
        line = f"node {node.name}: {why}"
        if line not in self._refused:  # as all GPUs of a node may lack the same
            self._refused.append(line)

    def _keep(self, kept: list[Berth]) -> None:
        """Go on with some of the Devices, numbered anew, and say why others are left out.

        Raises:
            DeviceError: If there are none.
        """
        for berth in self._berths:
            if berth not in kept:
                dismiss(berth)
        self._berths = kept
        refused, self._refused = self._refused, []
        if not kept:
            wish = f"--gpus {self._gpus}" if self._gpus is not None else f"--cpu {self._cpu or 1}"
            raise DeviceError(f"no node of the cluster has a device for {wish}{''.join(f'; {r}' for r in refused[:3])}")
        for index, berth in enumerate(kept):
            assert berth.device is not None
            berth.device = replace(berth.device, index=index)
        for line in refused if not self._flexible else []:
            self._say(f"{line}; left out")

    def prepare(self, data_sets: Sequence[Images]) -> None:
        used = {berth.node.id: berth.node for berth in self._berths}
        calls = {node: task_on(node, prepare).remote(str(Path.cwd()), list(data_sets)) for node in used.values()}
        refused: dict[Node, str] = {}
        for node, call in calls.items():
            try:
                ray.get(call)
            except ray.exceptions.RayError as error:
                refused[node] = reason(error)
                self._refuse(node, refused[node])
        if len(refused) == len(calls):
            node, why = next(iter(refused.items()))
            raise DataError(f"no node of the cluster can get the data; on {node.name}: {why}")
        self._keep([berth for berth in self._berths if berth.node not in refused])

    def verdicts(self, device: Device, names: Sequence[str]) -> Mapping[str, Verdict]:
        berth = next(berth for berth in self._berths if berth.device == device)
        try:
            found: Mapping[str, Verdict] = ray.get(berth.station.verdicts.remote(device, names))
        except ray.exceptions.RayError as error:
            raise DeviceError(f"node {berth.node.name}: {reason(error)}") from None
        return found

    def fleet(self, folder: Path) -> Fleet:
        digest = hashlib.sha256(f"{socket.gethostname()}:{folder.absolute()}".encode()).hexdigest()[:12]
        return RayFleet(self._berths, folder, f"{folder.name}-{digest}")

    def close(self) -> None:
        for berth in self._berths:
            dismiss(berth)
        with suppress(ray.exceptions.RayError):
            self._leave()
