"""S8: whatever lies in a spool, nothing crashes, and nothing that is shown or exported is run."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from rich.console import Console

from paretosearch.fleet import spool
from paretosearch.outcome import MOST_DETAIL, MOST_MESSAGE, Outcome, failed
from paretosearch.report import style
from paretosearch.report.anytime import anytime_front, anytime_table
from paretosearch.report.cells import write_csv
from paretosearch.report.confirmed import confirmed_table
from paretosearch.report.export import export
from paretosearch.report.findings import findings
from paretosearch.report.html import page
from paretosearch.report.logged import LogView
from paretosearch.report.status import status_json, status_table
from paretosearch.report.tables import front_csv, front_json, front_table
from paretosearch.store import Store, open_store
from paretosearch.testing.postgres import PostgresServer
from paretosearch.testing.store.builders import CPU, full_outcome, recipe, study_record

NoteAttacks = Callable[[int, str, int, int, str], None]

FILES = 10_000

#: Values to put in place of others, each wrong in its own way somewhere.
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1.5, 1e308, -1e308, 2**31, 2**53 + 1, 2**63, -(2**63), 10**400),
    *(float("nan"), float("inf"), -float("inf"), "", "1", "nan", [], {}, [[]], [{}], {"a": {}}, [None]),
    *("=cmd|'/C calc'!A0", "@SUM(1)", "+1+1", "-1+1", "\t=1", "<script>alert(1)</script>", "</table>", "[/red]"),
    *("\x1b]0;gone\x07", "a\nb", "\x00", "\ud800", "\u202e", "🦉" * 1000, "a" * 100_000, "'; DROP TABLE ps_epoch; --"),
    *("complete", "failed", "stopped", "dominated", "bug", "infrastructure", "__class__", "$(id)"),
]

#: Pieces to put into the bytes of a file.
PIECES = [
    b"\x00",
    b"\xff\xfe",
    b"[" * 3000,
    b"{" * 3000,
    b'"',
    b"\\",
    b"1e999",
    b"NaN",
    b"-Infinity",
    b"9" * 5000,
    b"\xed\xa0\x80",
]


def mutated(random_: random.Random, good: str) -> bytes:
    """Damage an Outcome: its values where they stand, or its bytes."""
    if random_.random() < 0.75:
        plain = json.loads(good)
        for _ in range(random_.choice((1, 1, 1, 2, 4))):
            change(random_, plain)
        return json.dumps(plain).encode()
    data = bytearray(good.encode())
    for _ in range(random_.randint(1, 4)):
        at = random_.randrange(len(data))
        kind = random_.randrange(4)
        if kind == 0:
            data[at] ^= 1 << random_.randrange(8)
        elif kind == 1:
            del data[at : at + random_.randint(1, 50)]
        elif kind == 2:
            data[at:at] = random_.choice(PIECES)
        else:
            data = data[: at + 1]
        if not data:
            break
    return bytes(data)


def change(random_: random.Random, plain: Any) -> None:
    """Put a hostile value or a hostile key somewhere in what JSON holds."""
    while True:
        keys = list(plain) if isinstance(plain, dict) else range(len(plain))
        if not keys:
            return
        key = random_.choice(list(keys))
        inner = plain[key]
        if isinstance(inner, dict | list) and inner and random_.random() < 0.8:
            plain = inner
            continue
        if isinstance(plain, dict) and random_.random() < 0.15:
            plain[str(random_.choice(VALUES))] = plain.pop(key)
        else:
            plain[key] = random_.choice(VALUES)
        return


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    """What is made of ten thousand damaged files in a spool."""
    random_, found = random.Random(8), []
    good = [full_outcome().to_json(), failed("bug", "no", "Traceback").to_json()]
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        for number in range(FILES):
            (Path(name) / f"{number}.json").write_bytes(mutated(random_, good[number % 4 == 0]))
            outcome = spool.read(Path(name), number)
            assert outcome is not None
            found.append(outcome)
    return found


def test_ten_thousand_damaged_outcomes_are_outcomes_or_failures(
    outcomes: list[Outcome], note_attacks: NoteAttacks
) -> None:
    for outcome in outcomes:
        assert outcome.message.isprintable()
        assert (len(outcome.message), len(outcome.detail)) <= (MOST_MESSAGE, MOST_DETAIL)
        if outcome.status == "complete":
            seconds, accuracy = outcome.objectives
            assert 0 <= seconds < 1e309
            assert 0 <= accuracy <= 1
    refused = sum(outcome.message.startswith("the Worker wrote an impossible") for outcome in outcomes)
    assert FILES / 3 < refused < FILES  # or the files were too good, or none was
    note_attacks(8, "crashes", 0, FILES, "damaged files")


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        server: PostgresServer | None = None
        if request.param == "postgresql":
            server = request.getfixturevalue("postgres")
        with closing(open_store(server.new_database() if server else f"sqlite:///{name}/my.db")) as store:
            store.add_study(
                study_record("s", space={"declared": {"axes": {"batch_size": {}, "dataset": {}}, "fixed": {}}})
            )
            store.add_device(CPU)
            yield store


def test_the_store_takes_all_that_is_made_of_them(
    outcomes: list[Outcome], store: Store, note_attacks: NoteAttacks
) -> None:
    unlike = {(o.status, o.failure, o.noisy, repr(o)[:2000]): o for o in outcomes if "impossible" not in o.message}
    chosen = [*list(unlike.values())[::7], *[o for o in outcomes if o.failure == "bug"][::200]]
    for trial, outcome in enumerate(chosen):
        store.finish_attempt(store.start_attempt("s", trial, CPU, recipe()), outcome)
    complete = [trial for trial, outcome in enumerate(chosen) if outcome.status == "complete"]
    store.record_front("s", complete[-1], CPU.device_class)
    assert len(store.attempts("s")) == len(chosen)
    assert store.front("s").points
    json.dumps(status_json(store, "s"), allow_nan=False)
    note_attacks(8, "crashes", 0, len(chosen), "damaged files")


def executed(text: str) -> tuple[int, int]:
    """Count the cells of a CSV that a spreadsheet would compute, and all of them."""
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    return sum(is_formula(cell) for cell in cells), len(cells)


def is_formula(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠")) or "\t" in cell or "\r" in cell
    return False


def test_no_cell_of_a_table_of_them_is_run(outcomes: list[Outcome], note_attacks: NoteAttacks) -> None:
    assert is_formula("=1+1")
    rows: list[dict[str, object]] = [
        {"message": o.message, "detail": o.detail, "status": o.status, "kind": s.kind, **s.figures}
        for o in outcomes
        for s in o.surgeries or full_outcome().surgeries[:1]
    ]
    rows += [{str(value): value} for value in VALUES]
    text = io.StringIO(newline="")
    write_csv(rows, text)
    count, cells = executed(text.getvalue())
    assert count == 0
    note_attacks(8, "cells executed", count, cells, "cells")


#: What a Recipe, a device or a message may hold and no reader should act upon.
TEXTS = [
    "=cmd|'/C calc'!A0",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script><script>alert(1)</script>",
    "[/red][bold][link=http://evil.example]x[/link]",
    "[/]",
    "$\\frac{1}{0$",
    "%{text} {0} {name}",
    "\\input{/etc/passwd}",
    "🦉 ünïcödé ＝1",
]


def filled(folder: Path, texts: Sequence[str]) -> Store:
    """Make a study in which every text is one of these."""
    store = open_store(f"sqlite:///{folder}/my.db")
    axes = {"axes": {"dataset": {}, "pooling": {}, f"m.{texts[0]}": {}, f"{texts[1]}.b": {}}, "fixed": {}}
    device = replace(CPU, name=texts[2], host=texts[3])
    store.add_study(study_record("s", space={"declared": axes}, device_class=device.device_class))
    store.add_device(device)
    for trial, text in enumerate(texts):
        methods = {"m": {texts[0]: text}, texts[1]: {"b": text}}
        made = recipe(dataset=f"folder:{text}", pooling=text, methods=methods)
        outcome = replace(full_outcome(), train_seconds=trial + 1.0, accuracy=0.5 + trial / 100)
        store.finish_attempt(store.start_attempt("s", trial, device, made), outcome)
        store.record_front("s", trial, device.device_class)
        store.finish_attempt(store.start_attempt("s", trial + 100, device, made), failed("bug", text, text))
    return store


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with closing(filled(tmp_path_factory.mktemp("hostile"), TEXTS)) as store:
        yield store


AXES = ("dataset", "pooling", f"m.{TEXTS[0]}", f"{TEXTS[1]}.b")


def shown(*renderables: Any) -> str:
    console = Console(width=300, file=io.StringIO(), force_terminal=False)
    for renderable in renderables:
        console.print(renderable)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_a_terminal_shows_hostile_texts_as_texts(hostile: Store, note_attacks: NoteAttacks) -> None:
    axes, front = AXES, hostile.front("s")
    stages = anytime_front(front, hostile.curves("s"))
    tables = [front_table(front, axes), confirmed_table(hostile.estimates("s"), axes), anytime_table(stages, axes)]
    text = shown(*tables, status_table(hostile, "s"))
    assert "[/red][bold][link=http://evil.example]x[/link]" in text
    assert "\x1b" not in text
    view_console = Console(width=300, file=io.StringIO())
    with LogView(view_console, "s", axes, None, hostile.devices("s")) as view:
        (device,) = hostile.devices("s")
        for trial, attempt in enumerate(hostile.attempts("s")):
            view.started(device, trial, attempt.recipe)
            view.finished(device, trial, failed("bug", attempt.message), False)
        view.message("[/red]")
    note_attacks(8, "crashes", 0, len(tables) + 2, "tables of hostile texts")


class Tags(HTMLParser):
    """Counts the tags of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]


