"""Event filters: every one is asked, in order, about everything, and nothing goes past one that fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from zope.interface import implementer

from netrunner.errors import Forbidden, InternalError, UpstreamError
from netrunner.events import Event, KeepAlive, TextDelta
from netrunner.filters.strip_thinking import StripThinking, StripThinkingSettings
from netrunner.interfaces import IEventPhase, IResponsePhase
from netrunner.pipeline import lane
from netrunner.pipeline.chain import Chain
from netrunner.testing.fakes import FakeEnvironment
from netrunner.values import ResponseHead
from tests.support.client import answers
from tests.support.logs import FailureLog
from tests.support.stage import DONE, JSON, SSE, Stage, body_of, error_of, request

HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
ROUTE = ("https://up.example/", "replace")


def piece(text: str | None = None, index: int = 0, finish: str | None = None) -> bytes:
    delta = {} if text is None else {"content": text}
    return event({**HEAD, "choices": [{"index": index, "delta": delta, "finish_reason": finish}]})


def event(document: Any) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def answer(*texts: str) -> bytes:
    choices = [
        {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for index, text in enumerate(texts)
    ]
    return json.dumps({"id": "a", "choices": choices, "usage": {"prompt_tokens": 1, "completion_tokens": 2}}).encode()


def said(body: bytes, index: int = 0) -> str:
    """Return the text of one choice of a stream."""
    documents = [json.loads(one[6:]) for one in body.split(b"\n\n") if one.startswith(b"data: {")]
    choices = [choice for document in documents for choice in document.get("choices", ())]
    return "".join(choice["delta"].get("content") or "" for choice in choices if choice["index"] == index)


@implementer(IEventPhase)
class Texts:
    """Does to every text what it is told, and notes every event it sees."""

    hold_back_bytes = 8
    hold_back_s = 1.0

    def __init__(self, change: Callable[[TextDelta], Any] = lambda one: one, held: Any = ()) -> None:
        self.seen: list[Event | str] = []
        self.change = change
        self.held = held

    def on_event(self, exchange: Any, event: Event) -> Any:
        self.seen.append(event)
        return self.change(event) if isinstance(event, TextDelta) else event

    def on_end(self, exchange: Any) -> Any:
        self.seen.append("end")
        return self.held

    @property
    def kinds(self) -> list[str]:
        """What it saw, by name."""
        return [one if isinstance(one, str) else type(one).__name__ for one in self.seen]


def add(suffix: str) -> Callable[[TextDelta], TextDelta]:
    return lambda one: msgspec.structs.replace(one, text=one.text + suffix)


def stripping() -> StripThinking:
    return StripThinking(StripThinkingSettings(), FakeEnvironment())


def failing(event: TextDelta) -> Any:
    raise ValueError("secret")


# The chain alone.


class Exchange:
    """As much of an exchange as the chain needs."""

    id = "x"


def test_filters_pass_events_on_in_order_and_what_one_adds_the_next_sees() -> None:
    first = Texts(lambda one: [one, TextDelta(text="b")])
    second = Texts(add("!"))
    made = Chain([first, second]).on_event(Exchange(), TextDelta(text="a"))
    assert made == [TextDelta(text="a!"), TextDelta(text="b!")]


def test_what_one_filter_drops_the_next_does_not_see() -> None:
    second = Texts()
    assert Chain([Texts(lambda one: None), second]).on_event(Exchange(), TextDelta(text="a")) == []
    assert second.seen == []


def test_an_untouched_event_stays_the_same_object() -> None:
    untouched = KeepAlive()
    assert Chain([Texts(), Texts()]).on_event(Exchange(), untouched)[0] is untouched


def test_what_was_held_back_passes_the_later_filters_before_they_are_asked_for_theirs() -> None:
    last = Texts(add("!"), held=[TextDelta(text="2")])
    first = Texts(add("?"), held=(TextDelta(text="1"),))
    assert Chain([first, last]).on_end(Exchange()) == [TextDelta(text="1!"), TextDelta(text="2")]
    assert last.kinds == ["TextDelta", "end"]


@pytest.mark.parametrize("wrong", ["text", 1, [1], {"a": 1}, iter(()), True])
def test_what_is_no_event_is_the_filters_failure(wrong: Any, logged_failures: FailureLog) -> None:
    for call in (
        lambda: Chain([Texts(lambda one: wrong)]).on_event(Exchange(), TextDelta(text="a")),
        lambda: Chain([Texts(held=wrong)]).on_end(Exchange()),
    ):
        with pytest.raises(InternalError) as caught:
            call()
        assert caught.value.code == "filter_failed"
    assert len(logged_failures.flush(TypeError)) == 2


def test_more_held_back_than_declared_is_the_filters_failure_choice_by_choice(logged_failures: FailureLog) -> None:
    held = [TextDelta(text="x" * 8, choice=choice) for choice in range(3)]
    assert Chain([Texts(held=held)]).on_end(Exchange()) == held
    with pytest.raises(InternalError):
        Chain([Texts(held=[TextDelta(text="é" * 4), TextDelta(text="x")])]).on_end(Exchange())
    assert len(logged_failures.flush(ValueError)) == 1


# Through the relay.


def test_an_answer_that_no_filter_changes_keeps_its_bytes() -> None:
    stage = Stage(Texts())
    client = stage.ask()
    stream = piece("a") + b": hi\n\n" + piece("b") + piece(finish="stop") + event({"choices": [], "usage": {}}) + DONE
    stage.call.head(200, SSE, (b"content-length", b"%d" % len(stream)))
    for at in range(len(stream)):
        stage.call.body(stream[at : at + 1])
    stage.call.body(b"", True)
    heard = client.heard()
    assert body_of(heard) == stream
    assert heard.endswith(b"0\r\n\r\n")
    assert b"content-length" not in heard
    assert b"x-accel-buffering: no" in heard
    whole = stage.ask()
    stage.call.head(200, JSON).body(answer("a")[:9]).body(answer("a")[9:], True)
    assert answers(whole.heard(), b"POST")[0].body == answer("a")


def test_thinking_is_taken_out_of_a_stream_cut_anywhere_and_usage_is_recorded() -> None:
    usage = event({**HEAD, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}})
    texts = list("a<think>hidden</think>b")
    stream = b"".join(piece(text, index) for text in texts for index in range(2))
    stream += piece(finish="stop") + piece(index=1, finish="length") + usage + DONE
    stage = Stage(stripping())
    client = stage.ask()
    stage.call.head(200, SSE)
    for at in range(0, len(stream), 7):
        stage.call.body(stream[at : at + 7])
    stage.call.body(b"", True)
    body = body_of(client.heard())
    assert (said(body), said(body, 1)) == ("ab", "ab")
    assert body.count(b'"finish_reason": "stop"') == body.count(b'"finish_reason": "length"') == 1
    assert body.endswith(usage + DONE)
    record = stage.record()
    assert (record.outcome, record.finish_reason) == ("done", "length")
    assert record.usage is not None
    assert record.bytes_out == len(body)


def test_thinking_is_taken_out_of_a_whole_answer_and_its_length_is_the_new_one() -> None:
    stage = Stage(stripping())
    client = stage.ask()
    body = answer("<think>hidden</think>a", "b<think>hidden", "c<th")
    stage.call.head(200, JSON, (b"content-length", b"%d" % len(body))).body(body[:50])
    assert client.heard() == b""
    stage.call.body(body[50:], True)
    heard = client.heard()
    (got,) = answers(heard, b"POST")
    assert [choice["message"]["content"] for choice in json.loads(got.body)["choices"]] == ["a", "b", "c<th"]
    assert heard.count(b"content-length:") == 1
    record = stage.record()
    assert record.bytes_out == len(got.body)
    assert record.usage is not None


def test_text_still_held_back_comes_before_the_finish_which_waits_for_the_end() -> None:
    class Hoarder(Texts):
        def on_event(self, exchange: Any, event: Event) -> Any:
            super().on_event(exchange, event)
            return None if isinstance(event, TextDelta) else event

    stage = Stage(Hoarder(held=[TextDelta(text="late")]), after := Texts(add("!")))
    client = stage.ask()
    stage.call.head(200, SSE).body(piece("lost") + piece("also", finish="stop") + event({"choices": [], "usage": {}}))
    assert client.heard() == b"" or said(body_of(client.heard())) == ""
    stage.call.body(DONE).body(b"", True)
    body = body_of(client.heard())
    assert body.index(b"late!") < body.index(b'"finish_reason":"stop"') < body.index(b'"usage"') < body.index(b"[DONE]")
    assert after.kinds.index("TextDelta") < after.kinds.index("end") < after.kinds.index("Finish")


def test_a_stream_that_ends_without_done_is_flushed_by_its_end() -> None:
    stage = Stage(Texts(held=[TextDelta(text="late")]))
    client = stage.ask()
    stage.call.head(200, SSE).body(piece("a") + piece(finish="stop")).body(b"", True)
    heard = client.heard()
    assert said(body_of(heard)) == "alate"
    assert heard.endswith(b"0\r\n\r\n")


def test_a_stream_that_ends_without_a_finish_is_no_complete_one() -> None:
    stage = Stage(Texts())
    client = stage.ask()
    stage.call.head(200, SSE).body(piece("a")).body(b"", True)
    heard = client.heard()
    assert error_of(body_of(heard).split(b"data: ")[-1])["code"] == "upstream_truncated"
    assert not heard.endswith(b"0\r\n\r\n")
    assert stage.record().outcome == "upstream_truncated"


@pytest.mark.parametrize("bad", [failing, lambda one: "text", lambda one: [None]])
def test_a_filter_that_fails_at_once_is_a_clean_error(bad: Any, logged_failures: FailureLog) -> None:
    for head, body in ((SSE, piece("canary")), (JSON, answer("canary"))):
        stage = Stage(Texts(bad))
        client = stage.ask()
        stage.call.head(200, head).body(body, head is JSON)
        heard = client.heard()
        (got,) = answers(heard, b"POST")
        assert (got.status, error_of(got.body)["code"]) == (500, "filter_failed")
        assert b"canary" not in heard
        assert b"secret" not in heard
        assert stage.call.aborted
        assert stage.record().error == "filter_failed"
        assert len(logged_failures.flush(ValueError, TypeError)) == 1


def test_a_filter_that_fails_in_the_middle_ends_the_stream_without_a_clean_end(logged_failures: FailureLog) -> None:
    stage = Stage(Texts(lambda one: failing(one) if one.text == "canary" else one))
    client = stage.ask()
    stage.call.head(200, SSE).body(piece("a")).body(piece("b") + piece("canary") + piece(finish="stop") + DONE)
    heard = client.heard()
    assert error_of(body_of(heard).split(b"data: ")[-1])["code"] == "filter_failed"
    assert b"canary" not in heard
    assert b"[DONE]" not in heard
    assert not heard.endswith(b"0\r\n\r\n")
    assert stage.call.aborted
    assert client.transport.disconnecting
    assert stage.record().error == "filter_failed"
    assert len(logged_failures.flush(ValueError)) == 1


def test_a_filter_may_refuse_what_it_sees() -> None:
    def refuse(one: TextDelta) -> Any:
        raise Forbidden("No.", code="not_this")

    stage = Stage(Texts(refuse))
    client = stage.ask()
    stage.call.head(200, JSON).body(answer("canary"), True)
    (got,) = answers(client.heard(), b"POST")
    assert (got.status, error_of(got.body)["code"]) == (403, "not_this")


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ([JSON], b"<html>canary</html>"),
        ([JSON], b'{"output": "canary"}'),
        ([(b"content-type", b"text/html")], b"canary"),
        ([JSON], piece("canary")),
        ([SSE], b'data: {"choices": [{"delta": {"content": [{"text": "canary"}]}}]}\n\n'),
        ([JSON, (b"content-encoding", b"br")], b"canary"),
        ([SSE, (b"content-encoding", b"br")], b"canary"),
    ],
)
def test_an_answer_that_cannot_be_read_is_a_bad_gateway(fields: Any, body: bytes) -> None:
    stage = Stage(Texts())
    client = stage.ask()
    stage.call.head(200, *fields).body(body, True)
    heard = client.heard()
    assert answers(heard, b"POST")[0].status == 502
    assert b"canary" not in heard
    assert stage.record().outcome == "upstream_failed"


def test_a_stream_that_becomes_unreadable_ends_with_an_error() -> None:
    stage = Stage(Texts())
    client = stage.ask()
    stage.call.head(200, SSE).body(piece("a")).body(b"data: {canary\n\n")
    heard = client.heard()
    assert error_of(body_of(heard).split(b"data: ")[-1])["code"] == "upstream_invalid_response"
    assert b"canary" not in heard
    assert stage.record().outcome == "upstream_truncated"


def test_a_late_error_of_the_provider_ends_the_stream_and_what_is_held_back_stays_so() -> None:
    stage = Stage(Texts(held=[TextDelta(text="canary")]))
    client = stage.ask()
    late = b'data: {"error":{"message":"boo","code":"server_error"}}\n\n'
    stage.call.head(200, SSE).body(piece("a")).body(late).body(b"", True)
    assert body_of(client.heard()) == piece("a") + late
    assert stage.record().error == "server_error"


def test_nothing_follows_the_end_of_a_stream() -> None:
    stage = Stage(Texts())
    client = stage.ask()
    stage.call.head(200, SSE).body(piece("a") + DONE + DONE + b": bye\n\n").body(piece("canary"))
    heard = client.heard()
    assert b": bye" in heard
    assert b"canary" not in heard


def test_an_answer_too_large_to_be_filtered_is_a_bad_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netrunner.pipeline.run.MAX_ANSWER_BYTES", 1000)
    stage = Stage(Texts())
    client = stage.ask()
    stage.call.head(200, JSON).body(b"x" * 600).body(b"x" * 600)
    (got,) = answers(client.heard(), b"POST")
    assert (got.status, error_of(got.body)["code"]) == (502, "answer_too_large")
    assert stage.call.aborted


def test_endless_finishes_are_not_waited_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "MAX_ANSWER_BYTES", 1000)
    stage = Stage(Texts())
    client = stage.ask()
    stage.call.head(200, SSE).body(piece("a")).body(b"".join(piece(index=n, finish="stop") for n in range(40)))
    assert error_of(body_of(client.heard()).split(b"data: ")[-1])["code"] == "answer_too_large"


def test_an_upstream_that_breaks_off_shows() -> None:
    stage = Stage(Texts())
    client = stage.ask()
    stage.call.head(200, SSE).body(piece("a") + b'data: {"cho').fail(UpstreamError("x", code="upstream_truncated"))
    told = body_of(client.heard())
    assert told.startswith(piece("a") + b"data: ")
    assert error_of(told.split(b"data: ")[-1])["code"] == "upstream_truncated"
    assert stage.record().outcome == "upstream_truncated"


def test_an_error_answer_holds_no_events_and_is_relayed_as_received() -> None:
    stage = Stage(seen := Texts())
    client = stage.ask()
    stage.call.head(400, JSON).body(b'{"error":{"message":"no"}}', True)
    assert answers(client.heard(), b"POST")[0].body == b'{"error":{"message":"no"}}'
    assert seen.seen == []


def test_a_new_status_from_another_filter_opens_no_way_past() -> None:
    @implementer(IResponsePhase)
    class Teapot:
        async def on_response(self, exchange: Any, head: ResponseHead) -> ResponseHead:
            return msgspec.structs.replace(head, status=418)

    stage = Stage(Teapot(), stripping())
    client = stage.ask()
    stage.call.head(200, JSON).body(answer("<think>canary</think>a"), True)
    heard = client.heard()
    assert answers(heard, b"POST")[0].status == 418
    assert b"canary" not in heard


@pytest.mark.parametrize("endpoint", ["images/generations", "audio/transcriptions", "audio/speech"])
def test_an_endpoint_that_filters_could_not_see_is_refused_by_name(endpoint: str) -> None:
    stage = Stage(Texts())
    client = stage.ask(path=f"/v1/{endpoint}")
    (got,) = answers(client.heard(), b"POST")
    assert (got.status, error_of(got.body)["code"]) == (501, "filter_unsupported")
    assert "Texts" in error_of(got.body)["message"]
    assert stage.upstream.calls == []
    assert stage.record().error == "filter_unsupported"


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/moderations"])
def test_an_endpoint_without_texts_of_a_model_is_served_as_ever(path: str) -> None:
    stage = Stage(Texts())
    client = stage.ask(path=path)
    stage.call.head(200, JSON).body(b'{"data": []}', True)
    assert answers(client.heard(), b"POST")[0].body == b'{"data": []}'


def test_a_websocket_is_refused() -> None:
    stage = Stage(Texts(), key="passthrough")
    client = stage.client().say(
        b"GET /v1/realtime?model=m HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert b" 501 " in client.heard().split(b"\r\n")[0]
    assert stage.upstream.calls == []


def test_a_chat_that_offers_another_protocol_is_filtered_as_any_other() -> None:
    stage = Stage(stripping())
    fields = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: eA==", "Sec-WebSocket-Version: 13")
    client = stage.client().say(request("/v1/chat/completions", {"model": "m"}, *fields))
    assert stage.call.request.upgrade is None
    stage.call.head(200, JSON).body(answer("<think>canary</think>a"), True)
    assert b"canary" not in client.heard()


def test_a_raw_route_has_no_event_phase() -> None:
    stage = Stage(seen := Texts(), routes={"/raw/": ROUTE})
    client = stage.ask(path="/raw/v1/chat/completions")
    stage.call.head(200, JSON, (b"content-length", b"3")).body(b"any", True)
    assert answers(client.heard(), b"POST")[0].body == b"any"
    assert seen.seen == []


def test_without_event_filters_nothing_is_read() -> None:
    stage = Stage()
    client = stage.ask()
    stage.call.head(200, JSON, (b"content-length", b"3")).body(b"any", True)
    assert answers(client.heard(), b"POST")[0].body == b"any"


def test_completions_are_filtered_too() -> None:
    stage = Stage(stripping())
    client = stage.ask(path="/v1/completions")
    choice = {"index": 0, "text": "a<think>x</think>b", "finish_reason": "stop"}
    stage.call.head(200, JSON).body(json.dumps({"choices": [choice]}).encode(), True)
    assert json.loads(answers(client.heard(), b"POST")[0].body)["choices"][0]["text"] == "ab"
