"""The dashboard in Chromium: what moves, keys, narrow screens, contrast and names, and text that tries to be script."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from playwright.sync_api import Browser, expect

from tests.support.chromium import CHECKS, PATIENCE_S, Visit, chromium
from tests.support.payloads import PAYLOADS

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


class Theatre:
    """The process that serves the pages and does what it is told."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.support.dashboard_server"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)
        self._process.stdout.close()

    def do(self, what: str, **how: Any) -> Any:
        """Let something happen and return what came of it."""
        body = json.dumps({"do": what, **how}).encode()
        asked = urllib.request.Request(f"{self.url}/stage", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def house() -> Iterator[Theatre]:
    with Theatre() as theatre:
        yield theatre


@pytest.fixture
def theatre(house: Theatre) -> Theatre:
    house.do("anew")
    return house


@pytest.fixture
def visit(browser: Browser, theatre: Theatre) -> Iterator[Visit]:
    with browser.new_context() as context:
        yield Visit(context.new_page(), theatre.url)


def furnish(theatre: Theatre) -> dict[str, str]:
    """Put some of everything there and return the paths of all pages."""
    done = theatre.do("record", number=1, age_s=40, model="gpt-3.5-turbo", upstream_model="llama3-8b")
    theatre.do(
        "record", number=2, age_s=30, status=502, outcome="upstream_failed", error="upstream_timeout", usage=None
    )
    theatre.do("record", number=3, age_s=20, status=499, outcome="client_gone", dialect="ollama")
    theatre.do("bound", most=2)
    flying = theatre.do("begin", number=4, model="gpt-3.5-turbo", upstream_model="llama3-8b")
    return {
        "overview": "/",
        "log": "/logs",
        "narrowed log": "/logs?q=nothing:known&status=failed&since=2026-01-01T00:00",
        "log searched in part": "/logs?q=model:absent",
        "exchange": f"/logs/{done}",
        "live": f"/logs/{flying}",
        "performance": "/performance?span=24h",
        "clients": "/clients?span=24h",
        "error": "/logs/none",
    }


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_every_page_fits_and_can_be_read(browser: Browser, theatre: Theatre, theme: Any, width: int) -> None:
    paths = furnish(theatre)
    context = browser.new_context(color_scheme=theme, viewport={"width": width, "height": 800})
    visit = Visit(context.new_page(), theatre.url)
    for name, path in paths.items():
        page = visit.go(path, live=name in ("overview", "live"))
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.evaluate(CHECKS) == [], name
    # The two pages that were refused said so to the console as well.
    assert all(" 404 " in text or " 400 " in text for text in visit.complaints)
    context.close()


def test_empty_pages_say_what_to_try(visit: Visit) -> None:
    for path in ("/", "/logs", "/performance"):
        command = visit.go(path).locator(".try:visible")
        expect(command).to_contain_text("curl -N http://127.0.0.1:")
    visit.assert_quiet()


def test_the_tables_move_when_a_request_begins_and_ends(theatre: Theatre, visit: Visit) -> None:
    page = visit.go("/", live=True)
    flying, ended = page.locator('[data-rows="flying"] tbody tr'), page.locator('[data-rows="ended"] tbody tr')
    expect(flying).to_have_count(0)
    id = theatre.do("begin", number=7, model="gpt-3.5-turbo", upstream_model="llama3-8b")
    expect(flying).to_have_count(1)
    expect(flying).to_contain_text("llama3-8b was gpt-3.5-turbo")
    expect(page.locator('[data-total="flying"]')).to_have_text("1")
    theatre.do("end", id=id, status=502, outcome="upstream_failed", error="upstream_timeout")
    expect(flying).to_have_count(0)
    expect(ended).to_have_count(1)
    expect(ended).to_contain_text("502 upstream_timeout")
    expect(ended.locator('[data-state="failed"]')).to_have_count(1)
    expect(page.locator('[data-total="all"]')).to_have_text("1")
    # The charts follow, drawn by the server.
    expect(page.locator('[data-chart="rate"] [data-figure]')).to_have_text("1")
    expect(page.locator('[data-chart="failures"] [data-figure]')).to_have_text("100 %")
    visit.assert_quiet()


def test_nothing_is_asked_for_while_nothing_happens(theatre: Theatre, visit: Visit) -> None:
    page = visit.go("/", live=True)
    page.wait_for_load_state("load")
    id = theatre.do("begin", number=7)
    with page.expect_response(lambda response: "/now?" in response.url):
        theatre.do("end", id=id)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.install()
    page.clock.run_for(600_000)
    assert asked == []


def test_rows_are_drawn_alike_by_the_server_and_by_the_script(theatre: Theatre, visit: Visit) -> None:
    page = visit.go("/", live=True)
    for number, changes in enumerate(({}, {"status": 502, "error": "upstream_timeout", "outcome": "upstream_failed"})):
        id = theatre.do("begin", number=number, model="gpt-3.5-turbo", upstream_model="llama3-8b", usage=[24, 12345])
        theatre.do("end", id=id, **changes)
    ended = page.locator('[data-rows="ended"] tbody tr')
    expect(ended).to_have_count(2)
    tell = "rows => rows.map(row => row.textContent.replace(/\\s+/g, ' ').trim())"
    by_script = ended.evaluate_all(tell)
    assert visit.go("/", live=True).locator('[data-rows="ended"] tbody tr').evaluate_all(tell) == by_script


def test_the_tokens_of_a_running_stream_can_be_watched(theatre: Theatre, visit: Visit) -> None:
    id = theatre.do("begin", number=8)
    page = visit.go(f"/logs/{id}", live=True)
    for words in ("Because ", "air ", "scatters"):
        theatre.do("say", id=id, text=f'data: {{"choices":[{{"delta":{{"content":"{words}"}}}}]}}\n\n')
    expect(page.locator("[data-said-text]")).to_have_text("Because air scatters")
    theatre.do("say", id=id, text='data: {"choices":[{"delta":{"cont')
    theatre.do("say", id=id, text='ent":" blue."}}]}\n\n')
    expect(page.locator("[data-said-text]")).to_have_text("Because air scatters blue.")
    theatre.do("end", id=id)
    expect(page.locator("[data-told]")).to_contain_text("It has ended.")
    expect(page.locator('[data-cell="mark"]')).to_contain_text("200 ok")
    page.get_by_role("link", name="Show what was recorded").click()
    expect(page.get_by_role("heading", name="Request", exact=True)).to_be_visible()
    visit.assert_quiet()


def test_a_stream_is_ended_by_the_second_press_of_its_button(theatre: Theatre, visit: Visit) -> None:
    id = theatre.do("begin", number=9)
    page = visit.go(f"/logs/{id}", live=True)
    button = page.locator("[data-end]")
    button.click()
    expect(button).to_have_text("Really end?")
    expect(page.locator('[data-cell="mark"]')).to_contain_text("in flight")
    button.click()
    expect(page.locator("[data-told]")).to_contain_text("It has ended.")
    expect(page.locator('[data-cell="mark"]')).to_contain_text("503")
    visit.assert_quiet()


def test_the_button_of_a_row_ends_that_request(theatre: Theatre, visit: Visit) -> None:
    theatre.do("begin", number=10, model="stays")
    theatre.do("begin", number=11, model="goes")
    page = visit.go("/", live=True)
    button = page.locator("tr", has_text="goes").locator("[data-end]")
    button.click()
    button.click()
    flying = page.locator('[data-rows="flying"] tbody tr')
    expect(flying).to_have_count(1)
    expect(flying).to_contain_text("stays")


def test_the_log_says_that_there_is_more_and_moves_nothing(theatre: Theatre, visit: Visit) -> None:
    theatre.do("record", number=1)
    page = visit.go("/logs")
    while "feed" not in theatre.do("watched"):
        page.wait_for_timeout(20)
    theatre.do("end", id=theatre.do("begin", number=2))
    expect(page.locator("[data-newer]")).to_have_text("Show 1 newer")
    expect(page.locator("tbody tr[data-id]")).to_have_count(1)
    page.get_by_role("link", name="Show 1 newer").click()
    expect(page.locator("tbody tr[data-id]")).to_have_count(2)


def test_the_log_is_paged_and_narrowed_by_its_form(theatre: Theatre, visit: Visit) -> None:
    for number in range(101):
        theatre.do("record", number=number, age_s=200 - number, model="rare" if number == 50 else "gpt-4o")
    page = visit.go("/logs")
    rows = page.locator("tbody tr[data-id]")
    expect(rows).to_have_count(100)
    page.get_by_role("link", name="Older").click()
    expect(rows).to_have_count(1)
    page.get_by_role("link", name="Newer").click()
    expect(rows).to_have_count(100)
    expect(page.get_by_role("link", name="Newer")).to_have_count(0)
    page.get_by_role("link", name="Older").click()
    page.get_by_label("Filter").fill("model:rare")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("rare")
    visit.assert_quiet()


def test_a_search_goes_on_by_the_keyboard_until_something_is_found(theatre: Theatre, visit: Visit) -> None:
    for number in range(5):
        theatre.do("record", number=number, age_s=200 - number, model="rare" if number == 0 else "gpt-4o")
    theatre.do("bound", most=2)
    page = visit.go("/logs?q=model:rare")
    for _ in range(2):
        expect(page.get_by_text("Nothing was found so far.")).to_be_visible()
        onward = page.get_by_role("link", name="Search on")
        address = page.url
        onward.focus()
        page.keyboard.press("Enter")
        expect(page).not_to_have_url(address)
    expect(page.locator("tbody tr[data-id]")).to_contain_text("rare")
    expect(page.get_by_text("Searched back to")).to_have_count(0)
    visit.assert_quiet()


def test_all_can_be_done_with_the_keyboard_alone(theatre: Theatre, visit: Visit) -> None:
    paths = furnish(theatre)
    for path in (paths["overview"], paths["exchange"], paths["live"]):
        page = visit.go(path)
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        unseen = page.evaluate("""() => {
            const wanted = [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")]
              .filter((one) => one.checkVisibility({visibilityProperty: true}));
            window.wanted = new Set(wanted);
            return wanted.length;
        }""")
        for _ in range(unseen):
            clear = page.evaluate("""() => {
                const now = document.activeElement;
                wanted.delete(now);
                const style = getComputedStyle(now);
                return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
            }""")
            assert clear, page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
            page.keyboard.press("Tab")
        assert page.evaluate("[...wanted].map((one) => one.outerHTML.slice(0, 200))") == []
    page = visit.go(paths["overview"], live=True)
    page.locator("[data-end]").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.locator('[data-rows="flying"] tbody tr')).to_have_count(0)


