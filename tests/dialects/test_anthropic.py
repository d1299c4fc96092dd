"""Anthropic's dialect as the pipeline uses it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from netrunner import sse
from netrunner.dialects.anthropic.dialect import AnthropicDialect
from netrunner.dialects.conversation import Asked, Conversation, Embedding, Operation
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.interfaces import IDecoder, IDialect, IEncoder, IEventCodec, IRequestView, ITap, ITranslates
from netrunner.errors import (
    BadRequest,
    ExchangeError,
    NotFound,
    Overloaded,
    RateLimited,
    UnsupportedParameter,
    UpstreamTimeout,
)
from netrunner.events import Finish, FinishKind, StreamError
from netrunner.values import Envelope

dialect = AnthropicDialect()
BODY = b'{"max_tokens": 9, "model" : "m\\u0061", "stream":true, "messages":[{"role":"user","content":"Hi"}]}'


def envelope(body: bytes = BODY, endpoint: str = "messages") -> Envelope:
    return dialect.envelope(endpoint, b"application/json", body, b"beta=true")


def asked() -> Asked:
    return Asked(
        id="0-1",
        model="m",
        endpoint="messages",
        stream=True,
        wants_usage=True,
        at=0.0,
        elapsed_s=float,
        request=Conversation(),
    )


def test_it_is_a_dialect_that_translates() -> None:
    assert verifyObject(IDialect, dialect)
    assert verifyObject(ITranslates, dialect)
    assert verifyObject(IDecoder, dialect.decoder("messages", True, 1000))
    assert verifyObject(IEncoder, dialect.encoder(asked()))
    assert verifyObject(IEventCodec, dialect.events("messages", True, 1000))
    assert verifyObject(IRequestView, dialect.view(None))
    assert verifyObject(ITap, dialect.tap(True))
    assert verifyObject(ITap, dialect.tap(False))


def test_routing_reads_the_model_and_whether_to_stream() -> None:
    found = envelope()
    assert (found.model, found.stream, found.wants_usage) == ("ma", True, True)
    assert (envelope(b"").model, envelope(b"{}").model) == (None, None)
    with pytest.raises(BadRequest):
        envelope(b"[]")


def test_the_model_is_replaced_and_every_other_byte_stays() -> None:
    found = envelope()
    assert dialect.rename(found, "other") == BODY.replace(b'"m\\u0061"', b'"other"')
    found.body = found.body.replace(b"Hi", b"Hello")
    assert b'"other"' in dialect.rename(found, "other")
    assert b"Hello" in dialect.rename(found, "other")
    assert dialect.rename(envelope(b"{}"), "other") == b"{}"
    assert dialect.address("messages", "other") == "messages"


@pytest.mark.parametrize(
    ("method", "endpoint", "operation", "events"),
    [
        (b"POST", "messages", Operation.CHAT, True),
        (b"POST", "messages/count_tokens", Operation.COUNT, False),
        (b"GET", "messages", None, None),
        (b"POST", "messages/batches", None, None),
        (b"GET", "models", None, False),
        (b"GET", "models/claude", None, False),
    ],
)
def test_endpoints_are_known_by_what_they_ask(method: bytes, endpoint: str, operation: Any, events: Any) -> None:
    assert dialect.operation(method, endpoint) is operation
    assert dialect.has_events(method, endpoint) is events


def test_a_request_is_read_and_written() -> None:
    request = dialect.read(envelope(), "messages", Gaps())
    written = dialect.write(request, "claude-sonnet-4-5", True, Gaps())
    assert json.loads(written.body)["stream"] is True
    counted = envelope(b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}')
    assert dialect.read(counted, "messages/count_tokens", Gaps()).max_tokens is None


def test_embeddings_are_nothing_this_dialect_has() -> None:
    gaps = Gaps()
    gaps.called("inputs", "input")
    with pytest.raises(UnsupportedParameter) as raised:
        dialect.write(Embedding(inputs=("x",)), "claude", False, gaps)
    assert raised.value.param == "input"


ERRORS: list[tuple[ExchangeError, int, str]] = [
    (BadRequest("No.", code="invalid_value", param="top_k"), 400, "invalid_request_error"),
    (NotFound("No."), 404, "not_found_error"),
    (RateLimited("No."), 429, "rate_limit_error"),
    (Overloaded("No."), 529, "overloaded_error"),
    (UpstreamTimeout("No."), 504, "timeout_error"),
    (ExchangeError("No."), 500, "api_error"),
]


@pytest.mark.parametrize(("error", "status", "kind"), ERRORS)
def test_errors_have_anthropics_shape_and_netrunners_code(error: ExchangeError, status: int, kind: str) -> None:
    told = {"type": kind, "message": "No.", "code": error.code}
    if error.param:
        told["param"] = error.param
    assert dialect.status(error) == status
    assert json.loads(dialect.error(error)) == {"type": "error", "error": told}
    (event,) = sse.Reader().feed(dialect.error_event(error))
    assert (event.name, json.loads(event.data)) == (b"error", {"type": "error", "error": told})


def test_an_error_event_is_read_again_as_what_it_was() -> None:
    (event,) = dialect.decoder("messages", True, 1000).feed(dialect.error_event(Overloaded("No.")), True)
    assert isinstance(event, StreamError)
    assert (event.kind, event.message, event.code) == ("overloaded", "No.", "overloaded_error")


def test_keepalives_are_events_that_clients_pass_over() -> None:
    assert dialect.keepalive("messages", "claude", 0.0) == b'event: ping\ndata: {"type":"ping"}\n\n'
    assert dialect.encoder(asked()).write([Finish(kind=FinishKind.STOP)]).startswith(b"event: message_start\n")


def test_tokens_are_told_as_a_count() -> None:
    assert dialect.counted(12) == b'{"input_tokens":12}'


def test_models_are_listed_in_anthropics_form() -> None:
    assert json.loads(AnthropicDialect().models_document(["a", "b"])) == {
        "data": [
            {"type": "model", "id": "a", "display_name": "a", "created_at": "1970-01-01T00:00:00Z"},
            {"type": "model", "id": "b", "display_name": "b", "created_at": "1970-01-01T00:00:00Z"},
        ],
        "has_more": False,
        "first_id": "a",
        "last_id": "b",
    }
    assert json.loads(AnthropicDialect().models_document([])) == {
        "data": [],
        "has_more": False,
        "first_id": None,
        "last_id": None,
    }


def test_credentials_are_not_among_the_fields_that_pass() -> None:
    assert {b"anthropic-version", b"anthropic-beta"} <= dialect.passes
    assert not {b"x-api-key", b"authorization"} & dialect.passes
