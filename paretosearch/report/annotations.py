"""What the dashboard shows of a study beyond what Optuna knows: notes, charts, files."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.study._frozen import FrozenStudy
from optuna_dashboard import save_plotly_graph_object
from optuna_dashboard._note import get_note_from_system_attrs, note_str_key_prefix, note_ver_key, split_body

from paretosearch.errors import StoreError
from paretosearch.report.artifacts import Artifacts
from paretosearch.report.markdown import plain
from paretosearch.report.notes import study_note
from paretosearch.report.panes import panes
from paretosearch.report.trialnotes import trial_note
from paretosearch.report.watched import Watched, watched
from paretosearch.store import Store

#: What the dashboard calls the objectives; `optuna` itself knows them as fields of an Outcome.
METRICS = ["training time (s)", "validation accuracy"]

#: Seconds between two looks at a study, and the largest share of a core that goes into drawing one: Workers of the same
#: machine have a better use for it.
AGAIN_SECONDS, MOST_SHARE = 5.0, 0.05

#: Says of the name of a study whether a Launcher works on it now; None if that cannot be told.
Launched = Callable[[str], bool | None]


@dataclass
class _Sheet:
    """What is shown of one study.

    Args:
        lock: Held by who draws it.
        version: How often it was drawn.
        state: What the study looked like then.
        due: When to look again, in monotonic seconds.
        notes: The study's own note by None, and those of trials by Optuna's key of the trial.
        attributes: Charts, files and names, as the dashboard keeps them.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    version: int = 0
    state: object = None
    due: float = 0.0
    notes: Mapping[int | None, str] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Annotated(RDBStorage):
    """Optuna's tables, and beside a study's own attributes those that are made of our tables when somebody looks.

    They are written nowhere. A dashboard that may only read can show them, the Launcher spends no time on them, and
    they say what is so now, be the last Launcher dead for a week.
    """

    _annotated_by: Callable[[int, Mapping[str, Any]], Mapping[str, Any]] = staticmethod(lambda _, own: own)

    def annotate(self, by: Callable[[int, Mapping[str, Any]], Mapping[str, Any]]) -> None:
        """Take attributes from somebody who is given the key of a study and those that it has."""
        self._annotated_by = by

    def get_all_studies(self) -> list[FrozenStudy]:
        """List the studies, each with what is shown of it."""
        studies = super().get_all_studies()
        for study in studies:
            study.system_attrs = dict(self._annotated_by(study._study_id, study.system_attrs))
        return studies

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Give the attributes of a study with what is shown of it."""
        return dict(self._annotated_by(study_id, super().get_study_system_attrs(study_id)))


class Annotations:
    """Draws studies while somebody looks at them.

    Args:
        storage: Optuna's tables.
        store: Ours in the same database.
        url: The database as commands name it.
        artifacts: Who keeps files.
        launched: Says of the name of a study whether a Launcher works on it now; None if that cannot be told.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        storage: RDBStorage,
        store: Store,
        url: str,
        artifacts: Artifacts,
        launched: Launched = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage, self._store, self._url = storage, store, url
        self._artifacts, self._launched, self._clock = artifacts, launched, clock
        self._sheets: dict[int, _Sheet] = {}

    def refresh(self, study_id: int) -> None:
        """Bring what is shown of a study up to date, if that is some seconds old; only the first visitor waits.

        Args:
            study_id: Optuna's key of the study, whether there is one or not.
        """
        sheet = self._sheets.setdefault(study_id, _Sheet())
        if self._clock() < sheet.due or not sheet.lock.acquire(blocking=not sheet.notes):
            return
        try:
            if self._clock() >= sheet.due:
                self._draw(study_id, sheet)
        finally:
            sheet.lock.release()

    def _draw(self, study_id: int, sheet: _Sheet) -> None:
        began = self._clock()
        try:
            name = self._storage.get_study_name_from_id(study_id)
            launched = self._launched(name)
            state = launched, _state(self._store, name), self._artifacts.state()
            if state != sheet.state:
                self._fill(study_id, sheet, watched(self._store, name, self._url, launched))
                sheet.state = state
        except (KeyError, StoreError):
            pass  # a study of somebody else, or a database that is away: what there was stays
        except Exception as error:  # whatever a study holds, the dashboard's own page must open
            said = plain(f"{type(error).__name__}: {error}")
            sheet.notes, sheet.version = {None: f"paretosearch cannot draw this study: {said}"}, sheet.version + 1
        now = self._clock()
        sheet.due = now + max(AGAIN_SECONDS, (now - began) / MOST_SHARE)

    def _fill(self, study_id: int, sheet: _Sheet, found: Watched) -> None:
        notes: dict[int | None, str] = {None: study_note(found, f"/dashboard/studies/{study_id}")}
        attributes: dict[str, Any] = {"study:metric_names": METRICS, **_charts(found)}
        if found.found is not None:
            points = found.found.on_fronts
            files = self._artifacts.of(found.record.name, points)
            for point in points:
                trial = self._storage.get_trial_id_from_study_id_trial_number(study_id, point.trial)
                notes[trial] = trial_note(found, found.found, point)
                for file in files[point.trial]:
                    attributes[f"dashboard:artifacts:{trial}:{file['artifact_id']}"] = json.dumps(file)
        sheet.notes, sheet.attributes, sheet.version = notes, attributes, sheet.version + 1

    def added(self, study_id: int, own: Mapping[str, Any]) -> Mapping[str, Any]:
        """Give the attributes of a study with what is shown of it; a note that somebody has written stands.

        Args:
            study_id: Optuna's key of the study.
            own: Attributes that it has.
        """
        sheet = self._sheets.get(study_id)
        if sheet is None:
            return own
        attributes = {**own, **sheet.attributes}
        for trial, body in sheet.notes.items():
            written = get_note_from_system_attrs(attributes, trial)
            if not written["body"]:
                prefix = note_str_key_prefix(trial)
                attributes = {key: value for key, value in attributes.items() if not key.startswith(prefix)}
                attributes.update(split_body(body, trial))
                attributes[note_ver_key(trial)] = written["version"] + sheet.version
        return attributes


def _state(store: Store, study: str) -> object:
    """Give what is different once there is something new to show of a study; it takes some milliseconds."""
    running = tuple(attempt.id for attempt in store.running_attempts(study))
    return vars(store.counts(study)), store.device_seconds(study), running


def _charts(found: Watched) -> Mapping[str, Any]:
    """Give charts as the dashboard keeps them."""
    memory = InMemoryStorage()
    study = optuna.create_study(storage=memory)
    for name, figure in panes(found).items():
        save_plotly_graph_object(study, figure, graph_object_id=name)
    return memory.get_study_system_attrs(study._study_id)
