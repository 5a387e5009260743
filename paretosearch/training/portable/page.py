"""The text of the file that holds a trained network for other programs."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence

from paretosearch.data import ImageSet

#: How the file begins, by which it is told from one that somebody else wrote.
FIRST_LINE = '"""A trained network for any program: this file needs PyTorch alone, its weights are in weights.pt.'

_PAGE = '''{first_line}

    import torch
    from PIL import Image, ImageOps
    from torchvision.transforms.v2.functional import pil_to_tensor

    from network import CHANNELS, CLASSES, IMAGE_SIZE, Network, normalised

    network = Network()
    network.load_state_dict(torch.load("weights.pt", weights_only=True))
    network.eval()

    image = Image.open("image.png").convert("RGB" if CHANNELS == 3 else "L")
    pixels = pil_to_tensor(ImageOps.fit(image, (IMAGE_SIZE, IMAGE_SIZE)))[None]
    with torch.no_grad():
        probabilities = network(normalised(pixels)).softmax(1)[0]
    print(CLASSES[int(probabilities.argmax())], float(probabilities.max()))

It is for inference: poolings and the like do what they do in evaluation. It was trained in {number_format}, and
computes in float32, or in what the weights and the images are converted to.
"""

from __future__ import annotations

{imports}

#: What the outputs stand for, in their order.
CLASSES = {classes}

#: Channels of an image, and its edge in pixels.
CHANNELS = {channels}
IMAGE_SIZE = {image_size}

#: Mean and standard deviation of each channel of the training images, of pixels in [0, 1].
MEAN = {mean}
STD = {std}


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """Bring pixels (N, CHANNELS, IMAGE_SIZE, IMAGE_SIZE), uint8, to what the network was trained on, float32."""
    mean, std = (torch.tensor(values, device=pixels.device).view(1, -1, 1, 1) for values in (MEAN, STD))
    return (pixels.float() / 255 - mean) / std


class Network(nn.Module):
    """Gives logits (N, {outputs}) of normalised images (N, CHANNELS, IMAGE_SIZE, IMAGE_SIZE)."""

    def __init__(self) -> None:
        super().__init__()
{layers}

{forward}


def put(root: nn.Module, name: str, value: nn.Module | torch.Tensor, persistent: bool = True) -> None:
    """Give a layer, a parameter or a buffer its place, by the name that it has in weights.pt."""
    *above, last = name.split(".")
    for step in above:
        if step not in root._modules:
            root.add_module(step, nn.Module())
        root = root._modules[step]
    if isinstance(value, nn.Module):
        root.add_module(last, value)
    elif isinstance(value, nn.Parameter):
        root.register_parameter(last, value)
    else:
        root.register_buffer(last, value, persistent)
{functions}'''

#: What the code may ask for, besides what its functions import.
_IMPORTS = {
    "torch": "import torch",
    "nn": "from torch import nn",
    "Tensor": "from torch import Tensor",
    "device": "from torch import device",
    "inf": "from math import inf",
    "nan": "from math import nan",
}


def page(
    images: ImageSet, number_format: str, layers: Sequence[str], functions: Mapping[str, str], forward: str
) -> str:
    """Put the file together.

    Args:
        images: What the network was trained on: its classes, its normalisation.
        number_format: What it was trained in.
        layers: Lines that make its layers.
        functions: Imports, constants and functions that its forward pass needs, by name.
        forward: The method that runs it.

    Returns:
        The text of a Python module. Names of classes, which may be anything, are in it as literals alone.
    """
    head, _, body = forward.partition("\n")
    others = "".join(f"\n\n{text.rstrip()}\n" for text in functions.values() if not _is_import(text))
    asked = {line for name, line in _IMPORTS.items() if re.search(rf"(?<!\.)\b{name}\b", f"{others}{forward} torch nn")}
    asked |= {text.rstrip() for text in functions.values() if _is_import(text)}
    return _PAGE.format(
        first_line=FIRST_LINE,
        number_format=number_format,
        imports="\n".join(sorted(asked, key=lambda line: (line.startswith("from"), line))),
        classes=_lines(images.classes),
        channels=images.channels,
        image_size=images.image_size,
        mean=tuple(images.mean),
        std=tuple(images.std),
        outputs=len(images.classes),
        layers=textwrap.indent("\n".join(layers), " " * 8),
        forward=textwrap.indent(f"{head}\n    layer = self.get_submodule\n{body}", " " * 4).rstrip(),
        functions=others,
    )


def _is_import(text: str) -> bool:
    return text.startswith(("import ", "from "))


def _lines(names: Sequence[str]) -> str:
    """Write a tuple of texts, one a line."""
    return "(\n" + "".join(f"    {name!a},\n" for name in names) + ")"
