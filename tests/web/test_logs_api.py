"""The log API: pages, one record, bytes, figures, and what is not understood."""

from __future__ import annotations

import json
import re

import pytest

from netrunner.ids import uuid7
from netrunner.web.logs import MAX_SHOWN_BYTES
from tests.journal.conftest import make_record
from tests.support.office import Office
from tests.support.stage import DONE, EVENT, SSE, error_of, request

HOSTILE = "</script><script>alert(1)</script>\u2028\"'\\\r\n\x00\x1b[31m"


@pytest.fixture
def office() -> Office:
    return Office()


def links(headers: dict[str, str]) -> dict[str, str]:
    """Return where the links of an answer lead, by their relation."""
    return {relation: path for path, relation in re.findall('<([^>]*)>; rel="([a-z]*)"', headers.get("link", ""))}


def test_logs_are_told_newest_first_with_every_field_that_is_promised(office: Office) -> None:
    for number in (1, 2, 3):
        office.record(number)
    rows = office.json("/api/logs")
    assert [row["id"][-1] for row in rows] == ["3", "2", "1"]
    promised = (
        "id timestamp source_ip method path service_type original_model mapped_model duration_ms request_size"
        " response_size status_code error_message completed_at is_inflight"
    )
    assert set(promised.split()) <= set(rows[0])
    assert rows[0]["timestamp"] == "2025-06-15T15:06:43.000Z"
    assert (rows[0]["duration_ms"], rows[0]["status_code"], rows[0]["is_inflight"]) == (500.0, 200, False)


def test_pages_follow_each_other_by_their_link(office: Office) -> None:
    for number in range(1, 8):
        office.record(number)
    path, seen = "/api/logs?limit=3&service_type=openai", []
    while path:
        _, headers, body = office.ask(path)
        seen.append([row["id"][-1] for row in json.loads(body)])
        path = links(headers).get("next", "")
        assert not path or "service_type=openai" in path
    assert seen == [list("765"), list("432"), list("1")]


def test_pages_lead_back_by_their_link_and_to_what_came_since(office: Office) -> None:
    for number in range(1, 8):
        office.record(number)
    _, headers, _ = office.ask("/api/logs?limit=2")
    assert "prev" not in links(headers)
    _, headers, _ = office.ask(links(headers)["next"])
    _, headers, _ = office.ask(links(headers)["next"])
    office.record(8)
    path, seen = links(headers)["prev"], []
    while path:
        _, headers, body = office.ask(path)
        seen.append([row["id"][-1] for row in json.loads(body)])
        assert "next" in links(headers)
        path = links(headers).get("prev", "")
    assert seen == [list("54"), list("76"), list("8")]


def test_a_page_that_ends_before_it_is_full_says_so_and_leads_on(office: Office) -> None:
    for number in range(1, 31):
        office.record(number, model="rare" if number in (2, 11) else "m")
    office.shelf.most = 10
    path, seen = "/api/logs?limit=5&model=rare", []
    while path:
        _, headers, body = office.ask(path)
        seen.append(([int(row["id"][-12:], 16) for row in json.loads(body)], "netrunner-searched" in headers))
        last = headers.get("netrunner-searched"), path
        path = links(headers).get("next", "")
    assert seen == [([], True), ([11], True), ([2], False)]
    assert last == (None, f"/api/logs?limit=5&model=rare&before={make_record(11).id}")


def test_pages_lead_back_over_what_was_searched_in_vain(office: Office) -> None:
    for number in range(1, 31):
        office.record(number, model="rare" if number in (2, 28) else "m")
    office.shelf.most = 10
    path, seen = f"/api/logs?model=rare&before={make_record(3).id}", []
    while path:
        _, headers, body = office.ask(path)
        seen.append(([int(row["id"][-12:], 16) for row in json.loads(body)], headers.get("netrunner-searched")))
        path = links(headers).get("prev", "")
    at = "2024-12-07T15:16:57.472Z"
    assert seen == [([2], None), ([], at), ([], at), ([28], None)]
    _, headers, _ = office.ask(links(headers)["next"])
    assert "next" in links(headers)


