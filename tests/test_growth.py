"""Growth schedules: what they say, in how many ways, and what is wrong with those that say nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretosearch import growth
from paretosearch.errors import RecipeError
from paretosearch.growth import Event, parse, spell
from paretosearch.recipe import Recipe

LETTERS = ", in small letters and without signs"


@pytest.mark.parametrize(
    ("text", "events"),
    [
        ("none", ()),
        ("widen@0.3x1.5", (Event("widen", 0.3, 1.5),)),
        ("deepen@0.5", (Event("deepen", 0.5, 1),)),
        ("deepen@0.25x2", (Event("deepen", 0.25, 2),)),
        ("widen@0.2x2+prune", (Event("widen", 0.2, 2), Event("prune", 0.2, 1))),
        ("widen@0.2x2 + prune@0.5", (Event("widen", 0.2, 2), Event("prune", 0.5, 1))),
        ("widen", (Event("widen", 0.3, 1.5),)),
        ("widen+deepen", (Event("widen", 0.3, 1.5), Event("deepen", 0.5, 1))),
        ("deepen@.1+widen+widen@0.6", (Event("deepen", 0.1, 1), Event("widen", 0.3, 1.5), Event("widen", 0.6, 1.5))),
        ("deepen@0.4+widen@0.4", (Event("widen", 0.4, 1.5), Event("deepen", 0.4, 1))),
    ],
)
def test_a_schedule_says_what_happens_when(text: str, events: tuple[Event, ...]) -> None:
    assert parse(text) == events


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("widen@0.3x1.5", "widen"),
        ("deepen@0.5x1+widen@0.30", "widen+deepen"),
        ("widen@0.2x2+prune@0.2", "widen@0.2x2+prune"),
        ("widen@0.2x2+prune@0.3", "widen@0.2x2+prune@0.3"),
        ("prune@0.5+deepen", "deepen+prune"),
    ],
)
def test_one_schedule_has_one_spelling(text: str, canonical: str) -> None:
    assert spell(parse(text)) == canonical
    assert parse(canonical) == parse(text)


_HUNDREDTHS = st.integers(1, 99).map(lambda n: n / 100)
_EVENTS = st.one_of(
    st.builds(Event, st.just("widen"), _HUNDREDTHS, st.integers(11, 80).map(lambda n: n / 10)),
    st.builds(Event, st.just("deepen"), _HUNDREDTHS, st.integers(1, 8).map(float)),
)
_PRUNINGS = st.builds(Event, st.just("prune"), _HUNDREDTHS, st.just(1.0))


@given(st.lists(_EVENTS, min_size=1, max_size=4), st.lists(_PRUNINGS, max_size=1))
def test_what_is_spelled_is_read_as_it_was_meant(events: list[Event], prunings: list[Event]) -> None:
    written = "+".join(f"{e.kind}@{e.at}x{e.amount}" for e in events + prunings)
    read = parse(written)
    assert sorted(read, key=repr) == sorted(events + prunings, key=repr)
    assert parse(spell(read)) == read
    assert spell(parse(spell(read))) == spell(read)


def test_presets_are_spelled_as_recipes_have_them() -> None:
    assert [spell(parse(preset)) for preset in growth.PRESETS] == list(growth.PRESETS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not written like widen@0.3x1.5, deepen@0.5 or prune@0.4" + LETTERS),
        (
            "widen@0.3*2",
            "'widen@0.3*2' is not written like widen@0.3x1.5, deepen@0.5 or prune@0.4" + LETTERS,
        ),
        ("widen+", "'' is not written like widen@0.3x1.5, deepen@0.5 or prune@0.4" + LETTERS),
        ("widne@0.3", "there is no event 'widne' (did you mean 'widen'?)"),
        ("none+widen", "there is no event 'none' (allowed: widen, deepen, prune); for no growth write \"none\" alone"),
        ("widen@1.2", "widen@1.2 is not inside the training; write a share between 0 and 1"),
        ("widen@0", "widen@0 is not inside the training; write a share between 0 and 1"),
        ("widen@30", "widen@30 is not inside the training; write a share between 0 and 1"),
        ("widen@0.3x1", "widen by x1 is no growth; write a factor above 1 and at most 8"),
        ("widen@0.3x9", "widen by x9 is too much; write a factor above 1 and at most 8"),
        ("deepen@0.3x1.5", "deepen by x1.5 is no number of layers; write 1 to 8"),
        ("deepen@0.3x0", "deepen by x0 is no number of layers; write 1 to 8"),
        ("prune@0.3", "it grows nothing; add a widen or deepen, or leave the schedule at none"),
        ("widen+prunex2", "prune x2 means nothing; how much is cut is for prunetrain.penalty_ratio"),
        ("widen+prune@0.4+prune@0.5", "prune stands twice; pruning begins once"),
        ("+".join(["widen"] * 6), "6 events are too many; at most 5 pay for the kernels they build"),
    ],
)
def test_a_schedule_that_says_nothing_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(RecipeError) as error:
        parse(text)
    assert str(error.value) == message == growth.problem(text)


@pytest.mark.parametrize(("at", "epochs", "done"), [(0.3, 10, 3), (0.3, 3, 1), (0.3, 2, 1), (0.3, 1, 0), (0.5, 5, 3)])
def test_an_event_waits_for_the_nearest_end_of_an_epoch(at: float, epochs: int, done: int) -> None:
    assert Event("widen", at, 2).epoch(epochs) == done


@pytest.mark.parametrize("epochs", [2, 3, 7, 10, 12, 40, 50, 99, 100, 182])
def test_the_shares_inside_a_training_are_those_whose_events_are(epochs: int) -> None:
    inside = [n / 100 for n in range(1, 100) if Event("widen", n / 100, 2).is_inside(epochs)]
    assert growth.shares(epochs) == (inside[0], inside[-1])


def test_a_recipe_says_when_its_pruning_begins() -> None:
    def begins(schedule: str) -> int:
        return growth.pruning_begins(Recipe("x", "y", epochs=10, methods={"net2net": {"schedule": schedule}}))

    assert growth.pruning_begins(Recipe("x", "y", epochs=10)) == 0
    assert begins("widen") == 0
    assert begins("widen+prune") == 3
    assert begins("widen+deepen+prune") == 5
    assert begins("widen+prune@0.44") == 4
