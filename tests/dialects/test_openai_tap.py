"""What answers say about themselves, however they are cut."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netrunner.dialects.openai.tap import AnswerTap, StreamTap
from netrunner.dialects.taps import HELD_BYTES, WHOLE_BYTES
from netrunner.values import Usage

FINISH = '{"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}'
TEXT = '{"id":"x","choices":[{"index":0,"delta":{"content":"héllo"},"finish_reason":null}],"usage":null}'
COUNTS = '{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}'
USAGE = f'{{"id":"x","choices":[],"usage":{COUNTS}}}'
SEEN = Usage(input_total=5, output_total=7)
TRICKY = json.dumps(
    {"choices": [{"delta": {"content": 'say "usage":{"prompt_tokens":1} "finish_reason":"x" "error":{} [DONE]'}}]}
)
PRETTY = json.dumps(json.loads(USAGE), indent=1).replace("\n", "\ndata: ")
OTHER_SPACING = USAGE.replace('"usage":', '"usage" \t: ')


def stream(*payloads: str, end: str = "\n") -> bytes:
    return "".join(f"data: {payload}{end}{end}" for payload in payloads).encode()


def seen(pieces: list[bytes]) -> tuple[Usage | None, str | None, str | None, bool]:
    tap = StreamTap()
    for piece in pieces:
        tap.feed(piece)
    tap.close()
    return tap.usage, tap.finish_reason, tap.error, tap.complete


PLAIN = stream(TEXT, TEXT, FINISH, USAGE, "[DONE]")
SAMPLES = [
    (PLAIN, (SEEN, "stop", None, True)),
    (stream(TEXT, FINISH, USAGE, "[DONE]", end="\r\n"), (SEEN, "stop", None, True)),
    (stream(TEXT, FINISH, USAGE, "[DONE]", end="\r"), (SEEN, "stop", None, True)),
    (PLAIN.replace(b"data: ", b"data:"), (SEEN, "stop", None, True)),
    (b": comment\n\n" + PLAIN.replace(b"data: ", b": x\nevent: y\ndata: "), (SEEN, "stop", None, True)),
    (stream(TEXT, FINISH, PRETTY, "[DONE]"), (SEEN, "stop", None, True)),
    (stream(TEXT, FINISH, PRETTY.replace("\n", "\r\n"), "[DONE]", end="\r\n"), (SEEN, "stop", None, True)),
    (stream(OTHER_SPACING), (SEEN, None, None, False)),
    (stream(TEXT, TEXT), (None, None, None, False)),
    (stream(TEXT, FINISH), (None, "stop", None, True)),
    (stream(TRICKY), (None, None, None, False)),
    (stream(TRICKY, "[DONE]"), (None, None, None, True)),
    (stream(TEXT, FINISH).rstrip(), (None, "stop", None, True)),
    (stream('{"error":{"message":"m","code":"c"}}'), (None, None, "c", False)),
    (stream(FINISH.replace("null", COUNTS)), (SEEN, "stop", None, True)),
]


@pytest.mark.parametrize(("body", "expected"), SAMPLES)
def test_a_stream_is_read_whole_byte_by_byte_and_split_at_each_position(body, expected):
    assert seen([body]) == expected
    assert seen([body[at : at + 1] for at in range(len(body))]) == expected
    for at in range(len(body)):
        assert seen([body[:at], body[at:]]) == expected


@given(st.lists(st.integers(1, 60), max_size=60))
def test_a_stream_is_read_in_any_pieces(lengths):
    pieces, at = [], 0
    for length in lengths:
        pieces.append(PLAIN[at : at + length])
        at += length
    assert seen([*pieces, PLAIN[at:]]) == (SEEN, "stop", None, True)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ('{"code":"c","type":"t"}', "c"),
        ('{"code":502}', "502"),
        ('{"type":"t"}', "t"),
        ('{"message":"m"}', "provider_error"),
        ('"broken"', "provider_error"),
        ('{"code":[]}', "provider_error"),
        ("null", None),
        ("{}", None),
    ],
)
def test_an_error_is_told_by_its_code(error, code):
    assert seen([stream(f'{{"choices":[],"error":{error}}}')])[2] == code


def test_the_responses_api_tells_everything_in_its_last_event():
    response = (
        '{"status":"completed","error":null,"incomplete_details":null,"usage":{"input_tokens":5,"output_tokens":7,'
        '"input_tokens_details":{"cached_tokens":2,"cache_write_tokens":1},'
        '"output_tokens_details":{"reasoning_tokens":3}}}'
    )
    usage = Usage(input_total=5, output_total=7, cache_read=2, cache_write=1, reasoning=3)
    done = f'{{"type":"response.completed","response":{response}}}'
    assert seen([stream('{"type":"response.created","response":{}}', done)]) == (usage, "completed", None, True)
    assert seen(
        [stream(done.replace("completed", "incomplete", 1).replace("null", '{"reason":"max_output_tokens"}', 2))]
    )[1] == ("max_output_tokens")
    failed = '{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error"}}}'
    assert seen([stream(failed)]) == (None, "failed", "server_error", True)
    assert seen([stream('{"type":"error","code":"c","message":"m"}')])[2] == "c"
    assert seen([stream('{"type":"error","code":null}')])[2] == "provider_error"


def test_audio_and_details_are_counted():
    usage = (
        '{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":{"audio_tokens":3},'
        '"completion_tokens_details":{"audio_tokens":4}}'
    )
    assert seen([stream(f'{{"usage":{usage}}}')])[0] == Usage(input_total=1, output_total=2, audio=7)


@pytest.mark.parametrize(
    "payload",
    [
        '{"usage":{}}',
        '{"usage":{"prompt_tokens":"many"}}',
        '{"usage":{',
        '"usage":"error"',
        '{"usage":7,"choices":[7]}',
    ],
)
def test_what_makes_no_sense_is_passed_over(payload):
    assert seen([stream(payload, FINISH, USAGE)]) == (SEEN, "stop", None, True)


@pytest.mark.parametrize("count", [-1, 2**53 + 1, 10**30])
def test_a_count_that_cannot_be_one_of_tokens_is_passed_over(count):
    assert seen([stream(USAGE, f'{{"usage":{{"prompt_tokens":{count}}}}}')])[0] == SEEN


def test_comments_are_no_beginning():
    tap = StreamTap()
    tap.feed(b": keepalive\n\n")
    assert not tap.began
    tap.feed(b"data: {")
    assert not tap.began
    tap.feed(b"}\n\n")
    assert tap.began


def test_an_event_of_any_length_is_held_in_bounded_memory_and_its_end_is_read():
    tap = StreamTap()
    tap.feed(b'data: {"type":"image_generation.completed","b64_json":"')
    for _ in range(64):
        tap.feed(b"x" * 16384)
        assert sum(map(len, tap._held)) <= 3 * HELD_BYTES
    tap.feed(f'","usage":{{"input_tokens":5,"output_tokens":7}},"finish_reason" : "stop"}}\n\n{TEXT}'.encode())
    assert (tap.usage, tap.finish_reason) == (SEEN, "stop")
    tap.feed(b"\n\ndata: [DONE]\n\n")
    assert tap.complete


def answer(pieces: list[bytes]) -> tuple[Usage | None, str | None, str | None, bool]:
    tap = AnswerTap()
    for piece in pieces:
        tap.feed(piece)
    tap.close()
    return tap.usage, tap.finish_reason, tap.error, tap.complete


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f'{{"choices":[{{"finish_reason":"stop"}}],"usage" : {COUNTS}}}', (SEEN, "stop", None, True)),
        (f'{{"data":[],"usage":{{"prompt_tokens":5}}}}', (Usage(input_total=5), None, None, True)),  # noqa: F541
        ('{"error":{"code":"c"}}', (None, None, "c", True)),
        ('{"object":"response","status":"completed","error":null}', (None, "completed", None, True)),
        ('{"choices":[', (None, None, None, False)),
        ("plain text", (None, None, None, False)),
        ("", (None, None, None, False)),
    ],
)
def test_an_answer_is_read_whole_and_byte_by_byte(body, expected):
    data = body.encode()
    assert answer([data]) == expected
    assert answer([data[at : at + 1] for at in range(len(data))]) == expected


@pytest.mark.parametrize(("end", "complete"), [(b"}", True), (b"}\n", True), (b"", False)])
def test_of_a_long_answer_the_end_is_read(end, complete):
    tail = f'"}}],"usage":{COUNTS},"finish_reason":"stop"'.encode() + end
    pieces = [b'{"data":[{"embedding":"', *[b"x" * 65536] * (2 * WHOLE_BYTES // 65536), tail]
    assert answer(pieces) == (SEEN, "stop", None, complete)


def test_a_long_answer_without_counts_tells_none():
    assert answer([b'{"data":"' + b"x" * WHOLE_BYTES + b'"}']) == (None, None, None, True)


@pytest.mark.parametrize(
    ("answer", "made"),
    [
        ('{"choices":[{"message":{"content":"12345678"}},{"text":"1234"}]}', 3),
        ('{"choices":[{"message":{"reasoning":"12345678","tool_calls":[{"function":{"arguments":"1234"}},{},7]}}]}', 3),
        ('{"choices":[7,{"message":7}]}', 0),
        ('{"choices":7}', 0),
        (f'{{"choices":[{{"text":"1234"}}],"usage":{COUNTS}}}', 0),
    ],
)
def test_texts_of_a_document_are_looked_at_where_nobody_has_counted_them(answer, made):
    tap = AnswerTap()
    tap.feed(answer.encode())
    tap.close()
    assert tap.made == made


def test_a_finish_beside_a_field_that_chunks_do_not_have_is_one():
    odd = '{"type":"chunk","choices":[{"finish_reason":null},{"finish_reason":"stop"}]}'
    assert seen([stream(odd, "[DONE]")]) == (None, "stop", None, True)