def test_the_theme_is_kept_and_is_there_before_the_first_paint(browser: Browser, theatre: Theatre) -> None:
    context = browser.new_context(color_scheme="light")
    page = context.new_page()
    page.goto(theatre.url)
    page.get_by_role("button", name="Dark theme").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    # Even without the script that runs after the page is there.
    page.route("**/static/dashboard.*.js", lambda route: route.abort())
    page.goto(f"{theatre.url}/logs")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    context.close()


def test_pages_say_all_they_have_to_say_without_scripts(browser: Browser, theatre: Theatre) -> None:
    paths = furnish(theatre)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(theatre.url + paths["overview"])
    expect(page.locator('[data-rows="ended"] tbody tr')).to_have_count(3)
    expect(page.locator('[data-rows="flying"] tbody tr')).to_have_count(1)
    expect(page.locator('[data-chart="rate"] [data-figure]')).to_have_text("3")
    expect(page.locator("button.scripted:visible")).to_have_count(0)
    page.goto(theatre.url + paths["exchange"])
    expect(page.locator(".said")).to_contain_text("Because air scatters blue light most.")
    context.close()


def test_style_and_scripts_are_fetched_once(browser: Browser, theatre: Theatre) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(theatre.url)
    fetched: list[str] = []
    page.on("response", lambda response: fetched.append(response.url) if not response.from_service_worker else None)
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    served: list[bool] = []
    session.on("Network.requestServedFromCache", lambda _: served.append(True))
    page.goto(f"{theatre.url}/logs")
    assert len([url for url in fetched if "/static/" in url and not url.endswith(".svg")]) <= 3
    assert len(served) >= 3
    context.close()


