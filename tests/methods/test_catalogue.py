from typing import ClassVar

import pytest

from paretosearch import methods
from paretosearch.axis import Value
from paretosearch.errors import RecipeError
from paretosearch.method import NAMED_SLOTS, Method, Slot
from paretosearch.outcome import NOTES
from paretosearch.recipe import SIMULATED_METHODS, Recipe
from paretosearch.space import Space
from paretosearch.training.phases import BLOCK_STEPS


def recipe(**fields):
    return Recipe("random", "convnet", **fields)


def names(**fields):
    return [method.name for method in methods.active(recipe(**fields))]


def test_names_are_unique():
    assert len({method.name for method in methods.CATALOGUE}) == len(methods.CATALOGUE)


def test_what_happens_every_few_steps_is_in_every_block_of_the_clock():
    periods = {key: axis.values() for key, axis in methods.parameters().items() if key.endswith(".every")}
    assert set(periods) >= {
        f"{m}.every" for m in ("selective_backprop", "gradient_approximation", "standardization_loss")
    }
    assert all(values and all(BLOCK_STEPS % (value or 1) == 0 for value in values) for values in periods.values())


def test_what_is_simulated_is_known_without_the_catalogue():
    found = {m.name: (m.switch, m.off) for m in methods.CATALOGUE if m.timing == "simulated"}
    assert found == dict(SIMULATED_METHODS)
    assert set(NOTES) <= {m.name for m in methods.CATALOGUE}


def test_a_plain_recipe_has_the_networks_own_pooling_and_one_cycle():
    assert names() == ["native", "one_cycle"]


def test_the_fields_name_the_methods_of_their_slots():
    assert names(pooling="s3", schedule="constant") == ["s3", "constant"]


def test_parameters_come_from_the_recipe_or_are_the_defaults():
    pooling, schedule = methods.active(recipe(pooling="s3", methods={"s3": {"grid": 8}}))
    assert (pooling.grid, schedule.warmup) == (8, 0.2)


def test_methods_come_in_the_order_of_the_catalogue():
    active = names(pooling="max", methods={"label_smoothing": {"alpha": 0.1}, "one_cycle": {"warmup": 0.3}})
    assert active == ["max", "one_cycle", "label_smoothing"]


