"""What the dashboard shows of a study beyond what Optuna knows, and when it is drawn."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna_dashboard._note import get_note_from_system_attrs

from paretosearch.recipe import Recipe
from paretosearch.report import annotations as module
from paretosearch.report.annotations import METRICS, Annotated, Annotations
from paretosearch.report.artifacts import Artifacts
from paretosearch.report.dashboard import _storage, app
from paretosearch.store import Front, Store
from paretosearch.testing.dashboards import searched as unknown
from paretosearch.testing.dashboards import serving
from paretosearch.testing.postgres import postgres_server, why_no_postgres

STUDY_NOTE = "dashboard:note_str:0"


class Clock:
    """A clock that is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def note_of(drawn: Annotations, own: Mapping[str, Any] = MappingProxyType({})) -> str:
    return str(get_note_from_system_attrs(dict(drawn.added(1, own)), None)["body"])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def storage(searched: str) -> Iterator[Annotated]:
    storage = _storage(searched, allow_changes=False)
    yield storage
    storage.remove_session()
    storage.engine.dispose()


@pytest.fixture
def drawn(storage: Annotated, searched: str, clock: Clock) -> Annotations:
    made = Annotations(storage, Store(storage.engine), searched, Artifacts(), clock=clock)
    storage.annotate(made.added)
    return made


def test_a_study_is_drawn_when_somebody_looks_and_written_nowhere(
    storage: Annotated, drawn: Annotations, searched: str
) -> None:
    before = Path(searched.removeprefix("sqlite:///")).read_bytes()
    assert STUDY_NOTE not in storage.get_study_system_attrs(1)
    drawn.refresh(1)
    shown = storage.get_study_system_attrs(1)
    assert shown["study:metric_names"] == METRICS
    assert shown[STUDY_NOTE].startswith("## fashion")
    assert {key.split(":")[2] for key in shown if key.startswith("dashboard:plot_data:")} == {
        f"paretosearch-{name}" for name in ("1-front", "2-axes", "3-hypervolume", "4-devices")
    }
    assert storage.get_all_studies()[0].system_attrs == shown
    assert Path(searched.removeprefix("sqlite:///")).read_bytes() == before


def test_the_trials_on_the_front_have_notes_and_files_and_no_others(
    storage: Annotated, drawn: Annotations, study: str
) -> None:
    drawn.refresh(1)
    shown = storage.get_study_system_attrs(1)
    front = {point.trial for point in Store(storage.engine).front(study).points}
    noted = {trial.number for trial in storage.get_all_trials(1) if f"dashboard:{trial._trial_id}:note_str:0" in shown}
    with_files = {
        trial.number
        for trial in storage.get_all_trials(1)
        if any(key.startswith(f"dashboard:artifacts:{trial._trial_id}:") for key in shown)
    }
    assert noted == with_files == front


