"""Gemini's dialect: paths, models, errors, and which answers can be looked into."""

from __future__ import annotations

import json
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from netrunner.dialects.conversation import Asked, Conversation, Embedding, Operation
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.gemini.decoder import Decoder
from netrunner.dialects.gemini.dialect import GeminiDialect
from netrunner.dialects.gemini.embeddings import EmbeddingDecoder, EmbeddingEncoder
from netrunner.dialects.gemini.encoder import Encoder
from netrunner.dialects.gemini.events import EventCodec
from netrunner.dialects.gemini.tap import AnswerTap, StreamTap
from netrunner.dialects.gemini.view import GeminiView
from netrunner.dialects.interfaces import (
    IDecoder,
    IDialect,
    IEncoder,
    IEventCodec,
    IRequestView,
    ITap,
    ITranslates,
)
from netrunner.errors import (
    BadRequest,
    ExchangeError,
    Forbidden,
    InternalError,
    NotFound,
    Overloaded,
    RateLimited,
    TooLarge,
    Unauthenticated,
    UnsupportedParameter,
    UpstreamRejected,
    UpstreamTimeout,
)

GEMINI = GeminiDialect()
BODY = b'{"contents":[{"parts":[{"text":"x"}]}]}'


def envelope(endpoint: str, body: bytes = BODY) -> Any:
    return GEMINI.envelope(endpoint, b"application/json", body, b"")


def test_everything_does_what_its_interface_says():
    verifyObject(IDialect, GEMINI)
    verifyObject(ITranslates, GEMINI)
    verifyObject(IEventCodec, GEMINI.events("models/m:generateContent", True, 1))
    verifyObject(IRequestView, GEMINI.view(None))
    for tap in (GEMINI.tap(True), GEMINI.tap(False)):
        verifyObject(ITap, tap)
    for endpoint in ("models/m:generateContent", "models/m:embedContent"):
        verifyObject(IDecoder, GEMINI.decoder(endpoint, True, 1))
    for request in (Conversation(), Embedding(inputs=())):
        asked = Asked(
            id="", model="", endpoint="", stream=True, wants_usage=True, at=0, elapsed_s=lambda: 0.0, request=request
        )
        verifyObject(IEncoder, GEMINI.encoder(asked))


