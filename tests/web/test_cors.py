"""What pages of other origins may read: preflights, answers of every kind, and what stays closed."""

from __future__ import annotations

from typing import Any

import pytest

from netrunner.errors import UpstreamError
from netrunner.web.cors import CrossOrigin
from tests.support.client import Answer, answers
from tests.support.stage import DONE, EVENT, JSON, SSE, Stage, request

TOKEN = "token-of-the-callers-1234"
APP = "https://app.example"
KNOWN = (f"Origin: {APP}", f"Authorization: Bearer {TOKEN}")
PREFLIGHT = (f"Origin: {APP}", "Access-Control-Request-Method: POST")
CHAT = {"model": "m", "messages": []}
ALLOWED = b"access-control-allow-origin"


def shared(*origins: str, **kw: Any) -> Stage:
    stage = Stage(**({"token": TOKEN} | kw))
    stage.site.resource = CrossOrigin(stage.site.resource, origins or (APP,))
    return stage


def ask(stage: Stage, path: str, body: Any = b"", *fields: str, method: str | None = None) -> Answer:
    client = stage.client().say(request(path, body, *fields, method=method))
    if stage.upstream.calls:
        stage.call.head(200, JSON).body(b"{}", True)
    (answer,) = answers(client.heard(), (method or ("POST" if body else "GET")).encode())
    return answer


def spoken(answer: Answer) -> dict[bytes, bytes]:
    """Return the fields of CORS in an answer."""
    return {name: value for name, value in answer.headers.items() if name.startswith(b"access-control-")}


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/v1/files/x",
        "/v1/models",
        "/v1/models/a%2Fb",
        "/v1/messages",
        "/v1beta/models/m:generateContent",
        "/api/chat",
        "/api/tags",
        "/raw/anything",
    ],
)
def test_a_preflight_of_a_known_page_is_answered_without_a_credential(path: str) -> None:
    stage = shared(routes={"/raw/": ("http://raw.example", "keep")})
    names = "Access-Control-Request-Headers: authorization,content-type, x-stainless-os"
    answer = ask(stage, path, b"", *PREFLIGHT, names, method="OPTIONS")
    assert (answer.status, answer.body, answer.headers[b"vary"]) == (204, b"", b"Origin")
    assert b"content-length" not in answer.headers
    assert spoken(answer) == {
        ALLOWED: APP.encode(),
        b"access-control-allow-methods": b"GET, HEAD, POST, PUT, PATCH, DELETE",
        b"access-control-allow-headers": b"authorization,content-type, x-stainless-os",
        b"access-control-max-age": b"600",
    }
    assert (stage.upstream.calls, stage.records, stage.pipeline.inflight) == ([], [], {})


@pytest.mark.parametrize("names", ["a: b", "x" * 2049, "", "a\x80b"])
def test_names_of_fields_that_cannot_be_meant_are_not_repeated(names: str) -> None:
    sent = f"Access-Control-Request-Headers: {names}"
    answer = ask(shared(), "/v1/chat/completions", b"", *PREFLIGHT, sent, method="OPTIONS")
    assert answer.status == 204
    assert b"access-control-allow-headers" not in answer.headers


@pytest.mark.parametrize(
    "fields",
    [
        ("Origin: https://evil.example", PREFLIGHT[1]),
        ("Origin: null", PREFLIGHT[1]),
        ("Origin: https://app.example.evil", PREFLIGHT[1]),
        ("Origin: HTTPS://APP.EXAMPLE", PREFLIGHT[1]),
        PREFLIGHT[1:],
        PREFLIGHT[:1],
        (),
    ],
)
def test_any_other_options_is_answered_as_without_cors(fields: tuple[str, ...]) -> None:
    fields = (*fields, KNOWN[1])
    answer = ask(shared(), "/v1/chat/completions", b"", *fields, method="OPTIONS")
    plain = ask(Stage(token=TOKEN), "/v1/chat/completions", b"", *fields, method="OPTIONS")
    assert (answer.status, answer.body, answer.headers[b"allow"]) == (405, plain.body, b"POST")
    assert b"access-control-allow-methods" not in answer.headers


def test_an_answer_says_to_a_known_page_that_it_may_be_read() -> None:
    answer = ask(shared(), "/v1/chat/completions", CHAT, *KNOWN)
    assert (answer.status, answer.headers[b"vary"]) == (200, b"Origin")
    assert spoken(answer) == {ALLOWED: APP.encode(), b"access-control-expose-headers": b"*"}