def test_what_has_not_changed_is_not_drawn_again(
    drawn: Annotations, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn.refresh(1)
    monkeypatch.setattr(module, "watched", lambda *_: pytest.fail("it was read again"))
    drawn.refresh(1)
    clock.now += 3600
    drawn.refresh(1)


def test_drawing_takes_a_small_share_of_the_time(
    drawn: Annotations, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn.refresh(1)
    looked: list[float] = []
    states = iter(range(100))

    def slow(*_: object) -> int:
        looked.append(clock.now)
        clock.now += 2.0
        return next(states)

    monkeypatch.setattr(module, "_state", slow)
    for _ in range(200):
        clock.now += 1.0
        drawn.refresh(1)
    assert 2.0 * len(looked) <= 0.06 * 600
    assert looked


def test_a_new_result_is_shown(
    made: Callable[[str, int], Store],
    study: str,
    clock: Clock,
    retrained: Callable[[Store, int], None],
    tmp_path: Path,
) -> None:
    store = made(f"sqlite:///{tmp_path}/new.db", 20)
    storage = _storage(store.url, allow_changes=False)
    drawn = Annotations(storage, Store(storage.engine), store.url, Artifacts(), clock=clock)
    drawn.refresh(1)
    assert "Each point is a single training" in note_of(drawn)
    retrained(store, store.front(study).points[-1].trial)
    drawn.refresh(1)
    assert "Each point is a single training" in note_of(drawn)  # not looked at yet
    clock.now += 60
    drawn.refresh(1)
    assert "Each point is a single training" not in note_of(drawn)
    assert "means and intervals" in note_of(drawn)
    storage.remove_session()
    storage.engine.dispose()


def test_a_note_that_somebody_has_written_stands(drawn: Annotations) -> None:
    drawn.refresh(1)
    own = {"dashboard:note_ver": 3, STUDY_NOTE: "mine", "dashboard:note_str:1": ""}
    shown = drawn.added(1, own)
    assert (shown["dashboard:note_ver"], shown[STUDY_NOTE]) == (3, "mine")
    emptied = {"dashboard:note_ver": 3, **{f"dashboard:note_str:{part}": "" for part in range(9)}}
    assert note_of(drawn, emptied).startswith("## fashion")
    assert drawn.added(1, emptied)["dashboard:note_ver"] > 3


def test_a_study_of_somebody_else_and_one_that_is_not_there_stay_as_they_are(tmp_path: Path) -> None:
    url = unknown(f"sqlite:///{tmp_path}/other.db")
    storage = _storage(url, allow_changes=False)
    drawn = Annotations(storage, Store(storage.engine), url, Artifacts())
    for study_id in (1, 77):
        drawn.refresh(study_id)
        assert drawn.added(study_id, {"a": 1}) == {"a": 1}
    storage.remove_session()
    storage.engine.dispose()


def test_what_cannot_be_drawn_is_said_and_the_page_opens(drawn: Annotations, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("<b>it</b>")

    monkeypatch.setattr(module, "study_note", broken)
    drawn.refresh(1)
    assert note_of(drawn) == "paretosearch cannot draw this study: ValueError\\: \\<b\\>it\\<\\/b\\>"


def test_a_database_that_is_gone_leaves_what_was_shown(
    drawn: Annotations, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn.refresh(1)
    before = note_of(drawn)
    clock.now += 60
    monkeypatch.setattr(Store, "counts", lambda *_: (_ for _ in ()).throw(module.StoreError("gone")))
    drawn.refresh(1)
    assert note_of(drawn) == before


def test_a_server_that_may_only_be_read_shows_it_too(
    made: Callable[[str, int], Store], study: str, tmp_path: Path
) -> None:
    if reason := why_no_postgres():
        pytest.skip(reason)
    with postgres_server() as server:
        url = server.new_database()
        with closing(made(url, 12)) as store:
            best = store.front(study).points[-1]
        with serving(tmp_path, url) as dashboard:
            status, body, _ = dashboard.ask("GET", "/api/studies/1")
            assert status == 200
            shown = json.loads(body)
            trial = shown["trials"][best.trial]
            (file,) = trial["artifacts"]
            place = f"/artifacts/1/{trial['trial_id']}/{file['artifact_id']}"
            assert Recipe.from_json(dashboard.ask("GET", place)[1]) == best.recipe
        assert shown["note"]["body"].startswith("## fashion")
        assert len(shown["plotly_graph_objects"]) == 4


def test_a_recipe_is_a_file_that_train_can_read(front: Front) -> None:
    artifacts = Artifacts()
    offered = artifacts.of("mine", front.points)
    for point in front.points:
        (file,) = offered[point.trial]
        assert file["filename"] == "recipe.json"
        assert Recipe.from_json(artifacts.open_reader(str(file["artifact_id"])).read().decode()) == point.recipe
    assert artifacts.of("mine", front.points) == offered  # the same names whenever it is asked
    assert artifacts.of("other", front.points) != offered


def test_weights_are_offered_where_train_has_kept_them(front: Front, tmp_path: Path) -> None:
    first, second, third = front.points[:3]
    for point, name in ((first, "first"), (third, "third")):
        folder = tmp_path / name
        folder.mkdir()
        recipe = point.recipe if point is first else replace(point.recipe, seed=99)  # that is another training
        (folder / "recipe.json").write_text(recipe.to_json())
        (folder / "outcome.json").write_text("{}")
        (folder / "weights.pt").write_bytes(b"weights")
    artifacts = Artifacts(tmp_path)
    offered = artifacts.of("mine", front.points)
    names = {trial: [file["filename"] for file in files] for trial, files in offered.items()}
    assert names[first.trial] == ["recipe.json", "outcome.json", "weights.pt"]
    assert names[second.trial] == names[third.trial] == ["recipe.json"]
    with artifacts.open_reader(str(offered[first.trial][-1]["artifact_id"])) as file:
        assert file.read() == b"weights"
    (tmp_path / "first" / "weights.pt").unlink()
    with pytest.raises(ArtifactNotFound):
        artifacts.open_reader(str(offered[first.trial][-1]["artifact_id"]))


def test_weights_are_offered_once_they_are_trained_though_the_study_stays_as_it_is(
    storage: Annotated, searched: str, study: str, clock: Clock, tmp_path: Path
) -> None:
    store = Store(storage.engine)
    drawn = Annotations(storage, store, searched, Artifacts(tmp_path), clock=clock)

    def weights() -> int:
        clock.now += 60
        drawn.refresh(1)
        files = [json.loads(said) for key, said in drawn.added(1, {}).items() if key.startswith("dashboard:artifacts:")]
        return sum(file["filename"] == "weights.pt" for file in files)

    assert weights() == 0
    for name, point in zip(("", "alone"), store.front(study).points, strict=False):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "recipe.json").write_text(point.recipe.to_json())
        (folder / "weights.pt").write_bytes(b"weights")
        (folder / "outcome.json").write_text("{}")
        assert weights() == (2 if name else 1)


def test_a_folder_of_trainings_that_cannot_be_read_offers_none(
    front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refused)  # the superuser may read any folder
    artifacts = Artifacts(tmp_path)
    assert [len(files) for files in artifacts.of("mine", front.points).values()] == [1] * len(front.points)
    assert artifacts.state() == ()


def test_a_link_among_the_weights_is_not_followed(front: Front, tmp_path: Path) -> None:
    point = front.points[0]
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    folder = tmp_path / "trained" / "a"
    folder.mkdir(parents=True)
    (folder / "recipe.json").write_text(point.recipe.to_json())
    (folder / "weights.pt").symlink_to(secret)
    assert [f["filename"] for f in Artifacts(tmp_path / "trained").of("mine", [point])[point.trial]] == ["recipe.json"]
    (folder / "weights.pt").unlink()
    (folder / "weights.pt").write_bytes(b"weights")
    artifacts = Artifacts(tmp_path / "trained")
    known = str(artifacts.of("mine", [point])[point.trial][-1]["artifact_id"])
    (folder / "weights.pt").unlink()
    (folder / "weights.pt").symlink_to(secret)  # after it was offered
    with pytest.raises(ArtifactNotFound):
        artifacts.open_reader(known)


def ask(url: str, method: str, path: str, allow_changes: bool = False, **headers: str) -> tuple[str, bytes]:
    said: list[str] = []
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "HTTP_HOST": "127.0.0.1",
        "wsgi.input": io.BytesIO(b"{}"),
        "CONTENT_LENGTH": "2",
        "CONTENT_TYPE": "application/json",
        **headers,
    }
    body = app(url, allow_changes)(environ, lambda status, *_: said.append(status))  # type: ignore[arg-type,return-value]  # writes nothing
    return said[0], b"".join(body)


def test_a_page_elsewhere_reads_no_file(searched: str) -> None:
    _, body = ask(searched, "GET", "/api/studies/1")
    trial = next(trial for trial in json.loads(body)["trials"] if trial["artifacts"])
    path = f"/artifacts/1/{trial['trial_id']}/{trial['artifacts'][0]['artifact_id']}"
    assert ask(searched, "GET", path)[0].startswith("200")
    assert ask(searched, "GET", path, HTTP_ORIGIN="http://evil.example")[0].startswith("403")


def test_charts_come_in_their_order_and_a_study_can_be_deleted_with_its_files(searched: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with sqlite3.connect(searched.removeprefix("sqlite:///")) as old, sqlite3.connect(copy) as new:
        old.backup(new)
    url = f"sqlite:///{copy}"
    status, body = ask(url, "GET", "/api/studies/1", allow_changes=True)
    names = [chart["id"] for chart in json.loads(body)["plotly_graph_objects"]]
    assert names == sorted(names)
    assert len(names) == 4
    for method, path in (("POST", "/api/artifacts/1/1"), ("DELETE", "/api/artifacts/1/1/00")):
        assert ask(url, method, path, allow_changes=True)[0].startswith("405")
    status, _ = ask(url, "DELETE", "/api/studies/1", allow_changes=True)
    assert status.startswith("204")
