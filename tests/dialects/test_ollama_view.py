"""Ollama's requests as request filters see and change them."""

from __future__ import annotations

import json

import pytest
from zope.interface.verify import verifyObject

from netrunner.dialects.interfaces import IRequestView
from netrunner.dialects.ollama.dialect import OllamaDialect
from netrunner.dialects.ollama.view import OllamaView
from netrunner.errors import BadRequest
from netrunner.values import Envelope


def view(body: str) -> OllamaView:
    return OllamaDialect().view(Envelope(body.encode(), b""))


def test_it_is_a_view():
    assert verifyObject(IRequestView, view("{}"))


def test_without_a_request_there_are_no_turns():
    assert OllamaDialect().view(None).messages() == ()


def test_a_chat_gets_a_last_system_message():
    seen = view('{"messages":[{"role":"user","content":"Hi"}],"odd" : 1}')
    seen.append_system("/no_think")
    assert json.loads(seen.body()) == {
        "messages": [{"role": "user", "content": "Hi"}, {"role": "system", "content": "/no_think"}],
        "odd": 1,
    }


def test_a_completion_gets_the_words_after_its_prompt():
    seen = view('{"prompt":"Hi"}')
    seen.append_system("/no_think")
    assert json.loads(seen.body()) == {"prompt": "Hi /no_think"}


@pytest.mark.parametrize("body", ['{"messages":[]}', '{"prompt":""}', '{"input":"x"}', "{}"])
def test_what_asks_for_nothing_stays(body):
    seen = view(body)
    seen.append_system("/no_think")
    assert (seen.changed(), seen.body()) == (False, body.encode())


def test_turns_are_told_with_the_system_text():
    seen = view('{"system":"s","prompt":"Hi"}')
    assert [(turn.role, turn.text) for turn in seen.messages()] == [("system", "s"), ("user", "Hi")]
    seen = view('{"system":7,"messages":[{"role":"user","content":"Hi"}]}')
    assert [(turn.role, turn.text) for turn in seen.messages()] == [("user", "Hi")]
    assert view('{"system":7}').messages() == ()


def test_parameters_have_neutral_names():
    seen = view('{"model":"m","options":{"num_predict":5,"num_ctx":9},"think":"low","odd":1}')
    assert seen.params() == {"max_tokens": 5, "reasoning_effort": "low"}
    assert seen.extras() == {"options": {"num_predict": 5, "num_ctx": 9}, "think": "low", "odd": 1}
    assert view('{"options":null}').params() == {}


def test_parameters_are_set_and_removed():
    seen = view('{"options":{"num_predict":5,"num_ctx":9},"think":true}')
    seen.set_param("max_tokens", 7)
    seen.set_param("temperature", 0)
    seen.set_param("reasoning_effort", None)
    assert json.loads(seen.body()) == {"options": {"num_predict": 7, "num_ctx": 9, "temperature": 0}}
    seen.set_param("max_tokens", None)
    seen.set_param("reasoning_effort", "high")
    assert json.loads(seen.body()) == {"options": {"num_ctx": 9, "temperature": 0}, "think": "high"}


def test_removing_what_is_not_there_changes_nothing():
    seen = view('{"a" : 1}')
    for name in ("seed", "reasoning_effort", "n"):
        seen.set_param(name, None)
    assert (seen.changed(), seen.body()) == (False, b'{"a" : 1}')


@pytest.mark.parametrize(("name", "value"), [("n", 2), ("nobody", 1), ("nobody", None)])
def test_a_parameter_without_a_place_is_none(name, value):
    with pytest.raises(KeyError):
        view("{}").set_param(name, value)


@pytest.mark.parametrize("options", ["[]", "7", '"x"'])
def test_options_of_the_wrong_kind_are_refused(options):
    with pytest.raises(BadRequest) as caught:
        view(f'{{"options":{options}}}').params()
    assert caught.value.param == "options"


def test_a_request_without_options_has_its_own_fields_alone():
    assert dict(view('{"model":"m","prompt":"Hi","think":true}').fields()) == {"think": "reasoning_effort"}
