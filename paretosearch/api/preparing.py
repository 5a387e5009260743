"""Finds out before any Worker starts whether a study's data and networks can be had."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from itertools import groupby, product

import torch
from rich.console import Console
from torch import nn

from paretosearch import data, methods
from paretosearch.axis import Value
from paretosearch.errors import RecipeError, StudyFileError, about
from paretosearch.method import Method
from paretosearch.methods.dynamic_batch import SHAPING
from paretosearch.recipe import Recipe
from paretosearch.report.decoding import decoding_bar
from paretosearch.space import Activation, Space
from paretosearch.studyfile import StudyFile
from paretosearch.training import build_model
from paretosearch.training.surgery import Surgeon


def gather(space: Space, console: Console) -> Sequence[data.ImageSet]:
    """Get and decode the data sets.

    Args:
        space: What is searched.
        console: Where to show the decoding, and which files were left out.

    Returns:
        Each data set at each size.

    Raises:
        DataError: If a data set is not to be had.
    """
    sizes = product(space.values_of("dataset"), space.values_of("image_size"))
    return [_load(str(dataset), int(image_size), console) for dataset, image_size in sizes]


@contextmanager
def naming(file: StudyFile) -> Iterator[None]:
    """Name the study file in what is wrong with the Recipes that it makes, and the line of what that is about.

    Raises:
        StudyFileError: In the place of a RecipeError.
    """
    try:
        yield
    except RecipeError as error:
        place = file.source.place(error.key)
        raise file.source.error(place, str(error)) if place else StudyFileError(f"{file.path}: {error}") from None


def check_methods(space: Space) -> None:
    """Look, before anything slow begins, for Methods that could never act, or do not go together.

    Raises:
        RecipeError: If there are any.
    """
    _possible_methods(space)
    methods.active(space.recipe(space.corner))


def check_networks(space: Space, data_sets: Sequence[data.ImageSet]) -> None:
    """Build each network once with each pooling, and once behind each setting of a Method that changes what it reads.

    Args:
        space: What is searched.
        data_sets: What `gather` has given.

    Raises:
        RecipeError: If a network does not fit the images, a pooling does not fit the network, a batch is larger
            than what there is to train on, a Method could never act, or the network is not made for one.
    """
    possible = _possible_methods(space)
    for images in data_sets:
        with about("batch_size"):
            _check_batches(space, len(images.train))
        for network, pooling in product(space.values_of("network"), space.values_of("pooling")):
            changed = {"dataset": images.name, "network": network, "pooling": pooling}
            _check_network(space.recipe({**space.corner, **changed}), images, possible)
        for network, (genome, key) in product(space.values_of("network"), _inputs(space)):
            _check_input(space.recipe({**genome, "dataset": images.name, "network": network}), images, possible, key)


def _check_network(recipe: Recipe, images: data.ImageSet, possible: Sequence[Method]) -> None:
    _check_anatomy(build_model(recipe, images, methods.active(recipe)), recipe, images, possible)


def _check_anatomy(model: nn.Module, recipe: Recipe, images: data.ImageSet, possible: Sequence[Method]) -> None:
    example = torch.zeros(2, images.channels, images.image_size, images.image_size)
    for method in possible:
        with about(method.key()):
            deepcopy(method).check_anatomy(Surgeon(model, example), recipe.network)  # which it remembers


def _inputs(space: Space) -> Iterator[tuple[dict[str, Value], str]]:
    """Give each genome in which a Method has networks read another input than at the corner, with what sets it so."""
    for activation in space.activations:
        if methods.by_name(activation.method).changes_input():
            keys = [f"{activation.method}.{name}" for name in activation.parameters]
            for genome in space.corners(keys):
                changed = [key for key in keys if genome.get(key) != space.corner.get(key)]
                if changed and activation.is_active({**space.fixed, **genome}):
                    yield genome, changed[-1]


def _check_input(recipe: Recipe, images: data.ImageSet, possible: Sequence[Method], key: str) -> None:
    """Build a network that reads another input by a setting, without which all that is possible may act."""
    try:
        model = build_model(recipe, images, methods.active(recipe))
    except RecipeError as error:
        error.key = key
        raise
    try:
        _check_anatomy(model, recipe, images, possible)
    except RecipeError as error:
        method, _, parameter = key.partition(".")
        setting = f"{key} = {json.dumps(recipe.methods[method][parameter])}"
        refusal = RecipeError(f"{error}; or take {setting} out, without which it acts")
        refusal.key = key
        raise refusal from None


def _possible_methods(space: Space) -> list[Method]:
    """Make every Method that the space may turn on, once for each value of its switch, or say why it could not act."""
    return [
        _possible(space, activation, list(genomes))
        for activation in space.activations
        if activation.canonical is not None and space.may_use(activation.method)
        for _, genomes in groupby(_corners(space, activation), key=lambda genome: genome.get(activation.key))
    ]


def _corners(space: Space, activation: Activation) -> Iterator[dict[str, Value]]:
    """Give the genomes at the ends of all axes that a Method may look at, and in which it is on; the rest is off.

    Of other Methods it looks at those that change shapes: with all of them, the genomes would double with each.
    """
    own = [f"{activation.method}.{name}" for name in activation.parameters]
    others = [other.key for other in space.activations if other.method in SHAPING]
    keys = dict.fromkeys([activation.key, "epochs", "batch_size", "augmentation", *others, *own])
    off = {a.key: a.value for a in space.activations if not a.on and a.key not in keys and a.key in space.axes}
    quiet = {key: value for key, value in off.items() if space.axes[key].contains(value)}
    genomes = ({**genome, **quiet} for genome in space.corners(keys))
    return (genome for genome in genomes if activation.is_active({**space.fixed, **genome}))


def _possible(space: Space, activation: Activation, genomes: list[dict[str, Value]]) -> Method:
    for genome in genomes:
        recipe = space.recipe(genome)
        if activation.method in recipe.methods:
            return methods.by_name(activation.method)(**recipe.methods[activation.method])
    recipe = space.spelled(genomes[-1])
    methods.active(recipe)
    raise AssertionError(f"{activation.method} is left out of {recipe}, and it can act there")


def _check_batches(space: Space, images: int) -> None:
    share = min(float({**space.fixed, **genome}["train_share"]) for genome in space.corners(["train_share"]))
    every = min(min(int(count), images) or images for count in space.values_of("train_images"))
    smallest, largest = data.used(images, every, share), max(map(int, space.values_of("batch_size")))
    fits = 1 << (smallest.bit_length() - 1)
    if largest > smallest:
        there = f"train_share = {share:g} leaves {smallest} of {every}" if share < 1 else f"there are {smallest}"
        or_more = f", or take no share below {_share_of(largest, every):g}" if share < 1 and largest <= every else ""
        raise RecipeError(
            f"batch_size goes up to {largest}, and {there} images to train on; "
            f"lower it in the study file to {smallest} at most, such as high = {fits}{or_more}"
        )


def _share_of(part: int, images: int) -> float:
    """Give a share in hundredths that holds so many images."""
    return math.ceil(100 * part / images) / 100


def _load(dataset: str, image_size: int, console: Console) -> data.ImageSet:
    with decoding_bar(console) as progress:
        images = data.load(dataset, image_size, progress)
    if images.left_out:
        names = ", ".join(images.left_out[:3]) + (" ..." if len(images.left_out) > 3 else "")
        line = f"left out, because they are no readable images: {len(images.left_out)} ({names})"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return images
