"""What is spoken at an endpoint, and so: what is sent there, where the credential goes, how the answer is read.

Pure. This module must not open anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, get_args

from netrunner import __version__
from netrunner.cli.bench.settings import BenchSettings, DialectName, wrong
from netrunner.dialects.anthropic.api import VERSION
from netrunner.dialects.gemini import paths
from netrunner.values import Headers

PROMPT = "Say in one short sentence what a proxy does."
_DEFAULTS = {
    "openai": "/v1/chat/completions",
    "responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/{model}:generateContent",
    "ollama": "/api/chat",
    "none": "/",
}
_ENDPOINTS = (
    ("anthropic", re.compile(r"(?:^|/)(messages/count_tokens|messages)$")),
    ("responses", re.compile(r"(?:^|/)(responses/input_tokens|responses)$")),
    ("gemini", re.compile(r"(?:^|/)((?:models|tunedModels)/[^/]+:[A-Za-z]+)$")),
    ("ollama", re.compile(r"(?:^|/)api/(chat|generate|embed|embeddings)$")),
    ("openai", re.compile(r"(?:^|/)(chat/completions|completions|embeddings)$")),
)
"""By the end of a path; the last one is for what the others leave."""
_STREAMS = frozenset({"chat/completions", "completions", "responses", "messages", "chat", "generate"})
_USAGE = {"stream_options": {"include_usage": True}}
"""Asks for the counts of tokens at the end of a stream."""


@dataclass(frozen=True, slots=True)
class Target:
    """What requests go to."""

    path: str
    """Below the base URL, beginning with a slash."""
    dialect: str | None
    """None where only HTTP is known."""
    endpoint: str
    """As the dialect's decoder knows it."""


def target_of(settings: BenchSettings) -> Target:
    """Return what the settings aim at.

    Raises:
        ConfigurationError: naming the flag.
    """
    path = settings.endpoint or _DEFAULTS[settings.dialect or "openai"]
    path = "/" + path.replace("{model}", settings.model).lstrip("/")
    if not path.isascii() or not path.isprintable() or " " in path or "#" in path:
        raise wrong("endpoint", "expected a path of ASCII characters without spaces and without #")
    if re.search(r"[?&](?:key|token|api[-_]key)=", path, re.IGNORECASE):
        raise wrong("endpoint", "a credential does not belong here, reports would tell it; use --token or --header")
    bare, _, _ = path.partition("?")
    found = next(((name, match[1]) for name, form in _ENDPOINTS if (match := form.search(bare))), None)
    if found is None and settings.dialect is None:
        names = ", ".join(get_args(DialectName))
        raise wrong("endpoint", f"{bare} does not tell what is spoken there; say so by --dialect, one of {names}")
    dialect, endpoint = found or ("", "")
    if settings.dialect not in (None, dialect):
        dialect = settings.dialect
        endpoint = _DEFAULTS[dialect].partition("/v1/")[2] or "chat"
        if dialect == "gemini":
            endpoint = paths.path(settings.model, paths.GENERATE)
    if settings.stream:
        path, endpoint = _streamed(dialect, path, endpoint)
    return Target(path, None if dialect == "none" else dialect, endpoint)


def _streamed(dialect: str, path: str, endpoint: str) -> tuple[str, str]:
    if dialect == "gemini":
        action = paths.parsed(endpoint)[1]
        if action in (paths.GENERATE, paths.STREAM):
            path = path.replace(f":{paths.GENERATE}", f":{paths.STREAM}")
            separator = "&" if "?" in path else "?"
            path = path if "alt=sse" in path else f"{path}{separator}alt=sse"
            return path, endpoint.replace(f":{paths.GENERATE}", f":{paths.STREAM}")
    elif endpoint in _STREAMS and dialect != "none":
        return path, endpoint
    raise wrong("stream", f"nothing is streamed at {path}")


def stream_fields(target: Target) -> dict[str, Any]:
    """Return the fields of a request that ask for a stream, and for what it costs."""
    if target.dialect == "gemini":
        return {}
    return {"stream": True, **(_USAGE if target.dialect == "openai" else {})}


def payload(target: Target, model: str) -> dict[str, Any] | None:
    """Return the request to send where no other is given; None if none is needed."""
    turns = [{"role": "user", "content": PROMPT}]
    match target.dialect:
        case "openai" if target.endpoint == "embeddings":
            return {"model": model, "input": PROMPT}
        case "openai" if target.endpoint == "completions":
            return {"model": model, "prompt": PROMPT}
        case "responses":
            return {"model": model, "input": PROMPT}
        case "anthropic":
            most = {} if target.endpoint.endswith("count_tokens") else {"max_tokens": 256}
            return {"model": model, **most, "messages": turns}
        case "gemini":
            return _gemini(target, model)
        case "ollama":
            return _ollama(target, model, turns)
        case "openai":
            return {"model": model, "messages": turns}
    return None


def _gemini(target: Target, model: str) -> dict[str, Any]:
    content = {"parts": [{"text": PROMPT}]}
    match paths.parsed(target.endpoint)[1]:
        case paths.EMBED:
            return {"content": content}
        case paths.BATCH_EMBED:
            return {"requests": [{"model": paths.resource(model), "content": content}]}
    return {"contents": [{"role": "user", **content}]}


def _ollama(target: Target, model: str, turns: list[dict[str, str]]) -> dict[str, Any]:
    match target.endpoint:
        case "embed":
            return {"model": model, "input": PROMPT}
        case "embeddings":
            return {"model": model, "prompt": PROMPT}
        case "generate":
            return {"model": model, "prompt": PROMPT}
    return {"model": model, "messages": turns}


def headers(settings: BenchSettings, target: Target, has_body: bool) -> Headers:
    """Return the header fields of every request, the credential where its dialect looks for it.

    Raises:
        ConfigurationError: for a field that cannot be sent.
    """
    fields: Headers = [(b"user-agent", b"netrunner-bench/" + __version__.encode()), (b"accept", b"*/*")]
    if has_body:
        fields.append((b"content-type", b"application/json"))
    if target.dialect == "anthropic":
        fields.append((b"anthropic-version", VERSION))
    if settings.token is not None:
        name, before = {"anthropic": ("x-api-key", ""), "gemini": ("x-goog-api-key", "")}.get(
            target.dialect or "", ("authorization", "Bearer ")
        )
        try:
            fields.append((name.encode(), (before + settings.token.reveal()).encode("ascii")))
        except UnicodeEncodeError:
            raise wrong("token", "holds a character that no header field can carry") from None
    given = [_field(text) for text in settings.header]
    named = {name for name, _ in given}
    return [field for field in fields if field[0] not in named] + given


def _field(text: str) -> tuple[bytes, bytes]:
    name, colon, value = text.partition(":")
    name, value = name.strip().lower(), value.strip()
    if not colon or not re.fullmatch(r"[a-z0-9!#$%&'*+.^_`|~-]+", name):
        raise wrong("header", "expected 'Name: value'")
    if name in {"host", "content-length", "transfer-encoding", "connection"}:
        raise wrong("header", f"{name} is not to be chosen")
    if not value.isascii() or not value.isprintable():
        raise wrong("header", f"{name} has a value that no header field can carry")
    return name.encode(), value.encode()
