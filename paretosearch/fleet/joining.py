"""Finds the nodes that come into a cluster while a launch runs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Sequence

import ray

from paretosearch.fleet.nodes import Berth, Node, nodes

#: How often a launch looks for nodes that were not there before.
LOOK_SECONDS = 10.0

#: A node that has just come is waited for as long at the end of a launch.
CLOSE_SECONDS = 60.0


class Newcomers:
    """Looks for nodes in a thread of its own, as a node may take minutes to get ready.

    Args:
        known: Nodes that were there before, whether they are used or not; one that was lost comes back as another.
        welcome: Takes what is wanted of a node, ready to train.
    """

    def __init__(self, known: Iterable[Node], welcome: Callable[[Node], Sequence[Berth]]) -> None:
        self._known = {node.id for node in known}
        self._welcome = welcome
        self._ready: queue.SimpleQueue[Berth] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._look, name="newcomers", daemon=True)
        self._thread.start()

    def ready(self) -> Iterable[Berth]:
        """Give the Devices that can be trained on since the last call."""
        while not self._ready.empty():
            yield self._ready.get()

    @property
    def is_closing(self) -> bool:
        """Whether nobody wants the Devices of another node any more."""
        return self._closing.is_set()

    def close(self, hurry: Callable[[], None]) -> None:
        """Look no more, and wait until the thread has ended: a call of Ray's after its end would start a cluster here.

        Args:
            hurry: Ends what the thread may be waiting for.
        """
        self._closing.set()
        hurry()
        self._thread.join(CLOSE_SECONDS)

    def _look(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            try:
                found = [node for node in nodes() if node.id not in self._known]
            except (ray.exceptions.RayError, ConnectionError, RuntimeError):
                continue  # the head is away; whether it comes back, the Fleet will see
            for node in found if not self.is_closing else ():
                self._known.add(node.id)
                for berth in self._welcome(node):
                    self._ready.put(berth)
