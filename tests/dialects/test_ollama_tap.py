"""What Ollama's answers say about themselves, however they are cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netrunner.dialects.ollama.tap import AnswerTap, StreamTap
from netrunner.dialects.taps import HELD_BYTES, WHOLE_BYTES
from netrunner.values import Usage

SEEN = Usage(input_total=3, output_total=4)
TEXT = '{"model":"m","message":{"role":"assistant","content":"say \\"done\\":true \\"error\\":"},"done":false}'
DONE = '{"model":"m","message":{"content":""},"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":4}'


def told(tap: Any, pieces: list[bytes]) -> tuple[Usage | None, str | None, str | None, bool]:
    for piece in pieces:
        tap.feed(piece)
    tap.close()
    return tap.usage, tap.finish_reason, tap.error, tap.complete


def stream(*lines: str, end: str = "\n") -> bytes:
    return "".join(line + end for line in lines).encode()


PLAIN = stream(TEXT, TEXT, DONE)
SAMPLES = [
    (PLAIN, (SEEN, "stop", None, True)),
    (stream(TEXT, DONE, end="\r\n"), (SEEN, "stop", None, True)),
    (stream(TEXT, DONE, end="\r"), (SEEN, "stop", None, True)),
    (PLAIN.rstrip(), (SEEN, "stop", None, True)),
    (PLAIN.replace(b'"done":', b'"done" :\t'), (SEEN, "stop", None, True)),
    (stream(TEXT, TEXT), (None, None, None, False)),
    (stream(TEXT, '{"error":"x"}'), (None, None, "provider_error", False)),
    (stream('{"error":"x","code":"c"}'), (None, None, "c", False)),
    (stream('{"error":"x","code":7}'), (None, None, "provider_error", False)),
    (stream('{"error":"","done" : true}'), (None, None, None, True)),
    (stream('{"done":true,"done_reason":7,"eval_count":4}'), (Usage(input_total=0, output_total=4), None, None, True)),
    (stream('{"done":true,"prompt_eval_count":true,"eval_count":-1}'), (None, None, None, True)),
    (stream('"done":true', "nonsense", '["error"]'), (None, None, None, False)),
    (b"\n \n\n", (None, None, None, False)),
]


@pytest.mark.parametrize(("body", "expected"), SAMPLES)
def test_a_stream_is_read_whole_byte_by_byte_and_split_at_each_position(body, expected):
    assert told(StreamTap(), [body]) == expected
    assert told(StreamTap(), [body[at : at + 1] for at in range(len(body))]) == expected
    for at in range(len(body)):
        assert told(StreamTap(), [body[:at], body[at:]]) == expected


@given(st.lists(st.integers(1, 60), max_size=30))
def test_a_stream_is_read_in_any_pieces(lengths):
    pieces, at = [], 0
    for length in lengths:
        pieces.append(PLAIN[at : at + length])
        at += length
    assert told(StreamTap(), [*pieces, PLAIN[at:]]) == (SEEN, "stop", None, True)


def test_a_stream_begins_with_its_first_whole_line():
    tap = StreamTap()
    tap.feed(b"\n \n" + TEXT.encode())
    assert not tap.began
    tap.feed(b"\n")
    assert tap.began


def test_a_last_line_of_any_length_is_held_in_bounded_memory_and_its_end_is_read():
    tap = StreamTap()
    tap.feed(PLAIN[:20] + b'"done":true,"context":[')
    for _ in range(2 * WHOLE_BYTES // 16384):
        tap.feed(b"1," * 8192)
        assert sum(map(len, tap._held)) <= WHOLE_BYTES + 16384
    tap.feed(b'1],"total_duration":9,"prompt_eval_count":3,"eval_count" : 4}\n')
    assert (tap.usage, tap.complete, tap.began) == (SEEN, True, True)
    assert tap._held == [b""]


def test_a_long_line_in_the_midst_is_no_end():
    tap = StreamTap()
    tap.feed(b'{"message":{"content":"' + b"x" * (WHOLE_BYTES + HELD_BYTES))
    tap.feed(b'"},"done":false}\n')
    assert (tap.usage, tap.complete, tap.began) == (None, False, True)
    assert told(tap, [DONE.encode()]) == (SEEN, "stop", None, True)


ANSWERS = [
    (json.dumps(json.loads(DONE), indent=1), (SEEN, "stop", None, True)),
    ('{"embeddings":[[1,2]],"prompt_eval_count":3}', (Usage(input_total=3, output_total=0), None, None, True)),
    ('{"embedding":[1,2]}', (None, None, None, True)),
    ('{"error":"x"}', (None, None, "provider_error", True)),
    ('{"message":', (None, None, None, False)),
    ("", (None, None, None, False)),
]


@pytest.mark.parametrize(("body", "expected"), ANSWERS)
def test_an_answer_is_read_whole_and_byte_by_byte(body, expected):
    data = body.encode()
    assert told(AnswerTap(), [data]) == expected
    assert told(AnswerTap(), [data[at : at + 1] for at in range(len(data))]) == expected


def test_of_a_long_answer_the_end_is_read():
    body = b'{"embeddings":[[' + b"0.25," * WHOLE_BYTES + b'1]],"total_duration":9,"prompt_eval_count":3}'
    pieces = [body[at : at + 65536] for at in range(0, len(body), 65536)]
    assert told(AnswerTap(), pieces) == (Usage(input_total=3, output_total=0), None, None, True)


@given(st.lists(st.binary(max_size=50), max_size=10))
def test_nothing_makes_a_tap_raise(pieces):
    told(StreamTap(), pieces)
    told(AnswerTap(), pieces)
