"""Picks a recipe from the front of a study and writes it to a file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from paretosearch.api.fronts import MOST_CHARACTERS, axes_of, checked_class, open_study, require_results
from paretosearch.errors import RecipeError, UsageError
from paretosearch.files import replacing
from paretosearch.recipe import Recipe
from paretosearch.report.choice import Bounds, Choice, choose


@dataclass(frozen=True)
class Picked:
    """A recipe that was picked.

    Args:
        study: Name of its study.
        axes: What that varies.
        choice: The recipe with what is known of it.
        known: The recipes of all results of the study.
    """

    study: str
    axes: tuple[str, ...]
    choice: Choice
    known: frozenset[Recipe] = frozenset()

    @property
    def recipe(self) -> Recipe:
        """What to train."""
        return self.choice.found.point.recipe


def pick(
    study: str | None = None,
    seconds: float | None = None,
    accuracy: float | None = None,
    storage: str | None = None,
    device_class: str | None = None,
) -> Picked:
    """Pick the recipe of a front that is best within bounds.

    Args:
        study: Name of a study in the store; None is the newest.
        seconds: Most training seconds; the most accurate recipe within them is picked.
        accuracy: Least accuracy, in [0, 1]; without ``seconds`` the fastest recipe that has it is picked.
        storage: Database URL; None is ``PARETOSEARCH_STORAGE``, else the SQLite file here.
        device_class: Class of devices, or a part of its name that means no other; None is the study's own.

    Returns:
        The recipe, with what is known of it.

    Raises:
        UsageError: If there is no bound, no such study, or nothing on its front that keeps the bounds.
        StoreError: If the database cannot be opened.
    """
    if seconds is None and accuracy is None:
        raise UsageError("say what to keep: --seconds 60, --accuracy 93%, or both")
    store, name = open_study(study, storage)
    with closing(store):
        chosen = checked_class(store, name, device_class)
        require_results(store, name, chosen)
        front, estimates = store.front(name, chosen), store.estimates(name, chosen)
        try:
            choice = choose(front, estimates, Bounds(seconds, accuracy))
        except UsageError as error:
            raise UsageError(f"study {name!r}: {error}") from None
        known = frozenset(point.recipe for point in store.completed(name))
        return Picked(name, tuple(axes_of(store, name)), choice, known)


def write_recipe(recipe: Recipe, file: Path, force: bool = False, known: Collection[Recipe] = ()) -> None:
    """Write a Recipe to a file.

    Args:
        recipe: The Recipe.
        file: Where to; the same Recipe may be there already.
        force: Whether something else that is there is replaced.
        known: Recipes that are replaced in any case, since the store has them.

    Raises:
        UsageError: If something else is there, or the file cannot be written.
    """
    text = f"{recipe.to_json()}\n"
    try:
        if not force and file.exists() and _text(file) != text and _held(file) not in known:
            raise UsageError(
                f"not written: {file} is there already and is something else; name another --out, or add --force"
            )
        with replacing(file) as opened:
            opened.write(text.encode())
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}; name another file by --out") from None


def _held(file: Path) -> Recipe | None:
    try:
        return Recipe.from_json(_text(file))
    except RecipeError:
        return None


def _text(file: Path) -> str:
    with file.open(encoding="utf-8", errors="replace") as opened:
        return opened.read(MOST_CHARACTERS)


def train_command(file: Path, device_class: str) -> str:
    """Give the command that trains the Recipe in a file as it was trained, on as many cores of a CPU."""
    cores = re.fullmatch(r"cpu:.*x(\d+)", device_class, re.DOTALL)
    slot = "" if cores is None else " --cpu 1" if cores[1] == "1" else f" --cpu 1x{cores[1]}"
    return f"paretosearch train {shlex.quote(str(file))}{slot}"
