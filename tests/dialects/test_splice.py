"""The model's name in the bytes of a JSON request."""

import json

import hypothesis.strategies as st
import pytest
from hypothesis import given

from netrunner.dialects import splice
from netrunner.errors import BadRequest

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
keys = st.one_of(
    texts, st.sampled_from(["model", "Model", "mod", "stream", '"model', 'a"model', "model\\", "\u017ftream"])
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts, keys),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=20,
)
space = st.text(" \t\r\n", max_size=2)


def same_key(key: str) -> bool:
    return key.casefold() in ("model", "stream", "stream_options")


@st.composite
def objects(draw):
    """A JSON object with one model, written in one of many ways; where the model's value stands; its value."""
    others = [pair for pair in draw(st.lists(st.tuples(keys, values), max_size=6)) if not same_key(pair[0])]
    model = draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(str.strip))
    at = draw(st.integers(0, len(others)))
    pairs = [*others[:at], ("model", model), *others[at:]]
    ascii_only = draw(st.booleans())
    text, span = "{", (0, 0)
    for number, (key, value) in enumerate(pairs):
        name = json.dumps(key, ensure_ascii=ascii_only)
        if number == at and draw(st.booleans()):
            name = '"m\\u006F' + draw(st.sampled_from(["del", "d\\u0065l"])) + '"'
        text += ("," if number else "") + draw(space) + name + draw(space) + ":" + draw(space)
        start = len(text.encode())
        text += json.dumps(value, ensure_ascii=ascii_only, indent=draw(st.sampled_from([None, 1])))
        if number == at:
            span = (start, len(text.encode()))
        text += draw(space)
    return (text + "}").encode(), span, model


@given(objects(), texts)
def test_replacing_the_model_changes_no_other_byte(made, name):
    body, (start, end), model = made
    routed = splice.read(body)
    assert (routed.model, routed.start, routed.end) == (model, start, end)
    renamed = splice.replaced(body, routed.start, routed.end, name)
    assert renamed[:start] == body[:start]
    assert renamed[len(renamed) - (len(body) - end) :] == body[end:]
    expected = json.loads(body)
    expected["model"] = name
    assert json.loads(renamed) == expected


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","model":"b"}',
        b'{"model":"a","x":{"model":1},"model":"a"}',
        b'{"mod\\u0065l":"a","model":"b"}',
        b'{"model":"a","\\u004dodel":"b"}',
        b'{"model":"a","MODEL":"b"}',
        b'{"Model":"a","model":"b"}',
        b'{"model":5,"model":"b"}',
    ],
)
def test_a_second_model_in_any_spelling_is_refused(body):
    with pytest.raises(BadRequest) as caught:
        splice.read(body)
    assert (caught.value.code, caught.value.param, caught.value.status) in (
        ("duplicate_key", "model", 400),
        ("invalid_value", "model", 400),
    )


@pytest.mark.parametrize(
    "second", ['"stream":false', '"Stream":false', '"\\u0073tream":false', '"\u017ftream":false', '"\\u017Ftream":1']
)
def test_a_second_stream_in_any_spelling_is_refused(second):
    with pytest.raises(BadRequest) as caught:
        splice.read(f'{{"model":"a","stream":true,{second}}}'.encode())
    assert (caught.value.code, caught.value.param) == ("duplicate_key", "stream")


@pytest.mark.parametrize(
    ("body", "start"),
    [
        (b'{"model" : "a"}', 11),
        (b'{"x":{"model":"b","stream":1},"model":"a"}', 38),
        (b'{"x":["model","model"],"model":"a"}', 31),
        (b'{"a\\"model":"b","model":"a"}', 24),
        (b'{"x":{"Model":"b"},"mod\\u0065l":"a"}', 32),
        (b'{"x":"\\u006d","model":"a"}', 22),
    ],
)
def test_a_model_elsewhere_is_not_taken_for_the_model(body, start):
    routed = splice.read(body)
    assert (routed.model, routed.start, routed.end) == ("a", start, start + 3)


