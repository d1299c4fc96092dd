"""The provider ``cloudflare``: Workers AI and gateways."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netrunner.dialects.gaps import Gaps
from netrunner.dialects.openai.dialect import OpenAIDialect
from netrunner.errors import ConfigurationError, UnsupportedParameter
from netrunner.providers.cloudflare import CloudflareProvider, CloudflareSettings
from netrunner.settings import Secret
from netrunner.testing.fakes import FakeEnvironment
from netrunner.values import Call, Origin

GATEWAY = "https://gateway.ai.cloudflare.com/v1/acc/gw/compat"


def provider(**settings: Any) -> CloudflareProvider:
    values = {"api_key": Secret("cf-key"), **({} if "base_url" in settings else {"account_id": "acc1"}), **settings}
    return CloudflareProvider(CloudflareSettings(**values), FakeEnvironment("cloud"))


def call(model: str = "cf/meta/llama-3", gaps: Gaps | None = None, headers: Any = (), **fields: Any) -> Call:
    body = json.dumps({"model": model, "messages": [], **fields}).encode()
    return Call(b"POST", "chat/completions", b"", list(headers), body, model, False, gaps=gaps)


def test_workers_ai_lives_below_the_account():
    request = provider().build(call())
    assert request.origin == Origin("https", "api.cloudflare.com", 443)
    assert request.target == b"/client/v4/accounts/acc1/ai/v1/chat/completions"
    assert dict(request.headers)[b"authorization"] == b"Bearer cf-key"


@pytest.mark.parametrize("model", ["cf/meta/llama-3", "@cf/meta/llama-3"])
def test_a_model_of_workers_ai_has_its_sign(model):
    assert json.loads(provider().build(call(model)).body)["model"] == "@cf/meta/llama-3"


def test_the_call_stays_as_it_was_and_so_does_a_body_that_is_not_there_yet():
    asked = call()
    before = asked.body
    provider().build(asked)
    assert asked.body is before
    upload = object()
    assert provider().build(Call(b"POST", "audio/speech", b"", [], upload, "cf/x", False)).body is upload
    form = [(b"content-type", b"text/plain")]
    assert provider().build(Call(b"POST", "audio/speech", b"", form, b"cf/x", "cf/x", False)).body == b"cf/x"


def test_what_workers_ai_does_not_take_is_dropped_or_refused():
    gaps = Gaps()
    request = provider().build(call(gaps=gaps, seed=1, user="u", messages=[{"role": "developer", "content": "Hi"}]))
    document = json.loads(request.body)
    assert document == {"model": "@cf/meta/llama-3", "messages": [{"role": "system", "content": "Hi"}]}
    assert gaps.dropped == ["seed", "user"]
    for field in ({"n": 2}, {"logit_bias": {"1": 1}}, {"web_search_options": {"a": 1}}):
        with pytest.raises(UnsupportedParameter):
            provider().build(call(gaps=Gaps(), **field))


def test_a_gateway_gets_requests_as_they_are():
    asked = call("openai/gpt-5", gaps=Gaps(), seed=1, logit_bias={"1": 1})
    request = provider(base_url=GATEWAY).build(asked)
    assert (request.target, request.body) == (b"/v1/acc/gw/compat/chat/completions", asked.body)
    assert b"cf-aig-authorization" not in dict(request.headers)


def test_a_locked_gateway_is_opened_with_its_token_beside_the_key():
    request = provider(base_url=GATEWAY, cf_aig_token=Secret("aig-1\n")).build(call("openai/gpt-5"))
    assert dict(request.headers)[b"cf-aig-authorization"] == b"Bearer aig-1"
    assert dict(request.headers)[b"authorization"] == b"Bearer cf-key"


def test_what_callers_tell_a_gateway_reaches_it_but_for_a_credential():
    assert {b"cf-aig-cache-ttl", b"cf-aig-skip-cache", b"cf-aig-metadata"} <= OpenAIDialect.passes
    assert b"cf-aig-authorization" not in OpenAIDialect.passes
    request = provider(base_url=GATEWAY).build(call(headers=[(b"cf-aig-cache-ttl", b"60")]))
    assert (b"cf-aig-cache-ttl", b"60") in request.headers


@pytest.mark.parametrize(
    ("settings", "where"),
    [({}, "account_id"), ({"base_url": GATEWAY, "cf_aig_token": Secret("a\nb")}, "cf_aig_token")],
)
def test_settings_that_lead_nowhere_are_a_configuration_error(settings, where):
    with pytest.raises(ConfigurationError, match=where) as caught:
        CloudflareProvider(CloudflareSettings(**settings), FakeEnvironment("cloud"))
    assert "providers.cloud" in str(caught.value)


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (b'{"errors": [{"code": 5007, "message": "No such model"}], "success": false}', "No such model", "5007"),
        (b'{"success": false, "error": [{"code": 2001, "message": "Configure it"}]}', "Configure it", "2001"),
        (b'{"error": {"message": "plain", "code": "x"}}', "plain", "x"),
        (b'{"errors": [], "success": false}', "The provider answered with status 400.", "provider_error"),
        (b'{"errors": ["odd"]}', "The provider answered with status 400.", "provider_error"),
        (b"[]", "The provider answered with status 400.", "provider_error"),
        (b"\xff", "The provider answered with status 400.", "provider_error"),
        (b'{"error": "it is wrong"}', "it is wrong", "provider_error"),
    ],
)
def test_errors_are_read_in_every_shape(body, message, code):
    error = provider(cf_aig_token=Secret("aig-1")).classify(400, [], body)
    assert (error.message, error.code, error.kind) == (message, code, "bad_request")


def test_errors_without_a_token_are_read_as_well():
    assert provider().classify(429, [(b"retry-after", b"2")], b"").retry_after_s == 2
    assert provider().classify(401, [], b"").code == "upstream_auth"