def test_hostile_text_never_runs(theatre: Theatre, visit: Visit) -> None:
    chunks = [PAYLOADS[start : start + 100] for start in range(0, len(PAYLOADS), 100)]
    for chunk in chunks:
        for number, text in enumerate(chunk):
            theatre.do(
                "record",
                number=number,
                model=text,
                upstream_model=f"{text}!",
                path=text,
                error=text,
                source=text,
                dialect=text,
                outcome=text,
            )
    page = visit.go("/logs")
    while True:
        visit.assert_quiet()
        older = page.get_by_role("link", name="Older")
        if not older.count():
            break
        older.click()
        page.wait_for_load_state("load")
    visit.go("/performance")
    visit.assert_quiet()
    for start in range(0, len(PAYLOADS), 100):
        text = "\n".join(PAYLOADS[start : start + 100])
        asked = {"model": text, "messages": [{"role": text, "content": text}]}
        answer = f"event: x\ndata: {json.dumps({'choices': [{'delta': {'content': text}}]})}\n\n"
        id = theatre.do("record", number=5000 + start, asked=asked, answer=answer, token=text, project=text)
        page = visit.go(f"/logs/{id}")
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        expect(page.locator(".said")).to_contain_text("top.fired=1")
        visit.assert_quiet()


def test_hostile_text_never_runs_when_a_script_shows_it(theatre: Theatre, visit: Visit) -> None:
    watched = theatre.do("begin", number=1)
    page = visit.go(f"/logs/{watched}", live=True)
    for text in PAYLOADS:
        theatre.do("say", id=watched, text=f"data: {json.dumps({'choices': [{'delta': {'content': text}}]})}\n\n")
    expect(page.locator("[data-said-text]")).to_contain_text(PAYLOADS[0])
    assert page.locator("[data-said-text] :not(span)").count() == 0
    visit.assert_quiet()
    page = visit.go("/", live=True)
    for number, text in enumerate(PAYLOADS):
        id = theatre.do("begin", number=10 + number, model=text, upstream_model=f"{text}!", provider=text, source=text)
        if number % 10 == 0:
            theatre.do("end", id=id, status=500, error=text, outcome="upstream_failed")
    expect(page.locator('[data-rows="ended"] tbody tr')).to_have_count(25)
    expect(page.locator('[data-rows="flying"] tbody tr')).to_have_count(200)
    visit.assert_quiet()


def test_a_script_that_got_into_a_page_would_not_run_and_would_be_noticed(visit: Visit) -> None:
    page = visit.go("/")
    page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "top.fired = 1";
        document.body.append(script);
    }""")
    assert page.evaluate("[window.violations, window.fired ?? null]") == [["script-src-elem"], None]
    assert "Content Security Policy" in visit.complaints[0]
