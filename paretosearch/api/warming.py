"""Begins a study with the results of another one."""

from __future__ import annotations

from rich.console import Console

from paretosearch.api.contents import Contents, changes, said
from paretosearch.errors import RecipeError, UsageError, suggest
from paretosearch.report.stages import printing
from paretosearch.report.words import counted
from paretosearch.search import Search
from paretosearch.search.study import FROM
from paretosearch.space import Genome, Space
from paretosearch.store import Point, Store


def warm(
    study: str,
    source: str,
    space: Space,
    search: Search,
    store: Store,
    device_class: str,
    contents: Contents,
    console: Console,
) -> None:
    """Take over the results of another study that are Recipes of this one's space, on the same class of device.

    Results of other images than this study's say nothing here: of these, the Recipes of the front are asked for, to be
    trained anew. Doing so again takes over nothing twice.

    Args:
        study: Name of the study that begins.
        source: Name of the other.
        space: What is searched.
        search: Where the results are told.
        store: Where both studies are kept.
        device_class: The study's class of device: seconds of another one say nothing here.
        contents: What the study's data sets hold.
        console: Where to say how many there are.

    Raises:
        UsageError: If there is no such study, or it is the same one.
    """
    names = [record.name for record in store.studies()]
    if source not in names or source == study:
        others = [name for name in names if name != study]
        raise UsageError(f"--from-study: there is no other study {source!r} in the store{suggest(source, others)}")
    points = store.completed(source, device_class)
    fitting = [(point, genome) for point in points if (genome := genome_of(space, point)) is not None]
    record = store.study(source)
    changed = changes(record.data_sets, contents) if record is not None else {}
    same = [(point, genome) for point, genome in fitting if point.recipe.dataset not in changed]
    for point, genome in same:
        note = {FROM: f"{source}/{point.trial}", "digest": point.digest}
        trial = search.add_result(genome, (point.train_seconds, point.accuracy), note)
        store.copy_result(point.attempt, study, trial)
        store.record_front(study, trial, device_class)
    left = len(points) - len(fitting)
    rest = f"; {left} are no recipes of this space" if left else ""
    say = printing(console)
    if same or not changed:
        say(f"begins with {counted(len(same), 'result')} of study {source!r} on {device_class}{rest}")
    if changed:
        on_front = {point.trial for point in store.front(source, device_class).points}
        anew = [g for point, g in fitting if point.recipe.dataset in changed and point.trial in on_front]
        for genome in anew:
            search.begin_with(source, genome)
        recipes = f"{counted(len(anew), 'recipe')} of the front of study {source!r}"
        say(f"begins with {recipes}, to be trained anew, as images have changed ({said(changed)})")


def genome_of(space: Space, point: Point) -> Genome | None:
    """Give the genome of a result in a space; None if its Recipe is none of that space."""
    try:
        shared = space.genome_of(point.recipe)
        within = {name: v if space.axes[name].contains(v) else space.corner[name] for name, v in shared.items()}
        found = space.recipe(within)
    except (RecipeError, KeyError):
        return None
    return within if found.digest == point.digest else None