def test_an_envelope_tells_what_the_fields_do(office: Office) -> None:
    for number in range(1, 31):
        office.record(number, model="rare" if number in (2, 11) else "m")
    office.shelf.most = 10
    path, seen = "/api/logs?limit=5&envelope=true&model=rare", []
    while path:
        _, headers, body = office.ask(path)
        told = json.loads(body)
        meta = told["meta"]
        assert {name: meta[name] for name in ("next", "prev") if meta[name] is not None} == links(headers)
        assert meta["searched"] == headers.get("netrunner-searched")
        assert (meta["count"], meta["limit"]) == (len(told["data"]), 5)
        seen.append(([int(row["id"][-12:], 16) for row in told["data"]], meta["searched"] is not None))
        path = meta["next"]
    assert seen == [([], True), ([11], True), ([2], False)]
    assert office.json("/api/logs?limit=1&envelope=false") == office.json("/api/logs?limit=1")


def test_what_is_in_progress_waits_for_the_page_of_its_time(office: Office) -> None:
    office.stage.ask()
    begun = office.json("/api/logs")[0]["id"]
    later = [uuid7(office.clock.wall() + number, lambda _: 0) for number in range(1, 16)]
    for number, id in enumerate(later):
        office.record(number, id=id, dialect="anthropic")
    office.shelf.most = 10
    _, headers, body = office.ask("/api/logs?service_type=openai")
    assert json.loads(body) == []
    assert [row["id"] for row in office.json(links(headers)["next"])] == [begun]


def test_what_is_newer_than_an_exchange_is_told_with_what_is_in_progress(office: Office) -> None:
    ids = [office.record(number).id for number in (1, 2)]
    office.stage.ask()
    rows = office.json(f"/api/logs?after={ids[0]}")
    assert [row["is_inflight"] for row in rows] == [True, False]
    assert [row["id"] for row in office.json(f"/api/logs?limit=1&after={ids[0]}")] == [ids[1]]


def test_what_is_in_progress_stands_on_top_of_the_first_page(office: Office) -> None:
    office.record(1)
    office.stage.ask()
    rows = office.json("/api/logs")
    assert [row["is_inflight"] for row in rows] == [True, False]
    assert (rows[0]["status_code"], rows[0]["outcome"], rows[0]["mapped_model"]) == (None, None, "m")
    assert [row["is_inflight"] for row in office.json("/api/logs?service_type=ollama")] == []
    [one] = office.json("/api/inflight")
    told = "id timestamp source_ip method path service_type original_model mapped_model elapsed_ms"
    assert list(one) == told.split()


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("q=llama", "2"), ("q=model:gpt+host:10.", "1"), ("model=gpt-4o", "1"), ("failed=true", "2"),
        ("failed=false", "1"), ("outcome=refused", "2"), ("since=1750000002", "2"), ("until=1750000002", "1"),
        ("since=2025-06-15T15:06:42Z", "2"), ("since=2025-06-15T17:06:42%2B02:00", "2"), ("service_type=nobody", ""),
    ],
)  # fmt: skip
def test_filters_are_applied(office: Office, query: str, numbers: str) -> None:
    office.record(1, model="gpt-4o", source="10.1.2.3")
    office.record(2, model="llama3", status=401, outcome="refused")
    assert "".join(row["id"][-1] for row in office.json(f"/api/logs?{query}")) == numbers


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("colour=red", "colour"), ("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"),
        ("limit=1&limit=2", "limit"), ("q=colour:red", "q"), ("q=%22", "q"), ("failed=maybe", "failed"),
        ("outcome=fine", "outcome"), ("since=yesterday", "since"), ("since=2025-06-15T15:06:42", "since"),
        ("before=1", "before"), ("q=%ff", "q"), ("limit=%D9%A1", "limit"), ("q=status:many", "q"),
        ("q=status:6000", "q"),
    ],
)  # fmt: skip
def test_what_is_no_filter_is_named(office: Office, query: str, field: str) -> None:
    status, _, body = office.ask(f"/api/logs?{query}")
    error = error_of(body)
    assert (status, error["code"], error["param"]) == (400, "invalid_filter", field)


