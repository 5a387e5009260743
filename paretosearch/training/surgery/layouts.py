"""The channel layouts of activations while a network is being analysed."""

from __future__ import annotations

from dataclasses import dataclass

from paretosearch.channels import Role


@dataclass(frozen=True)
class Piece:
    """A run of channels of one group, each ``repeat`` neighbouring entries long."""

    group: int
    repeat: int = 1


#: What lies along dimension 1 of an activation, in order.
Layout = tuple[Piece, ...]


@dataclass(frozen=True)
class Use:
    """A dimension of a module's tensor that follows a layout."""

    module: str
    tensor: str
    dim: int
    layout: Layout
    role: Role
    attributes: tuple[str, ...]


class Groups:
    """Groups of channels that grow together by union: a disjoint-set forest with a size and a reason to be frozen."""

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._sizes: list[int] = []
        self._reasons: dict[int, str] = {}

    def new(self, size: int, frozen: str | None = None) -> Layout:
        """Start a group; gives the layout of an activation that holds nothing else."""
        group = len(self._parents)
        self._parents.append(group)
        self._sizes.append(size)
        if frozen is not None:
            self._reasons[group] = frozen
        return (Piece(group),)

    def root(self, group: int) -> int:
        """Give the one member that stands for a group."""
        while self._parents[group] != group:
            group = self._parents[group]
        return group

    def size(self, group: int) -> int:
        """Give the number of channels."""
        return self._sizes[self.root(group)]

    def reason(self, group: int) -> str | None:
        """Give why a group is frozen, or None."""
        return self._reasons.get(self.root(group))

    def freeze(self, layout: Layout, reason: str) -> None:
        """Freeze every group of a layout; the first reason stays."""
        for piece in layout:
            self._reasons.setdefault(self.root(piece.group), reason)

    def unite(self, one: Layout, other: Layout, where: str) -> None:
        """Make two layouts share their channels, or freeze both where they are cut differently."""
        if self._cuts(one) != self._cuts(other):
            self.freeze(one + other, f"{where} joins channels that are grouped differently")
            return
        for a, b in zip(one, other, strict=True):
            self._merge(self.root(a.group), self.root(b.group))

    def length(self, layout: Layout) -> int:
        """Give the number of entries along the dimension."""
        return sum(self.size(piece.group) * piece.repeat for piece in layout)

    def _cuts(self, layout: Layout) -> list[tuple[int, int]]:
        return [(self.size(piece.group), piece.repeat) for piece in layout]

    def _merge(self, a: int, b: int) -> None:
        first, second = min(a, b), max(a, b)
        if first == second:
            return
        self._parents[second] = first
        reason = self._reasons.pop(second, None)
        if reason is not None:
            self._reasons.setdefault(first, reason)
