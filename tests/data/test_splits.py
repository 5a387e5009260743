"""Which image belongs to which split."""

import numpy as np
import pytest
import torch

from paretosearch.data import Split, subset
from paretosearch.data.splits import divide
from paretosearch.errors import RecipeError


def a_split(labels: list[int]) -> Split:
    return Split(torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1), torch.tensor(labels))


def test_the_validation_split_is_the_same_for_everybody_for_ever() -> None:
    validation, train = divide(np.arange(1000) % 10, [0.1])
    assert validation[:8].tolist() == [10, 30, 32, 51, 67, 76, 86, 95]
    assert len(validation) == 100
    assert len(train) == 900


def test_parts_are_stratified_disjoint_and_complete() -> None:
    labels = np.repeat([0, 1, 2], [100, 37, 11])
    test, validation, train = divide(labels, [0.1, 0.2])
    assert np.bincount(labels[test]).tolist() == [10, 4, 1]
    assert np.bincount(labels[validation]).tolist() == [20, 7, 2]
    assert sorted([*test, *validation, *train]) == list(range(148))
    assert all((np.diff(part) > 0).all() for part in (test, validation, train))


def test_every_part_gets_an_image_of_a_rare_class() -> None:
    parts = divide(np.repeat([0, 1], [50, 3]), [0.1, 0.1])
    assert [np.repeat([0, 1], [50, 3])[part].max() for part in parts] == [1, 1, 1]


def test_a_class_too_small_for_the_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="class 1 has 2 images for 3 splits"):
        divide(np.repeat([0, 1], [50, 2]), [0.1, 0.1])


def test_no_part_to_take_leaves_everything() -> None:
    (rest,) = divide(np.array([1, 0, 1]), [])
    assert rest.tolist() == [0, 1, 2]


def test_a_subset_takes_the_classes_in_turn() -> None:
    taken = subset(a_split([0] * 50 + [1] * 30 + [2] * 20), 30, seed=1)
    assert torch.bincount(taken.labels).tolist() == [10, 10, 10]
    uneven = subset(a_split([0] * 50 + [1] * 30 + [2] * 5), 30, seed=1)
    assert sorted(torch.bincount(uneven.labels).tolist()) == [5, 12, 13]


def test_a_smaller_subset_is_part_of_a_larger_one() -> None:
    split = a_split([k % 4 for k in range(200)])
    small, large = (set(subset(split, n, seed=3).images.flatten().tolist()) for n in (40, 90))
    assert len(small) == 40
    assert len(large) == 90
    assert small < large


@pytest.mark.parametrize("n", [0, 160])
def test_shares_are_nested_and_have_all_classes_alike(n: int) -> None:
    split = a_split([k % 4 for k in range(200)])
    taken = [subset(split, n, seed=3, share=share) for share in (0.1, 0.25, 0.5, 1.0)]
    assert [len(part) for part in taken] == [int(share * (n or 200)) for share in (0.1, 0.25, 0.5, 1.0)]
    members = [set(part.images.flatten().tolist()) for part in taken]
    assert members[0] < members[1] < members[2] < members[3]
    counts = [torch.bincount(part.labels, minlength=4) for part in taken]
    assert all(count.max() - count.min() <= 1 for count in counts)


def test_a_share_is_of_the_images_that_train_images_leaves() -> None:
    split = a_split([k % 4 for k in range(200)])
    half = subset(split, 80, seed=3, share=0.5)
    assert half.images.flatten().tolist() == subset(split, 40, seed=3).images.flatten().tolist()
    with pytest.raises(RecipeError, match="train_images = 201 is more than there are"):
        subset(split, 201, seed=3, share=0.1)
    assert len(subset(split, 0, seed=3, share=1e-4)) == 1


def test_another_seed_gives_another_subset_and_the_same_seed_the_same() -> None:
    split = a_split([k % 4 for k in range(200)])
    first, again, other = (subset(split, 40, seed).images.flatten().tolist() for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_a_subset_keeps_images_with_their_labels() -> None:
    taken = subset(a_split([k % 7 for k in range(140)]), 50, seed=0)
    assert (taken.images.flatten() % 7 == taken.labels).all()


def test_all_images_is_the_split_itself() -> None:
    split = a_split([0, 1, 0, 1])
    assert subset(split, 0, seed=0) is split
    assert subset(split, 4, seed=0) is split


def test_more_images_than_there_are_is_one_line() -> None:
    with pytest.raises(RecipeError, match=r"^train_images = 5 is more than there are; choose at most 4, or 0 for all$"):
        subset(a_split([0, 1, 0, 1]), 5, seed=0)