def test_a_record_is_told_with_both_messages(office: Office) -> None:
    record = office.record(1, b'{"a":1}', b"\xff\xfe")
    told = office.json(f"/api/logs/{record.id}")
    assert told["record"]["request_id"] == "r1"
    assert told["request"] | {"headers": []} == {
        "bytes": 7, "complete": True, "expired": False, "start": "POST /x HTTP/1.1", "headers": [], "shown": 7,
        "text": '{"a":1}',
    }  # fmt: skip
    assert told["response"]["base64"] == "//4="


def test_a_long_body_is_told_in_part_and_to_be_had_whole(office: Office) -> None:
    body = "ä".encode() * MAX_SHOWN_BYTES
    record = office.record(1, None, body)
    told = office.json(f"/api/logs/{record.id}")
    assert (told["request"], told["response"]["bytes"], told["response"]["shown"]) == (
        None, len(body), MAX_SHOWN_BYTES,
    )  # fmt: skip
    assert told["response"]["text"] == "ä" * (MAX_SHOWN_BYTES // 2)
    status, headers, raw = office.ask(f"/api/logs/{record.id}/response")
    assert (status, raw) == (200, body)
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"] == f'attachment; filename="{record.id}-response.bin"'
    assert headers["x-content-type-options"] == "nosniff"


def test_a_client_that_does_not_read_is_sent_no_more(office: Office) -> None:
    record = office.record(1, None, b"x" * 1_000_000)
    client = office.client().say(request(f"/api/logs/{record.id}/response", method="GET"))
    client.channel.pauseProducing()
    assert len(client.heard()) < 100_000
    client.pass_time(1)
    assert client.heard() == b""
    client.channel.resumeProducing()
    office.clock.pump([0] * 50)
    assert len(client.heard()) > 800_000


def test_expired_and_unrecorded_bodies_say_so(office: Office) -> None:
    record = office.record(1, b"x")
    office.bodies.bodies.clear()
    assert office.json(f"/api/logs/{record.id}")["request"]["expired"] is True
    assert office.ask(f"/api/logs/{record.id}/request")[0] == 410
    assert office.ask(f"/api/logs/{record.id}/response")[0] == 404


@pytest.mark.parametrize(
    "path",
    ["/api/logs/1", f"/api/logs/{make_record(9).id}", "/api/nothing", "/api", "/api/stats/x",
     f"/api/logs/{make_record(1).id}/other", f"/api/logs/{make_record(1).id}/request/x"],
)  # fmt: skip
def test_what_is_not_there_is_a_clean_404(office: Office, path: str) -> None:
    office.record(1)
    status, _, body = office.ask(path)
    assert status == 404
    assert error_of(body)["code"] in ("not_found",)


def test_figures_are_told(office: Office) -> None:
    office.record(1)
    office.stage.ask()
    assert office.json("/api/stats") == {
        "total_requests": 1, "openai_requests": 1, "ollama_requests": 0, "recent_requests": 1, "inflight_requests": 1,
        "by_service_type": {"openai": 1},
    }  # fmt: skip
    office.clock.advance(0)
    told = office.json("/api/performance?hours=8000&limit=5")
    assert told["meta"] == {"count": 1, "limit": 5, "hours": 8000}
    assert told["data_points"][0]["estimated"] is True


def test_a_database_that_is_away_is_a_503(office: Office) -> None:
    office.shelf.broken = True
    status, headers, body = office.ask("/api/logs")
    assert (status, headers["retry-after"], error_of(body)["code"]) == (503, "5", "store_unavailable")


def test_hostile_values_are_nothing_but_json_strings(office: Office) -> None:
    record = office.record(
        1, HOSTILE.encode(), HOSTILE.encode(), model=HOSTILE, path=HOSTILE, source=HOSTILE, error=HOSTILE, token=HOSTILE
    )
    for path in ("/api/logs", f"/api/logs/{record.id}", "/api/performance?hours=8000"):
        status, headers, body = office.ask(path)
        assert (status, headers["x-content-type-options"]) == (200, "nosniff")
        json.loads(body)
        assert b"\n" not in body
    assert office.json("/api/logs")[0]["original_model"] == HOSTILE


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ((), 403), (("X-Requested-With: netrunner",), 200), (("X-Requested-With: x", "Origin: http://localhost"), 200),
        (("X-Requested-With: x", "Origin: http://127.0.0.1"), 403),
        (("X-Requested-With: x", "Origin: http://localhost:81"), 403),
    ],
)  # fmt: skip
def test_an_exchange_is_ended_by_whoever_is_no_foreign_page(
    office: Office, fields: tuple[str, ...], status: int
) -> None:
    client = office.stage.ask()
    [id] = office.live.inflight
    assert office.ask(f"/api/inflight/{id}/end", *fields, method="POST")[0] == status
    assert (id in office.live.inflight) is (status != 200)
    if status == 200:
        assert b"ended by an operator" in client.heard()
        assert office.stage.records[0].outcome == "cancelled"