@pytest.mark.filterwarnings("ignore:Glyph", "ignore:constrained_layout")
def test_an_export_of_hostile_texts_runs_nothing(
    hostile: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note_attacks: NoteAttacks
) -> None:
    monkeypatch.setattr(style, "SUFFIXES", (".svg",))  # a PDF of every figure takes five seconds
    files = {path.name: path for path in export(hostile, "s", tmp_path / "out")}
    with closing(filled(tmp_path, [f"text{number}" for number in range(len(TEXTS))])) as innocent:
        wanted = Tags(page(findings(innocent, "s"))).tags
    assert Tags(files["front.html"].read_text()).tags == wanted
    count = cells = 0
    for name in ("front.csv", "trials.csv"):
        of_file = executed(files[name].read_text())
        count, cells = count + of_file[0], cells + of_file[1]
    text = io.StringIO()
    front_csv(hostile.front("s"), text)
    json.dumps(front_json(hostile.front("s")), allow_nan=False)
    assert executed(text.getvalue())[0] == 0
    assert count == 0
    for name, path in files.items():
        if name.endswith(".svg"):
            assert "<script" not in path.read_text()
    note_attacks(8, "cells executed", count, cells, "cells")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "1.json").open("wb") as file:
        file.truncate(1 << 40)  # a terabyte that takes no room
    found = spool.read(tmp_path, 1)
    assert found is not None
    assert "it has 1099511627776 bytes, and at most 67108864 are read" in found.message