@pytest.mark.parametrize(
    ("endpoint", "model", "stream"),
    [
        ("models/gemini-x:generateContent", "gemini-x", False),
        ("models/gemini-x:streamGenerateContent", "gemini-x", True),
        ("models/llama3:8b:generateContent", "llama3:8b", False),
        ("models/org/name%20x%3AgenerateContent", "org/name x", False),
        ("tunedModels/x:generateContent", "tunedModels/x", False),
        ("models/models/x:countTokens", "models/x", False),
        ("models/x:predict", "x", False),
        ("models", None, False),
        ("models/x", None, False),
        ("models/:generateContent", None, False),
        ("cachedContents/x:generateContent", None, False),
    ],
)
def test_the_path_names_the_model_and_whether_to_stream(endpoint, model, stream):
    found = envelope(endpoint)
    assert (found.model, found.stream, found.wants_usage) == (model, stream, True)


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"a":"\xff"}', b'{"a":' + b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(body):
    with pytest.raises(BadRequest) as caught:
        envelope("models/x:generateContent", body)
    assert caught.value.code == "invalid_json"


def test_other_bodies_are_left_alone():
    assert envelope("models/x:predict", b"\xff").body == b"\xff"
    assert envelope("models/x:generateContent", b"").body == b""


@pytest.mark.parametrize(
    ("endpoint", "model", "address"),
    [
        ("models/a:generateContent", "b", "models/b:generateContent"),
        ("models/a:generateContent", "models/b", "models/b:generateContent"),
        ("tunedModels/a:countTokens", "b c", "models/b%20c:countTokens"),
        ("models/a:embedContent", "tunedModels/b", "tunedModels/b:embedContent"),
        ("models/a:x", "org/b:8?", "models/org/b:8%3F:x"),
        ("models", "b", "models"),
        ("models/a", "b", "models/a"),
    ],
)
def test_another_models_name_is_put_into_the_path(endpoint, model, address):
    assert GEMINI.address(endpoint, model) == address


def test_a_path_names_the_model_that_was_put_there():
    for model in ("b", "tunedModels/b", "org/b c:d", "ü"):
        assert envelope(GEMINI.address("models/a:generateContent", model)).model == model


@pytest.mark.parametrize(
    ("body", "renamed"),
    [
        (BODY, BODY),
        (
            b'{ "contents" : [{"parts":[{"text":"\\"model\\""}]}]}',
            b'{ "contents" : [{"parts":[{"text":"\\"model\\""}]}]}',
        ),
        (b'{ "labels": {"model": "x"} }', b'{ "labels": {"model": "x"} }'),
        (b'{"model":"models/a","content": {}}', b'{"model":"models/b","content":{}}'),
        (b'{"requests":[{"model":"models/a","content":{}}]}', b'{"requests":[{"model":"models/b","content":{}}]}'),
        (
            b'{"generateContentRequest":{"model":"models/a","x":1}}',
            b'{"generateContentRequest":{"model":"models/b","x":1}}',
        ),
        (b'{"requests":["model"]}', b'{"requests":["model"]}'),
    ],
)
def test_a_name_in_the_body_is_replaced_where_there_is_one(body, renamed):
    assert json.loads(GEMINI.rename(envelope("models/a:embedContent", body), "b")) == json.loads(renamed)
    if b"models/b" not in renamed:
        assert GEMINI.rename(envelope("models/a:embedContent", body), "b") == body


@pytest.mark.parametrize(
    ("method", "endpoint", "operation", "has_events"),
    [
        (b"POST", "models/x:generateContent", Operation.CHAT, True),
        (b"POST", "models/x:streamGenerateContent", Operation.CHAT, True),
        (b"POST", "tunedModels/x:streamGenerateContent", Operation.CHAT, True),
        (b"POST", "models/x:countTokens", Operation.COUNT, False),
        (b"POST", "models/x:embedContent", Operation.EMBED, False),
        (b"POST", "models/x:batchEmbedContents", Operation.EMBED, False),
        (b"POST", "models/x:predict", None, None),
        (b"GET", "models", None, False),
        (b"GET", "models/x", None, False),
        (b"GET", "files", None, None),
        (b"POST", "models", None, None),
    ],
)
def test_endpoints_ask_for_something(method, endpoint, operation, has_events):
    assert GEMINI.operation(method, endpoint) is operation
    assert GEMINI.has_events(method, endpoint) is has_events


def test_each_endpoint_has_its_readers_and_writers():
    assert isinstance(GEMINI.decoder("models/x:generateContent", False, 1), Decoder)
    assert isinstance(GEMINI.decoder("models/x:batchEmbedContents", False, 1), EmbeddingDecoder)
    assert isinstance(GEMINI.events("models/x:generateContent", True, 1), EventCodec)
    assert isinstance(GEMINI.tap(True), StreamTap)
    assert isinstance(GEMINI.tap(False), AnswerTap)
    assert isinstance(GEMINI.view(envelope("models/x:generateContent")), GeminiView)
    embedding = GEMINI.read(
        envelope("models/x:embedContent", b'{"content":{"parts":[]}}'), "models/x:embedContent", Gaps()
    )
    assert isinstance(embedding, Embedding)
    chat = GEMINI.read(envelope("models/x:countTokens"), "models/x:countTokens", Gaps())
    assert isinstance(chat, Conversation)
    for request, kind in ((chat, Encoder), (embedding, EmbeddingEncoder)):
        asked = Asked(
            id="", model="", endpoint="", stream=False, wants_usage=True, at=0, elapsed_s=float, request=request
        )
        assert isinstance(GEMINI.encoder(asked), kind)


def test_models_are_listed_as_google_does():
    [first, second] = json.loads(GEMINI.models_document(["a", "tunedModels/b"]))["models"]
    assert first == GEMINI.model_document("a")
    assert (first["name"], first["displayName"], second["name"]) == ("models/a", "a", "tunedModels/b")
    assert "generateContent" in first["supportedGenerationMethods"]


def test_a_count_is_told():
    assert GEMINI.counted(7) == b'{"totalTokens":7}'


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (BadRequest("x"), 400, "INVALID_ARGUMENT"),
        (UnsupportedParameter("x", param="seed"), 400, "INVALID_ARGUMENT"),
        (Unauthenticated("x"), 401, "UNAUTHENTICATED"),
        (UpstreamRejected("x", kind="payment", status=402), 402, "FAILED_PRECONDITION"),
        (Forbidden("x"), 403, "PERMISSION_DENIED"),
        (NotFound("x"), 404, "NOT_FOUND"),
        (TooLarge("x"), 413, "INVALID_ARGUMENT"),
        (RateLimited("x"), 429, "RESOURCE_EXHAUSTED"),
        (Overloaded("x"), 503, "UNAVAILABLE"),
        (InternalError("x"), 500, "INTERNAL"),
        (UpstreamTimeout("x"), 504, "DEADLINE_EXCEEDED"),
        (UpstreamRejected("x", kind="odd", status=502), 502, "INTERNAL"),
    ],
)
def test_every_kind_of_error_has_googles_status(error: ExchangeError, code, status):
    told = json.loads(GEMINI.error(error))["error"]
    assert (told["code"], told["status"], told["message"]) == (code, status, "x")
    assert told["details"][0]["reason"] == error.code
    assert GEMINI.status(error) == code
    assert GEMINI.error_event(error) == b"data: " + GEMINI.error(error) + b"\n\n"
    # Google's Python client knows an error in a stream by its first key.
    assert GEMINI.error(error).startswith(b'{"error":')


def test_an_error_tells_the_field_and_when_to_come_back():
    told = json.loads(GEMINI.error(RateLimited("x", param="seed", retry_after_s=2.2)))["error"]["details"]
    assert told[1]["fieldViolations"] == [{"field": "seed", "description": "x"}]
    assert (told[2]["@type"], told[2]["retryDelay"]) == ("type.googleapis.com/google.rpc.RetryInfo", "3s")
