"""What every provider has to keep to, as checks that any provider plugin can be run through.

``check_provider(factory)`` builds the provider as the daemon would, with a made-up key and address, and returns a
list of findings; nothing is sent anywhere. ``netrunner plugins check NAME`` prints them.

This module must not know any one provider.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_type_hints
from urllib.parse import urlsplit

from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from netrunner.errors import ConfigurationError, ExchangeError, UpstreamRejected
from netrunner.interfaces import IPrepares, IProvider, IProviderFactory, IUpstream
from netrunner.settings import ProviderSettings
from netrunner.testing import dialogue
from netrunner.testing.fakes import FakeEnvironment
from netrunner.testing.section import FakeSection
from netrunner.values import Call, Origin, UpstreamRequest
from netrunner.veil import keys_of

KEY = "sk-conformance-7f3a9c51"
CALLERS_KEY = b"Bearer sk-of-the-caller-40b2"
MODEL = "conformance-model-1"
BASE_URL = "http://conformance.invalid:8443/prefix/v1"
ENDPOINTS = (
    "chat/completions",
    "completions",
    "embeddings",
    "messages",
    "responses",
    "chat",
    "embed",
    f"models/{MODEL}:generateContent",
)
HOSTILE_ENDPOINTS = ("//evil.invalid/x", "@evil.invalid/x", "a b", "a\r\nx-evil: 1", "a?b#c", "é")
NOT_THE_PLUGINS = frozenset(
    b"connection content-length expect host keep-alive proxy-authorization proxy-connection te trailer"
    b" transfer-encoding upgrade".split()
)
"""Header fields that the connection writes, or that are hop by hop (RFC 9110, 7.6.1)."""
BODIES = (
    b"",
    b"<html><body><h1>502 Bad Gateway</h1></body></html>",
    b'{"error": {"message": "trunc',
    bytes(range(256)) * 256,
    b"null",
    b"[]",
    b'"text"',
    b'{"error": null}',
    b'{"error": "text"}',
    b'{"error": {"message": 7, "type": [], "code": {}}}',
    b'{"detail": [{"loc": ["body"]}]}',
    b"[" * 5000,
    b'{"error": {"message": "Incorrect API key provided: %s", "code": "%s"}}' % (KEY.encode(), KEY.encode()),
)
_TARGET = re.compile(rb"/[\x21-\x7e]*")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One check: its name, whether it passed, and what was wrong."""

    name: str
    ok: bool
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """The provider under examination and the settings it was built with."""

    factory: Any
    values: Mapping[str, Any]
    settings: Any
    environment: FakeEnvironment
    provider: Any


def check_provider(factory: Any, values: Mapping[str, Any] | None = None) -> list[Finding]:
    """Run every check.

    Args:
        factory: The ``IProviderFactory``.
        values: Settings besides ``base_url`` and ``api_key``, or instead of them.
    """
    findings = [_finding("factory", _factory_is_whole, factory)]
    if not findings[0].ok:
        return findings
    given = {**_made_up(factory.settings), **(values or {})}
    built: list[Subject] = []
    findings.append(_finding("build", lambda factory: _builds(factory, given, built), factory))
    for subject in built:
        checks = [*CHECKS, *(dialogue.CHECKS if IUpstream.providedBy(subject.provider) else ())]
        findings += [_finding(name, check, subject) for name, check in checks]
    return findings


def _finding(name: str, check: Callable[[Any], Iterator[str]], subject: Any) -> Finding:
    try:
        complaints = list(dict.fromkeys(check(subject)))
    except Exception as error:  # noqa: BLE001 - plugin border: whatever it raises is a finding
        complaints = [f"raised {type(error).__name__}: {error}"]
    return Finding(name, not complaints, "; ".join(complaints[:3]))


def _made_up(settings: Any) -> dict[str, Any]:
    hints = get_type_hints(settings)
    made_up = {"base_url": BASE_URL, "api_key": KEY}
    return {name: value for name, value in made_up.items() if name in hints}


