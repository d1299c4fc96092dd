"""The sinks ``lunary`` and ``helicone``, with a stand-in for the client of HTTP."""

import json

import pytest

from netrunner.errors import ConfigurationError
from netrunner.settings import Secret
from netrunner.sinks.delivery import Undelivered
from netrunner.sinks.helicone import Helicone, HeliconeSettings
from netrunner.sinks.helicone import plugin as helicone
from netrunner.sinks.lunary import Lunary, LunarySettings
from netrunner.sinks.lunary import plugin as lunary
from netrunner.testing.fakes import FakeEnvironment
from netrunner.testing.section import FakeSection
from netrunner.values import Usage
from tests.support.copies import FakeCopies
from tests.support.posts import Http, Response
from tests.support.records import record_maker
from tests.support.services import check_helicone, check_lunary

KINDS = {"lunary": (Lunary, LunarySettings, check_lunary), "helicone": (Helicone, HeliconeSettings, check_helicone)}
ASKED = b'{"model":"fast","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"why?"}]}'
DOCUMENT = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "because"}}],
}
ANSWER = json.dumps(DOCUMENT).encode()
TURNS = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "why?"}]
USAGE = Usage(input_total=5, output_total=7)


@pytest.fixture
def record():
    return record_maker()


class Bench:
    """A sink, and what it posted."""

    def __init__(self, kind, folder, **changes):
        make, settings, ids = KINDS[kind]
        self.http, self.copies = Http(ids), FakeCopies()
        self.dead = folder / "dead"
        values = {"key": Secret("canary"), "flush_s": 0.0, "dead_letters": str(self.dead), **changes}
        self.sink = make(settings(**values), FakeEnvironment(kind, http=self.http, copies=self.copies))
        self.sink.start()

    def keep(self, answer=ANSWER, asked=ASKED):
        """Return the fields of a record of which both messages are kept."""
        return {
            "request_copy": self.copies.keep(b"POST / HTTP/1.1", [], asked),
            "response_copy": self.copies.keep(b"HTTP/1.1 200 OK", [], answer),
        }


@pytest.fixture
def bench(tmp_path):
    return lambda kind, **changes: Bench(kind, tmp_path, **changes)


def test_lunary_is_told_when_a_run_began_and_ended_and_what_it_took(bench, record, run):
    one = bench("lunary")
    made = record(usage=USAGE, token="nr_1f3a")
    run(one.sink.write([made]))
    ((url, options, _),) = one.http.posts
    assert url == "https://api.lunary.ai/v1/runs/ingest"
    assert options["headers"]["authorization"] == "Bearer canary"
    start, end = one.http.documents[0]["events"]
    assert (start["event"], start["name"], start["userId"]) == ("start", "gpt", "nr_1f3a")
    assert (end["event"], end["tokensUsage"]) == ("end", {"prompt": 5, "completion": 7})
    assert (start["runId"], end["runId"]) == (made.id, made.id)
    assert start["timestamp"] < end["timestamp"]
    assert "input" not in start
    assert "output" not in end


def test_lunary_is_told_of_failures_by_their_code(bench, record, run):
    one = bench("lunary")
    run(one.sink.write([record(status=502, error="upstream_connection_failed", outcome="upstream_failed")]))
    end = one.http.documents[0]["events"][1]
    assert (end["event"], end["error"]) == ("error", {"message": "upstream_connection_failed"})


def test_several_runs_go_to_lunary_in_one_post(bench, record, run):
    one = bench("lunary", max_records=2)
    records = [record() for _ in range(3)]
    run(one.sink.write(records))
    assert one.http.batches == [[records[0].id, records[1].id], [records[2].id]]


def test_a_run_that_lunary_says_was_not_taken_is_put_aside(bench, record, run, logged_failures):
    one = bench("lunary")
    first, second, third = (record() for _ in range(3))
    results = [
        {"id": first.id, "success": False, "error": "Run with this ID already exists in the database."},
        {"id": first.id, "success": True},
        {"id": second.id, "success": False, "error": "invalid input"},
        {"id": second.id, "success": True},
        {"id": third.id, "success": True},
    ]
    one.http.decide = lambda ids: Response(200, json.dumps({"results": results}).encode())
    run(one.sink.write([first, second, third]))
    (letter,) = map(json.loads, one.dead.read_text().splitlines())
    assert letter["reason"] == "not ingested"
    assert [event["runId"] for event in letter["record"]] == [second.id] * 2


