"""What is picked from a front keeps the bounds, and nothing that keeps them is better."""

import random
from collections.abc import Sequence

import pytest

from paretosearch.errors import UsageError
from paretosearch.recipe import Recipe
from paretosearch.report.choice import Bounds, choose, read_accuracy
from paretosearch.report.picked import picked_json, picked_lines
from paretosearch.store import Estimate, Front, Point, front_of
from paretosearch.store.estimates import Repeat, estimated

RECIPE = Recipe("mnist", "resnet8")


def made(objectives: Sequence[tuple[float, float]], repeats: Sequence[Repeat] = ()) -> tuple[Front, list[Estimate]]:
    points = [Point(n, s, a, RECIPE, "cpu:Ryzenx1", n, parameters=1234) for n, (s, a) in enumerate(objectives)]
    return front_of(points), list(estimated(points, repeats))


FOUR = [(1.0, 0.5), (2.0, 0.7), (4.0, 0.8), (3.0, 0.6)]  # the last one is dominated


@pytest.mark.parametrize(
    ("bounds", "trial"),
    [
        (Bounds(seconds=3.9), 1),
        (Bounds(seconds=4.0), 2),
        (Bounds(seconds=1e6), 2),
        (Bounds(accuracy=0.1), 0),
        (Bounds(accuracy=0.7), 1),
        (Bounds(accuracy=0.71), 2),
        (Bounds(seconds=10, accuracy=0.6), 2),
    ],
)
def test_the_best_within_the_bounds_is_chosen(bounds: Bounds, trial: int) -> None:
    assert choose(*made(FOUR), bounds).found.point.trial == trial


def test_a_choice_agrees_with_brute_force() -> None:
    rng = random.Random(0)
    for _ in range(300):
        values = [(rng.choice([1.0, 2.0, rng.uniform(0, 9)]), round(rng.random(), 1)) for _ in range(rng.randint(1, 9))]
        seconds, accuracy = rng.choice([None, rng.uniform(0, 9)]), rng.random()
        kept = [(s, a) for s, a in values if (seconds is None or s <= seconds) and a >= accuracy]
        if not kept:
            with pytest.raises(UsageError, match="no recipe on the front reaches"):
                choose(*made(values), Bounds(seconds, accuracy))
            continue
        found = choose(*made(values), Bounds(seconds, accuracy)).found
        best = min(kept) if seconds is None else min(kept, key=lambda v: (-v[1], v[0]))
        if seconds is None:  # of equally fast ones the more accurate
            best = min(kept, key=lambda v: (v[0], -v[1]))
        assert (found.train_seconds, found.accuracy) == best


def test_means_of_repeats_count_where_there_are_some() -> None:
    lucky = [Repeat(1, seed, 2.0, 0.60, 0.59) for seed in (1, 2)]  # its first result was 0.7
    with_repeats = made(FOUR, lucky)
    assert choose(*with_repeats, Bounds(accuracy=0.65)).found.point.trial == 2
    found = choose(*with_repeats, Bounds(seconds=3)).found
    assert (found.point.trial, found.accuracy) == (1, 0.60)
    said = "\n".join(picked_lines(choose(*with_repeats, Bounds(seconds=3)), "s", ()))
    assert "means of 2 repeats with 95 % intervals, 59.00 % on the test split; 70.00 % was its first result" in said


