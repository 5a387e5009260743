"""The seam between a launch and the place where its Devices are: this machine, or the nodes of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

from paretosearch.device import Device
from paretosearch.errors import UsageError
from paretosearch.fleet import devices as device_choice
from paretosearch.fleet import formats
from paretosearch.fleet.base import Fleet
from paretosearch.fleet.local import LocalFleet

#: Who runs the Workers.
FleetName = Literal["local", "ray"]

#: Name and image size of a data set, and its digest; None is any.
Images = tuple[str, int, str | None]


@dataclass(frozen=True)
class Wish:
    """What a command line says about where to train.

    Args:
        gpus: ``0,1,2,3`` or ``all``; None for no wish.
        cpu: ``2``, ``2x4`` or ``1x1,1x2``; None for no wish.
        fleet: ``local`` for this machine, ``ray`` for the nodes of a Ray cluster, where the two above are of each node.
        ray_address: ``HOST:PORT`` of the cluster; None is ``RAY_ADDRESS``, else the one that this machine belongs to.
    """

    gpus: str | None = None
    cpu: str | None = None
    fleet: FleetName = "local"
    ray_address: str | None = None

    def check(self) -> None:
        """Say what cannot be meant, without looking at any other machine.

        Raises:
            UsageError: If a wish cannot be read, or Ray is wanted and not installed.
            DeviceError: If a GPU of this machine does not exist.
        """
        if self.fleet == "local":
            if self.ray_address is not None:
                raise UsageError(f"--ray-address {self.ray_address} is of a Ray cluster; add --fleet ray")
            device_choice.wanted(self.gpus, self.cpu)
            return
        if self.gpus is not None:
            device_choice.gpu_numbers(self.gpus)
        if self.cpu is not None:
            device_choice.slots(self.cpu)
        if find_spec("ray") is None:
            raise UsageError("--fleet ray needs Ray, which is not installed: pip install 'paretosearch[ray]'")


class Site(Protocol):
    """Where a launch finds Devices, and what must be done there."""

    @property
    def has_gpus(self) -> bool:
        """Whether the wish is for GPUs, or may be and there are some."""

    @property
    def devices(self) -> Sequence[Device]:
        """Devices that are taken, in the order of the launch."""

    def reserve(self) -> None:
        """Take the Devices, for this launch alone.

        Raises:
            DeviceError: If they are not to be had.
        """

    def prepare(self, data_sets: Sequence[Images]) -> None:
        """Get data sets, which this machine has by now, to every machine that trains.

        Raises:
            DataError: If no machine can get them, or all have others of the same name.
        """

    def verdicts(self, device: Device, names: Sequence[str]) -> Mapping[str, formats.Verdict]:
        """Judge number formats on one of the Devices, as `formats.verdicts` does."""

    def fleet(self, folder: Path) -> Fleet:
        """Make Workers of the Devices, for a spool folder of this machine."""

    def close(self) -> None:
        """Give the Devices back."""


class LocalSite:
    """The machine of the Launcher itself.

    Args:
        wish: What to take.

    Raises:
        UsageError: If the wish cannot be read.
        DeviceError: If a GPU does not exist.
    """

    def __init__(self, wish: Wish) -> None:
        self._wish = device_choice.wanted(wish.gpus, wish.cpu)
        self._reservation: device_choice.Reservation | None = None

    @property
    def has_gpus(self) -> bool:
        return bool(self._wish.cuda)

    @property
    def devices(self) -> Sequence[Device]:
        return self._reservation.devices if self._reservation else ()

    def reserve(self) -> None:
        self._reservation = device_choice.Reservation(self._wish)

    def prepare(self, data_sets: Sequence[Images]) -> None:
        """Nothing to do: they are here."""

    def verdicts(self, device: Device, names: Sequence[str]) -> Mapping[str, formats.Verdict]:
        return formats.verdicts(device, names)

    def fleet(self, folder: Path) -> Fleet:
        return LocalFleet(self.devices, folder)

    def close(self) -> None:
        if self._reservation:
            self._reservation.release()


def open_site(wish: Wish, say: Callable[[str], None]) -> Site:
    """Go to where the Devices of a wish are.

    Args:
        wish: What the command line says.
        say: Called with what the user should know about machines that are left out.

    Raises:
        UsageError: If the wish cannot be meant, or Ray is wanted and not installed.
        DeviceError: If a GPU does not exist, or there is no such cluster.
    """
    wish.check()
    if wish.fleet == "local":
        return LocalSite(wish)
    from paretosearch.fleet.cluster import RaySite  # the one import of Ray, which few have

    return RaySite(wish, say)
