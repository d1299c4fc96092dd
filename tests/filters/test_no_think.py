"""The filter ``no_think``."""

import json

import pytest
from twisted.internet.defer import Deferred

from netrunner.dialects.openai.view import OpenAIView
from netrunner.filters.no_think import NoThink, NoThinkSettings
from netrunner.testing.fakes import FakeEnvironment


class Exchange:
    """As much of an exchange as the filter looks at."""

    def __init__(self, document: object) -> None:
        self._view = OpenAIView(json.dumps(document).encode(), True)

    def view(self) -> OpenAIView:
        return self._view


def filtered(document: object) -> object:
    exchange = Exchange(document)
    phase = NoThink(NoThinkSettings(), FakeEnvironment())
    done: list[object] = []
    Deferred.fromCoroutine(phase.on_request(exchange)).addCallback(done.append)
    assert done == [None]
    return json.loads(exchange.view().body())


def test_a_chat_gets_an_extra_last_system_message():
    turn = {"role": "user", "content": "Hi"}
    assert filtered({"model": "m", "messages": [turn]}) == {
        "model": "m",
        "messages": [turn, {"role": "system", "content": "/no_think"}],
    }


@pytest.mark.parametrize(("prompt", "expected"), [("Hi", "Hi /no_think"), (["a", "b"], ["a /no_think", "b /no_think"])])
def test_a_prompt_gets_the_switch_after_it(prompt, expected):
    assert filtered({"prompt": prompt}) == {"prompt": expected}


def test_other_requests_stay():
    assert filtered({"input": "x"}) == {"input": "x"}
