"""A front is a value that Python can tabulate and draw, and that a notebook shows."""

import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from paretosearch import load_front
from paretosearch.errors import UsageError
from paretosearch.recipe import Recipe
from paretosearch.report.notebook import MOST_ROWS, StudyFront, study_front
from paretosearch.store import Point, Store, front_of


@pytest.fixture
def found(store: Store, study: str) -> StudyFront:
    return study_front(store, study)


LONG = 60


class Tags(HTMLParser):
    """Counts the tags, and gathers the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_front_is_loaded_with_what_names_it(store: Store, study: str, found: StudyFront) -> None:
    loaded = load_front(study, storage=store.url)
    assert loaded == found
    assert (loaded.points, loaded.hypervolume) == (store.front(study).points, store.front(study).hypervolume)
    assert list(loaded) == list(loaded.points)
    assert len(loaded) == len(loaded.points)
    assert loaded[-1] == loaded.points[-1]
    assert repr(loaded) == f"<front of study '{study}' on cpu:Ryzen 7x1: {len(loaded)} of 56 complete trials>"
    with pytest.raises(UsageError, match="was not trained on 'cuda:X'"):
        load_front(study, storage=store.url, device_class="cuda:X")


def test_a_notebook_sees_a_picture_and_a_row_for_each_point(found: StudyFront) -> None:
    seen = Tags(found._repr_html_())
    assert seen.tags.count("tr") == len(found) + 1
    assert seen.tags.count("img") == 1
    assert 'src="data:image/png;base64,iVBOR' in found._repr_html_()
    assert f"{100 * found.points[-1].accuracy:.2f} %" in seen.text


def test_what_a_notebook_sees_is_escaped_and_not_too_long() -> None:
    hostile = Recipe("mnist", "<script>alert(1)</script>")
    points = [Point(n, 1.0 + n, 0.1 + n / 1000, hostile, "cpu:x", n) for n in range(LONG)]
    front = StudyFront(**vars(front_of(points)), study="<b>s", axes=("network",), device_class="<i>&")
    seen = Tags(front._repr_html_())
    assert not {"script", "b", "i"} & set(seen.tags)
    assert "<script>alert(1)</script>" in seen.text
    assert seen.tags.count("tr") == MOST_ROWS + 1
    assert f"{LONG - MOST_ROWS} more between these" in seen.text


def test_a_figure_shows_itself_in_a_notebook(found: StudyFront) -> None:
    figure = found.plot()
    assert figure.axes[0].get_xlabel() == "training time (s)"
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_an_empty_front_says_so(found: StudyFront) -> None:
    empty = replace(found, points=(), dominated=())
    assert "0 of 0 complete trials" in Tags(empty._repr_html_()).text
    with pytest.raises(UsageError, match="no complete trial yet"):
        empty.plot()


def test_a_data_frame_has_a_row_for_each_point(found: StudyFront) -> None:
    pytest.importorskip("pandas")
    frame = found.to_dataframe()
    assert list(frame["trial"]) == [point.trial for point in found]
    assert list(frame["accuracy"]) == [point.accuracy for point in found]
    assert {"number_format", "batch_size", "digest", "seed"} <= set(frame.columns)
    everything = found.to_dataframe(dominated=True)
    assert len(everything) == len(found.points) + len(found.dominated)
    assert list(everything[everything["on_front"]]["trial"]) == list(frame["trial"])
    assert everything["train_seconds"].is_monotonic_increasing


def test_without_pandas_it_says_how_to_get_it(found: StudyFront, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match=r"needs pandas: pip install 'paretosearch\[pandas\]'"):
        found.to_dataframe()
