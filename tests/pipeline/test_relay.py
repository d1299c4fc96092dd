"""One answer on its way: what is held, when it is committed, what the client sees of a broken one."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from netrunner.errors import Overloaded, UpstreamError, UpstreamTimeout
from netrunner.pipeline.relay import DRAIN_S
from netrunner.values import Outcome
from tests.support.client import answers
from tests.support.stage import DONE, EVENT, JSON, KEY, SSE, Stage, body_of, error_of

GZIP = (b"content-encoding", b"gzip")


def test_a_stream_is_committed_at_its_first_event() -> None:
    stage = Stage()
    client = stage.ask()
    stage.call.head(200, SSE)
    stage.call.body(EVENT[:-1])
    assert client.heard() == b""
    stage.call.body(EVENT[-1:])
    assert body_of(client.heard()) == EVENT
    stage.call.body(DONE).body(b"", True)
    assert client.heard() == b"e\r\n" + DONE + b"\r\n0\r\n\r\n"
    assert stage.record().outcome == "done"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_of_events_commits(end: bytes) -> None:
    stage = Stage()
    client = stage.ask()
    stage.call.head(200, SSE).body(EVENT.replace(b"\n", end))
    assert body_of(client.heard()) == EVENT.replace(b"\n", end)


def test_a_comment_is_no_event_and_commits_nothing() -> None:
    stage = Stage()
    client = stage.ask()
    stage.call.head(200, SSE).body(b": processing\n\n")
    assert client.heard() == b""
    stage.call.body(b'data: {"error":{"message":"no room","code":503}}\n\n')
    assert answers(client.heard(), b"POST")[0].status == 503


def test_a_stream_without_events_is_committed_once_it_is_long() -> None:
    stage = Stage()
    client = stage.ask()
    stage.call.head(200, SSE)
    for _ in range(33):
        stage.call.body(b": " + b"x" * 1996 + b"\n\n")
    assert len(body_of(client.heard())) == 66000


def test_an_error_as_first_event_becomes_an_error_answer_in_the_providers_words() -> None:
    stage = Stage()
    client = stage.ask()
    stage.call.head(200, SSE).body(b'data: {"error":{"message":"slow down","code":429,"type":"rate"}}\n\n')
    (answer,) = answers(client.heard(), b"POST")
    assert answer.status == 429
    assert error_of(answer.body)["message"] == "slow down"
    assert stage.call.aborted
    record = stage.record()
    assert (record.outcome, record.status) == ("upstream_failed", 429)


def test_an_error_as_first_event_without_a_status_is_a_bad_gateway() -> None:
    stage = Stage()
    client = stage.ask()
    stage.call.head(200, SSE).body(b'event: error\r\ndata: {"error":{"message":"boo","code":"server_error"}}\r\n\r\n')
    (answer,) = answers(client.heard(), b"POST")
    assert answer.status == 502
    assert (error_of(answer.body)["code"], error_of(answer.body)["message"]) == ("server_error", "boo")


def test_an_error_after_the_first_event_is_passed_on_and_recorded() -> None:
    stage = Stage()
    client = stage.ask()
    late = b'data: {"error":{"message":"boo","code":"server_error"}}\n\n'
    stage.call.head(200, SSE).body(EVENT).body(late).body(b"", True)
    assert body_of(client.heard()) == EVENT + late
    assert stage.record().error == "server_error"


def test_an_error_that_quotes_the_stored_key_is_told_without_it() -> None:
    stage = Stage()
    client = stage.ask()
    said = b'{"error":{"message":"the key %b is over its limit","type":"x","param":null,"code":null}}' % KEY.encode()
    length, quoting = (b"content-length", b"%d" % len(said)), (b"x-limited", b"key=" + KEY.encode())
    stage.call.head(429, JSON, length, quoting).body(said, True)
    (answer,) = answers(client.heard(), b"POST")
    mask = "*" * len(KEY)
    assert (answer.status, error_of(answer.body)["message"]) == (429, f"the key {mask} is over its limit")
    assert (answer.headers[b"x-limited"], answer.headers[b"content-length"]) == (b"key=" + mask.encode(), length[1])


@pytest.mark.parametrize("status", [400, 404, 409, 422, 429, 500, 503, 529])
def test_an_error_answer_is_relayed_as_received(status: int) -> None:
    stage = Stage()
    client = stage.ask()
    body = b'{"error": {"message": "no", "code": "x"}, "more": [1, 2]}'
    fields = [JSON, (b"retry-after", b"7"), (b"x-many", b"1"), (b"x-many", b"2")]
    stage.call.head(status, *fields, reason=b"Because").body(body[:9]).body(body[9:], True)
    heard = client.heard()
    assert heard.startswith(b"HTTP/1.1 %d Because\r\n" % status)
    assert b"retry-after: 7\r\nx-many: 1\r\nx-many: 2\r\n" in heard
    assert answers(heard, b"POST")[0].body == body
    record = stage.record()
    assert (record.outcome, record.status, record.error) == ("done", status, "x")


def test_a_refusal_of_the_stored_key_is_not_the_callers_to_see() -> None:
    stage = Stage()
    client = stage.ask()
    stage.call.head(401, JSON, (b"x-secret", b"1")).body(b'{"error":{"message":"bad key sk-st"}}', True)
    heard = client.heard()
    assert answers(heard, b"POST")[0].status == 502
    assert b"sk-st" not in heard
    assert b"x-secret" not in heard
    assert error_of(answers(heard, b"POST")[0].body)["code"] == "upstream_auth"
    assert stage.record().outcome == "upstream_failed"


def test_a_long_error_is_relayed_whole_and_one_cut_after_the_commit_holds_no_event() -> None:
    stage = Stage()
    client = stage.ask({"model": "m", "stream": True})
    stage.call.head(500, JSON).body(b"x" * 65537).fail()
    assert body_of(client.heard()) == b"x" * 65537
    assert client.transport.disconnecting
    assert stage.record().outcome == "upstream_truncated"


def test_an_error_cut_before_its_end_is_a_clean_bad_gateway() -> None:
    stage = Stage()
    client = stage.ask()
    stage.call.head(500, JSON).body(b'{"err').fail()
    assert answers(client.heard(), b"POST")[0].status == 502


def test_status_reason_and_repeated_fields_go_on_while_cookies_and_server_stay() -> None:
    stage = Stage()
    client = stage.ask()
    fields = [(b"x-a", b"1"), (b"set-cookie", b"a=b"), (b"server", b"them"), (b"x-a", b"2"), (b"alt-svc", b"h3")]
    stage.call.head(203, JSON, *fields, reason=b"Hearsay").body(b"{}", True)
    heard = client.heard()
    assert heard.startswith(b"HTTP/1.1 203 Hearsay\r\n")
    assert b"x-a: 1\r\nx-a: 2\r\n" in heard
    assert b"cookie" not in heard
    assert b"server" not in heard
    assert b"alt-svc" not in heard


def test_the_request_id_is_ours_and_stands_there_once() -> None:
    stage = Stage()
    client = stage.client().say(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: mine.1\r\nContent-Length: 13\r\n\r\n"
        b'{"model":"m"}'
    )
    assert stage.call.header(b"x-request-id") == [b"mine.1"]
    stage.call.head(200, JSON, (b"x-request-id", b"theirs")).body(b"{}", True)
    heard = client.heard()
    assert b"x-request-id: mine.1\r\n" in heard
    assert heard.count(b"x-request-id") == 1


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_body_ends_at_once(status: int) -> None:
    stage = Stage()
    client = stage.ask({"model": "m"}, "/v1/moderations")
    stage.call.head(status, (b"etag", b"1")).body(b"", True)
    heard = client.heard()
    assert answers(heard, b"POST")[0].body == b""
    assert b"transfer-encoding" not in heard
    assert stage.record().outcome == "done"


@pytest.mark.parametrize("coding", [b"gzip", b"x-gzip", b"deflate", b"GZIP"])
def test_a_compressed_answer_is_inflated(coding: bytes) -> None:
    body = json.dumps({"usage": {"prompt_tokens": 3, "completion_tokens": 4}, "text": "a" * 5000}).encode()
    packed = zlib.compress(body) if coding == b"deflate" else gzip.compress(body)
    stage = Stage()
    client = stage.ask()
    stage.call.head(200, JSON, (b"content-encoding", coding), (b"content-length", b"%d" % len(packed)))
    for position in range(len(packed)):
        stage.call.body(packed[position : position + 1], position == len(packed) - 1)
    heard = client.heard()
    assert answers(heard, b"POST")[0].body == body
    assert b"content-encoding" not in heard
    usage = stage.record().usage
    assert usage is not None
    assert usage.output_total == 4


def test_a_compressed_error_is_inflated_too() -> None:
    stage = Stage()
    client = stage.ask()
    body = b'{"error":{"message":"no","code":"mine"}}'
    stage.call.head(400, JSON, GZIP).body(gzip.compress(body), True)
    assert answers(client.heard(), b"POST")[0].body == body
    assert stage.record().error == "mine"


def test_several_gzip_members_are_one_body() -> None:
    stage = Stage()
    client = stage.ask()
    stage.call.head(200, SSE, GZIP).body(gzip.compress(EVENT)).body(gzip.compress(EVENT) + gzip.compress(DONE), True)
    assert body_of(client.heard()) == EVENT + EVENT + DONE


def test_a_compressed_answer_that_ends_early_is_truncated() -> None:
    stage = Stage()
    client = stage.ask()
    stage.call.head(200, JSON, GZIP).body(gzip.compress(b"{}" * 500)[:-4], True)
    assert not client.heard().endswith(b"0\r\n\r\n")
    assert stage.record().outcome == "upstream_truncated"


def test_a_bomb_is_refused_before_much_of_it_is_there() -> None:
    stage = Stage()
    client = stage.ask()
    stage.call.head(200, JSON, GZIP)
    packed = gzip.compress(bytes(1 << 27))
    stage.call.body(packed)
    assert len(client.heard()) < 1 << 20
    assert stage.call.aborted
    record = stage.record()
    assert (record.outcome, record.error) == ("upstream_truncated", "upstream_bad_encoding")


def test_bytes_that_are_not_compressed_as_stated_are_a_bad_gateway() -> None:
    stage = Stage()
    client = stage.ask()
    stage.call.head(200, SSE, GZIP).body(b"data: plain\n\n")
    assert answers(client.heard(), b"POST")[0].status == 502
    assert stage.record().error == "upstream_bad_encoding"


def test_a_stream_in_an_unknown_coding_is_not_waited_with() -> None:
    stage = Stage()
    client = stage.ask()
    stage.call.head(200, SSE, (b"content-encoding", b"br")).body(b"\x8b\x01")
    heard = client.heard()
    assert body_of(heard) == b"\x8b\x01"
    assert b"content-encoding: br\r\n" in heard


def test_a_client_that_does_not_read_pauses_the_upstream() -> None:
    stage = Stage()
    client = stage.ask()
    stage.call.head(200, SSE).body(EVENT)
    client.channel.pauseProducing()
    assert stage.call.paused
    client.channel.pauseProducing()
    client.channel.resumeProducing()
    assert not stage.call.paused


def test_two_reasons_to_hold_do_not_undo_each_other() -> None:
    stage = Stage()
    stage.ask()
    relay = stage.call.head(200, SSE).body(EVENT).receiver
    relay.pauseProducing()
    relay._hold("other")
    relay.resumeProducing()
    assert stage.call.paused
    relay.resumeProducing()
    relay._release("other")
    assert not stage.call.paused


def test_a_client_that_leaves_aborts_the_upstream_in_the_same_turn() -> None:
    stage = Stage()
    client = stage.ask()
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n'
    stage.call.head(200, SSE).body(EVENT + usage)
    client.settle()
    assert stage.call.aborted
    record = stage.record()
    assert (record.outcome, record.status) == ("client_gone", 200)
    assert record.usage is not None
    assert record.usage.output_total == 2


USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n'


def test_an_answer_that_is_to_be_drained_is_read_to_its_end_for_a_client_that_left() -> None:
    stage = Stage(draining=("m",))
    client = stage.ask()
    stage.call.head(200, SSE).body(EVENT)
    stage.call.receiver.pauseProducing()
    client.settle()
    assert not stage.call.aborted
    assert not stage.call.paused
    assert stage.records == []
    stage.call.body(USAGE).body(DONE, True)
    record = stage.record()
    assert (record.outcome, record.status, record.bytes_out) == ("client_gone", 200, len(EVENT))
    assert record.usage is not None
    assert record.usage.output_total == 2


def test_a_client_may_leave_before_an_answer_that_is_to_be_drained_begins() -> None:
    stage = Stage(draining=("m",))
    stage.ask().settle()
    assert stage.records == []
    stage.call.head(200, SSE).body(EVENT + USAGE).body(DONE, True)
    record = stage.record()
    assert (record.outcome, record.status, record.bytes_out) == ("client_gone", 499, 0)
    assert record.usage is not None


def test_draining_takes_no_longer_than_its_limit() -> None:
    stage = Stage(draining=("m",))
    client = stage.ask()
    stage.call.head(200, SSE).body(EVENT)
    client.settle()
    stage.clock.advance(DRAIN_S)
    assert stage.call.aborted
    assert stage.record().outcome == "client_gone"


@pytest.mark.parametrize("how", ["broken", "refused", "error", "stopped"])
def test_what_ends_a_draining_answer_ends_it_as_one_whose_client_left(how: str) -> None:
    stage = Stage(draining=("m",))
    stage.ask().settle()
    if how == "refused":
        stage.call.head(500, JSON).body(b"{}", True)
    elif how == "error":
        stage.call.head(200, SSE).body(b'data: {"error":{"message":"boo","code":500}}\n\n')
    elif how == "stopped":
        (exchange,) = stage.pipeline.inflight.values()
        exchange.work.stop(Outcome.SHUT_DOWN, Overloaded("over"))
    else:
        stage.call.fail()
    assert stage.record().outcome == "client_gone"
    assert len(stage.upstream.calls) == 1


def test_a_timeout_in_the_middle_is_told_as_an_event() -> None:
    stage = Stage()
    client = stage.ask()
    stage.call.head(200, SSE).body(EVENT).fail(UpstreamTimeout("the upstream stopped"))
    told = body_of(client.heard()).removeprefix(EVENT)
    assert error_of(told.removeprefix(b"data: "))["code"] == "upstream_timeout"
    assert stage.record().outcome == "upstream_truncated"


@pytest.mark.parametrize("declared", [False, True])
@pytest.mark.parametrize("streaming", [True, False])
def test_an_answer_cut_anywhere_never_looks_complete(streaming: bool, declared: bool) -> None:
    body = (EVENT * 40)[:1950] + b"\n\n" + DONE if streaming else b'{"text": "' + b"a" * 1990 + b'"}'
    length = [(b"content-length", b"%d" % len(body))] if declared else []
    first = len(EVENT) if streaming else 0
    stage = Stage()
    for cut in range(len(body)):
        client = stage.ask()
        stage.call.head(200, SSE if streaming else JSON, *length)
        if cut:
            stage.call.body(body[:cut])
        stage.call.fail(UpstreamError("broke off", code="upstream_truncated"))
        heard = client.heard()
        record = stage.record()
        stage.records.clear()
        if streaming and cut < first:
            assert error_of(answers(heard, b"POST")[0].body)["code"] == "upstream_truncated"
            assert record.outcome == "upstream_failed"
            continue
        assert record.outcome == "upstream_truncated"
        assert client.transport.disconnecting
        if streaming:
            told = body_of(heard)
            assert told.startswith(body[:cut])
            assert error_of(told[cut:].strip().removeprefix(b"data: "))["code"] == "upstream_truncated"
            assert not heard.endswith(b"0\r\n\r\n")
        elif declared:
            assert heard.partition(b"\r\n\r\n")[2] == body[:cut]
        else:
            assert body_of(heard) == body[:cut]
            assert not heard.endswith(b"0\r\n\r\n")


FINISH = EVENT.replace(b"null}", b'"stop"}')


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize("told", [EVENT, EVENT + EVENT[:20], EVENT + b": bye\n\n"])
def test_a_stream_that_ends_without_saying_so_was_cut(path: str, told: bytes) -> None:
    # One delimited by the end of its connection shows in no other way that it broke off.
    stage = Stage()
    client = stage.ask(path=path)
    stage.call.head(200, SSE).body(told[: len(EVENT)]).body(told[len(EVENT) :] + b"\n", True)
    heard = client.heard()
    assert body_of(heard).startswith(told)
    assert b'"code":"upstream_truncated"' in heard
    assert not heard.endswith(b"0\r\n\r\n")
    assert client.transport.disconnecting
    assert stage.record().outcome == "upstream_truncated"


def test_a_stream_that_ends_so_in_its_first_read_is_a_bad_gateway() -> None:
    stage = Stage()
    client = stage.ask()
    stage.call.head(200, SSE).body(EVENT, True)
    (answer,) = answers(client.heard(), b"POST")
    assert (answer.status, error_of(answer.body)["code"]) == (502, "upstream_truncated")
    assert stage.record().outcome == "upstream_failed"


@pytest.mark.parametrize(
    "end", [DONE, FINISH, FINISH + DONE, DONE[:-1], FINISH[:-2], b'data: {"error":{"code":"x"}}\n\n']
)
def test_a_stream_that_says_how_it_ended_is_complete(end: bytes) -> None:
    stage = Stage()
    client = stage.ask()
    stage.call.head(200, SSE).body(EVENT).body(end, True)
    heard = client.heard()
    assert body_of(heard) == EVENT + end
    assert heard.endswith(b"0\r\n\r\n")
    assert stage.record().outcome == "done"


def test_a_stream_of_another_kind_may_end_as_it_likes() -> None:
    stage = Stage()
    client = stage.ask({"model": "m", "input": "x"}, "/v1/audio/speech")
    stage.call.head(200, SSE).body(b'data: {"type":"speech.audio.done"}\n\n').body(b"", True)
    assert client.heard().endswith(b"0\r\n\r\n")
    assert stage.record().outcome == "done"


def test_a_large_request_body_is_counted_until_it_was_answered_and_not_kept_longer() -> None:
    stage = Stage()
    client = stage.ask({"model": "alias", "text": "x" * 100_000})
    assert stage.site.buffered_bytes > 100_000
    stage.call.head(200, SSE).body(EVENT)
    assert stage.site.buffered_bytes == 0
    (exchange,) = stage.pipeline.inflight.values()
    assert exchange.envelope is not None
    assert exchange.envelope.body == b""
    assert stage.call.request.body == b""
    client.settle()


def test_the_stored_key_is_in_nothing_that_is_told_or_recorded() -> None:
    stage = Stage()
    client = stage.ask()
    assert stage.call.header(b"authorization") == [b"Bearer " + KEY.encode()]
    stage.call.head(200, SSE).body(b'data: {"error":{"message":"key ' + KEY.encode() + b' is bad","code":"x"}}\n\n')
    assert KEY.encode() not in client.heard()
    assert KEY not in repr(stage.record())
