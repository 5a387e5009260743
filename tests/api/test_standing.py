"""Whether a launch of a study runs is told from the database or from its spool folder, which is not made for that."""

from contextlib import closing
from pathlib import Path

from paretosearch.api.fronts import is_launched
from paretosearch.fleet import spool
from paretosearch.fleet.locks import LAUNCHER, Lock
from paretosearch.store import open_store


def test_a_launch_is_seen_as_long_as_it_holds_its_study(tmp_path: Path) -> None:
    with closing(open_store(f"sqlite:///{tmp_path}/a.db")) as store:
        assert is_launched(store, "s") is False
        assert [path.name for path in tmp_path.glob("*.spool")] == []
        lock = Lock(spool.folder_for(store.url, "s") / LAUNCHER, "study 's'")
        assert is_launched(store, "s") is True
        assert is_launched(store, "other") is False
        lock.release()
        assert is_launched(store, "s") is False
