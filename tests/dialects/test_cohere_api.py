"""How Cohere is asked, and what its errors mean."""

import json

import pytest

from netrunner.dialects.cohere.api import CohereApi
from netrunner.errors import Fault, NotFound
from netrunner.settings import ProviderSettings, Secret
from netrunner.values import Call, Origin

KEY = "co-stored"
DATE = (b"date", b"Fri, 01 Jan 2027 00:00:00 GMT")


def api(**settings):
    return CohereApi(ProviderSettings(base_url="https://co.test/v2", **{"api_key": Secret(KEY), **settings}), "acme")


def call(endpoint="chat", method=b"POST"):
    return Call(method, endpoint, b"", [], b"{}", "command-a", False)


def said(message):
    return json.dumps({"id": "x", "message": message}).encode()


def test_the_key_goes_to_the_endpoint():
    request = api().request(call())
    assert (request.origin, request.target) == (Origin("https", "co.test", 443), b"/v2/chat")
    assert (b"authorization", b"Bearer co-stored") in request.headers


@pytest.mark.parametrize(
    ("endpoint", "method"), [("chat", b"GET"), ("datasets", b"POST"), ("chat/completions", b"POST")]
)
def test_the_key_is_for_inference_only(endpoint, method):
    with pytest.raises(NotFound):
        api().request(call(endpoint, method))


@pytest.mark.parametrize("status", [401, 403, 498])
def test_a_refused_key_is_ours_and_not_the_callers(status):
    error = api().classify(status, [], said(f"invalid api token {KEY}"))
    assert (error.code, error.status, error.retryable, KEY in error.message) == ("upstream_auth", 502, False, False)


def test_a_callers_own_token_that_is_refused_is_told_to_the_caller():
    error = api(api_key="passthrough").classify(498, [], said("invalid api token"))
    assert (error.kind, error.status, error.message) == ("auth", 401, "invalid api token")


def test_blocked_content_is_the_callers():
    error = api().classify(498, [], said("blocked output: this generation may be a potential violation"))
    assert (error.kind, error.code, error.status, error.fault) == ("bad_request", "content_filter", 400, Fault.CALLER)
    assert not error.retryable


def test_a_request_cancelled_on_its_way_may_be_tried_again():
    error = api().classify(499, [], said("request cancelled"))
    assert (error.kind, error.status, error.fault, error.retryable) == ("upstream_error", 502, Fault.UPSTREAM, True)


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, "bad_request", False),
        (402, "payment", False),
        (404, "not_found", False),
        (422, "bad_request", False),
        (429, "rate_limit", True),
        (500, "upstream_error", True),
        (501, "upstream_error", False),
        (503, "overloaded", True),
        (504, "timeout", True),
    ],
)
def test_every_other_status_means_what_it_means_everywhere(status, kind, retryable):
    error = api().classify(status, [], said("text"))
    assert (error.kind, error.retryable, error.message, error.status) == (kind, retryable, "text", status)


def test_a_limit_for_the_month_is_not_worth_a_retry():
    message = "You are using a Trial key, which is limited to 1000 API calls / month."
    error = api().classify(429, [], said(message))
    assert (error.kind, error.retryable, error.message) == ("payment", False, message)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([(b"retry-after", b"7"), (b"x-ratelimit-reset", b"1798761660"), DATE], 7),
        ([(b"x-ratelimit-reset", b"1798761660"), DATE], 60),
        ([(b"x-ratelimit-reset", b"1798761500"), DATE], 0),
        ([(b"x-ratelimit-reset", b"soon"), DATE], None),
        ([(b"x-ratelimit-reset", b"1798761660")], None),
        ([], None),
    ],
)
def test_the_wait_is_read_from_whatever_tells_it(headers, seconds):
    assert api().classify(429, headers, said("slow down")).retry_after_s == seconds


def test_only_a_limit_waits_for_its_reset():
    assert api().classify(500, [(b"x-ratelimit-reset", b"1798761660"), DATE], b"").retry_after_s is None
