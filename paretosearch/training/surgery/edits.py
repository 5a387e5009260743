"""Changes that are prepared first, then made all at once."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from paretosearch.errors import SurgeryError


class Edits:
    """A list of changes to tensors and modules that nobody sees before `commit`."""

    def __init__(self) -> None:
        self._tensors: list[tuple[Tensor, Tensor]] = []
        self._attributes: list[tuple[nn.Module, str, int | tuple[int, int]]] = []
        self._actions: list[Callable[[], object]] = []

    def replace(self, tensor: Tensor, new: Tensor, shape: tuple[int, ...], name: str) -> None:
        """Plan to give a tensor new contents; it stays the same object.

        Args:
            tensor: A parameter, a buffer, or state of one.
            new: Its new contents.
            shape: Shape that the contents must have.
            name: What to call it in a complaint.

        Raises:
            SurgeryError: If the contents have another shape, device or number format than they must.
        """
        if tuple(new.shape) != shape or new.dtype != tensor.dtype or new.device != tensor.device:
            raise SurgeryError(
                f"{name} would become {new.dtype} {tuple(new.shape)} on {new.device}, "
                f"and it must be {tensor.dtype} {shape} on {tensor.device}; nothing was changed"
            )
        self._tensors.append((tensor, new))

    def set(self, module: nn.Module, attribute: str, value: int | tuple[int, int]) -> None:
        """Plan to set an attribute of a module."""
        self._attributes.append((module, attribute, value))

    def do(self, action: Callable[[], object]) -> None:
        """Plan a change that cannot fail."""
        self._actions.append(action)

    def commit(self) -> None:
        """Make all changes; gradients, whose shapes are the old ones, go."""
        for tensor, new in self._tensors:
            if tensor.grad is not None:
                tensor.grad = None
            tensor.data = new
        for module, attribute, value in self._attributes:
            setattr(module, attribute, value)
        for action in self._actions:
            action()
