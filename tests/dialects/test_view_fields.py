"""What the views of all dialects tell of a document's fields: their full names, what they mean, and the turns."""

import json
from typing import Any

import pytest

from netrunner.dialects.anthropic.view import AnthropicView
from netrunner.dialects.gemini.view import GeminiView
from netrunner.dialects.ollama.view import OllamaView
from netrunner.dialects.openai.view import OpenAIView
from netrunner.dialects.responses.view import ResponsesView
from netrunner.errors import BadRequest

SAID = [{"role": "user", "content": "Hi"}]
MAKE = {
    "openai": lambda body: OpenAIView(body, True),
    "responses": lambda body: ResponsesView(body, True),
    "anthropic": AnthropicView,
    "ollama": lambda body: OllamaView(body, True),
    "gemini": GeminiView,
}
VIEWS = [
    pytest.param(
        "openai",
        {"model": "m", "messages": SAID, "stream_options": {}, "max_tokens": 1, "max_completion_tokens": 2, "user": 3},
        {"max_tokens": ("max_tokens", 1), "max_completion_tokens": ("max_tokens", 2), "user": (None, 3)},
        ("messages", SAID),
        id="openai",
    ),
    pytest.param(
        "responses",
        {"model": "m", "instructions": "Be kind.", "input": "Hi", "max_output_tokens": 1, "store": True},
        {"max_output_tokens": ("max_tokens", 1), "store": (None, True)},
        ("input", "Hi"),
        id="responses",
    ),
    pytest.param(
        "anthropic",
        {"model": "m", "system": "Be kind.", "messages": SAID, "stop_sequences": ["a"], "metadata": {"user_id": "u"}},
        {"stop_sequences": ("stop", ["a"]), "metadata": (None, {"user_id": "u"})},
        ("messages", SAID),
        id="anthropic",
    ),
    pytest.param(
        "ollama",
        {"model": "m", "messages": SAID, "think": True, "options": {"num_predict": 1, "mirostat": 2}, "a.b": 3},
        {
            "think": ("reasoning_effort", True),
            "options.num_predict": ("max_tokens", 1),
            "options.mirostat": (None, 2),
            "a.b": (None, 3),
        },
        ("messages", SAID),
        id="ollama",
    ),
    pytest.param(
        "gemini",
        {
            "contents": [{"parts": []}],
            "system_instruction": {"parts": []},
            "generation_config": {"topP": 1, "max_output_tokens": 2, "seedling": 3},
            "safety_settings": [],
        },
        {
            "safetySettings": (None, []),
            "generationConfig.topP": ("top_p", 1),
            "generationConfig.maxOutputTokens": ("max_tokens", 2),
            "generationConfig.seedling": (None, 3),
        },
        ("contents", [{"parts": []}]),
        id="gemini",
    ),
]


@pytest.mark.parametrize(("dialect", "document", "fields", "turns"), VIEWS)
def test_fields_have_full_names_and_meanings(
    dialect: str, document: dict[str, Any], fields: dict[str, Any], turns: Any
) -> None:
    view = MAKE[dialect](json.dumps(document).encode())
    assert {name: (meaning, view.value(name)) for name, meaning in view.fields().items()} == fields
    assert view.turns() == turns
    assert not view.changed()
    assert not view.opaque


@pytest.mark.parametrize("dialect", MAKE)
def test_a_document_without_turns_has_none(dialect: str) -> None:
    view = MAKE[dialect](b'{"model": "m"}')
    assert view.turns() is None


def test_fields_are_known_whatever_their_case() -> None:
    view = OllamaView(b'{"Messages": [], "OPTIONS": {"num_predict": 7}, "Think": true}', True)
    assert view.turns() == ("Messages", [])
    assert view.fields() == {"OPTIONS.num_predict": "max_tokens", "Think": "reasoning_effort"}
    assert view.value("OPTIONS.num_predict") == 7


@pytest.mark.parametrize(
    ("dialect", "body", "param"),
    [
        ("openai", b'{"max_tokens": 1, "Max_Tokens": 2}', "max_tokens"),
        ("ollama", b'{"options": {}, "Options": {"num_predict": 2}}', "options"),
        ("gemini", b'{"generationConfig": {}, "generation_config": {}}', "generationConfig"),
        ("gemini", b'{"generationConfig": {"topP": 1, "top_p": 2}}', "topP"),
    ],
)
def test_a_field_in_two_spellings_is_refused(dialect: str, body: bytes, param: str) -> None:
    with pytest.raises(BadRequest) as raised:
        MAKE[dialect](body).fields()
    assert (raised.value.code, raised.value.param) == ("duplicate_key", param)


def test_a_body_that_is_no_json_is_opaque() -> None:
    assert OpenAIView(b"--form", False).opaque
    assert not OpenAIView(b"", False).opaque
    assert OpenAIView(b"--form", False).fields() == {}
