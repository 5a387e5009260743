"""A Recipe is complete, checked, frozen, and has one name."""

import json
import math
from dataclasses import FrozenInstanceError, fields, replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretosearch.axis import Choice, Int, Real
from paretosearch.errors import RecipeError
from paretosearch.recipe import FIELDS, MOST_EPOCHS, SIMULATED_FORMATS, Recipe

RECIPE = Recipe("cifar10", "resnet20", methods={"label_smoothing": {"alpha": 0.1}})


def values_of(axis: Real | Int | Choice) -> st.SearchStrategy[Any]:
    if isinstance(axis, Real):
        return st.floats(axis.low, axis.high)
    return st.integers(axis.low, axis.high) if isinstance(axis, Int) else st.sampled_from(axis.options)


def go_together(plain: dict[str, Any]) -> bool:
    larger = Fraction(max(plain["batch_size"], plain["reference_batch_size"]), plain["reference_batch_size"])
    times = math.ceil(larger / Fraction(str(float(plain["train_share"]))))
    if plain["epochs_rule"] == "updates" and times * plain["epochs"] > MOST_EPOCHS:
        return False
    return plain["compile"] == "off" or plain["number_format"] not in SIMULATED_FORMATS


@given(st.fixed_dictionaries({name: values_of(axis) for name, axis in FIELDS.items()}).filter(go_together))
def test_a_recipe_survives_json(plain: dict[str, Any]) -> None:
    recipe = replace(RECIPE, **plain)
    back = Recipe.from_json(recipe.to_json())
    assert back == recipe
    assert (hash(back), back.digest) == (hash(recipe), recipe.digest)
    assert "\n" not in recipe.to_json()


def test_a_recipe_fills_in_what_is_not_said() -> None:
    assert Recipe.from_json('{"dataset": "mnist", "network": "convnet"}') == Recipe("mnist", "convnet")


def test_the_digest_of_a_recipe_is_the_same_everywhere_and_always() -> None:
    # Databases hold it: when it changes, what was trained before is not recognised any more.
    text = """{
        "dataset": "cifar10", "network": "resnet20", "width": 1.0, "image_size": 0, "train_images": 0, "epochs": 12,
        "batch_size": 128, "learning_rate": 0.1, "learning_rate_rule": "linear", "reference_batch_size": 128,
        "momentum": 0.9, "weight_decay": 0.0005, "augmentation": "standard", "number_format": "fp32", "pooling": "max",
        "schedule": "one_cycle", "methods": {"label_smoothing": {"alpha": 0.1}}, "seed": 0, "norm_batches": 0}"""
    assert Recipe.from_json(text).digest == "f5118549d4d57e27"


@pytest.mark.parametrize("number_format", SIMULATED_FORMATS)
def test_a_simulated_format_is_not_compiled(number_format: str) -> None:
    with pytest.raises(RecipeError, match=f"compile = 'default' does not go with number_format = '{number_format}'"):
        replace(RECIPE, compile="default", number_format=number_format)


def test_the_digest_does_not_see_the_seed() -> None:
    assert replace(RECIPE, seed=5).digest == RECIPE.digest
    assert replace(RECIPE, seed=5) != RECIPE


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "cifar100"},
        {"network": "resnet32"},
        {"width": 2.0},
        {"image_size": 32},
        {"train_images": 100},
        {"train_share": 0.5},
        {"epochs": 13},
        {"epochs_rule": "updates"},
        {"batch_size": 129},
        {"learning_rate": 0.11},
        {"learning_rate_rule": "sqrt"},
        {"reference_batch_size": 256},
        {"momentum": 0.8},
        {"weight_decay": 1e-4},
        {"augmentation": "none"},
        {"augmentation": "alternating"},
        {"number_format": "bf16"},
        {"pooling": "stochastic"},
        {"schedule": "constant"},
        {"methods": {}},
        {"methods": {"label_smoothing": {"alpha": 0.2}}},
    ],
)
def test_the_digest_sees_everything_else(change: dict[str, Any]) -> None:
    assert replace(RECIPE, **change).digest != RECIPE.digest


def test_equal_recipes_have_equal_names_whichever_way_they_were_written() -> None:
    one = Recipe("mnist", "convnet", learning_rate=1, weight_decay=0, methods={"b": {"y": 1, "x": 0.0}, "a": {}})
    other = Recipe("mnist", "convnet", learning_rate=1.0, weight_decay=-0.0, methods={"a": {}, "b": {"x": 0, "y": 1.0}})
    assert one == other
    assert hash(one) == hash(other)
    assert one.digest == other.digest


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        RECIPE.epochs = 3  # type: ignore[misc]  # that it fails is the point
    with pytest.raises(TypeError):
        RECIPE.methods["label_smoothing"]["alpha"] = 0.2  # type: ignore[index]  # as above


