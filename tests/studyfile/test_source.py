"""Every key of a TOML document is found on its line."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretosearch.errors import DataError, RecipeError, StudyFileError
from paretosearch.studyfile.source import Source, key_lines

DOCUMENT = '''\
# a = 0
title = "not [a] table = 1"   # b = 2

"quoted.key" = 3
dotted.key   = 4
[table]      # [other]
text = """
fake = 1
[fake]
"a quoted end""""  # "[
literal = \'\'\'
fake = 1\'\'\'
list = [
    "fake = 1",   # [fake]
    { inner = 2 },
]
after = { low = 1, high = "]" }
[table.nested."with.dot"]
last = 1
[[array]]
key = 1
'''


def test_keys_stand_where_an_editor_shows_them() -> None:
    assert key_lines(DOCUMENT) == {
        ("title",): 2,
        ("quoted.key",): 4,
        ("dotted", "key"): 5,
        ("table",): 6,
        ("table", "text"): 7,
        ("table", "literal"): 11,
        ("table", "list"): 13,
        ("table", "after"): 17,
        ("table", "nested", "with.dot"): 18,
        ("table", "nested", "with.dot", "last"): 19,
        ("array",): 20,
        ("array", "key"): 21,
    }


KEYS = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True).map(lambda key: (key, key)),
    st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=6).map(
        lambda key: (key, '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"')
    ),
)
VALUES = st.sampled_from(
    [
        "1",
        "-1.5e3",
        "true",
        "1979-05-27 07:32:00",
        '"x = 1 # no"',
        "'[x]'",
        '"""\nx = 1\n[y]\n\\""""',
        "'''\n''x'' = \n'''",
        "[\n  1, # ]\n  [2, '['],\n]",
        "{ a = 1, b = [\n1] }",
        '""',
        "''",
        '""""""',
        "1 # x = 1",
    ]
)


@given(st.lists(st.tuples(KEYS, VALUES, st.booleans(), st.sampled_from(["", "\n", "# c = 1\n", "  "]))))
def test_any_document_gives_up_its_lines(entries: list[tuple[tuple[str, str], str, bool, str]]) -> None:
    text = ""
    table: tuple[str, ...] = ()
    expected: dict[tuple[str, ...], int] = {}
    seen: set[tuple[str, bool]] = set()
    for number, ((key, written), value, is_table, before) in enumerate(entries):
        if (key, is_table) in seen:
            continue
        seen.add((key, is_table))
        text += before
        line = text.count("\n") + 1
        if is_table:
            table = (f"t{number}", key)
            text += f"[t{number}.{written}] # x\n"
            expected[table] = line
        else:
            path = (*table, f"k{number}", key)
            text += f"k{number} . {written} = {value}\n"
            expected[path] = line
    tomllib.loads(text)
    assert key_lines(text) == expected


def test_a_key_that_has_no_line_of_its_own_is_looked_for_around_it() -> None:
    source = Source(Path("s.toml"), DOCUMENT)
    assert source.line(("table", "after", "low")) == 17
    assert source.line(("table", "missing")) == 6
    assert source.line(("missing",)) == 1
    assert source.line(("dotted",)) == 5
    assert source.line(("table", "nested")) == 18
    assert source.line(()) == 1


def test_a_complaint_names_file_line_and_key() -> None:
    error = Source(Path("s.toml"), DOCUMENT).error(("table", "list"), "is too long")
    assert str(error) == "s.toml:13: table.list: is too long"


@pytest.mark.parametrize("kind", [StudyFileError, RecipeError, DataError])
def test_what_others_say_about_a_value_is_said_with_its_line(kind: type[Exception]) -> None:
    source = Source(Path("s.toml"), DOCUMENT)
    with pytest.raises(StudyFileError, match=r"^s\.toml:2: title: no such thing$"), source.at("title"):
        raise kind("no such thing")