def test_an_answer_of_lunarys_that_cannot_be_read_counts_by_its_status(bench, record, run):
    one = bench("lunary")
    one.http.decide = lambda ids: Response(200, b"<html>")
    run(one.sink.write([record()]))
    assert not one.dead.exists()


def test_helicone_is_told_of_each_record_by_itself(bench, record, run):
    one = bench("helicone", max_records=2)
    records = [record(usage=USAGE, streaming=True, timings={"first_byte": 0.25}) for _ in range(3)]
    run(one.sink.write(records))
    assert one.http.batches == [[made.id] for made in records]
    url, options, _ = one.http.posts[0]
    assert url == "https://api.worker.helicone.ai/custom/v1/log"
    assert options["headers"]["authorization"] == "Bearer canary"
    told = one.http.documents[0]
    assert told["providerRequest"]["json"] == {"model": "gpt"}
    assert told["providerRequest"]["meta"]["Helicone-Property-Provider"] == "acme"
    assert told["providerResponse"]["json"]["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": 7,
        "total_tokens": 12,
    }
    assert told["timing"]["startTime"] == {"seconds": 1_700_000_001, "milliseconds": 0}
    assert told["timing"]["endTime"] == {"seconds": 1_700_000_002, "milliseconds": 234}
    assert told["timing"]["timeToFirstToken"] == 250


def test_of_posts_beside_each_other_only_those_come_again_that_were_not_taken(bench, record, run, logged_failures):
    one = bench("helicone")
    first, second, third = records = [record() for _ in range(3)]
    one.http.decide = lambda ids: {first.id: 500, second.id: 400, third.id: 200}[ids[0]]
    with pytest.raises(Undelivered):
        run(one.sink.write(records))
    one.http.decide = lambda ids: 200
    run(one.sink.write(records))
    assert one.http.batches == [[first.id], [second.id], [third.id], [first.id]]
    letters = [json.loads(line)["record"]["providerRequest"]["meta"] for line in one.dead.read_text().splitlines()]
    assert [meta["Helicone-Request-Id"] for meta in letters] == [second.id]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_said_is_sent_when_that_is_asked_for(bench, record, run, kind):
    one = bench(kind, contents=True)
    run(one.sink.write([record(**one.keep())]))
    (told,) = one.http.documents
    if kind == "lunary":
        assert told["events"][0]["input"] == TURNS
        assert told["events"][1]["output"] == {"role": "assistant", "content": "because"}
    else:
        assert told["providerRequest"]["json"]["messages"] == TURNS
        message = told["providerResponse"]["json"]["choices"][0]["message"]
        assert message == {"role": "assistant", "content": "because"}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_was_said_is_sent_unasked(bench, record, run, kind):
    one = bench(kind)
    run(one.sink.write([record(**one.keep())]))
    assert b"because" not in one.http.posts[0][2]
    assert b"why?" not in one.http.posts[0][2]
    assert one.copies.given == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("asked", "answer"),
    [(b"\xff", b"\xff"), (b"{}", b"{}"), (b"[" * 5000, b"[" * 5000), (b"x" * 65537, b"x" * 65537)],
    ids=["no text", "nothing", "deep", "too large"],
)
def test_what_cannot_be_read_is_left_out(bench, record, run, kind, asked, answer):
    one = bench(kind, contents=True)
    made = record(**one.keep(answer, asked))
    run(one.sink.write([made, record(path="/elsewhere", dialect=None), record()]))
    assert one.http.batches[0][0] == made.id
    assert all(word not in one.http.posts[0][2] for word in (b'"output"', b'"choices"', b'"input"', b'"messages"'))


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_key_leaves_records_where_they_are_and_is_not_told(bench, record, run, kind):
    one = bench(kind)
    one.http.decide = lambda ids: 401
    with pytest.raises(Undelivered, match="status 401") as raised:
        run(one.sink.write([record()]))
    assert "canary" not in str(raised.value) + repr(one.sink)
    assert not one.dead.exists()


@pytest.mark.parametrize("factory", [lunary, helicone])
def test_plain_http_to_elsewhere_has_to_be_asked_for(factory):
    values = {"key": Secret("canary"), "url": "http://logs.test/x"}
    with pytest.raises(ConfigurationError, match="url: expected https") as raised:
        factory.parse(FakeSection(values))
    assert "canary" not in str(raised.value)
