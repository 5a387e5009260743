"""The Devices of a launch on a Ray cluster."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray

from paretosearch.device import Device
from paretosearch.errors import DataError, DeviceError
from paretosearch.fleet import devices as device_choice
from paretosearch.fleet.base import Fleet
from paretosearch.fleet.formats import Verdict
from paretosearch.fleet.joining import Newcomers
from paretosearch.fleet.nodes import Berth, Node, connect, dismiss, nodes, post, reason, task_on
from paretosearch.fleet.remote import RayFleet
from paretosearch.fleet.site import Images, Wish
from paretosearch.fleet.station import Taken, prepare, versions

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
        self._refused: list[tuple[Node, str]] = []
        self._data_sets: Sequence[Images] = ()
        self._newcomers: Newcomers | None = None
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
        self._take(berths)
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

    def _take(self, berths: Sequence[Berth]) -> None:
        """Have Stations take their Devices; those that cannot get none, and the reason is kept to be said."""
        end = time.monotonic() + START_SECONDS
        for berth in berths:
            try:
                berth.device = self._taken(berth, end)
            except DeviceError as error:
                self._refuse(berth.node, str(error))

    def _taken(self, berth: Berth, end: float) -> Device | None:
        numbers = device_choice.gpu_numbers(self._gpus) if self._gpus is not None else None
        try:
            call = berth.station.take.remote(berth.cores, numbers)
            taken: Taken = ray.get(call, timeout=max(1.0, end - time.monotonic()))
        except ray.exceptions.GetTimeoutError:
            raise DeviceError(f"no actor of ours has started in {START_SECONDS:.0f} s; is the node in use?") from None
        except ray.exceptions.RayError as error:
            raise DeviceError(reason(error)) from None
        plain, theirs = taken
        for name, here in versions().items():
            if theirs.get(name) != here:
                raise DeviceError(f"{name} is {theirs.get(name)} there and {here} here; install the same")
        return None if plain is None else self._named(Device.from_plain(plain), berth.node)

    def _named(self, device: Device, node: Node) -> Device:
        """Tell apart what machines of one host name call alike; the UUID of a GPU is its own anyway."""
        if sum(node.host == other.host for other in self._nodes) == 1:
            return device
        return replace(device, host=node.name, uuid=device.uuid + f"@{node.name}" * (device.kind == "cpu"))

    def _refuse(self, node: Node, why: str) -> None:
        if (node, why) not in self._refused:  # as all GPUs of a node may lack the same
            self._refused.append((node, why))

    def _keep(self, kept: list[Berth]) -> None:
        """Go on with some of the Devices, numbered anew, and say why others are left out.

        Raises:
            DeviceError: If there are none.
        """
        for berth in self._berths:
            if berth not in kept:
                dismiss(berth)
        self._berths = kept
        if not kept:
            raise DeviceError(self._nothing([f"; node {node.name}: {why}" for node, why in self._refused]))
        for index, berth in enumerate(kept):
            assert berth.device is not None
            berth.device = replace(berth.device, index=index)
        self._count = len(kept)
        self._say_refused(kept)

    def _say_refused(self, kept: Sequence[Berth]) -> None:
        """Say what is left out; where nobody has asked for a number of devices, only nodes that have none at all."""
        refused, self._refused = self._refused, []
        used = {berth.node.id for berth in kept if self._flexible}
        for node, why in refused:
            if node.id not in used:
                self._say(f"node {node.name}: {why}; left out")

    def _nothing(self, refused: Sequence[str]) -> str:
        """Say why there is no Device, and what to do."""
        if self._gpus is not None and not any(node.gpus for node in self._nodes):
            return (
                f"--gpus {self._gpus}: Ray knows no GPU on {self._names()}; use --cpu 1, or start Ray there with "
                "ray start --num-gpus=COUNT if there are some"
            )
        wish = f"--gpus {self._gpus}" if self._gpus is not None else f"--cpu {self._cpu or 1}"
        return f"no node of the cluster has a device for {wish}{''.join(refused[:3])}"

    def _names(self) -> str:
        names = [node.name for node in self._nodes]
        return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

    def prepare(self, data_sets: Sequence[Images]) -> None:
        self._data_sets = data_sets
        used = {berth.node.id: berth.node for berth in self._berths}
        calls = {node: self._preparing(node) for node in used.values()}
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

    def _preparing(self, node: Node) -> Any:
        return task_on(node, prepare).remote(str(Path.cwd()), list(self._data_sets))

    def _welcome(self, node: Node) -> Sequence[Berth]:
        """Take what is wanted of a node that has come while the launch runs, or say why it is of no use."""
        self._nodes = [other for other in nodes() if other.id != node.id] + [node]  # one that was lost has no host
        berths = [Berth(node, cores, post(node, cores)) for cores in self._asked(node)]
        self._berths += berths
        self._take(berths)
        taken = [berth for berth in berths if berth.device is not None]
        try:
            if taken:
                self._check_class(taken)
                self._get_data(node)
        except (DeviceError, ray.exceptions.RayError) as error:
            self._refuse(node, str(error) if isinstance(error, DeviceError) else reason(error))
            taken = []
        for berth in berths:
            if berth not in taken:
                dismiss(berth)
        for berth in taken:
            assert berth.device is not None
            berth.device = replace(berth.device, index=self._count)
            self._count += 1
        self._say_refused(taken)
        return taken

    def _get_data(self, node: Node) -> None:
        """Have a node get the data sets, for as long as anybody wants it."""
        call = self._preparing(node)
        while not ray.wait([call], timeout=1.0)[0]:
            if self._newcomers is not None and self._newcomers.is_closing:
                ray.cancel(call, force=True)
                raise DeviceError("the launch has ended before it was ready")
        ray.get(call)

    def _check_class(self, berths: Sequence[Berth]) -> None:
        """Refuse Devices of a class that the launch has not judged."""
        ours = {device.device_class for device in self.devices}
        others = {berth.device.device_class for berth in berths if berth.device is not None} - ours
        if others:
            measured = ", ".join(sorted(ours))
            raise DeviceError(f"its devices are of the class {min(others)}, and this launch measures {measured}")

    def verdicts(self, device: Device, names: Sequence[str]) -> Mapping[str, Verdict]:
        berth = next(berth for berth in self._berths if berth.device == device)
        try:
            found: Mapping[str, Verdict] = ray.get(berth.station.verdicts.remote(device, names))
        except ray.exceptions.RayError as error:
            raise DeviceError(f"node {berth.node.name}: {reason(error)}") from None
        return found

    def fleet(self, folder: Path) -> Fleet:
        digest = hashlib.sha256(f"{socket.gethostname()}:{folder.absolute()}".encode()).hexdigest()[:12]
        self._newcomers = Newcomers(self._nodes, self._welcome)
        return RayFleet(self._berths, folder, f"{folder.name}-{digest}", self._newcomers.ready)

    def close(self) -> None:
        if self._newcomers is not None:
            self._newcomers.close(self._dismiss_all)
        self._dismiss_all()
        with suppress(ray.exceptions.RayError):
            self._leave()

    def _dismiss_all(self) -> None:
        for berth in self._berths:
            dismiss(berth)
