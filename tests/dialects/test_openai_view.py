"""Requests in neutral terms."""

import json

import pytest

from netrunner.dialects.openai.view import OpenAIView
from netrunner.errors import BadRequest


def view(text: str) -> OpenAIView:
    return OpenAIView(text.encode(), True)


def test_an_unchanged_document_keeps_its_bytes():
    text = '{ "model":"m",\n"messages": [ ] }'
    seen = view(text)
    seen.messages()
    assert not seen.changed()
    assert seen.body() == text.encode()


def test_a_chat_gets_a_last_system_message_and_every_other_field_keeps_its_bytes():
    big, odd = "1" * 5000, '{"b" :1.50,"a":[ ]}'
    seen = view(f'{{"x":{big},"messages":[{{"role":"user", "content":"h\\u0069"}}],"y":{odd}}}')
    seen.append_system("/no_think")
    assert seen.changed()
    added = '{"role":"system","content":"/no_think"}'
    assert seen.body() == (
        f'{{"x":{big},"messages":[{{"role":"user", "content":"h\\u0069"}},{added}],"y":{odd}}}'.encode()
    )
    assert seen.messages()[-1].text == "/no_think"


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ('"Hi"', "Hi /no_think"),
        ('["a","b"]', ["a /no_think", "b /no_think"]),
        ("[1,2]", [1, 2]),
        ("[[1],[2]]", [[1], [2]]),
        ("null", None),
    ],
)
def test_a_prompt_gets_the_words_after_it(prompt, expected):
    seen = view(f'{{"prompt":{prompt}}}')
    seen.append_system("/no_think")
    assert json.loads(seen.body())["prompt"] == expected


def test_a_request_without_turns_stays():
    seen = view('{"input":"x"}')
    seen.append_system("/no_think")
    assert (seen.changed(), seen.messages()) == (False, ())


def test_turns_are_told_by_role_and_text():
    seen = view(
        '{"messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"a"},'
        '{"type":"image_url","image_url":{}},{"type":"text","text":"b"},5]},{"role":"assistant","content":null}]}'
    )
    assert [(turn.role, turn.text) for turn in seen.messages()] == [("system", "s"), ("user", "ab"), ("assistant", "")]
    assert seen.messages()[0].native == {"role": "system", "content": "s"}


@pytest.mark.parametrize(("prompt", "text"), [('"Hi"', "Hi"), ('["a","b"]', "a\nb"), ("[1,2]", "")])
def test_a_prompt_is_one_user_turn(prompt, text):
    (turn,) = view(f'{{"prompt":{prompt}}}').messages()
    assert (turn.role, turn.text) == ("user", text)


@pytest.mark.parametrize("messages", ['"x"', "[1]", "null"])
def test_messages_of_the_wrong_kind_are_refused(messages):
    with pytest.raises(BadRequest) as caught:
        view(f'{{"messages":{messages}}}').messages()
    assert caught.value.param == "messages"


def test_nothing_is_appended_to_messages_of_the_wrong_kind():
    with pytest.raises(BadRequest):
        view('{"messages":"x"}').append_system("y")


@pytest.mark.parametrize("text", ['{"messages":' + "[" * 5000 + "]" * 5000 + "}", "[]", "{"])
def test_what_cannot_be_decoded_is_refused(text):
    with pytest.raises(BadRequest):
        view(text).messages()


def test_a_field_with_a_number_too_long_to_decode_is_refused_by_name():
    with pytest.raises(BadRequest) as caught:
        view('{"messages":[{"x":' + "9" * 5000 + "}]}").messages()
    assert caught.value.param == "messages"


def test_parameters_have_neutral_names():
    seen = view('{"temperature":0.5,"max_completion_tokens":7,"model":"m","tools":[1]}')
    assert seen.params() == {"temperature": 0.5, "max_tokens": 7}
    assert seen.extras() == {"tools": [1]}
    seen.set_param("max_tokens", 9)
    seen.set_param("temperature", None)
    seen.set_param("seed", None)
    seen.set_param("top_p", 1)
    assert json.loads(seen.body()) == {"max_completion_tokens": 9, "model": "m", "tools": [1], "top_p": 1}


def test_a_new_limit_of_tokens_is_written_by_its_widest_known_name():
    seen = view("{}")
    seen.set_param("max_tokens", 9)
    assert seen.body() == b'{"max_tokens":9}'


def test_removing_what_is_not_there_changes_nothing():
    seen = view('{"a" : 1}')
    seen.set_param("stop", None)
    assert not seen.changed()


def test_extras_cannot_be_written():
    with pytest.raises(TypeError):
        view('{"a":1}').extras()["a"] = 2  # type: ignore[index]  # what the test is about


def test_nothing_can_be_set_in_what_is_not_json():
    with pytest.raises(BadRequest):
        OpenAIView(b"RIFF", False).set_param("seed", 1)
