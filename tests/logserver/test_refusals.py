"""What is not stored, and who is not let in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.client import answers
from tests.support.logserver import ID, REQUEST, LogSite

TOKEN = "token-of-the-proxies-1234"


def everything_below(path: Path) -> set[str]:
    return {str(one.relative_to(path)) for one in path.rglob("*")}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "PATCH", "OPTIONS"])
def test_only_put_stores(server: LogSite, method: str) -> None:
    answer = server.ask(method, f"/{ID}/request")
    assert (answer.status, answer.headers[b"allow"]) == (405, b"PUT")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/", "bad_path"),
        ("/logs", "bad_path"),
        (f"/{ID}", "bad_path"),
        (f"/{ID}/request/", "bad_path"),
        (f"/{ID}/request/more", "bad_path"),
        (f"//{ID}/request", "bad_path"),
        (f"/{ID}//request", "bad_path"),
        (f"/{ID}/requests", "bad_type"),
        (f"/{ID}/", "bad_type"),
        (f"/{ID}/Request", "bad_type"),
        (f"/{ID}/metadata", "bad_type"),
        (f"/{ID[:8]}/request", "bad_id"),
        (f"/{ID[:-1]}/request", "bad_id"),
        (f"/{ID}0/request", "bad_id"),
        ("/a/request", "bad_id"),
        (f"/{ID.replace('-', '')}/request", "bad_id"),
        (f"/{ID.replace('a', 'g')}/request", "bad_id"),
        (f"/{{{ID}}}/request", "bad_id"),
        (f"/{ID[:-1]}%0A/request", "bad_id"),
    ],
)
def test_a_wrong_path_type_or_id_is_a_400_that_says_which(server: LogSite, path: str, code: str) -> None:
    answer = server.ask("PUT", path, REQUEST)
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (400, code)
    assert server.files() == {}


@pytest.mark.parametrize(
    "target",
    [
        "/../request",
        f"/../{ID}/request",
        f"/{ID}/../request",
        "/%2e%2e/request",
        "/%2e%2e%2f%2e%2e%2fetc/request",
        "/..%2f..%2fetc%2fpasswd/request",
        f"/{ID}%2frequest",
        f"/{ID}/request%2f..%2fx",
        "/..%5c..%5cx/request",
        "/%00/request",
        f"/{ID}%00/request",
        f"/{ID}/request%00.bin",
        "/%c0%ae%c0%ae/request",
        "/etc/passwd",
        "//etc/passwd",
        "http://localhost/../../etc/passwd",
        "http://localhost/..%2f/request",
        "/.%2e/request",
        f"/{ID}/response/../../x",
    ],
)
def test_no_path_leads_out_of_the_folder(server: LogSite, target: str) -> None:
    before = everything_below(server.path.parent)
    answer = server.ask("PUT", target, b"evil")
    assert answer.status == 400
    assert everything_below(server.path.parent) == before


@pytest.mark.parametrize("target", ["/api/logs/../../x", "/api/logs/%2e%2e/request", f"/api/logs/{ID}/request%2f.."])
def test_no_path_reads_outside_the_folder(server: LogSite, target: str) -> None:
    assert server.ask("GET", target).status == 400


def test_an_absolute_target_is_its_path(server: LogSite) -> None:
    assert server.ask("PUT", f"http://localhost/{ID}/request", REQUEST).status == 201


@settings(deadline=None, max_examples=100)
@given(segments=st.lists(st.text("./%2eEfF05cC0-aA\\~;:+ \0", max_size=40), min_size=1, max_size=4))
def test_whatever_stands_in_the_path_nothing_is_made_but_files_of_a_message(
    tmp_path_factory: pytest.TempPathFactory, segments: list[str]
) -> None:
    server = LogSite(tmp_path_factory.mktemp("outer") / "logs")
    path = "/" + "/".join(segments)
    client = server.client().say(
        f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx".encode("latin-1")
    )
    assert answers(client.heard(), b"PUT", closed=True)[0].status == 400
    assert everything_below(server.path.parent) == {"logs"}
    server.folder.close()


@pytest.mark.parametrize(
    ("fields", "listener"),
    [
        (["X-Forwarded-For: 127.0.0.1"], "127.0.0.1"),
        (["Forwarded: for=1.2.3.4"], "127.0.0.1"),
        (["Origin: https://evil.example"], "127.0.0.1"),
        (["Sec-Fetch-Site: cross-site"], "127.0.0.1"),
        ([], "10.0.0.1"),
    ],
)
@pytest.mark.parametrize("path", [f"/{ID}/request", "/api/logs", f"/api/logs/{ID}/request"])
def test_only_certainly_local_requests_need_no_token(
    make: Callable[..., LogSite], fields: list[str], listener: str, path: str
) -> None:
    method = "GET" if path.startswith("/api") else "PUT"
    open_one = make()
    answer = open_one.ask(method, path, b"", *fields, listener=listener)
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (403, "not_local")
    server = make(token=TOKEN)
    answer = server.ask(method, path, b"", *fields, listener=listener)
    assert (answer.status, answer.headers[b"www-authenticate"]) == (401, b"Bearer")
    assert server.files() == {}
    authorized = server.ask(method, path, b"", *fields, f"Authorization: Bearer {TOKEN}", listener=listener)
    assert authorized.status in (200, 201, 404)


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN, "Bearer \xff\xfe"],
)
def test_a_wrong_credential_is_refused(make: Callable[..., LogSite], value: str) -> None:
    server = make(token=TOKEN)
    client = server.client("10.0.0.1").say(
        f"PUT /{ID}/request HTTP/1.1\r\nHost: x\r\nAuthorization: {value}\r\nContent-Length: 1\r\n\r\nx".encode(
            "latin-1"
        )
    )
    answer = answers(client.heard(), b"PUT", closed=True)[0]
    assert answer.status == 401
    assert TOKEN.encode() not in answer.body
    assert server.files() == {}


def test_a_refused_sender_is_not_asked_for_its_body(make: Callable[..., LogSite]) -> None:
    server = make(token=TOKEN)
    client = server.client("10.0.0.1").say(
        f"PUT /{ID}/request HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n".encode()
    )
    assert not client.heard().startswith(b"HTTP/1.1 100")
    assert client.is_over()
