"""A trained network as an ONNX file."""

from __future__ import annotations

import json
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from paretosearch.data import ImageSet
from paretosearch.files import replacing
from paretosearch.training.portable.errors import NotPortableError
from paretosearch.training.portable.wide import examples

#: What torch needs for it.
PACKAGES = ("onnx", "onnxscript")

#: Who made the file, at whose beginning this stands.
PRODUCER = "paretosearch"


def save_onnx(model: nn.Module, images: ImageSet, file: Path) -> None:
    """Write a network as ONNX: ``images`` (N, C, H, W), float32, normalised, to ``logits`` (N, K), for any N.

    The metadata has ``classes``, ``mean``, ``std`` and ``image_size``, each as JSON.

    Args:
        model: The network, as `wide` gives it.
        images: What it was trained on.
        file: Where to.

    Raises:
        NotPortableError: If a package is missing, or torch cannot write this network so.
        OSError: If the file cannot be written.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise NotPortableError(f"it needs {' and '.join(missing)} (pip install 'paretosearch[onnx]')")
    try:
        program = _exported(model, images)
        facts = {"classes": images.classes, "mean": images.mean, "std": images.std, "image_size": images.image_size}
        program.model.producer_name = PRODUCER
        program.model.metadata_props.update({name: json.dumps(value) for name, value in facts.items()})
        content = program.model_proto.SerializeToString()
    except Exception as error:  # the exporter raises anything, and the weights are there without it
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise NotPortableError(f"torch cannot write this network as ONNX ({lines[0].rstrip('.')})") from None
    with replacing(file) as opened:
        opened.write(content)


def _exported(model: nn.Module, images: ImageSet) -> Any:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # its remarks on itself are no news to the user
        return torch.onnx.export(
            model,
            (examples(images),),
            dynamo=True,
            verbose=False,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
