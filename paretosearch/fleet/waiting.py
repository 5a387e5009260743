"""Trainings that wait to be tried again, or to go on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import replace

from paretosearch.device import Device
from paretosearch.fleet.work import Ticket
from paretosearch.outcome import Outcome

#: A training that was lost is tried again after so many others: what has killed it may be over by then.
LATER_ATTEMPTS = 8


class WaitingList:
    """Tickets in the order in which they came, but for those that were lost: later, and elsewhere if that can be."""

    def __init__(self) -> None:
        self._tickets: deque[Ticket] = deque()
        self._ended = 0

    def __iter__(self) -> Iterator[Ticket]:
        return iter(self._tickets)

    def clear(self) -> None:
        """Forget all of them."""
        self._tickets.clear()

    def put_first(self, ticket: Ticket) -> None:
        """Add one to be trained next."""
        self._tickets.appendleft(ticket)

    def put(self, ticket: Ticket) -> None:
        """Add one that goes on as soon as it is its turn."""
        self._tickets.append(ticket)

    def put_again(self, ticket: Ticket, device: Device, outcome: Outcome, devices: Iterable[Device]) -> None:
        """Add one that was stopped on a Device, or lost: that later, and on another of the Devices if one suits."""
        if outcome.failure != "infrastructure":
            self.put(replace(ticket, lost_on=None, not_before=0))
            return
        others = [other for other in devices if other != device and ticket.suits(other)]
        not_before = self._ended + LATER_ATTEMPTS
        self.put(replace(ticket, lost_on=device.uuid if others else None, not_before=not_before))

    def count_ended(self) -> None:
        """Note that an Attempt has ended."""
        self._ended += 1

    def ready(self, device: Device | None) -> Ticket | None:
        """Take the first that a Device may train now, whatever else there is to do; None is any Device."""
        elsewhere = self._lost_elsewhere(device)
        return self._taken(next((ticket for ticket in elsewhere if ticket.not_before <= self._ended), None))

    def stranded(self, present: Set[str]) -> Sequence[Ticket]:
        """Take out those that no class can have that is still there; none if no class is, as the launch ends then."""
        found = [
            ticket for ticket in self._tickets if present and not (ticket.classes is None or ticket.classes & present)
        ]
        for ticket in found:
            self._tickets.remove(ticket)
        return found

    def count_unsuited(self, device: Device) -> int:
        """Count those that wait for a Device of another class."""
        return sum(not ticket.suits(device) for ticket in self._tickets)

    def rest(self, device: Device | None, is_alone: Callable[[Ticket], bool]) -> Ticket | None:
        """Take one that had better wait, as there is nothing else; what a Device has lost itself, if it is alone."""
        elsewhere = next(self._lost_elsewhere(device), None)
        anyhow = next(self._suited(device), None)
        return self._taken(elsewhere or (anyhow if anyhow is not None and is_alone(anyhow) else None))

    def _lost_elsewhere(self, device: Device | None) -> Iterator[Ticket]:
        return (ticket for ticket in self._suited(device) if device is None or ticket.lost_on != device.uuid)

    def _suited(self, device: Device | None) -> Iterator[Ticket]:
        return (ticket for ticket in self._tickets if ticket.suits(device))

    def _taken(self, ticket: Ticket | None) -> Ticket | None:
        if ticket is not None:
            self._tickets.remove(ticket)
        return ticket
