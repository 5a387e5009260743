import copy
import io

import pytest
import torch
from torch import nn

from paretosearch import nets
from paretosearch.errors import RecipeError
from paretosearch.method import Pool, fill_pools


def block(stride=2):
    conv, shortcut = nn.Conv2d(1, 1, 3, stride, padding=1), nn.AvgPool2d(1, (stride, stride))
    return nn.ModuleDict({"pool": Pool(strided=(conv, shortcut)), "conv": conv, "shortcut": shortcut})


def strides(module):
    return [m.stride for m in module.modules() if isinstance(m, nn.Conv2d | nn.AvgPool2d)]


def test_an_empty_place_passes_the_map_on():
    x = torch.randn(1, 1, 4, 4)
    assert Pool()(x) is x


def test_a_native_pooling_is_used_until_the_place_is_filled():
    place, x = Pool(native=nn.AvgPool2d(4)), torch.arange(16.0).view(1, 1, 4, 4)
    assert place(x).flatten().tolist() == [7.5]
    place.fill(nn.MaxPool2d(2))
    assert place(x).flatten().tolist() == [5, 7, 13, 15]


def test_filling_takes_the_strides_of_the_layers_behind():
    made = block()
    made["pool"].fill(nn.MaxPool2d(2))
    assert strides(made) == [(1, 1), (1, 1)]


def test_the_layers_belong_to_their_block_alone():
    assert list(Pool(strided=(nn.Conv2d(1, 1, 3, 2),)).parameters()) == []
    assert set(block().state_dict()) == {"conv.weight", "conv.bias"}


@pytest.mark.parametrize("first", ["pool", "conv"])
def test_a_copy_has_places_over_its_own_layers(first):
    original = block()
    original = nn.ModuleDict({name: original[name] for name in sorted(original, key=lambda name: name != first)})
    copied = copy.deepcopy(original)
    copied["pool"].fill(nn.MaxPool2d(2))
    assert strides(copied) == [(1, 1), (1, 1)]
    assert strides(original) == [(2, 2), (2, 2)]


def test_a_network_read_back_whole_has_places_over_its_own_layers():
    file = io.BytesIO()
    torch.save(nets.build("resnet8", classes=2, channels=1, image_size=8, width=0.25), file)
    file.seek(0)
    read = torch.load(file, weights_only=False)
    fill_pools(read, lambda: nn.MaxPool2d(2), "max")
    assert set(strides(read)) == {(1, 1)}


def test_filling_none_is_an_error():
    with pytest.raises(RecipeError, match='pooling = "s3" needs a network with places to pool'):
        fill_pools(nn.Sequential(nn.ReLU()), nn.Identity, "s3")
