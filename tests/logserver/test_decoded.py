"""Bodies without their coding; the exact bytes stay what they are."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable

import pytest

from netrunner.logserver import decoded
from tests.support.logserver import ID, LogSite

TEXT = b'data: {"text": "hello"}\n\n' * 500


def chunked(body: bytes, size: int = 100) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def response(body: bytes, *fields: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def sized(body: bytes, coding: str) -> bytes:
    return response(body, f"Content-Length: {len(body)}", f"Content-Encoding: {coding}")


GOOD = {
    "gzip": sized(gzip.compress(TEXT), "gzip"),
    "GZIP": sized(gzip.compress(TEXT), "GZIP"),
    "x-gzip": sized(gzip.compress(TEXT), "x-gzip"),
    "deflate": sized(zlib.compress(TEXT), "deflate"),
    "identity": sized(TEXT, "identity"),
    "none": response(TEXT, f"Content-Length: {len(TEXT)}"),
    "to the end": response(TEXT),
    "chunked": response(chunked(TEXT), "Transfer-Encoding: chunked"),
    "chunked gzip": response(chunked(gzip.compress(TEXT)), "Transfer-Encoding: chunked", "Content-Encoding: gzip"),
    "two members": sized(gzip.compress(TEXT[:1000]) + gzip.compress(TEXT[1000:]), "gzip"),
}


@pytest.mark.parametrize("kind", GOOD)
def test_a_body_is_given_without_transfer_and_content_coding(server: LogSite, kind: str) -> None:
    server.put("response", GOOD[kind])
    answer = server.ask("GET", f"/api/logs/{ID}/response?decoded=1")
    assert (answer.status, answer.body) == (200, TEXT)
    assert answer.headers[b"content-type"] == b"application/octet-stream"
    assert server.ask("GET", f"/api/logs/{ID}/response?decoded=0").body == GOOD[kind]
    assert list(server.files().values()) == [GOOD[kind]]


def test_a_request_is_decoded_too(server: LogSite) -> None:
    body = gzip.compress(TEXT)
    server.put("request", b"POST / HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert server.ask("GET", f"/api/logs/{ID}/request?decoded=1").body == TEXT


def test_metadata_tells_how_large_the_body_is_without_its_coding(server: LogSite) -> None:
    server.put("response", GOOD["chunked gzip"])
    metadata = server.metadata(next(iter(server.files())))
    assert (metadata["content_encoding"], metadata["decoded_bytes"], metadata["decode_error"]) == (
        "gzip",
        len(TEXT),
        None,
    )


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (sized(b"this is not gzip at all", "gzip"), "wrongly compressed"),
        (sized(gzip.compress(TEXT)[:-20], "gzip"), "cut short"),
        (sized(gzip.compress(bytes(20_000_000)), "gzip"), "beyond all measure"),
        (sized(b"x", "zstd"), "'zstd' is not known"),
        (sized(b"x", "gzip, gzip"), "more than one content coding"),
        (response(b"no chunk", "Transfer-Encoding: chunked", "Content-Encoding: gzip"), "no well-formed HTTP/1.1"),
    ],
    ids=["no gzip", "cut short", "a bomb", "unknown", "twice", "no chunks"],
)
def test_a_failure_to_decode_is_noted_and_told_and_costs_no_byte(server: LogSite, body: bytes, error: str) -> None:
    assert server.put("response", body).status == 201
    (name,) = server.files()
    assert error in server.metadata(name)["decode_error"]
    assert server.metadata(name)["completed"] is True
    assert server.ask("GET", f"/api/logs/{ID}/response").body == body


@pytest.mark.parametrize("body", [sized(b"no gzip", "gzip"), sized(b"x", "zstd"), b"no HTTP", b""])
def test_what_cannot_be_decoded_is_a_422(server: LogSite, body: bytes) -> None:
    server.put("response", body)
    answer = server.ask("GET", f"/api/logs/{ID}/response?decoded=1")
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (422, "not_decoded")


def test_a_body_that_breaks_in_the_middle_is_given_visibly_short(server: LogSite) -> None:
    packed = gzip.compress(TEXT * 50, compresslevel=0)
    server.put("response", sized(packed[:-20], "gzip"))
    client = server.client().say(f"GET /api/logs/{ID}/response?decoded=1 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    heard = client.heard()
    assert len(heard) > 500_000
    assert not heard.endswith(b"0\r\n\r\n")
    assert client.is_over()


class FakeBrotli:
    """Stands for the package, which need not be installed: every byte is one of text, ``!`` is none."""

    error = ValueError

    class Decompressor:
        """Keeps what does not fit."""

        def __init__(self) -> None:
            self.rest = b""

        def process(self, data: bytes, output_buffer_limit: int) -> bytes:
            if b"!" in data:
                raise ValueError("bad brotli")
            self.rest += data
            out, self.rest = self.rest[:output_buffer_limit], self.rest[output_buffer_limit:]
            return out

        def can_accept_more_data(self) -> bool:
            return not self.rest

        def is_finished(self) -> bool:
            return True


def test_brotli_is_undone_where_its_package_is_installed(server: LogSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoded, "import_module", lambda name: {"brotli": FakeBrotli}[name])
    server.put("response", sized(b"text", "br"))
    assert server.ask("GET", f"/api/logs/{ID}/response?decoded=1").body == b"text"


def test_bad_brotli_is_noted(server: LogSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoded, "import_module", lambda name: {"brotli": FakeBrotli}[name])
    server.put("response", sized(b"!", "br"))
    assert "wrongly compressed" in server.metadata(next(iter(server.files())))["decode_error"]


def test_without_the_package_brotli_is_noted_as_not_undone(
    make: Callable[..., LogSite], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(decoded, "import_module", missing)
    server = make()
    server.put("response", sized(b"text", "br"))
    metadata = server.metadata(next(iter(server.files())))
    assert "brotli" in metadata["decode_error"]


@pytest.mark.parametrize("value", ["2", "true", ""])
def test_decoded_is_a_switch(server: LogSite, value: str) -> None:
    server.put("response", GOOD["gzip"])
    assert server.ask("GET", f"/api/logs/{ID}/response?decoded={value}").status == 400
