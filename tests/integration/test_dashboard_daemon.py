"""The dashboard of a real daemon in Chromium: real requests through the proxy, kept in its journal or its database."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import APIResponse, Browser, Page, Route, expect

from netrunner.process.control import ControlError
from tests.support.chromium import CHECKS, Visit, chromium
from tests.support.daemon import ECHO, PATIENCE_S, Daemon
from tests.support.dialogue import Provider
from tests.support.payloads import PAYLOADS

pytestmark = pytest.mark.integration

CHAT = "/v1/chat/completions"
MODELS = "models: [{name: gpt-3.5-turbo, targets: [{provider: echo, model: llama3-8b}]}, "
MAPPED = ECHO.replace("models: [", MODELS) + "unknown_model: echo\n"
KEPT = {"the journal": MAPPED, "the database": MAPPED + "sinks: [{type: database}]\n"}
"""Where records are found again."""
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
ADMIN = "admin: {user: ann, password: word}\n"
LONG = "/echo events=5000 delay=0.05 words that flow"
"""Goes on until somebody ends it; four minutes at the most."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(params=list(KEPT.values()), ids=list(KEPT))
def daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path / "daemon", request.param) as daemon:
        yield daemon


@pytest.fixture
def visit(browser: Browser, daemon: Daemon) -> Iterator[Visit]:
    with browser.new_context() as context:
        yield Visit(context.new_page(), f"http://127.0.0.1:{daemon.port}")


def chat(text: str, model: str = "echo", stream: bool = True) -> dict[str, Any]:
    usage = {"stream_options": {"include_usage": True}} if stream else {}
    return {"model": model, "stream": stream, **usage, "messages": [{"role": "user", "content": text}]}


def ask(daemon: Daemon, text: str, model: str = "echo", stream: bool = True, **fields: str) -> tuple[int, str, bytes]:
    """Make one request; return status, id and body."""
    status, headers, body = daemon.request("POST", CHAT, chat(text, model, stream), fields)
    return status, headers["x-request-id"], body


def newest(daemon: Daemon, **headers: str) -> list[dict[str, Any]]:
    """Return the newest rows of the log."""
    _, _, body = daemon.request("GET", "/api/logs?limit=1000", headers=headers)
    rows: list[dict[str, Any]] = json.loads(body)
    return rows


def wait_for_records(daemon: Daemon, count: int) -> list[dict[str, Any]]:
    """Return the rows of the log once there are ``count``, and none in flight."""
    daemon.wait_for(lambda: len([row for row in newest(daemon) if not row["is_inflight"]]) == count)
    return newest(daemon)


