"""The provider ``anthropic``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netrunner.dialects.anthropic.writing import write
from netrunner.dialects.conversation import Conversation, Text, Thinking, Turn
from netrunner.dialects.gaps import Gaps
from netrunner.providers.anthropic import AnthropicProvider, AnthropicSettings
from netrunner.settings import Secret
from netrunner.testing.conformance import check_provider
from netrunner.testing.fakes import FakeEnvironment
from netrunner.values import Call, Origin


def provider(**settings: Any) -> AnthropicProvider:
    return AnthropicProvider(AnthropicSettings(api_key=Secret("sk-1"), **settings), FakeEnvironment("acme"))


def asked(most: int | None, model: str = "claude-sonnet-4-5", **fields: Any) -> Any:
    """Return the body that is sent for a chat of another dialect."""
    gaps = Gaps()
    request = Conversation(turns=(Turn("user", (Text("Hi"),)),), **fields)
    written = write(request, model, False, gaps)
    call = Call(b"POST", written.endpoint, b"", [], written.body, model, False, gaps=gaps)
    return json.loads(provider(default_max_tokens=most).build(call).body)


def test_the_default_address_is_anthropics() -> None:
    request = provider().build(Call(b"POST", "messages", b"", [], b"{}", "claude", False))
    assert (request.origin, request.target) == (Origin("https", "api.anthropic.com", 443), b"/v1/messages")
    assert (b"x-api-key", b"sk-1") in request.headers


def test_a_stored_key_serves_inference_only() -> None:
    assert provider().serves("messages", True)
    assert not provider().serves("files", False)


def test_a_refused_key_is_told_by_the_providers_name() -> None:
    assert "acme" in provider().classify(401, [], b"").message


def test_it_keeps_to_the_rules_of_providers() -> None:
    from netrunner.providers.anthropic import plugin as anthropic

    assert [finding for finding in check_provider(anthropic) if not finding.ok] == []


@pytest.mark.parametrize(
    ("most", "given", "expected"), [(None, None, 64_000), (100_000, None, 100_000), (100_000, 5, 5)]
)
def test_a_bound_of_the_settings_stands_where_the_caller_gave_none(
    most: int | None, given: int | None, expected: int
) -> None:
    assert asked(most, max_tokens=given)["max_tokens"] == expected


@pytest.mark.parametrize(
    ("most", "thinking"),
    [
        (40_000, {"type": "enabled", "budget_tokens": 24_576}),
        (10_000, {"type": "enabled", "budget_tokens": 8000}),
        (1000, None),
    ],
)
def test_thinking_fits_into_the_bound_of_the_settings(most: int, thinking: Any) -> None:
    assert asked(most, thinking=Thinking(effort="high")).get("thinking") == thinking


def test_a_request_of_its_own_dialect_keeps_its_bytes() -> None:
    call = Call(b"POST", "messages", b"", [], b'{"model" : "m"}', "m", False)
    assert provider(default_max_tokens=5).build(call).body == b'{"model" : "m"}'
