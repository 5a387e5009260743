"""Which machines of a launch have lost its data set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from paretosearch.device import Device
from paretosearch.fleet.base import Assignment
from paretosearch.outcome import Outcome


class DataLosses:
    """Machines whose data set is gone, or has become another: no trial could do better there, on whichever Device."""

    def __init__(self) -> None:
        self._why: dict[str, str] = {}  # by host

    def __bool__(self) -> bool:
        return bool(self._why)

    def __str__(self) -> str:
        """What was lost first, and where."""
        return next(iter(self._why.values()), "")

    def note(self, device: Device, assignment: Assignment, outcome: Outcome) -> str:
        """Take in an Outcome of class ``data``; says what is lost."""
        said = f"{device.host} has lost {assignment.recipe.dataset} since the launch began ({outcome.message})"
        return self._why.setdefault(device.host, said)

    def make_good(self, device: Device) -> None:
        """Forget what a machine had lost, which has got it again."""
        self._why.pop(device.host, None)

    def spared(self, devices: Iterable[Device]) -> Sequence[Device]:
        """Leave out Devices of machines without the data."""
        return [device for device in devices if device.host not in self._why]
