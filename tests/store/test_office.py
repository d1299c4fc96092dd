"""The management operations, on both databases."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from sqlalchemy import select

from netrunner.errors import BadRequest, ExchangeError, Forbidden, NotFound
from netrunner.projects.office import Actor, Office
from netrunner.projects.terms import Terms
from netrunner.projects.tokens import Mint
from netrunner.projects.wanted import (
    ChosenTokens,
    NamedToken,
    NewProject,
    NewToken,
    ProjectChange,
    Refreshment,
    TokenChange,
)
from netrunner.store import projects, tokens
from netrunner.store.audit import Filters
from netrunner.store.database import Database
from netrunner.store.sealing import Keyring, MasterKey
from netrunner.store.tables import metadata
from netrunner.store.tokens import Used

pytestmark = pytest.mark.integration

ANN = Actor("ann", "request-1", "10.0.0.1")
KEY = "sk-canary-0123456789-0123456789"
KEYRING = Keyring([MasterKey(b"m" * 32)], secrets.token_bytes)
NOBODY = "01a216e8-0000-7000-8000-000000000000"


class Bench:
    """Operations, each in a transaction of its own, at a time that a test sets."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = 1_750_000_000.0
        self.mint = Mint(b"p" * 32)
        self.office = Office(KEYRING, self.mint, ("up", "other"), lambda: self.now, secrets.token_bytes)

    def do(self, operation: Any, *args: Any) -> Any:
        """Return what an operation tells; a moment passes."""
        self.now += 1.0
        return self.database.write(lambda connection: operation(self.office, connection, ANN, *args)).told

    def look(self, operation: Any, *args: Any) -> Any:
        """Return what is there."""
        return self.database.read(lambda connection: operation(self.office, connection, *args))

    def project(self, **wanted: Any) -> str:
        """Make a project; return its id."""
        return str(self.do(Office.create_project, NewProject(**{"name": "team", **wanted}))["id"])

    def token(self, project: str, **wanted: Any) -> dict[str, Any]:
        """Issue a token for an hour."""
        told: dict[str, Any] = self.do(Office.issue, NewToken(**{"project_id": project, "duration_hours": 1, **wanted}))
        return told

    def audit(self, **filters: Any) -> list[tuple[str, str]]:
        """Return action and outcome of what is in the audit, newest first."""
        return [(one.action, one.outcome) for one in self.look(Office.audit, Filters(**filters), 100)]


@pytest.fixture
def bench(database: Database) -> Bench:
    return Bench(database)


def test_a_project_shows_its_keys_masked_and_keeps_them_sealed(bench: Bench) -> None:
    id = bench.project(keys={"up": [KEY, f"{KEY}-two"], "other": "short"})
    shown = bench.look(Office.project, id)
    assert shown["keys"] == {"up": ["sk-***6789", "sk-***-two"], "other": ["***"]}
    rows = bench.database.read(projects.keys_of, [id])
    assert [KEYRING.open(row.sealed, row.sealed_by or "", row.id).decode() for row in rows if row.provider == "up"] == [
        KEY,
        f"{KEY}-two",
    ]


def test_no_secret_stands_in_the_database_as_it_is(bench: Bench) -> None:
    token = bench.token(bench.project(keys={"up": KEY}))["token"]
    dump = bench.database.read(
        lambda connection: repr([connection.execute(select(table)).all() for table in metadata.sorted_tables])
    )
    assert "canary" not in dump
    assert token not in dump
    assert token[9:] not in dump


def test_one_key_without_a_provider_needs_one_provider(bench: Bench) -> None:
    with pytest.raises(BadRequest, match="up, other"):
        bench.project(api_key=KEY)
    bench.office = Office(KEYRING, bench.mint, ("up",), lambda: bench.now, secrets.token_bytes)
    assert bench.look(Office.project, bench.project(api_key=KEY))["api_key"] == "sk-***6789"


@pytest.mark.parametrize("keys", [{"nobody": KEY}, {"up": "line\nbreak"}, {"up": "ключ"}, {"up": " "}])
def test_a_key_that_cannot_be_used_is_refused_without_quoting_it(bench: Bench, keys: dict[str, str]) -> None:
    with pytest.raises(BadRequest) as raised:
        bench.project(keys=keys)
    assert raised.value.param == "keys"
    assert not any(key in str(raised.value) for key in keys.values() if key.strip())


