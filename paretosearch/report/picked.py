"""A choice from a front in words, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

from paretosearch.report.choice import Choice
from paretosearch.report.words import counted, seconds_text, words
from paretosearch.store import Estimate


def picked_lines(choice: Choice, study: str, axes: Collection[str]) -> Iterator[str]:
    """Say what was chosen, what it is, what it costs, and what its neighbours on the front would.

    Args:
        choice: The choice.
        study: Name of the study.
        axes: What it varies.
    """
    found, recipe = choice.found, choice.found.point.recipe
    yield f"trial {found.point.trial} of study {study!r}, {_why(choice)}:"
    yield f"  {recipe.network} on {recipe.dataset}: {words(recipe, axes)}"
    yield f"  {_figures(found)}, on {found.point.device_class}"
    yield f"  {_worth(found)}"
    if sizes := ", ".join(_sizes(found)):
        yield f"  {sizes}"
    yield from _neighbours(choice)


def _why(choice: Choice) -> str:
    if choice.bounds.seconds is None:
        return f"the fastest on the front that {choice.bounds}"
    return f"the most accurate on the front that {choice.bounds}"


def _figures(found: Estimate) -> str:
    seconds, accuracy = seconds_text(found.train_seconds), f"{100 * found.accuracy:.2f}"
    if not found.repeats:
        return f"{'~' if found.point.noisy else ''}{seconds} s, {accuracy} %"
    wide = seconds_text(found.seconds_interval), f"{100 * found.accuracy_interval:.2f}"
    return f"{seconds} ±{wide[0]} s, {accuracy} ±{wide[1]} %"


def _worth(found: Estimate) -> str:
    """Say how far the figures can be trusted."""
    if not found.repeats:
        disturbed = "; another program disturbed it (~)" if found.point.noisy else ""
        return f"a single training, so it looks better than it is: paretosearch confirm repeats it{disturbed}"
    first = f"{100 * found.point.accuracy:.2f} % was its first result"
    tested = "" if found.test_accuracy is None else f", {100 * found.test_accuracy:.2f} % on the test split"
    repeats = counted(found.repeats, "repeat")
    return f"means of {repeats} with 95 % intervals{tested}; {first}"


def _sizes(found: Estimate) -> Iterator[str]:
    point = found.point
    if point.parameters is not None:
        yield f"{point.parameters:,} parameters"
    if point.inference_flops is not None:
        yield f"{point.inference_flops / 1e6:,.1f} million operations an image"
    if point.peak_memory_bytes is not None:
        yield f"{point.peak_memory_bytes / 2**20:,.0f} MiB of memory in training"


def _neighbours(choice: Choice) -> Iterator[str]:
    here = choice.found
    if choice.slower is None:
        yield "  nothing on the front is more accurate"
    else:
        more = _apart(here, choice.slower)
        yield f"  {more} s more give {_points(here, choice.slower)} (trial {choice.slower.point.trial})"
    if choice.faster is None:
        yield "  nothing on the front is faster"
    else:
        less = _apart(choice.faster, here)
        yield f"  {less} s less cost {_points(choice.faster, here)} (trial {choice.faster.point.trial})"


def _apart(faster: Estimate, slower: Estimate) -> str:
    seconds = slower.train_seconds - faster.train_seconds
    return seconds_text(seconds) if seconds >= 0.01 else f"{seconds:.1g}"


def _points(worse: Estimate, better: Estimate) -> str:
    return f"{100 * (better.accuracy - worse.accuracy):.2f} points"


def picked_json(choice: Choice, study: str) -> dict[str, Any]:
    """Give a choice as JSON can hold it.

    Args:
        choice: The choice.
        study: Name of the study.

    Returns:
        The figures, what they are means of, the Recipe with its digest, and the neighbours on the front.
    """
    point = choice.found.point
    return {
        "study": study,
        "bounds": vars(choice.bounds),
        **_plain(choice.found),
        "seconds_interval": choice.found.seconds_interval if choice.found.repeats else None,
        "accuracy_interval": choice.found.accuracy_interval if choice.found.repeats else None,
        "test_accuracy": choice.found.test_accuracy,
        "device_class": point.device_class,
        "noisy": point.noisy,
        "parameters": point.parameters,
        "inference_flops": point.inference_flops,
        "peak_memory_bytes": point.peak_memory_bytes,
        "faster": choice.faster and _plain(choice.faster),
        "slower": choice.slower and _plain(choice.slower),
        "digest": point.digest,
        "recipe": json.loads(point.recipe.to_json()),
    }


def _plain(found: Estimate) -> dict[str, Any]:
    return {
        "trial": found.point.trial,
        "repeats": found.repeats,
        "train_seconds": found.train_seconds,
        "accuracy": found.accuracy,
    }
