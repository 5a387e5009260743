"""What is kept of a network fits together, whatever layers it was trained with."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from paretosearch import methods, nets
from paretosearch.axis import Value
from paretosearch.fleet.keeping import keep
from paretosearch.recipe import Recipe
from paretosearch.testing.images import image_set

NORMALISATIONS: dict[str, dict[str, Value]] = {
    "ghost_norm": {"size": 8},
    "weight_norm": {"form": "mean_only"},
    "standardization_loss": {"strength": 0.001},
    "ssf": {"structure": "initial"},
}


@pytest.mark.parametrize("name", NORMALISATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_weights_fit_the_file_that_makes_the_network(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    torch.manual_seed(0)
    images, recipe = image_set(), Recipe("stripes", "resnet8", methods={name: NORMALISATIONS[name]})
    model = nets.build("resnet8", classes=4, channels=1, image_size=12, width=0.5)
    model = methods.by_name(name)(**NORMALISATIONS[name]).edit_model(model)
    x = images.test.images[:8] / 255.0
    model(x)  # running averages
    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            layer.to(dtype)
    assert keep(model, recipe, images, tmp_path) == []
    spec = importlib.util.spec_from_file_location("network", tmp_path / "network.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.Network()
    network.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    with torch.no_grad():
        ours, theirs = model.float().eval()(x), network.eval()(x)
    assert ours.std() > 1e-3
    assert float((theirs - ours).abs().max() / ours.abs().max()) < (1e-6 if dtype is torch.float32 else 0.05)
