"""Finds a study file, reads it, checks it."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from paretosearch import data, nets
from paretosearch.axis import Value
from paretosearch.errors import StudyFileError, suggest
from paretosearch.files import NAME
from paretosearch.recipe import FIELDS
from paretosearch.space import MOST_GENOMES, Space
from paretosearch.studyfile.axes import checked, make_space
from paretosearch.studyfile.first import make_first
from paretosearch.studyfile.source import Source
from paretosearch.studyfile.tables import Table, complaint, shown
from paretosearch.studyfile.values import Budget, Hardware, SearchOptions, StudyFile

#: A study file is a page of text; what is larger was meant for somebody else.
MOST_BYTES = 1 << 20

Page = TypeVar("Page", bound=Table)


#: The table that makes a file a study of classes that arrive in groups, which searches nothing.
TREE = "tree"


class Head(Table):
    """What every study file says at its top."""

    name: str = Field(
        pattern=f"^{NAME}$",
        description="1 to 100 ASCII letters, digits, dots, hyphens and underscores, the first a letter or digit",
    )
    dataset: str = Field(description="the name of a data set, or folder:PATH")
    network: str = Field(description="the name of a network")
    seed: int = Field(default=0, description=str(FIELDS["seed"]))


class _Page(Head):
    keep_slow_formats: bool = Field(default=False, description="true or false")
    budget: Budget = Field(description="a table with trials, device_hours or both")
    search: SearchOptions = Field(default=SearchOptions(), description="a table with sampler, population and others")
    hardware: Hardware = Field(default=Hardware(), description="a table with reference")
    recipe: dict[str, Any] = Field(default={}, description="a table of fixed values")
    space: dict[str, Any] = Field(description="a table of what to search")
    first: dict[str, Any] = Field(default={}, description="a table of tables of values to begin with")


def shipped() -> tuple[str, ...]:
    """List the names of the studies that come with paretosearch and can be launched."""
    return tuple(name for name, is_tree in _all_shipped().items() if not is_tree)


def shipped_trees() -> tuple[str, ...]:
    """List the names of those of classes that arrive in groups."""
    return tuple(name for name, is_tree in _all_shipped().items() if is_tree)


def _all_shipped() -> dict[str, bool]:
    """Give every study that comes with paretosearch, with whether it has a [tree] table."""
    return {path.stem: is_tree(path.read_text("utf-8")) for path in sorted(_shipped_folder().glob("*.toml"))}


def is_tree(text: str) -> bool:
    """Whether a study file seems to have a [tree] table."""
    return f"\n[{TREE}]" in text


def load(name_or_path: str) -> StudyFile:
    """Read a study file.

    Args:
        name_or_path: Name of a shipped study, or the path of a file.

    Returns:
        The study, every value checked.

    Raises:
        StudyFileError: If there is no such file, or something in it is wrong; names file, line, key, value and what
            is allowed.
    """
    source, table = opened(name_or_path, shipped())
    if TREE in table:
        raise source.error(
            (TREE,), f"classes that arrive in groups are no search; run paretosearch tree {name_or_path}"
        )
    return _study(source, validated(source, table, _Page))


def opened(name_or_path: str, names: Sequence[str]) -> tuple[Source, dict[str, Any]]:
    """Find a file, and read what is in it, whatever kind of study that is.

    Args:
        name_or_path: Name of a shipped study, or the path of a file.
        names: Shipped studies to suggest.

    Raises:
        StudyFileError: If there is no such file, or it is no TOML.
    """
    path = _find(name_or_path, names)
    text = _text(path)
    return Source(path, text), _toml(path, text)


def validated(source: Source, table: dict[str, Any], kind: type[Page]) -> Page:
    """Read a file's table as a kind of page.

    Raises:
        StudyFileError: If something in it is wrong.
    """
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        raise source.error(*complaint(error, kind)) from None


def _study(source: Source, page: _Page) -> StudyFile:
    top = top_of(source, page)
    space = make_space(source, top, page.recipe, page.space)
    if page.search.sampler in ("grid", "one-at-a-time"):
        _check_listed(source, space, page.search.sampler)
    return StudyFile(
        name=page.name,
        dataset=str(top["dataset"]),
        network=page.network,
        seed=page.seed,
        budget=page.budget,
        search=page.search,
        space=space,
        first=make_first(source, page.first, space),
        hardware=page.hardware,
        keep_slow_formats=page.keep_slow_formats,
        text=source.text,
        path=source.path,
    )


def top_of(source: Source, page: Head) -> dict[str, Value]:
    """Check the values of a Recipe that stand at the top of a file.

    Raises:
        StudyFileError: If there is no such data set or network, or the seed is none.
    """
    dataset = _dataset(source, page.dataset)
    with source.at("network"):
        nets.check_name(page.network)
    with source.at("seed"):
        seed = checked(page.seed, FIELDS["seed"])
    return {"dataset": dataset, "network": page.network, "seed": seed}


def _check_listed(source: Source, space: Space, sampler: str) -> None:
    """Refuse a plan that has no end, or none that anybody waits for."""
    continua = [name for name, axis in space.axes.items() if axis.count is None]
    if continua:
        raise source.error(("space", continua[0]), f"has no end of values, and {sampler} needs lists; list some")
    assert space.size is not None
    if sampler == "grid" and space.size > MOST_GENOMES:
        raise source.error(
            ("search", "sampler"), f"a grid has at most {MOST_GENOMES} trials, and this one {space.size}"
        )


def _shipped_folder() -> Path:
    package = Path(__file__).parent.parent
    in_wheel = package / "_studies"
    return in_wheel if in_wheel.is_dir() else package.parent / "studies"


def _find(name: str, names: Sequence[str]) -> Path:
    if name in _all_shipped():
        return _shipped_folder() / f"{name}.toml"
    path = Path(name)
    try:
        if path.is_file():
            return path.absolute()
        is_folder = bool(name) and path.is_dir()  # Path("") is the folder one stands in
    except OSError:
        is_folder = False  # a name that no file system takes is no file
    if is_folder:
        raise StudyFileError(f"{shown(name)} is a folder; copy studies/image_folder.toml and name the folder in it")
    raise StudyFileError(f"there is no study file {shown(name)} and no shipped study{_nearest(path, names)}")


def _nearest(path: Path, shipped: Sequence[str]) -> str:
    """Suggest a study file that lies there and begins so, else what comes with paretosearch or has a similar name."""
    try:
        there = {file.stem: str(file) for file in sorted(path.parent.glob("*.toml"))}
    except (OSError, ValueError):
        there = {}
    names = there | {name: name for name in shipped}
    begin_so = [stem for stem in there if path.stem and stem.startswith(path.stem)]
    near = begin_so or get_close_matches(path.stem, names, n=1)
    return f" (did you mean {names[near[0]]!r}?)" if near else suggest(path.stem, shipped)


def _text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise StudyFileError(f"{path}: has {size} bytes, and a study file has at most {MOST_BYTES}")
        content = path.read_bytes()
    except OSError as error:
        raise StudyFileError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise StudyFileError(f"{path}:{line}: byte 0x{byte:02x} is not UTF-8; save the file as UTF-8 text") from None


def _toml(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise StudyFileError(f"{path}:1: is nested too deeply to be a study file") from None
    except ValueError as error:
        message, line = _without_line(str(error), text)
        raise StudyFileError(f"{path}:{line}: {message}") from None


def _without_line(message: str, text: str) -> tuple[str, int]:
    """Take the line out of what tomllib says, to name it where every other complaint does."""
    found = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
    if found is None:
        return message, 1
    what = message[: found.start()]
    if found[1] is None:
        return f"{what} at the end of the file", text.count("\n") + 1
    return f"{what} in column {found[2]}", int(found[1])


def _dataset(source: Source, name: str) -> str:
    """Check the name of a known data set; make the path of a folder absolute.

    A relative path starts at the study file, wherever the command was given. Whether the folder is there is for
    `data.load` to say: the same file is right on one machine and wrong on another only in that.
    """
    kind, colon, path = name.partition(":")
    if kind == "folder" and path:
        start = source.path.parent
        return kind + colon + os.path.normpath(start / os.path.expanduser(path))  # noqa: PTH111  # Path's own raises
    with source.at("dataset"):
        data.check_name(name)
    return name
