"""How OpenAI-compatible APIs are asked, and what their errors mean."""

import json
from typing import Any

import pytest

from netrunner.dialects.openai.api import OpenAIApi, rejected
from netrunner.errors import BadRequest, ConfigurationError, Fault, NotFound
from netrunner.settings import ProviderSettings, Secret
from netrunner.values import Call, Origin

KEY = Secret("sk-stored")


def api(base_url: str = "https://api.test/v1", **settings: Any) -> OpenAIApi:
    return OpenAIApi(ProviderSettings(base_url=base_url, **settings), "acme")


def call(endpoint: str = "chat/completions", **changes: Any) -> Call:
    values: dict[str, Any] = {
        "method": b"POST",
        "query": b"",
        "headers": [],
        "body": b"{}",
        "model": "m",
        "stream": False,
        **changes,
    }
    return Call(endpoint=endpoint, **values)


@pytest.mark.parametrize(
    ("base_url", "query", "origin", "target"),
    [
        ("https://api.test/v1", b"", Origin("https", "api.test", 443), b"/v1/chat/completions"),
        ("http://127.0.0.1:8000", b"a=b", Origin("http", "127.0.0.1", 8000), b"/chat/completions?a=b"),
        ("http://[::1]/v1/", b"", Origin("http", "::1", 80), b"/v1/chat/completions"),
        ("https://x.test/d?v=1", b"", Origin("https", "x.test", 443), b"/d/chat/completions?v=1"),
        ("https://x.test/d?v=1", b"a=b", Origin("https", "x.test", 443), b"/d/chat/completions?v=1&a=b"),
    ],
)
def test_the_endpoint_is_joined_to_the_address_and_the_query_kept(base_url, query, origin, target):
    request = api(base_url).request(call(query=query))
    assert (request.origin, request.target) == (origin, target)


def test_method_body_and_fields_go_on():
    fields = [(b"user-agent", b"me"), (b"content-type", b"text/x"), (b"x-request-id", b"1")]
    request = api().request(call(method=b"PUT", endpoint="x/y", headers=fields, body=b"abc", upgrade=b"websocket"))
    assert (request.method, request.body, request.upgrade) == (b"PUT", b"abc", b"websocket")
    assert request.headers == [(b"accept-encoding", b"identity"), *fields]


def test_a_body_without_content_type_is_json():
    assert (b"content-type", b"application/json") in api().request(call()).headers
    assert (b"content-type", b"application/json") not in api().request(call("models", method=b"GET", body=b"")).headers


@pytest.mark.parametrize(
    ("key", "given", "sent"),
    [
        (KEY, b"Bearer caller", b"Bearer sk-stored"),
        (KEY, None, b"Bearer sk-stored"),
        ("passthrough", b"Bearer caller", b"Bearer caller"),
        ("passthrough", None, None),
        (None, b"Bearer caller", None),
    ],
)
def test_a_credential_goes_where_it_belongs(key, given, sent):
    request = api(api_key=key).request(call(authorization=given))
    assert [value for name, value in request.headers if name == b"authorization"] == ([sent] if sent else [])


@pytest.mark.parametrize("key", ["", " ", "a\r\nb: c", "a\x00", "ключ"])
def test_a_key_that_cannot_stand_in_a_field_is_a_configuration_error_that_does_not_quote_it(key):
    with pytest.raises(ConfigurationError) as caught:
        api(api_key=Secret(key))
    assert "providers.acme.api_key" in str(caught.value)
    assert key.strip() == "" or key not in str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "served"),
    [
        ("chat/completions", True),
        ("models", True),
        ("models/gpt-4o", True),
        ("files", False),
        ("batches", False),
        ("responses/resp_1", False),
        ("fine_tuning/jobs", True),
        ("vector_stores", True),
        ("vector_stores/a/search", True),
    ],
)
def test_a_stored_key_serves_inference_and_what_is_listed(endpoint, served):
    assert api(api_key=KEY, endpoints=("fine_tuning/jobs", "vector_stores*")).serves(endpoint) is served


@pytest.mark.parametrize("key", ["passthrough", None])
def test_without_a_stored_key_everything_is_served(key):
    assert api(api_key=key).serves("files")
    assert api(api_key=key).request(call("files/f1", method=b"DELETE", body=b"")).target == b"/v1/files/f1"


