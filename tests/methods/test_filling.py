import copy

import pytest
import torch
import torch.fx
from torch import nn

from paretosearch import methods, nets
from paretosearch.errors import RecipeError
from paretosearch.method import Pool, Slot

POOLINGS = [method for method in methods.CATALOGUE if method.slot is Slot.POOLING]
REPLACING = [method for method in POOLINGS if method.name != "native"]

every_replacing = pytest.mark.parametrize("method", REPLACING, ids=lambda method: method.name)


def small(name="resnet8", size=16):
    torch.manual_seed(0)
    return nets.build(name, classes=3, channels=1, image_size=size, width=0.25)


def strides(model):
    ops_of_places = {m.op for m in model.modules() if isinstance(m, Pool)}
    layers = (m for m in model.modules() if isinstance(m, nn.Conv2d | nn.AvgPool2d) and m not in ops_of_places)
    return [m.stride if isinstance(m.stride, tuple) else (m.stride, m.stride) for m in layers]


def ops(model):
    return [type(m.op) for m in model.modules() if isinstance(m, Pool)]


def test_native_changes_nothing():
    model = methods.by_name("native")().edit_model(small())
    assert ops(model) == [nn.Identity, nn.Identity]
    assert strides(model).count((2, 2)) == 4


@every_replacing
def test_a_filled_residual_network_halves_its_maps_by_pooling_alone(method):
    model = method().edit_model(small())
    assert nn.Identity not in ops(model)
    assert (2, 2) not in strides(model)
    sizes = []
    for block in model:
        block.register_forward_hook(lambda _module, _x, out: sizes.append(tuple(out.shape[2:])))
    model(torch.rand(2, 1, 16, 16))
    assert sizes[:-1] == [(16, 16), (16, 16), (8, 8), (8, 8), (4, 4), (4, 4)]


@every_replacing
def test_a_chain_has_its_max_poolings_replaced(method):
    model = method().edit_model(small("vgg11", 32))
    assert len(ops(model)) == 5
    assert len(set(ops(model))) == 1


@every_replacing
def test_a_network_without_places_is_refused_in_one_line(method):
    with pytest.raises(RecipeError, match=f'pooling = "{method.name}".*use "native"') as caught:
        method().edit_model(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()))
    assert "\n" not in str(caught.value)


def test_native_takes_a_network_without_places():
    model = nn.Sequential(nn.Conv2d(1, 2, 3))
    assert methods.by_name("native")().edit_model(model) is model


@every_replacing
def test_filling_a_copy_leaves_the_original_alone(method):
    original = small()
    copied = copy.deepcopy(original)
    method().edit_model(copied)
    assert strides(original).count((2, 2)) == 4
    assert (2, 2) not in strides(copied)
    assert ops(original) == [nn.Identity, nn.Identity]


@pytest.mark.parametrize("training", [True, False])
@every_replacing
def test_a_filled_network_is_traced_with_one_step_for_each_place(method, training):
    model = method().edit_model(small()).train(training)
    traced = torch.fx.symbolic_trace(model)
    assert not any("rand" in str(node.target) for node in traced.graph.nodes)
    x = torch.rand(4, 1, 16, 16)
    torch.manual_seed(1)
    expected = model(x)
    torch.manual_seed(1)
    assert torch.equal(traced(x), expected)
    if method.name in ("stochastic", "s3") and training:
        assert not torch.equal(traced(x), expected), "the graph must draw anew"


def test_max_and_avg_are_the_plain_ones():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    filled = {m.name: m().edit_model(nn.Sequential(Pool(native=nn.MaxPool2d(3))))(x) for m in POOLINGS}
    assert filled["max"].flatten().tolist() == [5, 7, 13, 15]
    assert filled["avg"].flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert filled["native"].flatten().tolist() == [10]


def test_s3_hands_its_grid_to_every_place():
    model = methods.by_name("s3")(grid=8).edit_model(small())
    assert [m.op.grid for m in model.modules() if isinstance(m, Pool)] == [8, 8]
