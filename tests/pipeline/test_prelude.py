"""Streams that are begun while their callers wait for a limit, in memory: what is sent, and what may still follow."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from zope.interface import implementer

from netrunner.errors import ConfigurationError, UpstreamError
from netrunner.filters.cache import Cache, CacheSettings
from netrunner.filters.rate_limit import QueueSettings, RateLimitSettings, plugin
from netrunner.filters.retry import Retry, RetrySettings
from netrunner.filters.strip_thinking import StripThinking, StripThinkingSettings
from netrunner.interfaces import IRequestPhase, IWatcher
from netrunner.limits.memory import MemoryCounters
from netrunner.pipeline.lag import Lag
from netrunner.pipeline.prelude import Prelude
from netrunner.pipeline.stages import ServerTiming
from netrunner.routing.table import Candidate
from netrunner.testing.fakes import FakeClock, FakeEnvironment
from netrunner.testing.section import FakeSection
from netrunner.values import Answer, MessageHead, Outcome, Record
from tests.filters.test_rate_limit import told
from tests.pipeline.test_keepalives import CHUNK, COMMENT, HELLO, NDJSON, chunk, kept
from tests.support.client import Client
from tests.support.clients import CLIENTS, STREAM_PATHS, asked, error_in, events, streamed
from tests.support.stage import DONE, EVENT, JSON, LOOPBACK, SSE, Stage, body_of, request

EVERY_S, MAX_WAIT_S = 2, 10
FAILURE = b'{"error":{"message":"no","type":"server_error","param":null,"code":"server_error"}}'
TWO = {"m": (Candidate("up", "one", 1), Candidate("other", "two", 2))}
STREAM = {"model": "m", "messages": [], "stream": True}
FORMS = {
    "openai": COMMENT,
    "responses": COMMENT,
    "anthropic": rb'event: ping\ndata: \{"type":"ping"\}\n\n',
    "gemini": rb"\n\n",
    "ollama": rb'\{"model":"m","created_at":"[^"]*","message":\{"role":"assistant","content":""\},"done":false\}\n',
}
"""Patterns of their signs of life."""


class Queued(Stage):
    """A stage with one place that somebody holds, and a line before it in which callers are kept company.

    Args:
        filters: Behind the limit.
        gap_s: Of a second limit, with a line of its own.
        per: Whose requests have one place.
        max_wait_s, max_waiting, keepalive_s: Of the line.
        stage: As of ``Stage``.
    """

    def __init__(
        self,
        *filters: Any,
        gap_s: float | None = None,
        per: Any = "caller",
        max_wait_s: float = MAX_WAIT_S,
        max_waiting: int = 5,
        keepalive_s: float | None = EVERY_S,
        **stage: Any,
    ) -> None:
        self.clients: list[Client] = []
        self.time = FakeClock()
        queue = QueueSettings(max_wait_s=max_wait_s, max_waiting=max_waiting, keepalive_s=keepalive_s)
        limits = [
            RateLimitSettings(concurrency=1, per=per, queue=queue),
            RateLimitSettings(min_gap_s=gap_s, queue=queue),
        ]
        counters = MemoryCounters(self.time)
        built = [
            plugin.build(each, FakeEnvironment(f"limit-{n}", clock=self.time, counters=counters))
            for n, each in enumerate(limits)
        ]
        super().__init__(*built[: 1 if gap_s is None else 2], *filters, **stage)
        self.ask({"model": "m", "messages": [{"role": "user", "content": "I hold the place"}]})

    def client(self, host: Any = LOOPBACK, peer: Any = None) -> Client:
        """Return a client; those that are left at the end of a test leave then."""
        self.clients.append(super().client(host, peer))
        return self.clients[-1]

    def wait(self, seconds: int) -> None:
        """Let seconds pass, one after the other."""
        for _ in range(seconds):
            self.time.advance(1)
            self.clock.advance(1)

    def stream(self, caller: str = "openai", signs: int = 1) -> Client:
        """Return a client that waits, and has had so many signs of life."""
        client = self.ask(asked(caller), STREAM_PATHS[caller])
        self.wait(EVERY_S * signs)
        return client

    def admit(self) -> None:
        """Let whoever waits in, in the place of who held it, and forget that one."""
        self.clients[0].settle()
        del self.records[0]


@pytest.fixture
def queued() -> Iterator[Callable[..., Queued]]:
    stages: list[Queued] = []

    def stage(*filters: Any, **settings: Any) -> Queued:
        stages.append(Queued(*filters, **settings))
        return stages[-1]

    yield stage
    for client in [client for stage in stages for client in stage.clients]:
        if not client.transport.disconnected:
            client.settle()
    for one in stages:
        assert one.time.getDelayedCalls() == []
        waiting: Any = one.clock.getDelayedCalls()
        assert not any(isinstance(getattr(call.func, "__self__", None), Prelude) for call in waiting)


def begun(client: Client) -> tuple[dict[str, str], bytes]:
    """Return the fields and the bytes of a stream that goes on."""
    heard = client.heard()
    head, _, _ = heard.partition(b"\r\n\r\n")
    start, *fields = head.decode().split("\r\n")
    assert start == "HTTP/1.1 200 OK"
    return dict(field.split(": ", 1) for field in fields), body_of(heard)


def rest(client: Client) -> bytes:
    """Return the bytes of chunks that come without a head."""
    return body_of(b"\r\n\r\n" + client.heard())


def parted(caller: str, heard: bytes) -> tuple[int, bytes]:
    """Return how many signs of life a stream begins with, and the bytes of its body without them."""
    body, form = body_of(heard), FORMS[caller]
    signs = re.match(b"(?:%b)*" % form, body)
    assert signs is not None
    return len(re.findall(form, signs[0])), body[signs.end() :]


def error_at_end(caller: str, body: bytes) -> tuple[str, str]:
    """Return message and code of the error that ends a stream."""
    if caller == "ollama":
        return error_in(caller, json.loads(body.splitlines()[-1]))
    return error_in(caller, events(body.lstrip(b"\n"))[-1][1])


def test_a_caller_who_waits_for_a_stream_has_a_sign_of_life_in_each_interval(queued: Callable[..., Queued]) -> None:
    stage = queued()
    client = stage.ask(STREAM)
    stage.wait(EVERY_S - 1)
    assert client.heard() == b""
    stage.wait(1)
    assert begun(client)[1] == COMMENT
    stage.wait(EVERY_S * 2)
    assert rest(client) == COMMENT * 2


def test_the_head_tells_what_is_known_by_then(queued: Callable[..., Queued]) -> None:
    stage = queued()
    stage.pipeline.stages = ServerTiming(Lag(stage.clock), True)
    client = stage.ask(STREAM, headers=[(b"x-request-id", b"mine")])
    stage.wait(EVERY_S)
    fields, _ = begun(client)
    assert fields["server-timing"].startswith("recv;dur=0.000, filters;dur=2000.000")
    assert "upstream" not in fields["server-timing"]
    assert fields["x-request-id"] == "mine"
    assert fields["content-type"] == "text/event-stream; charset=utf-8"
    assert (fields["cache-control"], fields["x-accel-buffering"]) == ("no-store", "no")
    assert fields["transfer-encoding"] == "chunked"
    assert "content-length" not in fields


@pytest.mark.parametrize("caller", CLIENTS)
def test_every_caller_gets_the_form_of_its_own_dialect_and_then_its_answer(
    queued: Callable[..., Queued], caller: str
) -> None:
    stage = queued(repair=True, settings={"responses": False})
    client = stage.stream(caller, signs=2)
    stage.admit()
    stage.call.head(200, SSE).body(HELLO).body(chunk({"content": " there"}))
    stage.call.body(chunk({}, "stop") + DONE, True)
    heard = client.heard()
    assert parted(caller, heard)[0] == 2
    assert streamed(caller, heard.replace(b"2\r\n\n\n\r\n", b"") if caller == "gemini" else heard).text == "Hello there"
    assert (stage.records[-1].status, stage.records[-1].outcome, stage.records[-1].error) == (200, "done", None)


@pytest.mark.parametrize("caller", CLIENTS)
def test_who_waits_in_vain_is_told_so_inside_of_the_stream(queued: Callable[..., Queued], caller: str) -> None:
    stage = queued()
    client = stage.stream(caller)
    stage.wait(MAX_WAIT_S - EVERY_S)
    heard = client.heard()
    assert heard.startswith(b"HTTP/1.1 200 OK")
    assert not heard.endswith(b"0\r\n\r\n")
    assert client.is_over()
    message, code = error_at_end(caller, body_of(heard))
    assert "the limit concurrency is 1" in message
    assert code in ("rate_limit_exceeded", "")
    (record,) = stage.records
    assert (record.status, record.outcome, record.error) == (200, "refused", "rate_limit_exceeded")
    assert record.streaming
    assert record.attempts == []
    assert record.bytes_out == len(parted(caller, heard)[1])


def test_an_answer_that_goes_through_as_it_came_follows_byte_by_byte(queued: Callable[..., Queued]) -> None:
    stage = queued()
    client = stage.stream()
    stage.admit()
    stage.call.head(200, SSE, (b"x-upstream", b"lost")).body(EVENT).body(EVENT[:7]).body(EVENT[7:] + DONE, True)
    heard = client.heard()
    assert heard.count(b"HTTP/1.1") == 1
    assert b"x-upstream" not in heard
    assert body_of(heard) == COMMENT + EVENT * 2 + DONE
    assert heard.endswith(b"0\r\n\r\n")
    assert stage.records[-1].bytes_out == len(EVENT * 2 + DONE)
    assert stage.pipeline.inflight == {}


@pytest.mark.parametrize(("repair", "filtered"), [(False, False), (True, False), (False, True)])
def test_an_answer_follows_on_every_way_that_it_may_take(
    queued: Callable[..., Queued], repair: bool, filtered: bool
) -> None:
    stage = queued(*([StripThinking(StripThinkingSettings(), FakeEnvironment())] * filtered), repair=repair)
    client = stage.stream()
    stage.admit()
    answer = HELLO + chunk({"content": " there"}) + chunk({}, "stop") + DONE
    stage.call.head(200, SSE)
    for at in range(0, len(answer), 50):
        stage.call.body(answer[at : at + 50], at + 50 >= len(answer))
    assert streamed("openai", client.heard()).text == "Hello there"
    record = stage.record()
    assert (record.status, record.outcome, record.finish_reason) == (200, "done", "stop")


def test_another_request_may_follow_on_the_connection(queued: Callable[..., Queued]) -> None:
    stage = queued()
    client = stage.stream()
    stage.admit()
    stage.call.head(200, SSE).body(EVENT + DONE, True)
    client.heard()
    client.say(request(body=STREAM))
    stage.call.head(200, SSE).body(EVENT + DONE, True)
    assert body_of(client.heard()) == EVENT + DONE


def test_who_is_let_in_before_the_first_sign_is_answered_as_ever(queued: Callable[..., Queued]) -> None:
    stage = queued()
    client = stage.ask(STREAM)
    stage.wait(EVERY_S - 1)
    stage.admit()
    stage.wait(EVERY_S * 3)
    assert client.heard() == b""
    stage.call.head(429, JSON, (b"retry-after", b"7")).body(FAILURE, True)
    assert told(client)[:1] == (429,)


def test_signs_go_on_until_the_answer_begins_and_then_are_those_of_every_stream(queued: Callable[..., Queued]) -> None:
    stage = queued()
    client = stage.stream()
    client.heard()
    stage.admit()
    stage.wait(EVERY_S)
    stage.call.head(200, SSE).body(b": processing\n\n")
    stage.wait(EVERY_S)
    assert rest(client) == COMMENT * 2
    stage.call.body(EVENT)
    stage.wait(EVERY_S * 3)
    assert rest(client) == b": processing\n\n" + EVENT
    keepalives = kept(stage)
    client.pass_time(4)
    assert rest(client).startswith(COMMENT)
    keepalives.stop()


def test_a_request_that_is_no_stream_waits_in_silence(queued: Callable[..., Queued]) -> None:
    stage = queued()
    client = stage.ask({"model": "m", "messages": []})
    stage.wait(MAX_WAIT_S - 1)
    assert client.heard() == b""
    stage.wait(1)
    assert told(client)[0] == 429


@pytest.mark.parametrize("per", ["caller", "model"])
def test_a_stream_that_is_a_list_cannot_be_begun(queued: Callable[..., Queued], per: str) -> None:
    stage = queued(per=per)
    client = stage.ask(asked("gemini"), "/v1beta/models/m:streamGenerateContent")
    stage.wait(MAX_WAIT_S)
    assert told(client)[0] == 429


def test_none_is_sent_unless_it_is_configured(queued: Callable[..., Queued]) -> None:
    stage = queued(keepalive_s=None)
    client = stage.ask(STREAM)
    stage.wait(MAX_WAIT_S)
    assert told(client)[0] == 429


def test_a_full_line_refuses_with_a_status_of_its_own(queued: Callable[..., Queued]) -> None:
    stage = queued(max_waiting=1)
    stage.stream()
    assert told(stage.ask(STREAM))[0] == 429


def test_a_client_that_leaves_has_left_the_line(queued: Callable[..., Queued]) -> None:
    stage = queued()
    stage.stream().settle()
    (record,) = stage.records
    assert (record.status, record.outcome, record.bytes_out) == (200, "client_gone", 0)
    stage.admit()
    assert len(stage.upstream.calls) == 1
    stage.ask()
    assert len(stage.upstream.calls) == 2


def test_a_client_that_closes_while_it_waits_has_left_the_line(queued: Callable[..., Queued]) -> None:
    stage = queued()
    client = stage.stream()
    client.finish()
    client.settle()
    assert [record.outcome for record in stage.records] == ["client_gone"]


def test_a_client_that_leaves_before_the_answer_began_saw_the_status(queued: Callable[..., Queued]) -> None:
    stage = queued()
    client = stage.stream()
    stage.admit()
    client.settle()
    assert stage.call.aborted
    assert (stage.records[-1].status, stage.records[-1].outcome) == (200, "client_gone")


def test_another_target_may_still_answer(queued: Callable[..., Queued]) -> None:
    stage = queued(models=TWO)
    client = stage.stream()
    stage.admit()
    stage.call.head(500, JSON).body(FAILURE, True)
    stage.call.head(200, SSE).body(EVENT + DONE, True)
    assert body_of(client.heard()) == COMMENT + EVENT + DONE
    record = stage.records[-1]
    assert (record.status, record.outcome, record.error) == (200, "done", None)
    assert [(one.model, one.status) for one in record.attempts] == [("one", 500), ("two", 200)]


def refused_by_status(stage: Queued) -> None:
    stage.call.head(400, JSON).body(FAILURE, True)


def refused_in_a_first_event(stage: Queued) -> None:
    stage.call.head(200, SSE).body(b'data: {"error":{"message":"no","code":"overloaded"}}\n\n')


def unreachable(stage: Queued) -> None:
    stage.call.fail(UpstreamError("no", code="upstream_connection_failed"))


def empty(stage: Queued) -> None:
    stage.call.head(200, SSE).body(b"", True)


def no_stream(stage: Queued) -> None:
    stage.call.head(200, JSON).body(b'{"choices":[]}', True)


def nothing_at_all(stage: Queued) -> None:
    stage.call.head(204)


def in_a_coding(stage: Queued) -> None:
    stage.call.head(200, SSE, (b"content-encoding", b"br")).body(b"packed")


@pytest.mark.parametrize("repair", [False, True])
@pytest.mark.parametrize(
    ("fails", "code"),
    [
        (refused_by_status, "server_error"),
        (refused_in_a_first_event, "overloaded"),
        (unreachable, "upstream_connection_failed"),
        (empty, "empty_answer"),
        (no_stream, "upstream_invalid_response"),
        (nothing_at_all, "upstream_invalid_response"),
        (in_a_coding, "upstream_invalid_response"),
    ],
)
def test_what_fails_ends_the_stream_with_an_error(
    queued: Callable[..., Queued], fails: Any, code: str, repair: bool
) -> None:
    stage = queued(repair=repair)
    client = stage.stream()
    stage.admit()
    fails(stage)
    heard = client.heard()
    assert not heard.endswith(b"0\r\n\r\n")
    body = body_of(heard)
    assert body.startswith(COMMENT)
    assert error_at_end("openai", body)[1] == code
    record = stage.records[-1]
    assert (record.status, record.outcome, record.error) == (200, "upstream_failed", code)
    assert record.streaming
    assert record.bytes_out == len(body) - len(COMMENT)
    assert stage.pipeline.inflight == {}


def test_a_document_of_another_dialect_is_written_as_a_stream(queued: Callable[..., Queued]) -> None:
    stage = queued()
    client = stage.stream("anthropic")
    stage.admit()
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello there"}, "finish_reason": "stop"}
    stage.call.head(200, JSON).body(json.dumps({**CHUNK, "choices": [choice]}).encode(), True)
    assert streamed("anthropic", client.heard()).text == "Hello there"


def test_a_packed_stream_that_is_undone_follows(queued: Callable[..., Queued]) -> None:
    stage = queued()
    client = stage.stream()
    stage.admit()
    stage.call.head(200, SSE, (b"content-encoding", b"gzip")).body(gzip.compress(EVENT + DONE), True)
    assert body_of(client.heard()) == COMMENT + EVENT + DONE


def test_lines_of_ollama_s_own_follow_and_so_does_its_only_line(queued: Callable[..., Queued]) -> None:
    line = b'{"model":"m","created_at":"x","message":{"role":"assistant","content":"Hi"},"done":true}\n'
    for kind in (NDJSON, JSON):
        stage = queued(provider="ollama")
        client = stage.stream("ollama")
        stage.admit()
        stage.call.head(200, kind).body(line, True)
        fields, body = begun(client)
        assert fields["content-type"] == "application/x-ndjson"
        assert [json.loads(one)["done"] for one in body.splitlines()] == [False, True]


def test_what_breaks_after_the_answer_began_is_told_as_ever(queued: Callable[..., Queued]) -> None:
    stage = queued()
    client = stage.stream()
    stage.admit()
    stage.call.head(200, SSE).body(EVENT).fail()
    body = body_of(client.heard())
    assert body.startswith(COMMENT + EVENT)
    assert error_at_end("openai", body)[1] == "upstream_truncated"
    assert (stage.records[-1].status, stage.records[-1].outcome) == (200, "upstream_truncated")


def test_a_daemon_that_ends_tells_those_who_wait(queued: Callable[..., Queued]) -> None:
    stage = queued()
    client = stage.stream()
    waits = next(one for one in stage.pipeline.inflight.values() if one.stream)
    waits.work.stop(Outcome.SHUT_DOWN, UpstreamError("The server is going down.", code="shutting_down"))
    assert error_at_end("openai", body_of(client.heard()))[1] == "shutting_down"
    (record,) = stage.records
    assert (record.status, record.outcome) == (200, "shut_down")
    stage.wait(EVERY_S)
    assert len(stage.upstream.calls) == 1


def test_another_try_is_waited_for_in_company(queued: Callable[..., Queued]) -> None:
    stage = queued(Retry(RetrySettings(base_delay_s=EVERY_S, jitter=0), FakeEnvironment()))
    client = stage.stream()
    stage.admit()
    stage.call.head(503, JSON).body(FAILURE, True)
    stage.wait(EVERY_S)
    stage.call.head(200, SSE).body(EVENT + DONE, True)
    assert begun(client)[1] == COMMENT * 2 + EVENT + DONE
    assert [one.status for one in stage.record().attempts] == [503, 200]


def test_the_line_of_another_limit_goes_on_with_what_was_begun(queued: Callable[..., Queued]) -> None:
    stage = queued(gap_s=9)
    client = stage.stream()
    stage.admit()
    stage.wait(EVERY_S)
    assert len(stage.upstream.calls) == 1
    stage.wait(9)
    stage.call.head(200, SSE).body(EVENT + DONE, True)
    assert begun(client)[1] == COMMENT * 6 + EVENT + DONE


@pytest.mark.parametrize(("status", "kind"), [(200, JSON), (403, SSE)])
def test_what_a_filter_says_that_is_no_stream_ends_in_an_error(
    queued: Callable[..., Queued], status: int, kind: Any
) -> None:
    stage = queued(Says(Answer(status, [kind], b"{}")))
    client = stage.stream()
    stage.admit()
    assert error_at_end("openai", body_of(client.heard()))[1] == "proxy_error"
    record = stage.record()
    assert (record.status, record.outcome, record.error) == (200, "refused", "proxy_error")


def test_a_stream_that_a_filter_gives_follows(queued: Callable[..., Queued]) -> None:
    stage = queued(Says(Answer(200, [SSE], EVENT + DONE)))
    client = stage.stream()
    stage.admit()
    heard = client.heard()
    assert body_of(heard) == COMMENT + EVENT + DONE
    assert heard.endswith(b"0\r\n\r\n")
    record = stage.record()
    assert (record.status, record.outcome, record.bytes_out) == (200, "done", len(EVENT + DONE))


@implementer(IRequestPhase)
class Says:
    """Answers what asks for a stream."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def on_request(self, exchange: Any) -> Answer | None:
        return self._answer if exchange.stream else None