def test_only_what_is_in_progress_can_be_ended(office: Office) -> None:
    path = f"/api/inflight/{make_record(1).id}/end"
    assert office.ask(path, "X-Requested-With: x", method="POST")[0] == 404
    assert office.ask("/api/inflight", "X-Requested-With: x", method="POST")[0] == 405
    assert office.ask("/api/logs", "X-Requested-With: x", method="POST")[0] == 405


def test_a_page_holds_no_more_than_was_asked_for_and_all_pages_hold_everything_once(office: Office) -> None:
    for number in range(1, 4):
        office.record(number)
    for _ in range(3):
        office.stage.ask()
    path, pages = "/api/logs?limit=2", []
    while path:
        _, headers, body = office.ask(path)
        pages.append([row["id"] for row in json.loads(body)])
        path = headers.get("link", "").partition(">")[0][1:]
    seen = [id for page in pages for id in page]
    assert max(len(page) for page in pages) == 2
    assert seen == sorted(seen, reverse=True)
    assert set(seen) == {record.id for record in office.shelf.records} | set(office.live.inflight)
    assert len(seen) == 6


@pytest.mark.parametrize(
    "query", ["outcome=interrupted", "failed=false", "failed=true", "q=status:0", "q=outcome:inter", "q=interrupted"]
)
def test_what_is_in_progress_has_no_end_to_be_found_by(office: Office, query: str) -> None:
    office.stage.ask()
    assert office.json("/api/logs?q=model:m") != []
    assert office.json(f"/api/logs?{query}") == []


def test_one_in_progress_is_told_without_an_end(office: Office) -> None:
    office.stage.ask()
    [id] = office.live.inflight
    told = office.json(f"/api/logs/{id}")
    ends = ("outcome", "status", "duration_s")
    assert [told["record"][name] for name in ends] == [None, None, None]
    assert (told["record"]["id"], told["outcome"], told["is_inflight"]) == (id, None, True)
    assert (told["request"], told["response"]) == (None, None)


def test_the_body_of_one_in_progress_is_not_recorded_yet(office: Office) -> None:
    office.stage.ask()
    [id] = office.live.inflight
    status, _, body = office.ask(f"/api/logs/{id}/response")
    assert (status, error_of(body)["code"]) == (404, "not_recorded")
    assert "in progress" in error_of(body)["message"]


def test_one_that_has_just_ended_is_found_before_the_log_knows_it(office: Office) -> None:
    office.record(1)
    office.stage.ask()
    office.stage.call.head(200, SSE).body(EVENT + DONE, last=True)
    [ended] = office.stage.records
    assert office.json(f"/api/logs/{ended.id}")["record"]["outcome"] == "done"
    assert [row["id"] for row in office.json("/api/logs?limit=1")] == [ended.id]
    assert [row["id"] for row in office.json("/api/logs?outcome=refused")] == []
    office.shelf.records.append(ended)
    assert len(office.json("/api/logs")) == 2


def test_head_of_a_body_tells_its_length(office: Office) -> None:
    record = office.record(1, None, b"x" * 100_000)
    status, headers, body = office.ask(f"/api/logs/{record.id}/response", method="HEAD")
    assert (status, headers["content-length"], body) == (200, "100000", b"")
    assert "transfer-encoding" not in headers