def test_keys_of_one_provider_are_replaced_and_those_of_others_stay(bench: Bench) -> None:
    id = bench.project(keys={"up": KEY, "other": "short"})
    bench.do(Office.change_project, id, ProjectChange(keys={"up": f"{KEY}-new"}))
    assert bench.look(Office.project, id)["keys"] == {"other": ["***"], "up": ["sk-***-new"]}
    bench.do(Office.change_project, id, ProjectChange(keys={"up": []}))
    assert bench.look(Office.project, id)["keys"] == {"other": ["***"]}


def test_a_token_is_told_once(bench: Bench) -> None:
    told = bench.token(bench.project(), max_requests=5, name="ci", metadata={"Team": "a"})
    shown = bench.look(Office.token, told["id"])
    assert told["token"].startswith("nr-")
    assert shown["token"] == f"{told['token'][:9]}***"
    assert {name: shown[name] for name in ("name", "max_requests", "metadata", "state")} == {
        "name": "ci",
        "max_requests": 5,
        "metadata": {"Team": "a"},
        "state": "active",
    }
    assert (shown["created_at"], shown["expires_at"]) == ("2025-06-15T15:06:42.000Z", "2025-06-15T16:06:42.000Z")


def test_no_token_is_issued_for_a_project_that_is_not_there_or_not_active(bench: Bench) -> None:
    with pytest.raises(NotFound) as missing:
        bench.token(NOBODY)
    with pytest.raises(Forbidden) as inactive:
        bench.token(bench.project(is_active=False))
    assert (missing.value.code, inactive.value.code) == ("project_not_found", "project_inactive")


def test_a_token_is_revoked_by_itself_or_by_its_id(bench: Bench) -> None:
    project = bench.project()
    one, other = bench.token(project), bench.token(project)
    bench.do(Office.revoke_named, NamedToken(one["token"]))
    bench.do(Office.revoke, other["id"])
    bench.do(Office.revoke, other["id"])
    assert [row["state"] for row in bench.look(Office.tokens, 10, None, project, None)] == ["revoked", "revoked"]
    with pytest.raises(NotFound):
        bench.do(Office.revoke_named, NamedToken("nr-nobody"))


def test_all_tokens_of_a_project_are_revoked_and_counted(bench: Bench) -> None:
    project, other = bench.project(), bench.project()
    ids = [bench.token(project)["id"] for _ in range(3)]
    kept = bench.token(other)["id"]
    bench.do(Office.revoke, ids[0])
    assert bench.do(Office.revoke_all, project) == 2
    assert bench.look(Office.token, kept)["state"] == "active"
    told = bench.do(Office.change_project, other, ProjectChange(is_active=False, revoke_tokens=True))
    assert (told["revoked"], told["tokens"]["active"]) == (1, 0)


def test_several_tokens_are_revoked_together_or_not_at_all(bench: Bench) -> None:
    project, other = bench.project(), bench.project()
    ids = [bench.token(project)["id"], bench.token(project)["id"], bench.token(other)["id"]]
    with pytest.raises(NotFound):
        bench.do(Office.revoke_several, ChosenTokens([*ids, NOBODY]))
    assert [bench.look(Office.token, id)["state"] for id in ids] == ["active"] * 3
    bench.do(Office.revoke, ids[0])
    assert bench.do(Office.revoke_several, ChosenTokens([*ids, ids[1]])) == 2
    assert [bench.look(Office.token, id)["state"] for id in ids] == ["revoked"] * 3
    assert bench.audit(token=ids[2]) == [("token.revoke", "done"), ("token.create", "done")]


