"""Messages that two readers may take for two different things: refused, or counted as h11 counts them.

The payloads are the published families: CL.TE, TE.CL, TE.TE, lengths, chunk sizes, line ends, names, targets.
"""

from __future__ import annotations

import re

import h11
import pytest

from tests.support.client import Echo, Seen, answers, connect

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def post(*fields: bytes, body: bytes = b"", line: bytes = b"POST / HTTP/1.1", end: bytes = b"\r\n") -> bytes:
    return end.join([line, b"Host: a", *fields, b"", b""]) + body


CHUNKED = b"Transfer-Encoding: chunked"
LAST = b"0\r\n\r\n"

CODINGS = [
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding\t: chunked",
    b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding:\x0cchunked",
    b"Transfer-Encoding: \x00chunked",
    b"Transfer-Encoding: chunked\x00",
    b"Transfer-Encoding:\r\n chunked",
    b"Transfer-Encoding:\n chunked",
    b" Transfer-Encoding: chunked",
    b"\tTransfer-Encoding: chunked",
    b"X: y\nTransfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked",
    b"X: y\r\rTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked;q=1",
    b"Transfer-Encoding: chunked, ",
    b"Transfer-Encoding: , chunked",
    b'Transfer-Encoding: "chunked"',
    b"Transfer-Encoding: 'chunked'",
    b"Transfer-Encoding: chunke\x64\x01",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding:",
    b"Transfer-Encoding: cow",
    b"Transfer-Encoding: chunked chunked",
    b"Transfer-Encoding: chunked\xff",
    b"Transfer-Encoding: \xffchunked",
    b"Transfer-Encoding: chun\tked",
]
LENGTHS = [
    b"Content-Length: +6",
    b"Content-Length: -6",
    b"Content-Length: 0x6",
    b"Content-Length: 6a",
    b"Content-Length: 6 6",
    b"Content-Length: 6,6",
    b"Content-Length: 6, 6",
    b"Content-Length: 6;6",
    b"Content-Length: 6.0",
    b"Content-Length: 6e0",
    b"Content-Length: 1_0",
    b"Content-Length:",
    b"Content-Length: \xb2",
    b"Content-Length: 6\r\nContent-Length: 6",
    b"Content-Length: 6\r\nContent-Length: 5",
    b"Content-Length: 6\r\nContent-Length:",
    b"Content-Length : 6",
    b"Content-Length\t: 6",
    b" Content-Length: 6",
    b"Content-Length: 6\x00",
    b"Content-Length:\x0b6",
    b"Content-Length: 18446744073709551622",
    b"Content-Length: 99999999999999999999999999999999",
    b"Content-Length: 9223372036854775814",
    b"X: y\nContent-Length: 6",
    b"Content-\r\nLength: 6",
    b"Content-Length:\r\n 6",
]
CHUNKS = [
    b"6\nabcdef\r\n" + LAST,
    b"6\r\nabcdef\n" + LAST,
    b"6\rabcdef\r\n" + LAST,
    b"0x6\r\nabcdef\r\n" + LAST,
    b"+6\r\nabcdef\r\n" + LAST,
    b"-6\r\nabcdef\r\n" + LAST,
    b" 6\r\nabcdef\r\n" + LAST,
    b"6 \r\nabcdef\r\n" + LAST,
    b"6\t\r\nabcdef\r\n" + LAST,
    b"6_0\r\nabcdef\r\n" + LAST,
    b"6g\r\nabcdef\r\n" + LAST,
    b"\r\nabcdef\r\n" + LAST,
    b";x\r\nabcdef\r\n" + LAST,
    b"6\r\nabcdefg\r\n" + LAST,
    b"7\r\nabcdef\r\n" + LAST,
    b"6\r\nabcdef" + LAST,
    b"6;x\ny\r\nabcdef\r\n" + LAST,
    b"6;x\ry\r\nabcdef\r\n" + LAST,
    b"6;x\0\r\nabcdef\r\n" + LAST,
    b'6;x="\r\n"\r\nabcdef\r\n' + LAST,
    b"10000000000000006\r\nabcdef\r\n" + LAST,
    b"ffffffffffffffff\r\nabcdef\r\n" + LAST,
    b"fffffffffffffffff\r\nabcdef\r\n" + LAST,
    b"6\r\nabcdef\r\n0\n\n",
    b"6\r\nabcdef\r\n0\r\n\n",
    b"6\r\nabcdef\r\n0\r\nX: y\n\r\n",
    b"6\r\nabcdef\r\n0\r\nX : y\r\n\r\n",
    b"6\r\nabcdef\r\n0\r\n X: y\r\n\r\n",
    b"6\r\nabcdef\r\n0\r\nX\0: y\r\n\r\n",
    b"6\r\nabcdef\r\n00x\r\n\r\n",
    b"6\r\nabcdef\r\n-0\r\n\r\n",
    b"6\r\nabcdef\r\n0 \r\n\r\n",
]
HEADS = [
    b"POST / HTTP/1.1\r\nHost: a\r\nX\0: y\r\nContent-Length: 0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nX(: y\r\nContent-Length: 0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nX\xff: y\r\nContent-Length: 0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\n\n",
    b"POST / HTTP/1.1\nHost: a\nContent-Length: 0\n\n",
    b"POST / HTTP/1.1\rHost: a\rContent-Length: 0\r\r",
    b"POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\nHOST: a\r\nContent-Length: 0\r\n\r\n",
    b"POST http://b/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"POST http://a@b/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"POST / HTTP/1.1 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"POST / HTTP/1.1\x00\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"POST / HTTP/01.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"POST / HTTP/1.10\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"POST / http/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    post(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 3", CHUNKED),
    b"POST / HTTP/2.0\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /\x00 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
]
WAITING = [post(CHUNKED, body=chunks) for chunks in CHUNKS if chunks.startswith((b"7", b"ffffffffffffffff\r"))]
PAYLOADS = [
    *[post(coding, body=LAST) for coding in CODINGS],
    *[post(b"Content-Length: 4", coding, body=LAST) for coding in (CHUNKED, *CODINGS)],
    *[post(coding, b"Content-Length: 4", body=LAST) for coding in (CHUNKED, *CODINGS)],
    *[post(length, body=b"abcdef") for length in LENGTHS],
    *[post(CHUNKED, body=chunks) for chunks in CHUNKS],
    *HEADS,
]