def _build(factory: Any, values: Mapping[str, Any]) -> Subject:
    settings = factory.parse(FakeSection(values))
    environment = FakeEnvironment(factory.name)
    return Subject(factory, values, settings, environment, factory.build(settings, environment))


def _builds(factory: Any, values: Mapping[str, Any], built: list[Subject]) -> Iterator[str]:
    built.append(_build(factory, values))
    yield from ()


def _call(endpoint: str, *, authorization: bytes | None = None) -> Call:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "prompt": "Hello", "input": "Hello"}
    headers = [(b"content-type", b"application/json"), (b"x-request-id", b"conformance-1")]
    data = json.dumps(body).encode()
    return Call(b"POST", endpoint, b"", headers, data, MODEL, False, authorization)


def _requests(subject: Subject) -> Iterator[UpstreamRequest]:
    """Yield what the provider makes of a call for each endpoint it serves."""
    for endpoint in ENDPOINTS:
        if subject.provider.serves(endpoint, True):
            try:
                yield subject.provider.build(_call(endpoint, authorization=CALLERS_KEY))
            except ExchangeError:
                continue


def _has_key(subject: Subject) -> bool:
    return bool(subject.values.get("api_key") == KEY)


def _factory_is_whole(factory: Any) -> Iterator[str]:
    try:
        verifyObject(IProviderFactory, factory)
    except Invalid as error:
        yield " ".join(str(error).split())
        return
    if not dataclasses.is_dataclass(factory.settings):
        yield "settings is no dataclass"


def _provider_is_whole(subject: Subject) -> Iterator[str]:
    try:
        verifyObject(IProvider, subject.provider)
    except Invalid as error:
        yield " ".join(str(error).split())


def _settings_are_strict(subject: Subject) -> Iterator[str]:
    try:
        subject.factory.parse(FakeSection({**subject.values, "no_such_setting": 1}))
    except ConfigurationError:
        return
    yield "parse takes a key that it does not know"


def _builds_something(subject: Subject) -> Iterator[str]:
    if IPrepares.providedBy(subject.provider) and _has_key(subject):
        return  # It gets something for its key first, and nothing is sent here.
    if not any(isinstance(request, UpstreamRequest) for request in _requests(subject)):
        yield f"no UpstreamRequest for any of {', '.join(ENDPOINTS)}"


def _keeps_to_its_origin(subject: Subject) -> Iterator[str]:
    base_url = getattr(subject.settings, "base_url", None)
    requests = list(_requests(subject))
    for endpoint in HOSTILE_ENDPOINTS:
        try:
            requests.append(subject.provider.build(_call(endpoint)))
        except ExchangeError as error:
            if KEY in str(error):
                yield "an error of build tells the key"
    for request in requests:
        if base_url is not None and request.origin != Origin.of(base_url):
            yield f"a request goes to {request.origin.host}, not to the configured {urlsplit(base_url).hostname}"
        if not IUpstream.providedBy(subject.provider) and _TARGET.fullmatch(request.target) is None:
            yield f"the target {request.target[:80]!r} is no path"


def _writes_clean_headers(subject: Subject) -> Iterator[str]:
    for request in _requests(subject):
        for name, value in request.headers:
            if name in NOT_THE_PLUGINS:
                yield f"sets {name.decode()}, which is the connection's"
            if _NAME.fullmatch(name) is None:
                yield f"the header name {name!r} is not in lowercase, or no token"
            if re.search(rb"[\x00\r\n]", value):
                yield f"the value of {name.decode()} holds a line break"


def _sends_its_own_credential(subject: Subject) -> Iterator[str]:
    for request in _requests(subject):
        sent = b"\n".join([request.target, *(value for _, value in request.headers)])
        if _has_key(subject) and KEY.encode() not in sent:
            yield "a request goes out without the configured key"
        if CALLERS_KEY in sent and subject.values.get("api_key") != "passthrough":
            yield "the caller's credential goes out though the provider is not `passthrough`"