def test_a_recipe_is_not_changed_by_the_mapping_it_was_made_from() -> None:
    parameters = {"alpha": 0.1}
    recipe = Recipe("mnist", "convnet", methods={"label_smoothing": parameters})
    parameters["alpha"] = 0.2
    assert recipe.methods["label_smoothing"]["alpha"] == 0.1


@pytest.mark.parametrize(
    ("rule", "peak"),
    [("linear", 0.1 * 512 / 128), ("sqrt", 0.1 * 2), ("none", 0.1)],
)
def test_the_peak_learning_rate_follows_the_batch_size_by_its_rule(rule: str, peak: float) -> None:
    recipe = Recipe("mnist", "convnet", batch_size=512, learning_rate=0.1, learning_rate_rule=rule)
    assert recipe.peak_learning_rate == pytest.approx(peak)
    assert replace(recipe, batch_size=128).peak_learning_rate == pytest.approx(0.1)


@given(st.integers(1, 4096), st.sampled_from(["linear", "sqrt", "none"]))
def test_a_rule_applied_in_steps_is_the_rule_applied_at_once(batch_size: int, rule: str) -> None:
    recipe = Recipe("mnist", "convnet", batch_size=256, learning_rate=0.1, learning_rate_rule=rule)
    assert recipe.learning_rate_at(256) == recipe.peak_learning_rate
    assert recipe.learning_rate_at(batch_size) == replace(recipe, batch_size=batch_size).peak_learning_rate


@pytest.mark.parametrize(
    ("batch_size", "times"), [(32, 1), (127, 1), (128, 1), (129, 2), (256, 2), (257, 3), (1024, 8), (4096, 32)]
)
def test_with_equal_updates_a_larger_batch_has_as_many_times_the_epochs(batch_size: int, times: int) -> None:
    recipe = Recipe("mnist", "convnet", epochs=5, batch_size=batch_size, reference_batch_size=128)
    assert recipe.total_epochs == 5
    assert replace(recipe, epochs_rule="updates").total_epochs == 5 * times