def seen_by_netrunner(data: bytes) -> tuple[list[Seen], bool]:
    """Return the requests that reached a resource, and whether something was refused."""
    echo = Echo()
    client = connect(echo.resource)
    client.say(data)
    statuses = [answer.status for answer in answers(client.heard())]
    return echo.seen, client.is_over() or len(statuses) != len(echo.seen)


def origin_form(target: bytes) -> bytes:
    """Return a target without scheme and authority: h11 hands it on as it came."""
    path = re.sub(rb"^https?://[^/?#]*", b"", target, flags=re.IGNORECASE)
    return path if path.startswith(b"/") or path == target else b"/" + path


def seen_by_h11(data: bytes) -> tuple[list[Seen], str | None]:
    """Return the whole requests that h11 finds before the first error, and that error."""
    reader = h11.Connection(h11.SERVER, max_incomplete_event_size=65536)
    reader.receive_data(data)
    found: list[Seen] = []
    head, body = None, b""
    while True:
        try:
            event = reader.next_event()
        except h11.RemoteProtocolError as error:
            return found, str(error)
        if isinstance(event, h11.Request):
            head, body = event, b""
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            found.append(Seen(head.method, origin_form(head.target), body))
            reader.send(h11.Response(status_code=200, headers=[(b"content-length", b"0")]))
            reader.send(h11.EndOfMessage())
        elif event is h11.PAUSED and reader.our_state is h11.DONE and reader.their_state is h11.DONE:
            reader.start_next_cycle()
        else:
            return found, None


def agree(data: bytes) -> bool:
    """Return whether netrunner takes no more than h11 does, and takes that as h11 does."""
    ours, _ = seen_by_netrunner(data)
    return ours == seen_by_h11(data)[0][: len(ours)]


def test_there_are_enough_payloads() -> None:
    assert len(set(PAYLOADS)) >= 150


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_an_ambiguous_message_is_refused_and_nothing_behind_it_is_served(payload: bytes) -> None:
    seen, refused = seen_by_netrunner(payload + SMUGGLED)
    assert seen == []
    # What waits for bytes that never come is not refused, but it is served just as little.
    assert refused or payload in WAITING


LENIENT = [
    # What is accepted although it is odd: one reading only.
    post(b"transfer-encoding: CHUNKED", body=b"6\r\nabcdef\r\n" + LAST),
    post(b"Transfer-Encoding:chunked", body=b"6\r\nabcdef\r\n" + LAST),
    post(CHUNKED, body=b"006\r\nabcdef\r\n000\r\n\r\n"),
    post(CHUNKED, body=b"6;x=y;z\r\nabcdef\r\n" + LAST),
    post(CHUNKED, body=b'6;x="y;z"\r\nabcdef\r\n' + LAST),
    post(CHUNKED, body=b"6\r\nabcdef\r\n0\r\nContent-Type: y\r\n\r\n"),
    post(b"Content-Length: 006", body=b"abcdef"),
    post(b"Content-Length:6", body=b"abcdef"),
    post(b"Content-Length: \t6 \t", body=b"abcdef"),
    post(b"Content_Length: 3", b"Content-Length: 6", body=b"abcdef"),
    post(b"Transfer_Encoding: chunked", b"Content-Length: 6", body=b"abcdef"),
    post(b"X: a:b: c", b"Content-Length: 6", body=b"abcdef"),
    post(b"X:", b"Content-Length: 6", body=b"abcdef"),
    post(b"X: \xff", b"Content-Length: 6", body=b"abcdef"),
    post(b"Content-Length: 6", line=b"POST http://a HTTP/1.1", body=b"abcdef"),
    post(b"Content-Length: 6", line=b"POST HTTPS://A/ HTTP/1.1", body=b"abcdef"),
]


@pytest.mark.parametrize("payload", LENIENT, ids=range(len(LENIENT)))
def test_an_odd_message_with_one_reading_is_read_as_h11_reads_it(payload: bytes) -> None:
    data = payload + SMUGGLED
    seen, _ = seen_by_netrunner(data)
    assert [request.uri for request in seen] == [b"/", b"/smuggled"]
    assert seen[0].body == b"abcdef"
    assert agree(data)
