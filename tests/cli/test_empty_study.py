"""A study without a result is refused in the same words, whatever is wanted of it."""

from contextlib import closing
from pathlib import Path

import pytest

from paretosearch.store import open_store
from paretosearch.testing.commands import Run
from paretosearch.testing.store.builders import study_record


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('empty')}/empty.db"
    with closing(open_store(url)) as store:
        space = {"declared": {"fixed": {}, "axes": {"batch_size": [32, 64]}}, "number_formats": ["fp32"]}
        store.add_study(study_record("empty", space=space))
    return url


@pytest.mark.parametrize(
    "arguments",
    [("front",), ("front", "--json"), ("front", "--confirmed"), ("pick", "--seconds", "9"), ("export",), ("confirm",)],
)
def test_it_is_one_line_with_a_way_out(run: Run, storage: str, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(arguments[0], "empty", *arguments[1:], "--storage", storage, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "study 'empty' has no complete trial yet; the launch command that began it continues it" in line
