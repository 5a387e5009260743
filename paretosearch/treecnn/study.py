"""Reads the studies of classes that arrive in groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import Field

from paretosearch.errors import StudyFileError
from paretosearch.recipe import MOST_EPOCHS, Recipe
from paretosearch.studyfile.axes import make_recipe
from paretosearch.studyfile.reading import TREE, Head, opened, shipped_trees, top_of, validated
from paretosearch.studyfile.source import Source
from paretosearch.studyfile.tables import Table
from paretosearch.treecnn.rules import Rules

#: Methods that leave a network its form and its own weights, so that one can go on from another; beside these, pooling
#: and schedule may be any.
ALLOWED = ("label_smoothing", "gradient_clipping")

#: For which groups a root is trained again: for all, or for those that change its outputs.
Retraining = Literal["always", "changed"]

_SHARE = "a number from 0 to 1"
_PLAIN = Rules()


class _Rules(Table):
    groups: list[int] = Field(min_length=1, description="a list of numbers of classes, such as [4, 3, 3]")
    alpha: float = Field(default=_PLAIN.alpha, ge=0, le=1, description=_SHARE)
    beta: float = Field(default=_PLAIN.beta, ge=0, le=1, description=_SHARE)
    shortcut: float = Field(default=_PLAIN.shortcut, ge=0, le=1, description=_SHARE)
    most_classes: int = Field(default=_PLAIN.most_classes, ge=2, description="a whole number of at least 2")
    likelihood_images: int = Field(default=0, ge=0, description="a whole number; 0 is all")
    grown_epochs: int = Field(
        default=0, ge=0, le=MOST_EPOCHS, description=f"a whole number up to {MOST_EPOCHS}; 0 is as many as others have"
    )
    retrain_root: Retraining = Field(default="always", description=f"one of {', '.join(get_args(Retraining))}")


class _Page(Head):
    tree: _Rules = Field(description="a table with groups and others")
    recipe: dict[str, Any] = Field(default={}, description="a table of fixed values")


@dataclass(frozen=True)
class TreeStudy:
    """What to learn group by group, and how.

    Args:
        name: Name of the study.
        groups: How many classes each group has, in the order of the labels.
        rules: Where new classes are attached.
        likelihood_images: Images of a new class to find its place by, at most; 0 is all.
        grown_epochs: Epochs of a root that goes on from its weights; 0 is as many as any other network has. The
            specification has the same for all.
        retrain_root: Whether a root is trained for every group (``always``), or left as it is by a group that joins its
            branches and leaves (``changed``). The specification, to the letter, has the second, by which a root may
            never see most of its classes: in the shipped study it saves effort and loses much accuracy, so the first
            is the default.
        recipe: How each network is trained; ``train_images`` and ``train_share`` are of the whole data set.
        source: Its file.
        given: How that was named: a shipped study, or the path of a file.
    """

    name: str
    groups: tuple[int, ...]
    rules: Rules
    likelihood_images: int
    grown_epochs: int
    retrain_root: Retraining
    recipe: Recipe
    source: Source
    given: str


def load_tree(name_or_path: str) -> TreeStudy:
    """Read the file of such a study.

    Args:
        name_or_path: Name of a shipped study, or the path of a file.

    Raises:
        StudyFileError: If there is no such file, it is a study to be launched, or something in it is wrong.
    """
    source, table = opened(name_or_path, shipped_trees())
    if TREE not in table and "space" in table:
        raise StudyFileError(
            f"{source.path} is a search, as it has a [space] table and no [{TREE}] table; "
            f"run paretosearch launch {name_or_path}"
        )
    page = validated(source, table, _Page)
    groups = _groups(source, page.tree.groups)
    given = page.tree
    recipe = make_recipe(source, top_of(source, page), page.recipe)
    _check_methods(source, recipe)
    rules = Rules(given.alpha, given.beta, given.shortcut, given.most_classes)
    how = given.likelihood_images, given.grown_epochs, given.retrain_root
    return TreeStudy(page.name, groups, rules, *how, recipe, source, name_or_path)


def _groups(source: Source, sizes: list[int]) -> tuple[int, ...]:
    """Refuse groups that are none: the first makes the root, which tells classes apart."""
    if sizes[0] < 2 or min(sizes) < 1:
        raise source.error(
            (TREE, "groups"), f"{sizes} has a group that is too small; the first has 2 classes, others 1"
        )
    return tuple(sizes)


def _check_methods(source: Source, recipe: Recipe) -> None:
    others = recipe.methods.keys() - {recipe.pooling, recipe.schedule, *ALLOWED}
    if others:
        allowed = f"allowed beside pooling and schedule: {', '.join(ALLOWED)}"
        raise source.error(
            ("recipe", min(others)), f"a node goes on from its weights, which this may change ({allowed})"
        )
