"""What is sent: where, in which dialect, with which credential."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from netrunner.cli.bench.requests import Requests
from netrunner.cli.bench.settings import BenchSettings
from netrunner.errors import ConfigurationError
from netrunner.settings import Secret


def requests(**settings: Any) -> Requests:
    return Requests(BenchSettings(**settings), random.Random(1))


def refusal(**settings: Any) -> str:
    with pytest.raises(ConfigurationError) as refused:
        requests(**settings)
    return str(refused.value)


@pytest.mark.parametrize(
    ("endpoint", "dialect"),
    [
        ("/v1/chat/completions", "openai"),
        ("/api/v1/chat/completions", "openai"),
        ("v1/embeddings", "openai"),
        ("/openai/deployments/x/chat/completions?api-version=1", "openai"),
        ("/v1/responses", "responses"),
        ("/v1/messages", "anthropic"),
        ("/v1/messages/count_tokens", "anthropic"),
        ("/v1beta/models/gemini-2.5-flash:generateContent", "gemini"),
        ("/api/chat", "ollama"),
        ("/api/embeddings", "ollama"),
    ],
)
def test_an_endpoint_tells_what_is_spoken_there(endpoint: str, dialect: str) -> None:
    assert requests(endpoint=endpoint).target.dialect == dialect


@pytest.mark.parametrize(
    ("dialect", "path"),
    [
        ("openai", b"/v1/chat/completions"),
        ("responses", b"/v1/responses"),
        ("anthropic", b"/v1/messages"),
        ("gemini", b"/v1beta/models/m:generateContent"),
        ("ollama", b"/api/chat"),
    ],
)
def test_a_dialect_has_an_endpoint_of_its_own(dialect: str, path: bytes) -> None:
    assert requests(dialect=dialect, model="m").of(1).target == path


def test_the_path_stands_below_the_base_url() -> None:
    request = requests(base_url="https://llm.example/proxy/", endpoint="/v1/messages").of(1)
    assert (request.origin.url, request.target) == ("https://llm.example:443", b"/proxy/v1/messages")


def test_any_url_is_asked_for_by_get_when_there_is_nothing_to_send() -> None:
    request = requests(dialect="none", endpoint="/health").of(1)
    assert (request.method, request.target, request.body) == (b"GET", b"/health", b"")


@pytest.mark.parametrize(
    ("dialect", "field"),
    [
        ("openai", (b"authorization", b"Bearer sk-1")),
        ("ollama", (b"authorization", b"Bearer sk-1")),
        ("anthropic", (b"x-api-key", b"sk-1")),
        ("gemini", (b"x-goog-api-key", b"sk-1")),
    ],
)
def test_the_credential_stands_where_its_dialect_looks_for_it(dialect: str, field: tuple[bytes, bytes]) -> None:
    assert field in requests(dialect=dialect, token=Secret("sk-1")).of(1).headers


def test_a_header_given_takes_the_place_of_ours() -> None:
    headers = requests(header=("User-Agent: mine", "X-Team:a")).of(1).headers
    assert [value for name, value in headers if name == b"user-agent"] == [b"mine"]
    assert (b"x-team", b"a") in headers


@pytest.mark.parametrize(
    ("dialect", "fields"),
    [
        ("openai", {"stream": True, "stream_options": {"include_usage": True}}),
        ("responses", {"stream": True}),
        ("anthropic", {"stream": True}),
        ("ollama", {"stream": True}),
    ],
)
def test_a_stream_is_asked_for_in_each_dialect_s_way(dialect: str, fields: dict[str, Any]) -> None:
    body = json.loads(requests(dialect=dialect, stream=True, payload=('{"model": "x"}',)).of(1).body)
    assert body == {"model": "x", **fields}


def test_gemini_is_asked_for_a_stream_by_its_path() -> None:
    assert requests(dialect="gemini", model="m", stream=True).of(1).target == (
        b"/v1beta/models/m:streamGenerateContent?alt=sse"
    )


def test_ollama_is_told_to_stream_not_where_nobody_asked_for_it() -> None:
    assert json.loads(requests(dialect="ollama").of(1).body)["stream"] is False


def test_payloads_of_flags_and_files_are_sent_in_turn(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"input": "{n}"}\n{"input": "b"}\n')
    made = requests(payload=(f"@{tmp_path}/a.jsonl", '{"input": "c"}'))
    assert [json.loads(made.of(number).body)["input"] for number in (1, 2, 3, 4)] == ["1", "b", "c", "4"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"endpoint": "/health"}, "--endpoint: /health does not tell what is spoken there"),
        ({"endpoint": "/v1/chat/completions?key=abc"}, "--endpoint: a credential does not belong here"),
        ({"endpoint": "/a b"}, "--endpoint: expected a path of ASCII characters"),
        ({"endpoint": "/v1/embeddings", "stream": True}, "--stream: nothing is streamed at /v1/embeddings"),
        ({"endpoint": "/x", "dialect": "none", "stream": True}, "--stream: nothing is streamed at /x"),
        ({"stream": True, "payload": ('{"stream": false}',)}, "--payload: says that it wants no stream"),
        ({"stream": True, "payload": ("[]",)}, "--payload: expected a JSON object"),
        ({"payload": ("@/nowhere",)}, "--payload: /nowhere cannot be read: No such file or directory"),
        ({"payload": ('{"a',)}, "--payload: is not JSON"),
        ({"header": ("nonsense",)}, "--header: expected 'Name: value'"),
        ({"header": ("Host: a",)}, "--header: host is not to be chosen"),
        ({"header": ("X-Key: \u00e4",)}, "--header: x-key has a value that no header field can carry"),
        ({"token": Secret("schl\u00fcssel")}, "--token: holds a character that no header field can carry"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_its_flag(settings: dict[str, Any], message: str) -> None:
    told = refusal(**settings)
    assert told.startswith(message)
    assert "abc" not in told
    assert "schl" not in told