def test_a_refreshed_token_is_another_one_with_what_is_left_for_a_new_life(bench: Bench) -> None:
    first = bench.token(bench.project(), max_requests=5, name="ci", metadata={"Team": "a"})
    bench.database.write(tokens.use, {first["id"]: Used(requests=2, tokens=30, cost=0.5)})
    bench.now += 3000.0
    second = bench.do(Office.refresh, first["id"], Refreshment())
    assert second["token"] != first["token"]
    same = ("id", "project_id", "name", "max_requests", "limits", "metadata")
    assert {name: second[name] for name in same} == {name: first[name] for name in same}
    assert (second["request_count"], second["usage"]) == (2, {"tokens": 30, "cost": 0.5})
    assert (second["created_at"], second["expires_at"]) == ("2025-06-15T15:56:43.000Z", "2025-06-15T16:56:43.000Z")
    assert bench.look(Office.token, first["id"])["token"] == second["masked"]
    third = bench.do(Office.refresh, first["id"], Refreshment(duration_minutes=5))
    assert (third["created_at"], third["expires_at"]) == ("2025-06-15T15:56:44.000Z", "2025-06-15T16:01:44.000Z")
    with pytest.raises(NotFound):
        bench.do(Office.revoke_named, NamedToken(first["token"]))
    entry = bench.look(Office.audit, Filters(action="token.refresh"), 1)[0]
    assert first["token"][9:] not in entry.details
    assert third["token"][9:] not in entry.details


def test_no_token_is_refreshed_that_was_revoked_or_whose_project_is_not_active(bench: Bench) -> None:
    project = bench.project()
    one, other = bench.token(project)["id"], bench.token(project)["id"]
    bench.do(Office.revoke, one)
    bench.do(Office.change_project, project, ProjectChange(is_active=False))
    for id, code in ((one, "token_inactive"), (other, "project_inactive")):
        with pytest.raises(Forbidden) as refused:
            bench.do(Office.refresh, id, Refreshment())
        assert refused.value.code == code


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        ({"duration_hours": 1, "duration_minutes": 1}, "duration_hours"),
        ({"duration_hours": 0}, "duration_hours"),
        ({"duration_minutes": 365 * 1440 + 1}, "duration_minutes"),
        ({"duration_minutes": float("nan")}, "duration_minutes"),
    ],
)
def test_a_token_is_not_refreshed_for_a_life_that_makes_no_sense(
    bench: Bench, wanted: dict[str, float], param: str
) -> None:
    id = bench.token(bench.project())["id"]
    with pytest.raises(BadRequest) as refused:
        bench.do(Office.refresh, id, Refreshment(**wanted))
    assert refused.value.param == param


def test_a_change_touches_only_what_it_names(bench: Bench) -> None:
    project = bench.project(limits=Terms(requests_per_hour=100))
    token = bench.token(project, name="ci", limits=Terms(requests_per_hour=50))
    bench.do(Office.change_token, token["id"], TokenChange(max_requests=7))
    shown = bench.look(Office.token, token["id"])
    assert (shown["name"], shown["max_requests"], shown["limits"]) == ("ci", 7, {"requests_per_hour": 50})
    bench.do(Office.change_token, token["id"], TokenChange(name=None, max_requests=0, is_active=False))
    shown = bench.look(Office.token, token["id"])
    assert (shown["name"], shown["max_requests"], shown["state"]) == (None, 0, "revoked")
    bench.do(Office.change_project, project, ProjectChange(name="crew"))
    assert bench.look(Office.project, project)["limits"] == {"requests_per_hour": 100}


def test_no_way_leads_to_a_token_that_may_more_than_its_project(bench: Bench) -> None:
    project = bench.project(limits=Terms(requests_per_hour=100))
    with pytest.raises(BadRequest):
        bench.token(project, limits=Terms(requests_per_hour=101))
    token = bench.token(project)
    with pytest.raises(BadRequest):
        bench.do(Office.change_token, token["id"], TokenChange(limits=Terms(requests_per_hour=101)))


def test_a_deleted_project_takes_its_keys_and_tokens_along(bench: Bench) -> None:
    project = bench.project(keys={"up": KEY})
    token = bench.token(project)
    bench.do(Office.delete_project, project)
    for operation, id in ((Office.project, project), (Office.token, token["id"])):
        with pytest.raises(NotFound):
            bench.look(operation, id)
    assert bench.database.read(projects.keys_of, [project]) == []


def test_lists_come_in_pages_newest_first(bench: Bench) -> None:
    ids = [bench.project(name=f"team {n}") for n in range(5)]
    first = [row["id"] for row in bench.look(Office.projects, 3, None, None)]
    rest = [row["id"] for row in bench.look(Office.projects, 3, first[-1], None)]
    assert first + rest == ids[::-1]
    assert [row["name"] for row in bench.look(Office.projects, 3, None, None, "TEAM 2")] == ["team 2"]
    assert bench.look(Office.projects, 3, None, False) == []


