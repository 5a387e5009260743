"""Studies in real databases, that every test may open again and again."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from paretosearch.axis import Choice, Int, Real
from paretosearch.search import Search, open_search
from paretosearch.space import Space
from paretosearch.testing.spaces import whole_space

SPACE = whole_space(
    {
        "number_format": Choice(("fp32", "bf16", "fp16")),
        "batch_size": Int(32, 256, log2=True),
        "learning_rate": Real(0.01, 1.0, log=True),
        "epochs": Int(1, 5),
        "label_smoothing.alpha": Real(0.0, 0.3),
    }
)

Opener = Callable[..., Search]


@pytest.fixture
def space() -> Space:
    return SPACE


@pytest.fixture
def database() -> Iterator[Path]:
    """Name a file in memory where there is such a place: an ask is a dozen synced transactions."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder) / "search.db"


@pytest.fixture
def url(database: Path) -> str:
    return f"sqlite:///{database}"


@pytest.fixture
def opened(url: str) -> Iterator[Opener]:
    """Open a study of the test's database; all of them are closed at the end."""
    searches: list[Search] = []

    def opened(
        name: str = "study", space: Space = SPACE, sampler: str = "nsga2", population: int = 4, seed: int = 7
    ) -> Search:
        searches.append(open_search(url, name, space, sampler, population, seed))
        return searches[-1]

    yield opened
    for search in searches:
        search.close()
