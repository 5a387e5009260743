"""optuna-dashboard on our store, over a real connection."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import optuna
import pytest

from paretosearch.axis import Choice
from paretosearch.errors import StoreError, UsageError
from paretosearch.report.dashboard import _storage, app, serve
from paretosearch.search import open_search
from paretosearch.space import Space
from paretosearch.store import open_store

SPACE = Space({"dataset": "mnist", "network": "resnet8"}, {"number_format": Choice(("fp32", "bf16"))})


@dataclass
class Server:
    """A dashboard in a process of its own."""

    url: str
    port: int

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        named = {"Content-Type": "application/json", **{name.replace("_", "-"): v for name, v in headers.items()}}
        connection.request(method, path, None if body is None else json.dumps(body), named)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text


def serving(url: str, allow_changes: bool) -> Iterator[Server]:
    # A shell that starts the tests in the background lets them inherit that Ctrl-C is ignored.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    code += f"from paretosearch.report.dashboard import serve; serve({url!r}, port=0, allow_changes={allow_changes})"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    found = re.search(r":(\d+)/", process.stdout.readline())
    assert found is not None
    yield Server(url, int(found[1]))
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    process.stdout.close()


def searched(folder: Path) -> str:
    """Make a database with an Optuna study of two trials."""
    url = f"sqlite:///{folder}/study with % and #.db"
    open_store(url).close()
    search = open_search(url, "mnist", SPACE, "random", 4, 0)
    for objectives in ((2.0, 0.8), (3.0, 0.9)):
        search.tell(search.ask().trial, objectives)
    search.close()
    return url


@pytest.fixture(scope="module")
def readonly(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from serving(searched(tmp_path_factory.mktemp("read")), allow_changes=False)


@pytest.fixture(scope="module")
def writable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from serving(searched(tmp_path_factory.mktemp("write")), allow_changes=True)


def test_the_study_reads_with_named_objectives(readonly: Server) -> None:
    status, page = readonly.ask("GET", "/dashboard/studies/1")
    assert (status, "Optuna Dashboard" in page) == (200, True)
    status, text = readonly.ask("GET", "/api/studies/1")
    study = json.loads(text)
    assert status == 200
    assert [trial["values"] for trial in study["trials"]] == [[2.0, 0.8], [3.0, 0.9]]
    assert study["objective_names"] == ["train_seconds", "accuracy"]
    assert readonly.ask("GET", "/csv/1")[1].startswith("Number,State,train_seconds,accuracy")
    assert readonly.ask("HEAD", "/dashboard")[0] == 200


def test_a_read_only_page_hides_the_buttons_that_it_would_refuse(readonly: Server, writable: Server) -> None:
    hidden = '[aria-label="delete study"]{display:none!important}'
    assert hidden in readonly.ask("GET", "/dashboard/studies/1")[1]
    assert hidden not in writable.ask("GET", "/dashboard/studies/1")[1]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/api/studies/1"),
        ("POST", "/api/studies"),
        ("POST", "/api/studies/1/rename"),
        ("PUT", "/api/studies/1/note"),
        ("PATCH", "/api/studies/1"),
        ("POST", "/api/trials/1/tell"),
        ("POST", "/incompatible-rdb-schema"),
        ("OPTIONS", "/api/studies"),
    ],
)
def test_a_request_to_change_is_refused_and_the_study_stays(readonly: Server, method: str, path: str) -> None:
    before = readonly.ask("GET", "/api/studies/1")
    body = {"study_name": "other", "directions": ["minimize"], "state": "Fail", "version": 1, "body": "x"}
    status, text = readonly.ask(method, path, body)
    assert status == 405
    said = json.loads(text)["reason"] if path.startswith("/api/") else text.rstrip()
    assert said == "read-only; start it with --allow-changes to change"
    assert readonly.ask("GET", "/api/studies/1") == before
    assert json.loads(readonly.ask("GET", "/api/studies")[1])["study_summaries"][0]["study_name"] == "mnist"


def test_without_the_guard_the_database_still_refuses_to_be_written(readonly: Server) -> None:
    storage = _storage(readonly.url, allow_changes=False)
    with pytest.raises(optuna.exceptions.StorageInternalError):
        storage.delete_study(1)
    assert [study.study_name for study in storage.get_all_studies()] == ["mnist"]
    storage.remove_session()
    storage.engine.dispose()


def test_a_page_elsewhere_cannot_read_by_a_name_of_its_own(readonly: Server) -> None:
    assert readonly.ask("GET", "/api/studies", Host="evil.example:80")[0] == 403
    assert readonly.ask("GET", "/api/studies", Host=f"localhost:{readonly.port}")[0] == 200


def test_changes_can_be_allowed_but_not_to_pages_elsewhere(writable: Server) -> None:
    note = {"version": 1, "body": "hello"}
    assert writable.ask("PUT", "/api/studies/1/note", note, Origin="https://evil.example")[0] == 403
    own = f"http://127.0.0.1:{writable.port}"
    assert writable.ask("PUT", "/api/studies/1/note", note, Origin=own)[0] == 204
    assert json.loads(writable.ask("GET", "/api/studies/1")[1])["note"]["body"] == "hello"
    assert writable.ask("DELETE", "/api/studies/1")[0] == 204
    assert json.loads(writable.ask("GET", "/api/studies")[1])["study_summaries"] == []


def test_a_launcher_that_writes_is_not_disturbed(readonly: Server) -> None:
    statuses: list[int] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            statuses.append(readonly.ask("GET", "/api/studies/1")[0])

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    search = open_search(readonly.url, "mnist", SPACE, "random", 4, 0)
    for _ in range(15):
        search.tell(search.ask().trial, (5.0, 0.5))
    search.close()
    stop.set()
    for reader in readers:
        reader.join()
    assert len(statuses) > 5
    assert set(statuses) == {200}


def test_a_port_in_use_is_one_line(readonly: Server) -> None:
    with pytest.raises(UsageError, match=rf"port {readonly.port} of 127.0.0.1 is in use; name another by --port"):
        serve(readonly.url, port=readonly.port)


def test_the_network_is_not_listened_to(readonly: Server) -> None:
    with pytest.raises(UsageError, match=r"0\.0\.0\.0 would show the dashboard.*ssh -L"):
        serve(readonly.url, host="0.0.0.0")
    with socket.socket() as other, pytest.raises(OSError, match="refused"):
        other.connect(("127.0.0.2", readonly.port))


def test_a_database_without_a_search_is_one_line_and_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="optuna-dashboard cannot read .*; launch a study first"):
        app(f"sqlite:///{tmp_path}/missing.db")
    assert not list(tmp_path.iterdir())
    open_store(f"sqlite:///{tmp_path}/empty.db").close()
    with pytest.raises(StoreError, match="no such table"):
        app(f"sqlite:///{tmp_path}/empty.db")


def test_report_needs_no_torch() -> None:
    names = "dashboard export live status tables"
    code = f"import sys\nfor name in {names!r}.split(): __import__('paretosearch.report.' + name)\n"
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
