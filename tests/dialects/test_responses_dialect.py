"""The dialect ``responses``: what it shares with OpenAI's others, and its own view and errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from netrunner.dialects.conversation import Asked, Conversation, Operation
from netrunner.dialects.gaps import Gaps
from netrunner.dialects.interfaces import IDecoder, IDialect, IEncoder, IRequestView, ITap, ITranslates
from netrunner.dialects.openai.dialect import OpenAIDialect
from netrunner.dialects.responses.dialect import LAST_NUMBER, ResponsesDialect
from netrunner.errors import BadRequest, RateLimited
from netrunner.values import Message

JSON = b"application/json"
dialect = ResponsesDialect()


def view(**fields: Any) -> Any:
    return dialect.view(dialect.envelope("responses", JSON, json.dumps({"model": "m", **fields}).encode(), b""))


def test_it_keeps_its_promises():
    asked = Asked(
        id="x",
        model="m",
        endpoint="responses",
        stream=True,
        wants_usage=False,
        at=0.0,
        elapsed_s=float,
        request=Conversation(),
    )
    for interface, found in (
        (IDialect, dialect),
        (ITranslates, dialect),
        (IDecoder, dialect.decoder("responses", True, 1000)),
        (IEncoder, dialect.encoder(asked)),
        (ITap, dialect.tap(True)),
        (IRequestView, view()),
    ):
        assert verifyObject(interface, found)
    assert (dialect.name, dialect.passes) == ("responses", OpenAIDialect.passes)


@pytest.mark.parametrize(
    ("method", "endpoint", "operation"),
    [
        (b"POST", "responses", Operation.CHAT),
        (b"POST", "responses/input_tokens", Operation.COUNT),
        (b"GET", "responses", None),
        (b"POST", "responses/resp_1/cancel", None),
        (b"POST", "chat/completions", None),
    ],
)
def test_asking_for_an_answer_and_counting_are_what_can_be_translated(method, endpoint, operation):
    assert dialect.operation(method, endpoint) is operation


def test_a_request_is_read_renamed_and_written():
    envelope = dialect.envelope("responses", JSON, b'{"model":"a", "input":"hi", "stream":true}', b"")
    assert (envelope.model, envelope.stream) == ("a", True)
    assert dialect.rename(envelope, "b") == b'{"model":"b", "input":"hi", "stream":true}'
    written = dialect.write(dialect.read(envelope, "responses", Gaps()), "b", True, Gaps())
    assert json.loads(written.body)["model"] == "b"


def test_a_count_is_told_as_openai_does():
    assert json.loads(dialect.counted(7)) == {"object": "response.input_tokens", "input_tokens": 7}


def test_an_error_before_a_stream_is_openais_and_inside_of_one_an_event_beyond_all_others():
    error = RateLimited("Slow down.")
    assert dialect.error(error) == OpenAIDialect().error(error)
    name, data, *rest = dialect.error_event(error).split(b"\n")
    assert (name, rest) == (b"event: error", [b"", b""])
    told = {"code": "rate_limit_exceeded", "message": "Slow down.", "param": None}
    assert json.loads(data.removeprefix(b"data: ")) == {
        "type": "error",
        **told,
        "error": {"type": "rate_limit_exceeded", **told},
        "sequence_number": LAST_NUMBER,
    }


def test_the_tap_reads_what_the_encoder_writes():
    tap = dialect.tap(True)
    tap.feed(b'event: response.completed\ndata: {"type":"response.completed","response":{"status":"completed",')
    tap.feed(b'"usage":{"input_tokens":1,"output_tokens":2}}}\n\n')
    tap.close()
    assert tap.usage is not None
    assert (tap.complete, tap.finish_reason, tap.usage.output_total) == (True, "completed", 2)


# --- view ---------------------------------------------------------------------------------------------------


def test_filters_see_the_instructions_and_every_item():
    items = [
        {"role": "user", "content": "a"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "b"}, 1]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "function_call", "name": "f"},
        {"type": "function_call_output", "output": "c"},
        {"type": 1},
    ]
    assert view(instructions="be", input=items).messages() == (
        Message("system", "be", "be"),
        Message("user", "a", items[0]),
        Message("assistant", "b", items[1]),
        Message("assistant", "hm", items[2]),
        Message("assistant", "", items[3]),
        Message("tool", "c", items[4]),
        Message("", "", items[5]),
    )
    assert view(input="hi", instructions=None).messages() == (Message("user", "hi", "hi"),)
    assert view(instructions=1).messages() == (Message("system", "", 1),)


@pytest.mark.parametrize("found", [1, [1], {}])
def test_a_filter_cannot_see_what_is_no_input(found):
    with pytest.raises(BadRequest):
        view(input=found).messages()


def test_an_instruction_is_added_after_everything_else():
    last = {"type": "message", "role": "system", "content": "be"}
    for found, items in (
        ("hi", [{"type": "message", "role": "user", "content": "hi"}]),
        ([{"role": "user", "content": "hi"}], [{"role": "user", "content": "hi"}]),
    ):
        seen = view(input=found)
        seen.append_system("be")
        assert json.loads(seen.body())["input"] == [*items, last]
    without = view()
    without.append_system("be")
    assert not without.changed()
    with pytest.raises(BadRequest):
        view(input=1).append_system("be")


def test_parameters_are_found_and_set_where_this_api_has_them():
    seen = view(reasoning={"effort": "low", "summary": "auto"}, temperature=1, metadata={})
    assert seen.params() == {"temperature": 1, "reasoning_effort": "low"}
    seen.set_param("max_tokens", 5)
    seen.set_param("reasoning_effort", "high")
    seen.set_param("temperature", None)
    assert json.loads(seen.body()) == {
        "model": "m",
        "reasoning": {"effort": "high", "summary": "auto"},
        "metadata": {},
        "max_output_tokens": 5,
    }
    seen.set_param("reasoning_effort", None)
    seen.set_param("max_tokens", None)
    assert json.loads(seen.body()) == {"model": "m", "reasoning": {"summary": "auto"}, "metadata": {}}
    assert view().params() == {}
    assert view(reasoning=1).params() == {}


def test_everything_else_is_extra():
    assert dict(view(input="hi", instructions="be", metadata={"a": "b"}).extras()) == {"metadata": {"a": "b"}}


def test_what_is_no_json_has_no_turns():
    assert dialect.view(None).messages() == ()
    assert dialect.view(dialect.envelope("responses", b"text/plain", b"x", b"")).messages() == ()
