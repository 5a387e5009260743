"""The page that opens without a network."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from paretosearch.report.findings import Findings, findings
from paretosearch.report.html import page
from paretosearch.store import Store


class Tags(HTMLParser):
    """Collects the tags of a page and the text outside scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] not in ("script", "style"):
            self.text.append(data.strip())


@pytest.fixture(scope="module")
def found(store: Store, study: str) -> Findings:
    return findings(store, study)


@pytest.fixture(scope="module")
def html(found: Findings) -> str:
    return page(found)


def test_nothing_is_loaded_from_anywhere(html: str) -> None:
    parsed = Tags(html)
    assert not [attrs for _, attrs in parsed.tags for name in ("src", "href", "action", "srcset") if name in attrs]
    assert not re.search(r"""src\s*=\s*["']?https?:""", html)
    policy = next(a["content"] for t, a in parsed.tags if t == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy


def test_the_chart_is_not_offered_to_anybody(html: str) -> None:
    assert html.count('"showSendToCloud": false') == 2


def test_the_front_is_there_with_its_recipes_in_words(html: str, found: Findings) -> None:
    text = Tags(html).text
    for point in found.front.points:
        assert f"{100 * point.accuracy:.2f} %" in text
        hover = f"\\u003cb\\u003etrial {point.trial}\\u003c\\u002fb\\u003e"
        assert hover in html
    assert f"batch {found.front.points[0].recipe.batch_size}" in html


def test_hostile_names_are_text(found: Findings) -> None:
    attack = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    first = found.front.points[0]
    bad = replace(first, recipe=replace(first.recipe, pooling=attack))
    hostile = replace(
        found,
        record=replace(found.record, name=attack),
        device_class=attack,
        front=replace(found.front, points=(bad, *found.front.points[1:])),
    )
    parsed = Tags(page(hostile))
    assert [tag for tag, _ in parsed.tags].count("script") == [tag for tag, _ in Tags(page(found)).tags].count("script")
    assert not [tag for tag, _ in parsed.tags if tag == "img"]
    assert attack in parsed.text


def test_a_study_without_a_history_has_a_page_too(found: Findings) -> None:
    assert "Hypervolume" not in page(replace(found, growth=()))
