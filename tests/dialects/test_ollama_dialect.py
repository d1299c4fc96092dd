"""Ollama's dialect: routing, errors, and which endpoints it knows."""

from __future__ import annotations

import json

import pytest
from zope.interface.verify import verifyObject

from netrunner.dialects.conversation import Asked, Conversation, Embedding, Operation
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.interfaces import IDecoder, IDialect, IEncoder, IEventCodec, ITap, ITranslates
from netrunner.dialects.ollama.dialect import OllamaDialect
from netrunner.errors import BadRequest, InternalError, NotFound, Overloaded, UpstreamError, UpstreamTimeout
from netrunner.values import Envelope

dialect = OllamaDialect()


def envelope(body: str, endpoint: str = "chat") -> Envelope:
    return dialect.envelope(endpoint, b"", body.encode(), b"")


def asked(endpoint: str, request: Conversation | Embedding, stream: bool = True) -> Asked:
    return Asked(
        id="i",
        model="m",
        endpoint=endpoint,
        stream=stream,
        wants_usage=False,
        at=0.0,
        elapsed_s=lambda: 1.0,
        request=request,
    )


def test_its_parts_are_what_they_say():
    assert verifyObject(IDialect, dialect)
    assert verifyObject(ITranslates, dialect)
    assert verifyObject(IDecoder, dialect.decoder("chat", True, 100))
    assert verifyObject(IEncoder, dialect.encoder(asked("chat", Conversation())))
    assert verifyObject(IEncoder, dialect.encoder(asked("embed", Embedding(inputs=("a",)))))
    assert verifyObject(IEventCodec, dialect.events("chat", True, 100))
    assert verifyObject(ITap, dialect.tap(True))
    assert verifyObject(ITap, dialect.tap(False))


@pytest.mark.parametrize(
    ("method", "endpoint", "operation", "has_events"),
    [
        (b"POST", "chat", Operation.CHAT, True),
        (b"POST", "generate", Operation.CHAT, True),
        (b"POST", "embed", Operation.EMBED, False),
        (b"POST", "embeddings", Operation.EMBED, False),
        (b"GET", "chat", None, None),
        (b"GET", "tags", None, False),
        (b"POST", "show", None, False),
        (b"POST", "pull", None, None),
    ],
)
def test_endpoints_are_known_by_method(method, endpoint, operation, has_events):
    assert dialect.operation(method, endpoint) is operation
    assert dialect.has_events(method, endpoint) is has_events


@pytest.mark.parametrize(
    ("body", "endpoint", "stream"),
    [
        ('{"model":"m"}', "chat", True),
        ('{"model":"m"}', "generate", True),
        ('{"model":"m","stream":null}', "chat", True),
        ('{"model":"m","stream":true}', "chat", True),
        ('{"model":"m","stream":false}', "chat", False),
        ('{"model":"m"}', "embed", False),
    ],
)
def test_chats_and_completions_stream_unless_they_decline(body, endpoint, stream):
    found = envelope(body, endpoint)
    assert (found.model, found.stream) == ("m", stream)


def test_a_body_is_json_whatever_it_says_it_is():
    form = b"application/x-www-form-urlencoded"
    assert dialect.envelope("chat", form, b'{"model":"m"}', b"").model == "m"
    assert dialect.envelope("chat", form, b"", b"").model is None
    with pytest.raises(BadRequest):
        dialect.envelope("chat", form, b"model=m", b"")


def test_a_model_is_needed_where_one_is_asked():
    assert dialect.needs_model == {"chat", "generate", "embed", "embeddings"}
    with pytest.raises(BadRequest):
        envelope('{"model":""}')


def test_a_model_is_renamed_and_every_other_byte_kept():
    found = envelope('{ "model" : "a", "x":1.50}')
    assert dialect.rename(found, "b") == b'{ "model" : "b", "x":1.50}'
    found.body = b'{"y":2,"model":"a"}'
    assert dialect.rename(found, "b") == b'{"y":2,"model":"b"}'
    assert dialect.rename(envelope('{"x":1}'), "b") == b'{"x":1}'
    assert dialect.address("chat", "b") == "chat"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadRequest("messages: must be a list."), 400),
        (NotFound("model 'x' not found"), 404),
        (Overloaded("Too many."), 503),
        (UpstreamError("It broke."), 502),
        (UpstreamTimeout("Too late."), 504),
    ],
)
def test_an_error_is_one_text_with_its_code(error, status):
    expected = {"error": error.message, "code": error.code}
    assert (dialect.status(error), json.loads(dialect.error(error))) == (status, expected)
    line = dialect.error_event(error)
    assert line.endswith(dialect.event_ends[0])
    assert (line.count(b"\n"), json.loads(line)) == (1, expected)


@pytest.mark.parametrize(
    ("endpoint", "empty"),
    [("chat", {"message": {"role": "assistant", "content": ""}}), ("generate", {"response": ""})],
)
def test_a_keepalive_is_an_empty_piece_of_the_answer(endpoint, empty):
    line = dialect.keepalive(endpoint, "llama3", 0.5)
    assert line.count(b"\n") == 1
    head = {"model": "llama3", "created_at": "1970-01-01T00:00:00.500Z"}
    assert json.loads(line) == {**head, **empty, "done": False}
    assert len(dialect.decoder(endpoint, True, 1000).feed(line, False)) == 1


def test_what_else_ollama_streams_has_no_keepalive():
    assert dialect.keepalive("pull", "llama3", 0.0) == b""


def test_a_request_is_read_and_written():
    gaps = Gaps()
    request = dialect.read(envelope('{"model":"a","prompt":"Hi"}', "generate"), "generate", gaps)
    written = dialect.write(request, "b", True, gaps)
    assert (written.endpoint, json.loads(written.body)) == (
        "chat",
        {"model": "b", "messages": [{"role": "user", "content": "Hi"}], "stream": True},
    )


def test_a_request_for_a_model_is_answered_here():
    request = dialect.read(envelope('{"model":"a","messages":[]}'), "chat", Gaps())
    answer = dialect.loaded(asked("chat", request))
    assert answer is not None
    assert json.loads(answer.body)["done_reason"] == "load"


def test_tokens_are_not_counted_here():
    with pytest.raises(InternalError):
        dialect.counted(7)
