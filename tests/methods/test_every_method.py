from itertools import combinations

import pytest

from paretosearch import methods
from paretosearch.axis import Choice
from paretosearch.methods import CATALOGUE, compatibility, dynamic_batch
from paretosearch.methods.haar_stem import HaarStem
from paretosearch.recipe import Recipe
from paretosearch.testing import acting
from paretosearch.testing import methods as suite

PAIRS = [
    (a, b)
    for a, b in combinations(CATALOGUE, 2)
    if (a.slot is None or a.slot is not b.slot) and not compatibility.forbidden(a.name, b.name)
]


class TwoLevels(HaarStem):
    """The stem of two levels, for which half of the networks in the suite have too small images."""

    space = HaarStem.space | {"levels": Choice((1, 2), default=2)}


#: Pairs of the stem, in a network whose images are large enough for two levels.
DEEP_PAIRS = [tuple(TwoLevels if m is HaarStem else m for m in pair) for pair in PAIRS if HaarStem in pair]

every_method = pytest.mark.parametrize("method", CATALOGUE, ids=lambda method: method.name)


@pytest.fixture(autouse=True)
def _few_steps_are_enough(monkeypatch):
    """Let `dynamic_batch` try another size although few steps follow."""
    monkeypatch.setattr(dynamic_batch, "LEAST_STEPS", 0)


@every_method
def test_it_describes_itself(method):
    suite.check_description(method)


@every_method
def test_it_takes_its_parameters_and_no_others(method):
    suite.check_parameters(method)


@every_method
@pytest.mark.parametrize("network", suite.NETWORKS)
def test_it_trains_every_kind_of_network(method, network):
    suite.check_training(method, network)


@every_method
def test_off_is_bit_identical_to_absent(method):
    suite.check_off(method)


@every_method
def test_it_continues_from_a_checkpoint(method):
    suite.check_checkpoint(method)


@every_method
def test_what_turns_it_on_here_is_a_recipe_that_can_be_trained(method):
    if method.switch is None:
        return
    setting = suite.suited(method)
    on = setting.turned_on(method)
    values = {method.name: {key: getattr(on, key) for key in method.space}}
    if method is dynamic_batch.DynamicBatch:
        values["net2net"] = acting.PARAMETERS["net2net"]
    recipe = Recipe("random", setting.network, epochs=setting.epochs, batch_size=suite.BATCH, methods=values)
    assert method.name in [active.name for active in methods.active(recipe)]


def test_what_is_said_to_be_idle_is_a_pair_or_a_network_of_the_suite():
    pairs = {frozenset((a.name, b.name)) for a, b in PAIRS}
    for name, beside in [*acting.IDLE, *acting.UNCERTAIN]:
        assert beside in suite.NETWORKS or frozenset((name, beside)) in pairs


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=lambda method: method.name)
def test_two_methods_that_may_be_combined_train_together(first, second):
    suite.check_pair(first, second)


@pytest.fixture
def large_images(monkeypatch):
    """Give a network of the suite images that are large enough for a stem of two levels and whatever is beside it."""
    monkeypatch.setitem(suite.NETWORKS, "convnet5", 64)
    monkeypatch.setattr(acting, "SUITED", {"max": acting.SUITED["max"], "haar_stem": "convnet5"})
    monkeypatch.setattr(suite, "_result", suite._result.__wrapped__)  # what it remembers is of smaller ones


@pytest.mark.parametrize("network", ["convnet5", "resnet8", "vgg11"])
def test_a_stem_of_two_levels_trains_in_networks_that_can_take_it(network):
    suite.check_training(TwoLevels, network)


@pytest.mark.parametrize(("first", "second"), DEEP_PAIRS, ids=lambda method: method.name)
@pytest.mark.usefixtures("large_images")
def test_a_stem_of_two_levels_trains_with_others(first, second):
    suite.check_pair(first, second)