def test_lists_of_tokens_know_who_is_valid(bench: Bench) -> None:
    project = bench.project()
    short, long = bench.token(project, duration_hours=1), bench.token(project, duration_hours=2)
    bench.now += 3600.0
    assert [row["id"] for row in bench.look(Office.tokens, 9, None, project, True)] == [long["id"]]
    assert [row["id"] for row in bench.look(Office.tokens, 9, None, None, False)] == [short["id"]]
    assert bench.look(Office.project, project)["tokens"] == {"total": 2, "active": 1}
    assert [row["id"] for row in bench.look(Office.tokens, 9, None, None, None, long["masked"][:9])] == [long["id"]]


def test_every_change_is_in_the_audit_with_who_asked(bench: Bench) -> None:
    project = bench.project(keys={"up": KEY})
    token = bench.token(project)
    bench.do(Office.revoke, token["id"])
    bench.do(Office.delete_project, project)
    assert bench.audit() == [
        ("project.delete", "done"),
        ("token.revoke", "done"),
        ("token.create", "done"),
        ("project.create", "done"),
    ]
    entry = bench.look(Office.audit, Filters(action="token.create"), 1)[0]
    assert (entry.actor, entry.request_id, entry.address) == ("ann", "request-1", "10.0.0.1")
    assert (entry.project, entry.token) == (project, token["id"])


def test_the_audit_is_filtered(bench: Bench) -> None:
    project = bench.project()
    token = bench.token(project)["id"]
    bench.now += 10.0
    bench.do(Office.revoke_all, project)
    assert bench.audit(action="token") == [("token.create", "done")]
    assert bench.audit(token=token) == [("token.create", "done")]
    assert bench.audit(project=project, since_s=bench.now) == [("project.revoke_tokens", "done")]
    assert len(bench.audit(until_s=bench.now)) == 2
    assert bench.audit(actor="bob") == []


def test_what_is_refused_changes_nothing(bench: Bench) -> None:
    with pytest.raises(ExchangeError):
        bench.do(Office.change_project, NOBODY, ProjectChange(name="x"))
    assert bench.audit() == []
    bench.database.write(bench.office.refused, ANN, "project.change", NOBODY, "project_not_found")
    assert bench.audit(project=NOBODY) == [("project.change", "project_not_found")]


def test_a_cap_is_taken_in_parts_that_never_come_to_more(bench: Bench) -> None:
    id = bench.token(bench.project(), max_requests=100)["id"]
    parts = []
    while part := bench.database.write(tokens.take, id, 16)[0]:
        parts.append(part)
    assert sum(parts) == 100
    assert parts[0] == 6
    assert parts[-15:] == [1] * 15


def test_what_was_not_spent_can_be_taken_again(bench: Bench) -> None:
    id = bench.token(bench.project(), max_requests=1)["id"]
    assert bench.database.write(tokens.take, id, 16) == (1, 0)
    assert bench.database.write(tokens.take, id, 16) == (0, 0)
    bench.database.write(tokens.use, {id: Used(returned=1)})
    assert bench.database.write(tokens.take, id, 16) == (1, 0)


def test_uses_add_up(bench: Bench) -> None:
    id = bench.token(bench.project())["id"]
    bench.database.write(tokens.use, {id: Used(requests=2, last_at=20.0, tokens=7, cost=0.5)})
    bench.database.write(tokens.use, {id: Used(requests=1, last_at=10.0, tokens=1, cost=0.25)})
    row = bench.database.read(tokens.one, id)
    assert row is not None
    assert (row.request_count, row.last_used_at, row.tokens_used, row.cost_used) == (3, 20.0, 8, 0.75)


def test_expired_tokens_are_deleted_when_their_time_has_come(bench: Bench) -> None:
    project = bench.project()
    old, young = bench.token(project)["id"], bench.token(project, duration_hours=2)["id"]
    assert bench.database.write(tokens.clean, bench.now + 5400.0) == 1
    assert bench.database.read(tokens.one, old) is None
    assert bench.database.read(tokens.one, young) is not None
