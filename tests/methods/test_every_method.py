from itertools import combinations

import pytest

from paretosearch.methods import CATALOGUE, compatibility
from paretosearch.testing import methods as suite

PAIRS = [
    (a, b)
    for a, b in combinations(CATALOGUE, 2)
    if (a.slot is None or a.slot is not b.slot) and not compatibility.forbidden(a.name, b.name)
]

every_method = pytest.mark.parametrize("method", CATALOGUE, ids=lambda method: method.name)


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


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=lambda method: method.name)
def test_two_methods_that_may_be_combined_train_together(first, second):
    suite.check_pair(first, second)