def test_a_method_whose_switch_is_off_is_left_out():
    assert names(methods={"label_smoothing": {"alpha": 0.0}}) == ["native", "one_cycle"]
    assert names(methods={"label_smoothing": {}}) == ["native", "one_cycle"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pooling": "maxx"}, "pooling = \"maxx\" is no pooling method (did you mean 'max'?)"),
        ({"pooling": "one_cycle"}, 'pooling = "one_cycle" is no pooling method (allowed: native, max, avg, '),
        ({"schedule": "max"}, 'schedule = "max" is no schedule method (allowed: one_cycle, constant)'),
        ({"methods": {"label_smothing": {}}}, "no method 'label_smothing' (did you mean 'label_smoothing'?)"),
        ({"methods": {"label_smoothing": {"alfa": 0.1}}}, "no parameter 'alfa' (did you mean 'alpha'?)"),
        ({"methods": {"s3": {"grid": 3}}, "pooling": "s3"}, "s3.grid = 3 is not one of 2, 4, 8, 16"),
        ({"methods": {"muon": {"renormalise": "on"}}}, "muon.renormalise = 'on' is not one of false, true"),
        ({"methods": {"muon": {"rate": True}}}, "muon.rate = true is not a number from "),
        ({"methods": {"s3": {}}, "pooling": "max"}, "max and s3 both take the pooling slot; keep one of them"),
        ({"methods": {"s3": {}}}, "native and s3 both take the pooling slot; keep one of them"),
        ({"methods": {"constant": {}}}, "one_cycle and constant both take the schedule slot; keep one of them"),
        (
            {"methods": {"swa": {"start": 0.75}, "ema": {"decay": 0.99}}},
            "swa and ema both take the averaging slot; keep one of them",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(fields, message):
    with pytest.raises(RecipeError) as caught:
        methods.active(recipe(**fields))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_methods_with_a_switch_clash_over_a_slot_only_while_both_are_on(monkeypatch):
    class Sam(Method):
        name, slot, switch, off = "sam", Slot.STEP, "rho", 0.0
        space: ClassVar = {"rho": methods.parameters()["label_smoothing.alpha"]}

    class Accumulate(Sam):
        name = "accumulate"

    monkeypatch.setattr(methods, "CATALOGUE", (*methods.CATALOGUE, Sam, Accumulate))
    assert names(methods={"sam": {"rho": 0.1}, "accumulate": {}})[-1] == "sam"
    with pytest.raises(RecipeError, match="sam and accumulate both take the step slot"):
        names(methods={"sam": {"rho": 0.1}, "accumulate": {"rho": 0.1}})


def test_by_name_finds_each_and_suggests_for_a_slip():
    assert [methods.by_name(method.name) for method in methods.CATALOGUE] == list(methods.CATALOGUE)
    with pytest.raises(RecipeError, match="did you mean 'stochastic'"):
        methods.by_name("stochastik")


def test_parameters_are_listed_with_their_defaults():
    axes = methods.parameters()
    assert axes["s3.grid"].options == (2, 4, 8, 16)
    assert all(axis.default is not None for axis in axes.values())


def test_the_space_and_the_catalogue_agree_on_what_is_active():
    axes = methods.parameters()
    fixed = {"dataset": "random", "network": "convnet", "schedule": "one_cycle"} | {
        k: a.default for k, a in axes.items()
    }
    poolings = [m.name for m in methods.CATALOGUE if m.slot is Slot.POOLING]
    space = Space(
        fixed, {"label_smoothing.alpha": axes["label_smoothing.alpha"], "pooling": None}, methods.activations()
    )
    for pooling in poolings:
        for alpha in (0.0, 0.1):
            made = methods.active(space.recipe({"pooling": pooling, "label_smoothing.alpha": alpha}))
            assert [m.name for m in made] == [pooling, "one_cycle", *(["label_smoothing"] if alpha else [])]


def test_every_activation_names_a_field_or_a_parameter_that_exists():
    slots = {slot.value for slot in NAMED_SLOTS}
    for activation in methods.activations():
        assert activation.key in (slots if activation.on else methods.parameters())


def canonical(epochs=10, **values):
    """Give the canonical Recipe of a space in which all that changes shapes may be on."""
    given = {
        "prunetrain.penalty_ratio": 0.2,
        "prunetrain.interval": 2,
        "net2net.schedule": "none",
        "dynamic_batch.largest": 256,
        **{key.replace("__", "."): value for key, value in values.items()},
    }
    defaults = {key: axis.default for key, axis in methods.parameters().items()}
    plain = {"dataset": "random", "network": "resnet8", "pooling": "native", "schedule": "one_cycle"}
    return Space({**plain, **defaults, **given, "epochs": epochs}, {}, methods.activations()).recipe({})


def test_pruning_that_never_comes_is_no_pruning():
    assert canonical(prunetrain__interval=10) == canonical(prunetrain__penalty_ratio=0.0)
    assert "prunetrain" in canonical(prunetrain__interval=9).methods


def test_growth_that_never_comes_is_no_growth():
    assert canonical(epochs=1, net2net__schedule="widen+deepen") == canonical(epochs=1)
    assert "net2net" in canonical(epochs=2, net2net__schedule="widen+deepen").methods


def test_a_schedule_has_one_spelling_and_prunes_only_where_something_is_pruned():
    def schedule(text, **values):
        return canonical(net2net__schedule=text, **values).methods["net2net"]["schedule"]

    assert schedule("deepen@0.5+widen@0.3x1.5") == "widen+deepen"
    assert schedule("widen+prune") == "widen+prune"
    assert schedule("widen+prune", prunetrain__penalty_ratio=0.0) == "widen"
    assert schedule("widen+prune", prunetrain__interval=9) == "widen+prune"
    assert schedule("widen@0.94+prune", prunetrain__interval=9) == "widen@0.9"
    assert schedule("widen@0.00001+deepen@0.123456789x2") == "deepen@0.1x2"


def test_equal_trainings_have_equal_digests():
    def digest(**values):
        return canonical(**values).digest

    assert digest(net2net__schedule="widen@0.29") == digest(net2net__schedule="widen@0.31")
    assert digest(epochs=8, net2net__schedule="widen@0.2x2+prune") == digest(
        epochs=8, net2net__schedule="widen@0.3x2+prune"
    )
    assert digest(net2net__schedule="deepen", net2net__noise=0.1) == digest(net2net__schedule="deepen")
    assert digest(net2net__schedule="widen", net2net__noise=0.1) != digest(net2net__schedule="widen")
    assert digest(prunetrain__rest=0.3) == digest()
    assert digest(prunetrain__rest=0.3, net2net__schedule="widen") != digest(net2net__schedule="widen")


def test_an_event_that_never_comes_leaves_the_others():
    assert (
        canonical(2, net2net__schedule="widen+prune@0.8", prunetrain__interval=1).methods["net2net"]["schedule"]
        == "widen"
    )
    assert canonical(4, net2net__schedule="widen@0.5+deepen@0.9").methods["net2net"]["schedule"] == "widen@0.5"


def test_a_mean_of_fewer_than_two_weights_is_none():
    assert "swa" in canonical(epochs=2, swa__start=0.75).methods
    assert canonical(epochs=1, swa__start=0.75) == canonical(epochs=1)


def test_a_batch_that_nothing_enlarges_stays():
    assert "dynamic_batch" in canonical().methods
    assert "dynamic_batch" not in canonical(prunetrain__interval=10).methods
    assert "dynamic_batch" in canonical(prunetrain__interval=10, net2net__schedule="widen").methods


def test_every_canonical_recipe_can_be_trained():
    for schedule in ("none", "widen", "widen+prune"):
        for interval in (1, 2, 5):
            for epochs in (1, 2, 5):
                methods.active(canonical(epochs, net2net__schedule=schedule, prunetrain__interval=interval))


@pytest.mark.parametrize(
    ("changes", "settled"),
    [
        ({}, 0),
        ({"net2net": {"schedule": "widen@0.3+deepen@0.5"}}, 6),  # the epoch after the last growth
        ({"swa": {"start": 0.8}}, 9),  # the first whose evaluation is of an average
        ({"prunetrain": {"penalty_ratio": 0.2, "until": 0.6}}, 7),
        ({"prunetrain": {"penalty_ratio": 0.2}}, 10),  # it presses to the end
        ({"swa": {"start": 0.8}, "net2net": {"schedule": "widen@0.3"}}, 9),
        ({"early_bird": {"pruned": 0.3}}, 6),  # the first epoch after the last that a ticket can be drawn behind
        ({"lottery_ticket": {"pruned": 0.5, "rewind": 2}}, 7),  # the first of the second training
        ({"selective_backprop": {"keep": 0.5}}, 10),  # the first behind those on the hardest images
        ({"selective_backprop": {"keep": 0.5, "until": 1.0}}, 6),
        ({"selective_backprop": {"keep": 0.5, "start": 0.0, "until": 1.0}}, 0),
    ],
)
def test_a_recipe_is_settled_when_every_change_that_it_plans_is_made(
    changes: dict[str, dict[str, Value]], settled: int
) -> None:
    assert methods.settled_at(Recipe("d", "n", epochs=10, methods=changes)) == settled
