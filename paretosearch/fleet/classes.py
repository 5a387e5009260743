"""The classes of device of a launch: what each can do, and which are still there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from paretosearch.device import Device
from paretosearch.recipe import Recipe


class Classes:
    """The Devices of a launch by class; the Launcher says who comes and who goes.

    Args:
        reference: The class whose seconds the sampler sees.
        devices: Devices of the launch.
        formats: Number formats that each class may have, by class; a class that is not named may have all.
    """

    def __init__(
        self, reference: str, devices: Iterable[Device], formats: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self.reference = reference
        self._formats = dict(formats or {})
        self._there: dict[str, Device] = {}  # by UUID
        self._without_data: set[str] = set()  # hosts
        for device in devices:
            self.joined(device)

    def joined(self, device: Device) -> None:
        """Note that a Device has come, to a host that has the data."""
        self._there[device.uuid] = device
        self._without_data.discard(device.host)

    def retired(self, device: Device) -> None:
        """Note that a Device gets no more work."""
        self._there.pop(device.uuid, None)

    def lost_data(self, host: str) -> None:
        """Note that nothing more can begin on a host."""
        self._without_data.add(host)

    @property
    def present(self) -> frozenset[str]:
        """Classes of which a Device is still there that has the data."""
        there = self._there.values()
        return frozenset(device.device_class for device in there if device.host not in self._without_data)

    def admits(self, device_class: str, recipe: Recipe) -> bool:
        """Whether a class can do what a Recipe asks, and is not hopelessly slow at it."""
        formats = self._formats.get(device_class)
        return formats is None or recipe.number_format in formats

    def able(self, recipe: Recipe) -> frozenset[str]:
        """Give the classes that are there and admit a Recipe."""
        return frozenset(name for name in self.present if self.admits(name, recipe))