@pytest.mark.parametrize(
    ("method", "endpoint"),
    [(b"GET", "chat/completions"), (b"DELETE", "models/ft:mine"), (b"GET", "responses"), (b"GET", "files")],
)
def test_a_stored_key_is_not_used_to_list_or_delete_what_others_left(method, endpoint):
    with pytest.raises(NotFound) as caught:
        api(api_key=KEY).request(call(endpoint, method=method))
    assert caught.value.code == "endpoint_not_found"


def test_a_stored_key_reads_a_model_and_serves_a_listed_endpoint_by_any_method():
    known = api(api_key=KEY, endpoints=("files/*",))
    assert known.request(call("models/m", method=b"GET", body=b"")).target == b"/v1/models/m"
    assert known.request(call("files/f", method=b"DELETE", body=b"")).target == b"/v1/files/f"


@pytest.mark.parametrize(
    "endpoint",
    [
        "../admin",
        "a/../b",
        "a/./b",
        "..",
        "a/%2e%2E/b",
        "a%2fb",
        "a\\b",
        "a%5Cb",
        "a b",
        "a?b",
        "a#b",
        "/a",
        "",
        "ä",
        "%zz",
    ],
)
def test_a_path_that_could_lead_elsewhere_is_refused(endpoint):
    with pytest.raises(BadRequest) as caught:
        api().request(call(endpoint))
    assert caught.value.code == "invalid_path"


# --- errors


def error(status: int, document: object = None, headers: list[tuple[bytes, bytes]] | None = None):
    body = b"" if document is None else json.dumps(document).encode()
    return rejected(status, headers or [], body)


@pytest.mark.parametrize(
    ("status", "code", "kind", "fault", "retryable"),
    [
        (400, "x", "bad_request", Fault.CALLER, False),
        (400, "context_length_exceeded", "context_too_long", Fault.CALLER, False),
        (401, "x", "auth", Fault.UPSTREAM, False),
        (404, "x", "not_found", Fault.UPSTREAM, False),
        (408, "x", "timeout", Fault.UPSTREAM, True),
        (409, "x", "bad_request", Fault.CALLER, True),
        (418, "x", "bad_request", Fault.UPSTREAM, False),
        (422, "x", "bad_request", Fault.CALLER, False),
        (429, "rate_limit_exceeded", "rate_limit", Fault.UPSTREAM, True),
        (429, "insufficient_quota", "payment", Fault.UPSTREAM, False),
        (500, "x", "upstream_error", Fault.UPSTREAM, True),
        (501, "x", "upstream_error", Fault.UPSTREAM, False),
        (503, "x", "overloaded", Fault.UPSTREAM, True),
        (504, "x", "timeout", Fault.UPSTREAM, True),
        (529, "x", "overloaded", Fault.UPSTREAM, True),
    ],
)
def test_a_status_tells_whose_fault_it_is_and_whether_to_try_again(status, code, kind, fault, retryable):
    got = error(status, {"error": {"message": "m", "code": code}})
    assert (got.status, got.code, got.kind, got.fault, got.retryable) == (status, code, kind, fault, retryable)


@pytest.mark.parametrize(("said", "retryable"), [(b"true", True), (b"false", False), (b"perhaps", True)])
def test_a_provider_may_say_whether_to_try_again(said, retryable):
    assert error(500, headers=[(b"x-should-retry", said)]).retryable is retryable


@pytest.mark.parametrize(
    ("document", "message", "code"),
    [
        ({"error": {"message": "m", "code": "c"}}, "m", "c"),
        ({"error": {"message": "m", "code": 7, "type": "t"}}, "m", "t"),
        ([{"error": {"message": "m", "code": "c"}}], "m", "c"),
        ({"error": "m"}, "m", "provider_error"),
        ({"message": "m"}, "m", "provider_error"),
        ({"detail": []}, "The provider answered with status 400.", "provider_error"),
        ([], "The provider answered with status 400.", "provider_error"),
        ("x", "The provider answered with status 400.", "provider_error"),
        ({"error": [1]}, "The provider answered with status 400.", "provider_error"),
        ({"error": {"message": "x" * 5000}}, "x" * 1000, "provider_error"),
    ],
)
def test_errors_come_in_many_shapes(document, message, code):
    got = error(400, document)
    assert (got.message, got.code) == (message, code)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 100_000])
