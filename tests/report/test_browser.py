"""optuna-dashboard on our store, in a real browser."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from paretosearch.recipe import Recipe
from paretosearch.store import Front, open_store
from paretosearch.testing.browser import chromium, why_no_chromium
from paretosearch.testing.dashboards import Dashboard, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHARTS = [f"user-defined-plot:paretosearch-{name}" for name in ("1-front", "2-axes", "3-hypervolume", "4-devices")]
#: The page is six megabytes of script, and other tests want the same cores.
PATIENCE_SECONDS = 120
#: Would be a link, a picture and a script, were it not text.
HOSTILE = (
    "<img src=x onerror=alert(1)>[a](http://evil.example)![b](http://evil.example/p.png) www.evil.example x@y.zz |"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if reason := why_no_chromium():
        pytest.skip(reason)
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def dashboard(searched: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with serving(tmp_path_factory.mktemp("home"), searched) as served:
        yield served


@pytest.fixture(scope="module")
def points(searched: str, study: str) -> Front:
    with closing(open_store(searched, create=False)) as store:
        return store.front(study)


class Pages:
    """Opens pages of a dashboard, and notes what goes wrong in them.

    Attributes:
        wrong: Errors, dialogues and requests that leave this machine.
        expected: Parts of those that a test is about.
    """

    def __init__(self, browser: Browser, dashboard: Dashboard) -> None:
        self._context, self._dashboard = browser.new_context(viewport={"width": 1440, "height": 1000}), dashboard
        self._context.set_default_timeout(1000 * PATIENCE_SECONDS)
        self.wrong: list[str] = []
        self.expected: list[str] = []

    def __call__(self, path: str, dashboard: Dashboard | None = None) -> Page:
        page, wrong = self._context.new_page(), self.wrong
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(f"it says {dialog.message}"))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on(
            "request",
            lambda sent: (
                None
                if "//127.0.0.1:" in sent.url[:20] or sent.url.startswith(("blob:http://127.0.0.1:", "data:"))
                else wrong.append(sent.url)
            ),
        )
        page.goto(f"http://127.0.0.1:{(dashboard or self._dashboard).port}{path}")
        return page

    def close(self) -> None:
        self._context.close()
        assert [line for line in self.wrong if not any(part in line for part in self.expected)] == []


@pytest.fixture
def pages(browser: Browser, dashboard: Dashboard) -> Iterator[Pages]:
    opener = Pages(browser, dashboard)
    yield opener
    opener.close()


def test_the_charts_are_drawn_in_their_order(pages: Pages, points: Front) -> None:
    tab = pages("/dashboard/studies/1")
    for name in CHARTS:
        tab.locator(f'[id="{name}"] .main-svg').first.wait_for()
    shown = tab.locator('[id^="user-defined-plot:"]')
    assert [shown.nth(number).get_attribute("id") for number in range(shown.count())] == CHARTS
    front = tab.locator(f'[id="{CHARTS[0]}"]')
    assert front.locator(".gtitle").text_content() == "Training time against accuracy"
    assert "training time (s)" in (front.locator(".xtitle").text_content() or "")
    assert front.locator(".scatterlayer .points path").count() >= len(points.points)
    assert tab.locator(f'[id="{CHARTS[3]}"] .barlayer path').count() == 20
    for name in CHARTS:
        box = tab.locator(f'[id="{name}"]').bounding_box()
        picture = tab.locator(f'[id="{name}"] .main-svg').first.bounding_box()
        assert box is not None
        assert picture is not None
        assert picture["height"] <= box["height"] + 1
        assert picture["width"] <= box["width"] + 1
    assert tab.get_by_text("validation accuracy", exact=True).count() >= 1  # the name of an objective, in our words


def test_the_note_of_the_study_reads_and_leads_to_its_trials(pages: Pages, points: Front) -> None:
    tab = pages("/dashboard/studies/1/note")
    tab.get_by_role("heading", name="fashion-mnist").wait_for()
    assert tab.get_by_text("Which way of training resnet8 on fashion-mnist").count() == 1
    assert tab.get_by_role("heading", name="The front").count() == 1
    best = points.points[-1]
    row = tab.get_by_role("row").filter(has=tab.get_by_role("link", name=str(best.trial), exact=True))
    assert f"{100 * best.accuracy:.2f} %" in row.inner_text()
    row.get_by_role("link").click()
    tab.get_by_role("heading", name=f"Trial {best.trial} (trial_id=").wait_for()


def test_the_note_of_a_trial_reads_and_its_recipe_is_a_download(pages: Pages, points: Front, tmp_path: Path) -> None:
    point = points.points[0]
    tab = pages(f"/dashboard/studies/1/trials?numbers={point.trial}")
    tab.get_by_role("heading", name="On the Pareto front").wait_for()
    assert tab.locator("pre").inner_text().startswith(f"paretosearch train --trial {point.trial} --study fashion-mnist")
    assert tab.get_by_text("recipe.json", exact=True).count() >= 1
    with tab.expect_download() as coming:
        tab.locator('a[download="recipe.json"]').click()
    coming.value.save_as(tmp_path / "recipe.json")
    assert Recipe.from_json((tmp_path / "recipe.json").read_text()) == point.recipe


def answered(tab: Page, press: Callable[[], object]) -> Any:
    """Do something that asks for a change; gives the answer."""
    with tab.expect_response(lambda answer: answer.request.method not in ("GET", "HEAD")) as coming:
        press()
    return coming.value


def test_buttons_that_change_lead_to_a_refusal_or_are_hidden(pages: Pages, dashboard: Dashboard) -> None:
    before = dashboard.ask("GET", "/api/studies/1")[1]
    pages.expected += ["405", "read-only"]
    tab = pages("/dashboard/studies/1/note")
    tab.get_by_test_id("EditIcon").click()
    tab.get_by_role("textbox").first.fill("not what it was")
    refused = answered(tab, lambda: tab.get_by_role("button", name="Save").click())
    assert refused.status == 405
    tab.get_by_text("Failed: read-only; start it with --allow-changes to change").wait_for()
    listed = pages("/dashboard")
    listed.get_by_text("fashion-mnist").first.wait_for()
    buttons = listed.get_by_test_id("DeleteIcon")
    assert buttons.count() > 0
    assert not any(button.is_visible() for button in buttons.all())  # as they would be refused without a word why
    assert dashboard.ask("DELETE", "/api/studies/1")[0] == 405
    assert json.loads(dashboard.ask("GET", "/api/studies/1")[1])["note"] == json.loads(before)["note"]
    pages("/dashboard").get_by_text("fashion-mnist").first.wait_for()


def test_hostile_names_are_text(pages: Pages, searched: str, tmp_path: Path, points: Front) -> None:
    place = tmp_path / "hostile.db"
    shutil.copy(searched.removeprefix("sqlite:///"), place)
    with sqlite3.connect(place) as database:
        (space,) = database.execute("SELECT space FROM ps_study").fetchone()
        plain = json.loads(space)
        plain["declared"]["fixed"].update(dataset=f"folder:{HOSTILE}", network=HOSTILE)
        database.execute("UPDATE ps_study SET space = ?", (json.dumps(plain),))
        database.execute("UPDATE ps_device SET name = ?", (HOSTILE,))
        attempt = points.points[0].attempt
        recipe = {**json.loads(points.points[0].recipe.to_json()), "pooling": HOSTILE, "dataset": HOSTILE}
        database.execute("UPDATE ps_attempt SET recipe = ? WHERE id = ?", (json.dumps(recipe), attempt))
    database.close()
    with serving(tmp_path, f"sqlite:///{place}") as shown:
        for path in ("note", f"trials?numbers={points.points[0].trial}", ""):
            tab = pages(f"/dashboard/studies/1/{path}".rstrip("/"), shown)
            tab.get_by_text("fashion-mnist").first.wait_for()
            tab.wait_for_timeout(1500)
            if path:
                assert HOSTILE[:28] in tab.locator("body").inner_text().replace("\u2060", "")
            assert tab.locator('img[src="x"], img[src*="evil"], a[href*="evil"], a[href^="mailto:"]').count() == 0
            tab.close()  # it asks for news, and would miss a server that is gone