def test_a_choice_says_what_it_costs_and_what_a_step_to_either_side_would() -> None:
    choice = choose(*made(FOUR), Bounds(seconds=3))
    said = list(picked_lines(choice, "s", ("epochs", "pooling")))
    assert said == [
        "trial 1 of study 's', the most accurate on the front that is trained within 3 s:",
        "  resnet8 on mnist: 12 epochs, native pooling",
        "  2.00 s, 70.00 %, on cpu:Ryzenx1",
        "  a single training, so it looks better than it is: paretosearch confirm repeats it",
        "  1,234 parameters",
        "  2.00 s more give 10.00 points (trial 2)",
        "  1.00 s less cost 20.00 points (trial 0)",
    ]
    plain = picked_json(choice, "s")
    assert (plain["faster"]["trial"], plain["slower"]["trial"], plain["seconds_interval"]) == (0, 2, None)
    assert Recipe(**plain["recipe"]) == RECIPE
    ends = [list(picked_lines(choose(*made(FOUR), b), "s", ())) for b in (Bounds(accuracy=0.1), Bounds(seconds=9))]
    assert ends[0][-1] == "  nothing on the front is faster"
    assert ends[1][-2] == "  nothing on the front is more accurate"


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        (Bounds(seconds=0.5), "is trained within 0.5 s: the fastest takes 1.00 s and reaches 50.00 % (trial 0)"),
        (Bounds(accuracy=0.9), "reaches 90 %: the best reaches 80.00 % in 4.00 s (trial 2); ask for --accuracy 80%"),
        (
            Bounds(seconds=2.5, accuracy=0.75),
            "reaches 75 % within 2.5 s: within that time the best reaches 70.00 % in 2.00 s (trial 1); "
            "75 % takes 4.00 s and reaches 80.00 % (trial 2)",
        ),
        (Bounds(seconds=2.5, accuracy=0.95), "within that time the best reaches 70.00 % in 2.00 s (trial 1)"),
    ],
)
def test_where_nothing_keeps_the_bounds_the_nearest_is_named(bounds: Bounds, said: str) -> None:
    with pytest.raises(UsageError) as error:
        choose(*made(FOUR), bounds)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_suggested_works() -> None:
    rng = random.Random(1)
    for _ in range(100):
        made_up = made([(rng.uniform(0.001, 1000), rng.uniform(0.01, 1)) for _ in range(3)])
        for bounds, option in ((Bounds(seconds=1e-9), "--seconds "), (Bounds(accuracy=1.0), "--accuracy ")):
            with pytest.raises(UsageError) as error:
                choose(*made_up, bounds)
            value = str(error.value).partition(option)[2]
            asked = Bounds(seconds=float(value)) if option == "--seconds " else Bounds(accuracy=read_accuracy(value))
            assert choose(*made_up, asked)


def test_an_accuracy_that_was_reached_is_reached_as_people_write_it() -> None:
    rng = random.Random(2)
    for _ in range(300):
        images = rng.choice([2000, 10_000])
        right = rng.randint(1, images)
        reached = made([(1.0, right / images)])
        for text in (f"{100 * right / images:.2f}%", f"{right / images:.4f}"):
            assert choose(*reached, Bounds(accuracy=read_accuracy(text)))
        if right < images:
            with pytest.raises(UsageError) as error:
                choose(*reached, Bounds(accuracy=1.0))
            assert choose(*reached, Bounds(accuracy=read_accuracy(str(error.value).partition("--accuracy ")[2])))


def test_of_no_trial_nothing_is_picked() -> None:
    with pytest.raises(UsageError, match="no trial is complete yet"):
        choose(*made([]), Bounds(seconds=1))


@pytest.mark.parametrize(("text", "value"), [("0.93", 0.93), ("93%", 0.93), ("93 %", 0.93), (" 100%", 1.0), ("1", 1)])
def test_an_accuracy_is_read_as_people_write_it(text: str, value: float) -> None:
    assert read_accuracy(text) == value


def test_a_decimal_comma_is_understood_if_not_taken() -> None:
    with pytest.raises(UsageError, match=r"did you mean 0\.93\?"):
        read_accuracy("0,93")


@pytest.mark.parametrize(
    "text", ["93", "0", "-1", "nan", "inf", "", "%", "101%", "93%%", "high", "9 3 %", "snan%", "1e9999999%"]
)
def test_what_is_no_accuracy_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"write 0\.93 or 93%"):
        read_accuracy(text)
