"""S2 and S9: nothing runs what a file, a name or an argument says."""

import ast
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from paretosearch import data
from paretosearch.errors import DataError, ParetosearchError, StudyFileError
from paretosearch.fleet.devices import slots, wanted
from paretosearch.recipe import Recipe
from paretosearch.studyfile import load
from paretosearch.testing import source
from paretosearch.testing.commands import STUDY, environment
from paretosearch.training import native

NoteAttacks = Callable[[int, str, int, int, str], None]

#: A snippet that each rule must find: a rule that cannot find anything proves nothing.
BAD = {
    source.runs_text: [
        "eval(x)",
        "exec('a = 1')",
        "compile(x, '', 'exec')",
        "__import__(x)",
        "import pickle",
        "from yaml import load",
        "import_module(name)",
        "importlib.import_module(f'{name}.x')",
    ],
    source.loads_objects: [
        "torch.load(file)",
        "torch.load(file, weights_only=False)",
        "torch.load(file, weights_only=flag)",
        "np.load(file, allow_pickle=True)",
        "torch.jit.load(file)",
        "torch.export.load(file)",
        "torch.serialization.add_safe_globals([x])",
    ],
    source.varies_sql: [
        "connection.execute(f'SELECT {name}')",
        "text(f'DROP TABLE {name}')",
        "text('SELECT ' + name)",
        "session.execute('SELECT {}'.format(name))",
        "op.execute('SELECT %s' % name)",
        "connection.exec_driver_sql(query.replace('x', name))",
    ],
    source.uses_shell: [
        "subprocess.run(command, shell=True)",
        "subprocess.Popen(f'cc {name}')",
        "subprocess.run('cc x')",
        "os.system(command)",
        "subprocess.getoutput(command)",
    ],
}
ROW = {
    source.runs_text: (2, "findings"),
    source.loads_objects: (1, "findings"),
    source.varies_sql: (3, "findings"),
    source.uses_shell: (9, "findings"),
}


@pytest.fixture(scope="module")
def modules() -> dict[Path, ast.Module]:
    return dict(source.trees())


@pytest.mark.parametrize("rule", BAD, ids=lambda rule: rule.__name__)
def test_the_package_does_nothing_of_this_kind(
    rule: source.Rule, modules: dict[Path, ast.Module], note_attacks: NoteAttacks
) -> None:
    for snippet in BAD[rule]:
        assert source.findings(rule, ast.parse(snippet)), snippet
    found = {path: wrong for path, tree in modules.items() if (wrong := source.findings(rule, tree))}
    assert found == {}
    note_attacks(*ROW[rule], 0, len(modules), "modules")


#: Text that some reader of files or some shell would run; each would leave a file.
PAYLOADS = [
    "; touch {mark} #",
    "$(touch {mark})",
    "`touch {mark}`",
    "| touch {mark}",
    "&& touch {mark}",
    "\ntouch {mark}\n",
    "!!python/object/apply:os.system ['touch {mark}']",
    "__import__('os').system('touch {mark}')",
    "{{{{ cycler.__init__.__globals__.os.system('touch {mark}') }}}}",
    "${{jndi:ldap://127.0.0.1:9/a}} touch {mark}",
    "%(touch {mark})s",
    "{{0.__class__.__init__.__globals__}}",
    "cos\nsystem\n(S'touch {mark}'\ntR.",
]

#: Places of a study file that take text.
PLACES = [
    'name    = "tiny"',
    'dataset = "folder:images"',
    'network = "convnet"',
    'pooling       = ["max", "stochastic", "s3"]',
    "trials = 6",
    "[recipe]",
    "seed    = 5",
]


def planted(place: str, payload: str) -> str:
    """Put a payload where a value stands, as a text of TOML; behind a heading, as a key."""
    text = payload.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{place.partition("=")[0]}= "{text}"' if "=" in place else f'{place}\n"{text}" = "{text}"'


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is there if a payload was run, in the folder where the test stands."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "mark"


def test_a_hostile_study_file_is_refused_in_one_line_and_runs_nothing(mark: Path, note_attacks: NoteAttacks) -> None:
    refused, count = 0, 0
    for place in PLACES:
        for payload in PAYLOADS:
            assert place in STUDY
            count += 1
            Path("hostile.toml").write_text(STUDY.replace(place, planted(place, payload.format(mark=mark))))
            try:
                load("hostile.toml")
            except ParetosearchError:
                refused += 1
            assert not mark.exists(), (place, payload)
    assert refused == count
    note_attacks(2, "executed", 0, count, "hostile files")
    note_attacks(2, "refused", refused, count, "hostile files")


