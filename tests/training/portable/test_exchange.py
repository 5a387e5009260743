"""A trained network as ONNX gives what it gives here, for any number of images."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from paretosearch import nets
from paretosearch.filters import FixedFilters
from paretosearch.methods.s3 import S3Pooling
from paretosearch.testing.images import image_set
from paretosearch.testing.surgery import randomised
from paretosearch.training.portable import NotPortableError, save_onnx, wide
from paretosearch.views import View, Views
from paretosearch.wavelets import FixedBands, band_filters

IMAGES = image_set()


@pytest.fixture
def model() -> nn.Module:
    plain = nets.build("resnet8", classes=4, channels=1, image_size=12, width=0.5)
    return wide(S3Pooling().edit_model(randomised(plain)))


@pytest.mark.filterwarnings("ignore")  # the exporter's own
def test_onnx_gives_the_same_logits_for_any_number_of_images(model: nn.Module, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    save_onnx(model, IMAGES, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    x = (IMAGES.test.images / 255 - 0.5) / 0.25
    for count in (1, 2, 64):
        (theirs,) = session.run(["logits"], {"images": x[:count].numpy()})
        with torch.no_grad():
            ours = model(x[:count]).numpy()
        assert np.abs(theirs - ours).max() <= 1e-5 * np.abs(ours).max()
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["classes"]) == list(IMAGES.classes)
    assert json.loads(facts["mean"]) == [0.5]
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]  # the weights are in it


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "filters",
    [FixedFilters(torch.randn(8, 1, 2, 2)), *(FixedBands(band_filters("haar", 1, levels)) for levels in (1, 2))],
    ids=["whitening", "bands", "bands of two levels"],
)
def test_onnx_has_all_views_and_the_filters_before_the_first_layer(
    filters: FixedFilters | FixedBands, tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network = nn.Sequential(filters, nn.Conv2d(len(filters.weight), 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    views = wide(Views(network, (View(0.5), View(0.25, shift=1), View(0.25, mirrored=True, shift=-1))))
    save_onnx(views, IMAGES, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    x = (IMAGES.test.images / 255 - 0.5) / 0.25
    for count in (1, 64):
        (theirs,) = session.run(["logits"], {"images": x[:count].numpy()})
        with torch.no_grad():
            ours = views(x[:count]).numpy()
        assert np.abs(theirs - ours).max() <= 1e-5 * np.abs(ours).max()


def test_without_its_packages_it_says_how_to_get_them(
    model: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paretosearch.training.portable.exchange.find_spec", lambda _: None)
    with pytest.raises(NotPortableError, match=r"needs onnx and onnxscript \(pip install 'paretosearch\[onnx\]'\)"):
        save_onnx(model, IMAGES, tmp_path / "model.onnx")


@pytest.mark.filterwarnings("ignore")
def test_what_torch_cannot_export_is_one_line(tmp_path: Path) -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1)[:, :4] if x.sum() > 0 else x.flatten(1)[:, 4:8]

    pytest.importorskip("onnxscript")
    with pytest.raises(NotPortableError, match="torch cannot write this network as ONNX") as error:
        save_onnx(Branching(), IMAGES, tmp_path / "model.onnx")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []
    assert "onnxscript" in sys.modules