def _passes_the_callers_credential(subject: Subject) -> Iterator[str]:
    if not _has_key(subject) or not issubclass(subject.factory.settings, ProviderSettings):
        return
    try:
        other = _build(subject.factory, {**subject.values, "api_key": "passthrough"})
    except ConfigurationError:
        return  # It may well say no to that.
    for request in _requests(other):
        if not any(CALLERS_KEY.removeprefix(b"Bearer ") in value for _, value in request.headers):
            yield "with `passthrough` the caller's credential does not go out"


def _names_the_model(subject: Subject) -> Iterator[str]:
    for request in _requests(subject):
        if isinstance(request.body, bytes) and MODEL.encode() not in request.body + request.target:
            yield "neither body nor target names the model that was asked for"


def _leaves_the_call_alone(subject: Subject) -> Iterator[str]:
    for endpoint in ENDPOINTS:
        call = _call(endpoint)
        before = copy.deepcopy(call)
        try:
            subject.provider.build(call)
        except ExchangeError:
            continue
        if call != before:
            yield "build changes the call, which the next attempt will use again"


def _guards_its_key(subject: Subject) -> Iterator[str]:
    for what, told in (("provider", subject.provider), ("settings", subject.settings)):
        if KEY in repr(told) + str(told):
            yield f"the repr of the {what} tells the key"
    if _has_key(subject) and not getattr(subject.settings, "endpoints", ()):
        for endpoint in ("files", "batches"):
            if subject.provider.serves(endpoint, False):
                yield f"{endpoint} of all tenants can be reached with the stored key"


def _classifies_everything(subject: Subject) -> Iterator[str]:
    cases = [(status, b"") for status in range(400, 600)]
    cases += [(status, body) for status in (400, 401, 403, 404, 422, 429, 500, 503, 529) for body in BODIES]
    keys = keys_of((KEY.encode(),)) if _has_key(subject) else None
    for status, told in cases:
        body = told if keys is None else keys.masked(told)
        error = subject.provider.classify(status, [(b"content-type", b"application/json")], body)
        if not isinstance(error, UpstreamRejected):
            yield f"{status} with {body[:20]!r} is a {type(error).__name__}, not an UpstreamRejected"
            continue
        texts: tuple[object, object] = (error.message, error.code)
        if not all(isinstance(text, str) for text in texts) or not 400 <= error.status <= 599:
            yield f"{status} with {body[:20]!r} has no proper message, code and status"
        elif _has_key(subject) and KEY in f"{error} {error.code} {error.param} {error.headers}":
            yield "an error quotes the key"


def _honours_retry_after(subject: Subject) -> Iterator[str]:
    error = subject.provider.classify(429, [(b"retry-after", b"7")], b"")
    if error.retry_after_s != 7:
        yield f"Retry-After: 7 is understood as {error.retry_after_s}"
    if not error.retryable:
        yield "429 is not retryable"
    for odd in (b"", b"soon", b"-1", b"1e999", b"nan", b"9" * 400, b"Fri, 99 Foo 2026", b"\xff"):
        after = subject.provider.classify(429, [(b"retry-after", odd)], b"").retry_after_s
        if after is not None and not 0 <= after < float("inf"):
            yield f"Retry-After: {odd[:20]!r} is understood as {after}"


CHECKS: tuple[tuple[str, Callable[[Subject], Iterator[str]]], ...] = (
    ("provider", _provider_is_whole),
    ("strict", _settings_are_strict),
    ("request", _builds_something),
    ("origin", _keeps_to_its_origin),
    ("headers", _writes_clean_headers),
    ("credential", _sends_its_own_credential),
    ("passthrough", _passes_the_callers_credential),
    ("model", _names_the_model),
    ("call", _leaves_the_call_alone),
    ("secrecy", _guards_its_key),
    ("errors", _classifies_everything),
    ("retry-after", _honours_retry_after),
)
"""Every check of a provider, by name."""
