"""What a Recipe in words says."""

from paretosearch.recipe import Recipe
from paretosearch.report.words import axis_value, duration_text, seconds_text, titles, value_text, words

AXES = ("number_format", "batch_size", "pooling", "learning_rate", "epochs", "label_smoothing.alpha")
SMOOTH = Recipe(
    "mnist",
    "resnet8",
    number_format="bf16",
    batch_size=256,
    pooling="s3",
    learning_rate=0.05,
    epochs=3,
    methods={"label_smoothing": {"alpha": 0.1}},
)
PLAIN = Recipe("mnist", "resnet8", epochs=1)


def test_words_name_what_varies_in_the_order_of_the_axes() -> None:
    assert words(SMOOTH, AXES) == "bf16, batch 256, s3 pooling, lr 0.05, 3 epochs, smoothing 0.1"
    assert words(SMOOTH, ("epochs", "number_format")) == "3 epochs, bf16"


def test_a_method_that_is_off_is_left_out_and_one_epoch_is_one_epoch() -> None:
    assert words(PLAIN, ("epochs", "label_smoothing.alpha")) == "1 epoch"
    assert words(PLAIN, ("label_smoothing.alpha",)) == "plain"


def test_rules_are_named_with_what_they_rule() -> None:
    large = Recipe("mnist", "resnet8", batch_size=512, epochs_rule="updates", learning_rate_rule="sqrt")
    assert words(large, ("batch_size", "learning_rate_rule", "epochs_rule")) == (
        "batch 512, lr rule sqrt, epoch rule updates"
    )


def test_what_needs_not_be_said_is_left_out_without_renaming_the_rest() -> None:
    axes = ("prunetrain.penalty_ratio", "prunetrain.interval")
    pruned = Recipe("mnist", "resnet8", methods={"prunetrain": {"penalty_ratio": 0.2, "interval": 3}})
    assert words(pruned, axes) == "prunetrain 0.2, interval 3"
    assert words(pruned, axes, leave_out=axes[:1]) == "interval 3"


def test_titles_are_unique_even_if_two_methods_share_a_parameter_name() -> None:
    named = titles(("a.on", "a.interval", "b.on", "b.interval", "learning_rate"))
    assert named == {
        "a.on": "a",
        "a.interval": "interval",
        "b.on": "b",
        "b.interval": "b interval",
        "learning_rate": "lr",
    }
    assert titles(("learning_rate", "label_smoothing.alpha"), short=False) == {
        "learning_rate": "learning rate",
        "label_smoothing.alpha": "label smoothing",
    }


def test_the_value_of_an_axis_is_none_where_its_method_is_off() -> None:
    assert axis_value(SMOOTH, "label_smoothing.alpha") == 0.1
    assert axis_value(PLAIN, "label_smoothing.alpha") is None
    assert axis_value(PLAIN, "batch_size") == 128


def test_values_have_three_digits_at_most() -> None:
    written = {0.05372: "0.0537", 0.0005: "5e-4", 2.4001e-5: "2.4e-5", 1.0: "1", 1024: "1024", 12345.6: "12300"}
    assert {value: value_text(value) for value in written} == written
    assert [value_text(None), value_text(True), value_text(False), value_text("s3")] == ["off", "on", "off", "s3"]


def test_seconds_and_durations_read_well_at_every_size() -> None:
    assert [seconds_text(s) for s in (0.0314, 3.1415, 9.996, 31.415, 99.96, 3141.5)] == [
        "0.03",
        "3.14",
        "10.0",
        "31.4",
        "100",
        "3142",
    ]
    assert [duration_text(s) for s in (48.2, 59.7, 252, 7500)] == ["48 s", "1 min 0 s", "4 min 12 s", "2 h 5 min"]
