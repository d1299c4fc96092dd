"""The same is hidden however a body is cut, nothing else changes, and what waits is bounded."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.redaction.grammar import shape
from netrunner.redaction.redact import Redaction, compile_redaction
from netrunner.redaction.scan import MAX_HOLD_BYTES, Rule, Rules, Scan, readable
from netrunner.redaction.strands import MAX_HELD_EVENT_BYTES, MAX_IDLE_BYTES, MAX_LINE_BYTES

KEY = "sk-proj-abcDEF0123456789xyz"
MARK = "[redacted:provider_keys]"


def compiled(*items: str) -> Redaction:
    redaction = compile_redaction(items)
    assert redaction is not None
    return redaction


ALL = compiled("secrets", "personal")


def fed(redaction: Redaction, pieces: list[bytes], content_type: bytes | None = None) -> bytes:
    redactor = redaction.stream(content_type)
    return b"".join([redactor.feed(piece) for piece in pieces]) + redactor.close()


def cut(body: bytes, lengths: list[int]) -> list[bytes]:
    pieces, at = [], 0
    for length in lengths:
        pieces.append(body[at : at + length])
        at += length
    return [*pieces, body[at:]]


def chat(text: str, choice: int = 0, key: str = "content") -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": choice, "delta": {key: text}}]}).encode() + b"\n\n"


def texts(stream: bytes, key: str = "content", choice: int = 0) -> str:
    events = [json.loads(line[5:]) for line in stream.splitlines() if line.startswith(b"data: {")]
    choices = [each["choices"][0] for each in events]
    return "".join(each["delta"].get(key, "") for each in choices if each["index"] == choice)


FRAGMENTS = [
    "sk-", "sk-proj-", "abcDEF0123456789xyz", KEY, "-----BEGIN PRIVATE KEY-----", "MIIEvQIBADANBgkqh",
    "-----END PRIVATE KEY-----",
    "password", '": "', "=", "hunter2", "eyJhbGciOiJIUzI1", ".", "Bearer ", "postgres://bob:", "@", "example.com",
    "4111", "1111",
    " ", "\n", "\\n", "\\", "\\u00", "2f", '\\"', '"', "AKIA", "IOSFODNN7EXAMPLE", "+44 20 7946 0958",
    "is", "GB82", "WEST", "é", "x",
]  # fmt: skip
bodies = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join)
lengths = st.lists(st.integers(0, 9), max_size=40)


@settings(deadline=None)
@given(bodies, lengths)
def test_a_text_split_anywhere_gives_the_same_as_whole(text: str, lengths: list[int]) -> None:
    body = text.encode()
    assert fed(ALL, cut(body, lengths)) == fed(ALL, [body])


@settings(deadline=None)
@given(st.lists(st.tuples(bodies, st.integers(0, 1), st.sampled_from(["content", "reasoning", "id"]))), lengths)
def test_a_stream_split_anywhere_gives_the_same_as_whole(
    events: list[tuple[str, int, str]], lengths: list[int]
) -> None:
    body = b"".join(chat(*event) for event in events) + b"data: [DONE]\n\n"
    assert fed(ALL, cut(body, lengths)) == fed(ALL, [body])


@settings(deadline=None)
@given(st.lists(bodies, max_size=6), st.lists(st.lists(st.integers(1, 6), max_size=12), min_size=6, max_size=6))
def test_a_text_is_redacted_the_same_over_however_many_events(parts: list[str], sizes: list[list[int]]) -> None:
    text = "".join(parts)
    pieces = [piece.decode() for size in sizes[:1] for piece in cut(text.encode("ascii", "ignore"), size)]
    whole = texts(fed(ALL, [chat("".join(pieces))]))
    assert texts(fed(ALL, [chat(piece) for piece in pieces])) == whole


@settings(deadline=None)
@given(st.binary(max_size=300), lengths, st.sampled_from([None, b"text/event-stream", b"application/json"]))
def test_a_body_without_matches_comes_out_byte_for_byte(body: bytes, lengths: list[int], kind: bytes | None) -> None:
    assert fed(compiled("/never[0-9]{40}here/"), cut(body, lengths), kind) == body


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([b"data: ", b"{}", b'{"content":"', b'"}', b"\n", b"\r", b": ", b"\xef\xbb\xbf", b"x"])),
    lengths,
)
def test_any_stream_without_matches_comes_out_byte_for_byte(parts: list[bytes], lengths: list[int]) -> None:
    body = b"data: \n" + b"".join(parts)
    assert fed(compiled("/never[0-9]{40}here/"), cut(body, lengths)) == body


ATOMS = ["a", "b", "[ab]", "[^a]", ".", "\\b", "$", "(?i)a", "\\Qab\\E", "\n"]
patterns = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}", "+?"])).map(
            lambda both: f"(?:{both[0]}){both[1]}"
        ),
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=300)
@given(patterns, st.text("abA \n", max_size=24), lengths)
def test_any_pattern_finds_the_same_in_a_text_split_anywhere(pattern: str, text: str, lengths: list[int]) -> None:
    try:
        own = shape(pattern)
    except ValueError:
        return
    if own.least:
        rules = Rules([Rule("own", own)])
        whole, split = Scan(rules), Scan(rules)
        expected = whole.feed(text.encode()) + whole.close()
        found = [span for piece in cut(text.encode(), lengths) for span in split.feed(piece)] + split.close()
        assert found == expected


def test_what_cannot_be_a_secret_is_not_held_back() -> None:
    assert ALL.stream().feed(b"The weather is fine today. ") == b"The weather is fine today."
    assert compiled("secrets").stream().feed(b"The weather is fine today.") == b"The weather is fine today."
    assert compiled("secrets").stream(b"text/event-stream").feed(chat("Hello.")) == chat("Hello.")


def test_what_may_become_a_secret_waits_for_the_next_bytes() -> None:
    redactor = compiled("provider_keys").stream()
    assert redactor.feed(b"This is it: sk-proj-abc") == b"This is it: "
    assert redactor.feed(b"DEF0123456789xyz") == b""
    assert redactor.feed(b" and more.") == b"[redacted:provider_keys] and more."


def test_no_more_than_the_bound_is_held_back() -> None:
    redactor = compiled("/a[a-z]+Z/").stream()
    fed = b"".join(redactor.feed(b"a" * 100) for _ in range(1000))
    assert len(fed) >= 100_000 - MAX_HOLD_BYTES - 100
    assert fed + redactor.close() == b"a" * 100_000


@pytest.mark.parametrize("size", [1000, 40_000, 1_000_000])
def test_a_secret_longer_than_the_bound_is_hidden_to_its_end(size: int) -> None:
    body = (
        b"x sk-"
        + b"a1" * 50_000
        + b" y -----BEGIN PRIVATE KEY-----\n"
        + b"MIIE\n" * 9000
        + b"-----END PRIVATE KEY-----! z"
    )
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    assert fed(compiled("secrets"), pieces) == b"x [redacted:provider_keys] y [redacted:private_keys]! z"


def test_two_choices_are_two_texts() -> None:
    stream = (
        b"".join(chat(a, 0) + chat(b, 1) for a, b in zip(KEY, KEY[::-1], strict=True))
        + chat(" end", 0)
        + chat(" end", 1)
    )
    left = fed(compiled("provider_keys"), [stream])
    assert texts(left) == f"{MARK} end"
    assert texts(left, choice=1) == f"{KEY[::-1]} end"


def test_arguments_of_a_tool_call_are_a_text_of_their_own() -> None:
    def call(number: int, arguments: str) -> bytes:
        delta = {"tool_calls": [{"index": number, "function": {"arguments": arguments}}]}
        return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"

    stream = b"".join(call(0, part) + call(1, "x") for part in ('{"k": "', KEY[:9], KEY[9:], '"}'))
    left = fed(compiled("provider_keys"), [stream])
    assert KEY[9:].encode() not in left
    assert left.count(MARK.encode()) == 1


@pytest.mark.parametrize(
    "events",
    [
        [{"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "@"}}],
        [{"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "@"}],
        [{"candidates": [{"content": {"parts": [{"text": "@"}], "role": "model"}, "index": 0}]}],
        [{"model": "m", "message": {"role": "assistant", "content": "@"}, "done": False}],
        [{"model": "m", "response": "@", "done": False}],
        [{"choices": [{"text": "@", "index": 0, "logprobs": None}]}],
        [{"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "@"}}],
    ],
)
@pytest.mark.parametrize("prefix", ["data: ", "event: x\ndata: ", ""])
def test_texts_of_other_dialects_are_joined_as_well(events: list[object], prefix: str) -> None:
    parts = ["say ", *KEY, " now"]
    lines = [prefix + json.dumps(event).replace("@", part) for part in parts for event in events]
    body = "\n\n".join([*lines, ""]).encode()
    left = fed(compiled("provider_keys"), [body], b"application/x-ndjson").decode()
    assert left.count(MARK) == 1
    pieces = [json.loads(line[line.index("{") :]) for line in left.splitlines() if "{" in line]
    assert json.dumps(pieces).count("sk") == 0
    assert len(pieces) == len(parts)


def test_a_secret_in_a_field_that_is_no_text_is_hidden() -> None:
    event = b'data: {"error":{"message":"bad key %s"},"choices":[]}\r\n\r\n' % KEY.encode()
    assert fed(compiled("provider_keys"), [event]) == event.replace(KEY.encode(), MARK.encode())


def test_a_text_that_gets_nothing_more_holds_up_the_others_only_so_long() -> None:
    redactor = compiled("provider_keys").stream()
    stream = chat("this is sk", key="reasoning") + b"".join(chat("Hello. ") for _ in range(2000))
    fed = b"".join(redactor.feed(stream[at : at + 500]) for at in range(0, len(stream), 500))
    assert len(stream) - len(fed) <= 2 * MAX_IDLE_BYTES
    assert fed + redactor.close() == stream


def test_no_more_events_than_the_bound_are_held_back() -> None:
    redactor = compiled("/a[a-z]+Z/").stream()
    stream = b"".join(chat("a") for _ in range(2 * MAX_HELD_EVENT_BYTES // len(chat("a"))))
    fed = b"".join(redactor.feed(stream[at : at + 65536]) for at in range(0, len(stream), 65536))
    assert len(stream) - len(fed) <= MAX_HELD_EVENT_BYTES + 65536
    assert fed + redactor.close() == stream


@pytest.mark.parametrize("size", [4096, 1 << 22])
def test_a_line_too_long_for_an_event_is_searched_as_text(size: int) -> None:
    long = b'data: {"content":"%s %s"}\n\n' % (b"A " * MAX_LINE_BYTES, KEY.encode())
    body = chat(KEY) + long + chat(f" {KEY[:8]}") + chat(KEY[8:])
    left = fed(compiled("provider_keys"), [body[at : at + size] for at in range(0, len(body), size)])
    expected = chat(MARK) + long.replace(KEY.encode(), MARK.encode()) + chat(f" {MARK}") + chat("")
    assert left == expected


@pytest.mark.parametrize(
    ("text", "view"),
    [
        (rb"a\nb\r\t\"c\/d", b'a\n\nb\r\r\t\t""c//d'), (rb"\u002b\u0026\u00e9", rb"++++++&&&&&&\u00e9"),
        (rb"\\n", b"\\\n\n"), (b"\\", b"\\"), (rb"\q\u0041", rb"\q\u0041"),
    ],
)  # fmt: skip
def test_an_escape_is_read_as_its_character_repeated(text: bytes, view: bytes) -> None:
    assert readable(text) == view
    assert readable(text + b" " * 1000) == view + b" " * 1000
    assert len(view) == len(text)


def alone(redaction: Redaction, pieces: list[str]) -> str:
    """Return the text of a stream whose events come one by one."""
    return texts(fed(redaction, [chat(piece) for piece in pieces]))


def test_a_secret_of_words_that_were_harmless_before_is_found() -> None:
    redaction = compiled("secrets")
    harmless = ["so", " sk", "-", "proj", " abc", "DEF0123", "456789", "xyz", " end"]
    assert alone(redaction, harmless * 3) == "".join(harmless * 3)
    secret = [" sk", "-", "proj", "-abc", "DEF0123", "456789", "xyz", " end"]
    for _ in range(3):
        assert alone(redaction, ["so", *secret]) == f"so {MARK} end"


@settings(deadline=None)
@given(st.lists(st.sampled_from([*FRAGMENTS, "so ", "Bea", "rer", " pass", "word", ": ", "-"]), max_size=30))
def test_what_was_searched_before_changes_nothing(pieces: list[str]) -> None:
    known = alone(ALL, pieces)
    ALL._rules._quiet.clear()
    assert alone(ALL, pieces) == known


def test_words_are_remembered_in_a_bounded_number_and_no_beginning_of_a_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("netrunner.redaction.scan._WORDS", 10)
    redaction = compiled("secrets")
    alone(redaction, [f" word{number}" for number in range(25)])
    known = redaction._rules._quiet
    assert 0 < len(known) <= 10
    known.clear()
    alone(redaction, ["the key is sk-proj-", "abcDEF", "012", "3456789xyz", " or ", "x" * 100])
    assert not [text for text, _ in known if b"sk-" in text or b"abc" in text or len(text) > 48]
