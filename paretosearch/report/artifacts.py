"""The files that the dashboard offers with a trial: its Recipe, and weights where somebody kept them."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

from optuna.artifacts.exceptions import ArtifactNotFound

from paretosearch.errors import RecipeError
from paretosearch.files import content, opened
from paretosearch.recipe import Recipe
from paretosearch.store import Point

#: Where names of files come from that are the same whenever somebody asks.
_NAMESPACE = uuid.UUID("5f7a1c1e-6c1b-4d0a-9d53-0f6b3c6d5a70")

#: What `paretosearch train` leaves in a folder, and what it is to a browser: never a page, which could run a script.
_KINDS = {
    "recipe.json": "application/json",
    "outcome.json": "application/json",
    "weights.pt": "application/octet-stream",
}

#: A Recipe is a line of text, and a folder of trainings has some dozen sub-folders.
_MOST_BYTES, _MOST_FOLDERS = 1 << 20, 1000

_Open = Callable[[], BinaryIO]


class Artifacts:
    """An artifact store of Optuna's whose files are made of what the study knows, or lie where `train` has put them.

    Nothing is written: a Recipe is a row of the database, and weights have a place already.

    Args:
        trained: Folder that `paretosearch train --out` wrote to, or whose sub-folders it did; None has no weights.
    """

    def __init__(self, trained: Path | None = None) -> None:
        self._trained = trained
        self._files: dict[str, _Open] = {}

    def of(self, study: str, points: Sequence[Point]) -> Mapping[int, Sequence[Mapping[str, str | None]]]:
        """Offer the files of some trials.

        Args:
            study: Name of their study.
            points: The trials.

        Returns:
            For each trial what the dashboard keeps of its artifacts: ``artifact_id``, ``filename``, ``mimetype`` and
            ``encoding``.
        """
        trainings = dict(self._trainings())
        return {
            point.trial: [
                self._offered(study, point.trial, name, opener) for name, opener in _files(point.recipe, trainings)
            ]
            for point in points
        }

    def _offered(self, study: str, trial: int, name: str, opener: _Open) -> Mapping[str, str | None]:
        known = str(uuid.uuid5(_NAMESPACE, f"{study}/{trial}/{name}"))
        self._files[known] = opener
        return {"artifact_id": known, "filename": name, "mimetype": _KINDS[name], "encoding": None}

    def state(self) -> object:
        """Give what is different once something was trained; it takes some milliseconds."""
        return tuple((folder.name, _written(folder / "outcome.json")) for folder in self._folders())

    def _folders(self) -> Sequence[Path]:
        """List where trainings may be; none where that cannot be read."""
        if self._trained is None:
            return ()
        try:
            below = (path for path in sorted(self._trained.iterdir()) if path.is_dir() and not path.is_symlink())
            return self._trained, *islice(below, _MOST_FOLDERS)
        except OSError:
            return ()

    def _trainings(self) -> Iterator[tuple[Recipe, Path]]:
        """Find what was trained alone: Recipes, and the folders with their weights."""
        for folder in self._folders():
            try:
                yield Recipe.from_json(content(folder / "recipe.json", _MOST_BYTES).decode()), folder
            except (OSError, UnicodeDecodeError, RecipeError):
                continue  # no training, or none of ours

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open a file that was offered."""
        try:
            return self._files[artifact_id]()
        except (KeyError, OSError) as error:
            raise ArtifactNotFound("not found") from error

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Refuse: the guard lets nobody come here."""
        raise NotImplementedError

    def remove(self, artifact_id: str) -> None:
        """Leave a file where it is, since it is not only the dashboard's: this is called when a study is deleted."""


def _written(outcome: Path) -> int | None:
    """Say when a training was written, of which the Outcome is the last file; None if it was not."""
    try:
        return outcome.stat().st_mtime_ns
    except OSError:
        return None


def _files(recipe: Recipe, trainings: Mapping[Recipe, Path]) -> Iterator[tuple[str, _Open]]:
    yield "recipe.json", partial(io.BytesIO, _indented(recipe))
    if recipe in trainings:
        for name in ("outcome.json", "weights.pt"):
            path = trainings[recipe] / name
            if path.is_file() and not path.is_symlink():
                yield name, partial(_opened, path)


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, opened(path))


def _indented(recipe: Recipe) -> bytes:
    return f"{json.dumps(json.loads(recipe.to_json()), indent=2)}\n".encode()
