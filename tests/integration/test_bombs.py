"""Documents that break readers of JSON, at every endpoint of a real daemon (row 40)."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator

import pytest

from tests.support.daemon import ECHO, PATIENCE_S, Daemon

pytestmark = pytest.mark.integration

MESSAGES = b'"messages":[{"role":"user","content":"hi"}]'
GEMINI = b'"contents":[{"role":"user","parts":[{"text":"hi"}]}]'
CHAT = b'"model":"echo",' + MESSAGES
ENDPOINTS = {
    "/v1/chat/completions": CHAT,
    "/v1/messages": b'"max_tokens":9,' + CHAT,
    "/v1/responses": b'"model":"echo","input":"hi"',
    "/api/chat": b'"stream":false,' + CHAT,
    "/v1beta/models/echo:generateContent": GEMINI,
}
DEEP = 300_000
REFUSED = {
    "many brackets": b'"x":' + b"[" * DEEP,
    "many brackets, closed": b'"x":' + b"[" * DEEP + b"]" * DEEP,
    "many objects": b'"x":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "bytes that are no UTF-8": b'"x":"\xff\xfe"',
    "half a character": b'"x":"\xe2\x82"',
    "a control character": b'"x":"a\x00b"',
    "a number that is none": b'"x":NaN',
    "an end that is missing": b'"x":"',
}
"""What is no JSON, or no JSON that can be read in bounded room."""
TAKEN = {
    "fifty thousand keys": b",".join(b'"k%d":1' % number for number in range(50_000)),
    "an integer of five thousand digits": b'"x":' + b"9" * 5000,
    "a power that is infinite": b'"x":1e999999',
    "half a surrogate pair": b'"x":"\\ud800"',
    "two mebibytes of text": b'"x":"' + b"y" * (2 << 20) + b'"',
}
"""What is JSON, however strange: it may be refused with a reason, and may go on as it is."""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("bombs"), ECHO) as daemon:
        yield daemon


def ask(daemon: Daemon, path: str, more: bytes) -> tuple[int, bytes]:
    body = b"{" + ENDPOINTS[path] + b"," + more + b"}"
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_read_is_a_bad_request(daemon: Daemon, path: str, what: str) -> None:
    status, answer = ask(daemon, path, REFUSED[what])
    assert status == 400, answer[:300]
    assert "error" in json.loads(answer)


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("what", TAKEN)
def test_what_is_strange_is_answered_or_refused_with_a_reason(daemon: Daemon, path: str, what: str) -> None:
    status, answer = ask(daemon, path, TAKEN[what])
    assert status in (200, 400), answer[:300]
    assert bool(json.loads(answer).get("error")) == (status == 400)


@pytest.mark.parametrize("path", [path for path, asked in ENDPOINTS.items() if b'"model"' in asked])
@pytest.mark.parametrize("spelling", [b'"model"', b'"mod\\u0065l"'])
def test_two_names_for_the_model_are_a_bad_request(daemon: Daemon, path: str, spelling: bytes) -> None:
    status, answer = ask(daemon, path, spelling + b':"other"')
    assert status == 400
    assert b"model" in answer