def test_an_answer_behind_signs_is_not_kept_since_its_provider_s_word_on_that_is_lost(
    queued: Callable[..., Queued],
) -> None:
    stage = queued(Cache(CacheSettings(when="always"), FakeEnvironment()))
    stage.ask(STREAM)
    stage.wait(EVERY_S)
    stage.admit()
    for calls in (2, 3):
        assert len(stage.upstream.calls) == calls
        stage.call.head(200, SSE).body(EVENT + DONE, True)
        stage.ask(STREAM)
    assert len(stage.upstream.calls) == 3


def test_what_is_recorded_begins_with_the_head_that_was_sent(queued: Callable[..., Queued]) -> None:
    stage = queued()
    client = stage.stream()
    stage.admit()
    watcher = Watcher()
    (exchange,) = stage.pipeline.inflight.values()
    assert exchange.recording is not None
    exchange.recording.watch([watcher])
    stage.call.head(200, SSE, (b"x-upstream", b"lost")).body(EVENT + DONE, True)
    (head,) = watcher.heads
    fields, _ = begun(client)
    assert head.start == b"HTTP/1.1 200 OK"
    assert {name.decode(): value.decode() for name, value in head.headers}.items() <= fields.items()
    assert watcher.body == EVENT + DONE


@implementer(IWatcher)
class Watcher:
    """Hears an answer."""

    def __init__(self) -> None:
        self.heads: list[MessageHead] = []
        self.body = b""

    def message(self, direction: str, head: MessageHead) -> None:
        self.heads.append(head)

    def piece(self, direction: str, data: bytes) -> None:
        self.body += data

    def ended(self, record: Record) -> None:
        pass


