"""What the pages show and do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from netrunner.config.settings import Settings
from netrunner.settings import ProviderSettings, Secret
from netrunner.web.admin import bars, configuration, projects, usage
from netrunner.web.dashboard.charts import SPANS
from tests.support.admin import BASIC, MANAGE, Desk
from tests.support.dashboard import NOW_S, record

KEY = "sk-canary-0123456789-0123456789"
JSON = {**BASIC, "Accept": "application/json", "Content-Type": "application/json"}


def tool(desk: Desk, method: str, path: str, document: Any = None) -> tuple[int, Any]:
    body = b"" if document is None else json.dumps(document).encode()
    answer = desk.ask(method, path, JSON, body)
    return answer.status, json.loads(answer.body) if answer.body else None


def project(desk: Desk, **wanted: Any) -> str:
    status, told = tool(desk, "POST", "/admin/projects", {"name": "team", "keys": {"up": KEY}, **wanted})
    assert status == 201
    return str(told["id"])


def token(desk: Desk, of: str, **wanted: Any) -> dict[str, Any]:
    status, told = tool(desk, "POST", "/admin/tokens", {"project_id": of, "duration_hours": 1, **wanted})
    assert status == 201
    document: dict[str, Any] = told
    return document


def test_a_tool_lists_makes_and_deletes_projects(desk: Desk) -> None:
    first, second = project(desk), project(desk, name="other")
    _, told = tool(desk, "GET", "/admin/projects")
    assert {one["id"] for one in told["data"]} == {first, second}
    assert KEY not in json.dumps(told)
    assert tool(desk, "DELETE", "/admin/projects", {"id": first}) == (204, None)
    assert tool(desk, "DELETE", f"/admin/projects/{second}") == (204, None)
    assert tool(desk, "GET", "/admin/projects")[1]["data"] == []


def test_a_tool_lists_and_revokes_tokens(desk: Desk) -> None:
    made = [token(desk, project(desk)) for _ in range(3)]
    assert tool(desk, "DELETE", "/admin/tokens", {"id": made[0]["id"]}) == (204, None)
    assert tool(desk, "DELETE", "/admin/tokens", {"token": made[1]["token"]}) == (204, None)
    _, told = tool(desk, "GET", "/admin/tokens")
    assert {one["id"]: one["state"] for one in told["data"]} == {
        made[0]["id"]: "revoked",
        made[1]["id"]: "revoked",
        made[2]["id"]: "active",
    }
    assert made[2]["token"] not in json.dumps(told)


def test_a_token_is_made_for_the_project_that_is_shown_or_chosen_and_for_no_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projects, "MOST_PROJECTS", 1)
    old, _ = (json.loads(desk.ask("POST", "/manage/projects", MANAGE, b'{"name": "p"}').body)["id"] for _ in range(2))
    desk.log_in()
    form = desk.get(f"/admin/tokens?project_id={old}").body.decode().partition('id="new"')[2]
    assert f'<option value="{old}" selected>' in form
    for path in ("/admin/tokens", "/admin/tokens?project_id=nothing"):
        form = desk.get(path).body.decode().partition('id="new"')[2]
        assert '<option value=""></option>' in form
        assert " selected>" not in form.partition("</select>")[0]


def test_every_change_is_in_the_audit_with_who_from_where_and_by_which_request(desk: Desk) -> None:
    desk.log_in()
    desk.clock.advance(1)
    fields = {"X-Request-Id": "mine", "X-Forwarded-For": "10.1.2.3"}
    answer = desk.post("/admin/projects", fields, csrf=desk.csrf(), name="team", do="create")
    assert answer.headers[b"x-request-id"] == b"mine"
    entry = desk.audit()[0]
    names = ("actor", "action", "outcome", "request_id", "address")
    assert [entry[name] for name in names] == ["admin ann", "project.create", "done", "mine", "10.1.2.3"]


def test_a_change_that_is_refused_is_in_the_audit(desk: Desk) -> None:
    desk.log_in()
    assert desk.submit("/admin/projects", name="x", do="create", **{"max_cost": "much"}).status == 400
    desk.clock.advance(1)
    answer = desk.post("/admin/tokens/nothing", csrf=desk.csrf(), do="revoke")
    assert answer.status == 404
    entry = desk.audit()[0]
    assert (entry["outcome"], entry["request_id"].encode()) == ("token_not_found", answer.headers[b"x-request-id"])


def test_a_key_is_never_shown_again(desk: Desk) -> None:
    desk.log_in()
    answer = desk.submit("/admin/projects", name="", do="create", **{"key:up": KEY})
    assert answer.status == 400
    assert KEY.encode() not in answer.body
    id = project(desk)
    assert KEY.encode() not in desk.get(f"/admin/projects/{id}").body


def test_a_project_is_deleted_by_its_name_only(desk: Desk) -> None:
    desk.log_in()
    path = f"/admin/projects/{project(desk)}"
    assert desk.submit(path, do="delete", confirm="something").status == 400
    assert desk.submit(path, do="delete", confirm="team").headers[b"location"] == b"/admin/projects"
    assert desk.get(path).status == 404


def test_a_project_and_a_token_lead_to_their_requests_in_the_log(desk: Desk) -> None:
    desk.log_in()
    id = project(desk)
    made = token(desk, id)
    assert f'href="/logs?q=project:{id}"' in desk.get(f"/admin/projects/{id}").body.decode()
    shown = made["masked"].removesuffix("***")
    assert f'href="/logs?q=identity:{shown}"' in desk.get(f"/admin/tokens/{made['id']}").body.decode()


def test_a_form_keeps_what_it_does_not_show(desk: Desk) -> None:
    desk.log_in()
    wither = {"curve": "linear", "floor": 0.5}
    made = token(desk, project(desk), limits={"concurrency": 3, "wither": wither}, metadata={"team": "blue"})
    desk.submit(f"/admin/tokens/{made['id']}", do="change", name="new", concurrency="5")
    _, told = tool(desk, "GET", f"/admin/tokens/{made['id']}")
    assert (told["name"], told["metadata"]) == ("new", {"team": "blue"})
    assert told["limits"] == {"concurrency": 5, "wither": wither}


def test_the_models_of_a_project_are_typed_shown_and_cleared(desk: Desk) -> None:
    desk.log_in()
    path = f"/admin/projects/{project(desk)}"
    for typed, kept in (("gpt-*, local", ["gpt-*", "local"]), ("", [])):
        desk.submit(path, do="change", name="team", concurrency="", models=typed)
        _, told = tool(desk, "GET", path)
        assert told["limits"].get("models", []) == kept
        assert f'name="models" value="{" ".join(kept)}"' in desk.get(path).body.decode()


def test_metadata_are_typed_as_lines_and_shown_as_they_were(desk: Desk) -> None:
    desk.log_in()
    of = project(desk)
    typed = {"project_id": of, "duration_hours": "1", "do": "create"}
    assert desk.submit("/admin/tokens", **typed, metadata="Team: blue\r\n env : a: b ").status == 200
    (made,) = tool(desk, "GET", f"/admin/tokens?project_id={of}")[1]["data"]
    assert made["metadata"] == {"Team": "blue", "env": "a: b"}
    assert ">Team: blue\nenv: a: b</textarea>" in desk.get(f"/admin/tokens/{made['id']}").body.decode()
    for wrong in ("no colon", "no name here!: x", ": x"):
        answer = desk.submit("/admin/tokens", **typed, metadata=wrong)
        assert (answer.status, f">{wrong}</textarea>" in answer.body.decode()) == (400, True)
    desk.submit(f"/admin/tokens/{made['id']}", do="change", metadata="")
    assert tool(desk, "GET", f"/admin/tokens/{made['id']}")[1]["metadata"] == {}


def test_a_refreshed_token_is_shown_once(desk: Desk) -> None:
    desk.log_in()
    made = token(desk, project(desk))
    path = f"/admin/tokens/{made['id']}"
    assert desk.submit(path, do="refresh", duration_hours="never").status == 400
    shown = desk.submit(path, do="refresh", duration_hours="2").body.decode()
    assert "data-token>nr-" in shown
    assert made["masked"] not in desk.get(path).body.decode()
    assert "token.refresh" in [entry["action"] for entry in desk.audit()]
    desk.submit(path, do="revoke")
    assert desk.submit(path, do="refresh").status == 403


def test_tools_refresh_and_revoke_several(desk: Desk) -> None:
    of = project(desk)
    made = [token(desk, of) for _ in range(3)]
    status, told = tool(desk, "POST", f"/admin/tokens/{made[0]['id']}/refresh", {"duration_minutes": 5})
    assert (status, told["token"] == made[0]["token"]) == (200, False)
    ids = [one["id"] for one in made[:2]]
    assert tool(desk, "POST", "/admin/tokens/revoke", {"ids": ids}) == (200, {"revoked": 2})
    wrongs: tuple[dict[str, object], ...] = ({}, {"ids": []}, {"ids": "all"})
    for wrong in wrongs:
        assert tool(desk, "POST", "/admin/tokens/revoke", wrong)[1]["error"]["param"] == "ids"


def test_long_lists_have_pages(desk: Desk) -> None:
    of = project(desk)
    for _ in range(101):
        token(desk, of)
    desk.log_in()
    first = desk.get(f"/admin/tokens?project_id={of}").body.decode()
    older = first.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
    assert first.count("<tr data-id") == 100
    assert desk.get(older).body.decode().count("<tr data-id") == 1


@pytest.mark.parametrize("path", ["/admin/projects", "/admin/tokens", "/admin/audit"])
def test_where_there_are_no_projects_the_page_says_what_to_set(place: Path, path: str) -> None:
    desk = Desk(place, managed=False)
    desk.log_in()
    answer = desk.get(path)
    assert answer.status == 404
    assert b"access.mode" in answer.body
    for other in ("/admin/", "/admin/usage", "/admin/health", "/admin/configuration"):
        assert desk.get(other).status == 200
    desk.close()


@pytest.mark.parametrize("path", ["/admin/projects", "/admin/tokens", "/admin/audit"])
def test_a_database_that_is_away_is_told_of(desk: Desk, path: str) -> None:
    desk.log_in()
    desk.front.desk.broken = True
    assert desk.get(path).status == 503
    assert desk.post("/admin/projects", csrf=csrf_of(desk), name="team", do="create").status == 503
    desk.front.desk.broken = False


def csrf_of(desk: Desk) -> str:
    return desk.csrf("/admin/health")


def test_bars_tell_what_is_used_of_each_limit() -> None:
    document = {
        "limits": {"requests_per_minute": 10, "tokens_per_day": 500, "max_cost": 2.0},
        "usage": {"tokens": 40, "cost": 0.5},
        "max_requests": 8,
        "request_count": 2,
    }
    told = bars.of_token(document, [7, 0, 0, 0, 0], per_hour=100)
    assert [(bar.label, bar.used, bar.limit) for bar in told] == [
        ("Requests in all", 2, 8),
        ("Requests a minute", 7, 10),
        ("Requests an hour", 0, 100),
        ("Tokens a day", 0, 500),
        ("US dollars in all", 0.5, 2.0),
    ]
    assert [bar.share for bar in told] == [0.25, 0.7, 0.0, 0.0, 0.25]


def test_what_is_counted_elsewhere_has_no_bar() -> None:
    document = {"limits": {"concurrency": 3, "requests_per_day": 9}, "usage": {"tokens": 0, "cost": 0.0}}
    assert [bar.used for bar in bars.of_project(document, None)] == [None, None]


def test_usage_is_told_for_each_token_and_model() -> None:
    records = [record(1), record(2, token="other"), record(3, token="other", model="m", upstream_model="m", status=500)]
    tokens = usage.of_tokens(records, SPANS["1h"], NOW_S)
    assert [(one.title, one.figure) for one in tokens] == [
        ("other", "2 requests, 74 tokens"),
        ("sk-abc…", "1 requests, 37 tokens"),
    ]
    assert tokens[0].shapes[1].d
    assert [one.title for one in usage.of_models(records, SPANS["1h"], NOW_S)] == ["gpt-4o", "m"]


def test_the_configuration_is_shown_without_its_secrets() -> None:
    settings = Settings(store="postgresql://ann:canary@host/db", shared="redis://:canary@host:6379/0")
    given = ProviderSettings(base_url="https://up.example/v1", api_key=Secret("canary"))
    keyed = ProviderSettings(base_url="https://up.example/v1?version=2&key=a-canary")
    shown = {"daemon": settings, "provider": given, "keyed": keyed, "headers": {"X-Api-Key": "canary"}}
    text = configuration.text(shown)
    assert "canary" not in text
    assert "postgresql://***@host/db" in text
    assert "base_url: https://up.example/v1\n" in text
    assert "base_url: https://up.example/v1?version=2&key=***\n" in text
    assert msgspec.yaml.decode(text)["provider"]["api_key"] == "***"
