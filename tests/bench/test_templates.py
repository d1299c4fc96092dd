"""Payloads and their placeholders."""

from __future__ import annotations

import json
import random
import uuid

import pytest

from netrunner.cli.bench.templates import Rotation, Template, texts_of, with_fields


def template(text: str, model: str = "m") -> Template:
    return Template(text, model, random.Random(1))


def test_the_number_may_stand_within_a_text_or_for_itself() -> None:
    assert json.loads(template('{"seed": {n}, "input": "request {n}"}').render(7)) == {"seed": 7, "input": "request 7"}


def test_each_uuid_is_another_one_of_version_4() -> None:
    one = template('{"a": "{uuid}", "b": "{uuid}"}')
    seen = [value for number in (1, 2) for value in json.loads(one.render(number)).values()]
    assert len(set(seen)) == 4
    assert {(uuid.UUID(value).version, uuid.UUID(value).variant) for value in seen} == {(4, uuid.RFC_4122)}


def test_words_are_as_many_as_asked_for_and_others_each_time() -> None:
    one = template('{"input": "{words:50}"}')
    first, second = (json.loads(one.render(number))["input"] for number in (1, 2))
    assert len(first.split()) == len(second.split()) == 50
    assert first != second


def test_a_model_with_quotes_stays_one_text() -> None:
    assert json.loads(template('{"model": "{model}"}', 'a"b').render(1)) == {"model": 'a"b'}


def test_every_other_brace_is_json_s() -> None:
    text = '{"a": {"x": 1}, "b": "{name} {{"}'
    assert template(text).render(1) == text.encode()


@pytest.mark.parametrize("text", ["", '{"a"', "{n} {n}", '{"a": {uuid}}'])
def test_what_is_no_json_once_filled_in_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not JSON"):
        template(text)


def test_more_words_than_are_allowed_are_refused() -> None:
    with pytest.raises(ValueError, match="goes up to 1000000"):
        template('{"a": "{words:9999999}"}')


def test_payloads_take_turns() -> None:
    rotation = Rotation([template("[1]"), template("[2]"), template("[{n}]")])
    assert [rotation.render(number) for number in (1, 2, 3, 4)] == [b"[1]", b"[2]", b"[3]", b"[1]"]


def test_fields_are_added_where_they_are_missing_and_nothing_else_changes() -> None:
    text = '{ "seed": {n}, "stream": true}'
    changed = with_fields(text, {"seed": 1, "stream": True}, {"stream": True, "extra": {"a": 1}})
    assert changed == '{"extra":{"a":1}, "seed": {n}, "stream": true}'


@pytest.mark.parametrize(
    ("document", "texts"),
    [
        ('{"a": 1}\n\n{"a": 2}\n', ['{"a": 1}', '{"a": 2}']),
        ('{"a": 1}', ['{"a": 1}']),
        ('{\n "a": {"b": 1}\n}\n', ['{\n "a": {"b": 1}\n}\n']),
    ],
)
def test_a_file_holds_lines_of_json_or_one_document(document: str, texts: list[str]) -> None:
    assert texts_of(document) == texts
