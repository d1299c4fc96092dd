"""OpenAI's dialect: envelopes, renaming, errors."""

import json

import pytest

from netrunner import errors
from netrunner.dialects.openai.dialect import OpenAIDialect
from netrunner.errors import BadRequest
from netrunner.routing.table import Table

JSON = b"application/json"
dialect = OpenAIDialect()


@pytest.mark.parametrize("content_type", [b"", JSON, b"Application/JSON; charset=utf-8", b"application/x.y+json"])
def test_a_json_body_is_read(content_type):
    envelope = dialect.envelope("", content_type, b'{"model":"a","stream":true}', b"")
    assert (envelope.model, envelope.stream, envelope.wants_usage) == ("a", True, False)


def test_a_form_is_read_and_renamed():
    body = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n%s\r\n--b--'
    envelope = dialect.envelope("", b"multipart/form-data; boundary=b", body % b"old", b"")
    assert envelope.model == "old"
    assert dialect.rename(envelope, "new") == body % b"new"


@pytest.mark.parametrize(("content_type", "body"), [(b"text/plain", b'{"model":"a"}'), (JSON, b"")])
def test_an_opaque_body_names_no_model_and_stays(content_type, body):
    envelope = dialect.envelope("", content_type, body, b"")
    assert envelope.model is None
    assert dialect.rename(envelope, "b") == body


@pytest.mark.parametrize(
    ("query", "stream"),
    [
        (b"", False),
        (b"stream=true", True),
        (b"a=b&stream=1", True),
        (b"stream=false", False),
        (b"upstream=true", False),
        (b"stream=trueish", False),
    ],
)
def test_streaming_can_be_asked_for_in_the_query(query, stream):
    assert dialect.envelope("", JSON, b'{"model":"a"}', query).stream is stream


def test_a_body_that_a_filter_changed_is_renamed_where_the_model_stands_now():
    envelope = dialect.envelope("", JSON, b'{"model":"old","prompt":"x"}', b"")
    envelope.body = b'{"prompt":"\\"model\\":\\"old\\"","model":"old"}'
    assert dialect.rename(envelope, "new") == b'{"prompt":"\\"model\\":\\"old\\"","model":"new"}'


def test_a_broken_json_body_is_refused():
    with pytest.raises(BadRequest):
        dialect.envelope("", JSON, b"{", b"")


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (errors.BadRequest("m"), "invalid_request_error", "invalid_request"),
        (errors.Unauthenticated("m"), "authentication_error", "invalid_token"),
        (errors.Forbidden("m"), "permission_error", "forbidden"),
        (errors.NotFound("m", code="model_not_found"), "invalid_request_error", "model_not_found"),
        (errors.TooLarge("m"), "invalid_request_error", "request_too_large"),
        (errors.RateLimited("m"), "rate_limit_exceeded", "rate_limit_exceeded"),
        (errors.Overloaded("m"), "server_error", "overloaded"),
        (errors.UpstreamTimeout("m"), "server_error", "upstream_timeout"),
        (errors.UpstreamRejected("m", kind="payment"), "insufficient_quota", "provider_error"),
    ],
)
def test_errors_have_openais_shape(error, kind, code):
    expected = {"error": {"message": "m", "type": kind, "param": None, "code": code}}
    assert json.loads(dialect.error(error)) == expected
    event = dialect.error_event(error)
    assert event.startswith(b"data: {")
    assert event.endswith(b"}\n\n")
    assert json.loads(event[6:]) == expected


def test_a_missing_model_is_named():
    with pytest.raises(BadRequest) as caught:
        Table({}, None, None).without_model(True)
    assert json.loads(dialect.error(caught.value))["error"]["param"] == "model"


def test_credentials_are_not_among_the_fields_passed_on():
    assert not dialect.passes & {b"authorization", b"cookie", b"x-api-key", b"api-key", b"x-goog-api-key", b"host"}


def test_views_of_what_is_not_json_are_empty():
    assert dialect.view(None).messages() == ()
    assert dialect.view(dialect.envelope("", b"audio/wav", b"RIFF", b"")).messages() == ()


@pytest.mark.parametrize("streaming", [True, False])
def test_a_tap_reads_the_kind_of_answer_it_is_made_for(streaming):
    document = b'{"choices":[{"finish_reason":"stop"}]}'
    tap = dialect.tap(streaming)
    tap.feed(b"data: " + document + b"\n\n" if streaming else document)
    tap.close()
    assert (tap.finish_reason, tap.complete) == ("stop", True)


def test_lists_of_models_hold_no_events():
    dialect = OpenAIDialect()
    assert [dialect.has_events(b"GET", one) for one in ("models", "models/m", "files")] == [False, False, None]
