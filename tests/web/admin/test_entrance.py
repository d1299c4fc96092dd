"""Who is let in at ``/admin/``, for how long, and what may change something."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from netrunner.settings import Secret
from netrunner.web.admin.entrance import Beside
from netrunner.web.gate import Guarded
from netrunner.web.sessions import ABSOLUTE_S, IDLE_S
from tests.support.admin import ANN, BASIC, WORD, Desk

JSON = {"Content-Type": "application/json", "Accept": "*/*"}
PROJECT = json.dumps({"name": "team"}).encode()
PATHS = ("/admin/", "/admin/projects", "/admin/tokens", "/admin/audit", "/admin/configuration", "/admin/nowhere")
CHANGES = ("/admin/projects", "/admin/projects/x", "/admin/tokens", "/admin/tokens/x", "/admin/logout")


@pytest.mark.parametrize("path", [*PATHS, "/admin/login"])
def test_without_a_credential_configured_nobody_is_let_in_and_told_what_to_set(place: Path, path: str) -> None:
    desk = Desk(place, configured=False)
    answer = desk.ask("GET", path, BASIC)
    assert answer.status == 403
    assert b"ADMIN_USER" in answer.body
    assert b"ADMIN_PASSWORD" in answer.body
    desk.close()


@pytest.mark.parametrize("path", PATHS)
def test_a_tool_without_a_credential_is_asked_for_it(desk: Desk, path: str) -> None:
    for fields in ({}, {"Authorization": "Basic YW5uOndyb25n"}):
        answer = desk.ask("GET", path, {"Accept": "*/*", **fields})
        assert (answer.status, answer.headers[b"www-authenticate"][:6]) == (401, b"Basic ")


@pytest.mark.parametrize("path", PATHS)
def test_a_person_without_a_session_is_shown_the_way_to_the_login(desk: Desk, path: str) -> None:
    answer = desk.ask("GET", path, {"Sec-Fetch-Mode": "navigate"})
    assert (answer.status, answer.headers[b"location"]) == (303, b"/admin/login")


def test_a_tool_is_let_in_by_basic_authentication(desk: Desk) -> None:
    assert desk.ask("GET", "/admin/", BASIC).status == 200


def test_a_login_opens_the_pages_until_the_logout(desk: Desk) -> None:
    answer = desk.log_in()
    assert (answer.status, answer.headers[b"location"]) == (303, b"/admin/")
    assert desk.get("/admin/").status == 200
    csrf = desk.csrf()
    assert desk.post("/admin/logout", csrf=csrf).headers[b"location"] == b"/admin/login"
    assert desk.get("/admin/").status == 401


def test_a_login_begins_a_new_session_and_ends_the_one_before(desk: Desk) -> None:
    desk.log_in()
    first = desk.cookie
    desk.log_in()
    assert desk.cookie != first
    assert len(desk.lookout.sessions) == 1


def test_a_session_that_somebody_brings_along_is_not_taken(desk: Desk) -> None:
    desk.cookie = "netrunner_session=chosen-by-somebody-else"
    desk.log_in()
    assert desk.cookie != "netrunner_session=chosen-by-somebody-else"


def test_the_cookie_is_kept_from_scripts_and_other_sites(desk: Desk) -> None:
    cookie = desk.log_in().headers[b"set-cookie"]
    assert cookie.startswith(b"netrunner_session=")
    for word in (b"HttpOnly", b"SameSite=Strict", b"Path=/;"):
        assert word in cookie
    assert b"Secure" not in cookie


def test_behind_tls_the_cookie_is_bound_to_host_and_tls(desk: Desk) -> None:
    cookie = desk.log_in(**{"X-Forwarded-Proto": "https"}).headers[b"set-cookie"]
    assert cookie.startswith(b"__Host-netrunner_session=")
    assert b"; Secure" in cookie
    assert b"Domain" not in cookie


def test_a_session_ends_when_nothing_is_asked_for_half_an_hour(desk: Desk) -> None:
    desk.log_in()
    desk.clock.advance(IDLE_S - 1)
    assert desk.get("/admin/").status == 200
    desk.clock.advance(IDLE_S)
    assert desk.get("/admin/").status == 401


def test_a_session_ends_after_twelve_hours_whatever_is_asked(desk: Desk) -> None:
    desk.log_in()
    for _ in range(int(ABSOLUTE_S / (IDLE_S - 10))):
        desk.clock.advance(IDLE_S - 10)
        assert desk.get("/admin/").status == 200
    desk.clock.advance(IDLE_S - 10)
    assert desk.get("/admin/").status == 401


def test_a_session_ends_with_the_password_it_was_opened_by(desk: Desk) -> None:
    desk.log_in()
    id = desk.cookie.partition("=")[2]
    assert desk.lookout.sessions.find(id, b"of another password" * 2) is None
    assert desk.get("/admin/").status == 401


# The pages beside.


def beside(desk: Desk, **fields: str) -> int:
    """Ask for a page beside those of the entrance, where nothing is; return the status."""
    gate = Beside(Secret(ANN), Secret(WORD), desk.entrance, desk.entrance.wrong)
    desk.site.resource.putChild(b"beside", Guarded(gate))
    return desk.ask("GET", "/beside", fields).status


def test_a_session_opens_the_pages_beside_until_the_logout(desk: Desk) -> None:
    assert beside(desk) == 401
    desk.log_in()
    assert beside(desk) == beside(desk, **{"Sec-Fetch-Mode": "cors"}) == 404
    desk.post("/admin/logout", csrf=desk.csrf())
    assert beside(desk) == beside(desk, **{"Sec-Fetch-Mode": "cors"}) == 401


def test_the_credential_opens_the_pages_beside_and_no_other_does(desk: Desk) -> None:
    assert beside(desk, **BASIC) == beside(desk, **BASIC, **{"Sec-Fetch-Mode": "cors"}) == 404
    desk.log_in()
    assert beside(desk, Authorization="Basic YW5uOndyb25n") == 401


def test_what_a_page_beside_asks_for_by_itself_prolongs_no_session(desk: Desk) -> None:
    desk.log_in()
    desk.clock.advance(IDLE_S - 1)
    assert beside(desk, **{"Sec-Fetch-Mode": "cors"}) == 404
    desk.clock.advance(1)
    assert beside(desk) == 401
    desk.log_in()
    desk.clock.advance(IDLE_S - 1)
    assert beside(desk) == 404
    desk.clock.advance(1)
    assert beside(desk) == 404


# Changes.


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize(
    "fields",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
    ids=["origin", "no origin", "cross-site"],
)
def test_a_page_of_another_site_changes_nothing(desk: Desk, path: str, fields: dict[str, str]) -> None:
    desk.log_in()
    csrf = desk.csrf()
    answer = desk.post(path, fields, csrf=csrf, name="evil", do="create")
    assert answer.status == 403
    assert [entry["action"] for entry in desk.audit()] == ["admin.login"]


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize("csrf", ["", "x" * 43])
def test_a_form_without_what_its_page_gave_it_changes_nothing(desk: Desk, path: str, csrf: str) -> None:
    desk.log_in()
    assert desk.post(path, csrf=csrf, name="evil", do="create").status == 403
    assert [entry["action"] for entry in desk.audit()] == ["admin.login"]


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"])
def test_what_a_form_of_another_site_can_send_changes_nothing_with_a_remembered_credential(
    desk: Desk, kind: str
) -> None:
    answer = desk.ask("POST", "/admin/projects", {**BASIC, "Content-Type": kind, "Accept": "*/*"}, PROJECT)
    assert answer.status == 403
    assert desk.audit() == []


def test_json_in_a_session_needs_what_its_page_gave(desk: Desk) -> None:
    desk.log_in()
    assert desk.ask("POST", "/admin/projects", JSON, PROJECT).status == 403
    fields = {**JSON, "X-CSRF-Token": desk.csrf()}
    assert desk.ask("POST", "/admin/projects", fields, PROJECT).status == 201


def test_another_site_cannot_log_a_browser_in(desk: Desk) -> None:
    assert desk.log_in(**{"Origin": "https://evil.example"}).status == 403
    assert len(desk.lookout.sessions) == 0


@pytest.mark.parametrize(
    "path", [*PATHS, "/admin/logout", "/admin/projects?do=create&name=x", "/admin/tokens?do=revoke"]
)
def test_to_look_changes_nothing(desk: Desk, path: str) -> None:
    desk.log_in()
    desk.get(path)
    assert [entry["action"] for entry in desk.audit()] == ["admin.login"]
    assert len(desk.lookout.sessions) == 1


# Wrong credentials.


def test_ten_wrong_ones_a_minute_are_answered_and_the_next_later(desk: Desk) -> None:
    for _ in range(10):
        assert desk.log_in("wrong").status == 401
    late = desk.client("GET", "/admin/", {"Authorization": "Basic YW5uOndyb25n", "Accept": "*/*"})
    assert late.heard() == b""
    desk.clock.advance(59)
    assert late.heard() == b""
    desk.clock.advance(1)
    assert late.heard().startswith(b"HTTP/1.1 401 ")


def test_a_right_one_is_never_kept_waiting(desk: Desk) -> None:
    held = [desk.client("GET", "/admin/", {"Authorization": "Basic YW5uOndyb25n"}) for _ in range(30)]
    assert sum(bool(client.heard()) for client in held) == 10
    assert desk.ask("GET", "/admin/", BASIC).status == 200
    assert desk.log_in().status == 303


def test_who_tries_on_is_hung_up_on(desk: Desk) -> None:
    clients = [desk.client("GET", "/admin/", {"Authorization": "Basic YW5uOndyb25n"}) for _ in range(40)]
    assert desk.lookout.tries.held == 10
    assert clients[-1].transport.aborted


def test_addresses_that_nobody_vouches_for_share_one_limit(desk: Desk) -> None:
    for number in range(10):
        wrong = {"Authorization": "Basic YW5uOndyb25n", "X-Forwarded-For": f"10.0.0.{number}"}
        assert desk.ask("GET", "/admin/", wrong).status == 401
    wrong = {"Authorization": "Basic YW5uOndyb25n", "X-Forwarded-For": "10.0.0.99"}
    assert desk.client("GET", "/admin/", wrong).heard() == b""


def test_logins_are_in_the_audit_and_passwords_are_not(desk: Desk) -> None:
    desk.log_in("a wrong word")
    desk.clock.advance(1)
    desk.log_in()
    entries = desk.audit()
    assert [(one["actor"], one["action"], one["outcome"]) for one in entries] == [
        (f"admin {ANN}", "admin.login", "done"),
        (f"admin {ANN}", "admin.login", "admin_required"),
    ]
    told = json.dumps(entries)
    assert WORD not in told
    assert "a wrong word" not in told
