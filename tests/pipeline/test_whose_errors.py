"""Whose failure an error was: its provider and the model that was asked for, in each dialect's own form."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from netrunner.errors import UpstreamError
from netrunner.routing.table import Candidate
from tests.support.client import answers
from tests.support.stage import EVENT, JSON, SSE, Stage, body_of

POOLS = Path(__file__).parents[2] / "docs" / "pools.md"
WHOSE = {"provider": "up", "model": "real"}
HELLO = [{"role": "user", "content": "hi"}]
ASKED: dict[str, Any] = {
    "/v1/chat/completions": {"model": "m", "messages": HELLO},
    "/v1/messages": {"model": "m", "max_tokens": 9, "messages": HELLO},
    "/v1/responses": {"model": "m", "input": "hi"},
    "/api/chat": {"model": "m", "messages": HELLO},
    "/v1beta/models/m:generateContent": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
}
EVERYBODY = pytest.mark.parametrize("path", ASKED)


def staged(**kw: Any) -> Stage:
    return Stage(models={"m": (Candidate("up", "real"),)}, **kw)


def told(document: Any) -> dict[str, str]:
    """Return what a document with an error says of who has failed."""
    error = document["error"]
    if not isinstance(error, dict):
        error = document
    for detail in error.get("details", ()):
        error = detail.get("metadata", error)
    return {name: error[name] for name in ("provider", "model") if name in error}


def answered(client: Any) -> tuple[int, Any]:
    (answer,) = answers(client.heard(), b"POST")
    return answer.status, json.loads(answer.body)


@EVERYBODY
def test_an_error_names_the_provider_that_has_failed_and_what_it_was_asked_for(path: str) -> None:
    stage = staged()
    client = stage.ask({**ASKED[path], "stream": False}, path)
    stage.call.fail(UpstreamError("The provider is not there."))
    status, document = answered(client)
    assert (status, told(document)) == (502, WHOSE)


@EVERYBODY
def test_an_error_inside_a_stream_names_it_too(path: str) -> None:
    stage = staged()
    client = stage.ask(
        {**ASKED[path], "stream": True}, path.replace("generateContent", "streamGenerateContent?alt=sse")
    )
    stage.call.head(200, SSE).body(EVENT)
    stage.call.fail()
    text = body_of(client.heard())
    last = [line for line in text.split(b"\n") if b'"error"' in line][-1]
    assert told(json.loads(last.removeprefix(b"data: "))) == WHOSE


@EVERYBODY
def test_what_is_refused_here_is_nobody_elses_failure(path: str) -> None:
    client = staged().ask({**ASKED[path], "model": "unknown"}, path.replace("/m:", "/unknown:"))
    status, document = answered(client)
    assert (status, told(document)) == (404, {})


def test_of_several_that_have_failed_the_last_is_named() -> None:
    stage = Stage(models={"m": (Candidate("up", "one", 1), Candidate("other", "two", 2))})
    client = stage.ask()
    for _ in range(2):
        stage.call.head(200, JSON).body(b'{"choices":[]}', True)
    assert told(answered(client)[1]) == {"provider": "other", "model": "two"}


def test_the_documentation_shows_such_an_error() -> None:
    shown = json.loads(re.findall('```json\\n(\\{"error".*?)```', POOLS.read_text(), re.DOTALL)[0])
    stage = staged()
    client = stage.ask({**ASKED["/v1/chat/completions"], "stream": True})
    stage.call.head(200, SSE).body(b"", True)
    assert answered(client) == (502, {"error": {**shown["error"], **WHOSE}})


def test_a_providers_own_words_go_on_as_they_came() -> None:
    stage = staged()
    client = stage.ask()
    body = b'{"error":{"message":"no","type":"server_error","param":null,"code":null}}'
    stage.call.head(500, JSON).body(body, True)
    assert answers(client.heard(), b"POST")[0].body == body