def test_a_stream_says_so_as_well() -> None:
    stage = shared()
    client = stage.client().say(request("/v1/chat/completions", {**CHAT, "stream": True}, *KNOWN))
    stage.call.head(200, SSE).body(EVENT).body(DONE, True)
    (answer,) = answers(client.heard(), b"POST")
    assert answer.body == EVENT + DONE
    assert spoken(answer)[ALLOWED] == APP.encode()


@pytest.mark.parametrize(
    ("path", "body", "fields", "status"),
    [
        ("/v1/chat/completions", CHAT, KNOWN[:1], 401),
        ("/v1/chat/completions", b"{", KNOWN, 400),
        ("/v1/chat/completions", {"model": "unknown"}, KNOWN, 404),
        ("/v1/chat/completions", b"", KNOWN, 405),
        ("/api/chat", b"{", KNOWN, 400),
    ],
)
def test_an_error_says_so_as_well(path: str, body: Any, fields: tuple[str, ...], status: int) -> None:
    answer = ask(shared(), path, body, *fields)
    assert (answer.status, spoken(answer)[ALLOWED], answer.headers[b"vary"]) == (status, APP.encode(), b"Origin")


def test_the_failure_of_a_provider_says_so_as_well() -> None:
    stage = shared()
    client = stage.client().say(request("/v1/chat/completions", CHAT, *KNOWN))
    stage.call.fail(UpstreamError("gone"))
    (answer,) = answers(client.heard(), b"POST")
    assert (answer.status, spoken(answer)[ALLOWED]) == (502, APP.encode())


@pytest.mark.parametrize("fields", [KNOWN[1:], (KNOWN[1], "Origin: https://evil.example")])
def test_an_answer_that_another_page_may_not_read_tells_caches_that_it_depends_on_the_page(fields: Any) -> None:
    answer = ask(shared(), "/v1/chat/completions", CHAT, *fields)
    assert (answer.status, spoken(answer), answer.headers[b"vary"]) == (200, {}, b"Origin")


def test_a_star_lets_every_page_read() -> None:
    stage = shared("*", token=None, public=True)
    answer = ask(stage, "/v1/chat/completions", CHAT, "Origin: https://anybody.example")
    assert (spoken(answer)[ALLOWED], b"vary" in answer.headers) == (b"*", False)
    answer = ask(stage, "/v1/models", b"", *PREFLIGHT, method="OPTIONS")
    assert (answer.status, spoken(answer)[ALLOWED]) == (204, b"*")


def test_the_word_of_a_provider_about_its_own_pages_counts_for_nothing() -> None:
    theirs = [(ALLOWED, b"*"), (b"access-control-allow-credentials", b"true"), (b"vary", b"Accept-Encoding")]
    for stage, expected in (
        (Stage(token=TOKEN), {}),
        (shared(), {ALLOWED: APP.encode(), b"access-control-expose-headers": b"*"}),
    ):
        client = stage.client().say(request("/v1/chat/completions", CHAT, *KNOWN))
        stage.call.head(200, JSON, *theirs).body(b"{}", True)
        heard = client.heard()
        assert spoken(answers(heard, b"POST")[0]) == expected
        assert heard.lower().count(b"\r\n%b:" % ALLOWED) == len(expected) // 2
        assert b"\r\nvary: Accept-Encoding\r\n" in heard


def test_the_fields_of_a_raw_route_are_replaced_only_where_pages_are_configured() -> None:
    routes = {"/raw/": ("http://raw.example", "keep")}
    for stage, expected in ((Stage(token=TOKEN, routes=routes), b"*"), (shared(routes=routes), APP.encode())):
        client = stage.client().say(request("/raw/x", b"", *KNOWN))
        stage.call.head(200, JSON, (ALLOWED, b"*")).body(b"{}", True)
        assert spoken(answers(client.heard(), b"GET")[0])[ALLOWED] == expected


@pytest.mark.parametrize("fields", [PREFLIGHT, KNOWN])
@pytest.mark.parametrize("path", ["/health", "/ping", "/", "/nothing", "/v1", "/api", "/api/logs"])
def test_what_is_no_route_to_models_stays_closed(path: str, fields: tuple[str, ...]) -> None:
    answer = ask(shared(), path, b"", *fields, method="OPTIONS" if fields is PREFLIGHT else "GET")
    assert answer.status != 204
    assert (spoken(answer), b"vary" in answer.headers) == ({}, False)


def test_without_cors_no_answer_speaks_of_it() -> None:
    stage = Stage(token=TOKEN)
    answer = ask(stage, "/v1/chat/completions", CHAT, *KNOWN)
    assert (answer.status, spoken(answer), b"vary" in answer.headers) == (200, {}, False)
