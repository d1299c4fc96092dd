"""Keys in what is told: found in every form and however it is cut, masked byte for byte, and nothing else touched."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netrunner.values import ResponseHead
from netrunner.veil import SHORTEST_BYTES, Keys, keys_of

KEY = b"sk-proj-Ab9x0Qe7Tz"
AWKWARD = b'a/b+c=d&e<f>"g\\h'


def keys(*some: bytes) -> Keys:
    found = keys_of(some)
    assert found is not None
    return found


def through(some: Keys, *pieces: bytes, events: bool = False) -> bytes:
    veil = some.veil(events)
    return b"".join(veil.feed(piece, at == len(pieces) - 1) for at, piece in enumerate(pieces))


@pytest.mark.parametrize("events", [False, True])
@pytest.mark.parametrize(
    "body", [b"a " + KEY + b" b", KEY, KEY * 2, b"s" + KEY[:9] + KEY + b"sk-pro", b"no key at all"]
)
def test_a_key_is_found_wherever_an_answer_is_cut(body: bytes, events: bool) -> None:
    whole = body.replace(KEY, b"*" * len(KEY))
    for first in range(len(body) + 1):
        for second in range(first, len(body) + 1):
            assert through(keys(KEY), body[:first], body[first:second], body[second:], events=events) == whole
    assert through(keys(KEY), *[body[n : n + 1] for n in range(len(body))], b"", events=events) == whole


def test_a_beginning_that_turns_out_to_be_none_does_not_hide_the_key_behind_it() -> None:
    key = b"aaaaaaab"
    for cut in range(10):
        body = b"aa" + key
        assert through(keys(key), body[:cut], body[cut:]) == b"aa********"


def test_nothing_is_kept_back_behind_a_line_end_or_what_no_key_holds() -> None:
    veil = keys(KEY, AWKWARD).veil(True)
    for piece in (b'data: {"text":"sk-proj"}\n\n', b"sk-proj-\n", KEY[:-1] + b" ", b"\r\n", b"sk-proj-,"):
        assert veil.feed(piece) == piece


def test_no_more_is_kept_back_than_may_be_the_beginning_of_a_key() -> None:
    veil = keys(KEY).veil(True)
    assert veil.feed(b"ask") == b"a"
    assert veil.feed(b"i") == b"ski"
    assert veil.feed(b"s" + KEY[:-1]) == b"s"
    assert veil.feed(b"sk") == KEY[:-1]
    assert veil.close() == b"sk"


@pytest.mark.parametrize("last", [b"", KEY[9:12]])
def test_what_an_answer_ends_in_is_told_unless_it_is_most_of_a_key(last: bytes) -> None:
    veil = keys(KEY).veil(True)
    assert veil.feed(b"a " + KEY[:9]) == b"a "
    assert veil.feed(last, True) == b"*" * (9 + len(last))
    assert through(keys(KEY), b"a " + KEY[: SHORTEST_BYTES - 1]) == b"a " + KEY[: SHORTEST_BYTES - 1]


@pytest.mark.parametrize("form", [KEY, base64.b64encode(KEY)])
def test_a_whole_answer_and_a_head_are_told_without_any_form_of_a_key(form: bytes) -> None:
    assert through(keys(KEY), b"<" + form[:5], form[5:] + b">") == b"<" + b"*" * len(form) + b">"
    head = ResponseHead(200, b"OK", [(b"x-a", b"a"), (b"x-key", b"key=" + form)])
    assert keys(KEY).masked_head(head).headers == [(b"x-a", b"a"), (b"x-key", b"key=" + b"*" * len(form))]
    assert keys(KEY).masked_head(ResponseHead(200, b"not " + form, [])).reason == b"not " + b"*" * len(form)


def test_a_head_without_a_key_is_the_same() -> None:
    head = ResponseHead(200, b"OK", [(b"x-a", b"a")])
    assert keys(KEY).masked_head(head) is head


@pytest.mark.parametrize("before", range(7))
def test_base64_of_what_holds_a_key_does_not_tell_it(before: int) -> None:
    coded = base64.b64encode(b"user: "[:before] + KEY + b" and more")
    told = keys(KEY).masked(coded)
    assert len(told) == len(coded)
    assert KEY[1:-1] not in base64.b64decode(told.replace(b"*", b"A"))
    assert told.count(b"*") >= len(KEY) * 4 // 3 - 2


@pytest.mark.parametrize(
    "form",
    [
        AWKWARD,
        json.dumps(AWKWARD.decode())[1:-1].encode(),
        json.dumps(AWKWARD.decode())[1:-1].replace("/", "\\/").encode(),
        b'a/b+c=d\\u0026e\\u003cf\\u003e\\"g\\\\h',
        b'a/b+c\\u003dd\\u0026e\\u003cf\\u003e\\"g\\\\h',
        b"a/b\\u002Bc=d\\u0026e\\u003Cf\\u003E\\u0022g\\\\h",
        quote(AWKWARD, safe="").encode(),
        quote(AWKWARD).encode(),
        quote(AWKWARD, safe="").lower().encode(),
    ],
)
def test_a_key_with_odd_characters_is_found_as_json_and_urls_have_it(form: bytes) -> None:
    for cut in range(len(form)):
        told = through(keys(AWKWARD), b'{"a":"' + form[:cut], form[cut:] + b'"}', events=True)
        assert told == b'{"a":"' + b"*" * len(form) + b'"}'


def test_several_keys_are_masked_at_once() -> None:
    other = b"gateway-token-1"
    assert through(keys(KEY, other), other + b"," + KEY) == b"*" * len(other) + b"," + b"*" * len(KEY)
    assert through(keys(KEY[:10], KEY), KEY + b"." + KEY[:10]) == b"*" * 10 + KEY[10:] + b"." + b"*" * 10


@pytest.mark.parametrize("short", [b"", b"x", b"EMPTY", b"ollama", b"sk-1234"])
def test_what_is_too_short_to_be_a_key_is_none(short: bytes) -> None:
    assert keys_of((short,)) is None
    assert keys_of(()) is None
    assert keys(short, KEY).masked(b"ollama EMPTY x sk-1234") == b"ollama EMPTY x sk-1234"


def test_a_mask_is_no_part_of_a_key() -> None:
    key = b"x*******"
    assert through(keys(key), b"x" + key) == b"x########"
    assert through(keys(bytes(range(33, 127))), bytes(range(33, 127))) != bytes(range(33, 127))


PIECES = st.lists(st.one_of(st.binary(max_size=6), st.text("ab0*#", max_size=12).map(str.encode)), max_size=12)


@given(
    st.lists(st.text("ab0*", min_size=8, max_size=11).map(str.encode), min_size=1, max_size=3),
    PIECES,
    st.data(),
)
def test_no_key_is_told_and_nothing_else_is_changed(
    some: list[bytes], pieces: list[bytes], data: st.DataObject
) -> None:
    joined = st.lists(st.one_of(st.sampled_from(some), st.sampled_from(pieces or [b""])), max_size=8)
    body = b"".join(data.draw(joined))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    told = through(keys(*some), *[body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)], events=True)
    assert len(told) == len(body)
    assert not any(key in told for key in some)
    hidden = {
        n for key in some for at in range(len(body)) if body.startswith(key, at) for n in range(at, at + len(key))
    }
    begun = max((n for key in some for n in range(len(key)) if body.endswith(key[:n])), default=0)
    rest = range(len(body) - (begun if begun >= SHORTEST_BYTES else 0))
    assert [told[n] for n in rest if n not in hidden] == [body[n] for n in rest if n not in hidden]
