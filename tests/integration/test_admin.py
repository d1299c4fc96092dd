"""The admin pages of a real daemon in Chromium: every page, every change, and text that would be a script."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.support.binaries import require_binary
from tests.support.chromium import CHECKS, Visit, chromium
from tests.support.crowd import Figures
from tests.support.daemon import ROOT, Daemon
from tests.support.payloads import PAYLOADS

pytestmark = pytest.mark.integration

PAGE = (ROOT / "docs" / "admin.md").read_text()
KEY = "sk-canary-of-the-project-0123456789"
CANARY = "canary-of-the-configuration"
CONFIG = f"""
access: {{mode: projects, management_token: {CANARY}-management}}
admin: {{user: ann, password: {CANARY}-password}}
providers:
  echo: {{type: echo}}
  up: {{type: openai, base_url: "http://127.0.0.1:9/v1", api_key: project}}
models: [{{name: echo, targets: [{{provider: echo, model: echo}}]}}]
"""
MANAGE = {"Authorization": f"Bearer {CANARY}-management"}
TABS = ("", "projects", "tokens", "usage", "audit", "health", "configuration")
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
BROKEN = """
() => [...document.querySelectorAll(".top nav a, td.whole")].filter((one) => {
  const text = document.createRange();
  text.selectNodeContents(one);
  return new Set([...text.getClientRects()].map((line) => line.bottom)).size > 1;
}).map((one) => one.textContent)
"""
"""Returns what should stand on one line and does not."""
HOSTILE = PAYLOADS[:: len(PAYLOADS) // 48]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("admin"), CONFIG) as daemon:
        daemon.wait_for(lambda: daemon.request("GET", "/manage/projects", None, MANAGE)[0] == 200)
        yield daemon


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, daemon: Daemon) -> Iterator[Visit]:
    with browser.new_context(java_script_enabled=True) as context:
        yield logged_in(Visit(context.new_page(), f"http://127.0.0.1:{daemon.port}"))


def logged_in(visit: Visit) -> Visit:
    page = visit.go("/admin/")
    page.get_by_label("User").fill("ann")
    page.get_by_label("Password").fill(f"{CANARY}-password")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Admin")
    return visit


def make_project(page: Page, visit: Visit, name: str) -> None:
    visit.go("/admin/projects")
    form = page.locator('section[aria-labelledby="new"]')
    form.get_by_label("Name", exact=True).fill(name)
    form.get_by_label("Keys for up").fill(KEY)
    form.get_by_label("Tokens in all").fill("1000")
    form.get_by_role("button", name="Create project").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def make_token(page: Page, visit: Visit, project: str, name: str) -> str:
    visit.go("/admin/tokens")
    form = page.locator('section[aria-labelledby="new"]')
    form.get_by_label("Project").select_option(label=project)
    form.get_by_label("Name", exact=True).fill(name)
    form.get_by_label("Requests in all").fill("5")
    form.get_by_role("button", name="Create token").click()
    return page.locator("[data-token]").text_content() or ""


def ask(daemon: Daemon, token: str) -> int:
    chat = {"model": "echo", "messages": [{"role": "user", "content": "one two"}]}
    return daemon.request("POST", "/v1/chat/completions", chat, {"Authorization": f"Bearer {token}"})[0]


def test_a_project_is_made_changed_and_deleted(visit: Visit) -> None:
    page = visit.page
    make_project(page, visit, "made")
    expect(page.locator(".facts")).to_contain_text("sk-***6789")
    assert KEY not in page.content()
    form = page.locator('section[aria-labelledby="change"]')
    form.get_by_label("Name", exact=True).fill("changed")
    form.get_by_label("Active").uncheck()
    form.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("changed")
    expect(page.locator("[data-state]")).to_have_text("not active")
    expect(page.locator(".facts")).to_contain_text("sk-***6789")
    page.get_by_label("Its name, to be sure").fill("changed")
    page.get_by_role("button", name="Delete project").click()
    page.wait_for_url("**/admin/projects")
    expect(page.locator("main")).not_to_contain_text("changed")
    visit.assert_quiet()


def test_a_token_is_shown_once_used_and_revoked(daemon: Daemon, visit: Visit) -> None:
    page = visit.page
    make_project(page, visit, "team")
    token = make_token(page, visit, "team", "first")
    assert ask(daemon, token) == 200
    page.get_by_role("link", name="Its limits and use").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("first")
    path = page.url.removeprefix(visit.url)
    daemon.wait_for(lambda: "1 of 5" in (visit.go(path).locator(".bars").text_content() or ""))
    assert token not in page.content()
    page.locator('section[aria-labelledby="change"]').get_by_label("Name", exact=True).fill("renamed")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("renamed")
    visit.go("/admin/usage")
    expect(page.locator('[data-chart="token-0"] figcaption')).to_contain_text(token[:5])
    expect(page.locator('[data-chart="model-0"] figcaption')).to_contain_text("echo")
    visit.go("/admin/tokens?q=renamed")
    page.locator("tbody a").first.click()
    page.get_by_label("Hours it lives").fill("2")
    page.get_by_role("button", name="Refresh token").click()
    refreshed = page.locator("[data-token]").text_content() or ""
    assert (ask(daemon, token), ask(daemon, refreshed)) == (401, 200)
    page.get_by_role("link", name="Its limits and use").click()
    page.get_by_role("button", name="Revoke token").click()
    expect(page.locator("[data-state]")).to_have_text("revoked")
    assert ask(daemon, refreshed) == 401
    visit.assert_quiet()


def test_chosen_tokens_and_those_of_a_project_are_revoked_together(daemon: Daemon, visit: Visit) -> None:
    page = visit.page
    make_project(page, visit, "many")
    tokens = [make_token(page, visit, "many", f"many {number}") for number in range(4)]
    visit.go("/admin/tokens?q=many")
    for number in (0, 1):
        page.locator("tbody tr", has_text=f"many {number}").get_by_role("checkbox").check()
    page.get_by_role("button", name="Revoke those chosen").click()
    page.wait_for_url("**/admin/tokens")
    assert [ask(daemon, token) for token in tokens] == [401, 401, 200, 200]
    visit.go("/admin/projects?q=many")
    page.locator("tbody a").first.click()
    page.get_by_role("button", name="Revoke all its tokens").click()
    expect(page.locator(".facts")).to_contain_text("4, 0 active")
    assert [ask(daemon, token) for token in tokens[2:]] == [401, 401]
    visit.assert_quiet()


def test_what_is_wrong_is_told_on_the_page_and_what_was_typed_is_kept(visit: Visit) -> None:
    page = visit.page
    make_project(page, visit, "wrong")
    visit.go("/admin/tokens")
    form = page.locator('section[aria-labelledby="new"]')
    form.get_by_label("Project").select_option(label="wrong")
    form.get_by_label("Name", exact=True).fill("kept")
    form.get_by_label("Hours it lives").fill("99999")
    form.get_by_role("button", name="Create token").click()
    expect(page.get_by_role("alert")).to_contain_text("duration_hours")
    expect(form.get_by_label("Name", exact=True)).to_have_value("kept")


def test_the_audit_names_who_changed_what_from_where(visit: Visit) -> None:
    make_project(visit.page, visit, "audited")
    page = visit.go("/admin/audit?action=project.create")
    row = page.locator("tbody tr", has_text="audited")
    expect(row).to_contain_text("admin ann")
    expect(row).to_contain_text("127.0.0.1")
    expect(row).to_contain_text("done")
    page.get_by_label("Outcome").fill("nothing-like-it")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("main")).to_contain_text("There is no such entry.")
    expect(visit.go("/admin/audit?action=admin").locator("tbody tr").first).to_contain_text("admin.login")


def test_configuration_and_health_are_shown_without_a_secret(visit: Visit) -> None:
    page = visit.go("/admin/configuration")
    expect(page.locator("pre")).to_contain_text("mode: projects")
    assert CANARY not in page.content()
    expect(visit.go("/admin/health").locator("tbody tr")).to_contain_text("echo")


def test_a_session_opens_the_dashboard_and_its_live_views_which_end_with_it(visit: Visit) -> None:
    page = visit.go("/", live=True)
    assert visit.go("/logs").title()
    visit.go("/", live=True)
    other = Visit(page.context.new_page(), visit.url)
    other.go("/admin/").get_by_role("button", name="Log out").click()
    expect(other.page.get_by_role("heading", level=1)).to_have_text("Log in")
    expect(page.locator("[data-feed]")).not_to_have_attribute("data-feed", "live")
    assert page.request.get(f"{visit.url}/logs").status == 401


def test_logging_out_ends_the_session(visit: Visit) -> None:
    page = visit.page
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/admin/login")
    page.context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": visit.url}])
    visit.go("/admin/projects")
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")


def test_pages_fit_can_be_read_and_need_no_script(browser: Browser, daemon: Daemon) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        visit = logged_in(Visit(context.new_page(), f"http://127.0.0.1:{daemon.port}"))
        make_project(visit.page, visit, "plain")
        make_token(visit.page, visit, "plain", "plain token")
        state: Any = context.storage_state()
    for theme, width in itertools.product(THEMES, (360, 1280)):
        size: ViewportSize = {"width": width, "height": 800}
        with browser.new_context(color_scheme=theme, viewport=size, storage_state=state) as context:
            visit = Visit(context.new_page(), f"http://127.0.0.1:{daemon.port}")
            paths = [f"/admin/{tab}" for tab in TABS]
            for kind in ("projects", "tokens"):
                visit.go(f"/admin/{kind}")
                paths.append(visit.page.locator("tbody tr a").first.get_attribute("href") or "")
            for path in paths:
                page = visit.go(path)
                assert page.evaluate("document.documentElement.scrollWidth") <= width, path
                assert page.evaluate(CHECKS) == [], path
                assert page.evaluate(BROKEN) == [], path
            visit.assert_quiet()
        with browser.new_context(color_scheme=theme, viewport=size) as context:
            page = Visit(context.new_page(), f"http://127.0.0.1:{daemon.port}").go("/admin/login")
            assert page.evaluate(CHECKS) == []


def test_the_commands_of_the_page_work(daemon: Daemon) -> None:
    require_binary("curl")
    (commands,) = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    _, _, body = daemon.request("POST", "/manage/projects", {"name": "commanded"}, MANAGE)
    wanted = {"project_id": json.loads(body)["id"], "duration_hours": 1}
    token = json.loads(daemon.request("POST", "/manage/tokens", wanted, MANAGE)[2])
    given = {"ADMIN_USER": "ann", "ADMIN_PASSWORD": f"{CANARY}-password", "TOKEN_ID": token["id"]}
    script = "set -e\n" + commands.replace("127.0.0.1:8080", f"127.0.0.1:{daemon.port}")
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True, env={**os.environ, **given}
    )
    assert "commanded" in {one["name"] for one in json.loads(done.stdout)["data"]}
    assert ask(daemon, token["token"]) == 401


@pytest.mark.parametrize(
    ("payloads", "step"),
    [
        pytest.param(HOSTILE, 8, id="some"),
        pytest.param(PAYLOADS, 1, id="all", marks=pytest.mark.torture),
    ],
)
def test_hostile_names_are_shown_and_never_run(
    daemon: Daemon, visit: Visit, payloads: Sequence[str], step: int, figures: Figures
) -> None:
    made = []
    for text in payloads:
        name = text[:200]
        status, _, body = daemon.request("POST", "/manage/projects", {"name": name}, MANAGE)
        assert status == 201, body
        made.append(json.loads(body)["id"])
        wanted = {"project_id": made[-1], "duration_hours": 1, "name": name, "metadata": {}}
        assert daemon.request("POST", "/manage/tokens", wanted, MANAGE)[0] == 201
    assert len(made) >= 36
    figures.add("hostile names, and complaints of the browser", f"{len(made)}, none")
    for tab in ("projects", "tokens", "audit", ""):
        visit.go(f"/admin/{tab}")
        visit.assert_quiet()
    for id in made[::step]:
        visit.go(f"/admin/projects/{id}")
        visit.assert_quiet()
    for id in made:
        assert daemon.request("DELETE", f"/manage/projects/{id}", None, MANAGE)[0] == 204
