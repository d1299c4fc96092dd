"""Calls that Groq could not read: what is one, and what an answer is made of."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netrunner.dialects.openai.recovered import recovered

TOOLS = [{"type": "function", "function": {"name": "f"}}]


def told(generation: Any, code: str = "tool_use_failed") -> bytes:
    return json.dumps({"error": {"code": code, "failed_generation": generation}}).encode()


def asked(**more: Any) -> bytes:
    return json.dumps({"model": "m", "tools": TOOLS, **more}).encode()


def test_an_answer_names_the_model_the_time_and_its_own_id() -> None:
    found = recovered(asked(), told('{"name":"f","arguments":{}}'), 7)
    assert found is not None
    content_type, body = found
    answer = json.loads(body)
    assert (content_type, answer["object"], answer["created"], answer["model"]) == (
        b"application/json",
        "chat.completion",
        7,
        "m",
    )
    assert answer["id"].startswith("chatcmpl-")


@pytest.mark.parametrize(
    ("request_body", "error"),
    [
        (b"no JSON", told("<function=f>{}</function>")),
        (b"[]", told("<function=f>{}</function>")),
        (asked(tools={}), told("<function=f>{}</function>")),
        (asked(tools=["f", {"function": "f"}, {"function": {"name": 1}}]), told("<function=f>{}</function>")),
        (asked(), b"no JSON"),
        (asked(), b'{"error":"x"}'),
        (asked(), told("<function=f>{}</function>", "other")),
        (asked(), told(7)),
        (asked(), told("<function=f>{}</function>" * 1025)),
    ],
)
def test_anything_else_is_none(request_body: bytes, error: bytes) -> None:
    assert recovered(request_body, error, 7) is None
