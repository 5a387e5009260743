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
        self._there: dict[str, str] = {}  # class of each Device, by UUID
        for device in devices:
            self.joined(device)

    def joined(self, device: Device) -> None:
        """Note that a Device has come."""
        self._there[device.uuid] = device.device_class

    def retired(self, device: Device) -> None:
        """Note that a Device gets no more work."""
        self._there.pop(device.uuid, None)

    @property
    def present(self) -> frozenset[str]:
        """Classes of which a Device is still there."""
        return frozenset(self._there.values())

    def admits(self, device_class: str, recipe: Recipe) -> bool:
        """Whether a class can do what a Recipe asks, and is not hopelessly slow at it."""
        formats = self._formats.get(device_class)
        return formats is None or recipe.number_format in formats

    def able(self, recipe: Recipe) -> frozenset[str]:
        """Give the classes that are there and admit a Recipe."""
        return frozenset(name for name in self.present if self.admits(name, recipe))
