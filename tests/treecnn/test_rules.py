"""Hand-made likelihoods hit each rule of Tree-CNN."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretosearch.treecnn.rules import Children, Decision, Reason, Rules, grown, paths

LEAVES: Children = ((0,), (1,), (2,), (3,))
RULES = Rules()


def one(likelihoods: list[float], children: Children = LEAVES, rules: Rules = RULES) -> tuple[Children, Decision]:
    """Attach class 9 alone."""
    found = grown(children, {9: likelihoods}, rules)
    (decision,) = found.decisions
    return found.children, decision


@pytest.mark.parametrize(
    ("likelihoods", "reason", "children"),
    [
        ([0.10, 0.56, 0.30, 0.04], "sure", ((0,), (1, 9), (2,), (3,))),
        ([0.10, 0.56, 0.49, 0.04], "sure", ((0,), (1, 9), (2,), (3,))),  # the shortcut asks nothing of the second
        ([0.10, 0.45, 0.30, 0.15], "ahead", ((0,), (1, 9), (2,), (3,))),
        ([0.05, 0.40, 0.35, 0.20], "pair", ((0,), (1, 2, 9), (3,))),
        ([0.05, 0.35, 0.40, 0.20], "pair", ((0,), (2, 1, 9), (3,))),  # the likeliest keeps its place and its row
        ([0.25, 0.28, 0.24, 0.23], "close", ((0,), (1,), (2,), (3,), (9,))),
        ([0.33, 0.27, 0.22, 0.18], "close", ((0,), (1,), (2,), (3,), (9,))),  # of the second and the third
    ],
)
def test_each_rule_attaches_a_class_where_it_says(likelihoods: list[float], reason: Reason, children: Children) -> None:
    found, decision = one(likelihoods)
    assert (decision.reason, found) == (reason, children)


def test_thresholds_are_passed_and_not_met() -> None:
    rules = Rules(alpha=0.25, beta=0.25, shortcut=0.5)
    assert one([0.5, 0.25, 0.25], LEAVES[:3], rules)[1].reason == "close"  # 0.5 is not beyond 0.5, nor 0.25 beyond 0.25
    assert one([0.51, 0.25, 0.24], LEAVES[:3], rules)[1].reason == "sure"


def test_the_likeliest_class_is_attached_first_and_decides_for_the_next() -> None:
    """Class 8 makes one of the children 0 and 1; those are then the two likeliest of class 9."""
    found = grown(LEAVES, {9: [0.34, 0.33, 0.17, 0.16], 8: [0.42, 0.36, 0.12, 0.10]}, RULES)
    assert [(decision.label, decision.reason) for decision in found.decisions] == [(8, "pair"), (9, "merged")]
    assert found.children == ((0, 1, 8, 9), (2,), (3,))
    assert found.kept == (0, 2, 3)
    assert [decision.joined for decision in found.decisions] == [(0, 1), (0, 1, 8)]


@pytest.mark.parametrize(
    ("children", "rules"),
    [
        (((0,), (1, 4), (2,), (3,)), RULES),  # the second has several classes
        (((0, 4), (1,), (2,), (3,)), Rules(most_classes=3)),  # four would be too many
    ],
)
def test_a_guarded_pair_does_not_become_one(children: Children, rules: Rules) -> None:
    found, decision = one([0.40, 0.35, 0.15, 0.10], children, rules)
    assert decision.reason == "guarded"
    assert found == ((*children[0], 9), *children[1:])


def test_the_second_of_a_pair_is_guarded_once_another_new_class_has_chosen_it() -> None:
    found = grown(LEAVES, {8: [0.05, 0.60, 0.20, 0.15], 9: [0.40, 0.35, 0.15, 0.10]}, RULES)
    assert [(decision.label, decision.reason) for decision in found.decisions] == [(8, "sure"), (9, "guarded")]
    assert found.children == ((0, 9), (1, 8), (2,), (3,))


def test_a_branch_can_be_the_first_of_a_pair() -> None:
    found, decision = one([0.40, 0.35, 0.15, 0.10], ((0, 4), (1,), (2,), (3,)))
    assert (decision.reason, found) == ("pair", ((0, 4, 1, 9), (2,), (3,)))


def test_a_full_branch_is_passed_over_for_the_next_best() -> None:
    found, decision = one([0.90, 0.08, 0.01, 0.01], ((0, 4), (1,), (2,), (3,)), Rules(alpha=0.05, most_classes=2))
    assert decision.likelihoods == (0.08, 0.01, 0.01)
    assert (decision.reason, found) == ("ahead", ((0, 4), (1, 9), (2,), (3,)))


def test_where_all_branches_are_full_a_class_is_a_child_of_its_own() -> None:
    found, decision = one([0.9, 0.1], ((0, 1), (2, 3)), Rules(most_classes=2))
    assert (decision.reason, decision.likelihoods) == ("full", (0.0, 0.0, 0.0))
    assert found == ((0, 1), (2, 3), (9,))


def test_a_new_output_goes_on_from_none() -> None:
    found = grown(LEAVES, {9: [0.25, 0.25, 0.25, 0.25], 8: [0.05, 0.40, 0.35, 0.20]}, RULES)
    assert found.children == ((0,), (1, 2, 8), (3,), (9,))
    assert found.kept == (0, 1, 3, None)


def test_two_ways_to_a_class_are_noticed() -> None:
    assert paths(((0,), (1, 2))) == {0: (0,), 1: (1, 0), 2: (1, 1)}
    with pytest.raises(AssertionError, match="class 1 has two ways"):
        paths(((1,), (1, 2)))
    with pytest.raises(AssertionError, match="output 1 leads to no class"):
        paths(((1,), ()))


@given(st.data())
def test_every_class_has_one_way_and_no_branch_is_too_large_whatever_is_likely(data: st.DataObject) -> None:
    most = data.draw(st.integers(2, 6))
    children: Children = tuple((label,) for label in range(data.draw(st.integers(2, 5))))
    seen = len(children)
    reasons: set[str] = set()
    for size in data.draw(st.lists(st.integers(1, 4), max_size=4)):
        rows = st.lists(st.floats(0.01, 1), min_size=len(children), max_size=len(children))
        drawn = {label: data.draw(rows) for label in range(seen, seen + size)}
        table = {label: [value / sum(row) for value in row] for label, row in drawn.items()}
        found = grown(children, table, Rules(most_classes=most))
        children, seen = found.children, seen + size
        reasons |= {decision.reason for decision in found.decisions}
        assert paths(children).keys() == set(range(seen))
        assert max(map(len, children)) <= most
        rows_kept = [row for row in found.kept if row is not None]
        assert len(rows_kept) == len(set(rows_kept))
        assert len(found.kept) == len(children)
