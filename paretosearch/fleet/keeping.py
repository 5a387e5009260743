"""Writes a trained network into a folder, for this program and for any other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from paretosearch.files import replacing
from paretosearch.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

    from paretosearch.data import ImageSet

#: Beside the weights, the Recipe and the Outcome; one of another training would be taken for this one's.
SCRIPT, ONNX = "network.py", "model.onnx"

#: Where in a file of ours its mark is.
MARKED_BYTES = 256


def keep(model: nn.Module, recipe: Recipe, images: ImageSet, folder: Path, onnx: bool = False) -> Sequence[str]:
    """Write the weights, the Recipe, and the network as a file of Python.

    Args:
        model: The network, as it was evaluated.
        recipe: What was trained.
        images: What on.
        folder: Where to.
        onnx: Whether to write the network as ONNX too.

    Returns:
        A line on each file that could not be written, since the network is not made for it or a package is missing.

    Raises:
        OSError: If the folder does not take a file.
    """
    import torch

    from paretosearch.training.portable import plain

    model = plain(model)
    weights = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    (folder / "outcome.json").unlink(missing_ok=True)  # of an earlier training; this one's comes last
    with replacing(folder / "weights.pt") as file:
        torch.save(weights, file)
    with replacing(folder / "recipe.json") as file:
        file.write(f"{recipe.to_json()}\n".encode())
    return _for_others(model, recipe, images, folder, onnx)


def _for_others(model: nn.Module, recipe: Recipe, images: ImageSet, folder: Path, onnx: bool) -> Sequence[str]:
    """Write the network down for other programs; gives a line on each form in which that cannot be done."""
    from paretosearch.training.portable import FIRST_LINE, PRODUCER, NotPortableError, save_onnx, script_of, wide

    script, exchange = folder / SCRIPT, folder / ONNX
    # Of an earlier training, they would be taken for this one's.
    _forget(script, FIRST_LINE)
    _forget(exchange, PRODUCER)

    def write_script() -> None:
        text = script_of(wide(model), images, recipe.number_format)
        with replacing(script) as file:
            file.write(text.encode())

    def write_onnx() -> None:
        save_onnx(wide(model), images, exchange)

    left_out = []
    for file, write in ((script, write_script), *([(exchange, write_onnx)] if onnx else [])):
        try:
            if file.exists() and not file.is_symlink():  # a link is replaced, and not followed
                raise NotPortableError("another file of this name is there; name another folder by --out")
            write()
        except NotPortableError as error:
            left_out.append(f"{file.name} is left out: {error}")
    return left_out


def _forget(file: Path, mark: str) -> None:
    """Delete a file that we wrote; what somebody else wrote stays."""
    if file.is_symlink() or not file.is_file():
        return
    with file.open("rb") as opened:
        ours = mark.encode() in opened.read(MARKED_BYTES)
    if ours:
        file.unlink()