@given(st.integers(1, 8), st.integers(1, 16), st.integers(1, 64), st.integers(1, 20))
def test_with_equal_updates_a_batch_that_divides_the_images_makes_as_many(
    reference: int, times: int, steps: int, epochs: int
) -> None:
    images = reference * times * steps
    small = Recipe("mnist", "convnet", epochs=epochs, batch_size=reference, reference_batch_size=reference)
    large = replace(small, batch_size=times * reference, epochs_rule="updates")
    updates = [recipe.total_epochs * (images // recipe.batch_size) for recipe in (small, large)]
    assert updates[0] == updates[1]


@pytest.mark.parametrize(
    ("share", "batch_size", "times"),
    [(1.0, 128, 1), (0.5, 128, 2), (0.25, 128, 4), (0.1, 128, 10), (0.3, 128, 4), (0.1, 384, 30), (0.5, 64, 2)],
)
def test_with_equal_updates_a_share_of_the_images_has_as_many_times_the_epochs(
    share: float, batch_size: int, times: int
) -> None:
    recipe = Recipe("mnist", "convnet", epochs=5, batch_size=batch_size, train_share=share)
    assert recipe.total_epochs == 5
    assert replace(recipe, epochs_rule="updates").total_epochs == 5 * times
    assert ("epochs_rule" in recipe.inert) == (times == 1)


def test_a_recipe_from_before_there_were_shares_uses_all_images() -> None:
    plain = json.loads(RECIPE.to_json())
    del plain["train_share"]
    assert Recipe.stored(plain) == RECIPE == replace(RECIPE, train_share=1)
    assert Recipe.stored(plain).digest == RECIPE.digest == replace(RECIPE, train_share=1).digest


def test_a_share_that_makes_too_many_epochs_is_named() -> None:
    with pytest.raises(
        RecipeError, match="of reference_batch_size = 128 with train_share = 0.001, and 10000 are the most"
    ):
        Recipe("mnist", "convnet", epochs=12, train_share=0.001, epochs_rule="updates")


def test_a_training_that_would_be_stretched_beyond_all_measure_is_refused() -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe("mnist", "convnet", epochs=100, batch_size=65_536, reference_batch_size=1, epochs_rule="updates")
    assert str(caught.value) == (
        'epochs_rule = "updates" makes 6553600 epochs of epochs = 100 and batch_size = 65536 of reference_batch_size = '
        "1, and 10000 are the most; lower epochs or batch_size, or set epochs_rule to fixed"
    )


@pytest.mark.parametrize(
    ("change", "inert"),
    [
        ({"batch_size": 128}, {"epochs_rule", "learning_rate_rule"}),
        ({"batch_size": 64}, {"epochs_rule"}),
        ({"batch_size": 256}, set()),
        ({"batch_size": 128, "methods": {"dynamic_batch": {"largest": 256}}}, {"epochs_rule"}),
    ],
)
def test_rules_that_say_nothing_are_known(change: dict[str, Any], inert: set[str]) -> None:
    assert replace(RECIPE, reference_batch_size=128, **change).inert == inert


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("epochs", 0, "a whole number from 1 to 10000"),
        ("epochs", 1.0, "a whole number from 1 to 10000"),
        ("epochs", True, "a whole number from 1 to 10000"),
        ("batch_size", 65_537, "a whole number from 1 to 65536"),
        ("batch_size", 10**400, "a whole number from 1 to 65536"),
        ("learning_rate", float("nan"), "a number from 1e-06 to 100"),
        ("learning_rate", 10**400, "a number from 1e-06 to 100"),
        ("number_format", "fp64", "one of fp32, tf32, bf16, fp16, dfp16, bfp16, bfp8, bf16-pure, fp16-pure"),
        ("train_share", 1.5, "a number from 0.0001 to 1"),
        ("train_share", 0, "a number from 0.0001 to 1"),
        ("seed", -1, "a whole number from 0 to 2147483647"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_allowed(field: str, value: object, allowed: str) -> None:
    with pytest.raises(RecipeError) as caught:
        replace(RECIPE, **{field: value})  # type: ignore[arg-type]  # that it is wrong is the point
    assert str(caught.value) == f"{field} = {value!r} is not {allowed}"


@pytest.mark.parametrize("field", ["dataset", "network", "pooling", "schedule"])
@pytest.mark.parametrize("value", ["", 3, None])
def test_a_name_is_a_text_that_is_not_empty(field: str, value: object) -> None:
    with pytest.raises(RecipeError, match=f"{field} must be a name"):
        replace(RECIPE, **{field: value})  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "this is no recipe: a recipe is a JSON object, as pick"),
        ("[" * 100_000, "this is no recipe: a recipe is a JSON object, as pick"),
        ("[]", "this is no recipe: a recipe is a JSON object, not list"),
        ('{"dataset": "mnist"}', "a Recipe needs the field 'network'"),
        ('{"dataset": "mnist", "network": "convnet", "epoch": 3}', "no field 'epoch' (did you mean 'epochs'?)"),
        ('{"dataset": "mnist", "network": "convnet", "compile": true}', "compile = true is not one of off, default"),
        ('{"dataset": "mnist", "network": "convnet", "epochs": null}', "epochs = null is not a whole number"),
        ('{"dataset": "mnist", "network": "convnet", "methods": []}', "methods must be an object of objects"),
        ('{"dataset": "mnist", "network": "convnet", "methods": {"a": 1}}', "methods must be an object of objects"),
        ('{"dataset": "mnist", "network": "convnet", "methods": {"a": {"b": null}}}', "a.b = None is no finite number"),
        ('{"dataset": "mnist", "network": "convnet", "methods": {"a": {"b": NaN}}}', "a.b = nan is no finite number"),
    ],
)
def test_a_text_that_is_no_recipe_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.from_json(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_json_of_a_recipe_names_every_field() -> None:
    assert json.loads(RECIPE.to_json()).keys() == {f.name for f in fields(Recipe)}


def test_a_stored_recipe_is_the_recipe_that_was_stored() -> None:
    recipe = Recipe("d", "n", width=2, epochs=3, methods={"swa": {"start": 0.8}, "ema": {"decay": 0.9}}, seed=4)
    again = Recipe.stored(json.loads(recipe.to_json()))
    assert again == recipe == Recipe.from_json(recipe.to_json())
    assert (again.digest, again.to_json(), hash(again)) == (recipe.digest, recipe.to_json(), hash(recipe))
    assert all(type(getattr(again, f.name)) is type(getattr(recipe, f.name)) for f in fields(Recipe))
    with pytest.raises(FrozenInstanceError):
        again.epochs = 4  # type: ignore[misc]  # that is the point