class Running:
    """A stream that goes on until it is ended; what came of it is in ``heard`` after ``over``."""

    def __init__(self, daemon: Daemon, path: str = CHAT, body: dict[str, Any] | None = None) -> None:
        self.heard = b""
        self.cut = False
        self._connection = daemon.connect()
        sent = json.dumps(chat(LONG) if body is None else body)
        self._connection.request("POST", path, sent, {"Content-Type": "application/json"})
        self._answer = self._connection.getresponse()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            while piece := self._answer.read1(65536):
                self.heard += piece
        except http.client.IncompleteRead:
            self.cut = True

    def over(self) -> None:
        """Wait for its end."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        self._connection.close()


@contextlib.contextmanager
def running(daemon: Daemon, **how: Any) -> Iterator[Running]:
    """Have a stream in flight; whatever is still so in the end is ended."""
    stream = Running(daemon, **how)
    try:
        yield stream
    finally:
        for row in newest(daemon):
            if row["is_inflight"]:
                daemon.request("POST", f"/api/inflight/{row['id']}/end", {}, {"X-Requested-With": "netrunner"})
        stream.over()


def flying(page: Page) -> Any:
    return page.locator('[data-rows="flying"] tbody tr')


def ended(page: Page) -> Any:
    return page.locator('[data-rows="ended"] tbody tr')


def open_all(page: Page) -> None:
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")


def test_the_first_page_moves_with_the_requests(daemon: Daemon, visit: Visit) -> None:
    page = visit.go("/", live=True)
    expect(page.locator(".try:visible")).to_contain_text(f"curl -N http://127.0.0.1:{daemon.port}")
    held: list[Route] = []
    page.route("**/now?*", lambda route: held.append(route))  # noqa: PLW0108 - playwright marks what it is given
    with running(daemon, body=chat(LONG, "gpt-3.5-turbo")):
        # Told by the feed: what the page asks for besides is not answered yet.
        expect(flying(page)).to_have_count(1)
        expect(flying(page)).to_contain_text("llama3-8b was gpt-3.5-turbo")
        expect(flying(page).locator('[data-cell="provider"]')).to_have_text("echo")
        expect(flying(page).locator('[data-cell="service"]')).to_have_text("OpenAI")
        expect(page.locator('[data-total="flying"]')).to_have_text("1")
        page.unroute("**/now?*")
        for route in held:
            route.continue_()
    expect(flying(page)).to_have_count(0)
    expect(ended(page)).to_have_count(1)
    ask(daemon, "Hello there")
    ask(daemon, "/echo error=500")
    expect(ended(page)).to_have_count(3)
    expect(ended(page).first).to_contain_text("500")
    for total, count in (("all", "3"), ("openai", "3"), ("day", "3"), ("flying", "0")):
        expect(page.locator(f'[data-total="{total}"]')).to_have_text(count)
    expect(page.locator('[data-chart="rate"] [data-figure]')).to_have_text("3")
    # The server tells the same to who comes anew, once the log has it.
    wait_for_records(daemon, 3)
    expect(visit.go("/", live=True).locator('[data-total="all"]')).to_have_text("3")
    expect(ended(page)).to_have_count(3)
    visit.assert_quiet()


def posted(hook: Provider) -> tuple[str, str]:
    """Take what is posted next; return what is told of which alert."""
    with hook.accept() as post:
        document = json.loads(post.message()[1])
        post.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    return document["state"], document["name"]


def test_what_an_operator_has_to_know_is_shown_until_it_is_over(browser: Browser, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        hook, context = stack.enter_context(Provider()), stack.enter_context(browser.new_context())
        config = f"{MAPPED}alerts: {{webhook: 'http://127.0.0.1:{hook.port}/hook'}}\n"
        daemon = stack.enter_context(Daemon(tmp_path, config))
        visit = Visit(context.new_page(), f"http://127.0.0.1:{daemon.port}")
        page = visit.go("/", live=True)
        alerts = page.locator("[data-alerts] li")
        expect(alerts).to_have_count(0)
        daemon.write_config(config + "lisen: 1\n")
        with pytest.raises(ControlError, match="lisen"):
            daemon.control("reload")
        # The feed tells it, though no request has come, and so is told who is elsewhere.
        expect(alerts).to_have_count(1)
        assert posted(hook) == ("began", "configuration_refused")
        expect(alerts).to_contain_text("The configuration was refused")
        expect(alerts).to_contain_text("netrunner check")
        page.set_viewport_size({"width": 360, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.evaluate(CHECKS) == []
        page = visit.go("/", live=True)
        expect(alerts).to_have_count(1)
        daemon.write_config(config)
        daemon.control("reload")
        expect(alerts).to_have_count(0)
        assert posted(hook) == ("ended", "configuration_refused")
        visit.assert_quiet()


def test_the_log_is_narrowed_and_paged(daemon: Daemon, visit: Visit) -> None:
    connection = daemon.connect()
    for number in range(105):
        text, model = ("/echo error=429", "gpt-3.5-turbo") if number % 35 == 0 else (f"number {number}", "echo")
        connection.request("POST", CHAT, json.dumps(chat(text, model)), {"Content-Type": "application/json"})
        connection.getresponse().read()
    connection.close()
    wait_for_records(daemon, 105)
    page = visit.go("/logs")
    rows = page.locator("tbody tr[data-id]")
    expect(rows).to_have_count(100)
    seen = set(rows.evaluate_all("rows => rows.map(row => row.dataset.id)"))
    page.get_by_role("link", name="Older").click()
    expect(rows).to_have_count(5)
    assert seen.isdisjoint(rows.evaluate_all("rows => rows.map(row => row.dataset.id)"))
    page.get_by_label("Filter").fill("model:llama3 status:429")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(3)
    page.get_by_label("Filter").fill("")
    page.get_by_label("Status").select_option("failed")
    page.get_by_role("button", name="Search").click()
    expect(rows).to_have_count(3)
    page.get_by_label("Service").select_option("ollama")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".empty")).to_contain_text("Nothing matches.")
    visit.assert_quiet()


def test_one_exchange_is_told_whole(daemon: Daemon, visit: Visit) -> None:
    asked = chat("Why is the sky blue?", "gpt-3.5-turbo")
    status, _, body = daemon.request("POST", CHAT, asked)
    assert status == 200
    (row,) = wait_for_records(daemon, 1)
    page = visit.go("/logs")
    page.locator("tbody tr[data-id] a").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"POST {CHAT}")
    open_all(page)
    expect(page.locator(".turns")).to_contain_text("Why is the sky blue?")
    expect(page.locator(".said")).to_have_text("Why is the sky blue?")
    # Five words, the role before and the finish after them, usage, and the end.
    expect(page.locator(".events tbody tr")).to_have_count(9)
    expect(page.locator(".stage-list")).to_contain_text("ms")
    tokens = page.locator('section[aria-labelledby="tokens"] dd')
    assert tokens.all_text_contents()[:2] == ["5", "5"]
    expect(page.locator(".fields").first).to_contain_text("application/json")
    for which, whole in (("request", json.dumps(asked).encode()), ("response", body)):
        with page.expect_download() as started:
            page.locator(f'a[href="/logs/{row["id"]}/{which}"]').click()
        assert Path(started.value.path()).read_bytes() == whole
        assert daemon.request("GET", f"/api/logs/{row['id']}/{which}")[2] == whole
    visit.assert_quiet()


def test_a_stream_is_watched_and_ended(daemon: Daemon, visit: Visit) -> None:
    with running(daemon) as stream:
        (row,) = newest(daemon)
        page = visit.go(f"/logs/{row['id']}", live=True)
        said = page.locator("[data-said-text]")
        expect(said).to_contain_text("words that flow")
        before = len(said.text_content() or "")
        page.wait_for_function(
            "length => document.querySelector('[data-said-text]').textContent.length > length + 50", arg=before
        )
        button = page.locator("[data-end]")
        button.click()
        button.click()
        expect(page.locator("[data-told]")).to_contain_text("It has ended.")
        stream.over()
    assert stream.cut
    assert b"data: [DONE]" not in stream.heard
    last = [line for line in stream.heard.split(b"\n\n") if line.startswith(b"data: ")][-1]
    error = json.loads(last.removeprefix(b"data: "))["error"]
    assert set(error) == {"message", "type", "param", "code"}
    (row,) = wait_for_records(daemon, 1)
    assert row["outcome"] == "cancelled"
    page.get_by_role("link", name="Show what was recorded").click()
    expect(page.locator(".facts").first).to_contain_text("cancelled")
    expect(page.locator(".said")).to_contain_text("words that flow")
    visit.assert_quiet()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"model": "echo", "stream": True, "prompt": LONG}),
        ("/v1/responses", {"model": "echo", "stream": True, "input": LONG}),
        ("/v1/messages", {"model": "echo", "stream": True, "max_tokens": 9999, "messages": chat(LONG)["messages"]}),
        ("/api/chat", chat(LONG)),
        ("/api/generate", {"model": "echo", "prompt": LONG}),
        ("/v1beta/models/echo:streamGenerateContent?alt=sse", {"contents": [{"parts": [{"text": LONG}]}]}),
        ("/v1beta/models/echo:streamGenerateContent", {"contents": [{"parts": [{"text": LONG}]}]}),
    ],
)
def test_the_words_of_a_stream_are_shown_whatever_its_caller_speaks(
    browser: Browser, tmp_path: Path, path: str, body: dict[str, Any]
) -> None:
    with Daemon(tmp_path, KEPT["the journal"]) as daemon, browser.new_context() as context:
        visit = Visit(context.new_page(), f"http://127.0.0.1:{daemon.port}")
        with running(daemon, path=path, body=body):
            (row,) = newest(daemon)
            page = visit.go(f"/logs/{row['id']}", live=True)
            expect(page.locator("[data-said-text]")).to_contain_text("words that flow words")
        wait_for_records(daemon, 1)
        page = visit.go(f"/logs/{row['id']}")
        expect(page.locator("main")).to_contain_text("Conversation, 1 turn")
        expect(page.locator("main")).to_contain_text("words that flow words")
        visit.assert_quiet()


def test_the_performance_of_each_model_is_told(daemon: Daemon, visit: Visit) -> None:
    for _ in range(3):
        ask(daemon, "one two three", "gpt-3.5-turbo")
    ask(daemon, "/echo error=503")
    wait_for_records(daemon, 4)
    page = visit.go("/performance")
    models = page.locator('section[aria-labelledby="models"] tbody tr')
    expect(models).to_have_count(2)
    expect(models.first).to_contain_text("llama3-8b")
    assert models.first.locator("td").all_text_contents()[1:3] == ["3", "0"]
    assert models.last.locator("td").all_text_contents()[1:3] == ["1", "1"]
    expect(page.locator('[data-chart="rate"] [data-figure]')).to_have_text("4")
    visit.assert_quiet()


def test_clients_failures_and_what_was_asked_again_are_told(daemon: Daemon, visit: Visit) -> None:
    for _ in range(3):
        ask(daemon, "one two three")
    ask(daemon, "/echo error=503")
    wait_for_records(daemon, 4)
    page = visit.go("/clients")
    sections = {
        name: page.locator(f'section[aria-labelledby="{name}"] tbody tr') for name in ("callers", "failures", "again")
    }
    for rows in sections.values():
        expect(rows).to_have_count(1)
    assert sections["callers"].locator("td").all_text_contents()[2:5] == ["4", "1", "2"]
    assert sections["failures"].locator("td").all_text_contents()[2] == "503"
    assert sections["again"].locator("td.number").all_text_contents() == ["2"]
    sections["again"].get_by_role("link").click()
    expect(page.locator(".said")).to_contain_text("one two three")
    page.go_back()
    sections["callers"].get_by_role("link").click()
    expect(page.locator("tbody tr[data-id]")).to_have_count(4)
    visit.assert_quiet()


@pytest.mark.parametrize("daemon", [KEPT["the database"]], indirect=True)
def test_pages_of_real_records_fit_and_can_be_read(browser: Browser, daemon: Daemon) -> None:
    ask(daemon, "Why is the sky blue?", "gpt-3.5-turbo")
    ask(daemon, "/echo fail=2 one two three")
    ask(daemon, "hello", "")
    ask(daemon, "hello", "a-model-with-a-very-long-name-" * 5)
    rows = wait_for_records(daemon, 4)
    with running(daemon):
        live = next(row["id"] for row in newest(daemon) if row["is_inflight"])
        paths = ["/", "/logs", *(f"/logs/{row['id']}" for row in rows), f"/logs/{live}", "/performance", "/clients"]
        for theme, width in itertools.product(THEMES, (360, 1280)):
            with browser.new_context(color_scheme=theme, viewport={"width": width, "height": 800}) as context:
                visit = Visit(context.new_page(), f"http://127.0.0.1:{daemon.port}")
                for path in paths:
                    page = visit.go(path, live=path in ("/", f"/logs/{live}"))
                    open_all(page)
                    assert page.evaluate("document.documentElement.scrollWidth") <= width, path
                    assert page.evaluate(CHECKS) == [], path
                visit.assert_quiet()


def test_totals_that_were_counted_before_a_request_ended_do_not_stay(daemon: Daemon, visit: Visit) -> None:
    told: list[tuple[Route, APIResponse]] = []

    def hold(route: Route) -> None:
        if told:
            route.continue_()
        else:
            told.append((route, route.fetch()))

    visit.page.route("**/now?*totals=1", hold)
    page = visit.go("/", live=True)
    while not told:
        page.wait_for_timeout(20)
    ask(daemon, "hi")
    total = page.locator('[data-total="all"]')
    expect(total).to_have_text("1")
    route, before = told[0]
    route.fulfill(response=before)
    expect(total).to_have_text("0")
    expect(total).to_have_text("1")
    visit.assert_quiet()


@pytest.mark.parametrize("daemon", [KEPT["the database"]], indirect=True)
def test_hostile_requests_are_shown_and_never_run(daemon: Daemon, visit: Visit) -> None:
    asked = 0
    connection = daemon.connect()
    home = visit.go("/", live=True)
    for start in range(0, len(PAYLOADS), 200):
        for text in PAYLOADS[start : start + 200]:
            # What echo is asked it answers, and it plays every model.
            model = text if asked % 2 else "echo"
            document = {
                **chat(text, model),
                "messages": [{"role": "system", "content": text}, {"role": "user", "content": text}],
            }
            connection.request(
                "POST", CHAT, json.dumps(document), {"Content-Type": "application/json", "User-Agent": "x"}
            )
            connection.getresponse().read()
            asked += 1
        expect(home.locator('[data-total="all"]')).to_have_text(str(asked))
        visit.assert_quiet()
    connection.close()
    assert asked >= 500
    rows = wait_for_records(daemon, asked)
    page = visit.go("/logs")
    while page.get_by_role("link", name="Older").count():
        visit.assert_quiet()
        page.get_by_role("link", name="Older").click()
        page.wait_for_load_state("load")
    for path in ("/performance", "/clients"):
        visit.go(path)
        visit.assert_quiet()
    for row in rows[::40]:
        page = visit.go(f"/logs/{row['id']}")
        open_all(page)
        expect(page.locator(".turns").first).to_be_visible()
        visit.assert_quiet()


def test_the_credential_of_an_operator_opens_everything(browser: Browser, tmp_path: Path) -> None:
    with (
        Daemon(tmp_path / "daemon", MAPPED + ADMIN) as daemon,
        browser.new_context(http_credentials={"username": "ann", "password": "word"}) as context,
    ):
        visit = Visit(context.new_page(), f"http://127.0.0.1:{daemon.port}")
        stream = Running(daemon)
        page = visit.go("/", live=True)
        expect(flying(page)).to_have_count(1)
        page.get_by_role("link", name="Watch").click()
        expect(page.locator("[data-said-text]")).to_contain_text("words that flow")
        page.locator("[data-end]").click()
        page.locator("[data-end]").click()
        stream.over()
        assert stream.cut
        expect(page.locator("[data-told]")).to_contain_text("It has ended.")
        for path in ("/logs", "/performance"):
            visit.go(path)
        # A browser is asked for the credential once, and its console tells of that alone.
        assert [text for text in visit.complaints if " 401 " not in text] == []


def test_a_wrong_credential_opens_nothing_but_the_style(browser: Browser, tmp_path: Path) -> None:
    with Daemon(tmp_path / "daemon", MAPPED + ADMIN) as daemon:
        for headers in ({}, {"Authorization": "Basic YW5uOndyb25n"}):
            for path in ("/", "/logs", "/performance", "/clients", "/now", "/api/live", "/api/logs", "/logs/x/request"):
                status, fields, body = daemon.request("GET", path, headers={"Accept": "text/html", **headers})
                assert (status, fields["www-authenticate"][:6]) == (401, "Basic "), path
            assert daemon.request("POST", "/api/inflight/x/end", {}, headers)[0] == 401
        _, _, body = daemon.request("GET", "/logs", headers={"Accept": "text/html"})
        (style,) = re.findall(r'href="(/static/[^"]+\.css)"', body.decode())
        assert daemon.request("GET", style)[0] == 200
        with browser.new_context(http_credentials={"username": "ann", "password": "wrong"}) as context:
            page = context.new_page()
            answer = page.goto(f"http://127.0.0.1:{daemon.port}/logs")
            assert answer is not None
            assert answer.status == 401
            expect(page.get_by_role("heading", level=1)).to_have_text("401")
            assert page.evaluate("getComputedStyle(document.querySelector('.alone')).maxWidth") != "none"
