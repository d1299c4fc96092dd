"""Which page says what."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from netrunner.dialects.interfaces import IDialect
from netrunner.dialects.spoken import SPOKEN
from netrunner.ids import made_at
from netrunner.interfaces import ICopies, ILogs
from netrunner.query import Found, Query, parse
from netrunner.settings import Secret
from netrunner.testing.fakes import FakeClock
from netrunner.times import stamp
from netrunner.values import Outcome, Record
from netrunner.web.dashboard import form
from netrunner.web.dashboard.look import Look
from netrunner.web.gate import Gate
from tests.support.client import Client
from tests.support.dashboard import NOW_S, STREAM, Stage, record
from tests.support.shelf import Log
from tests.support.stage import LOOPBACK, request

DAY_S = 86400


class SlowLog(Log):
    """A log whose past is read when ``read`` fires."""

    def __init__(self, records: Sequence[Record], read: Deferred[None]) -> None:
        super().__init__(records)
        self._read = read

    async def page(self, query: Query, limit: int) -> Found:
        """Answer at once, but for what was since some time."""
        if query.since_s is not None:
            await self._read
        return await super().page(query, limit)


def test_the_stand_ins_are_what_the_pages_are_given() -> None:
    stage = Stage()
    assert ILogs.providedBy(stage.log)
    assert ICopies.providedBy(stage.copies)


def test_the_first_page_counts_all_and_each_service() -> None:
    stage = Stage(record(1), record(2, dialect="ollama"), record(3, NOW_S - 2 * DAY_S), record(4, dialect="anthropic"))
    stage.begin(5)
    totals = json.loads(stage.get("/now?totals=1").body)
    assert totals["totals"] == {"all": 4, "openai": 2, "ollama": 1, "day": 3}
    assert totals["count_in_flight"] == 1
    page = stage.text("/")
    for total in ('data-total="all" data-value="4">4', 'data-total="day" data-value="3">3', 'data-total="flying">1'):
        assert total in page


def test_a_mapped_model_is_shown_with_its_old_name() -> None:
    page = Stage(record(1, model="gpt-3.5-turbo", upstream_model="llama3-8b")).text("/")
    assert '<span class="model" data-cell="model">llama3-8b</span>' in page
    assert 'was <span data-cell="old">gpt-3.5-turbo</span>' in page


def test_a_model_that_kept_its_name_has_no_old_one() -> None:
    assert '<span class="was" data-cell="was">' not in Stage(record(1)).text("/")


@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        ({}, "good", "ok"),
        ({"status": 502, "error": "upstream_timeout", "outcome": "upstream_failed"}, "failed", "upstream_timeout"),
        ({"status": 499, "outcome": "client_gone"}, "left", "client gone"),
    ],
)
def test_an_end_is_told_by_a_word_as_well_as_by_colour(changes: dict[str, Any], state: str, words: str) -> None:
    page = Stage(record(1, **changes)).text("/logs")
    assert f'data-state="{state}" data-cell="mark">' in page
    assert f'<span data-cell="word">{words}</span>' in page


def test_a_short_time_is_told_in_the_list_as_well() -> None:
    assert "0.4 ms" in Stage(record(1, duration_s=0.0004)).text("/logs")


@pytest.mark.parametrize("path", ["/", "/logs", "/performance", "/clients"])
def test_an_empty_page_says_what_to_try(path: str) -> None:
    assert "curl -N http://localhost/v1/chat/completions" in Stage().text(path)


def test_the_first_page_is_there_without_a_log() -> None:
    stage = Stage()
    stage.log.broken = True
    begun = stage.begin(1)
    page = stage.text("/")
    assert "The log cannot be read at the moment" in page
    assert begun.id in page


@pytest.mark.parametrize("path", ["/logs", "/logs/x", "/performance", "/clients", "/now"])
def test_other_pages_say_that_the_log_cannot_be_read(path: str) -> None:
    stage = Stage()
    stage.log.broken = True
    answer = stage.get(path)
    assert answer.status == 503
    assert answer.headers[b"retry-after"] == b"5"
    assert b"The log cannot be read at the moment." in answer.body


def test_what_ended_a_moment_ago_is_there_before_the_log_has_it() -> None:
    stage = Stage()
    begun = stage.begin(1)
    begun.end(Outcome.DONE, 200)
    assert begun.id in stage.text("/")
    assert "Not written down yet" in stage.text(f"/logs/{begun.id}")


def test_the_log_is_paged_by_the_last_record() -> None:
    stage = Stage(*(record(number, NOW_S + number) for number in range(250)))
    ids = [one.id for one in reversed(stage.log.records)]
    first = stage.text("/logs?status=ok")
    assert first.count('<tr role="row" data-id=') == 100
    older = f"/logs?status=ok&amp;before={ids[99]}"
    assert f'rel="next" href="{older}"' in first
    second = stage.text(older.replace("&amp;", "&"))
    assert ids[100] in second
    assert ids[99] not in second.replace(f"before={ids[99]}", "")
    third = stage.text(f"/logs?before={ids[199]}")
    assert third.count('<tr role="row" data-id=') == 50
    assert 'rel="next"' not in third


def shown(page: str) -> list[str]:
    """Return the ids of the rows of a page."""
    return re.findall('<tr role="row" data-id="([^"]*)"', page)


def turned(stage: Stage, page: str, relation: str) -> str:
    """Return the page that a link of this one leads to."""
    [path] = re.findall(f'<a rel="{relation}" href="([^"]*)"', page)
    return stage.text(html.unescape(path))


def test_the_log_is_paged_in_both_directions() -> None:
    stage = Stage(*(record(number, NOW_S + number) for number in range(350)))
    ids = [one.id for one in reversed(stage.log.records)]
    page = stage.text("/logs?status=ok")
    assert 'rel="prev"' not in page
    for start in (100, 200, 300):
        page = turned(stage, page, "next")
        assert shown(page) == ids[start : start + 100]
    for start in (200, 100, 0):
        page = turned(stage, page, "prev")
        assert shown(page) == ids[start : start + 100]
    assert 'rel="prev"' not in page
    assert shown(turned(stage, page, "next")) == ids[100:200]


def test_the_page_before_holds_what_came_since_and_the_first_one_is_always_full() -> None:
    stage = Stage(*(record(number, NOW_S + number) for number in range(150)))
    second = turned(stage, stage.text("/logs"), "next")
    stage.log.records += [record(number, NOW_S + number) for number in range(150, 160)]
    ids = [one.id for one in reversed(stage.log.records)]
    assert shown(second) == ids[110:]
    newer = turned(stage, second, "prev")
    assert shown(newer) == ids[10:110]
    assert shown(turned(stage, newer, "prev")) == ids[:100]


def test_a_page_that_ends_before_it_is_full_says_how_far_was_searched_and_searches_on() -> None:
    stage = Stage(*(record(number, NOW_S + number, model="rare" if number == 4 else "m") for number in range(30)))
    stage.log.most = 10
    ids = [one.id for one in reversed(stage.log.records)]
    page = stage.text("/logs?q=model:rare")
    assert "Nothing was found so far." in page
    assert "Nothing matches" not in page
    assert f'<a rel="next" href="/logs?q=model%3Arare&amp;before={ids[9]}">Search on</a>' in page
    at = stamp(made_at(ids[9]))
    assert f'back to\n  <time datetime="{at}">{at[:10]} {at[11:19]}</time>' in page
    page = turned(stage, turned(stage, page, "next"), "next")
    assert shown(page) == [ids[25]]
    assert "Search on" not in page
    back = turned(stage, page, "prev")
    assert (shown(back), "Searched up to" in back) == ([], True)
    last = turned(stage, turned(stage, turned(stage, back, "prev"), "prev"), "next")
    assert "Nothing was found so far." in last


def test_what_ended_lately_waits_for_the_page_of_its_time() -> None:
    stage = Stage(*(record(number, NOW_S + number) for number in range(1, 30)))
    stage.log.most = 10
    late = record(0, NOW_S, model="rare")
    stage.lookout.recent.ended(late)
    page = stage.text("/logs?q=model:rare")
    assert shown(page) == []
    assert shown(turned(stage, turned(stage, page, "next"), "next")) == [late.id]


def test_the_fields_of_the_form_narrow_the_log() -> None:
    stage = Stage()
    stage.text("/logs?q=model:gpt+red&service=ollama&status=failed&since=2025-01-01T00:00&until=2025-01-02&before=x")
    query = stage.log.asked[-1]
    assert [(term.field, term.text) for term in query.terms] == [("model", "gpt"), (None, "red")]
    assert (query.dialect, query.failed, query.outcome, query.before) == ("ollama", True, None, "x")
    assert (query.since_s, query.until_s) == (1735689600.0, 1735776000.0)


def test_the_form_offers_everything_that_callers_speak() -> None:
    spoken = {name for name, dialect in SPOKEN.items() if IDialect.providedBy(dialect)}
    for path in ("/", "/logs"):
        select = Stage().text(path).partition('name="service"')[2].partition("</select>")[0]
        assert set(re.findall(r'value="(\w+)"', select)) == spoken


def test_an_outcome_is_a_status_too() -> None:
    stage = Stage()
    stage.text("/logs?status=client_gone&service_type=openai")
    assert (stage.log.asked[-1].outcome, stage.log.asked[-1].dialect) == ("client_gone", "openai")


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("q=nothing:known", "&#39;nothing:known&#39; is no filter. A text that has a colon itself"),
        ("status=odd", "&#39;odd&#39; is no status."),
        ("since=yesterday", "&#39;since&#39; is no time: write it like 2026-11-25T14:30."),
        ("until=9999-99-99", "&#39;until&#39; is no time"),
    ],
)
def test_a_form_that_cannot_be_understood_says_why_and_keeps_what_was_typed(typed: str, told: str) -> None:
    stage = Stage(record(1))
    answer = stage.get(f"/logs?{typed}")
    assert answer.status == 400
    assert told in answer.body.decode()
    assert stage.log.asked == []


def test_times_may_name_their_zone() -> None:
    assert form.read({b"since": [b"2025-01-01T01:00+01:00"]}, parse).query.since_s == 1735689600.0


def test_an_exchange_has_its_request_its_answer_and_its_story() -> None:
    stage = Stage()
    stored = stage.with_bodies(1, request_sha256="f" * 64)
    page = stage.text(f"/logs/{stored.id}")
    for text in ("Conversation, 2 turns", "Why is the sky blue?", "Because air scatters blue light most.", "Events, 5",
                 "waiting for the first byte", "Bearer ***", "f" * 64, "HTTP/1.1 200 OK"):  # fmt: skip
        assert text in page


def test_what_was_not_recorded_says_so() -> None:
    stage = Stage(record(1))
    assert "Not recorded: the journal keeps what journal.bodies says." in stage.text(f"/logs/{stage.log.records[0].id}")


def test_a_refused_request_says_why_nothing_more_is_there() -> None:
    stage = Stage(record(1, status=404, outcome="refused", error="model_not_found"))
    page = stage.text(f"/logs/{stage.log.records[0].id}")
    assert page.count("Not recorded: of a request that is refused nothing is kept but its record.") == 2


def test_what_has_expired_says_so_and_cannot_be_downloaded() -> None:
    stage = Stage()
    stored = stage.with_bodies(1)
    stage.copies.forget()
    page = stage.text(f"/logs/{stored.id}")
    assert page.count("Expired: the journal no longer has it.") == 2
    assert "Download" not in page
    assert stage.get(f"/logs/{stored.id}/response").status == 410


def test_an_exchange_in_flight_is_watched_under_the_same_address() -> None:
    stage = Stage()
    begun = stage.begin(1)
    assert f'data-watch="{begun.id}"' in stage.text(f"/logs/{begun.id}")
    begun.end(Outcome.DONE, 200)
    assert "data-watch" not in stage.text(f"/logs/{begun.id}")


@pytest.mark.parametrize(
    "path", ["/logs/none", "/logs/none/request", "/logs/a/b", "/logs/a/b/c", "/performance/x", "/clients/x", "/now/x"]
)
def test_what_is_not_there_is_not_found_on_a_page(path: str) -> None:
    answer = Stage().get(path)
    assert answer.status == 404
    assert answer.headers[b"content-type"].startswith((b"text/html", b"application/json"))


def test_a_download_is_the_body_as_it_is() -> None:
    stage = Stage()
    stored = stage.with_bodies(1, asked=b"\x00\xff" * 100_000)
    assert stage.get(f"/logs/{stored.id}/request").body == b"\x00\xff" * 100_000
    assert stage.get(f"/logs/{stored.id}/response").body == STREAM
    assert stage.get(f"/logs/{stored.id}/response", method="HEAD").headers[b"content-length"] == b"%d" % len(STREAM)


def slow_client(stage: Stage, path: str) -> Client:
    """Return a client that asks for a path and does not read for now."""
    client = Client(stage.site(), stage.clock)
    client.transport.hostAddr = LOOPBACK
    client.channel.pauseProducing()
    return client.say(request(path))


def test_a_download_waits_for_a_client_that_does_not_read() -> None:
    stage = Stage()
    stored = stage.with_bodies(1, answer=b"x" * 300_000)
    client = slow_client(stage, f"/logs/{stored.id}/response")
    assert len(client.heard()) < 140_000
    client.channel.resumeProducing()
    stage.clock.advance(0)
    assert client.heard().endswith(b"x")


def test_a_download_that_expires_on_its_way_is_cut_visibly() -> None:
    stage = Stage()
    stored = stage.with_bodies(1, answer=b"x" * 300_000)
    client = slow_client(stage, f"/logs/{stored.id}/response")
    stage.copies.forget()
    client.channel.resumeProducing()
    stage.clock.advance(0)
    assert client.is_over()
    assert client.heard().count(b"x") < 300_000


def test_static_files_are_named_by_their_content_and_never_asked_for_again() -> None:
    stage = Stage()
    for asset in Look().assets.values():
        answer = stage.get(f"/static/{asset.name}")
        assert answer.status == 200
        assert answer.body == asset.body
        assert answer.headers[b"cache-control"] == b"public, max-age=31536000, immutable"
        assert answer.headers[b"etag"].strip(b'"').decode() in asset.name
        again = stage.get(f"/static/{asset.name}", f"If-None-Match: {answer.headers[b'etag'].decode()}")
        assert (again.status, again.body) == (304, b"")


def test_the_first_page_does_not_wait_for_the_day_before_and_the_charts_that_follow_do() -> None:
    stage = Stage()
    read: Deferred[None] = Deferred()
    stage.log = SlowLog([record(1, NOW_S - 120)], read)
    assert "data-total" in stage.text("/")
    client = Client(stage.site(), stage.clock)
    client.transport.hostAddr = LOOPBACK
    assert client.say(request("/now")).heard() == b""
    read.callback(None)
    stage.clock.advance(0)
    assert b'"figure":"1"' in client.heard()


def test_pages_are_kept_nowhere() -> None:
    stage = Stage(record(1))
    for path in ("/", "/logs", "/performance", "/clients", "/now", f"/logs/{stage.log.records[0].id}"):
        assert stage.get(path).headers[b"cache-control"] == b"no-store"


@pytest.mark.parametrize("path", ["/", "/logs", "/logs/x", "/performance", "/now", "/logs/x/request"])
def test_everything_stands_behind_the_gate(path: str) -> None:
    stage = Stage(record(1), gate=Gate(Secret("ann"), Secret("word")))
    assert stage.get(path).status == 401
    credential = base64.b64encode(b"ann:word").decode()
    assert stage.get(path, f"Authorization: Basic {credential}").status != 401


def test_style_is_for_everybody_so_that_a_refusal_has_some_too() -> None:
    stage = Stage(gate=Gate(Secret("ann"), Secret("word")))
    refused = stage.get("/logs")
    assert refused.status == 401
    (style,) = re.findall(r'href="(/static/dashboard\.[0-9a-f]+\.css)"', refused.body.decode())
    assert stage.get(style).status == 200
    assert stage.get("/static/x").status == 404


@pytest.mark.parametrize("path", ["/", "/logs", "/performance", "/clients", "/now"])
def test_pages_are_only_read(path: str) -> None:
    assert Stage().get(path, method="POST").status == 405


def test_what_the_lookout_has_seen_outlives_a_configuration() -> None:
    stage = Stage()
    stage.begin(1).end(Outcome.DONE, 200)
    stage.lookout.close()
    stage.begin(2).end(Outcome.DONE, 200)
    assert [slot.requests for slot in stage.lookout.figures.slots(1, 1)] == [1]


def test_elapsed_time_is_the_clocks() -> None:
    clock = FakeClock(NOW_S)
    stage = Stage(clock=clock)
    stage.begin(1)
    clock.advance(12.5)
    assert json.loads(stage.get("/now").body)["in_flight"][0]["elapsed_ms"] == 12500