def test_what_may_ask_for_a_stream_is_read_before_it_waits(queued: Callable[..., Queued]) -> None:
    stage = queued(max_waiting=1)
    stage.stream()
    whole = request(body={**STREAM, "padding": "x" * 100_000})
    client = stage.client().say(whole[:-100_000])
    assert client.heard() == b""
    assert told(client.say(whole[-100_000:]))[0] == 429


@pytest.mark.parametrize("path", ["/v1/embeddings", "/raw/chat"])
def test_all_else_is_limited_by_its_head(queued: Callable[..., Queued], path: str) -> None:
    stage = queued(max_waiting=1, routes={"/raw/": ("http://up.example/", "replace")})
    stage.stream()
    head = request(path, body=b"x" * 100_000)[:-100_000]
    assert stage.client().say(head).heard().startswith(b"HTTP/1.1 429 ")


def test_what_was_let_in_by_its_head_is_not_counted_again(queued: Callable[..., Queued]) -> None:
    stage = queued()
    stage.admit()
    stage.ask({"model": "m", "input": "x"}, "/v1/embeddings")
    assert len(stage.upstream.calls) == 2


def test_a_sign_that_never_comes_is_a_configuration_error() -> None:
    section = {"concurrency": 1, "queue": {"max_wait_s": 5.0, "keepalive_s": 5.0}}
    with pytest.raises(ConfigurationError, match="nobody waits for a sign after 5 s, but for max_wait_s at the most"):
        plugin.parse(FakeSection(section))