@pytest.mark.parametrize("nested", [1, 63, 64, 65, 1000, 4000])
def test_the_model_is_found_among_many_of_its_name(nested):
    inner = b'{"model":1},' * nested
    body = b'{"x":[' + inner + b'0],"model":"a","y":[' + inner[:12] + b"0]}"
    assert splice.read(body).start == body.index(b'"a"')


def test_more_keys_of_the_name_than_can_be_told_apart_are_refused():
    with pytest.raises(BadRequest, match="4096") as caught:
        splice.read(b'{"model":"a","x":[' + b'{"model":1},' * 4096 + b"0]}")
    assert caught.value.code == "duplicate_key"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"[]",
        b"null",
        b'"model"',
        b'{"model":"a"',
        b'{"model":"a",}',
        b'{"model":"a"}}',
        b'{"model":"a","x":NaN}',
        b'{"model":"a","x":Infinity}',
        b'{"model":"a","x":01}',
        b'{"model":"a","x":"\x01"}',
        b'{"model":"a","x":"\xff"}',
        b'{"model":"a","\xc0\xaf":1}',
        b'{"model":"\xed\xa0\x80"}',
        b"{'model':'a'}",
        b'\xef\xbb\xbf{"model":"a"}',
        b'{"model":"a","x":' + b"[" * 1_000_000,
        b'{"model":"a","x":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}",
        b'{"x":' * 1_000_000,
    ],
)
def test_what_is_not_a_json_object_is_refused(body):
    with pytest.raises(BadRequest) as caught:
        splice.read(body)
    assert (caught.value.code, caught.value.status) == ("invalid_json", 400)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"model":5}', "model"),
        (b'{"model":null}', "model"),
        (b'{"model":["a"]}', "model"),
        (b'{"model":""}', "model"),
        (b'{"model":" "}', "model"),
        (b'{"model":"a","stream":"true"}', "stream"),
        (b'{"model":"a","stream":1}', "stream"),
        (b'{"model":"a","stream_options":[]}', "stream_options"),
        (b'{"model":"a","stream_options":{"include_usage":"yes"}}', "stream_options"),
    ],
)
def test_a_routed_field_of_the_wrong_kind_is_refused_by_name(body, param):
    with pytest.raises(BadRequest) as caught:
        splice.read(body)
    assert (caught.value.code, caught.value.param) == ("invalid_value", param)
    assert param in caught.value.message


@pytest.mark.parametrize(
    "rest",
    [
        b'"x":' + b"9" * 5000,
        b",".join(b'"k%d":0' % number for number in range(100_000)),
        b'"x":' + b"[" * 500 + b"]" * 500,
    ],
)
def test_large_but_valid_fields_pass_as_they_came(rest):
    body = b'{"model":"a",' + rest + b"}"
    routed = splice.read(body)
    assert splice.replaced(body, routed.start, routed.end, "b") == b'{"model":"b",' + rest + b"}"


@pytest.mark.parametrize(
    ("body", "stream", "wants_usage"),
    [
        (b'{"model":"a"}', False, False),
        (b'{"model":"a","stream":null,"stream_options":null}', False, False),
        (b'{"model":"a","stream":true,"stream_options":{"include_usage":true}}', True, True),
        (b'{"stream":false,"stream_options":{}}', False, False),
    ],
)
def test_stream_and_its_options_are_read(body, stream, wants_usage):
    routed = splice.read(body)
    assert (routed.stream, routed.wants_usage) == (stream, wants_usage)


def test_a_body_without_model_names_none():
    assert splice.read(b'{"input":"x"}').model is None


def test_a_new_name_is_escaped():
    assert splice.replaced(b'{"model":"a"}', 9, 12, 'x"},\n{"') == b'{"model":"x\\"},\\n{\\""}'


@pytest.mark.parametrize(
    ("body", "stream"),
    [(b"{}", True), (b'{"model":"a","stream":null}', True), (b'{"model":"a","stream":false}', False)],
)
def test_where_a_stream_is_the_default_it_has_to_be_declined(body, stream):
    assert splice.read(body, True).stream is stream
