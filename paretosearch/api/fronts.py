"""Finds studies, their fronts and their Recipes in a store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path

from paretosearch.errors import RecipeError, StoreError, UsageError, suggest
from paretosearch.fleet import spool
from paretosearch.fleet.locks import LAUNCHER, seems_held
from paretosearch.recipe import Recipe
from paretosearch.report.classes import meant, seen_by
from paretosearch.report.notebook import StudyFront, study_front
from paretosearch.report.progress import NOTE
from paretosearch.store import AttemptRecord, Store, open_store, redacted

#: A Recipe is a line of text; what is larger was meant for somebody else.
MOST_CHARACTERS = 1 << 20


def load_front(study: str | None = None, storage: str | None = None, device_class: str | None = None) -> StudyFront:
    """Read the front of a study.

    Args:
        study: Its name; None is the newest study of the store.
        storage: Database URL; None is ``PARETOSEARCH_STORAGE``, else the SQLite file here.
        device_class: Class of devices, or a part of its name that means no other; None is the study's own.

    Returns:
        The non-dominated trials, fastest first, and the dominated ones; to be plotted, tabulated and shown. Its
        ``device_classes`` are those that have a front.

    Raises:
        UsageError: If there is no such study, or it was not trained on that class.
        StoreError: If the database cannot be opened.
    """
    store, name = open_study(study, storage)
    with closing(store):
        return study_front(store, name, checked_class(store, name, device_class))


def open_study(name: str | None = None, storage: str | None = None) -> tuple[Store, str]:
    """Open a store and find a study in it.

    Args:
        name: Its name; None is the newest study of the store.
        storage: Database URL; None is ``PARETOSEARCH_STORAGE``, else the SQLite file here.

    Returns:
        The store and the study's name.

    Raises:
        UsageError: If there is no such study.
        StoreError: If the database cannot be opened.
    """
    try:
        store = open_store(storage, create=False)
    except StoreError:
        _refuse_tree(name)
        raise
    names = [record.name for record in sorted(store.studies(), key=lambda record: record.created)]
    if name not in names:
        _refuse_tree(name)
    if not names:
        raise UsageError(f"no study was launched in {redacted(store.url)} yet; start with: paretosearch launch")
    if name is not None and name not in names:
        raise UsageError(f"there is no study {name!r} in {redacted(store.url)}{_meant(name, names)}")
    return store, name or names[-1]


def _refuse_tree(name: str | None) -> None:
    """Say which command a shipped study is for that no launch runs."""
    if name is None:
        return
    from paretosearch.studyfile.reading import shipped_trees  # imports torch

    if name in shipped_trees():
        raise UsageError(f"{name} is a tree, which no store keeps; paretosearch tree {name} runs it, and shows it")


def _meant(name: str, names: Sequence[str]) -> str:
    """End a message with the study that is nearest by its name: in the store, or one to be launched first."""
    from paretosearch.studyfile import shipped  # imports torch

    near = get_close_matches(name, [*names, *shipped()], n=1)
    if not near or near[0] in names:
        return suggest(name, names)
    asked = "" if near[0] == name else f"did you mean {near[0]!r}? "
    return f" ({asked}it was not launched there yet; start with: paretosearch launch {near[0]})"


def is_launched(store: Store, study: str) -> bool | None:
    """Whether a Launcher works on a study now; None if that cannot be told from here.

    Args:
        store: Where it is kept.
        study: Its name.

    Raises:
        StoreError: If the database refuses.
    """
    claimed = store.is_claimed(study)
    if claimed is None:
        return seems_held(spool.place_of(redacted(store.url), study) / LAUNCHER)
    return claimed


def note_of(store: Store, study: str) -> Path:
    """Say where a launch of this host and user keeps a file of its progress."""
    return spool.place_of(redacted(store.url), study) / NOTE


def checked_class(store: Store, study: str, device_class: str | None) -> str | None:
    """Find the class of device that a part of its name means, such as ``2080`` or ``x2``; None is the study's own.

    Raises:
        UsageError: If the study has been trained on no such class, or on several.
    """
    if device_class is None:
        return None
    known = store.device_classes(study)
    found = meant(device_class, known)
    if not found:
        raise UsageError(f"study {study!r} was not trained on {device_class!r}{suggest(device_class, known)}")
    if len(found) > 1:
        raise UsageError(f"{device_class!r} may be any of {', '.join(found)}; name more of the one you mean")
    return found[0]


def require_results(store: Store, study: str, device_class: str | None = None) -> None:
    """Refuse a study without any result on a class of device, its own if None, in the same words whatever is wanted.

    Raises:
        UsageError: If no trial is complete there.
    """
    if store.completed(study, device_class):
        return
    elsewhere = [name for name in store.device_classes(study) if store.completed(study, name)]
    if elsewhere:
        options = " or ".join(seen_by(name, store.device_classes(study)) for name in elsewhere)
        where = device_class or "its own class of device"
        raise UsageError(f"study {study!r} has no complete trial on {where} yet; {options} has some")
    raise UsageError(
        f"study {study!r} has no complete trial yet; the launch command that began it continues it, "
        f"and paretosearch status {study} says how far it is"
    )


def axes_of(store: Store, study: str) -> Sequence[str]:
    """Give the names of what a study varies."""
    record = store.study(study)
    assert record is not None
    return tuple(record.space["declared"]["axes"])


def chosen_recipe(
    file: Path | None, trial: int | None, study: str | None, storage: str | None, seed: int | None
) -> Recipe:
    """Read a Recipe from a file, or from a trial of a study.

    Raises:
        UsageError: If neither or both are named, or there is no such file, trial or study.
        RecipeError: If the file holds no Recipe.
    """
    if file is None and trial is None:
        raise UsageError("name what to train: a RECIPE.json, or --trial NUMBER")
    if file is not None and trial is not None:
        raise UsageError(f"{file} and --trial {trial} are two Recipes; name one, not both")
    recipe = _recipe_of_file(file) if file is not None else _recipe_of_trial(trial, study, storage)
    return recipe if seed is None else replace(recipe, seed=seed)


def _recipe_of_file(file: Path) -> Recipe:
    try:
        with file.open(encoding="utf-8") as opened:
            text = opened.read(MOST_CHARACTERS + 1)
        if len(text) > MOST_CHARACTERS:
            raise RecipeError(f"it has more than {MOST_CHARACTERS} characters, and a Recipe has a few hundred")
        recipe = Recipe.from_json(text)
    except (OSError, UnicodeDecodeError) as error:
        hint = f"; for trial {file} write --trial {file}" if str(file).isdecimal() else ""
        raise UsageError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}{hint}") from None
    except RecipeError as error:
        raise RecipeError(f"{file}: {error}{_way_to_run(file, text)}") from None
    if recipe.methods:  # a plain one needs no torch until the device is taken
        _check_switches(file, text, recipe)
    return recipe


def _way_to_run(file: Path, text: str) -> str:
    """End a message about a file that may be a study."""
    if file.suffix != ".toml":
        return ""
    from paretosearch.studyfile.reading import is_tree  # imports torch

    return f"; a study file is run by paretosearch {'tree' if is_tree(text) else 'launch'} {file}"


def _check_switches(file: Path, text: str, recipe: Recipe) -> None:
    """Refuse parameters of a Method that nobody turns on, or off."""
    from paretosearch import methods  # imports torch

    for method, problem in methods.without_switch(recipe.methods).items():
        said = next((f"{method}.{key} = {json.dumps(value)}" for key, value in recipe.methods[method].items()), method)
        line = text.count("\n", 0, max(text.find(json.dumps(method)), 0)) + 1
        raise RecipeError(f"{file}:{line}: {said} {problem}")


def _recipe_of_trial(trial: int | None, study: str | None, storage: str | None) -> Recipe:
    assert trial is not None
    store, name = open_study(study, storage)
    with closing(store):
        return attempts_of(store, name, trial)[-1].recipe


def attempts_of(store: Store, study: str, trial: int) -> Sequence[AttemptRecord]:
    """Give the attempts of a trial, at least one.

    Raises:
        UsageError: If the study has no such trial.
    """
    attempts = [attempt for attempt in store.attempts(study) if attempt.purpose == "search"]
    found = [attempt for attempt in attempts if attempt.trial == trial]
    if not found:
        known = _runs(sorted({attempt.trial for attempt in attempts}))
        has = f"it has trials {known}" if known else "none has begun yet"
        raise UsageError(f"study {study!r} has no trial {trial}; {has}")
    return found


def _runs(numbers: Sequence[int]) -> str:
    """Write numbers in ascending order as ``0 to 5, 7``."""
    said: list[str] = []
    for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        said.append(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]))
    return ", ".join(said)