def test_an_error_that_is_no_document_has_a_message_all_the_same(body):
    assert rejected(502, [], body).message == "The provider answered with status 502."


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([(b"retry-after", b"7")], 7),
        ([(b"retry-after", b"1.5")], 1.5),
        ([(b"retry-after", b"7"), (b"retry-after", b"9")], 7),
        ([(b"retry-after-ms", b"250"), (b"retry-after", b"7")], 0.25),
        ([(b"retry-after", b"Fri, 01 Jan 2027 00:01:00 GMT"), (b"date", b"Fri, 01 Jan 2027 00:00:00 GMT")], 60),
        ([(b"retry-after", b"Fri, 01 Jan 2027 00:00:00 GMT"), (b"date", b"Fri, 01 Jan 2027 00:01:00 GMT")], 0),
        ([(b"retry-after", b"Fri, 01 Jan 2027 00:01:00 GMT")], None),
        ([(b"retry-after", b"soon"), (b"date", b"Fri, 01 Jan 2027 00:00:00 GMT")], None),
        ([(b"retry-after", b"-1")], None),
        ([(b"retry-after", b"inf")], None),
        ([(b"retry-after", b"nan")], None),
        ([], None),
    ],
)
def test_the_time_to_wait_is_read_from_the_fields(headers, seconds):
    assert error(429, headers=headers).retry_after_s == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "120ms"}, 0.12),
        ({"x-ratelimit-remaining-tokens": "-1", "x-ratelimit-reset-tokens": "12"}, 12),
        ({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "12"}, None),
        ({"x-ratelimit-reset-tokens": "12"}, None),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "2m59.56s",
            },
            179.56,
        ),
        ({"x-ratelimit-reset": "1798761660000", "date": "Fri, 01 Jan 2027 00:00:00 GMT"}, 60),
        ({"x-ratelimit-reset": "1798761660", "date": "Fri, 01 Jan 2027 00:00:00 GMT"}, 60),
        ({"x-ratelimit-reset": "1798761600", "date": "Fri, 01 Jan 2027 00:01:00 GMT"}, 0),
        ({"x-ratelimit-reset": "1798761660"}, None),
        ({"x-ratelimit-reset": "30"}, 30),
        ({"x-ratelimit-reset": "30", "x-ratelimit-remaining": "1"}, None),
        ({"x-ratelimit-reset": "soon"}, None),
        ({"x-ratelimit-reset": ""}, None),
        ({"ratelimitbysize-reset": "41"}, 41),
    ],
)
def test_the_time_to_wait_is_when_every_limit_that_is_used_up_is_reset(headers, seconds):
    fields = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert error(429, headers=fields).retry_after_s == seconds
    assert error(503, headers=fields).retry_after_s == seconds
    assert error(500, headers=fields).retry_after_s is None


def test_openrouter_tells_the_limits_of_others_inside_its_errors():
    date = (b"date", b"Fri, 01 Jan 2027 00:00:00 GMT")
    metadata = {"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1798761660000"}}
    assert error(429, {"error": {"message": "m", "metadata": metadata}}, [date]).retry_after_s == 60
    metadata = {"headers": {"Retry-After": "7"}}
    assert error(429, {"error": {"message": "m", "metadata": metadata}}).retry_after_s == 7
    assert error(429, {"error": {"metadata": metadata}}, [(b"retry-after", b"9")]).retry_after_s == 9


@pytest.mark.parametrize("metadata", [None, "x", {"headers": "x"}, {"headers": None}, {"headers": {"\ud800": "x"}}])
def test_metadata_of_another_shape_tells_nothing(metadata):
    assert error(429, {"error": {"message": "m", "metadata": metadata}}).retry_after_s is None


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Please retry in 10.68s.", 10.68),
        ("Please try again in 120ms.", 0.12),
        ("Please try again in 6m0s", 360),
        ("Please try again in 1h2m3s", 3723),
        ("Please try again in 7m", 420),
        ("Please try again in a while", None),
    ],
)
def test_the_time_to_wait_is_read_from_words(message, seconds):
    assert error(429, {"error": {"message": message}}).retry_after_s == seconds


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_of_the_stored_key_is_a_bad_gateway_that_quotes_nothing(status):
    body = b'{"error":{"message":"Incorrect API key provided: sk-stored"}}'
    got = api(api_key=KEY).classify(status, [], body)
    assert (got.status, got.code, got.retryable, got.fault) == (502, "upstream_auth", False, Fault.UPSTREAM)
    assert "sk-stored" not in got.message


def test_a_refusal_of_the_callers_own_key_is_the_callers():
    assert api(api_key="passthrough").classify(401, [], b"").status == 401