def test_a_hostile_folder_of_images_is_one_that_is_not_there(mark: Path, note_attacks: NoteAttacks) -> None:
    for payload in PAYLOADS:
        with pytest.raises(DataError, match="there is no such folder"):
            data.load(f"folder:{payload.format(mark=mark)}")
    assert not mark.exists()
    note_attacks(2, "executed", 0, len(PAYLOADS), "hostile files")


@pytest.mark.usefixtures("mark")
def test_a_thousand_damaged_study_files_are_read_or_refused_in_one_line(note_attacks: NoteAttacks) -> None:
    random_ = random.Random(7)
    pieces = [*STUDY.split(), "[" * 50, "{", "}", '"""', "\x00", "1e999", "-1", "9" * 40, "nan", "true", "🦉", "\u202e"]
    odd, count = [], 1000
    began = time.process_time()
    for _ in range(count):
        words = STUDY.split(" ")
        for _ in range(random_.randint(1, 6)):
            words[random_.randrange(len(words))] = random_.choice(pieces)
        Path("hostile.toml").write_text(" ".join(words))
        try:
            load("hostile.toml")
        except ParetosearchError as error:
            odd += [str(error)] if len(str(error)) > 2000 or "Traceback" in str(error) else []
    assert odd == []
    assert time.process_time() - began < 60
    note_attacks(2, "crashes", 0, count, "damaged files")


@pytest.mark.parametrize("text", ["[" * 100_000, "a = " + "[" * 5000, "a = " + "9" * 5000, "\x00", "a.b" * 9000])
@pytest.mark.usefixtures("mark")
def test_a_study_file_made_to_exhaust_its_reader_is_one_line(text: str) -> None:
    Path("hostile.toml").write_text(text)
    with pytest.raises(StudyFileError) as caught:
        load("hostile.toml")
    assert len(str(caught.value)) < 1000


def test_a_hostile_recipe_is_refused(mark: Path) -> None:
    for payload in PAYLOADS:
        text = payload.format(mark=mark)
        for field in ("number_format", "learning_rate_rule", "compile", "epochs", "seed"):
            with pytest.raises(ParetosearchError):
                Recipe(**{"dataset": "mnist", "network": "convnet", field: text})  # type: ignore[arg-type]
    with pytest.raises(ParetosearchError, match="must be a name"):
        Recipe("folder:\x1b]0;gone\x07", "convnet")
    assert not mark.exists()


def test_an_error_that_quotes_a_hostile_file_is_one_line_that_moves_no_cursor(mark: Path) -> None:
    hostile = "\x1b]0;gone\x07\x1b[2J\nparetosearch: all is well\r\x9b"
    Path("hostile.json").write_text(json.dumps({"dataset": "mnist", "network": "convnet", hostile + "a" * 9999: 1}))
    command = [sys.executable, "-m", "paretosearch", "train", "hostile.json", "--cpu", "1"]
    done = subprocess.run(command, env=environment(mark.parent), capture_output=True, text=True, check=False)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith("paretosearch: hostile.json: a Recipe has no field ")
    assert line.isprintable()
    assert len(line) < 5000


def test_a_hostile_list_of_devices_is_refused(mark: Path, note_attacks: NoteAttacks) -> None:
    refused = 0
    for payload in PAYLOADS:
        for wish in (payload.format(mark=mark), f"0{payload.format(mark=mark)}", "0;id"):
            for read in (lambda: wanted(wish, None), lambda: wanted(None, wish), lambda: slots(wish)):  # noqa: B023
                with pytest.raises(ParetosearchError):
                    read()
                refused += 1
    assert not mark.exists()
    note_attacks(9, "executed", 0, refused, "hostile arguments")


def test_a_hostile_compiler_is_a_program_that_is_not_there(
    mark: Path, monkeypatch: pytest.MonkeyPatch, note_attacks: NoteAttacks
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(mark.parent / "cache"))
    for payload in PAYLOADS:
        monkeypatch.setenv("CC", f"cc {payload.format(mark=mark)}")
        found = native.load(native.HEADER, {})
        assert isinstance(found, str)
        assert "cannot be built" in found
    assert not mark.exists()
    assert [path.name for path in (mark.parent / "cache").iterdir()] == ["paretosearch"]
    note_attacks(9, "executed", 0, len(PAYLOADS), "hostile arguments")
