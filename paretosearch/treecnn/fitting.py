"""Finds out before any training whether a tree can learn from its data set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate

from paretosearch.data import ImageSet, subset
from paretosearch.studyfile.reading import TREE
from paretosearch.treecnn.study import TreeStudy

#: What decides how many images a training has and takes at once, the likeliest to be changed first.
_DECIDING = ("batch_size", "train_share", "train_images")


def fitting(study: TreeStudy, images: ImageSet) -> ImageSet:
    """Leave the training images that a study uses, if every network of its tree has enough of them.

    Args:
        study: What to learn.
        images: Its data set.

    Raises:
        StudyFileError: If there are fewer classes than the groups have, fewer images than the study takes, or a batch
            is larger than what a group, or the smallest branch that may come of them, has to train on.
    """
    plain, source = study.recipe, study.source
    if (wanted := sum(study.groups)) > len(images.classes):
        have = f"and {images.name} has {len(images.classes)}"
        raise source.error((TREE, "groups"), f"the groups have {wanted} classes, {have}; make them smaller")
    with source.at(*source.place("train_images")):
        train = subset(images.train, plain.train_images, plain.seed, plain.train_share)
    kept = replace(images, train=train)
    _check_batch(study, kept)
    return kept


def _check_batch(study: TreeStudy, images: ImageSet) -> None:
    batch, source = study.recipe.batch_size, study.source
    key = next(filter(None, map(source.place, _DECIDING)), (TREE, "groups"))
    for name, count in _trained_on(study, images):
        if count < batch:
            less = f"a batch_size of {count} at most, or " if count else ""
            has = f"a batch has {batch} images, and {name} would have {count} to train on"
            raise source.error(key, f"{has}; take {less}more images")


def _trained_on(study: TreeStudy, images: ImageSet) -> Iterator[tuple[str, int]]:
    """Give the smallest trainings that there may be, the smallest first, with the images of each.

    A branch is made of a class that has come later and of another one.
    """
    counts = images.train.labels.bincount(minlength=len(images.classes)).tolist()[: sum(study.groups)]
    first, *later = study.groups
    labels = sorted(range(len(counts)), key=counts.__getitem__)
    if later:
        new = next(label for label in labels if label >= first)
        pair = sorted((new, next(label for label in labels if label != new)))
        of = " and ".join(images.classes[label] for label in pair)
        yield f"a branch of {of}", sum(counts[label] for label in pair)
    for number, seen in enumerate(accumulate(study.groups), 1):
        yield f"the root of group {number}", sum(counts[:seen])
