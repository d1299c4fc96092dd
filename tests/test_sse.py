"""Server-Sent Events and lines of JSON, read however they are cut, and written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netrunner import sse
from netrunner.sse import Event, LineReader, OversizedEvent, Reader


def events(pieces: list[bytes], **bounds: int) -> list[Event]:
    reader = Reader(**bounds)
    return [event for piece in pieces for event in reader.feed(piece)]


SAMPLES = [
    (b"data: a\n\ndata: b\n\n", [Event(b"a"), Event(b"b")]),
    (b"data:a\n\ndata:  b\n\n", [Event(b"a"), Event(b" b")]),
    (b"data: a\r\n\r\ndata: b\r\n\r\n", [Event(b"a"), Event(b"b")]),
    (b"data: a\r\rdata: b\r\r", [Event(b"a"), Event(b"b")]),
    (b"data: a\r\n\ndata: b\n\r\n", [Event(b"a"), Event(b"b")]),
    (b"\xef\xbb\xbfdata: a\n\n", [Event(b"a")]),
    (b"data: \xef\xbb\xbfa\n\n", [Event(b"\xef\xbb\xbfa")]),
    (b": comment\n\n:\n\ndata: a\n\n", [Event(b"a")]),
    (b"event: ping\nid: 7\nretry: 3\ndata: a\n\n", [Event(b"a", b"ping")]),
    (b"event: ping\n\ndata: a\n\n", [Event(b"a")]),
    (b"data: {\ndata: }\n\n", [Event(b"{\n}")]),
    (b"data\n\n", [Event(b"")]),
    (b"data: a\n", []),
    (b"data: a", []),
    (b"\n\n\r\r\n\n", []),
    ("data: h\u00e9\u2028\U0001f600\n\n".encode(), [Event("h\u00e9\u2028\U0001f600".encode())]),
]


@pytest.mark.parametrize(("stream", "expected"), SAMPLES)
def test_a_stream_is_read_whole_byte_by_byte_and_split_at_each_position(stream, expected):
    assert events([stream]) == expected
    assert events([stream[at : at + 1] for at in range(len(stream))]) == expected
    for at in range(len(stream)):
        assert events([stream[:at], b"", stream[at:]]) == expected


line_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
payloads = st.binary(max_size=20).map(lambda data: data.replace(b"\n", b"").replace(b"\r", b""))


@given(st.lists(st.tuples(payloads, line_ends), max_size=8), st.lists(st.integers(1, 9)))
def test_whatever_is_sent_is_read_in_any_pieces(sent, lengths):
    # A lone CR before an LF would be one line end, so the next line never begins with one.
    stream = b"".join(b"data: " + payload + end + b": x" + end + end for payload, end in sent)
    pieces, at = [], 0
    for length in lengths:
        pieces.append(stream[at : at + length])
        at += length
    assert [event.data for event in events([*pieces, stream[at:]])] == [payload for payload, _ in sent]


@pytest.mark.parametrize("piece_bytes", [1, 7, 1000])
@pytest.mark.parametrize("stream", [b"data: " + b"x" * 100 + b"\n\n", b"data: x\n" * 20 + b"\n", b"x" * 101])
def test_an_event_longer_than_the_bound_is_refused(stream, piece_bytes):
    pieces = [stream[at : at + piece_bytes] for at in range(0, len(stream), piece_bytes)]
    with pytest.raises(OversizedEvent, match="100 bytes"):
        events(pieces, max_event_bytes=100)


def test_the_bound_is_on_one_event_not_on_the_stream():
    assert len(events([b"data: 0123456789\n\n"] * 100, max_event_bytes=20)) == 100


def test_an_event_is_one_line_that_no_client_splits():
    document = {"text": "a\u2028b\u2029c\u0085d\ne\U0001f600"}
    written = sse.event(document)
    assert written.startswith(b"data: {")
    assert written.endswith(b"}\n\n")
    assert len(written.decode().splitlines()) == 2
    assert json.loads(written[6:]) == document
    assert events([written]) == [Event(written[6:-2])]


def test_keepalives_are_no_events():
    assert events([sse.KEEPALIVE, sse.DONE]) == [Event(b"[DONE]")]


class Echo(Reader):
    """A reader that takes every line that is no field for an event."""

    def unknown(self, line: bytes) -> list[Event]:
        return [Event(line)]


def test_lines_that_are_no_field_are_for_who_knows_them():
    stream = b'data: a\n\n{"error": 1}\n:x\nretry: 1\n\ndata: b\n\n'
    assert events([stream]) == [Event(b"a"), Event(b"b")]
    assert Echo().feed(stream) == [Event(b"a"), Event(b'{"error": 1}'), Event(b"b")]


def lines(pieces: list[bytes], **bounds: int) -> list[bytes]:
    reader = LineReader(**bounds)
    return [line for piece in pieces for line in reader.feed(piece)] + reader.end()


LINES = [
    (b"{1}\n{2}\n", [b"{1}", b"{2}"]),
    (b"{1}\r\n{2}\r\n", [b"{1}", b"{2}"]),
    (b"{1}\r{2}\r", [b"{1}", b"{2}"]),
    (b"\n\r\n \t\n{1}\n\n\r\r{2}", [b"{1}", b"{2}"]),
    (b"\xef\xbb\xbf{1}\n\xef\xbb\xbf", [b"{1}", b"\xef\xbb\xbf"]),
    (b"\xef\xbb\xbf{1}", [b"{1}"]),
    (b"{1}", [b"{1}"]),
    (b" {1} \n", [b" {1} "]),
    (b"", []),
    ("h\u00e9\u2028\U0001f600\n".encode(), ["h\u00e9\u2028\U0001f600".encode()]),
]


@pytest.mark.parametrize(("stream", "expected"), LINES)
def test_lines_are_read_whole_byte_by_byte_and_split_at_each_position(stream, expected):
    assert lines([stream]) == expected
    assert lines([stream[at : at + 1] for at in range(len(stream))]) == expected
    for at in range(len(stream)):
        assert lines([stream[:at], b"", stream[at:]]) == expected


@given(st.lists(st.tuples(payloads.filter(bytes.strip), line_ends), max_size=8), st.lists(st.integers(1, 9)))
def test_whatever_lines_are_sent_are_read_in_any_pieces(sent, lengths):
    stream = b"{}\n" + b"".join(payload + end for payload, end in sent)
    pieces, at = [], 0
    for length in lengths:
        pieces.append(stream[at : at + length])
        at += length
    assert lines([*pieces, stream[at:]]) == [b"{}", *(payload for payload, _ in sent)]


@pytest.mark.parametrize("piece_bytes", [1, 7, 1000])
@pytest.mark.parametrize("stream", [b"x" * 101 + b"\n", b"{}\n" + b"x" * 101])
def test_a_line_longer_than_the_bound_is_refused(stream, piece_bytes):
    pieces = [stream[at : at + piece_bytes] for at in range(0, len(stream), piece_bytes)]
    with pytest.raises(OversizedEvent, match="100 bytes"):
        lines(pieces, max_line_bytes=100)


def test_the_bound_is_on_one_line_not_on_the_stream():
    assert len(lines([b"0123456789\n"] * 100, max_line_bytes=10)) == 100


def test_a_document_is_one_line_that_no_client_splits():
    document = {"text": "a\u2028b\u2029c\u0085d\ne\U0001f600"}
    written = sse.line(document)
    assert len(written.decode().splitlines()) == 1
    assert json.loads(written) == document
    assert lines([written, written]) == [written[:-1]] * 2
